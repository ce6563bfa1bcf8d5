//! Where the rows of users arrive: they are checked, gathered, and handed over to store and journal.

use std::collections::HashSet;
use std::mem::take;

use actors::crash_point::crash_point;
use anyhow::Context as _;
use jiff::Timestamp;
use memory::blob::NewBlob;
use memory::ids::{IdSource as _, Incarnation, Owner, ProjectId, SystemIds, UserId, UserKey};
use memory::ports::{Adoption, Change, JournalError, Legacy, StoredBlob};
use uuid::Uuid;

use super::convert::{self, Reason};
use super::report::{Kind, Report};
use super::source::{BlobRow, EventRow, SlotRow, UserRow};
use crate::backends::Backends;
use crate::config::Config;
use crate::tokens::Tokeniser;

/// Rows of a user that are handed over at a time: one transaction.
const MAX_ROWS: usize = 200;
/// Their bytes, about, from which on they are handed over.
const MAX_BYTES: usize = 4 << 20;

const OF_A_PROJECT: Reason = "the project cannot be moved";
const OF_A_USER: Reason = "the user cannot be moved";
const OF_AN_EVENT: Reason = "the event cannot be moved";

/// What becomes of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Fate {
    /// Nothing was handed over yet.
    Open,
    /// It lives here. The second says that it is new.
    Lives(Owner, bool),
    /// It was deleted here, or its project was.
    Deleted,
    /// It cannot be here.
    Refused,
}

/// Where the users of a project go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Destination {
    /// To this project.
    Project(ProjectId),
    /// Nowhere: it was deleted here.
    Deleted,
    /// Nowhere: it cannot be here.
    Refused,
}

/// A user who is being moved, and what was read of it and is not handed over yet.
pub(super) struct Heir {
    key: UserKey,
    legacy: Legacy,
    rows: usize,
    bytes: usize,
    fate: Fate,
}

impl Heir {
    fn add(&mut self, rows: usize, bytes: usize) {
        self.rows += rows;
        self.bytes += bytes;
    }

    fn is_full(&self) -> bool {
        self.rows >= MAX_ROWS || self.bytes >= MAX_BYTES
    }

    /// What is to be handed over now.
    fn part(&mut self) -> Legacy {
        (self.rows, self.bytes) = (0, 0);
        let Legacy { data, created_at, updated_at, slots, events, blobs } = &mut self.legacy;
        Legacy {
            data: data.clone(),
            created_at: *created_at,
            updated_at: *updated_at,
            slots: take(slots),
            events: take(events),
            blobs: take(blobs),
        }
    }
}

/// Takes rows in.
pub(super) struct Desk<'c> {
    pub(super) config: &'c Config,
    /// None for a rehearsal.
    pub(super) target: Option<&'c Backends>,
    pub(super) report: Report,
    counter: Tokeniser,
}

impl<'c> Desk<'c> {
    /// A desk that hands over to `target`, or only counts.
    pub(super) fn new(config: &'c Config, target: Option<&'c Backends>) -> Self {
        Self { config, target, report: Report::new(target.is_none()), counter: Tokeniser::start() }
    }

    /// Begins with a user.
    pub(super) fn user(&mut self, destination: &Destination, row: &UserRow) -> Heir {
        let (project, legacy, fate) = match destination {
            Destination::Project(id) => match convert::user(row, self.config.max_body_bytes) {
                Ok(legacy) => (id.clone(), legacy, Fate::Open),
                // Without its row a user could be here, but what is wrong with the row could not come later.
                Err(reason) => {
                    self.report.left(Kind::User, reason, row.id);
                    (id.clone(), convert::nobody(), Fate::Refused)
                }
            },
            Destination::Deleted => {
                self.report.deleted(Kind::User, 1);
                ("".into(), convert::nobody(), Fate::Deleted)
            }
            Destination::Refused => {
                self.report.left(Kind::User, OF_A_PROJECT, row.id);
                ("".into(), convert::nobody(), Fate::Refused)
            }
        };
        Heir { key: UserKey { project, user: UserId(row.id) }, legacy, rows: 0, bytes: 0, fate }
    }

    /// Whether a row of a user is to be looked at. If not, it is counted.
    fn wants(&mut self, heir: &Heir, kind: Kind, count: usize) -> bool {
        match heir.fate {
            Fate::Open | Fate::Lives(..) => return true,
            Fate::Deleted => self.report.deleted(kind, count),
            Fate::Refused => self.report.left_many(kind, OF_A_USER, count),
        }
        false
    }

    /// Takes a slot in.
    pub(super) async fn slot(&mut self, heir: &mut Heir, row: &SlotRow) -> anyhow::Result<()> {
        if !self.wants(heir, Kind::Slot, 1) {
            return Ok(());
        }
        match convert::slot(row, self.config.max_body_bytes) {
            Ok(slot) => {
                heir.add(1, usize::try_from(row.bytes).unwrap_or(MAX_BYTES));
                heir.legacy.slots.push(slot);
            }
            Err(reason) => self.report.left(Kind::Slot, reason, row.id),
        }
        self.hand_over_when_full(heir).await
    }

    /// Takes an event in, with its gists.
    pub(super) async fn event(&mut self, heir: &mut Heir, row: &EventRow) -> anyhow::Result<()> {
        let gist_count = usize::try_from(row.gist_count).unwrap_or_default();
        if !self.wants(heir, Kind::Event, 1) {
            self.wants(heir, Kind::Gist, gist_count);
            return Ok(());
        }
        match convert::event(row, self.config.max_body_bytes) {
            Ok((event, gists, flaws)) => {
                self.report.dropped_fields(flaws.fields);
                flaws.gists.iter().for_each(|(id, reason)| self.report.left(Kind::Gist, reason, id));
                heir.add(1 + gists.len(), usize::try_from(row.bytes).unwrap_or(MAX_BYTES));
                heir.legacy.events.push((event, gists));
            }
            Err(reason) => {
                self.report.left(Kind::Event, reason, row.id);
                self.report.left_many(Kind::Gist, OF_AN_EVENT, gist_count);
            }
        }
        self.hand_over_when_full(heir).await
    }

    /// Takes a blob in. All before it is to be handed over ([`Desk::hand_over`]): a blob that waits needs its user.
    pub(super) async fn blob(&mut self, heir: &mut Heir, row: &BlobRow) -> anyhow::Result<()> {
        let kind = if row.waits { Kind::Waiting } else { Kind::Kept };
        if !self.wants(heir, kind, 1) {
            return Ok(());
        }
        match convert::blob(row, self.config.max_body_bytes, &self.counter) {
            Ok((blob, _)) if row.waits => self.append(heir, &blob).await?,
            Ok((blob, created_at)) => {
                heir.add(1, blob.payload.len());
                heir.legacy.blobs.push(StoredBlob { blob, created_at });
            }
            Err(reason) => self.report.left(kind, reason, row.id),
        }
        self.hand_over_when_full(heir).await
    }

    /// Ends with a user.
    pub(super) async fn finish(&mut self, mut heir: Heir) -> anyhow::Result<()> {
        if heir.rows > 0 { self.hand_over(&mut heir).await } else { Ok(()) }
    }

    async fn hand_over_when_full(&mut self, heir: &mut Heir) -> anyhow::Result<()> {
        if heir.is_full() { self.hand_over(heir).await } else { Ok(()) }
    }

    /// Hands over what was gathered of a user, and the user itself.
    pub(super) async fn hand_over(&mut self, heir: &mut Heir) -> anyhow::Result<()> {
        let is_first = heir.fate == Fate::Open;
        if heir.rows == 0 && !is_first {
            return Ok(());
        }
        let (part, life) = (heir.part(), Incarnation(SystemIds.random()));
        let adoption = match self.target {
            Some(target) => {
                let adopted = target.store.adopt(&heir.key, life, &part, Timestamp::now()).await;
                adopted.with_context(|| format!("user {} was not moved", heir.key.user))?
            }
            None => Adoption::Done { incarnation: life, is_new: true, ids: part.ids().into_iter().collect() },
        };
        crash_point("import_adopted").await;
        let Adoption::Done { incarnation, is_new, ids } = adoption else {
            // The user, or, while this was under way, its project.
            heir.fate = Fate::Deleted;
            self.count_deleted(&part, is_first);
            return Ok(());
        };
        if is_first {
            heir.fate = Fate::Lives(Owner { key: heir.key.clone(), incarnation }, is_new);
            if is_new { self.report.moved(Kind::User, 1) } else { self.report.here(Kind::User, 1) }
        }
        self.count(&part, &ids);
        if let Some(target) = self.target.filter(|_| !is_new && !ids.is_empty()) {
            target.changes.announce(&Change::Memory(heir.key.clone())).await;
        }
        Ok(())
    }

    fn count(&mut self, part: &Legacy, new: &HashSet<Uuid>) {
        let slots = part.slots.iter().map(|slot| (Kind::Slot, slot.id.0, 1));
        let events = part.events.iter().map(|(event, _)| (Kind::Event, event.id.0, 1));
        let gists = part.events.iter().map(|(event, gists)| (Kind::Gist, event.id.0, gists.len()));
        let blobs = part.blobs.iter().map(|stored| (Kind::Kept, stored.blob.id.0, 1));
        for (kind, id, count) in slots.chain(events).chain(gists).chain(blobs) {
            if new.contains(&id) { self.report.moved(kind, count) } else { self.report.here(kind, count) }
        }
    }

    fn count_deleted(&mut self, part: &Legacy, is_first: bool) {
        if is_first {
            self.report.deleted(Kind::User, 1);
        }
        let gists = part.events.iter().map(|(_, gists)| gists.len()).sum();
        self.report.deleted(Kind::Slot, part.slots.len());
        self.report.deleted(Kind::Event, part.events.len());
        self.report.deleted(Kind::Gist, gists);
        self.report.deleted(Kind::Kept, part.blobs.len());
    }

    /// Puts a blob that waits behind those that wait here, unless it came before.
    async fn append(&mut self, heir: &mut Heir, blob: &NewBlob) -> anyhow::Result<()> {
        let (Some(target), Fate::Lives(owner, is_new)) = (self.target, &heir.fate) else {
            self.report.moved(Kind::Waiting, 1);
            return Ok(());
        };
        let came_before = !is_new
            && (target.store.is_settled(&heir.key, blob.id).await?
                || target.journal.blob(owner, blob.id).await?.is_some());
        if came_before {
            self.report.here(Kind::Waiting, 1);
            return Ok(());
        }
        let appended = target.journal.append(owner, blob).await;
        match appended {
            Ok(_) => {
                crash_point("import_appended").await;
                self.report.moved(Kind::Waiting, 1);
            }
            Err(JournalError::OwnerGone) => {
                heir.fate = Fate::Deleted;
                self.report.deleted(Kind::Waiting, 1);
            }
            Err(error) => return Err(error).with_context(|| format!("blob {} was not moved", blob.id)),
        }
        Ok(())
    }
}
