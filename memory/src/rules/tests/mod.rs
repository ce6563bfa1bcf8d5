mod chinese;
mod english;
mod extractor;
mod negatives;

use jiff::civil::{Date, date};

use super::{SLOTS, facts_of};

/// A Monday.
const SAID: Date = date(2023, 5, 8);

/// What a message tells, as `topic/sub_topic=value` joined by ` | `.
fn told(message: &str) -> String {
    let facts = facts_of(message, Some(SAID));
    assert!(facts.iter().all(|f| SLOTS.contains(&f.slot)), "{facts:?}");
    facts.iter().map(|f| format!("{}={}", f.slot.1, f.value)).collect::<Vec<_>>().join(" | ")
}

fn check(cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(message, expected)| told(message) != *expected)
        .map(|(message, expected)| format!("{message}\n  told     {}\n  expected {expected}", told(message)))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
