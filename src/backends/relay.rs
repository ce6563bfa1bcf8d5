use std::sync::Arc;

use actors::{Doubt, Engine};
use memory::ports::Change;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::changes::OnChange;

/// Changes that may wait to be taken in. When there are more, everything is doubted.
const CAPACITY: usize = 10_000;

/// Carries what other processes tell from their feed to the engine, which is started after it.
pub struct Relay {
    sender: Sender<Change>,
    receiver: Receiver<Change>,
    doubt: Doubt,
}

impl Relay {
    pub(super) fn new() -> Self {
        let (sender, receiver) = channel(CAPACITY);
        Self { sender, receiver, doubt: Doubt::default() }
    }

    /// What the engine is to work with: raised here at once, before the feed that called goes on.
    pub fn doubt(&self) -> Doubt {
        self.doubt.clone()
    }

    /// What a feed is to call.
    pub(super) fn on_change(&self) -> OnChange {
        let (sender, doubt) = (self.sender.clone(), self.doubt.clone());
        Arc::new(move |change| {
            if change == Change::Everything || sender.try_send(change).is_err() {
                doubt.raise();
            }
        })
    }

    /// Takes everything in from now on, for as long as the runtime lives.
    pub fn start(self, engine: Engine, runtime: &Handle) {
        let Self { mut receiver, .. } = self;
        runtime.spawn(async move {
            while let Some(change) = receiver.recv().await {
                engine.heard(&change).await;
            }
        });
    }
}
