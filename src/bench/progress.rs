//! The bar that is shown while something runs, on a terminal.

use std::io::{IsTerminal as _, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the bar is drawn.
const DRAWS_PER_SECOND: u8 = 5;

/// A bar, or nothing where nobody watches.
pub(crate) struct Progress {
    bar: ProgressBar,
    begun: std::cell::Cell<(Instant, bool)>,
}

impl Progress {
    /// A bar that shows nothing yet.
    pub(crate) fn new() -> Self {
        let target = if stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        // The template is constant, and its keys are known.
        if let Ok(style) = ProgressStyle::with_template("{prefix:32} {bar:30} {msg}") {
            bar.set_style(style);
        }
        Self { bar, begun: std::cell::Cell::new((Instant::now(), false)) }
    }

    /// From now on, so many requests are sent.
    pub(crate) fn count(&self, what: &str, total: u64) {
        self.begin(what, total, false);
    }

    /// From now on, something runs for so long.
    pub(crate) fn time(&self, what: &str, length: Duration) {
        self.begin(what, u64::try_from(length.as_millis()).unwrap_or(u64::MAX), true);
    }

    fn begin(&self, what: &str, length: u64, by_time: bool) {
        self.bar.set_length(length.max(1));
        self.bar.set_position(0);
        self.bar.set_prefix(what.to_owned());
        self.bar.set_message("");
        self.begun.set((Instant::now(), by_time));
    }

    /// Shows how far it is: so many answers have come.
    pub(crate) fn show(&self, answers: &AtomicU64) {
        let (begun, by_time) = self.begun.get();
        let (elapsed, answers) = (begun.elapsed(), answers.load(Ordering::Relaxed));
        let position = if by_time { u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) } else { answers };
        self.bar.set_position(position.min(self.bar.length().unwrap_or(u64::MAX)));
        let rate = answers as f64 / elapsed.as_secs_f64().max(0.001);
        self.bar.set_message(format!("{answers} answers, {rate:.0}/s"));
    }

    /// Says a line above the bar; on standard error where there is none.
    pub(crate) fn say(&self, line: &str) {
        if self.bar.is_hidden() { eprintln!("{line}") } else { self.bar.println(line) }
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
