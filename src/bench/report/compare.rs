//! Two results side by side: how the second relates to the first.

use std::collections::HashMap;

use super::numbers::short;
use super::table::aligned;
use super::{FORMAT, Outcome, Report};

const HEAD: [&str; 10] =
    ["workload", "", "A /s", "B /s", "B/A", "of ceiling B/A", "p50 B/A", "p99 ms A", "p99 ms B", "p99 B/A"];

/// How the second result relates to the first, as a table. Loads that only one of them has are named below it.
///
/// # Errors
/// When a result is of another version.
pub(crate) fn compare(a: &Report, b: &Report) -> Result<String, String> {
    for report in [a, b] {
        if report.format != FORMAT {
            return Err(format!("a result has format {}, and this program reads format {FORMAT}", report.format));
        }
    }
    let of_a: HashMap<String, &Outcome> = a.workloads.iter().map(|outcome| (outcome.label(), outcome)).collect();
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    let mut alone: Vec<String> = Vec::new();
    for after in &b.workloads {
        match of_a.get(&after.label()) {
            Some(before) => rows.push(row(before, after)),
            None => alone.push(format!("only in B: {}", after.label())),
        }
    }
    let of_b: Vec<String> = b.workloads.iter().map(Outcome::label).collect();
    let only_a = a.workloads.iter().map(Outcome::label).filter(|label| !of_b.contains(label));
    alone.extend(only_a.map(|label| format!("only in A: {label}")));
    if a.machine != b.machine {
        alone.push("A and B were measured on different machines".to_owned());
    }
    let mut text = aligned(&rows);
    alone.iter().for_each(|line| text.push_str(&format!("\n{line}")));
    text.push('\n');
    Ok(text)
}

fn row(a: &Outcome, b: &Outcome) -> Vec<String> {
    let ceiling = match (a.ratio, b.ratio) {
        (Some(a), Some(b)) => ratio(a.median, b.median),
        _ => "-".to_owned(),
    };
    vec![
        a.label(),
        if a.failed() + b.failed() > 0 { "FAILED".to_owned() } else { String::new() },
        short(a.throughput.median),
        short(b.throughput.median),
        ratio(a.throughput.median, b.throughput.median),
        ceiling,
        ratio(a.latency.p50_ms, b.latency.p50_ms),
        short(a.latency.p99_ms),
        short(b.latency.p99_ms),
        ratio(a.latency.p99_ms, b.latency.p99_ms),
    ]
}

fn ratio(a: f64, b: f64) -> String {
    if a > 0.0 { short(b / a) } else { "-".to_owned() }
}
