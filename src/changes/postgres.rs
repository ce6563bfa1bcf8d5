//! Changes told by LISTEN and NOTIFY, on connections of their own.

use std::time::Duration;

use async_trait::async_trait;
use memory::ports::{Change, ChangeFeed};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection, query};
use tokio::time::timeout;

use super::OnChange;
use super::feed::Feed;
use super::inbox::{Inbox, Listener};
use super::outbox::Carrier;
use crate::store::postgres::PostgresDatabase;

/// The channel, one per database.
const CHANNEL: &str = "powermemo_changes";
/// How long the listener hears nothing before it asks whether the server is still there.
const SILENCE: Duration = Duration::from_secs(1);
/// How long the server has for an answer, or to let a connection in.
const PATIENCE: Duration = Duration::from_secs(1);

/// The feed of the processes that share a Postgres database. Dropped, it tells and hears nothing any more.
pub struct PostgresChanges(Feed);

impl PostgresChanges {
    /// Begins to tell and to listen. `on_change` is called with what other processes tell, and with
    /// [`Change::Everything`] whenever something may have been missed: each time the listener has connected.
    pub fn start(database: &PostgresDatabase, on_change: OnChange) -> Self {
        let url = database.connect_options();
        // What is told need not survive a crash of the server: its listeners are gone then.
        let notifier = Notifier { url: url.clone().options([("synchronous_commit", "off")]), conn: None };
        Self(Feed::start(database.home(), on_change, notifier, Ear { url }))
    }
}

#[async_trait]
impl ChangeFeed for PostgresChanges {
    async fn announce(&self, change: &Change) {
        self.0.announce(change).await;
    }

    fn is_live(&self) -> bool {
        self.0.is_live()
    }
}

/// Tells changes on a connection of its own.
struct Notifier {
    url: PgConnectOptions,
    conn: Option<PgConnection>,
}

#[async_trait]
impl Carrier for Notifier {
    async fn send(&mut self, messages: &[String]) -> Result<(), String> {
        // Out of its place while it works: one that is cut off or fails is closed.
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => patient(self.url.connect()).await?,
        };
        let sql = "SELECT pg_notify($1, message) FROM unnest($2::text[]) AS message";
        patient(query(sql).bind(CHANNEL).bind(messages).execute(&mut conn)).await?;
        self.conn = Some(conn);
        Ok(())
    }
}

async fn patient<T>(work: impl Future<Output = sqlx::Result<T>>) -> Result<T, String> {
    match timeout(PATIENCE, work).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("it did not answer in time".into()),
    }
}

/// Listens on a connection of its own.
struct Ear {
    url: PgConnectOptions,
}

#[async_trait]
impl Listener for Ear {
    async fn listen(&mut self, inbox: &Inbox) -> String {
        match connect(&self.url).await {
            Ok(listener) => {
                inbox.connected();
                hear(listener, inbox).await
            }
            Err(reason) => reason,
        }
    }
}

async fn connect(url: &PgConnectOptions) -> Result<PgListener, String> {
    // A pool of its own each time: a listener gives a broken connection back, and would wait for it again.
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(PATIENCE).max_lifetime(None).idle_timeout(None);
    let pool = pool.connect_lazy_with(url.clone());
    let mut listener = patient(PgListener::connect_with(&pool)).await?;
    // A lost connection is to be told, not mended.
    listener.eager_reconnect(false);
    patient(listener.listen(CHANNEL)).await?;
    Ok(listener)
}

/// Hands on messages until the connection breaks, and says why it did.
async fn hear(mut listener: PgListener, inbox: &Inbox) -> String {
    loop {
        match timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(message))) => inbox.take(message.payload()),
            Ok(Ok(None)) => return "the connection was closed".into(),
            Ok(Err(error)) => return error.to_string(),
            Err(_) => {
                if let Err(reason) = patient(query("SELECT 1").execute(&mut listener)).await {
                    return reason;
                }
            }
        }
    }
}
