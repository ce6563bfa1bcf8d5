//! The wire format, case by case, against a server: one table for each resource, in `users.rs`, `blobs.rs` and so
//! on. A server that passes serves the clients of the format.
//!
//! The servers use the built-in extractor and the default limits, but for the life of dead letters.

mod access;
mod blobs;
mod case;
mod context;
mod events;
mod letters;
mod profile_config;
mod profiles;
mod projects;
mod recorded;
mod roleplay;
mod sources;
mod users;

use crate::model::endpoint::Endpoint;
use crate::server::Server as Process;
use crate::shared::Site;

use case::{Case, Server};

/// The web origins that the servers let call.
const ORIGINS: &str = "[\"https://app.example\"]";

/// The name of a table, and what makes its cases.
type Table = (&'static str, fn() -> Vec<Case>);

/// All tables. Each makes its own users, so that they are independent of each other.
const TABLES: [Table; 11] = [
    ("access", access::cases),
    ("users", users::cases),
    ("blobs", blobs::cases),
    ("profiles", profiles::cases),
    ("events", events::cases),
    ("context", context::cases),
    ("sources", sources::cases),
    ("roleplay", roleplay::cases),
    ("letters", letters::cases),
    ("projects", projects::cases),
    ("profile_config", profile_config::cases),
];

/// Runs all tables against the server at `base` ("http://127.0.0.1:8019").
///
/// # Panics
/// When any case failed, with all that did.
fn replay(base: &str, token: Option<&str>, tables: &[Table]) {
    let server = Server::new(base, token);
    let failed: Vec<_> = tables.iter().flat_map(|(name, cases)| server.run(name, cases())).collect();
    assert!(failed.is_empty(), "{} cases failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn a_server_with_a_token_speaks_the_wire_format() {
    let server = Process::start(&[("ACCESS_TOKEN", "secret"), ("POWERMEMO_CORS_ORIGINS", ORIGINS)]);
    replay(&server.base, Some("secret"), &TABLES);
    replay(&server.base, Some("secret"), &[("tokens", access::token_cases), ("origins", access::origin_cases)]);
}

#[test]
fn a_server_without_a_token_answers_its_own_machine_alone() {
    let server = Process::start(&[("POWERMEMO_CORS_ORIGINS", ORIGINS)]);
    replay(&server.base, None, &[("local", access::local_cases), ("origins", access::origin_cases)]);
}

/// The same on Postgres and Redis.
#[test]
fn a_server_on_shared_back_ends_speaks_the_wire_format() {
    let site = Site::new();
    let running = site.start(&[("ACCESS_TOKEN", "secret"), ("POWERMEMO_CORS_ORIGINS", ORIGINS)]);
    replay(&running.server.base, Some("secret"), &TABLES);
    let kept = site.start(&[("PROJECT_ID", "wire"), ("POWERMEMO_PERSISTENT_CHAT_BLOBS", "true")]);
    replay(&kept.server.base, None, &[("kept", blobs::kept_cases)]);
}

/// The same on Postgres alone.
#[test]
fn a_server_on_postgres_speaks_the_wire_format() {
    let site = Site::new();
    let mut command = site.command(&[("POWERMEMO_CORS_ORIGINS", ORIGINS)]);
    let server = Process::spawn({
        command.env_remove("REDIS_URL");
        command
    });
    replay(&server.base, None, &[("local", access::local_cases)]);
    replay(&server.base, None, &TABLES[1..]);
}

#[test]
fn a_server_can_keep_chats_under_another_project() {
    let server = Process::start(&[("PROJECT_ID", "wire"), ("POWERMEMO_PERSISTENT_CHAT_BLOBS", "true")]);
    replay(&server.base, None, &[("kept", blobs::kept_cases)]);
}

#[test]
fn a_server_limits_the_rates_of_a_project() {
    let rates = [("POWERMEMO_PROJECT_REQUESTS_PER_MINUTE", "3"), ("POWERMEMO_PROJECT_TOKENS_PER_MINUTE", "10")];
    replay(&Process::start(&rates).base, None, &[("rates", access::rate_cases)]);
}

#[test]
fn a_server_whose_model_fails_keeps_dead_letters() {
    let endpoint = Endpoint::start(letters::script());
    let base_url = endpoint.base_url();
    let server = Process::start(&[&letters::IMPATIENT[..], &[("POWERMEMO_LLM_BASE_URL", &base_url)]].concat());
    replay(&server.base, None, &[("letters", letters::life)]);
}
