//! The durable mirror of all buffers: adapters of [`memory::ports::Journal`].

pub mod postgres;
pub mod redis;
pub mod sqlite;
pub mod transfer;
