//! The result as a table of text.

use super::numbers::short;
use super::{Latency, Outcome, Report, Spread};

const HEAD: [&str; 11] =
    ["workload", "load", "users", "/s", "from-to", "of ceiling", "p50 ms", "p90", "p99", "p99.9", "failed"];

/// The result as text of several lines.
pub(crate) fn table(report: &Report) -> String {
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    for ceiling in &report.ceilings {
        let mut row = vec!["ceiling".to_owned(), format!("{} conn.", ceiling.connections), String::new()];
        row.extend([short(ceiling.throughput.median), range(&ceiling.throughput), String::new()]);
        row.extend(latency(&ceiling.latency));
        row.push(String::new());
        rows.push(row);
    }
    report.workloads.iter().for_each(|outcome| rows.extend(of_workload(outcome)));
    let mut text = aligned(&rows);
    for outcome in &report.workloads {
        for failure in &outcome.failures {
            text.push_str(&format!("\n{}: {} failed: {}", outcome.label(), failure.count, failure.example));
        }
        if let Some(soak) = &outcome.soak {
            let megabytes: Vec<_> = soak.resident_quarters.iter().map(|bytes| short(bytes / 1e6)).collect();
            if !megabytes.is_empty() {
                text.push_str(&format!("\nsoak: memory of the server by quarter, MB: {}", megabytes.join(", ")));
            }
            text.push_str(&format!("\nsoak: users with messages left {}, with dead letters {}", soak.left, soak.dead));
        }
    }
    if let Some(cpu) = report.ceilings.first().map(|ceiling| ceiling.cpu) {
        let shown = |us: Option<f64>| us.map_or("unknown".to_owned(), |us| format!("{} us", short(us)));
        let (client, server) = (shown(cpu.client_us), shown(cpu.server_us));
        text.push_str(&format!("\nprocessor time of a health check: client {client}, server {server}"));
    }
    report.notes.iter().for_each(|note| text.push_str(&format!("\nnote: {note}")));
    text.push('\n');
    text
}

fn of_workload(outcome: &Outcome) -> Vec<Vec<String>> {
    let load = match outcome.rate {
        Some(rate) => format!("{}/s", short(f64::from(rate))),
        None => format!("{} conn.", outcome.connections),
    };
    let mut row = vec![outcome.workload.clone(), load, short(f64::from(outcome.users))];
    row.extend([short(outcome.throughput.median), range(&outcome.throughput)]);
    row.push(outcome.ratio.map_or(String::new(), |ratio| format!("{:.3}", ratio.median)));
    row.extend(latency(&outcome.latency));
    row.push(outcome.failed().to_string());
    let mut rows = vec![row];
    if outcome.operations.len() > 1 {
        for kind in &outcome.operations {
            let mut row = vec![format!("  {}", kind.name), String::new(), String::new(), short(kind.throughput)];
            row.extend([String::new(), String::new()]);
            row.extend(latency(&kind.latency));
            row.push(String::new());
            rows.push(row);
        }
    }
    rows
}

fn latency(latency: &Latency) -> [String; 4] {
    [latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p999_ms].map(short)
}

fn range(spread: &Spread) -> String {
    format!("{}-{}", short(spread.min), short(spread.max))
}

/// Columns below each other: the first two to the left, the others to the right.
pub(super) fn aligned(rows: &[Vec<String>]) -> String {
    const LEFT: usize = 2;
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column < LEFT { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
