//! What is made of a batch: the request to a model, its answer, and what of it is used.
//!
//! Which memos a model is shown is for [`quote()`] to say. A [`Request`] goes to a [`crate::ports::LanguageModel`], which
//! answers with a [`Draft`] in JSON. [`check`] takes from it what is valid, item by item, as an [`Extraction`]. [`plan`]
//! turns that into changes of one profile.

mod check;
mod copies;
mod draft;
mod language;
mod merge;
mod plan;
mod quote;
mod read;
mod request;
mod transcript;

pub use check::{Action, Extraction, NewGist, Refusal, check};
pub use draft::{Draft, DraftAction, DraftGist, DraftTag, Verb};
pub use plan::{Plan, PlanIds, plan};
pub use quote::{Quoted, quote};
pub use read::Unreadable;
pub use request::{Language, Line, Policy, Request, TagSpec, lines_of, parts_of};
pub use transcript::{Speakers, plain_line};
pub(crate) use transcript::{plain_name, speaker};
