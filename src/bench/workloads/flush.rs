//! Flushes that are waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Users, Work};
use crate::bench::form::{Form, Id};
use crate::bench::load::Session;
use crate::bench::rig::Rig;
use crate::bench::texts::{VARIANTS, telling_chat};

/// The kinds of requests.
const FLUSH: usize = 0;
const INSERT: usize = 1;

/// The requests that insert four messages.
pub(super) fn inserts(rig: &Rig) -> Vec<Form> {
    (0..VARIANTS).map(|n| Form::new(&rig.target, "POST", "/blobs/insert/{id}", Some(&telling_chat(n)))).collect()
}

pub(super) struct FlushWait {
    users: Users,
    inserts: Arc<Vec<Form>>,
    flush: Arc<Form>,
    /// How often all users were gone through, so that a round begins where the last ended.
    next: Arc<AtomicU64>,
}

impl FlushWait {
    pub(super) fn new(rig: &Rig, users: u32) -> anyhow::Result<Self> {
        Ok(Self {
            users: Users::make(rig, users)?,
            inserts: Arc::new(inserts(rig)),
            flush: Arc::new(Form::new(&rig.target, "POST", "/users/buffer/{id}/chat?wait_process=true", None)),
            next: Arc::default(),
        })
    }
}

impl Work for FlushWait {
    fn kinds(&self) -> &'static [&'static str] {
        &["flush", "insert"]
    }

    fn headline(&self) -> Option<usize> {
        Some(FLUSH)
    }

    /// There are as many users as connections at least, and each user's turn is long over when it comes again.
    fn sessions(&mut self, _rig: &Rig, connections: u32) -> anyhow::Result<Vec<Box<dyn Session>>> {
        let session = || {
            let (users, inserts, flush) = (self.users.clone(), self.inserts.clone(), self.flush.clone());
            let next = self.next.clone();
            let mut inserted = None;
            Box::new(move |request: &mut Vec<u8>| {
                if let Some(n) = inserted.take() {
                    flush.write(users.nth(n), n, request);
                    return Some(FLUSH);
                }
                let n = next.fetch_add(1, Ordering::Relaxed);
                let variant = n.wrapping_add(n / users.len() as u64) % VARIANTS as u64;
                inserts[usize::try_from(variant).unwrap_or_default()].write(users.nth(n), n, request);
                inserted = Some(n);
                Some(INSERT)
            }) as Box<dyn Session>
        };
        Ok((0..connections).map(|_| session()).collect())
    }

    fn users(&self) -> Vec<Id> {
        self.users.0.to_vec()
    }
}
