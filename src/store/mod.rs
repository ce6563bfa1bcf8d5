//! The system of record: adapters of [`memory::ports::Store`].

pub mod sqlite;
