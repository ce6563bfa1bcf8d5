//! Powermemo, the shell: command line, configuration, HTTP, and the adapters behind the ports of the memory.

pub mod backends;
pub mod bench;
pub mod changes;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod embedding;
pub mod http;
pub mod import;
pub mod journal;
pub mod llm;
pub mod mock_model;
pub mod projects;
pub mod serve;
pub mod store;
mod token;
pub mod tokens;
mod words;
