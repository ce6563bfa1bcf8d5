//! Ctrl-C, SIGTERM and SIGHUP end a run in order: what was started is stopped before the program ends.

use std::thread;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::load::Stop;

/// From now on, tells when everything is to stop.
///
/// # Errors
/// When the system takes no handler.
pub(super) fn listen() -> anyhow::Result<Stop> {
    let (tell, stop) = watch::channel(false);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate, mut hang_up) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
            tell.send_replace(true);
            // Later ones change nothing: stopping takes seconds at most.
            std::future::pending::<()>().await;
        });
    })?;
    Ok(stop)
}
