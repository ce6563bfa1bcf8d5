//! The client: as little of HTTP as a load generator needs.

mod answer;
mod connection;
mod fault;

pub(crate) use connection::Connection;
pub(crate) use fault::Fault;
