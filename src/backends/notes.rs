use std::path::Path;

use super::place::{JOURNAL, MOVE, PlaceError};
use super::{Database, JournalPlace};
use crate::store::sqlite::Glance;

/// What a store says of its journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Notes {
    /// The name that the journal bears.
    pub(crate) name: String,
    /// Where it is; none when it was never used.
    pub(crate) place: Option<JournalPlace>,
    /// Where it is being moved to, by a move that has not come to its end.
    pub(crate) moving: Option<JournalPlace>,
    /// Messages wait in the store's own database.
    pub(crate) holds_messages: bool,
}

impl Notes {
    /// Asks an open database whose tables are up to date.
    pub(crate) async fn of(database: &Database) -> anyhow::Result<Self> {
        Ok(Self {
            name: database.journal_id().await?,
            place: database.journal_place().await?,
            moving: database.journal_move().await?,
            holds_messages: !database.journal().owners(None, 1).await?.is_empty(),
        })
    }

    /// Looks at the embedded database in a folder, without a touch. None when there is none.
    pub(crate) async fn of_folder(folder: &Path) -> anyhow::Result<Option<Self>> {
        let Some(mut glance) = Glance::at(folder).await? else { return Ok(None) };
        let name = glance.meta("journal_id").await?.ok_or_else(|| PlaceError::Unknown(String::new()))?;
        let place = JournalPlace::of_note(glance.meta(JOURNAL).await?)?;
        let moving = JournalPlace::of_note(glance.meta(MOVE).await?)?;
        let holds_messages = glance.holds_messages().await?;
        glance.close().await;
        Ok(Some(Self { name, place, moving, holds_messages }))
    }
}
