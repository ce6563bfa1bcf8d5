//! Who does it and when.
//!
//! One [`actix`] actor per active user decides when its buffer is flushed; a pool runs the flushes; a sweeper finds
//! what is due. [`Engine`] is the face of all of it: the HTTP layer, and whatever else serves requests, calls that.
//!
//! Actors hold no sockets and wait for nothing slow inside a message: ports do the I/O, on the runtime they belong to.

mod cache;
pub mod crash_point;
mod doubt;
mod embeddings;
mod engine;
mod error;
mod fair_queue;
mod flush_pool;
mod flush_run;
mod offload;
mod outages;
mod projects;
mod purge;
mod queries;
mod quotas;
mod rates;
mod registry;
mod settings;
mod sweeper;
mod told;
mod user_actor;

pub use doubt::Doubt;
pub use embeddings::Embeddings;
pub use engine::{BufferStatus, DeadBlob, DroppedLetters, Engine, Flushed, Inserted, RetriedLetters, Selected};
pub use error::EngineError;
pub use flush_pool::PoolState;
pub use projects::Admission;
pub use rates::RateSettings;
pub use settings::{EngineSettings, Ports};
