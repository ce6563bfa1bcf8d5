//! `powermemo doctor`, `migrate` and `journal move`, and what keeps a server from starting on the wrong journal.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use super::{Site, block_on, user};
use crate::services::postgres::Cluster;

/// Whether the program ended well, and all that it said.
fn run(mut command: Command, args: &[&str]) -> (bool, String) {
    command.args(args).env("POWERMEMO_LOG", "error").stdout(Stdio::piped()).stderr(Stdio::piped());
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
    assert!(moved && told.contains("2 messages that wait") && told.contains("2 users"), "{told}");

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
    assert!(moved && told.contains("1 messages that wait"), "{told}");
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
    let (fine, told) = run(site.command(&[]), &["doctor"]);
    assert!(fine && told.contains("no tables yet") && told.contains("appendfsync always"), "{told}");
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
    assert!(fine && told.contains("-> set appendonly yes"), "{told}");
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
    let (fine, told) = run(site.command(&away), &["doctor"]);
    assert!(!fine && told.matches("BAD ").count() == 3 && told.matches("-> ").count() >= 3, "{told}");
    assert!(!told.contains("secret"), "{told}");
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
