//! Ctrl-C ends the bench and what it has started.

use std::io::{BufRead as _, BufReader};
use std::process::Command;

use super::Desk;

#[test]
fn ctrl_c_ends_everything() {
    let desk = Desk::new();
    for signal in ["-INT", "-TERM"] {
        let mut child = desk.command("insert --seconds 600 --users 10 --ceiling-seconds 0").spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        // It tells once its server listens.
        let about = lines.find(|line| line.starts_with("server ")).unwrap();
        let url = about.split_whitespace().nth(1).unwrap().trim_end_matches(',').to_owned();
        assert!(ureq::get(format!("{url}/api/v1/healthcheck")).call().is_ok());
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let rest: Vec<String> = lines.collect();
        assert_eq!(child.wait().unwrap().code(), Some(1));
        assert!(rest.iter().any(|line| line.contains("interrupted")), "{rest:?}");
        assert!(ureq::get(format!("{url}/api/v1/healthcheck")).call().is_err(), "the server is gone");
    }
}
