//! The change feed over a channel of Redis, `<prefix>:changes`.
//!
//! Redis forgets a message that nobody hears, so whoever has not been listening takes it that everything has changed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use memory::ports::{Change, ChangeFeed, JournalError};
use redis::aio::{PubSubSink, PubSubStream};
use redis::{RedisResult, Value};
use tokio::time::{sleep, timeout};

use super::OnChange;
use super::feed::Feed;
use super::inbox::{Inbox, Listener};
use super::outbox::Carrier;
use crate::journal::redis::RedisDatabase;

/// How long Redis has to take a batch of messages.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the subscription is asked for a sign of life, and how long it may take.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// The change feed over Redis. See the module. Dropped, it tells and hears nothing any more.
pub struct RedisChanges(Feed);

impl RedisChanges {
    /// Subscribes, in the background. `on_change` is called with each change of another process, and with
    /// [`Change::Everything`] whenever the subscription was made, the first time included.
    pub fn start(database: &Arc<RedisDatabase>, on_change: OnChange) -> Self {
        let channel = format!("{}:changes", database.prefix());
        let publisher = Publisher { database: Arc::clone(database), channel: channel.clone() };
        let ear = Ear { database: Arc::clone(database), channel };
        Self(Feed::start(database.home(), on_change, publisher, ear))
    }
}

#[async_trait]
impl ChangeFeed for RedisChanges {
    async fn announce(&self, change: &Change) {
        self.0.announce(change).await;
    }

    fn is_live(&self) -> bool {
        self.0.is_live()
    }
}

/// Tells changes on the connection that the journal uses.
struct Publisher {
    database: Arc<RedisDatabase>,
    channel: String,
}

#[async_trait]
impl Carrier for Publisher {
    async fn send(&mut self, messages: &[String]) -> Result<(), String> {
        self.database.publish(PUBLISH_TIMEOUT, &self.channel, messages).await.map_err(|error| match error {
            JournalError::Unavailable(reason) => reason,
            other => other.to_string(),
        })
    }
}

/// Listens on a connection of its own.
struct Ear {
    database: Arc<RedisDatabase>,
    channel: String,
}

#[async_trait]
impl Listener for Ear {
    async fn listen(&mut self, inbox: &Inbox) -> String {
        let reason = match self.subscribe().await {
            Ok((sink, stream)) => {
                inbox.connected();
                tokio::select! {
                    () = hear(stream, inbox) => "the subscription was closed".into(),
                    reason = beat(sink) => reason,
                }
            }
            Err(error) => error.to_string(),
        };
        if self.database.is_closed() {
            // So it should end. The runtime is about to.
            std::future::pending::<()>().await;
        }
        reason
    }
}

impl Ear {
    async fn subscribe(&self) -> RedisResult<(PubSubSink, PubSubStream)> {
        let (mut sink, stream) = self.database.pubsub().await?.split();
        let subscribed = timeout(PING_TIMEOUT, sink.subscribe(&self.channel)).await;
        subscribed.unwrap_or_else(|_| Err((redis::ErrorKind::Io, "no answer in time").into()))?;
        Ok((sink, stream))
    }
}

/// Hands on messages until the subscription ends.
async fn hear(mut stream: PubSubStream, inbox: &Inbox) {
    while let Some(message) = stream.next().await {
        inbox.take(&String::from_utf8_lossy(message.get_payload_bytes()));
    }
}

/// Returns when the subscription gives no sign of life, and says how.
async fn beat(mut sink: PubSubSink) -> String {
    loop {
        sleep(PING_INTERVAL).await;
        match timeout(PING_TIMEOUT, sink.ping::<Value>()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return "no answer in time".into(),
        }
    }
}
