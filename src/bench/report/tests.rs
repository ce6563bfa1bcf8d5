use super::*;

fn latency(p50_ms: f64) -> Latency {
    let [p90_ms, p99_ms, p999_ms, max_ms] = [2.0, 3.0, 4.0, 5.0].map(|factor| p50_ms * factor);
    Latency { count: 10, mean_ms: p50_ms, p50_ms, p90_ms, p99_ms, p999_ms, max_ms }
}

pub(super) fn outcome(workload: &str, rate: Option<u32>, users: u32, throughput: f64, p50_ms: f64) -> Outcome {
    let round = Round {
        seconds: 3.0,
        throughput,
        ceiling: Some(throughput * 4.0),
        ratio: Some(0.25),
        latency: latency(p50_ms),
        series: vec![10, 11, 12],
        slowest_ms: vec![1.0, 2.0, 9.0],
        cpu: Cpu { client_us: Some(7.0), server_us: None },
        resident_bytes: Some(1 << 26),
        delay_p99_ms: rate.map(|_| 0.5),
        unsent: 0,
    };
    let kind =
        |name: &str| Kind { name: name.to_owned(), count: 33, acknowledged: 40, throughput, latency: latency(p50_ms) };
    Outcome {
        workload: workload.to_owned(),
        connections: 64,
        rate,
        users,
        throughput: Spread { median: throughput, min: throughput * 0.9, max: throughput * 1.1 },
        ratio: Some(Spread { median: 0.25, min: 0.25, max: 0.25 }),
        latency: latency(p50_ms),
        curve: vec![(0.0, 0.1), (50.0, p50_ms), (99.0, p50_ms * 3.0), (100.0, p50_ms * 5.0)],
        operations: vec![kind("one"), kind("other")],
        failures: Vec::new(),
        rounds: vec![round.clone(), round],
        soak: None,
    }
}

/// A report that has everything.
pub(super) fn report() -> Report {
    let mut failed = outcome("insert", None, 10_000, 5_000.0, 1.5);
    let failure = Failure { kind: "HTTP 429".to_owned(), count: 3, example: "HTTP 429: too much".to_owned() };
    failed.failures.push(failure);
    let mut soak = outcome("soak", None, 2_000, 700.0, 9.0);
    soak.soak = Some(Soak { resident_quarters: vec![1e8, 1.1e8, 1.1e8, 1.1e8], left: 0, dead: 1 });
    Report {
        format: FORMAT,
        version: "0.1.0".to_owned(),
        date: "2026-11-22T10:00:00Z".to_owned(),
        machine: Machine { cores: 2, processor: "Fast".to_owned(), memory_bytes: 8 << 30, system: "linux".to_owned() },
        server: Server {
            url: "http://127.0.0.1:8019".to_owned(),
            started_here: true,
            about: vec!["data here".to_owned()],
            model_latency_ms: Some(200),
        },
        parameters: Parameters {
            seconds: 3,
            warmup: 1,
            rounds: 2,
            ceiling_seconds: 1,
            threads: 1,
            turns: 5,
            conversations: 20,
        },
        ceilings: vec![Ceiling {
            connections: 64,
            throughput: Spread { median: 20_000.0, min: 19_000.0, max: 21_000.0 },
            latency: latency(0.6),
            cpu: Cpu { client_us: Some(6.0), server_us: Some(9.0) },
        }],
        workloads: vec![
            failed,
            outcome("profile", Some(500), 100, 500.0, 0.4),
            outcome("profile", Some(1_000), 100, 1_000.0, 0.8),
            outcome("profile", Some(500), 1_000, 499.0, 0.5),
            soak,
        ],
        notes: vec!["a note".to_owned()],
    }
}

#[test]
fn a_report_goes_through_json() {
    let report = report();
    let json = serde_json::to_string_pretty(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

#[test]
fn the_table_tells_what_failed() {
    let table = table(&report());
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("workload") && lines[0].ends_with("failed"), "{table}");
    let insert = lines.iter().find(|line| line.starts_with("insert")).unwrap();
    let cells: Vec<&str> = insert.split_whitespace().collect();
    let wanted =
        ["insert", "64", "conn.", "10,000", "5,000", "4,500-5,500", "0.250", "1.50", "3.00", "4.50", "6.00", "3"];
    assert_eq!(cells, wanted, "{table}");
    for text in [
        "insert x64, 10000 users: 3 failed: HTTP 429: too much",
        "MB: 100, 110, 110, 110",
        "with dead letters 1",
        "note: a note",
    ] {
        assert!(table.contains(text), "{text} in {table}");
    }
}

#[test]
fn results_are_compared_load_by_load() {
    let (a, mut b) = (report(), report());
    b.workloads.remove(0);
    b.workloads[0] = outcome("profile", Some(500), 100, 1_000.0, 0.2);
    b.workloads.push(outcome("mixed", None, 5, 1.0, 1.0));
    let text = compare(&a, &b).unwrap();
    let profile: Vec<&str> =
        text.lines().find(|l| l.starts_with("profile at 500/s, 100 users")).unwrap().split_whitespace().collect();
    assert_eq!(
        profile,
        ["profile", "at", "500/s,", "100", "users", "500", "1,000", "2.00", "1.00", "0.50", "1.20", "0.60", "0.50"],
        "{text}"
    );
    assert!(
        text.contains("only in A: insert x64, 10000 users") && text.contains("only in B: mixed x64, 5 users"),
        "{text}"
    );
    assert!(!text.contains("different machines"));
    b.machine.cores += 1;
    assert!(compare(&a, &b).unwrap().contains("different machines"));
    b.format += 1;
    assert!(compare(&a, &b).unwrap_err().contains("format 2"));
}
