//! What Postgres holds in the end: the system of record.

use std::collections::HashMap;

use sqlx::{PgConnection, query_as};
use uuid::Uuid;

use super::time::Micros;

/// An event, with the texts of its gists in order.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: Uuid,
    pub(crate) flush: Option<Uuid>,
    pub(crate) created: Micros,
    pub(crate) gists: Vec<String>,
}

/// An entry in the history of a slot.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    pub(crate) action: String,
    pub(crate) author: String,
    pub(crate) flush: Option<Uuid>,
    pub(crate) content: String,
}

/// A blob that was set aside.
#[derive(Clone, Debug)]
pub(crate) struct DeadBlob {
    pub(crate) reason: String,
    pub(crate) payload: String,
}

/// What is held of one user.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    pub(crate) incarnation: Option<Uuid>,
    /// In the order of their commits.
    pub(crate) events: Vec<Event>,
    /// Blob and flush.
    pub(crate) applied: HashMap<Uuid, Uuid>,
    pub(crate) dead: Vec<DeadBlob>,
    /// Id, topic, content.
    pub(crate) slots: Vec<(Uuid, String, String)>,
    pub(crate) revisions: HashMap<Uuid, Vec<Revision>>,
    /// Outcomes by flush.
    pub(crate) flushes: HashMap<Uuid, String>,
    /// Lives that have ended.
    pub(crate) tombstones: usize,
}

/// All users.
#[derive(Default)]
pub(crate) struct Truth(HashMap<Uuid, Held>);

impl Truth {
    pub(crate) fn of(&self, user: Uuid) -> Held {
        self.0.get(&user).cloned().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&Uuid, &Held)> {
        self.0.iter()
    }

    /// Reads everything.
    pub(crate) async fn read(conn: &mut PgConnection) -> Self {
        let mut truth = Self::default();
        truth.read_users(conn).await;
        truth.read_events(conn).await;
        truth.read_profiles(conn).await;
        truth
    }

    fn held(&mut self, user: Uuid) -> &mut Held {
        self.0.entry(user).or_default()
    }

    async fn read_users(&mut self, conn: &mut PgConnection) {
        let sql = "SELECT user_id, incarnation FROM users";
        for (user, incarnation) in query_as(sql).fetch_all(&mut *conn).await.unwrap() {
            self.held(user).incarnation = Some(incarnation);
        }
        let sql = "SELECT user_id, count(*) FROM tombstones GROUP BY user_id";
        for (user, count) in query_as::<_, (Uuid, i64)>(sql).fetch_all(&mut *conn).await.unwrap() {
            self.held(user).tombstones = usize::try_from(count).unwrap();
        }
        let sql = "SELECT user_id, flush_id, outcome FROM flushes";
        for (user, flush, outcome) in query_as(sql).fetch_all(&mut *conn).await.unwrap() {
            self.held(user).flushes.insert(flush, outcome);
        }
    }

    async fn read_events(&mut self, conn: &mut PgConnection) {
        let sql = "SELECT user_id, event_id, flush_id, created_at FROM events ORDER BY place";
        for (user, id, flush, created) in query_as(sql).fetch_all(&mut *conn).await.unwrap() {
            self.held(user).events.push(Event { id, flush, created, gists: Vec::new() });
        }
        let sql = "SELECT user_id, event_id, text FROM gists ORDER BY position";
        let mut gists = HashMap::<(Uuid, Uuid), Vec<String>>::new();
        for (user, event, text) in query_as(sql).fetch_all(&mut *conn).await.unwrap() {
            gists.entry((user, event)).or_default().push(text);
        }
        for (user, held) in &mut self.0 {
            for event in &mut held.events {
                event.gists = gists.remove(&(*user, event.id)).unwrap_or_default();
            }
        }
        assert!(gists.is_empty(), "gists without events");
        let sql = "SELECT user_id, blob_id, flush_id FROM applied_blobs";
        for (user, blob, flush) in query_as(sql).fetch_all(&mut *conn).await.unwrap() {
            self.held(user).applied.insert(blob, flush);
        }
        let sql = "SELECT user_id, reason, payload FROM dead_letters JOIN dead_letter_blobs USING (user_id, flush_id)";
        for (user, reason, payload) in query_as(sql).fetch_all(&mut *conn).await.unwrap() {
            self.held(user).dead.push(DeadBlob { reason, payload });
        }
    }

    async fn read_profiles(&mut self, conn: &mut PgConnection) {
        let sql = "SELECT user_id, slot_id, topic, content FROM profile_slots";
        for (user, slot, topic, content) in query_as(sql).fetch_all(&mut *conn).await.unwrap() {
            self.held(user).slots.push((slot, topic, content));
        }
        let sql = "SELECT user_id, slot_id, action, author, flush_id, content FROM slot_revisions ORDER BY entry";
        for (user, slot, action, author, flush, content) in query_as(sql).fetch_all(&mut *conn).await.unwrap() {
            let revision = Revision { action, author, flush, content };
            self.held(user).revisions.entry(slot).or_default().push(revision);
        }
    }
}
