use std::sync::Arc;

use serde_json::{Value, json};

use crate::event::{Event, EventData};
use crate::ids::{
    BlobId, EventId, FlushId, IdSource, Incarnation, Owner, ProjectId, SlotId, SystemIds, UserId, UserKey,
};
use crate::ports::{
    Commit, CommitReply, FlushOutcome, FlushRecord, FlushResult, NewSlot, Page, Projects, Store, TokenHash, Usage,
    UserOrder, UserQuery,
};
use crate::quota::TokenQuota;
pub(super) use crate::testing::texts::at;

/// A fresh store by both of its faces.
pub trait ProjectsHarness: Send + Sync + 'static {
    /// The projects.
    fn projects(&self) -> Arc<dyn Projects>;

    /// The store of their users.
    fn store(&self) -> Arc<dyn Store>;
}

/// What a case works with.
pub struct Kit {
    _harness: Box<dyn ProjectsHarness>,
    pub(super) projects: Arc<dyn Projects>,
    pub(super) store: Arc<dyn Store>,
}

impl Kit {
    /// What a case works with, around a fresh store.
    pub fn new(harness: impl ProjectsHarness) -> Self {
        Self { projects: harness.projects(), store: harness.store(), _harness: Box::new(harness) }
    }

    /// A new project.
    pub(super) async fn project(&self, name: &str) -> ProjectId {
        let id = ProjectId::from(name);
        assert!(self.projects.create_project(&id, &hash(1), TokenQuota::Unset, at(1)).await.unwrap());
        id
    }

    /// A user of this id, created at this second.
    pub(super) async fn user(&self, project: &str, id: u128, seconds: i64, data: Value) -> Owner {
        let key = UserKey { project: project.into(), user: UserId(uuid::Uuid::from_u128(id)) };
        let owner = Owner { key, incarnation: Incarnation(SystemIds.random()) };
        let created = self.store.create_user(&owner.key, owner.incarnation, data.as_object(), at(seconds));
        assert!(created.await.unwrap());
        owner
    }

    pub(super) async fn slots(&self, owner: &Owner, number: usize) {
        for _ in 0..number {
            let slot = NewSlot {
                id: SlotId(SystemIds.random()),
                topic: "t".into(),
                sub_topic: "s".into(),
                content: "c".into(),
                attributes: serde_json::Map::new(),
            };
            assert!(self.store.add_slot(&owner.key, &slot, at(9)).await.unwrap());
        }
    }

    pub(super) async fn events(&self, owner: &Owner, number: usize) {
        for _ in 0..number {
            let (_, base_revision) = self.store.revision(&owner.key).await.unwrap().unwrap();
            let flush_id = FlushId(SystemIds.ordered());
            let data = EventData { event_tip: Some("- x".into()), ..EventData::default() };
            let (id, flush) = (EventId(SystemIds.random()), Some(flush_id));
            let event = Event { id, flush_id: flush, data, created_at: at(9), updated_at: at(9) };
            let commit = Commit {
                owner: owner.clone(),
                flush_id,
                base_revision,
                blob_ids: vec![BlobId(SystemIds.random())],
                retried: false,
                record: FlushRecord {
                    outcome: FlushOutcome::Committed,
                    result: FlushResult::default(),
                    reason: None,
                    usage: Usage::default(),
                    refused: 0,
                    version: "suite-1".into(),
                },
                slots: Vec::new(),
                event: Some((event, Vec::new())),
                keep: Vec::new(),
                answer: None,
                now: at(9),
            };
            assert_eq!(self.store.commit(&commit).await.unwrap(), CommitReply::Done);
        }
    }

    /// The ids that a query finds, and the count.
    pub(super) async fn found(&self, project: &str, query: &UserQuery) -> (Vec<u128>, u64) {
        let (users, count) = self.projects.users(&project.into(), query).await.unwrap();
        (users.into_iter().map(|user| user.id.0.as_u128()).collect(), count)
    }
}

pub(super) fn hash(byte: u8) -> TokenHash {
    TokenHash([byte; 32])
}

/// All users, those with the newest data first.
pub(super) fn all() -> UserQuery {
    let page = Page { offset: 0, limit: 100 };
    UserQuery { search: String::new(), order: UserOrder::UpdatedAt, descending: true, page }
}

pub(super) fn none() -> Value {
    json!(null)
}
