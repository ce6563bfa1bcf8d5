//! The language model: one call per part of a flush, to any OpenAI-compatible endpoint.
//!
//! [`Prompts`] turns a request into a [`Prompt`]; [`Endpoint`] brings it to the provider and its answer back, whatever
//! state the provider is in; [`OpenAiModel`] is the port that joins both, with one repair of an answer that cannot be
//! read. What a failure means for the flush is decided by its state machine in `memory`, not here.

mod advisor;
mod endpoint;
mod model;
mod prompts;
mod schema;

pub use advisor::OpenAiAdvisor;
pub use endpoint::{Completion, Counted, Endpoint, EndpointSettings, Prompt};
pub use model::{ModelNames, OpenAiModel};
pub use prompts::Prompts;
pub use schema::AnswerSchema;
