//! The language model: one call per part of a flush, to any OpenAI-compatible endpoint; and the model for embeddings.
//!
//! [`Prompts`] turns a request into a [`Prompt`]; [`Endpoint`] brings it to the provider and its answer back, whatever
//! state the provider is in; [`OpenAiModel`] is the port that joins both, with one repair of an answer that cannot be
//! read. [`OpenAiEmbedder`] is the port that an [`EmbeddingEndpoint`] is behind. What a failure means for the flush is decided by its state machine in `memory`, not here.

mod advisor;
mod call;
mod embedder;
mod endpoint;
mod model;
mod prompts;
mod schema;

pub use advisor::OpenAiAdvisor;
pub use embedder::{EmbeddingSize, OpenAiEmbedder};
pub use endpoint::{
    Completion, Counted, EmbeddingEndpoint, EmbeddingSettings, EmbeddingStyle, Endpoint, EndpointSettings, Input,
    Prompt, Vectors,
};
pub use model::{ModelNames, OpenAiModel};
pub use prompts::Prompts;
pub use schema::AnswerSchema;
