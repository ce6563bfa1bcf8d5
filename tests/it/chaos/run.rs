//! One run: load and faults for a while, then peace, then the verdict.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::answers::Answers;
use super::client::{Client, Reply};
use super::group::Group;
use super::history::{History, Process};
use super::ledger::{Ledger, Life, Shared};
use super::load::{Complaints, Worker};
use super::model::{Model, Mood};
use super::plan::{Fault, Mode, plan};
use super::proxy::Weather;
use super::services::Services;
use super::time::{self, SECOND, now};
use crate::services;

/// What a run is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    pub(crate) mode: Mode,
    /// How long load and faults last.
    pub(crate) length: Duration,
}

/// Servers.
const PLACES: usize = 3;
const CLIENTS: usize = 10;
const USERS_PER_CLIENT: usize = 24;
/// Users whom somebody reads all the time until the end, so that all servers have them cached.
const READ_USERS: usize = 16;
/// Users of whom something new is told in the end.
const TELLERS: usize = 6;
/// How often what is due is looked for.
const TICK: Duration = Duration::from_millis(10);
/// How long it may take until everything is up, and all that was acknowledged has taken effect.
const PATIENCE: Duration = Duration::from_secs(120);
/// A server that is killed before it tells the others of a change leaves them with what they have cached for so long at
/// most; all other changes arrive within 100 ms.
const TRUST: i64 = 31 * SECOND;
/// Thus servers are not killed in the end.
const CALM: Duration = Duration::from_secs(12);

/// Undoes a fault.
enum Recovery {
    Continue(Process),
    Network(usize, bool),
    StartRedis,
    ThawRedis,
    StartStore,
    ThawStore,
}

pub(super) struct Run {
    pub(super) options: Options,
    pub(super) history: Arc<History>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) complaints: Complaints,
    pub(super) client: Client,
    pub(super) group: Group,
    pub(super) model: Model,
    pub(super) answers: Answers,
    pub(super) services: Services,
    pub(super) logs: Option<TempDir>,
    pub(super) runtime: Runtime,
    recoveries: Vec<(Instant, Recovery)>,
    /// Redis and Postgres: one thing at a time befalls each.
    redis_suffers: bool,
    store_suffers: bool,
}

impl Run {
    /// Starts everything. To be called on the thread that lives as long as the run.
    pub(super) fn start(options: Options) -> Self {
        services::tie();
        time::begin();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (history, logs) = (Arc::new(History::default()), tempfile::tempdir().unwrap());
        let services = Services::start(runtime.handle(), options.mode, &history);
        let model = Model::start(options.seed);
        let (store, redis) = services.targets();
        let places = (logs.path(), &history);
        let mut group = Group::new(runtime.handle(), PLACES, (&store, &redis), &model.url(), places, options.seed);
        let deadline = Instant::now() + PATIENCE;
        while !group.is_up() {
            assert!(Instant::now() < deadline, "the servers do not start; their logs are in {:?}", logs.keep());
            group.tend();
            std::thread::sleep(TICK);
        }
        let answers = Answers::watch(runtime.handle(), services.store_url());
        let client = Client::new(group.doors());
        Self {
            options,
            history,
            ledger: Arc::default(),
            complaints: Complaints::default(),
            client,
            group,
            model,
            answers,
            services,
            logs: Some(logs),
            runtime,
            recoveries: Vec::new(),
            redis_suffers: false,
            store_suffers: false,
        }
    }

    fn worker(&self, number: usize, users: usize) -> Worker {
        let seed = self.options.seed.wrapping_mul(1_000).wrapping_add(number as u64);
        Worker::new(seed, self.client.clone(), &self.ledger, &self.complaints, users)
    }

    /// Load and faults until the time is up; then everything is made to work again.
    pub(super) fn rage(&mut self) {
        let began = Instant::now();
        let Options { seed, mode, length } = self.options;
        let killing = length.saturating_sub(CALM);
        let clients: Vec<JoinHandle<()>> = (0..CLIENTS)
            .map(|number| {
                let mut worker = self.worker(number, USERS_PER_CLIENT);
                std::thread::spawn(move || worker.run(began + length))
            })
            .collect();
        let mut faults = plan(seed, mode, PLACES, length, killing).into_iter().peekable();
        while began.elapsed() < length {
            while let Some((_, fault)) = faults.next_if(|(at, _)| *at <= began.elapsed()) {
                self.strike(fault);
            }
            if began.elapsed() >= killing {
                self.group.calm_down();
            }
            self.tend();
            std::thread::sleep(TICK);
        }
        self.history.note("peace", "");
        self.model.set(Mood::default());
        while !clients.iter().all(JoinHandle::is_finished) || !self.recoveries.is_empty() {
            self.tend();
            std::thread::sleep(TICK);
        }
        self.group.heal();
        for client in clients {
            client.join().expect("a client panicked");
        }
    }

    fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(place, down) => self.group.kill(place, down),
            Fault::Term(place) => self.group.ask_to_stop(place),
            Fault::Stop(place, pause) => {
                let process = self.group.stand_still(place);
                self.later(pause, Recovery::Continue(process));
            }
            Fault::Network(place, is_redis, weather, pause) => {
                self.group.weather(place, is_redis, weather);
                if weather != Weather::Open {
                    self.later(pause, Recovery::Network(place, is_redis));
                }
            }
            Fault::CopyRedis if !self.redis_suffers => self.services.copy_redis(),
            Fault::KillRedis(down, tail) if !self.redis_suffers => {
                self.services.kill_redis(tail);
                self.redis_suffers = true;
                self.later(down, Recovery::StartRedis);
            }
            Fault::OlderRedis(down) if !self.redis_suffers && self.services.kill_redis_for_its_copy() => {
                self.redis_suffers = true;
                self.later(down, Recovery::StartRedis);
            }
            Fault::HangRedis(pause) if !self.redis_suffers => {
                self.services.hang_redis();
                self.redis_suffers = true;
                self.later(pause, Recovery::ThawRedis);
            }
            Fault::KillStore(at_once, down) if !self.store_suffers => {
                self.services.kill_store(at_once);
                self.store_suffers = true;
                self.later(down, Recovery::StartStore);
            }
            Fault::HangStore(pause) if !self.store_suffers => {
                self.services.hang_store();
                self.store_suffers = true;
                self.later(pause, Recovery::ThawStore);
            }
            Fault::Model(mood) => {
                self.history.note("model", format!("{mood:?}"));
                self.model.set(mood);
            }
            _ => {}
        }
    }

    fn later(&mut self, pause: Duration, recovery: Recovery) {
        self.recoveries.push((Instant::now() + pause, recovery));
    }

    /// Does what is due, faults aside.
    fn tend(&mut self) {
        let now = Instant::now();
        let due: Vec<Recovery> = self.recoveries.extract_if(.., |(at, _)| *at <= now).map(|(_, due)| due).collect();
        for recovery in due {
            match recovery {
                Recovery::Continue(process) => self.group.go_on(process),
                Recovery::Network(place, is_redis) => self.group.weather(place, is_redis, Weather::Open),
                Recovery::StartRedis => self.services.start_redis(),
                Recovery::ThawRedis => self.services.thaw_redis(),
                Recovery::StartStore => self.services.start_store(),
                Recovery::ThawStore => self.services.thaw_store(),
            }
            match recovery {
                Recovery::StartRedis | Recovery::ThawRedis => self.redis_suffers = false,
                Recovery::StartStore | Recovery::ThawStore => self.store_suffers = false,
                Recovery::Continue(_) | Recovery::Network(..) => {}
            }
        }
        self.group.tend();
    }

    /// Waits until all that was acknowledged has taken effect, with somebody reading meanwhile, and until what servers
    /// have cached must be the present state. Tells what is left to do when that takes too long.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<JoinHandle<()>> = (0..2).map(|number| self.reader(number, Arc::clone(&stop))).collect();
        let settled = self.wait_until_idle().and_then(|()| {
            self.end_the_doomed();
            self.wait_until_idle()
        });
        let trusted = self.history.last_death() + TRUST;
        while settled.is_ok() && now() < trusted {
            self.tend();
            std::thread::sleep(TICK);
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().expect("a reader panicked");
        }
        settled.and_then(|()| {
            self.last_words();
            self.wait_until_idle()
        })
    }

    /// Keeps some users in the caches of all servers.
    fn reader(&self, number: usize, stop: Arc<AtomicBool>) -> JoinHandle<()> {
        let (client, users) = (self.client.clone(), self.read_users());
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for user in users.iter().skip(number).step_by(2) {
                    for place in 0..client.places() {
                        for path in ["profile", "context"] {
                            client.ask(place, "GET", &format!("/users/{path}/{}", user.who().0), None);
                        }
                    }
                }
            }
        })
    }

    pub(super) fn read_users(&self) -> Vec<Shared> {
        // Those of whom most was told.
        let mut users = self.ledger.users();
        users.retain(|user| user.lock().state == Life::Lives);
        users.sort_by_key(|user| std::cmp::Reverse(user.lock().messages.len()));
        users.truncate(READ_USERS);
        users
    }

    fn wait_until_idle(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let (mut redis, mut store) = (self.services.redis(), self.services.store());
        loop {
            self.tend();
            let waiting = super::leftovers::waiting(&mut redis);
            let orders = self.runtime.block_on(super::leftovers::purge_orders(&mut store));
            if self.group.is_up() && waiting.is_empty() && orders == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let up = self.group.is_up();
                return Err(format!("all up: {up}; {orders} purge orders; in the journal: {waiting:?}"));
            }
            std::thread::sleep(10 * TICK);
        }
    }

    /// In peace, what one server has acknowledged is shown by all others within 100 ms, though they had something else
    /// in their caches.
    fn last_words(&self) {
        std::thread::scope(|threads| {
            for (number, user) in self.read_users().into_iter().take(TELLERS).enumerate() {
                let mut worker = self.worker(CLIENTS + 1 + number, 0);
                threads.spawn(move || worker.last_words(&user));
            }
        });
    }

    /// Users whose deletion was not answered are deleted for good, now that nothing goes wrong any more.
    fn end_the_doomed(&self) {
        for user in self.ledger.users() {
            if user.lock().state != Life::Doomed {
                continue;
            }
            let path = format!("/users/{}", user.who().0);
            let deadline = Instant::now() + PATIENCE;
            // A server may have found out only now that its connection to Redis is broken.
            while !matches!(self.client.ask(0, "DELETE", &path, None).1, Reply::Done(_) | Reply::Refused(404, _)) {
                if Instant::now() >= deadline {
                    self.complaints.add(format!("DELETE {path} fails though nothing is wrong"));
                    break;
                }
                std::thread::sleep(TICK);
            }
        }
    }
}
