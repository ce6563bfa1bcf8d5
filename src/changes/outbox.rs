use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use memory::ports::Change;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{message, pauses};

/// Changes that wait at most; when there are more, they become [`Change::Everything`].
const MAX_WAITING: usize = 10_000;
/// How long a change may hold up the answer to whoever made it.
const PATIENCE: Duration = Duration::from_millis(200);
/// Messages that are sent at once.
const BATCH: usize = 500;

/// Sends messages to the other processes.
#[async_trait]
pub(super) trait Carrier: Send + 'static {
    /// Sends at most 500 messages. Returns within a few seconds; what is repeated does no harm.
    ///
    /// # Errors
    /// Why that failed, for the log. Some of them may be on their way.
    async fn send(&mut self, messages: &[String]) -> Result<(), String>;
}

/// Keeps what is to be told until it is on its way. Equal changes are kept once.
pub(super) struct Outbox {
    me: Uuid,
    state: Mutex<State>,
    wake: Notify,
    /// How many of all changes that were ever given are on their way.
    sent: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    waiting: BTreeSet<String>,
    /// Changes that were given so far.
    given: u64,
    /// The last attempt to send failed.
    down: bool,
}

impl Outbox {
    /// Nothing waits yet. `me` is the random id of this process.
    pub(super) fn new(me: Uuid) -> Self {
        Self { me, state: Mutex::default(), wake: Notify::new(), sent: watch::Sender::new(0) }
    }

    /// Takes a change in, and waits a little for it to be on its way; not when sending is known to fail. To be called
    /// on a runtime with a timer.
    pub(super) async fn tell(&self, change: &Change) {
        let mut sent = self.sent.subscribe();
        let number = {
            let mut state = self.state();
            state.add([message::encode(self.me, change)], self.me);
            state.given += 1;
            if state.down {
                return;
            }
            state.given
        };
        self.wake.notify_one();
        timeout(PATIENCE, sent.wait_for(|sent| *sent >= number)).await.ok();
    }

    /// Sends what waits, for ever.
    pub(super) async fn run(&self, mut carrier: impl Carrier) {
        let mut waits = pauses();
        loop {
            let (messages, number) = {
                let mut state = self.state();
                (std::mem::take(&mut state.waiting), state.given)
            };
            if messages.is_empty() {
                self.wake.notified().await;
                continue;
            }
            let mut messages: Vec<String> = messages.into_iter().collect();
            match send(&mut carrier, &mut messages).await {
                Ok(()) => {
                    if std::mem::take(&mut self.state().down) {
                        tracing::info!("changes are told again");
                    }
                    waits = pauses();
                    self.sent.send_replace(number);
                }
                Err(reason) => {
                    let was_down = {
                        let mut state = self.state();
                        state.add(messages, self.me);
                        std::mem::replace(&mut state.down, true)
                    };
                    if !was_down {
                        tracing::warn!(%reason, "changes cannot be told to other processes now");
                    }
                    if let Some(wait) = waits.next() {
                        sleep(wait).await;
                    }
                }
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends messages batch by batch, and leaves those that are not on their way.
async fn send(carrier: &mut impl Carrier, messages: &mut Vec<String>) -> Result<(), String> {
    while !messages.is_empty() {
        let sent = messages.len().min(BATCH);
        carrier.send(&messages[..sent]).await?;
        messages.drain(..sent);
    }
    Ok(())
}

impl State {
    fn add(&mut self, messages: impl IntoIterator<Item = String>, me: Uuid) {
        self.waiting.extend(messages);
        if self.waiting.len() > MAX_WAITING {
            self.waiting = BTreeSet::from([message::encode(me, &Change::Everything)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use memory::ids::{ProjectId, UserId, UserKey};
    use tokio::sync::mpsc;

    use super::*;

    /// Hands each batch to the test, which says how it ends.
    struct Ordered(mpsc::UnboundedSender<(Vec<String>, tokio::sync::oneshot::Sender<bool>)>);

    #[async_trait]
    impl Carrier for Ordered {
        async fn send(&mut self, messages: &[String]) -> Result<(), String> {
            let (end, ends) = tokio::sync::oneshot::channel();
            self.0.send((messages.to_vec(), end)).unwrap();
            if ends.await.unwrap() { Ok(()) } else { Err("ordered".into()) }
        }
    }

    fn memory(user: u128) -> Change {
        Change::Memory(UserKey { project: ProjectId::from("p"), user: UserId(Uuid::from_u128(user)) })
    }

    fn seen(messages: &[String]) -> Vec<Change> {
        messages.iter().map(|text| message::decode(text, Uuid::nil()).unwrap()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_sent_again_with_what_came_since() {
        let outbox = Arc::new(Outbox::new(Uuid::from_u128(9)));
        let (sender, mut batches) = mpsc::unbounded_channel();
        let shared = Arc::clone(&outbox);
        let running = tokio::spawn(async move { shared.run(Ordered(sender)).await });
        let shared = Arc::clone(&outbox);
        let told = tokio::spawn(async move { shared.tell(&memory(1)).await });
        let (messages, end) = batches.recv().await.unwrap();
        assert_eq!(seen(&messages), [memory(1)]);
        assert!(!told.is_finished(), "it waits for the end");
        end.send(false).unwrap();
        while !outbox.state().down {
            tokio::task::yield_now().await;
        }
        for user in [2, 1] {
            outbox.tell(&memory(user)).await;
        }
        let (messages, end) = batches.recv().await.unwrap();
        assert_eq!(seen(&messages), [memory(1), memory(2)]);
        end.send(true).unwrap();
        told.await.unwrap();
        // It waits for its own batch again.
        let shared = Arc::clone(&outbox);
        while outbox.state().down {
            tokio::task::yield_now().await;
        }
        let told = tokio::spawn(async move { shared.tell(&memory(3)).await });
        let (messages, end) = batches.recv().await.unwrap();
        assert_eq!(seen(&messages), [memory(3)]);
        assert!(!told.is_finished());
        end.send(true).unwrap();
        told.await.unwrap();
        running.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn many_are_sent_in_batches_and_none_is_forgotten() {
        let outbox = Arc::new(Outbox::new(Uuid::from_u128(9)));
        outbox.state().down = true;
        for user in 0..=BATCH {
            outbox.tell(&memory(user as u128)).await;
        }
        let (sender, mut batches) = mpsc::unbounded_channel();
        let shared = Arc::clone(&outbox);
        let running = tokio::spawn(async move { shared.run(Ordered(sender)).await });
        let mut sizes = Vec::new();
        for goes_well in [true, false, true] {
            let (messages, end) = batches.recv().await.unwrap();
            sizes.push(messages.len());
            end.send(goes_well).unwrap();
        }
        assert_eq!(sizes, [BATCH, 1, 1], "what went well is not repeated");
        while outbox.state().down {
            tokio::task::yield_now().await;
        }
        assert!(outbox.state().waiting.is_empty());
        running.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn too_much_becomes_everything() {
        let outbox = Outbox::new(Uuid::from_u128(9));
        outbox.state().down = true;
        for user in 0..=MAX_WAITING {
            outbox.tell(&memory(user as u128)).await;
        }
        let waiting: Vec<String> = outbox.state().waiting.iter().cloned().collect();
        assert_eq!(seen(&waiting), [Change::Everything]);
    }
}
