//! What clients do: each thread has users of its own, and is a guest of others at times.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Client, Reply};
use super::history::Process;
use super::ledger::{Fate, Ledger, Life, Message, Shared};
use super::time::now;

/// Milliseconds between two requests of a thread, from and to.
const PACE_MS: std::ops::Range<u64> = 20..140;
/// How often a deletion or a creation is tried before the user is left alone.
const TRIES: usize = 6;

/// Answers that no client should ever get.
#[derive(Clone, Default)]
pub(crate) struct Complaints(Arc<Mutex<Vec<String>>>);

impl Complaints {
    pub(crate) fn add(&self, complaint: String) {
        self.0.lock().unwrap().push(complaint);
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// One client.
pub(crate) struct Worker {
    pub(crate) luck: SmallRng,
    pub(crate) client: Client,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) complaints: Complaints,
    own: Vec<Shared>,
}

impl Worker {
    /// A client with so many users, who are not created yet.
    pub(crate) fn new(seed: u64, client: Client, ledger: &Arc<Ledger>, complaints: &Complaints, users: usize) -> Self {
        let mut luck = SmallRng::seed_from_u64(seed);
        let own = (0..users).map(|_| ledger.new_user(draw_id(&mut luck))).collect();
        Self { luck, client, ledger: Arc::clone(ledger), complaints: complaints.clone(), own }
    }

    /// Works until the time is up.
    pub(crate) fn run(&mut self, until: Instant) {
        while Instant::now() < until {
            let place = self.luck.random_range(0..self.own.len());
            // Half of all that is done is done to a few.
            let place = if self.luck.random_bool(0.5) { place % 5 } else { place };
            let user = self.own[place].clone();
            let state = user.lock().state;
            match state {
                Life::Lives => self.act(&user),
                Life::Ended => self.create(&user),
                Life::Doomed => {
                    let id = draw_id(&mut self.luck);
                    self.own[place] = self.ledger.new_user(id);
                }
            }
            std::thread::sleep(Duration::from_millis(self.luck.random_range(PACE_MS)));
        }
    }

    fn act(&mut self, user: &Shared) {
        match self.luck.random_range(0..1000) {
            0..690 => self.say(user),
            690..740 => {
                let users = self.ledger.users();
                let host = users[self.luck.random_range(0..users.len())].clone();
                self.say(&host);
            }
            740..790 => self.edit_own_slot(user),
            790..860 => self.edit_shared_slot(user),
            860..900 => self.read(user),
            900..940 => self.flush(user),
            940..980 => self.take_back(user),
            _ => self.delete(user),
        }
    }

    /// Where the next request goes: mostly where a user's requests usually go.
    pub(crate) fn place(&mut self, user: &Shared) -> usize {
        let usual = user.lock().number % self.client.places();
        if self.luck.random_bool(0.6) { usual } else { self.luck.random_range(0..self.client.places()) }
    }

    pub(crate) fn ask(
        &mut self,
        user: &Shared,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (Option<Process>, Reply) {
        let mut place = self.place(user);
        let (mut process, mut reply) = self.client.ask(place, method, path, body);
        for _ in 1..self.client.places() {
            // As a load balancer does.
            if matches!(reply, Reply::NotSent) {
                place = (place + 1) % self.client.places();
                (process, reply) = self.client.ask(place, method, path, body);
            }
        }
        // 429 and 503 are what a server in trouble says; 404 depends on what was asked.
        if let Reply::Refused(status, text) = &reply
            && ![404, 409, 429, 503, 504].contains(status)
        {
            self.complaints.add(format!("{method} {path} was answered with {status}: {text}"));
        }
        (process, reply)
    }

    pub(crate) fn say(&mut self, user: &Shared) {
        let lines = if self.luck.random_bool(0.03) { self.luck.random_range(5..12) } else { 1 };
        let (poisoned, tells) = (self.luck.random_bool(0.004), self.luck.random_bool(0.5));
        let (place, epoch, id, texts) = {
            let mut user = user.lock();
            if user.state != Life::Lives {
                return;
            }
            let place = self.ledger.note(&mut user, lines, poisoned, tells);
            (place, user.epoch, user.id, user.messages[place].lines.clone())
        };
        let message = |text: &String| json!({"role": "user", "content": text});
        let messages: Vec<Value> = texts.iter().map(message).collect();
        let body = json!({"blob_type": "chat", "blob_data": {"messages": messages}});
        let (process, reply) = self.ask(user, "POST", &format!("/blobs/insert/{id}"), Some(&body));
        let mut user = user.lock();
        // Sent while the user was deleted, it may have come before or after.
        let is_sure = user.epoch == epoch && epoch.is_multiple_of(2);
        let message = &mut user.messages[place];
        (message.process, message.answered) = (process, now());
        message.fate = match reply {
            Reply::Done(data) => {
                message.blob = data["id"].as_str().and_then(|id| id.parse().ok());
                if is_sure { Fate::Acknowledged } else { Fate::Unknown }
            }
            Reply::Refused(404, text) if is_sure => {
                self.complaints.add(format!("a user who lives is unknown to {process:?}: {id}: {text}"));
                Fate::Refused
            }
            Reply::NotSent | Reply::Refused(..) if is_sure => Fate::Refused,
            _ => Fate::Unknown,
        };
    }

    /// Flushes; sometimes waits for it.
    fn flush(&mut self, user: &Shared) {
        let (id, wait) = (user.lock().id, self.luck.random_bool(0.3));
        self.ask(user, "POST", &format!("/users/buffer/{id}/chat?wait_process={wait}"), None);
    }

    /// Reads memory, so that servers cache it.
    pub(crate) fn read(&mut self, user: &Shared) {
        let id = user.lock().id;
        let path = match self.luck.random_range(0..4) {
            0 => format!("/users/profile/{id}"),
            1 => format!("/users/event/{id}?topk=10"),
            2 => format!("/users/buffer/capacity/{id}/chat?status=idle"),
            _ => format!("/users/context/{id}?max_token_size=1000"),
        };
        self.ask(user, "GET", &path, None);
    }

    /// Deletes a message that was acknowledged a moment ago.
    fn take_back(&mut self, user: &Shared) {
        let fits = |m: &Message, life| m.life == life && m.fate == Fate::Acknowledged && m.deletion.is_none();
        let (id, place, blob) = {
            let mut user = user.lock();
            let life = user.life;
            let Some(place) = user.messages.iter().rposition(|m| fits(m, life)) else { return };
            user.messages[place].deletion = Some((now(), None));
            (user.id, place, user.messages[place].blob.unwrap())
        };
        let (_, reply) = self.ask(user, "DELETE", &format!("/blobs/{id}/{blob}"), None);
        let done = matches!(reply, Reply::Done(_)).then(now);
        let mut user = user.lock();
        if let Some((_, acknowledged)) = &mut user.messages[place].deletion {
            *acknowledged = done;
        }
    }

    pub(crate) fn create(&mut self, user: &Shared) {
        let id = {
            let mut user = user.lock();
            user.epoch += 1;
            user.id
        };
        for _ in 0..TRIES {
            let (_, reply) = self.ask(user, "POST", "/users", Some(&json!({"id": id})));
            let mut user = user.lock();
            match reply {
                // 409: an earlier try was late.
                Reply::Done(_) | Reply::Refused(409, _) => {
                    user.epoch += 1;
                    user.life += 1;
                    user.state = Life::Lives;
                    return;
                }
                Reply::NotSent => {}
                Reply::Refused(..) | Reply::Lost => user.may_come_back = true,
            }
        }
        user.lock().epoch += 1;
    }

    /// Deletes a user. When the outcome stays unknown, it may end a later life: then the user is left alone.
    pub(crate) fn delete(&mut self, user: &Shared) {
        let id = {
            let mut user = user.lock();
            user.epoch += 1;
            user.id
        };
        let (mut is_sure, mut is_gone) = (true, false);
        for _ in 0..TRIES {
            let (process, reply) = self.ask(user, "DELETE", &format!("/users/{id}"), None);
            match reply {
                Reply::Done(_) => {
                    is_gone = true;
                    break;
                }
                Reply::NotSent => continue,
                // Gone already, by an earlier try.
                Reply::Refused(404, _) if !is_sure => break,
                Reply::Refused(404, text) => {
                    self.complaints.add(format!("a user who lives is unknown to {process:?}: {id}: {text}"));
                }
                Reply::Refused(..) | Reply::Lost => {}
            }
            is_sure = false;
        }
        let mut user = user.lock();
        user.epoch += 1;
        user.state = match (is_sure, is_gone) {
            (true, true) => Life::Ended,
            (true, false) => Life::Lives,
            (false, _) => Life::Doomed,
        };
    }
}

fn draw_id(luck: &mut SmallRng) -> Uuid {
    let random = (u128::from(luck.next_u64()) << 64) | u128::from(luck.next_u64());
    uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid()
}
