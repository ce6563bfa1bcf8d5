//! Redis and Postgres of a run, and what befalls them.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use redis::Connection;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::history::{History, Loss};
use super::plan::Mode;
use super::proxy::Target;
use super::time::{MILLI, Micros, SECOND, now};
use crate::services::postgres::Cluster;
use crate::services::redis::RedisServer;

/// How often the length of Redis' file is noted.
const SAMPLING: Duration = Duration::from_millis(50);
/// With `appendfsync everysec` a machine that crashes loses so much at most, as Redis promises.
const EVERYSEC: Micros = 2 * SECOND;
/// Of the file's lengths, those of this time are known.
const MEMORY: Micros = 5 * SECOND;

/// The lengths of Redis' append-only file, newest last.
type Lengths = Mutex<VecDeque<(Micros, u64)>>;

pub(crate) struct Services {
    runtime: Handle,
    mode: Mode,
    history: Arc<History>,
    redis: RedisServer,
    store: Cluster,
    lengths: Arc<Lengths>,
    /// The last copy of Redis' folder, and when its making began.
    copy: Option<(TempDir, Micros)>,
}

impl Services {
    /// Starts both. They end with this thread.
    pub(crate) fn start(runtime: &Handle, mode: Mode, history: &Arc<History>) -> Self {
        let fsync = if mode == Mode::Everysec { "everysec" } else { "always" };
        // One file that only grows: its beginning is what was on disk at some time.
        let whole = ["--auto-aof-rewrite-percentage", "0", "--aof-load-truncated", "yes", "--save", ""];
        let redis = RedisServer::start(&[&["--appendonly", "yes", "--appendfsync", fsync], &whole[..]].concat());
        let store = runtime.block_on(Cluster::start());
        let lengths = Arc::new(Lengths::default());
        let (watched, folder) = (Arc::downgrade(&lengths), redis.folder().to_owned());
        std::thread::spawn(move || watch_length(&watched, &folder));
        let (runtime, history) = (runtime.clone(), Arc::clone(history));
        Self { runtime, mode, history, redis, store, lengths, copy: None }
    }

    pub(crate) fn targets(&self) -> (Target, Target) {
        let address = self.store.url();
        let address = address.rsplit_once('@').and_then(|(_, rest)| rest.split('/').next()).unwrap();
        (Target::Tcp(address.parse().unwrap()), Target::Unix(self.redis.socket()))
    }

    pub(crate) fn store_url(&self) -> String {
        self.store.url()
    }

    pub(crate) fn redis(&self) -> Connection {
        self.redis.connect()
    }

    pub(crate) fn store(&self) -> PgConnection {
        self.runtime.block_on(PgConnection::connect(&self.store.url())).unwrap()
    }

    /// Kills Redis. With `everysec` it takes its machine with it: of the file, that remains which had been written to
    /// it so long before (`tail`, less than a second) and thus may be the last that was on disk. What the killed process
    /// wrote stays in the page cache and would come back otherwise.
    pub(crate) fn kill_redis(&mut self, tail: Duration) {
        self.redis.kill();
        let at = now();
        if self.mode != Mode::Everysec {
            return self.history.note("redis-kill", "");
        }
        let tail = Micros::try_from(tail.as_micros()).unwrap();
        let lengths = self.lengths.lock().unwrap();
        let Some((noted, length)) = lengths.iter().rev().find(|(noted, _)| *noted <= at - tail).copied() else {
            return self.history.note("redis-kill", "too young to have lost anything");
        };
        let file = fs::File::options().write(true).open(append_only_file(self.redis.folder()).unwrap()).unwrap();
        let before = file.metadata().unwrap().len();
        // Redis itself cuts off a command that is not whole when it starts.
        let length = length.min(before);
        file.set_len(length).unwrap();
        self.history.lost(Loss { from: at - EVERYSEC, at });
        let ago = (at - noted) / MILLI;
        self.history
            .note("redis-crash", format!("{} bytes lost, the file is that of {ago} ms before", before - length));
    }

    pub(crate) fn start_redis(&mut self) {
        self.redis.start_again();
        self.lengths.lock().unwrap().clear();
        self.history.note("redis-up", "");
    }

    /// Copies the folder while Redis runs: of a file that only grows, a copy is what it was at some time meanwhile.
    pub(crate) fn copy_redis(&mut self) {
        let began = now();
        let folder = tempfile::tempdir().unwrap();
        copy(&self.redis.folder().join("appendonlydir"), &folder.path().join("appendonlydir"));
        self.copy = Some((folder, began));
        self.history.note("redis-copy", "");
    }

    /// Kills Redis and puts the last copy in its place. False when there is none.
    pub(crate) fn kill_redis_for_its_copy(&mut self) -> bool {
        let Some((copied, from)) = &self.copy else { return false };
        self.redis.kill();
        let place = self.redis.folder().join("appendonlydir");
        fs::remove_dir_all(&place).unwrap();
        self::copy(&copied.path().join("appendonlydir"), &place);
        self.history.lost(Loss { from: *from, at: now() });
        self.history.note("redis-older", format!("{} s", (now() - from) / SECOND));
        true
    }

    pub(crate) fn hang_redis(&self) {
        self.history.note("redis-hang", "");
        self.redis.hang();
    }

    pub(crate) fn thaw_redis(&self) {
        self.redis.go_on();
    }

    pub(crate) fn kill_store(&mut self, at_once: bool) {
        self.history.note("store-kill", if at_once { "kill" } else { "immediate stop" });
        if at_once { self.store.kill() } else { self.store.stop_immediately() }
    }

    pub(crate) fn start_store(&mut self) {
        self.runtime.block_on(self.store.run());
        self.history.note("store-up", "");
    }

    pub(crate) fn hang_store(&self) {
        self.history.note("store-hang", "");
        self.store.freeze();
    }

    pub(crate) fn thaw_store(&self) {
        self.store.thaw();
    }
}

/// The file that Redis appends to.
fn append_only_file(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder.join("appendonlydir")).ok()?;
    files.filter_map(|file| Some(file.ok()?.path())).filter(|path| path.to_string_lossy().ends_with(".incr.aof")).max()
}

fn watch_length(lengths: &Weak<Lengths>, folder: &Path) {
    while let Some(lengths) = lengths.upgrade() {
        let noted = now();
        let length = append_only_file(folder).and_then(|file| Some(fs::metadata(file).ok()?.len()));
        let mut lengths = lengths.lock().unwrap();
        lengths.extend(length.map(|length| (noted, length)));
        while lengths.front().is_some_and(|(first, _)| *first < noted - MEMORY) {
            lengths.pop_front();
        }
        drop(lengths);
        std::thread::sleep(SAMPLING);
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}
