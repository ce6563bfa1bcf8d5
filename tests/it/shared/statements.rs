//! What requests cost the back ends: the commands and statements that a server sends for them are counted, so that one
//! more is noticed, however fast the machine.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use redis::Value;
use sqlx::{Connection as _, PgConnection, query_as, query_scalar};

use super::{Running, Site, block_on, user};
use crate::crash::client::{Client, PATIENCE};
use crate::model::endpoint::Endpoint;
use crate::server::Server;
use crate::services::postgres::TestDatabase;

/// Requests of a kind.
const REQUESTS: u32 = 20;
/// Sweeps are rare.
const CALM: (&str, &str) = ("POWERMEMO_SWEEP_INTERVAL_MS", "60000");
/// How long nothing must be sent until a server counts as quiet.
const QUIET: Duration = Duration::from_millis(200);
/// What servers send by themselves: signs of life, and whether the journal is still there.
const BACKGROUND: [&str; 3] = ["\"PING\"", "\"GET\" \"pm:journal_id\"", "SELECT $1"];
/// What goes over connections that have nothing else to do.
const SIGN_OF_LIFE: &str = "SELECT 1";
/// What each sweep begins with.
const SWEEP: &str = "SELECT project_id, user_id, incarnation FROM tombstones WHERE purged_at IS NULL ORDER BY";

/// How often each was sent: commands of Redis by their name, statements of Postgres with their white space made one.
type Sent = BTreeMap<String, u32>;

/// Sees what all servers of a site send.
struct Meter {
    database: String,
    /// Of its own, so that nothing that the meter asks is counted.
    elsewhere: TestDatabase,
    monitor: redis::Connection,
    marker: redis::Connection,
    markers: u32,
}

impl Meter {
    fn new(site: &Site) -> Self {
        let elsewhere = block_on(TestDatabase::new());
        block_on(prepare(&elsewhere.url()));
        // Before it is watched: a connection introduces itself.
        let (mut monitor, marker) = (site.redis.connect(), site.redis.connect());
        monitor.set_read_timeout(Some(PATIENCE)).unwrap();
        redis::cmd("MONITOR").exec(&mut monitor).unwrap();
        let database = url::Url::parse(&site.database).unwrap().path().trim_start_matches('/').to_owned();
        Self { database, elsewhere, monitor, marker, markers: 0 }
    }

    /// All that is sent while `work` is done, and until nothing more comes of it. What was under way before is not. When
    /// a sweep came in between, all is done again.
    fn during(&mut self, work: impl Fn()) -> Sent {
        loop {
            let (_, before) = self.until_quiet();
            work();
            let (mut sent, after) = self.until_quiet();
            for (statement, calls) in after {
                let calls = calls - before.get(&statement).copied().unwrap_or_default();
                if calls > 0 {
                    sent.insert(statement, calls);
                }
            }
            // Now and then a connection that listens is asked whether it lives.
            sent.remove(SIGN_OF_LIFE);
            if !sent.keys().any(|statement| statement.starts_with(SWEEP)) {
                return sent;
            }
        }
    }

    /// The commands until nothing is sent any more, and all statements that ever were.
    fn until_quiet(&mut self) -> (Sent, Sent) {
        let (mut commands, mut statements) = (self.commands(), self.statements());
        let deadline = Instant::now() + PATIENCE;
        let mut since = Instant::now();
        while since.elapsed() < QUIET {
            assert!(Instant::now() < deadline, "there is no end to it: {commands:?}");
            std::thread::sleep(QUIET / 10);
            let (more, now) = (self.commands(), self.statements());
            if !more.is_empty() || now != statements {
                since = Instant::now();
            }
            for (command, calls) in more {
                *commands.entry(command).or_default() += calls;
            }
            statements = now;
        }
        (commands, statements)
    }

    /// The commands since the last call, but those that a script gives.
    fn commands(&mut self) -> Sent {
        self.markers += 1;
        let marker = format!("marker {}", self.markers);
        redis::cmd("ECHO").arg(&marker).exec(&mut self.marker).unwrap();
        let mut sent = Sent::new();
        loop {
            let Value::SimpleString(line) = self.monitor.recv_response().unwrap() else { panic!("not a line") };
            // 1732579200.123456 [0 unix:/path] "EVALSHA" "…", and [0 lua] for the commands of a script.
            let (origin, command) = line.split_once("] ").unwrap();
            if command.contains(&marker) {
                return sent;
            }
            if !origin.ends_with(" lua") && !BACKGROUND.contains(&command) {
                let name = command.split('"').nth(1).unwrap();
                *sent.entry(name.to_owned()).or_default() += 1;
            }
        }
    }

    /// All statements so far.
    fn statements(&self) -> Sent {
        let sql =
            "SELECT s.query, sum(s.calls)::bigint FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid
            WHERE d.datname = $1 GROUP BY s.query";
        let all: Vec<(String, i64)> = block_on(async {
            let mut conn = PgConnection::connect(&self.elsewhere.url()).await.unwrap();
            query_as(sql).bind(&self.database).fetch_all(&mut conn).await.unwrap()
        });
        let one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let all = all.into_iter().map(|(text, calls)| (one_line(text), u32::try_from(calls).unwrap()));
        all.filter(|(text, _)| !BACKGROUND.contains(&text.as_str())).collect()
    }
}

/// Lets a database show what statements were sent to all of its server.
async fn prepare(url: &str) {
    let mut conn = PgConnection::connect(url).await.unwrap();
    let libraries: String = query_scalar("SHOW shared_preload_libraries").fetch_one(&mut conn).await.unwrap();
    assert!(
        libraries.contains("pg_stat_statements"),
        "the Postgres for tests does not count statements: run scripts/test, or start it with \
         shared_preload_libraries=pg_stat_statements (Debian: in the package postgresql)"
    );
    sqlx::query("CREATE EXTENSION pg_stat_statements").execute(&mut conn).await.unwrap();
}

/// The same with statements cut short.
fn beginnings(sent: &Sent) -> Sent {
    sent.iter().map(|(text, calls)| (text.chars().take(60).collect(), *calls)).collect()
}

/// A user who is known to the server and has a buffer, a profile and an event.
fn active_user(client: &Client) -> String {
    let user = user(client);
    client.insert(&user, "I live in Turin.").unwrap();
    client.flush(&user).unwrap();
    client.insert(&user, "Hello.").unwrap();
    user
}

fn insert(client: &Client, user: &str, times: u32) {
    for number in 0..times {
        client.insert(user, &format!("Hello {number}.")).unwrap();
    }
}

fn read(client: &Client, user: &str, times: u32) {
    for _ in 0..times {
        assert_eq!(client.profile(user).len(), 1);
        let context = client.call("GET", &format!("/users/context/{user}"), None).unwrap();
        assert!(context["context"].as_str().unwrap().contains("Turin"), "{context}");
    }
}

#[test]
fn an_insert_is_one_script_and_a_read_from_the_cache_nothing() {
    let site = Site::new();
    let Running { client, server: _server } = site.start(&[CALM]);
    let (user, mut meter) = (active_user(&client), Meter::new(&site));
    let sent = meter.during(|| insert(&client, &user, REQUESTS));
    assert_eq!(sent, Sent::from([("EVALSHA".to_owned(), REQUESTS)]));
    // Into the cache, if that is new or has become old.
    read(&client, &user, 1);
    let sent = meter.during(|| read(&client, &user, REQUESTS));
    assert_eq!(sent, Sent::new());
}

#[test]
fn an_insert_without_redis_is_one_statement_and_inserts_at_once_share_it() {
    let site = Site::new();
    let mut command = site.command(&[CALM]);
    let server = Server::spawn({
        command.env_remove("REDIS_URL");
        command
    });
    let client = Client::new(&server.base);
    let (users, mut meter) = ([(); 16].map(|()| active_user(&client)), Meter::new(&site));
    let sent = meter.during(|| insert(&client, &users[0], REQUESTS));
    // No BEGIN and no COMMIT: each is a transaction of its own.
    assert_eq!(sent.values().copied().collect::<Vec<_>>(), [REQUESTS], "{sent:#?}");
    assert!(sent.keys().all(|text| text.contains("INSERT INTO journal_entries")), "{sent:#?}");
    read(&client, &users[0], 1);
    let sent = meter.during(|| read(&client, &users[0], REQUESTS));
    assert_eq!(sent, Sent::new());

    let start = Barrier::new(users.len());
    let sent = meter.during(|| {
        std::thread::scope(|scope| {
            for user in &users {
                scope.spawn(|| {
                    let client = Client::new(&server.base);
                    start.wait();
                    insert(&client, user, REQUESTS);
                });
            }
        });
    });
    let (all, inserts) = (sent.values().sum::<u32>(), REQUESTS * 16);
    assert!(sent.len() == 1 && all < inserts, "{all} for {inserts}: {sent:#?}");
}

/// What an insert and its flush send, with the beginnings of the statements.
///
/// Redis: the scripts that append the blob, and that take and discard the batch, which is looked for first (the levels, and what is sealed), and
/// the news for other servers. Postgres: the profile is read, and all is committed by one statement, a paid answer with it.
const FLUSH: [(&str, u32); 6] = [
    ("EVALSHA", 3),
    ("HGETALL", 1),
    ("PUBLISH", 1),
    ("SELECT a.n, u.incarnation, u.revision AS memory_revision, s.", 1),
    ("WITH asked AS MATERIALIZED ( SELECT * FROM unnest($1::text[]", 1),
    ("ZRANGEBYLEX", 1),
];

#[test]
fn a_flush_is_two_statements_with_a_paid_model_too() {
    let (site, endpoint) = (Site::new(), Endpoint::start([]));
    let base_url = endpoint.base_url();
    let paid = [CALM, ("POWERMEMO_LLM_BASE_URL", base_url.as_str())];
    for envs in [&paid[..1], &paid] {
        let Running { client, server: _server } = site.start(envs);
        let (user, mut meter) = (active_user(&client), Meter::new(&site));
        let sent = meter.during(|| {
            client.insert(&user, "I live in Oslo. I work as a nurse.").unwrap();
            client.flush(&user).unwrap();
        });
        let wanted = FLUSH.iter().map(|(text, calls)| ((*text).to_owned(), *calls)).collect();
        assert_eq!(beginnings(&sent), wanted, "{sent:#?}");
    }
}

#[test]
fn a_quota_costs_an_insert_nothing() {
    let (site, endpoint) = (Site::new(), Endpoint::start([]));
    let base_url = endpoint.base_url();
    let quota = ("POWERMEMO_PROJECT_TOKEN_QUOTA_PER_MONTH", "100000");
    let Running { client, server: _server } = site.start(&[CALM, ("POWERMEMO_LLM_BASE_URL", base_url.as_str()), quota]);
    let (user, mut meter) = (active_user(&client), Meter::new(&site));
    let sent = meter.during(|| insert(&client, &user, REQUESTS));
    assert_eq!(sent, Sent::from([("EVALSHA".to_owned(), REQUESTS)]));
    let less = serde_json::json!({"token_quota_per_month": 1});
    client.call("PATCH", "/admin/projects/__root__", Some(&less)).unwrap();
    // It is used up: whether it still is, is looked at now and then, not for each.
    let sent = meter.during(|| (0..REQUESTS).for_each(|_| drop(client.insert(&user, "Hello.").unwrap_err())));
    assert!(sent.len() <= 2 && sent.values().all(|calls| *calls <= 2), "{sent:#?}");
}
