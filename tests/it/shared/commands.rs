//! `powermemo doctor`, `migrate` and `journal move`, and what keeps a server from starting on the wrong journal.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{Site, block_on, user};
use crate::services::postgres::Cluster;

/// Whether the program ended well, and all that it said.
fn run(command: Command, args: &[&str]) -> (bool, String) {
    run_logged("error", command, args)
}

/// As [`run`], with a log.
fn run_logged(log: &str, mut command: Command, args: &[&str]) -> (bool, String) {
    command.args(args).env("POWERMEMO_LOG", log).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.success(), out + &err)
}

/// The program without Redis.
fn without_redis(site: &Site) -> Command {
    let mut command = site.command(&[]);
    command.env_remove("REDIS_URL");
    command
}

#[test]
fn the_journal_moves_with_all_that_waits() {
    let site = Site::new();
    let server = site.start(&[]);
    let [waits, sealed] = [user(&server.client), user(&server.client)];
    server.client.insert(&waits, "I live in Turin.").unwrap();
    server.client.insert(&sealed, "I live in Oslo.").unwrap();
    let (moved, told) = run(site.command(&[]), &["journal", "move", "store"]);
    assert!(!moved && told.contains("stop it first"), "a server runs: {told}");
    assert!(server.server.stop_gracefully().success());

    let (started, told) = run(without_redis(&site), &[]);
    assert!(!started && told.contains("journal move store"), "{told}");
    let (moved, told) = run(site.command(&[]), &["journal", "move", "store"]);
    assert!(moved && told.contains("2 messages that waited") && told.contains("2 users"), "{told}");

    // The server would find nothing in Redis, and says so.
    let (started, told) = run(site.command(&[]), &[]);
    assert!(!started && told.contains("journal move redis"), "{told}");
    let mut command = without_redis(&site);
    command.env("POWERMEMO_LOG", "error");
    let server = crate::server::Server::spawn(command);
    let client = crate::crash::client::Client::new(&server.base);
    assert_eq!(client.capacity(&waits, "idle").as_array().unwrap().len(), 1);
    client.flush(&waits).unwrap();
    assert_eq!(client.event_lines(&waits), ["I live in Turin."]);
    assert!(server.stop_gracefully().success());

    let (moved, told) = run(site.command(&[]), &["journal", "move", "redis"]);
    assert!(moved && told.contains("1 message that waited and 0 of open batches were moved, of 1 user\n"), "{told}");
    let server = site.start(&[]);
    server.client.flush(&sealed).unwrap();
    assert_eq!(server.client.event_lines(&sealed), ["I live in Oslo."]);
    assert_eq!(server.client.event_lines(&waits), ["I live in Turin."]);
}

#[test]
fn servers_that_start_at_once_agree_on_a_new_redis() {
    let site = Site::new();
    let folder = tempfile::tempdir().unwrap();
    let log = |number: usize| folder.path().join(number.to_string());
    let start = |number| {
        let mut command = site.command(&[("POWERMEMO_LOG", "error")]);
        command.stderr(std::fs::File::create(log(number)).unwrap());
        crate::server::Server::spawn(command)
    };
    let servers = std::thread::scope(|scope| {
        [0, 1, 2].map(|number| scope.spawn(move || start(number))).map(|starting| starting.join().unwrap())
    });
    let clients = [0, 1, 2].map(|number| crate::crash::client::Client::new(&servers[number].base));
    let user = user(&clients[0]);
    for client in &clients {
        client.insert(&user, "I live in Turin.").unwrap();
    }
    assert_eq!(clients[0].capacity(&user, "idle").as_array().unwrap().len(), 3);
    for number in 0..3 {
        assert_eq!(std::fs::read_to_string(log(number)).unwrap(), "", "nothing is wrong");
    }
}

#[test]
fn a_strange_redis_is_refused_and_an_empty_one_is_not_taken_for_the_journal() {
    let [site, other] = [Site::new(), Site::new()];
    for site in [&site, &other] {
        assert!(site.start(&[]).server.stop_gracefully().success());
    }
    let url = other.redis.url();
    let (started, told) = run(site.command(&[("REDIS_URL", &url)]), &[]);
    assert!(!started && told.contains("another store"), "{told}");
    // Another prefix is another journal; it is empty, so there is nothing to move from it.
    let elsewhere = [("POWERMEMO_REDIS_KEY_PREFIX", "elsewhere")];
    for to in ["store", "redis"] {
        let (moved, told) = run(site.command(&elsewhere), &["journal", "move", to]);
        assert!(!moved && told.contains("--abandon"), "{told}");
    }
    assert_eq!(
        site.redis.query::<Option<String>>(&["GET", "elsewhere:journal_id"]),
        None,
        "it is not taken for the journal"
    );
    let (moved, told) = run(site.command(&elsewhere), &["journal", "move", "store", "--abandon"]);
    assert!(moved, "{told}");
}

#[test]
fn the_doctor_tells_what_is_wrong_and_what_to_do() {
    // The Postgres that tests share keeps nothing through a crash, and the doctor would say so.
    let cluster = block_on(Cluster::start());
    let site = Site::on_cluster(&cluster);
    let (fine, told) = run_logged("info", site.command(&[]), &["doctor"]);
    assert!(fine && told.contains("ok    migrations") && told.contains("the first start makes them"), "{told}");
    assert!(told.contains("appendfsync always"), "{told}");
    let is_finding = |line: &str| ["ok  ", "note", "    ", "noth"].iter().any(|start| line.starts_with(start));
    assert!(told.lines().all(is_finding), "nothing of what it does is in the log: {told}");
    let (done, told) = run(site.command(&[]), &["migrate"]);
    assert!(done && told.contains("up to date"), "{told}");
    let (fine, told) = run(site.command(&[]), &["doctor"]);
    assert!(fine && told.contains("the tables are up to date"), "{told}");

    let _: String = site.redis.query(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let (fine, told) = run(site.command(&[]), &["doctor"]);
    assert!(!fine && told.contains("-> set maxmemory-policy noeviction"), "{told}");
    let _: String = site.redis.query(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let _: String = site.redis.query(&["CONFIG", "SET", "appendonly", "no"]);
    let (fine, told) = run(site.command(&[]), &["doctor"]);
    assert!(fine && told.contains("WARN  persistence") && told.contains("-> set appendonly yes"), "{told}");
    assert!(told.ends_with("nothing is bad, 1 warning\n"), "{told}");
    let strict = [("POWERMEMO_BUFFER_REQUIRE_PERSISTENCE", "true")];
    let (fine, told) = run(site.command(&strict), &["doctor"]);
    assert!(!fine && told.contains("BAD   persistence"), "{told}");
    let (started, told) = run(site.command(&strict), &[]);
    assert!(!started && told.contains("set appendonly yes"), "{told}");

    let away = [
        ("DATABASE_URL", "postgres://nobody:secret@127.0.0.1:9/x"),
        ("POWERMEMO_LLM_BASE_URL", "http://127.0.0.1:9/v1"),
        ("REDIS_URL", "redis://:secret@127.0.0.1:9"),
    ];
    let (fine, told) = run_logged("info", site.command(&away), &["doctor"]);
    assert!(!told.contains("INFO") && told.contains("-> start Postgres"), "{told}");
    assert!(!fine && told.matches("BAD ").count() == 3 && told.matches("-> ").count() >= 3, "{told}");
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn the_doctor_tells_a_wrong_password_from_a_wrong_name() {
    let cluster = block_on(Cluster::start());
    let site = Site::on_cluster(&cluster);
    // Whoever is called locked has to give a password; the others are trusted.
    block_on(async {
        let mut conn = PgConnection::connect(&cluster.url()).await.unwrap();
        let file: String = sqlx::query_scalar("SHOW hba_file").fetch_one(&mut conn).await.unwrap();
        let rules = "host all locked 127.0.0.1/32 scram-sha-256\nhost all tester 127.0.0.1/32 trust\n";
        std::fs::write(file, rules).unwrap();
        conn.execute("CREATE ROLE locked LOGIN PASSWORD 'right'; SELECT pg_reload_conf()").await.unwrap();
    });
    let url = |who: &str, name: &str| cluster.url().replace("tester", who).replace("/postgres", name);
    let expect = |url: String, advice: &str| {
        let began = Instant::now();
        loop {
            let (fine, told) = run(site.command(&[("DATABASE_URL", &url)]), &["doctor"]);
            if !fine && told.contains(advice) {
                assert!(!told.contains("wrong"), "the password is in no finding: {told}");
                return;
            }
            // The rules are read again in a moment.
            assert!(began.elapsed() < Duration::from_secs(20), "{told}");
        }
    };
    expect(url("locked:wrong", "/postgres"), "-> mend user and password");
    expect(url("stranger", "/postgres"), "-> mend the user in database_url");
    expect(url("tester", "/missing"), "-> make it (CREATE DATABASE");
}

#[test]
fn the_doctor_finds_messages_that_no_server_would_find() {
    let cluster = block_on(Cluster::start());
    let site = Site::on_cluster(&cluster);
    let note = |key: &'static str, value: &'static str| {
        block_on(async {
            let mut conn = PgConnection::connect(&cluster.url()).await.unwrap();
            let sql = "INSERT INTO meta (key, value) VALUES ($1, $2)
                ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            sqlx::query(sql).bind(key).bind(value).execute(&mut conn).await.unwrap();
        });
    };
    let insert = |command: Command| {
        let server = crate::server::Server::spawn(command);
        let client = crate::crash::client::Client::new(&server.base);
        client.insert(&user(&client), "I live in Turin.").unwrap();
        assert!(server.stop_gracefully().success());
    };
    insert(site.command(&[]));
    let (fine, told) = run(site.command(&[]), &["doctor"]);
    assert!(fine && told.contains("store and Redis belong together"), "{told}");
    note("journal", "store");
    let (fine, told) = run(site.command(&[]), &["doctor"]);
    assert!(!fine && told.contains("messages of this store wait in Redis"), "{told}");
    insert(without_redis(&site));
    note("journal", "redis");
    for command in [site.command(&[]), without_redis(&site)] {
        let (fine, told) = run(command, &["doctor"]);
        assert!(!fine && told.contains("messages wait in the store's own journal"), "{told}");
    }
    note("journal_move", "redis");
    for command in [site.command(&[]), without_redis(&site)] {
        let (fine, told) = run(command, &["doctor"]);
        assert!(!fine && told.contains("a move to Redis was begun"), "{told}");
        assert!(told.contains("-> stop all servers and run `powermemo journal move redis`"), "{told}");
    }
}

#[test]
fn an_embedded_database_that_is_left_behind_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new();
    let beside = [("POWERMEMO_DATA_DIR", folder.path().to_str().unwrap())];
    let embedded = crate::server::Server::start_in(folder.path(), &[]);
    let client = crate::crash::client::Client::new(&embedded.base);
    let (fine, told) = run(site.command(&beside), &["doctor"]);
    assert!(!told.contains("data_dir") && !told.contains("embedded"), "nobody is in it, {fine}: {told}");
    client.insert(&user(&client), "I live in Turin.").unwrap();
    // One that runs, one that was killed, one that was stopped.
    let told_of = |told: &str| told.contains("WARN  data_dir") && told.contains("the embedded database in ");
    let (_, told) = run(site.command(&beside), &["doctor"]);
    assert!(told_of(&told), "{told}");
    embedded.kill();
    let (_, told) = run(site.command(&beside), &["doctor"]);
    assert!(told_of(&told), "{told}");
    let embedded = crate::server::Server::start_in(folder.path(), &[]);
    assert!(embedded.stop_gracefully().success());
    let (_, told) = run(site.command(&beside), &["doctor"]);
    assert!(told_of(&told), "{told}");
    // Without Postgres, the doctor looks at it as well.
    let alone = crate::server::Server::command(folder.path(), &[("REDIS_URL", &site.redis.url())]);
    let (fine, told) = run(alone, &["doctor"]);
    assert!(!fine && told.contains("the journal is in the store, and redis_url is set"), "{told}");

    let start = || {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = site.command(&beside);
        let server = crate::server::Server::spawn({
            command.stderr(log.reopen().unwrap());
            command
        });
        let client = crate::crash::client::Client::new(&server.base);
        user(&client);
        assert!(server.stop_gracefully().success());
        std::fs::read_to_string(log.path()).unwrap()
    };
    assert_eq!(start().matches("this Postgres has no users yet").count(), 1);
    assert_eq!(start().matches("this Postgres").count(), 0, "it has one now");
}

#[test]
fn the_doctor_reads_no_endless_list_of_models() {
    const PLENTY: usize = 64 << 20;
    let endpoint = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/v1", endpoint.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = endpoint.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").unwrap();
        let (part, mut written) = ([b' '; 1 << 16], 0);
        while written < PLENTY && stream.write_all(&part).is_ok() {
            written += part.len();
        }
        written
    });
    let folder = tempfile::tempdir().unwrap();
    let envs = [("POWERMEMO_LLM_BASE_URL", base.as_str())];
    let (fine, told) = run(crate::server::Server::command(folder.path(), &envs), &["doctor"]);
    assert!(fine && told.contains("not as OpenAI would"), "{told}");
    assert!(!told.contains("in the store;"), "nobody looked: {told}");
    let written = serving.join().unwrap();
    assert!(written < PLENTY, "it took all");
}
