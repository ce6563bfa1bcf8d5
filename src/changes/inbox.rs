use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use memory::ports::Change;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{OnChange, message, pauses};

/// Who was heard for less did not recover: the pauses go on growing.
const LIVED: Duration = Duration::from_secs(5);

/// Hears the other processes.
#[async_trait]
pub(super) trait Listener: Send + 'static {
    /// Connects, calls [`Inbox::connected`], and hands over messages with [`Inbox::take`] until the connection breaks.
    /// It notices that within a few seconds. Returns why it ended, for the log.
    async fn listen(&mut self, inbox: &Inbox) -> String;
}

/// Hands on what other processes tell, and knows whether they are heard.
pub(super) struct Inbox {
    me: Uuid,
    on_change: OnChange,
    live: AtomicBool,
}

impl Inbox {
    /// Nobody is heard yet. `me` is the random id of this process, whose own messages are left out.
    pub(super) fn new(me: Uuid, on_change: OnChange) -> Self {
        Self { me, on_change, live: AtomicBool::new(false) }
    }

    /// Listens for ever, on one connection after the other.
    pub(super) async fn run(&self, mut listener: impl Listener) {
        let _deaf = DeafAtTheEnd(self);
        let (mut waits, mut told) = (pauses(), false);
        loop {
            let began = Instant::now();
            let reason = listener.listen(self).await;
            if self.lost() {
                told = false;
                if began.elapsed() >= LIVED {
                    waits = pauses();
                }
            }
            if std::mem::replace(&mut told, true) {
                tracing::debug!(%reason, "changes of other processes cannot be heard yet");
            } else {
                tracing::warn!(%reason, "changes of other processes may be missed");
            }
            if let Some(wait) = waits.next() {
                sleep(wait).await;
            }
        }
    }

    /// A message came.
    pub(super) fn take(&self, text: &str) {
        if let Some(change) = message::decode(text, self.me) {
            (self.on_change)(change);
        }
    }

    /// From now on all messages will come. Those before may be missing.
    pub(super) fn connected(&self) {
        // Whoever finds it live must find nothing that was kept before.
        (self.on_change)(Change::Everything);
        self.live.store(true, Ordering::Release);
        tracing::info!("changes of other processes are heard");
    }

    pub(super) fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    /// Messages may be missing from now on. True when they were not until now.
    fn lost(&self) -> bool {
        self.live.swap(false, Ordering::AcqRel)
    }
}

/// However listening ends, by a panic too, nobody is heard any more.
struct DeafAtTheEnd<'a>(&'a Inbox);

impl Drop for DeafAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.lost();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use memory::ids::{ProjectId, UserId, UserKey};
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;

    /// Does as the test says.
    enum Order {
        Connect,
        Take(String),
        Break,
        Panic,
    }

    struct Ordered(mpsc::UnboundedReceiver<Order>);

    #[async_trait]
    impl Listener for Ordered {
        async fn listen(&mut self, inbox: &Inbox) -> String {
            loop {
                match self.0.recv().await {
                    Some(Order::Connect) => inbox.connected(),
                    Some(Order::Take(text)) => inbox.take(&text),
                    Some(Order::Break) => return "ordered".into(),
                    Some(Order::Panic) | None => panic!("ordered"),
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_live_while_somebody_is_heard() {
        let (me, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (heard, orders) = (Arc::new(Mutex::new(Vec::new())), mpsc::unbounded_channel());
        let hear = Arc::clone(&heard);
        let inbox = Arc::new(Inbox::new(me, Arc::new(move |change| hear.lock().unwrap().push(change))));
        let (shared, listener) = (Arc::clone(&inbox), Ordered(orders.1));
        let running = tokio::spawn(async move { shared.run(listener).await });
        let becomes = async |live| {
            let look = async {
                while inbox.is_live() != live {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(Duration::from_secs(60), look).await.expect("it becomes so");
        };
        let order = |order| orders.0.send(order).unwrap();
        assert!(!inbox.is_live());
        // It cannot connect at first.
        order(Order::Break);
        order(Order::Connect);
        becomes(true).await;
        let memory = Change::Memory(UserKey { project: ProjectId::from("p"), user: UserId(Uuid::nil()) });
        order(Order::Take(message::encode(me, &Change::Everything)));
        order(Order::Take(message::encode(other, &memory)));
        order(Order::Break);
        becomes(false).await;
        order(Order::Connect);
        becomes(true).await;
        order(Order::Panic);
        becomes(false).await;
        assert!(running.await.unwrap_err().is_panic());
        assert_eq!(*heard.lock().unwrap(), [Change::Everything, memory, Change::Everything]);
    }
}
