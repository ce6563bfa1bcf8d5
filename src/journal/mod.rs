//! The durable mirror of all buffers: adapters of [`memory::ports::Journal`].

pub mod sqlite;
