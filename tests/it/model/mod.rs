//! The language model: the stand-in for one, and the real server with one that misbehaves.

mod cost;
#[cfg(feature = "crash-points")]
mod crash;
mod embeddings;
pub(crate) mod endpoint;
mod mock;
mod provider;
mod quota;
mod room;
mod usage;
