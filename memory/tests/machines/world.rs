//! Users, processes, one journal, one store; and what a script does to them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use memory::blob::{Blob, BlobData, BlobType, Message, NewBlob, Role};
use memory::buffer::BufferLimits;
use memory::flush::FlushSettings;
use memory::ids::{BlobId, IdSource, Incarnation, Owner, ProjectId, SlotId, UserId, UserKey};
use memory::ports::{Clock, Journal, NewSlot, SlotChange, Store};
use memory::profile::Slot;
use memory::testing::{JournalSnapshot, ManualClock, MemoryJournal, MemoryStore, SeededIds, policy};
use serde_json::Map;
use uuid::Uuid;

use crate::actors::Process;
use crate::clients::Call;
use crate::ledger::Ledger;
use crate::script::{Action, Edit, Fault, Kind, Mood, Script};

/// How long a blob may wait before the sweeper finds it.
const AGE: Duration = Duration::from_secs(20);
/// Rounds of sweeping after which all must be at rest. Each lasts longer than the longest pause.
const ROUNDS: usize = 300;

/// The in-memory ports never wait: one poll is the whole call.
pub(crate) fn now<T>(call: impl Future<Output = T>) -> T {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("an in-memory port waits"),
    }
}

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ids: Arc<SeededIds>,
    pub(crate) journal: MemoryJournal,
    pub(crate) store: MemoryStore,
    pub(crate) settings: Arc<FlushSettings>,
    pub(crate) keys: Vec<UserKey>,
    pub(crate) processes: Vec<Process>,
    pub(crate) ledger: Ledger,
    snapshots: Vec<JournalSnapshot>,
    pub(crate) calls: Vec<Call>,
    /// Counts what has happened: the order of reads and writes.
    pub(crate) tick: u64,
}

pub(crate) const LIMITS: BufferLimits = BufferLimits { flush_tokens: 14, max_blobs: 6, max_waiters: 3 };

fn settings(script: &Script) -> FlushSettings {
    FlushSettings {
        lease: Duration::from_secs(30),
        max_tokens: 10,
        max_blobs: 3,
        max_attempts: 2,
        backoff_min: Duration::from_secs(1),
        backoff_max: Duration::from_secs(8),
        keep_chats: false,
        record_answers: script.record_answers,
        quote_tokens: if script.quotes { u32::MAX } else { 0 },
        policy: Arc::new(policy()),
    }
}

impl World {
    fn new(script: &Script) -> Self {
        let clock = Arc::new(ManualClock::new());
        let user = |n: usize| UserKey { project: ProjectId::from("p"), user: UserId(Uuid::from_u128(n as u128)) };
        let mut world = Self {
            journal: MemoryJournal::new(clock.clone()),
            clock,
            ids: Arc::new(SeededIds::new(1)),
            store: MemoryStore::new(),
            settings: Arc::new(settings(script)),
            keys: (0..script.users).map(user).collect(),
            processes: (0..script.processes).map(|_| Process::default()).collect(),
            ledger: Ledger::default(),
            snapshots: Vec::new(),
            calls: Vec::new(),
            tick: 0,
        };
        world.snapshots.push(world.journal.snapshot());
        for u in 0..script.users {
            world.create_user(u);
        }
        world
    }

    /// Plays a script, heals, and checks.
    pub(crate) fn play(script: &Script) {
        let mut world = Self::new(script);
        for action in &script.actions {
            world.tick += 1;
            world.act(*action);
            world.look();
        }
        world.heal();
        world.ledger.check_end(&world.journal, &world.store, &world.keys);
    }

    /// What must hold at every instant.
    pub(crate) fn look(&self) {
        self.ledger.check_now(&self.journal, &self.store, &self.keys);
    }

    pub(crate) fn time(&self) -> Timestamp {
        self.clock.now()
    }

    /// The present life of a user.
    pub(crate) fn living(&self, u: usize) -> Option<Owner> {
        let key = &self.keys[u];
        let incarnation = now(self.store.user(key)).unwrap()?.incarnation;
        Some(Owner { key: key.clone(), incarnation })
    }

    fn act(&mut self, action: Action) {
        let (p, u) = (self.processes.len(), self.keys.len());
        match action {
            Action::Append { p: i, u: j, kind, slot, words, fault, late, waits } => {
                let blob = self.new_blob(kind, slot, words);
                self.append(i % p, j % u, &blob, fault, late, waits);
            }
            Action::Resend { p: i, pick, fault } => self.resend(i % p, pick, fault),
            Action::Deliver { p: i, u: j, pick } => self.deliver(i % p, j % u, pick),
            Action::Request { p: i, u: j, doc, waits } => {
                let blob_type = if doc { BlobType::Doc } else { BlobType::Chat };
                self.request(i % p, j % u, blob_type, waits);
            }
            Action::Forget { p: i, u: j } => self.forget(i % p, j % u),
            Action::Tick { secs } => self.pass(secs),
            Action::Sweep { p: i } => self.sweep(i % p),
            Action::Step { p: i, u: j, fault, mood } => self.step(i % p, j % u, fault, mood),
            Action::StepOrphan { p: i, pick, fault } => self.step_orphan(i % p, pick, fault),
            Action::Run { p: i, u: j, steps } => {
                (0..steps).for_each(|_| self.step(i % p, j % u, Fault::None, Mood::Good));
            }
            Action::Renew { p: i, u: j } => self.renew(i % p, j % u),
            Action::Crash { p: i } => self.processes[i % p] = Process::default(),
            Action::Snapshot => self.snapshots.push(self.journal.snapshot()),
            Action::Restore { pick } => self.restore(pick),
            Action::DeleteUser { p: i, u: j } => self.delete_user(i % p, j % u),
            Action::CreateUser { u: j } => self.create_user(j % u),
            Action::Purge { fault } => self.purge(fault),
            Action::DeleteBlob { pick } => self.delete_blob(pick),
            Action::Bury { u: j, doc, dies } => self.bury(j % u, doc, dies),
            Action::RetryLetter { p: i, pick, steps } => self.retry_letter(i % p, pick, steps),
            Action::DropLetter { pick, steps } => self.drop_letter(pick, steps),
            Action::StepCall { pick, fault } => self.step_call(pick, fault),
            Action::AbandonCall { pick } => self.abandon_call(pick),
            Action::Edit { u: j, slot, edit } => self.edit(j % u, slot, edit),
        }
    }

    /// A blob whose first words are a fact about one of a few slots, named after the blob.
    fn new_blob(&mut self, kind: Kind, slot: u8, words: usize) -> NewBlob {
        let number = self.ledger.blobs.len();
        let text = format!("FACT about/s{slot}=m{number}{}", " word".repeat(words));
        let data = match kind {
            Kind::Chat | Kind::Garbage => {
                let message = Message { role: Role::User, alias: None, content: text, created_at: None };
                BlobData::Chat { messages: vec![message] }
            }
            Kind::Doc => BlobData::Doc { content: text },
        };
        let blob = Blob { data, fields: None, created_at: self.time() };
        let payload = if matches!(kind, Kind::Garbage) { "?".to_owned() } else { blob.to_payload() };
        let tokens = u32::try_from(words + 2).unwrap();
        NewBlob { id: BlobId(Uuid::from_u128(number as u128)), blob_type: blob.blob_type(), tokens, payload }
    }

    fn create_user(&mut self, u: usize) {
        let incarnation = Incarnation(self.ids.random());
        now(self.store.create_user(&self.keys[u], incarnation, None, self.time())).unwrap();
    }

    fn delete_user(&mut self, p: usize, u: usize) {
        let key = self.keys[u].clone();
        if let Some(incarnation) = now(self.store.delete_user(&key, self.time())).unwrap() {
            self.ledger.user_deleted(Owner { key, incarnation });
            self.close(p, u);
        }
    }

    fn purge(&mut self, fault: Fault) {
        for owner in now(self.store.purge_orders(9)).unwrap() {
            if fault == Fault::Outage {
                return;
            }
            now(self.journal.purge(&owner)).unwrap();
            assert_eq!(self.journal.held(&owner), (Vec::new(), None), "left after a purge");
            self.ledger.claims.remove(&owner);
            if fault == Fault::None {
                now(self.store.purge_done(&owner, self.time())).unwrap();
            }
        }
    }

    fn restore(&mut self, pick: usize) {
        let index = pick % self.snapshots.len();
        self.journal.restore(self.snapshots[index].clone());
        self.ledger.journal_restored(&self.journal, &self.store, &self.keys);
    }

    fn pass(&mut self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
        for p in 0..self.processes.len() {
            self.retry_due(p);
        }
    }

    fn sweep(&mut self, p: usize) {
        for (_, due) in now(self.journal.due(AGE, None, 9)).unwrap() {
            let u = self.keys.iter().position(|k| *k == due.owner.key).unwrap();
            self.swept(p, u, &due);
        }
    }

    fn edit(&mut self, u: usize, slot: u8, edit: Edit) {
        let Some(owner) = self.living(u) else { return };
        let (key, sub_topic, time) = (&self.keys[u], format!("s{slot}"), self.time());
        let profile = now(self.store.profile(key)).unwrap().unwrap();
        let present: Vec<&Slot> = profile.slots.iter().filter(|s| s.sub_topic == sub_topic).collect();
        let content = format!("client {}", self.tick);
        let change = |sub_topic: &str| SlotChange {
            content: content.clone(),
            address: Some(("about".into(), sub_topic.into(), Map::new())),
        };
        let mut touched = BTreeSet::from([sub_topic.clone()]);
        match (edit, present.first()) {
            (Edit::Add, _) => {
                let (topic, sub_topic, attributes) = ("About".into(), sub_topic, Map::new());
                let new = NewSlot { id: SlotId(self.ids.random()), topic, sub_topic, content, attributes };
                assert!(now(self.store.add_slot(key, &new, time)).unwrap());
            }
            (_, None) => return,
            (Edit::Update, Some(slot)) => {
                assert!(now(self.store.update_slot(key, slot.id, &change(&sub_topic), time)).unwrap());
            }
            (Edit::Move, Some(moved)) => {
                let target = format!("s{}", (slot + 1) % 3);
                assert!(now(self.store.update_slot(key, moved.id, &change(&target), time)).unwrap());
                touched.insert(target);
            }
            (Edit::Delete, Some(slot)) => assert!(now(self.store.delete_slot(key, slot.id, time)).unwrap()),
        }
        for sub_topic in touched {
            self.ledger.client_wrote(&owner, &sub_topic, self.tick);
        }
        let rows = self.store.rows_of(key);
        self.ledger.slots.insert(owner, by_id(&rows.slots));
    }

    /// Ends all faults and goes on until everything is at rest.
    fn heal(&mut self) {
        for _ in 0..ROUNDS {
            self.tick += 1;
            while !self.calls.is_empty() {
                self.step_call(0, Fault::None);
            }
            self.purge(Fault::None);
            for p in 0..self.processes.len() {
                self.settle(p);
                self.look();
            }
            if self.processes.iter().all(Process::is_at_rest) && self.nothing_waits() {
                return;
            }
            for p in 0..self.processes.len() {
                self.sweep(p);
            }
            self.pass(5);
        }
        panic!("no rest after {ROUNDS} rounds");
    }

    fn nothing_waits(&self) -> bool {
        self.ledger.owners().all(|owner| {
            let (waiting, open) = self.journal.held(owner);
            waiting.is_empty() && open.is_none()
        })
    }
}

/// The contents of slots.
pub(crate) fn by_id(slots: &[Slot]) -> BTreeMap<SlotId, String> {
    slots.iter().map(|s| (s.id, s.content.clone())).collect()
}
