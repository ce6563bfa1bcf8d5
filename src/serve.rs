//! Puts the parts together and runs them: opens the store, starts the actors, serves, and stops all of it in order.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix::{Arbiter, System};
use actors::{Embeddings, Engine, EngineSettings, Ports, RateSettings};
use anyhow::Context;
use memory::buffer::BufferLimits;
use memory::flush::FlushSettings;
use memory::ids::{ProjectId, SystemIds};
use memory::ports::{Advisor, LanguageModel, SystemClock, TokenCounter};
use memory::rules::{RuleExtractor, WEAKNESS};
use secrecy::ExposeSecret;
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{SignalKind, signal};

use crate::backends::{self, Backends, Database, JournalPlace};
use crate::config::Config;
use crate::embedding::embedder;
use crate::http::{self, AccessToken};
use crate::llm::{Endpoint, EndpointSettings, ModelNames, OpenAiAdvisor, OpenAiModel};
use crate::tokens::Tokeniser;

/// Blobs of one batch at most: a batch is one transaction.
const MAX_BATCH_BLOBS: u32 = 1_000;
/// How much longer than the engine the HTTP server lives: whoever waited is told in this time.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// Where the model is when only a key is set.
pub(crate) const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";
/// Threads of the runtime that owns pools and clients.
const IO_THREADS: usize = 2;

/// Serves the API until SIGTERM or Ctrl-C, and stops in order; a second signal stops at once.
///
/// # Errors
/// When the address, the data folder or the configuration cannot be used.
pub fn serve(config: &Config) -> anyhow::Result<()> {
    let io = Builder::new_multi_thread().worker_threads(IO_THREADS).thread_name("io").enable_all().build()?;
    let listener = listen(config)?;
    let backends = io.block_on(Backends::open(config))?;
    let close = backends.close();
    let workers = Builder::new_multi_thread().thread_name("flush").enable_all().build()?;
    let threads = (io.handle().clone(), workers.handle().clone());
    let served = System::new().block_on(run(config, listener, backends, threads));
    served.and(io.block_on(close))
}

/// Brings the database up to date and says where it is.
///
/// # Errors
/// When the data folder cannot be used.
pub fn migrate(config: &Config) -> anyhow::Result<()> {
    let io = Builder::new_multi_thread().worker_threads(IO_THREADS).enable_all().build()?;
    io.block_on(async {
        let database = Database::open(config).await?;
        println!("the database is up to date: {}", database.target(config));
        database.close().await
    })
}

/// Moves the journal, and says what was moved.
///
/// # Errors
/// See [`backends::move_journal`].
pub fn move_journal(config: &Config, to: JournalPlace, abandon: bool) -> anyhow::Result<()> {
    let io = Builder::new_multi_thread().worker_threads(IO_THREADS).enable_all().build()?;
    println!("{}", io.block_on(backends::move_journal(config, to, abandon))?);
    Ok(())
}

fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    TcpListener::bind((config.host.as_str(), config.port)).with_context(|| {
        let (host, port) = (&config.host, config.port);
        format!("cannot listen on {host}:{port}; choose another address with --host and --port, or stop what uses it")
    })
}

async fn run(
    config: &Config,
    listener: TcpListener,
    backends: Backends,
    (io, workers): (Handle, Handle),
) -> anyhow::Result<()> {
    let clock = Arc::new(SystemClock);
    let counter: Arc<dyn TokenCounter> = Arc::new(Tokeniser::start());
    let (model, advisor) = model(config, &counter, &io)?;
    // What cannot be called must not start.
    let embedder = embedder(config, counter.clone(), &io)?;
    let vectors = backends.database.vectors();
    let ports = Ports {
        store: backends.store.clone(),
        projects: backends.projects.clone(),
        journal: backends.journal.clone(),
        changes: backends.changes.clone(),
        doubt: backends.relay.doubt(),
        model: model.clone(),
        advisor,
        embeddings: embedder.map(|embedder| Embeddings::new(embedder, vectors)),
        counter,
        clock,
        ids: Arc::new(SystemIds),
    };
    let actors = Arbiter::new();
    let settings = EngineSettings { cache_trust: backends.cache_trust, ..engine_settings(config, &*model) };
    let engine = Engine::start(ports, settings, io.clone(), workers, vec![actors.handle()]);
    let expelled = backends.expelled();
    backends.relay.start(engine.clone(), &io);
    if let Err(error) = engine.learn().await {
        tracing::warn!(%error, "nothing is known of the default project yet; its quota holds from its first flush on");
    }
    let address = listener.local_addr()?;
    let server = http::serve(listener, engine.clone(), http_settings(config)?, config.shutdown_timeout + LAST_ANSWERS)?;
    let handle = server.handle();
    let mut server = std::pin::pin!(server);
    // Before anybody knows of the server, and may ask it to stop.
    let stop = stop_signal()?;
    greet(config, address, &backends.places);
    let mut done = Ok(());
    tokio::select! {
        ended = &mut server => ended?,
        () = expelled => {
            // At once: what is acknowledged from now on might be stored where nobody looks.
            tokio::join!(engine.shutdown(), handle.stop(false), async { (&mut server).await.unwrap_or(()) });
            done = Err(anyhow::anyhow!("the journal was moved while this server was cut off; start it again"));
        }
        name = stop => {
            tracing::info!("{name}: stopping; buffers stay where they are, flushes under way are finished");
            die_on_the_next_signal()?;
            // The engine first: requests that wait for a flush are answered, and then the server has nothing left.
            tokio::join!(engine.shutdown(), handle.stop(true), async { (&mut server).await.unwrap_or(()) });
        }
    }
    actors.stop();
    tracing::info!("stopped");
    done
}

/// Who extracts memories, and who advises reads, if anybody does.
type Models = (Arc<dyn LanguageModel>, Option<Arc<dyn Advisor>>);

fn model(config: &Config, counter: &Arc<dyn TokenCounter>, io: &Handle) -> anyhow::Result<Models> {
    if !config.uses_model() {
        return Ok((Arc::new(RuleExtractor::new(counter.clone())), None));
    }
    let endpoint = Endpoint::new(&endpoint_settings(config), Arc::new(SystemClock), counter.clone())?;
    let best = config.best_llm_model.clone();
    let thinking = config.thinking_llm_model.clone().unwrap_or_else(|| best.clone());
    let model = OpenAiModel::new(endpoint, ModelNames { best, thinking }, counter.clone(), io.clone())?;
    let model = Arc::new(model);
    let advisor = OpenAiAdvisor::new(model.clone());
    Ok((model, Some(Arc::new(advisor))))
}

fn endpoint_settings(config: &Config) -> EndpointSettings {
    EndpointSettings {
        base_url: config.llm_base_url.clone().unwrap_or_else(|| OPENAI_BASE_URL.to_owned()),
        api_key: config.llm_api_key.clone(),
        query: config.llm_openai_default_query.clone(),
        headers: config.llm_openai_default_header.clone(),
        timeout: config.llm_timeout,
        connect_timeout: config.llm_connect_timeout,
        max_retries: config.llm_max_retries,
        max_parallel_calls: config.llm_max_parallel_calls,
        requests_per_minute: NonZeroU32::new(config.llm_requests_per_minute),
        tokens_per_minute: NonZeroU32::new(config.llm_tokens_per_minute),
        max_completion_tokens: Some(config.llm_max_completion_tokens).filter(|tokens| *tokens > 0),
        temperature: Some(config.llm_temperature).filter(|degrees| *degrees >= 0.0),
        breaker_failures: config.llm_breaker_failures,
        breaker_pause: config.llm_breaker_pause,
    }
}

/// Waits for a signal that asks the process to stop, and names it.
fn stop_signal() -> std::io::Result<impl Future<Output = &'static str>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "interrupt",
        }
    })
}

/// Whoever asks twice does not want to wait. Nothing is lost: the journal holds what was acknowledged.
fn die_on_the_next_signal() -> std::io::Result<()> {
    let again = stop_signal()?;
    actix::spawn(async move {
        again.await;
        tracing::warn!("stopping at once; what was cut short goes on at the next start");
        std::process::exit(1);
    });
    Ok(())
}

fn engine_settings(config: &Config, model: &dyn LanguageModel) -> EngineSettings {
    let flush = FlushSettings {
        lease: config.flush_lease,
        max_tokens: config.max_chat_blob_buffer_process_token_size,
        max_blobs: MAX_BATCH_BLOBS,
        max_attempts: config.flush_max_attempts,
        backoff_min: config.flush_backoff_min,
        backoff_max: config.flush_backoff_max,
        keep_chats: config.persistent_chat_blobs,
        record_answers: !model.is_immediate(),
        quote_tokens: if model.is_immediate() { u32::MAX } else { config.llm_profile_tokens },
        policy: Arc::new(config.policy()),
    };
    EngineSettings {
        default_project: ProjectId::from(config.project_id.as_str()),
        buffer: BufferLimits {
            flush_tokens: u64::from(config.max_chat_blob_buffer_token_size),
            max_blobs: u64::from(config.max_buffered_blobs_per_user),
            max_waiters: config.max_waiting_per_user,
        },
        flush: Arc::new(flush),
        flush_interval: config.buffer_flush_interval,
        flush_workers: config.flush_workers,
        flush_wait_timeout: config.flush_wait_timeout,
        max_active_users: config.max_active_users,
        actor_idle: config.actor_idle,
        sweep_interval: config.sweep_interval,
        token_quota: config.token_quota(),
        rates: RateSettings {
            requests: NonZeroU32::new(config.project_requests_per_minute),
            tokens: NonZeroU32::new(config.project_tokens_per_minute),
        },
        max_inflight_inserts: config.max_inflight_inserts,
        search_max_gists: u32::try_from(config.search_max_gists).unwrap_or(u32::MAX),
        filter_by_model: config.profile_filter == crate::config::ProfileFilterBy::Model,
        cache_trust: Duration::MAX,
        cache_bytes: config.cache_bytes,
        search_cache_bytes: config.search_cache_bytes,
        applied_blobs_retention: config.applied_blobs_retention(),
        shutdown_timeout: config.shutdown_timeout,
    }
}

fn http_settings(config: &Config) -> anyhow::Result<http::Settings> {
    let token = config.access_token.as_ref().map(|token| AccessToken::new(token.expose_secret())).transpose()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(http::Settings {
        project: ProjectId::from(config.project_id.as_str()),
        access_token: token,
        max_body_bytes: config.max_body_bytes,
        cors_origins: config.cors_origins.clone(),
        workers: if config.http_workers == 0 { cores } else { config.http_workers },
    })
}

/// Tells a newcomer where everything is, and what to try.
fn greet(config: &Config, address: SocketAddr, [data, journal]: &[String; 2]) {
    let url = format!("http://{address}");
    let access = match config.access_token {
        Some(_) => "requests need the header Authorization: Bearer <ACCESS_TOKEN>",
        None => "no token needed, reachable from this machine only; set ACCESS_TOKEN to change that",
    };
    let extractor = if config.uses_model() {
        let url = config.llm_base_url.as_deref().unwrap_or(OPENAI_BASE_URL);
        format!("the language model {} at {url}", config.best_llm_model)
    } else {
        format!("rules, built in: {WEAKNESS}")
    };
    let token = if config.access_token.is_some() { " -H \"Authorization: Bearer $ACCESS_TOKEN\"" } else { "" };
    println!(
        "Powermemo {version} listens on {url}
  access     {access}
  data       {data}
  journal    {journal}
  extractor  {extractor}

Try it:
  curl {url}/api/v1/healthcheck
  USER_ID=$(curl -s{token}{json} {url}/api/v1/users -d '{{\"data\":{{}}}}' | grep -oE '[0-9a-f-]{{36}}')
  curl{token}{json} {url}/api/v1/blobs/insert/$USER_ID -d '{{\"blob_type\":\"chat\",\"blob_data\":{{\"messages\":[
    {{\"role\":\"user\",\"content\":\"My name is Ada and I live in Turin. Yesterday I adopted a puppy named Miso.\"}}]}}}}'
  curl{token} -X POST \"{url}/api/v1/users/buffer/$USER_ID/chat?wait_process=true\"
  curl{token} {url}/api/v1/users/context/$USER_ID
",
        version = env!("CARGO_PKG_VERSION"),
        json = " -H 'Content-Type: application/json'",
    );
}
