//! Servers that cannot be measured, or fail.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::json;

use super::Desk;
use crate::server::Server;

/// A server that answers everything alike but for inserts. It serves until the test's process ends.
fn stub(all: &'static str, insert: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(&stream, all, insert));
        }
    });
    url
}

fn serve(stream: &TcpStream, all: &str, insert: &str) -> Option<()> {
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
        let answer = if head.contains("/blobs/insert/") { insert } else { all };
        let (status, body) = answer.split_once(' ').unwrap();
        write!(&*stream, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok()?;
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
