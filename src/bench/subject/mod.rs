//! What is measured: a server that runs already, or one that the bench starts.

mod child;
mod usage;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use super::options::Options;
use super::target::Target;

pub(crate) use child::Child;
pub(crate) use usage::Usage;

/// Settings of a server that the bench starts, unless the environment has others: no buffer is flushed by its size or
/// its age while inserts are measured.
const QUIET: [(&str, &str); 3] = [
    ("POWERMEMO_MAX_CHAT_BLOB_BUFFER_TOKEN_SIZE", "1000000"),
    ("POWERMEMO_MAX_BUFFERED_BLOBS_PER_USER", "1000000"),
    ("POWERMEMO_BUFFER_FLUSH_INTERVAL", "604800"),
];

/// Tokens from which on a server with these settings flushes a buffer.
pub(crate) const BUFFER_TOKENS: u64 = 1_000_000;

/// What is measured.
pub(crate) struct Subject {
    /// Where it is.
    pub(crate) target: Arc<Target>,
    /// What is known of it, a line each.
    pub(crate) about: Vec<String>,
    /// The server, when its process is known.
    pub(crate) pid: Option<u32>,
    /// True when the server goes with the bench, its data with it.
    pub(crate) is_own: bool,
    /// True when all that was stored goes with the bench.
    pub(crate) is_temporary: bool,
    /// True when the bench has started a stand-in for a language model.
    pub(crate) has_model: bool,
    // Dropped in this order: the server, its model, its data.
    _server: Option<Child>,
    _model: Option<Child>,
    _folder: Option<TempDir>,
}

impl Subject {
    /// The server that the options name, or a new one.
    ///
    /// # Errors
    /// When the address cannot be used, or the server cannot be started.
    pub(crate) fn open(options: &Options) -> anyhow::Result<Self> {
        match &options.args.url {
            Some(url) => Ok(Self {
                target: Arc::new(Target::new(url, options.token.as_deref())?),
                about: Vec::new(),
                pid: options.args.pid,
                is_own: false,
                is_temporary: false,
                has_model: false,
                _server: None,
                _model: None,
                _folder: None,
            }),
            None => Self::start(options),
        }
    }

    fn start(options: &Options) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let model = if options.names_model { None } else { Some(start_model(&program, options.args.model_latency)?) };
        let folder = tempfile::tempdir().context("cannot make a folder for the server's data")?;
        let mut command = Command::new(&program);
        for (name, value) in &options.server_flags {
            command.arg(format!("--{name}")).arg(value);
        }
        let has = |flag: &str| options.server_flags.iter().any(|(name, _)| *name == flag);
        if !has("port") {
            command.args(["--port", "0"]);
        }
        if !has("data-dir") {
            command.arg("--data-dir").arg(folder.path());
        }
        if !has("log") && std::env::var_os("POWERMEMO_LOG").is_none() {
            command.args(["--log", "warn"]);
        }
        for (name, value) in QUIET.iter().filter(|(name, _)| std::env::var_os(name).is_none()) {
            command.env(name, value);
        }
        let stores = [("DATABASE_URL", &options.args.database_url), ("REDIS_URL", &options.args.redis_url)];
        for (name, value) in stores.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            command.env_remove(format!("POWERMEMO_{name}")).env(name, value);
        }
        if let Some(model) = &model {
            command.env("POWERMEMO_LLM_BASE_URL", &model.url);
        }
        command.arg("serve");
        let server = Child::start(command, "the server to measure")?;
        let about = format!("server     {}, process {}", server.url, server.pid());
        let token = options.token.as_deref().or(options.server_token.as_deref());
        Ok(Self {
            target: Arc::new(Target::new(&server.url, token)?),
            about: std::iter::once(about).chain(server.greeting.iter().cloned()).collect(),
            pid: Some(server.pid()),
            is_own: true,
            is_temporary: !has("data-dir") && !options.uses_services,
            has_model: model.is_some(),
            _server: Some(server),
            _model: model,
            _folder: Some(folder),
        })
    }
}

fn start_model(program: &std::path::Path, latency: Duration) -> anyhow::Result<Child> {
    let mut command = Command::new(program);
    command.args(["mock-model", "--port", "0", "--latency", &format!("{}ms", latency.as_millis())]);
    Child::start(command, "the stand-in for a language model")
}
