//! The result as one page that opens from disk: nothing in it is fetched.

use minijinja::Environment;
use minijinja::value::{Serde, Value};
use serde::Serialize;

use super::chart::{Chart, Line, Plot, Scale};
use super::numbers::short;
use super::{Outcome, Report};

/// The templates. Their names decide that what is filled in is escaped.
const TEMPLATES: [(&str, &str); 2] =
    [("page.html", include_str!("page.html")), ("chart.html", include_str!("chart.html"))];

/// All that the page shows.
#[derive(Serialize)]
struct Page<'a> {
    report: &'a Report,
    memory_gb: String,
    ceilings: Vec<Vec<String>>,
    sections: Vec<Section<'a>>,
    overviews: Vec<String>,
}

/// A workload under a load, as the page shows it.
#[derive(Serialize)]
struct Section<'a> {
    label: String,
    outcome: &'a Outcome,
    throughput: String,
    range: String,
    ratio: String,
    latency: Vec<String>,
    kinds: Vec<Vec<String>>,
    failed: u64,
    charts: Vec<String>,
}

/// The result as a page.
///
/// # Errors
/// When the template is wrong; a test knows first.
pub(crate) fn page(report: &Report) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    for (name, text) in TEMPLATES {
        environment.add_template(name, text)?;
    }
    let drawn = |charts: Vec<Chart>| -> Result<Vec<String>, minijinja::Error> {
        let template = environment.get_template("chart.html")?;
        charts.into_iter().map(|chart| template.render(Value::from(Serde(chart)))).collect()
    };
    let ceilings = report.ceilings.iter().map(|ceiling| {
        let cpu = |us: Option<f64>| us.map_or("–".to_owned(), short);
        vec![
            ceiling.connections.to_string(),
            short(ceiling.throughput.median),
            format!("{}–{}", short(ceiling.throughput.min), short(ceiling.throughput.max)),
            short(ceiling.latency.p50_ms),
            short(ceiling.latency.p99_ms),
            cpu(ceiling.cpu.client_us),
            cpu(ceiling.cpu.server_us),
        ]
    });
    let section = |outcome| Ok(section(outcome, drawn(charts(outcome))?));
    let sections = report.workloads.iter().map(section).collect::<Result<_, minijinja::Error>>()?;
    environment.get_template("page.html")?.render(Value::from(Serde(Page {
        report,
        memory_gb: short(report.machine.memory_bytes as f64 / 1e9),
        ceilings: ceilings.collect(),
        sections,
        overviews: drawn(overviews(report))?,
    })))
}

fn section(outcome: &Outcome, charts: Vec<String>) -> Section<'_> {
    let latency = |l: &super::Latency| [l.p50_ms, l.p90_ms, l.p99_ms, l.p999_ms, l.max_ms].map(short).to_vec();
    let kind = |kind: &super::Kind| {
        let mut row = vec![kind.name.clone(), short(kind.throughput)];
        row.extend(latency(&kind.latency));
        row
    };
    let is_one = outcome.operations.len() < 2;
    Section {
        label: outcome.label(),
        outcome,
        throughput: short(outcome.throughput.median),
        range: format!("{}–{}", short(outcome.throughput.min), short(outcome.throughput.max)),
        ratio: outcome.ratio.map_or(String::new(), |ratio| format!("{:.3}", ratio.median)),
        latency: latency(&outcome.latency),
        kinds: if is_one { Vec::new() } else { outcome.operations.iter().map(kind).collect() },
        failed: outcome.failed(),
        charts,
    }
}

fn charts(outcome: &Outcome) -> Vec<Chart> {
    [distribution(outcome), over_time(outcome), slowest(outcome)].into_iter().flatten().collect()
}

fn axis(label: &str, scale: Scale) -> (String, Scale) {
    (label.to_owned(), scale)
}

/// How long answers took.
fn distribution(outcome: &Outcome) -> Option<Chart> {
    let line = Line { label: "all rounds".to_owned(), points: outcome.curve.clone(), dots: false };
    let plot = Plot {
        title: "Latency distribution".to_owned(),
        x: axis("percentile", Scale::Nines),
        y: axis("ms", Scale::Logarithmic),
        lines: vec![line],
    };
    (outcome.latency.count > 0).then(|| plot.chart())
}

/// How many answers came, second by second.
fn over_time(outcome: &Outcome) -> Option<Chart> {
    let lines = by_round(outcome, |round| round.series.iter().map(|answers| *answers as f64).collect())?;
    let (x, y) = (axis("seconds", Scale::Linear), axis("answers/s", Scale::Linear));
    Some(Plot { title: "Throughput over time".to_owned(), x, y, lines }.chart())
}

/// How long the slowest answer took, second by second.
fn slowest(outcome: &Outcome) -> Option<Chart> {
    let lines = by_round(outcome, |round| round.slowest_ms.clone())?;
    let (x, y) = (axis("seconds", Scale::Linear), axis("ms", Scale::Logarithmic));
    Some(Plot { title: "Slowest answer over time".to_owned(), x, y, lines }.chart())
}

/// A line for each round, from second by second; none when there are no two seconds to draw a line between.
fn by_round(outcome: &Outcome, series: impl Fn(&super::Round) -> Vec<f64>) -> Option<Vec<Line>> {
    let line = |(number, round): (usize, &super::Round)| {
        let points = series(round).into_iter().zip(0_u32..).map(|(y, second)| (f64::from(second) + 0.5, y)).collect();
        Line { label: format!("round {}", number + 1), points, dots: false }
    };
    let lines: Vec<Line> = outcome.rounds.iter().enumerate().map(line).collect();
    lines.iter().any(|line| line.points.len() > 1).then_some(lines)
}

/// Charts over several loads of one workload: latency against load, and throughput against users.
fn overviews(report: &Report) -> Vec<Chart> {
    let mut names: Vec<&str> = report.workloads.iter().map(|outcome| outcome.workload.as_str()).collect();
    names.dedup();
    names.into_iter().flat_map(|name| [against_load(report, name), against_users(report, name)]).flatten().collect()
}

fn against_load(report: &Report, name: &str) -> Option<Chart> {
    let mut outcomes: Vec<&Outcome> = report.workloads.iter().filter(|outcome| outcome.workload == name).collect();
    let first = outcomes.first()?;
    let (users, loads) = (first.users, |o: &Outcome| (o.rate, o.connections));
    outcomes.retain(|outcome| outcome.users == users);
    if outcomes.iter().all(|outcome| loads(outcome) == loads(outcomes[0])) {
        return None;
    }
    outcomes.sort_by(|a, b| a.throughput.median.total_cmp(&b.throughput.median));
    let line = |label: &str, of: fn(&Outcome) -> f64| {
        let points = outcomes.iter().map(|outcome| (outcome.throughput.median, of(outcome))).collect();
        Line { label: label.to_owned(), points, dots: true }
    };
    let lines = vec![
        line("p50", |o| o.latency.p50_ms),
        line("p99", |o| o.latency.p99_ms),
        line("p99.9", |o| o.latency.p999_ms),
    ];
    let (x, y) = (axis("answers/s", Scale::Linear), axis("ms", Scale::Logarithmic));
    Some(Plot { title: format!("{name}: latency against load"), x, y, lines }.chart())
}

fn against_users(report: &Report, name: &str) -> Option<Chart> {
    let mut outcomes: Vec<&Outcome> = report.workloads.iter().filter(|outcome| outcome.workload == name).collect();
    let first = outcomes.first()?;
    let load = (first.rate, first.connections);
    outcomes.retain(|outcome| (outcome.rate, outcome.connections) == load);
    if outcomes.len() < 2 {
        return None;
    }
    outcomes.sort_by_key(|outcome| outcome.users);
    let points = outcomes.iter().map(|outcome| (f64::from(outcome.users), outcome.throughput.median)).collect();
    let lines = vec![Line { label: "answers/s".to_owned(), points, dots: true }];
    let (x, y) = (axis("users", Scale::Logarithmic), axis("answers/s", Scale::Linear));
    Some(Plot { title: format!("{name}: throughput against users"), x, y, lines }.chart())
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn the_page_holds_all_and_fetches_nothing() {
        let mut report = report();
        report.notes.push("<script>alert(1)</script>".to_owned());
        let page = page(&report).unwrap();
        for text in ["insert x64", "profile at 500", "Latency distribution", "Throughput over time", "HTTP 429"] {
            assert!(page.contains(text), "{text}");
        }
        assert!(page.contains("profile: latency against load") && page.contains("profile: throughput against users"));
        assert!(!page.contains("<script>"), "what is filled in is escaped");
        assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("url("), "nothing is fetched");
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    }
}
