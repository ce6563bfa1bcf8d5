//! A stand-in for a language model: an OpenAI-compatible server that answers at once, for nothing, and always the
//! same. For tests, for benches, and for whoever has no key.
//!
//! [`answer`] makes the content of an answer; `routes` speaks HTTP; [`Faults`] says what goes wrong, since a real
//! provider is slow, fails and talks nonsense at times.

mod contract;
mod faults;
mod reply;
mod routes;
mod schema;
mod usage;
mod vector;

use std::io::Write as _;
use std::net::TcpListener;

use actix_web::{App, HttpServer, rt, web};
use anyhow::Context as _;

pub use contract::answer;
pub use faults::Faults;
pub(crate) use faults::read_latency;

use routes::MockModel;

/// Threads that serve requests.
const WORKERS: usize = 2;
/// Calls under way have so long to end when it stops, in seconds. Those that hang never would.
const SHUTDOWN_SECONDS: u64 = 1;

/// Where to listen, and what goes wrong.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// Address to listen on.
    pub host: String,
    /// TCP port; 0 takes any free one.
    pub port: u16,
    /// What goes wrong.
    pub faults: Faults,
}

/// Serves until SIGTERM or Ctrl-C. The first line on standard output ends with the base address.
///
/// # Errors
/// When the address cannot be used.
pub fn serve(options: Options) -> anyhow::Result<()> {
    let Options { host, port, faults } = options;
    let listener = TcpListener::bind((host.as_str(), port)).with_context(|| {
        format!("cannot listen on {host}:{port}; choose another address with --host and --port, or stop what uses it")
    })?;
    let address = listener.local_addr()?;
    let model = web::Data::new(MockModel::new(faults));
    let server = HttpServer::new(move || App::new().app_data(model.clone()).configure(routes::configure))
        .workers(WORKERS)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .listen(listener)?;
    rt::System::new().block_on(async {
        let server = server.run();
        greet(&format!("http://{address}"))?;
        Ok(server.await?)
    })
}

/// Tells where it is and how it is used. Whoever started it may read the first line alone and close the pipe.
fn greet(url: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "mock-model listens on {url}/v1")?;
    out.flush()?;
    let _ = writeln!(
        out,
        "  stands in for a language model: each chat line is remembered as it is; in a line,
  FACT topic/sub_topic=memo sets a profile slot and FORGET topic/sub_topic removes one

Use it:
  POWERMEMO_LLM_BASE_URL={url}/v1 powermemo
  curl {url}/stats"
    );
    Ok(())
}
