//! Servers that cannot be measured, or fail.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::Desk;
use crate::server::Server;

/// A server that answers everything alike but for inserts. It serves until the test's process ends.
fn stub(all: &'static str, insert: &'static str) -> String {
    stalling_stub(all, insert, Duration::ZERO)
}

/// The same; it stands still once, at the first insert.
fn stalling_stub(all: &'static str, insert: &'static str, stall: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stall = Arc::new(Mutex::new(Some(stall)));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let stall = stall.clone();
            std::thread::spawn(move || serve(&stream, all, insert, &stall));
        }
    });
    url
}

fn serve(stream: &TcpStream, all: &str, insert: &str, stall: &Mutex<Option<Duration>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let from = head.len();
            (reader.read_line(&mut head).ok()? > 0).then_some(())?;
            let line = head[from..].to_ascii_lowercase();
            length = line.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap());
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        let is_insert = head.contains("/blobs/insert/");
        if is_insert && let Some(stall) = stall.lock().unwrap().take() {
            std::thread::sleep(stall);
        }
        let answer = if is_insert { insert } else { all };
        let (status, body) = answer.split_once(' ').unwrap();
        // In one piece: the system keeps a second one back for a while.
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        (&*stream).write_all(answer.as_bytes()).ok()?;
    }
}

const GOOD: &str = r#"200 {"data":{"id":"x"},"errno":0,"errmsg":""}"#;

#[test]
fn failed_requests_are_counted_and_end_with_an_error() {
    let desk = Desk::new();
    for (insert, kind) in [
        (r#"503 {"data":null,"errno":503,"errmsg":"full"}"#, "HTTP 503"),
        (r#"200 {"data":null,"errno":404,"errmsg":"no such user"}"#, "errno 404"),
        ("200 hello", "an answer without errno"),
    ] {
        let url = stub(GOOD, insert);
        let run = desk.run(&format!(
            "insert --url {url} --users 2 --concurrency 2 --seconds 1 --warmup 0 --rounds 1 --ceiling-seconds 0"
        ));
        assert_eq!(run.code, Some(1));
        let failures = run.workloads()[0].1["failures"].as_array().unwrap();
        assert_eq!((failures.len(), &failures[0]["kind"]), (1, &json!(kind)));
        let failed = failures[0]["count"].as_u64().unwrap();
        assert!(failed > 0 && run.stderr.contains(&format!("{failed} requests failed")), "{kind}");
        assert_eq!(run.acknowledged("insert", "insert"), 0);
        assert!(run.stdout.contains(kind), "the table tells");
    }
}

#[test]
fn dead_letters_are_failures() {
    let desk = Desk::new();
    let mut command = Server::command(desk.path(), &[]);
    command.args(["mock-model", "--port", "0", "--garbage", "100%"]);
    let model = Server::spawn(command);
    let mut command = desk.command("flush-background --users 10 --rounds 1 --ceiling-seconds 0 --concurrency 2");
    command.env("POWERMEMO_LLM_BASE_URL", &model.base).env("POWERMEMO_FLUSH_MAX_ATTEMPTS", "1");
    let run = desk.finish(command);
    assert_eq!(run.code, Some(1));
    let failures = run.workloads()[0].1["failures"].as_array().unwrap();
    assert_eq!((failures.len(), &failures[0]["kind"]), (1, &json!("became a dead letter")));
    let dead = failures[0]["count"].as_u64().unwrap();
    // Some garbage holds an answer that can be used.
    assert!(dead > 0 && dead + run.acknowledged("flush-background", "flush") == 10, "{failures:?}");
    assert!(run.json["server"]["model_latency_ms"].is_null(), "the model is another's");
}

#[test]
fn an_open_loop_charges_a_stall_to_all_who_wait() {
    let desk = Desk::new();
    let url = stalling_stub(GOOD, GOOD, Duration::from_secs(1));
    let line = "--rate 100 --concurrency 1 --users 2 --seconds 2 --warmup 0 --rounds 1 --ceiling-seconds 0";
    let run = desk.run(&format!("insert --url {url} {line}"));
    assert_eq!(run.code, Some(0));
    // A hundred requests fell due during the stall, and sent were they one after the other: were the time counted from
    // then, one of them alone would be slow. A slow machine makes them all slower yet.
    let latency = &run.workloads()[0].1["latency"];
    assert!(latency["count"].as_u64().unwrap() >= 200);
    assert!(latency["p90_ms"].as_f64().unwrap() > 500.0, "{latency}");
}

#[test]
fn a_server_that_cannot_be_measured_is_told_of() {
    let desk = Desk::new();
    let guarded = Server::start(&[("ACCESS_TOKEN", "secret")]);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, told) in [
        (guarded.base.clone(), "--token"),
        (format!("http://{nobody}"), "is not reached"),
        (format!("{}/elsewhere", guarded.base), "is --url the address"),
        (stub("404 {}", GOOD), "is --url the address"),
        ("https://127.0.0.1".to_owned(), "http://"),
    ] {
        let run = desk.run(&format!("profile --url {url} --seconds 1 --rounds 1"));
        assert_eq!(run.code, Some(1), "{url}");
        assert!(run.stderr.contains(told), "{url}: {}", run.stderr);
        assert!(run.json.is_null());
    }
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    let desk = Desk::new();
    for (line, told) in [
        ("soak insert", "soak runs alone"),
        ("profile --url http://127.0.0.1:1 --port 5", "--port is for a server that is started"),
        ("nonsense", "possible values"),
        ("--compare a.json", "2 values required"),
    ] {
        let run = desk.run(line);
        assert_eq!(run.code, Some(2), "{line}");
        assert!(run.stderr.contains(told), "{line}: {}", run.stderr);
    }
}
