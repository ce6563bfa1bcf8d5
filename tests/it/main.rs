//! Integration tests: one binary for all.

// Helpers are tests, too, but clippy knows only functions that are marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bench;
mod chaos;
mod crash;
mod import;
mod model;
mod postgres;
mod redis;
mod server;
mod services;
mod shared;
mod sqlite;
mod wire;
