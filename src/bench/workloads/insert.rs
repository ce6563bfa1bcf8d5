//! Inserts: chats of two messages over many users, none of whose buffers becomes full.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Users, Work};
use crate::bench::form::{Form, Id};
use crate::bench::load::{Measured, Session};
use crate::bench::rig::Rig;
use crate::bench::texts::{CHAT_TOKENS, VARIANTS, chat};

/// A round may have more inserts than the one before it.
const GROWTH_PERCENT: u64 = 150;
/// Users that are made at most, round by round.
const MAX_USERS: u64 = 2_000_000;

pub(super) struct Insert {
    users: Users,
    forms: Arc<Vec<Form>>,
    /// Inserts so far into the present users.
    next: Arc<AtomicU64>,
    /// Inserts that a buffer takes before it is flushed.
    room: u64,
    /// Inserts of the last round.
    last: u64,
    /// Users of earlier rounds, whose buffers were nearly full.
    used: Vec<Id>,
    /// Inserts into buffers that were full.
    beyond: u64,
}

impl Insert {
    pub(super) fn new(rig: &Rig, users: u32) -> anyhow::Result<Self> {
        let form = |n| Form::new(&rig.target, "POST", "/blobs/insert/{id}", Some(&chat(n)));
        Ok(Self {
            users: Users::make(rig, users)?,
            forms: Arc::new((0..VARIANTS).map(form).collect()),
            next: Arc::default(),
            room: (rig.buffer_tokens / CHAT_TOKENS).max(1),
            last: 0,
            used: Vec::new(),
            beyond: 0,
        })
    }

    /// Inserts that the buffers of the present users take without a flush.
    fn capacity(&self) -> u64 {
        self.room.saturating_mul(self.users.len() as u64)
    }
}

impl Work for Insert {
    fn kinds(&self) -> &'static [&'static str] {
        &["insert"]
    }

    fn sessions(&mut self, rig: &Rig, connections: u32) -> anyhow::Result<Vec<Box<dyn Session>>> {
        let wanted = self.last * GROWTH_PERCENT / 100;
        if self.next.load(Ordering::Relaxed) + wanted > self.capacity() {
            let count = wanted.div_ceil(self.room).max(self.users.len() as u64);
            let count = count.min(MAX_USERS.saturating_sub(self.used.len() as u64)).max(1);
            self.used.extend_from_slice(&self.users.0);
            self.users = Users::make(rig, u32::try_from(count)?)?;
            self.next = Arc::default();
        }
        let session = || {
            let (users, forms, next) = (self.users.clone(), self.forms.clone(), self.next.clone());
            Box::new(move |request: &mut Vec<u8>| {
                let n = next.fetch_add(1, Ordering::Relaxed);
                // Each user says something else each time.
                let variant = n.wrapping_add(n / users.len() as u64) % VARIANTS as u64;
                forms[usize::try_from(variant).unwrap_or_default()].write(users.nth(n), n, request);
                Some(0_usize)
            }) as Box<dyn Session>
        };
        Ok((0..connections).map(|_| session()).collect())
    }

    fn settle(&mut self, _rig: &Rig, measured: &mut Measured) -> anyhow::Result<()> {
        self.last = measured.operations[0].acknowledged;
        let sent = self.next.load(Ordering::Relaxed);
        self.beyond += sent.saturating_sub(self.capacity()).min(self.last);
        Ok(())
    }

    fn notes(&self) -> Vec<String> {
        if self.beyond == 0 {
            return Vec::new();
        }
        let (beyond, room, users) = (self.beyond, self.room, self.users.len());
        vec![format!(
            "insert: {beyond} inserts went to buffers that were full, and flushed them in the background; {users} users \
             take {room} inserts each: give more --users, or raise the server's max_chat_blob_buffer_token_size and \
             tell so with --buffer-tokens"
        )]
    }

    fn users(&self) -> Vec<Id> {
        [self.used.as_slice(), &self.users.0].concat()
    }
}
