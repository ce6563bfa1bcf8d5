//! Measures searches, and makes a table of what they took.

use std::collections::HashSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::data::{QUERIES, TOP, Texts, common};

/// Rounds of all queries at most.
const ROUNDS: usize = 50;

/// A contender.
pub(crate) struct Row {
    name: String,
    /// How long it took to make what is searched.
    made: Duration,
    size: String,
    latencies: Vec<Duration>,
    /// Hits of a query, mean.
    hits: f64,
    /// The share of what ought to be found that is.
    shared: f64,
}

/// What is measured, with the table.
pub(crate) struct Report {
    only: Vec<String>,
    budget: Duration,
    expected: Vec<Vec<usize>>,
    rows: Vec<Row>,
}

impl Report {
    /// Of contenders with one of these words in their names, or of all; each may take about so long. Each query is
    /// asked once in any case.
    pub(crate) fn new(only: Vec<String>, budget: Duration) -> Self {
        Self { only, budget, expected: Vec::new(), rows: Vec::new() }
    }

    /// Whether a contender is to be measured.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.only.is_empty() || self.only.iter().any(|word| name.contains(&word.to_lowercase()))
    }

    /// What each query ought to find, for the contenders that come.
    pub(crate) fn expect(&mut self, found: Vec<Vec<usize>>) {
        self.expected = found;
    }

    /// Asks each query, by its number, in turns.
    pub(crate) fn measure(
        &mut self,
        name: String,
        made: Duration,
        size: String,
        mut search: impl FnMut(usize) -> Vec<usize>,
    ) {
        eprintln!("{name} …");
        let start = Instant::now();
        // Caches are warm then. Slow ones need not be asked often for that.
        let warm = start + self.budget / 10;
        for query in 0..QUERIES.len() {
            black_box(search(query));
            if Instant::now() >= warm {
                break;
            }
        }
        let (mut latencies, mut found) = (Vec::new(), vec![Vec::new(); QUERIES.len()]);
        for round in 0..ROUNDS {
            if round > 0 && start.elapsed() > self.budget {
                break;
            }
            for (query, found) in found.iter_mut().enumerate() {
                let start = Instant::now();
                *found = black_box(search(black_box(query)));
                latencies.push(start.elapsed());
            }
        }
        latencies.sort();
        let mean = |sum: usize| sum as f64 / QUERIES.len() as f64;
        let shared =
            |(found, expected): (&Vec<usize>, &Vec<usize>)| expected.iter().filter(|hit| found.contains(hit)).count();
        let shared = found.iter().zip(&self.expected).map(shared).sum::<usize>() as f64;
        let shared = shared / self.expected.iter().map(Vec::len).sum::<usize>().max(1) as f64;
        let hits = mean(found.iter().map(Vec::len).sum());
        self.rows.push(Row { name, made, size, latencies, hits, shared });
    }

    /// Prints the table.
    pub(crate) fn print(&self, texts: &Texts) {
        let matching = |keep: fn(&str) -> bool| {
            let matching = QUERIES.iter().map(|query| {
                let words: HashSet<&str> = query.split(' ').filter(|word| keep(word)).collect();
                texts.0.iter().filter(|text| text.split(' ').any(|word| words.contains(word))).count()
            });
            matching.sum::<usize>() / QUERIES.len()
        };
        println!(
            "\n{} gists, {} queries. A query shares a word with {} gists (mean), one that is no stop word with {}.\n",
            texts.0.len(),
            QUERIES.len(),
            matching(|_| true),
            matching(|word| !common(word))
        );
        println!("| contender | p50 | p99 | searches | made in | memory or size | hits | of the expected |");
        println!("|---|---|---|---|---|---|---|---|");
        for row in &self.rows {
            let Row { name, made, size, latencies, hits, shared } = row;
            let at = |share: f64| {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
                let place = (latencies.len() as f64 * share) as usize;
                millis(latencies[place.min(latencies.len() - 1)])
            };
            let (p50, p99, searches, made) = (at(0.5), at(0.99), latencies.len(), made.as_secs_f64());
            println!(
                "| {name} | {p50} | {p99} | {searches} | {made:.1} s | {size} | {hits:.1} | {:.0}% |",
                shared * 100.0
            );
        }
        println!(
            "\nHits at most: {TOP}. Expected is, of words, what Powermemo finds by words alone; of vectors, the one near gist."
        );
    }
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// Bytes for the table.
pub(crate) fn megabytes(bytes: i64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
