//! The command line of `powermemo bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::load::Pace;
use crate::config::{Config, LlmStyle};
use crate::mock_model::read_latency;

/// The variable that holds the token, as it does for the server.
const TOKEN_VARIABLE: &str = "ACCESS_TOKEN";
/// Connections when neither flag says otherwise.
const CONCURRENCY: u32 = 64;

/// What is asked of the server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Chats of two messages, spread over many users; no buffer is flushed.
    Insert,
    /// Profiles of 30 slots.
    Profile,
    /// Contexts of users with 30 slots and 30 gists.
    Context,
    /// The same with chats_str: events are searched.
    ContextChats,
    /// Insert of four messages, and a flush that is waited for (wait_process).
    FlushWait,
    /// All users have four messages, and a flush is asked for; then how long until all are done.
    FlushBackground,
    /// A bot's day: a context before each reply, an insert after it, a flush at the end of each conversation.
    Mixed,
    /// The same for long, with memory, buffers and dead letters looked at. Runs alone.
    Soak,
}

impl Workload {
    /// What is run when nothing is named.
    const DEFAULT: [Self; 6] =
        [Self::Insert, Self::Profile, Self::Context, Self::ContextChats, Self::FlushWait, Self::FlushBackground];

    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Profile => "profile",
            Self::Context => "context",
            Self::ContextChats => "context-chats",
            Self::FlushWait => "flush-wait",
            Self::FlushBackground => "flush-background",
            Self::Mixed => "mixed",
            Self::Soak => "soak",
        }
    }

    /// Users, unless the options say otherwise.
    fn users(self) -> u32 {
        match self {
            Self::Insert => 10_000,
            Self::Profile | Self::Context | Self::ContextChats => 100,
            Self::FlushWait | Self::Mixed | Self::Soak => 2_000,
            Self::FlushBackground => 5_000,
        }
    }
}

/// Measures a server under load.
#[derive(Clone, PartialEq, Debug, Args)]
pub struct BenchArgs {
    /// What to measure; all but mixed and soak when left out.
    #[arg(value_enum, value_name = "WORKLOAD")]
    pub workloads: Vec<Workload>,
    /// Address of the server to measure; a server of its own is started when left out.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The server's access token (also ACCESS_TOKEN).
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// postgres:// address for the server that is started.
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    pub database_url: Option<String>,
    /// redis:// address for the server that is started.
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    pub redis_url: Option<String>,
    /// How long the stand-in for a language model thinks, when the server that is started names none: 0ms, 200ms.
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = read_latency, conflicts_with = "url")]
    pub model_latency: Duration,
    /// Connections, each of which asks again when it is answered (closed loop); several: one after the other.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: Vec<u32>,
    /// Requests per second, sent when they are due, answered or not (open loop), on at most --concurrency connections;
    /// several: one after the other.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub rate: Vec<u32>,
    /// Users of each workload; several: one after the other. [default: as the workload needs]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub users: Vec<u32>,
    /// Seconds that are measured in a round.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Seconds before that.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub warmup: u64,
    /// Rounds; the median is reported.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Seconds that the ceiling (health checks) is measured for before each round and after the last; 0: not at all.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub ceiling_seconds: u64,
    /// Threads of the load generator.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// Messages of the user in a conversation of mixed and soak.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub turns: u32,
    /// Conversations of mixed and soak after which a user is deleted and a new one comes; 0: never.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub conversations: u32,
    /// Tokens from which on the server at --url flushes a buffer (max_chat_blob_buffer_token_size).
    #[arg(long, value_name = "N", default_value_t = 1_024, requires = "url")]
    pub buffer_tokens: u64,
    /// Process of the server at --url, when it runs on this machine: its memory and processor time are told.
    #[arg(long, value_name = "PID", requires = "url")]
    pub pid: Option<u32>,
    /// Seconds that an answer is waited for.
    #[arg(long, value_name = "N", default_value_t = 130, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub timeout: u64,
    /// Leave the users on the server that were made on it.
    #[arg(long)]
    pub keep_users: bool,
    /// Write the result to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the result to this file as a page with charts.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Measure nothing, but compare two results: how the second relates to the first.
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"], conflicts_with_all = ["workloads", "url", "json", "html"])]
    pub compare: Option<Vec<PathBuf>>,
}

/// What to do, all told.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// As they were given.
    pub(crate) args: BenchArgs,
    /// The token for clients.
    pub(crate) token: Option<String>,
    /// Global flags for a server that is started.
    pub(crate) server_flags: Vec<(&'static str, String)>,
    /// The token of the configuration of a server that is started.
    pub(crate) server_token: Option<String>,
    /// True when that configuration names a language model, or wants none.
    pub(crate) names_model: bool,
    /// True when that configuration, or a flag, names Postgres or Redis.
    pub(crate) uses_services: bool,
}

/// One load on the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Case {
    pub(crate) workload: Workload,
    pub(crate) pace: Pace,
    pub(crate) connections: u32,
    pub(crate) users: u32,
}

impl Case {
    /// Whether it reads users who must have events.
    pub(crate) fn reads_events(&self) -> bool {
        matches!(self.workload, Workload::Context | Workload::ContextChats)
    }
}

impl Options {
    /// What to do. `config` is that of a server that is started, with the global flags for it.
    pub(crate) fn new(args: BenchArgs, server_flags: Vec<(&'static str, String)>, config: Option<&Config>) -> Self {
        let token = args.token.clone().or_else(|| std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()));
        let server_token = config.and_then(|config| config.access_token.as_ref());
        let names_service = config.is_some_and(|config| config.database_url.is_some() || config.redis_url.is_some());
        Self {
            token,
            server_flags,
            server_token: server_token.map(|token| token.expose_secret().to_owned()),
            names_model: config.is_some_and(names_model),
            uses_services: names_service || args.database_url.is_some() || args.redis_url.is_some(),
            args,
        }
    }
}

/// A key alone names no model: thousands of calls of a paid one are nothing to begin unasked.
fn names_model(config: &Config) -> bool {
    config.llm_base_url.is_some() || config.llm_style == LlmStyle::Rules
}

impl BenchArgs {
    /// Whether the configuration of a server that is started is needed.
    pub fn needs_settings(&self) -> bool {
        self.url.is_none() && self.compare.is_none()
    }

    /// Checks what the parser of a single flag cannot.
    ///
    /// # Errors
    /// The text is for whoever gave the flags.
    pub fn check(&self) -> Result<(), String> {
        let has = |workload| self.workloads.contains(&workload);
        if has(Workload::Soak) && self.workloads.len() > 1 {
            return Err("soak runs alone: name no other workload".to_owned());
        }
        if !self.rate.is_empty() && (has(Workload::FlushBackground) || self.workloads.is_empty()) {
            return Err("flush-background has no rate: name the other workloads, or leave --rate out".to_owned());
        }
        if !self.rate.is_empty() && self.concurrency.len() > 1 {
            return Err("with --rate there is one --concurrency: the connections at most".to_owned());
        }
        Ok(())
    }

    /// All loads, in the order in which they are run.
    pub(crate) fn cases(&self) -> Vec<Case> {
        let workloads = if self.workloads.is_empty() { &Workload::DEFAULT[..] } else { &self.workloads };
        let or = |given: &[u32], default| if given.is_empty() { vec![default] } else { given.to_vec() };
        let concurrency = or(&self.concurrency, CONCURRENCY);
        let loads: Vec<(Pace, u32)> = if self.rate.is_empty() {
            concurrency.iter().map(|connections| (Pace::Closed, *connections)).collect()
        } else {
            self.rate.iter().map(|rate| (Pace::Open(*rate), concurrency[0])).collect()
        };
        let mut cases = Vec::new();
        for workload in workloads {
            for users in or(&self.users, workload.users()) {
                for (pace, connections) in &loads {
                    let case = Case { workload: *workload, pace: *pace, connections: *connections, users };
                    if !cases.contains(&case) {
                        cases.push(case);
                    }
                }
            }
        }
        cases
    }

    /// How often each load is run.
    pub(crate) fn rounds(&self) -> u32 {
        if self.workloads == [Workload::Soak] { 1 } else { self.rounds }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: BenchArgs,
    }

    fn args(line: &str) -> BenchArgs {
        Line::try_parse_from(["bench"].into_iter().chain(line.split_whitespace())).unwrap().args
    }

    #[test]
    fn loads_are_multiplied() {
        assert_eq!(args("").cases().len(), 6);
        let cases = args("insert mixed insert --users 10,20 --concurrency 1,2,4").cases();
        assert_eq!(cases.len(), 12);
        let first = Case { workload: Workload::Insert, pace: Pace::Closed, connections: 1, users: 10 };
        assert_eq!(cases[0], first);
        let cases = args("profile --rate 100,200 --concurrency 8").cases();
        let paces: Vec<_> = cases.iter().map(|case| (case.pace, case.connections, case.users)).collect();
        assert_eq!(paces, [(Pace::Open(100), 8, 100), (Pace::Open(200), 8, 100)]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, told) in [
            ("soak insert", "alone"),
            ("flush-background --rate 5", "no rate"),
            ("--rate 5", "no rate"),
            ("insert --rate 5 --concurrency 1,2", "one --concurrency"),
        ] {
            assert!(args(line).check().unwrap_err().contains(told), "{line}");
        }
        assert_eq!(args("insert profile --rate 5").check(), Ok(()));
        for line in ["--pid 5", "--concurrency 0", "--compare a.json", "insert --compare a b", "--url u --redis-url r"]
        {
            let line = ["bench"].into_iter().chain(line.split_whitespace());
            assert!(Line::try_parse_from(line).is_err());
        }
    }

    #[test]
    fn a_workload_is_named_as_on_the_command_line() {
        for workload in Workload::value_variants() {
            assert_eq!(workload.to_possible_value().unwrap().get_name(), workload.name());
            assert_eq!(serde_json::to_string(workload).unwrap(), format!("\"{}\"", workload.name()));
        }
    }
}
