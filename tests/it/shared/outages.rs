//! What a client sees while something that a server needs is away, and how it heals.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::http::Request;

use super::{Running, Site, block_on, user};
use crate::crash::client::Client;
use crate::server::Server;
use crate::services::postgres::Cluster;

/// How long something may take to heal.
const PATIENCE: Duration = Duration::from_secs(60);

/// The status, the `Retry-After` header and the body of an answer.
fn ask(running: &Running, method: &str, path: &str, body: Option<Value>) -> (u16, Option<String>, Value) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
    let agent: ureq::Agent = config.build().into();
    let request = Request::builder().method(method).uri(format!("{}/api/v1{path}", running.server.base));
    let request = request.header("Content-Type", "application/json");
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let mut response = agent.run(request.body(body).unwrap()).unwrap();
    let retry = response.headers().get("Retry-After").map(|value| value.to_str().unwrap().to_owned());
    let body = serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
    (response.status().as_u16(), retry, body)
}

fn insert(running: &Running, user: &str, text: &str) -> (u16, Option<String>, Value) {
    let body = json!({"blob_type": "chat", "blob_data": {"messages": [{"role": "user", "content": text}]}});
    ask(running, "POST", &format!("/blobs/insert/{user}"), Some(body))
}

#[track_caller]
fn assert_away((status, retry, body): (u16, Option<String>, Value)) {
    assert_eq!((status, retry.is_some(), body["errno"].as_i64()), (503, true, Some(503)), "{body}");
}

#[track_caller]
fn assert_good((status, _, body): (u16, Option<String>, Value)) {
    assert_eq!((status, &body["errno"]), (200, &json!(0)), "{body}");
}

/// Tries until it is good.
fn heal(what: &str, mut attempt: impl FnMut() -> (u16, Option<String>, Value)) {
    let began = Instant::now();
    while attempt().0 != 200 {
        assert!(began.elapsed() < PATIENCE, "{what} does not heal");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server whose log goes to a file.
struct Logged {
    running: Running,
    log: tempfile::NamedTempFile,
}

impl Logged {
    fn start(site: &Site, envs: &[(&str, &str)]) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = site.command(envs);
        command
            .env("POWERMEMO_LOG", "info,sqlx=error")
            .env("POWERMEMO_SWEEP_INTERVAL_MS", "10")
            .stderr(log.reopen().unwrap());
        let server = Server::spawn(command);
        let client = Client::new(&server.base);
        Self { running: Running { server, client }, log }
    }

    /// Waits until the log has this.
    fn says(&self, text: &str) {
        let began = Instant::now();
        while !self.log().contains(text) {
            assert!(began.elapsed() < PATIENCE, "the log lacks {text:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the server complained of, one line each, but for the requests that failed.
    fn complaints(&self) -> Vec<String> {
        let log = self.log();
        let of_interest =
            |line: &&str| (line.contains(" WARN ") || line.contains(" ERROR ")) && !line.contains("answered");
        log.lines().filter(of_interest).map(str::to_owned).collect()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }
}

/// How many of them have this.
fn count(lines: &[String], text: &str) -> usize {
    lines.iter().filter(|line| line.contains(text)).count()
}

fn health(running: &Running) {
    assert_good(ask(running, "GET", "/healthcheck", None));
}

#[test]
fn without_redis_reads_go_on_and_inserts_are_told_to_wait() {
    let mut site = Site::new();
    let running = site.start(&[]);
    let known = user(&running.client);
    let other = user(&running.client);
    running.client.insert(&known, "I live in Turin.").unwrap();
    running.client.flush(&known).unwrap();
    running.client.insert(&known, "I live in Oslo.").unwrap();
    site.redis.kill();
    assert_away(insert(&running, &known, "I live in Quito."));
    assert_away(ask(&running, "POST", &format!("/users/buffer/{known}/chat?wait_process=true"), None));
    // What was in the cache, and what was not.
    for user in [&known, &other] {
        assert_good(ask(&running, "GET", &format!("/users/context/{user}"), None));
        assert_good(ask(&running, "GET", &format!("/users/profile/{user}"), None));
        assert_good(ask(&running, "GET", &format!("/users/event/{user}"), None));
    }
    // A profile is changed and read, though nobody else can be told.
    let slot = json!({"content": "x", "attributes": {"topic": "t", "sub_topic": "s"}});
    assert_good(ask(&running, "POST", &format!("/users/profile/{known}"), Some(slot)));
    assert_eq!(running.client.profile(&known).len(), 2);
    health(&running);
    site.redis.start_again();
    heal("the journal", || insert(&running, &known, "I live in Hanoi."));
    running.client.flush(&known).unwrap();
    let lines = running.client.event_lines(&known);
    assert_eq!(lines, ["I live in Turin.", "I live in Oslo.", "I live in Hanoi."]);
}

#[test]
fn the_log_says_once_that_redis_is_away_and_once_that_it_is_back() {
    let mut site = Site::new();
    let logged = Logged::start(&site, &[]);
    let user = user(&logged.running.client);
    site.redis.kill();
    for _ in 0..20 {
        assert_away(insert(&logged.running, &user, "I live in Turin."));
    }
    site.redis.start_again();
    logged.says("Redis is back");
    heal("the journal", || insert(&logged.running, &user, "I live in Oslo."));
    let complaints = logged.complaints();
    for told in ["the connection to Redis is lost", "the journal failed", "changes of other processes may be missed"] {
        assert_eq!(count(&complaints, told), 1, "{told}: {complaints:#?}");
    }
    assert!(complaints.len() < 8, "{complaints:#?}");
    let Logged { running, log } = logged;
    assert!(running.server.stop_gracefully().success());
    let log = std::fs::read_to_string(log.path()).unwrap();
    assert_eq!((log.matches("Redis is back").count(), log.matches("is lost").count()), (1, 1), "{log}");
}

#[test]
fn the_log_says_once_that_postgres_is_away_and_once_that_it_is_back() {
    let mut cluster = block_on(Cluster::start());
    let site = Site::on_cluster(&cluster);
    let logged = Logged::start(&site, &[("POWERMEMO_DATABASE_ACQUIRE_TIMEOUT_SECONDS", "1")]);
    let [known, stranger] = [user(&logged.running.client), user(&logged.running.client)];
    logged.running.client.insert(&known, "I live in Turin.").unwrap();
    cluster.stop_immediately();
    let flush = format!("/users/buffer/{known}/chat?wait_process=true");
    for _ in 0..20 {
        assert_away(insert(&logged.running, &stranger, "I live in Quito."));
        ask(&logged.running, "POST", &flush, None);
    }
    logged.says("Postgres is away");
    block_on(cluster.run());
    logged.says("Postgres is back");
    heal("the store", || insert(&logged.running, &stranger, "I live in Lisbon."));
    logged.says("the sign that this server runs is up again");
    let complaints = logged.complaints();
    let telling = ["Postgres is away", "the store failed", "flush failed", "the sign that this server runs is down"];
    for told in telling {
        assert_eq!(count(&complaints, told), 1, "{told}: {complaints:#?}");
    }
    // A line for each way in which Postgres can fail to answer.
    let failed = count(&complaints, "postgres failed");
    assert!((1..=4).contains(&failed) && complaints.len() < 12, "{complaints:#?}");
    let log = logged.log();
    let back = log.lines().find(|line| line.contains("Postgres is back")).unwrap();
    assert!(back.contains("held_back="), "{back}");
}

#[test]
fn a_full_redis_refuses_inserts_and_heals_by_flushing() {
    let site = Site::new();
    let running = site.start(&[]);
    let user = user(&running.client);
    running.client.insert(&user, "I live in Turin.").unwrap();
    let _: String = site.redis.query(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_away(insert(&running, &user, "I live in Oslo."));
    assert_good(ask(&running, "GET", &format!("/users/context/{user}"), None));
    // What is flushed makes room, even in a Redis that is full.
    running.client.flush(&user).unwrap();
    assert_eq!(running.client.event_lines(&user), ["I live in Turin."]);
    let _: String = site.redis.query(&["CONFIG", "SET", "maxmemory", "0"]);
    heal("the journal", || insert(&running, &user, "I live in Hanoi."));
    running.client.flush(&user).unwrap();
    assert_eq!(running.client.event_lines(&user), ["I live in Turin.", "I live in Hanoi."]);
}

#[test]
fn without_postgres_known_users_are_heard_and_reads_come_from_the_cache() {
    let mut cluster = block_on(Cluster::start());
    let site = Site::on_cluster(&cluster);
    let quick = [("POWERMEMO_DATABASE_ACQUIRE_TIMEOUT_SECONDS", "1"), ("POWERMEMO_SWEEP_INTERVAL_MS", "100")];
    let backoff = [("POWERMEMO_FLUSH_BACKOFF_MAX_SECONDS", "1")];
    let running = site.start(&[&quick[..], &backoff].concat());
    let known = user(&running.client);
    let stranger = user(&running.client);
    running.client.insert(&known, "I live in Turin.").unwrap();
    running.client.flush(&known).unwrap();
    assert_good(ask(&running, "GET", &format!("/users/context/{known}"), None));
    cluster.stop_immediately();
    assert_good(insert(&running, &known, "I live in Oslo."));
    assert_good(ask(&running, "GET", &format!("/users/context/{known}"), None));
    assert_good(ask(&running, "GET", &format!("/users/profile/{known}"), None));
    assert_away(insert(&running, &stranger, "I live in Quito."));
    assert_away(ask(&running, "GET", &format!("/users/context/{stranger}"), None));
    let flush = ask(&running, "POST", &format!("/users/buffer/{known}/chat?wait_process=true"), None);
    assert_eq!(flush.2["errno"], 503, "{}", flush.2);
    assert_eq!(running.client.capacity(&known, "processing").as_array().unwrap().len(), 1, "the flush waits");
    assert_good(insert(&running, &known, "I live in Hanoi."));
    health(&running);
    block_on(cluster.run());
    heal("the store", || insert(&running, &stranger, "I live in Lisbon."));
    // The flush that waited goes on by itself.
    let began = Instant::now();
    while running.client.event_lines(&known).len() < 2 {
        assert!(began.elapsed() < PATIENCE, "the flush did not go on");
        std::thread::sleep(Duration::from_millis(50));
    }
    running.client.flush(&known).unwrap();
    let lines = running.client.event_lines(&known);
    assert_eq!(lines, ["I live in Turin.", "I live in Oslo.", "I live in Hanoi."]);
}

#[test]
fn a_redis_that_was_emptied_is_noticed() {
    let site = Site::new();
    let running = site.start(&[]);
    let user = user(&running.client);
    running.client.insert(&user, "I live in Turin.").unwrap();
    let name: String = site.redis.query(&["GET", "pm:journal_id"]);
    let _: String = site.redis.query(&["FLUSHALL"]);
    let began = Instant::now();
    // The server says so in its log when it names the journal anew.
    while site.redis.query::<Option<String>>(&["GET", "pm:journal_id"]) != Some(name.clone()) {
        assert!(began.elapsed() < PATIENCE, "nobody noticed");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_good(insert(&running, &user, "I live in Oslo."));
    running.client.flush(&user).unwrap();
    assert_eq!(running.client.event_lines(&user), ["I live in Oslo."]);
}

#[test]
fn without_a_model_everything_but_flushes_goes_on() {
    let site = Site::new();
    // Nobody listens there.
    let model = [("POWERMEMO_LLM_BASE_URL", "http://127.0.0.1:9/v1"), ("POWERMEMO_LLM_MAX_RETRIES", "0")];
    let running = site.start(&model);
    let user = user(&running.client);
    running.client.insert(&user, "I live in Turin.").unwrap();
    let flush = ask(&running, "POST", &format!("/users/buffer/{user}/chat?wait_process=true"), None);
    assert_eq!((flush.0, &flush.2["errno"]), (200, &json!(503)), "{}", flush.2);
    assert_good(insert(&running, &user, "I live in Oslo."));
    assert_good(ask(&running, "GET", &format!("/users/context/{user}"), None));
    assert_eq!(running.client.capacity(&user, "failed"), json!([]), "an outage kills no message");
    assert!(running.server.stop_gracefully().success());
    // The rules come in its place: what waited takes effect.
    let rules = site.start(&[]);
    while rules.client.event_lines(&user).len() < 2 {
        rules.client.flush(&user).unwrap();
    }
    assert_eq!(rules.client.event_lines(&user), ["I live in Turin.", "I live in Oslo."]);
}
