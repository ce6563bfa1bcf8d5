//! Reads: profiles, and contexts with and without a chat to search for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use memchr::memmem;
use url::form_urlencoded::byte_serialize;

use super::users::for_each;
use super::{Users, Work};
use crate::bench::form::{Form, Id};
use crate::bench::load::Session;
use crate::bench::options::Workload;
use crate::bench::rig::Rig;
use crate::bench::texts::{GISTS, SLOTS, VARIANTS, gist_chats, memo, question};

/// Users with a profile and events.
pub(crate) struct Readers {
    users: Users,
    notes: Vec<String>,
}

impl Readers {
    /// Makes users, their events by a flush, if anybody reads those, and their profiles by adding slots, and looks at
    /// one of them.
    ///
    /// # Errors
    /// When the server refuses.
    pub(super) fn new(rig: &Rig, count: u32, with_events: bool) -> anyhow::Result<Self> {
        let post = |path: &str, body: Option<&str>| Form::new(&rig.target, "POST", path, body);
        let users = Users::make(rig, count)?;
        if with_events {
            let mut told: Vec<_> = gist_chats().iter().map(|chat| post("/blobs/insert/{id}", Some(chat))).collect();
            told.push(post("/users/buffer/{id}/chat?wait_process=true", None));
            for_each(rig, "making events", &users, told).context("events cannot be made")?;
        }
        let slots = (0..SLOTS).map(|n| post("/users/profile/{id}", Some(&memo(n)))).collect();
        for_each(rig, "making profiles", &users, slots).context("profiles cannot be made")?;
        let mut readers = Self { users, notes: Vec::new() };
        readers.look(rig, with_events)?;
        Ok(readers)
    }

    /// Whether a user has what it should have: a model that is not the stand-in may have made something else.
    fn look(&mut self, rig: &Rig, with_events: bool) -> anyhow::Result<()> {
        let user = self.users.nth(0);
        let count = |body: &[u8], what: &str| memmem::find_iter(body, what.as_bytes()).count();
        let profile = rig.ask(&Form::new(&rig.target, "GET", "/users/profile/{id}", None), user)?;
        let slots = count(&profile, "\"sub_topic\"");
        let events = rig.ask(&Form::new(&rig.target, "GET", "/users/event/{id}?topk=100", None), user)?;
        let gists = count(&events, "\\n- ") + count(&events, "\"- ");
        if slots != SLOTS {
            self.notes.push(format!("profile, context: a user has {slots} slots rather than {SLOTS}"));
        }
        if with_events && gists != GISTS {
            self.notes.push(format!(
                "context: a user has {gists} gists rather than {GISTS}: the server's language model made something else \
                 of {GISTS} messages than a line for each"
            ));
        }
        Ok(())
    }
}

pub(super) struct Read {
    workload: Workload,
    readers: Arc<Readers>,
    forms: Arc<Vec<Form>>,
    next: Arc<AtomicU64>,
}

impl Read {
    pub(super) fn new(rig: &Rig, readers: Arc<Readers>, workload: Workload) -> Self {
        let get = |path: &str| Form::new(&rig.target, "GET", path, None);
        let asked = |n: usize| byte_serialize(question(n).as_bytes()).collect::<String>();
        let forms = match workload {
            Workload::Profile => vec![get("/users/profile/{id}")],
            Workload::ContextChats => {
                (0..VARIANTS).map(|n| get(&format!("/users/context/{{id}}?chats_str={}", asked(n)))).collect()
            }
            _ => vec![get("/users/context/{id}")],
        };
        Self { workload, readers, forms: Arc::new(forms), next: Arc::default() }
    }
}

impl Work for Read {
    fn kinds(&self) -> &'static [&'static str] {
        if self.workload == Workload::Profile { &["profile"] } else { &["context"] }
    }

    fn sessions(&mut self, _rig: &Rig, connections: u32) -> anyhow::Result<Vec<Box<dyn Session>>> {
        let session = || {
            let (users, forms, next) = (self.readers.users.clone(), self.forms.clone(), self.next.clone());
            Box::new(move |request: &mut Vec<u8>| {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let variant = n.wrapping_add(n / users.len() as u64) % forms.len() as u64;
                forms[usize::try_from(variant).unwrap_or_default()].write(users.nth(n), n, request);
                Some(0_usize)
            }) as Box<dyn Session>
        };
        Ok((0..connections).map(|_| session()).collect())
    }

    fn notes(&self) -> Vec<String> {
        self.readers.notes.clone()
    }

    fn users(&self) -> Vec<Id> {
        self.readers.users.0.to_vec()
    }
}
