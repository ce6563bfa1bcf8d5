//! Where the journal is. Store and journal bear the same name, so that neither is used with a stranger.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Database;
use crate::journal::redis::RedisDatabase;
use crate::store::postgres::Presence;

/// The key of the store's own notes that says where the journal is.
pub(super) const JOURNAL: &str = "journal";
/// The key of the note that the journal is being moved, and where to. It stands from before the first step until after
/// the last.
pub(super) const MOVE: &str = "journal_move";

/// Stands for no place in a note.
const NOWHERE: &str = "";

/// Where the journal is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum JournalPlace {
    /// In the store's database.
    Store,
    /// In Redis.
    Redis,
}

impl JournalPlace {
    /// The name of the place in the store's notes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Redis => "redis",
        }
    }

    /// The place that a note of the store names; none when it names none.
    pub(super) fn of_note(noted: Option<String>) -> Result<Option<Self>, PlaceError> {
        let places = [Self::Store, Self::Redis];
        let known =
            |name: String| places.into_iter().find(|place| place.as_str() == name).ok_or(PlaceError::Unknown(name));
        noted.filter(|name| name != NOWHERE).map(known).transpose()
    }
}

impl fmt::Display for JournalPlace {
    /// What to call it, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Store => "the store",
            Self::Redis => "Redis",
        })
    }
}

/// Why store and journal cannot be used together. Each says what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PlaceError {
    /// The store's journal is in Redis, and none is configured.
    #[error(
        "the journal of this store is in Redis, and redis_url is not set: set it, or move the journal with \
         `powermemo journal move store` while redis_url still names that Redis"
    )]
    InRedis,
    /// The journal is in the store, and Redis is configured.
    #[error(
        "the journal of this store is in the store itself, and redis_url is set: stop all servers and run \
         `powermemo journal move redis`, or unset redis_url"
    )]
    InStore,
    /// A move was cut short.
    #[error("the journal is being moved, or a move was cut short: run `powermemo journal move {0}` to its end")]
    Moving(String),
    /// The journal is in Redis, and messages wait in the store's own.
    #[error(
        "the journal of this store is in Redis, and messages wait in the store's own journal: a server was started \
         without redis_url. Stop all servers and run `powermemo journal move redis`, which adds them to those in Redis"
    )]
    Stranded,
    /// The Redis has the journal of another store.
    #[error(
        "this Redis holds the journal of another store ({theirs}, and this store's is {ours}): check redis_url and \
         database_url, or set another redis_key_prefix"
    )]
    Stranger {
        /// The name in Redis.
        theirs: String,
        /// The name in the store.
        ours: String,
    },
    /// The store holds a note that this version does not know.
    #[error("the store says that its journal is in {0:?}, which this version does not know")]
    Unknown(String),
}

impl Database {
    pub(crate) async fn journal_id(&self) -> anyhow::Result<String> {
        Ok(match self {
            Self::Sqlite(database) => database.journal_id().await?,
            Self::Postgres(database) => database.journal_id().await?,
        })
    }

    /// Where the store says that its journal is; none when it was never used.
    pub(crate) async fn journal_place(&self) -> anyhow::Result<Option<JournalPlace>> {
        self.note(JOURNAL).await
    }

    /// Notes where the journal is.
    pub(crate) async fn set_journal_place(&self, place: JournalPlace) -> anyhow::Result<()> {
        self.set_note(JOURNAL, place.as_str()).await
    }

    /// Where the journal is being moved to, by a move that has not come to its end.
    pub(crate) async fn journal_move(&self) -> anyhow::Result<Option<JournalPlace>> {
        self.note(MOVE).await
    }

    /// Notes that a move begins, or that it has come to its end.
    pub(crate) async fn set_journal_move(&self, to: Option<JournalPlace>) -> anyhow::Result<()> {
        self.set_note(MOVE, to.map_or(NOWHERE, JournalPlace::as_str)).await
    }

    async fn note(&self, key: &'static str) -> anyhow::Result<Option<JournalPlace>> {
        let noted = match self {
            Self::Sqlite(database) => database.meta(key).await?,
            Self::Postgres(database) => database.meta(key).await?,
        };
        Ok(JournalPlace::of_note(noted)?)
    }

    async fn set_note(&self, key: &'static str, value: &'static str) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(database) => database.set_meta(key, value).await?,
            Self::Postgres(database) => database.set_meta(key, value).await?,
        }
        Ok(())
    }

    /// Notes where the journal is, unless that is noted already. Returns what is noted then: another process may have
    /// been faster.
    async fn claim_journal_place(&self, place: JournalPlace) -> anyhow::Result<Option<JournalPlace>> {
        match self {
            // The folder is ours alone.
            Self::Sqlite(_) if self.journal_place().await?.is_none() => self.set_journal_place(place).await?,
            Self::Sqlite(_) => {}
            Self::Postgres(database) => database.set_meta_once(JOURNAL, place.as_str()).await?,
        }
        self.journal_place().await
    }
}

/// Makes sure that store and journal belong together, and notes it in both when they are new to each other.
pub(super) async fn settle(
    database: &Database,
    redis: Option<&RedisDatabase>,
    presence: Option<&Presence>,
) -> anyhow::Result<()> {
    let place = if redis.is_some() { JournalPlace::Redis } else { JournalPlace::Store };
    if let Some(presence) = presence {
        presence.stand_on(JOURNAL, place.as_str());
    }
    if let Some(to) = database.journal_move().await? {
        return Err(PlaceError::Moving(to.as_str().to_owned()).into());
    }
    let Some(redis) = redis else {
        return match database.claim_journal_place(JournalPlace::Store).await? {
            Some(JournalPlace::Redis) => Err(PlaceError::InRedis.into()),
            _ => Ok(()),
        };
    };
    let ours = database.journal_id().await?;
    check_name(redis, &ours).await?;
    if database.journal_place().await?.is_none() {
        // Before the place is noted: whoever finds it noted, and no name there, takes the journal for lost.
        name(redis, &ours).await?;
    }
    if database.claim_journal_place(JournalPlace::Redis).await? != Some(JournalPlace::Redis) {
        return Err(PlaceError::InStore.into());
    }
    if !database.journal().owners(None, 1).await?.is_empty() {
        return Err(PlaceError::Stranded.into());
    }
    if redis.journal_id().await?.is_none() {
        tracing::error!("{LOST}. Going on with an empty journal");
    }
    name(redis, &ours).await
}

/// What is to be said when the journal is gone from Redis.
const LOST: &str = "THE JOURNAL WAS LOST: this Redis is empty, and the store's journal was in Redis. Messages that were \
    acknowledged and not yet processed are gone, unless redis_url names the wrong Redis";
/// How often a server looks whether the journal is still there.
const WATCH_PERIOD: Duration = Duration::from_secs(10);

/// Says so when the journal is lost while a server runs, and names the new one. Runs as long as its runtime.
pub(super) async fn watch(redis: Arc<RedisDatabase>, ours: String) {
    loop {
        sleep(WATCH_PERIOD).await;
        // While Redis is away there is nothing to be seen; others say so.
        let Ok(found) = redis.journal_id().await else { continue };
        match found {
            Some(theirs) if theirs == ours => {}
            Some(theirs) => {
                tracing::error!(
                    "this Redis holds the journal of another store now ({theirs}): check what was done to it"
                );
            }
            None => {
                tracing::error!("{LOST}. Going on with an empty journal");
                if let Err(error) = redis.set_journal_id(&ours).await {
                    tracing::warn!(%error, "the new journal could not be named; it is tried again");
                }
            }
        }
    }
}

/// Refuses a Redis that has another store's journal.
pub(crate) async fn check_name(redis: &RedisDatabase, ours: &str) -> anyhow::Result<()> {
    match redis.journal_id().await? {
        Some(theirs) if theirs != ours => Err(PlaceError::Stranger { theirs, ours: ours.to_owned() }.into()),
        _ => Ok(()),
    }
}

/// Gives the journal in Redis its name. Another process may have been faster, with the same name or with another.
pub(crate) async fn name(redis: &RedisDatabase, ours: &str) -> anyhow::Result<()> {
    redis.set_journal_id(ours).await?;
    check_name(redis, ours).await
}
