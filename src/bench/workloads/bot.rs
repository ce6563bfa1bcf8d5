//! A bot's day: for each message of a user a context, a reply, and an insert of both; a flush when a conversation ends.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use url::form_urlencoded::byte_serialize;

use super::background::Watch;
use super::users::{create, delete, fresh_id};
use super::{Users, Work};
use crate::bench::client::Connection;
use crate::bench::form::{Form, Id};
use crate::bench::load::{Measured, Session};
use crate::bench::rig::Rig;
use crate::bench::texts::{VARIANTS, chat, question, telling_chat};

/// The kinds of requests.
const KINDS: [&str; 4] = ["context", "insert", "flush", "new user"];
const CONTEXT: usize = 0;
const INSERT: usize = 1;
const FLUSH: usize = 2;
const NEW_USER: usize = 3;

pub(super) struct Bots {
    /// One for each connection, with users of its own.
    bots: Vec<Arc<Mutex<Bot>>>,
}

/// The requests of bots.
struct Forms {
    contexts: Vec<Form>,
    chats: Vec<Form>,
    /// The first message of a conversation tells a fact.
    telling: Vec<Form>,
    flush: Form,
    delete: Form,
    create: Form,
}

impl Forms {
    fn new(rig: &Rig) -> Self {
        let each = |make: &dyn Fn(usize) -> Form| (0..VARIANTS).map(make).collect();
        let asked = |n| byte_serialize(question(n).as_bytes()).collect::<String>();
        let insert = |body: String| Form::new(&rig.target, "POST", "/blobs/insert/{id}", Some(&body));
        Self {
            contexts: each(&|n| {
                Form::new(&rig.target, "GET", &format!("/users/context/{{id}}?chats_str={}", asked(n)), None)
            }),
            chats: each(&|n| insert(chat(n))),
            telling: each(&|n| insert(telling_chat(n))),
            flush: Form::new(&rig.target, "POST", "/users/buffer/{id}/chat", None),
            delete: delete(rig),
            create: create(rig),
        }
    }
}

/// What a bot does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Context,
    Insert,
    Flush,
    Delete,
    Create,
}

/// One bot: it talks with its users in turn.
struct Bot {
    forms: Arc<Forms>,
    users: Vec<User>,
    /// Messages of the user in a conversation.
    turns: u32,
    /// Conversations of a user until another comes; 0: never.
    conversations: u32,
    user: usize,
    turn: u32,
    step: Step,
    /// Requests so far, for variety.
    said: usize,
}

struct User {
    id: Id,
    conversations: u32,
}

impl Bot {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<usize> {
        let forms = self.forms.clone();
        let variant = self.said % VARIANTS;
        self.said += 1;
        let last_turn = self.turn + 1 >= self.turns;
        let user = self.users.get_mut(self.user)?;
        let (form, kind, next) = match self.step {
            Step::Context => (&forms.contexts[variant], CONTEXT, Step::Insert),
            Step::Insert => {
                let form = if self.turn == 0 { &forms.telling[variant] } else { &forms.chats[variant] };
                (form, INSERT, if last_turn { Step::Flush } else { Step::Context })
            }
            Step::Flush => {
                user.conversations += 1;
                let ends = self.conversations > 0 && user.conversations >= self.conversations;
                (&forms.flush, FLUSH, if ends { Step::Delete } else { Step::Context })
            }
            Step::Delete => (&forms.delete, NEW_USER, Step::Create),
            Step::Create => {
                *user = User { id: fresh_id(), conversations: 0 };
                (&forms.create, NEW_USER, Step::Context)
            }
        };
        form.write(&user.id, self.said as u64, request);
        match (self.step, next) {
            (Step::Insert, Step::Context) => self.turn += 1,
            // The conversation is over: it is the next user's turn.
            (Step::Flush | Step::Create, Step::Context) => {
                self.turn = 0;
                self.user = (self.user + 1) % self.users.len();
            }
            _ => {}
        }
        self.step = next;
        Some(kind)
    }

    /// Its users, but for one who was just deleted and has no successor yet.
    fn ids(&self) -> Vec<Id> {
        let gone = (self.step == Step::Create).then_some(self.user);
        let there = self.users.iter().enumerate().filter(|(place, _)| Some(*place) != gone);
        there.map(|(_, user)| user.id).collect()
    }
}

impl Bots {
    pub(super) fn new(rig: &Rig, users: u32, bots: u32) -> anyhow::Result<Self> {
        let users = Users::make(rig, users)?;
        let forms = Arc::new(Forms::new(rig));
        let bots = usize::try_from(bots)?;
        // Not all users have had as many conversations at the same time.
        let spread = rig.conversations.max(1);
        let make = |bot: usize| {
            let users = users.0.iter().skip(bot).step_by(bots).zip(0..);
            let users = users.map(|(id, n)| User { id: *id, conversations: n % spread }).collect();
            let (turns, conversations) = (rig.turns, rig.conversations);
            let forms = forms.clone();
            Bot { forms, users, turns, conversations, user: 0, turn: 0, step: Step::Context, said: bot * 37 }
        };
        Ok(Self { bots: (0..bots).map(|bot| Arc::new(Mutex::new(make(bot)))).collect() })
    }
}

impl Work for Bots {
    fn kinds(&self) -> &'static [&'static str] {
        &KINDS
    }

    fn sessions(&mut self, _rig: &Rig, connections: u32) -> anyhow::Result<Vec<Box<dyn Session>>> {
        let bots = self.bots.iter().take(usize::try_from(connections)?).cloned();
        let session = |bot: Arc<Mutex<Bot>>| {
            Box::new(move |request: &mut Vec<u8>| bot.lock().unwrap_or_else(PoisonError::into_inner).next(request))
                as Box<dyn Session>
        };
        Ok(bots.map(session).collect())
    }

    /// All that was said becomes memory before anything else is measured.
    fn settle(&mut self, rig: &Rig, measured: &mut Measured) -> anyhow::Result<()> {
        let flush = Form::new(&rig.target, "POST", "/users/buffer/{id}/chat", None);
        let users = self.users();
        let faults = rig.wait(async {
            let mut connection = Connection::new(rig.target.clone(), rig.timeout);
            let (mut faults, mut request) = (Vec::new(), Vec::new());
            for user in &users {
                flush.write(user, 0, &mut request);
                faults.extend(connection.call(&request, Instant::now()).await.err());
            }
            let mut watch = Watch::new(rig);
            for user in &users {
                faults.extend(watch.until_empty(&mut connection, user).await.err());
            }
            faults
        })?;
        faults.into_iter().for_each(|fault| measured.failures.count(fault));
        Ok(())
    }

    fn users(&self) -> Vec<Id> {
        let ids = |bot: &Arc<Mutex<Bot>>| bot.lock().unwrap_or_else(PoisonError::into_inner).ids();
        self.bots.iter().flat_map(ids).collect()
    }
}
