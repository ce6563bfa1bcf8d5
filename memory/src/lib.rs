//! What a memory is.
//!
//! Domain types, the buffer and flush state machines, extraction rules, context packing and ranking, and the
//! ports behind which all I/O lies. Nothing here opens a socket or knows an actor: time and randomness come in as
//! arguments, and what should happen outside is returned as a value.

pub mod blob;
pub mod buffer;
pub mod context;
pub mod dates;
pub mod event;
pub mod extraction;
pub mod flush;
pub mod ids;
pub mod outage;
pub mod ports;
pub mod profile;
pub mod profile_config;
pub mod quota;
pub mod recall;
pub mod rules;
pub mod schema;
pub mod search;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
pub mod usage;
