use std::sync::Arc;

use memory::ports::Change;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::OnChange;
use super::inbox::{Inbox, Listener};
use super::outbox::{Carrier, Outbox};

/// Tells and hears changes until it is dropped.
pub(super) struct Feed {
    home: Handle,
    inbox: Arc<Inbox>,
    outbox: Arc<Outbox>,
    _tasks: JoinSet<()>,
}

impl Feed {
    /// Begins, on the runtime `home`.
    pub(super) fn start(home: &Handle, on_change: OnChange, carrier: impl Carrier, listener: impl Listener) -> Self {
        let me = Uuid::new_v4();
        let (inbox, outbox) = (Arc::new(Inbox::new(me, on_change)), Arc::new(Outbox::new(me)));
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&outbox);
        tasks.spawn_on(async move { shared.run(carrier).await }, home);
        let shared = Arc::clone(&inbox);
        tasks.spawn_on(async move { shared.run(listener).await }, home);
        Self { home: home.clone(), inbox, outbox, _tasks: tasks }
    }

    /// See [`memory::ports::ChangeFeed::announce`].
    pub(super) async fn announce(&self, change: &Change) {
        let (outbox, change) = (Arc::clone(&self.outbox), change.clone());
        // Waits on the home runtime, which has a timer. It breaks off only when that runtime ends.
        self.home.spawn(async move { outbox.tell(&change).await }).await.ok();
    }

    /// See [`memory::ports::ChangeFeed::is_live`].
    pub(super) fn is_live(&self) -> bool {
        self.inbox.is_live()
    }
}
