//! Results that were written are read again.

use serde_json::json;

use super::Desk;

#[test]
fn results_are_compared() {
    let desk = Desk::new();
    let line = "profile --seconds 1 --warmup 0 --rounds 1 --ceiling-seconds 0 --users 2 --concurrency 2";
    let run = desk.run(line);
    assert_eq!(run.code, Some(0));
    let [a, b] = ["a.json", "b.json"].map(|name| desk.path().join(name));
    let mut result = run.json;
    std::fs::write(&a, result.to_string()).unwrap();
    let outcome = &mut result["workloads"][0];
    outcome["throughput"]["median"] = json!(outcome["throughput"]["median"].as_f64().unwrap() * 3.0);
    outcome["latency"]["p99_ms"] = json!(outcome["latency"]["p99_ms"].as_f64().unwrap() * 2.0);
    std::fs::write(&b, result.to_string()).unwrap();
    let output = desk.command("--compare").args([&a, &b]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let row = text.lines().find(|line| line.starts_with("profile x2, 2 users")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!((cells[6], cells[8], cells[11]), ("3.00", "1.00", "2.00"), "{text}");
    std::fs::write(&b, "{}").unwrap();
    let output = desk.command("--compare").args([&a, &b]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("b.json is no result of powermemo bench"));
}
