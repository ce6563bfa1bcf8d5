//! The servers: processes that come and go, each with a network of its own to either service.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::runtime::Handle;

use super::history::{History, Process};
use super::proxy::{Link, Target, Weather};
use crate::services;

/// What all servers are configured with: small and short, so that much happens in a minute.
const SETTINGS: &[(&str, &str)] = &[
    ("PORT", "0"),
    ("LOG", "info,sqlx=warn"),
    ("HTTP_WORKERS", "2"),
    ("SHUTDOWN_TIMEOUT_SECONDS", "5"),
    ("DATABASE_MAX_CONNECTIONS", "6"),
    ("DATABASE_ACQUIRE_TIMEOUT_SECONDS", "2"),
    ("REDIS_TIMEOUT_SECONDS", "2"),
    ("BUFFER_REQUIRE_PERSISTENCE", "true"),
    ("BUFFER_FLUSH_INTERVAL", "2"),
    ("MAX_CHAT_BLOB_BUFFER_TOKEN_SIZE", "100"),
    ("MAX_CHAT_BLOB_BUFFER_PROCESS_TOKEN_SIZE", "150"),
    ("FLUSH_WORKERS", "12"),
    ("FLUSH_MAX_ATTEMPTS", "3"),
    ("FLUSH_LEASE_SECONDS", "2"),
    ("FLUSH_BACKOFF_MAX_SECONDS", "2"),
    ("SWEEP_INTERVAL_MS", "150"),
    ("ACTOR_IDLE_SECONDS", "1"),
    ("LLM_TIMEOUT_SECONDS", "2"),
    ("LLM_CONNECT_TIMEOUT_SECONDS", "1"),
    ("LLM_MAX_RETRIES", "1"),
    ("LLM_BREAKER_FAILURES", "5"),
    ("LLM_BREAKER_PAUSE_SECONDS", "1"),
];

/// Names another build of the program.
const PROGRAM: &str = "POWERMEMO_CHAOS_PROGRAM";

/// Where a server may stand still, to be killed there: between all steps that could leave something half done. Only
/// there with the feature `crash-points`.
const CRASH_POINTS: [&str; 12] = [
    "after_append",
    "after_take",
    "after_answer",
    "after_record_answer",
    "before_commit",
    "after_commit",
    "after_end",
    "after_reseal",
    "after_release",
    "after_discard",
    "after_delete",
    "after_supersede",
];
/// What the program writes then.
const REACHED: &str = "crash point reached: ";

/// How long a call of the model may take, its retries included.
pub(crate) const MODEL_TIMEOUT_SECONDS: i64 = 2;

/// What stands before the address in the greeting on standard output.
const GREETING: &str = " listens on ";
/// How long a server is left alone that could not start, since its services are away.
const PAUSE: Duration = Duration::from_millis(300);
/// How long a server may take to stop when it was asked to.
const LAST_WORDS: Duration = Duration::from_secs(40);

/// Where a server can be asked, while one listens there.
#[derive(Clone, Default)]
pub(crate) struct Door(Arc<Mutex<Option<(String, Process)>>>);

impl Door {
    pub(crate) fn base(&self) -> Option<(String, Process)> {
        self.0.lock().unwrap().clone()
    }
}

struct Member {
    process: Process,
    child: Option<Child>,
    /// When to start again, if it does not run.
    due: Instant,
    /// When to kill it that was asked to stop.
    leaves: Option<Instant>,
    is_still: bool,
    /// It will stand still at a crash point.
    is_armed: bool,
    /// At this one.
    point: &'static str,
    /// Set when it does.
    is_at_point: Arc<AtomicBool>,
    door: Door,
    redis: Link,
    store: Link,
}

/// All servers of a run.
pub(crate) struct Group {
    members: Vec<Member>,
    history: Arc<History>,
    logs: PathBuf,
    model: String,
    /// Decides who dies at which crash point; none in peace.
    luck: Option<SmallRng>,
    /// Servers that ended without being told to after they had listened.
    pub(crate) strange_ends: Vec<String>,
}

impl Group {
    pub(crate) fn new(
        runtime: &Handle,
        places: usize,
        (store, redis): (&Target, &Target),
        model: &str,
        (logs, history): (&Path, &Arc<History>),
        seed: u64,
    ) -> Self {
        let member = |place| Member {
            process: Process { place, start: 0 },
            child: None,
            due: Instant::now(),
            leaves: None,
            is_still: false,
            is_armed: false,
            point: "",
            is_at_point: Arc::default(),
            door: Door::default(),
            redis: Link::start(runtime, redis.clone()),
            store: Link::start(runtime, store.clone()),
        };
        let members = (0..places).map(member).collect();
        let (history, logs, model) = (Arc::clone(history), logs.to_owned(), model.to_owned());
        let luck = cfg!(feature = "crash-points").then(|| SmallRng::seed_from_u64(seed));
        Self { members, history, logs, model, luck, strange_ends: Vec::new() }
    }

    /// From now on, no server dies at a crash point. Those that would are killed at once.
    pub(crate) fn calm_down(&mut self) {
        if self.luck.take().is_some() {
            let armed: Vec<usize> = (0..self.members.len()).filter(|place| self.members[*place].is_armed).collect();
            armed.into_iter().for_each(|place| self.kill(place, Duration::ZERO));
        }
    }

    pub(crate) fn doors(&self) -> Vec<Door> {
        self.members.iter().map(|member| member.door.clone()).collect()
    }

    /// Whether all listen.
    pub(crate) fn is_up(&self) -> bool {
        self.members.iter().all(|member| member.leaves.is_none() && member.door.base().is_some())
    }

    /// Starts what should run and does not.
    pub(crate) fn tend(&mut self) {
        for place in 0..self.members.len() {
            if self.members[place].is_at_point.load(Ordering::Relaxed) {
                let member = &self.members[place];
                self.history.note("crash-point", format!("{:?} {}", member.process, member.point));
                self.kill(place, Duration::ZERO);
            }
            let member = &mut self.members[place];
            if let Some(child) = &mut member.child {
                if let Some(status) = child.try_wait().unwrap() {
                    let asked = member.leaves.take().is_some();
                    let listened = member.door.0.lock().unwrap().take().is_some();
                    if listened && !(asked && status.success()) {
                        self.strange_ends.push(format!("{:?} ended by itself: {status}", member.process));
                    }
                    member.child = None;
                    member.due = Instant::now() + if asked { Duration::ZERO } else { PAUSE };
                    self.history.note("end", format!("{:?} {status}", member.process));
                } else if member.leaves.is_some_and(|deadline| Instant::now() >= deadline) {
                    self.strange_ends.push(format!("{:?} does not stop", member.process));
                    self.kill(place, Duration::ZERO);
                }
            } else if Instant::now() >= member.due {
                self.spawn(place);
            }
        }
    }

    fn spawn(&mut self, place: usize) {
        let member = &mut self.members[place];
        member.process.start += 1;
        let process = member.process;
        let mut command = self::command(member, &self.model);
        member.is_armed = false;
        if let Some(luck) = self.luck.as_mut()
            && luck.random_bool(0.4)
        {
            member.is_armed = true;
            let point = CRASH_POINTS[luck.random_range(0..CRASH_POINTS.len())];
            member.point = point;
            command.env("CRASH_POINT", format!("{point}@{}", luck.random_range(1..4)));
        }
        command.current_dir(&self.logs).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        member.is_at_point = Arc::default();
        let log = File::create(self.logs.join(format!("server-{place}-{:03}.log", process.start))).unwrap();
        write_log(child.stderr.take().unwrap(), log, Arc::clone(&member.is_at_point));
        let (door, history) = (member.door.clone(), Arc::clone(&self.history));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        self.history.started(process);
        std::thread::spawn(move || {
            let greeting = lines.by_ref().map_while(Result::ok).find(|line| line.contains(GREETING));
            if let Some((_, base)) = greeting.as_deref().and_then(|line| line.split_once(GREETING)) {
                *door.0.lock().unwrap() = Some((base.trim().to_owned(), process));
                history.note("up", format!("{process:?}"));
            }
            // A full pipe would stop the server.
            lines.for_each(drop);
        });
        member.child = Some(child);
    }

    /// SIGKILL. It starts again after a while.
    pub(crate) fn kill(&mut self, place: usize, down: Duration) {
        let member = &mut self.members[place];
        let Some(mut child) = member.child.take() else { return };
        child.kill().unwrap();
        child.wait().unwrap();
        *member.door.0.lock().unwrap() = None;
        member.is_at_point = Arc::default();
        self.history.died();
        self.history.note("kill", format!("{:?}", member.process));
        if std::mem::take(&mut member.is_still) {
            self.history.goes_on(member.process);
        }
        member.leaves = None;
        member.due = Instant::now() + down;
    }

    /// SIGTERM. It starts again when it has ended.
    pub(crate) fn ask_to_stop(&mut self, place: usize) {
        let member = &mut self.members[place];
        if member.is_still || member.leaves.is_some() || member.door.base().is_none() {
            return;
        }
        self.history.note("term", format!("{:?}", member.process));
        member.leaves = Some(Instant::now() + LAST_WORDS);
        signal("TERM", member.child.as_ref());
    }

    /// SIGSTOP. Returns who it was, for [`Group::go_on`].
    pub(crate) fn stand_still(&mut self, place: usize) -> Process {
        let member = &mut self.members[place];
        if member.child.is_some() && !member.is_still {
            member.is_still = true;
            self.history.note("stop", format!("{:?}", member.process));
            self.history.stalls(member.process);
            signal("STOP", member.child.as_ref());
        }
        member.process
    }

    /// SIGCONT, if it is the same process still.
    pub(crate) fn go_on(&mut self, process: Process) {
        let member = &mut self.members[process.place];
        if member.process == process && std::mem::take(&mut member.is_still) {
            signal("CONT", member.child.as_ref());
            self.history.goes_on(process);
            self.history.note("cont", format!("{process:?}"));
        }
    }

    /// Changes the weather between a server and Redis or the store.
    pub(crate) fn weather(&self, place: usize, is_redis: bool, weather: Weather) {
        let member = &self.members[place];
        if is_redis { &member.redis } else { &member.store }.cut(weather);
        let service = if is_redis { "Redis" } else { "the store" };
        let kind = if weather == Weather::Open { "cut" } else { "partition" };
        self.history.note(kind, format!("server {place} and {service}: {weather:?}"));
    }

    /// Lets all go on, with a network that works.
    pub(crate) fn heal(&mut self) {
        for place in 0..self.members.len() {
            self.go_on(self.members[place].process);
            for is_redis in [true, false] {
                let member = &self.members[place];
                let link = if is_redis { &member.redis } else { &member.store };
                if link.weather() != Weather::Open {
                    self.weather(place, is_redis, Weather::Open);
                }
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for child in self.members.iter_mut().filter_map(|member| member.child.as_mut()) {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn command(member: &Member, model: &str) -> Command {
    // Another build of the program can be put to the test, too.
    let program = std::env::var_os(PROGRAM).unwrap_or_else(|| env!("CARGO_BIN_EXE_powermemo").into());
    let mut command = services::command(Path::new(&program));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|n| n.starts_with("POWERMEMO_") || ["ACCESS_TOKEN", "PROJECT_ID"].contains(&n)) {
            command.env_remove(name);
        }
    }
    command.envs(SETTINGS.iter().map(|(key, value)| (format!("POWERMEMO_{key}"), *value)));
    let Process { place, start } = member.process;
    command.env("POWERMEMO_LLM_BASE_URL", format!("{model}/{place}/{start}/v1"));
    command.env("DATABASE_URL", format!("postgres://tester@{}/postgres", member.store.address));
    command.env("REDIS_URL", format!("redis://{}", member.redis.address));
    command.env_remove("OPENAI_API_KEY").env_remove("OPENAI_BASE_URL");
    command
}

/// Keeps what a server writes, and tells when it stands at a crash point.
fn write_log(from: ChildStderr, mut to: File, is_at_point: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if line.starts_with(REACHED) {
                is_at_point.store(true, Ordering::Relaxed);
            }
            // The disk may be full: the run goes on, and the pipe must be emptied.
            let _ = writeln!(to, "{line}");
        }
    });
}

fn signal(name: &str, child: Option<&Child>) {
    let Some(child) = child else { return };
    // It may have ended by itself.
    let _ = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
}
