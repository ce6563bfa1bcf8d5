//! `powermemo doctor`: looks at everything a server needs, changes nothing, and says what to do about what it finds.

mod database;
mod embeddings;
mod journal;
mod model;
mod redis;

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Builder;

use crate::config::Config;
use crate::words::counted;

/// How far two clocks may be apart before it is worth a word.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// As it should be.
    Good,
    /// It works, and may not be what you want.
    Advice,
    /// It works, and something that matters to you may be lost or missing.
    Warning,
    /// A server would not start, or would lose what it acknowledged.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at.
    pub what: &'static str,
    /// What was found.
    pub text: String,
    /// What to do about it; empty when it is good.
    pub advice: String,
}

impl Finding {
    fn good(what: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Good, what, text: text.into(), advice: String::new() }
    }

    fn advice(what: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Advice, what, text: text.into(), advice: advice.into() }
    }

    fn warning(what: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warning, what, text: text.into(), advice: advice.into() }
    }

    fn bad(what: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Bad, what, text: text.into(), advice: advice.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.level {
            Level::Good => "ok  ",
            Level::Advice => "note",
            Level::Warning => "WARN",
            Level::Bad => "BAD ",
        };
        write!(f, "{mark}  {:<13}  {}", self.what, self.text)?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, "\n      {:<13}  -> {}", "", self.advice) }
    }
}

/// Looks at everything and prints what it finds.
///
/// # Errors
/// When something is bad.
pub fn doctor(config: &Config) -> anyhow::Result<()> {
    let io = Builder::new_current_thread().enable_all().build()?;
    let findings = io.block_on(examine(config));
    findings.iter().for_each(|finding| println!("{finding}"));
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let bad = count(Level::Bad);
    anyhow::ensure!(bad == 0, "{} of {} {} bad", bad, findings.len(), if bad == 1 { "is" } else { "are" });
    match count(Level::Warning) {
        0 => println!("nothing is bad"),
        warnings => println!("nothing is bad, {}", counted(warnings, "warning")),
    }
    Ok(())
}

/// Looks at everything.
async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![configuration(config)];
    let notes = database::examine(config, &mut findings).await;
    redis::examine(config, notes, &mut findings).await;
    findings.push(model::examine(config).await);
    findings.extend(embeddings::examine(config).await);
    findings
}

/// What cannot be used has ended the program before; what has no effect is in the log.
fn configuration(config: &Config) -> Finding {
    let what = "configuration";
    if config.access_token.is_none() {
        let text = format!("valid; no access_token is set, so the server answers on {} alone", config.host);
        return Finding::advice(what, text, "set ACCESS_TOKEN, then POWERMEMO_HOST, to be reached from other machines");
    }
    Finding::good(what, "valid")
}

/// Compares a clock with this machine's. `asked` and `answered` are before and after it was asked.
fn clock(what: &'static str, whose: &str, asked: Timestamp, theirs: Timestamp, answered: Timestamp) -> Finding {
    let off = |a: Timestamp, b: Timestamp| a.duration_since(b).unsigned_abs();
    let apart = if theirs < asked { off(asked, theirs) } else { off(theirs, answered.max(asked).min(theirs)) };
    if apart <= CLOCK_TOLERANCE {
        return Finding::good(what, format!("the clock of {whose} agrees with this machine's"));
    }
    let text = format!("the clock of {whose} is {} s apart from this machine's", apart.as_secs());
    Finding::advice(
        what,
        text,
        "run an NTP client on both; leases and ages go by one clock, dates in memories by the other",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_with_the_time_of_the_question() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let level = |theirs| clock("clock", "x", at(100), at(theirs), at(110)).level;
        assert_eq!([98, 100, 105, 110, 112].map(level), [Level::Good; 5]);
        assert_eq!([90, 120].map(level), [Level::Advice; 2]);
        assert!(clock("clock", "x", at(100), at(50), at(110)).text.contains("50 s"));
        assert!(clock("clock", "x", at(100), at(150), at(110)).text.contains("40 s"));
    }

    #[test]
    fn a_finding_is_a_line_and_its_advice_another() {
        assert_eq!(Finding::good("x", "fine").to_string(), "ok    x              fine");
        assert!(Finding::warning("x", "odd", "look").to_string().starts_with("WARN  x "));
        let bad = Finding::bad("x", "broken", "mend it").to_string();
        assert_eq!(bad.lines().count(), 2);
        assert!(bad.starts_with("BAD ") && bad.ends_with("-> mend it"));
    }
}
