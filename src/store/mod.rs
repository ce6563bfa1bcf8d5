//! The system of record: adapters of [`memory::ports::Store`].

pub mod postgres;
pub mod sqlite;
