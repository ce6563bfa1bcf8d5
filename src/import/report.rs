//! What was moved, what was here, and what was left behind.

use std::collections::BTreeMap;
use std::fmt;

use super::convert::Reason;
use super::source::{Counts, Unmoved};
use crate::words::counted;

/// Names or ids that are told of what was left behind for one reason.
const MAX_NAMED: usize = 5;
/// Names of projects that are told.
const MAX_PROJECTS: usize = 50;

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    Project,
    Setting,
    User,
    Slot,
    Event,
    Gist,
    Waiting,
    Kept,
}

impl Kind {
    /// What is told of in any case, in this order.
    const COUNTED: [Self; 7] =
        [Self::Project, Self::User, Self::Slot, Self::Event, Self::Gist, Self::Waiting, Self::Kept];

    /// One of it.
    fn noun(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Setting => "setting of a project",
            Self::User => "user",
            Self::Slot => "profile slot",
            Self::Event => "event",
            Self::Gist => "event gist",
            Self::Waiting => "waiting blob",
            Self::Kept => "kept blob",
        }
    }

    /// What is said of those that were not moved, since they had been.
    fn before(self) -> &'static str {
        match self {
            Self::Project | Self::User => "here already",
            // They may have been deleted since.
            _ => "came before",
        }
    }

    /// Many of it.
    fn nouns(self) -> String {
        match self {
            Self::Setting => "settings of projects".to_owned(),
            other => format!("{}s", other.noun()),
        }
    }
}

/// The reason of what the count of a table finds and nobody has come across.
const ASTRAY: Reason = "the user or the event they belong to is missing";
/// The reason of a row in the buffer without a blob.
const EMPTY: Reason = "only their place in the buffer is left";

/// How many of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Tally {
    moved: u64,
    here: u64,
    deleted: u64,
}

/// What was left behind for one reason.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Left {
    count: u64,
    names: Vec<String>,
}

/// The report. Its text is meant for whoever runs the command.
#[derive(Debug, Default)]
pub(super) struct Report {
    is_rehearsal: bool,
    /// It has come to its end.
    is_whole: bool,
    tallies: BTreeMap<Kind, Tally>,
    left: BTreeMap<(Kind, Reason), Left>,
    unmoved: Unmoved,
    /// Fields of events, and keys of configurations, that mean nothing here.
    fields: u64,
    keys: u64,
    /// Projects that have no token.
    locked: Vec<String>,
    /// Projects whose settings are others here.
    differing: Vec<String>,
    /// The name of the default project there and here, if they differ.
    renamed: Option<(String, String)>,
}

impl Report {
    /// An empty report of a move, or of a rehearsal.
    pub(super) fn new(is_rehearsal: bool) -> Self {
        Self { is_rehearsal, ..Self::default() }
    }

    /// Counts rows that are here now, and were not.
    pub(super) fn moved(&mut self, kind: Kind, count: usize) {
        self.tallies.entry(kind).or_default().moved += count as u64;
    }

    /// Counts what came before, or is here by other ways.
    pub(super) fn here(&mut self, kind: Kind, count: usize) {
        self.tallies.entry(kind).or_default().here += count as u64;
    }

    /// Counts what was deleted here with its user or project, and what belongs to those.
    pub(super) fn deleted(&mut self, kind: Kind, count: usize) {
        self.tallies.entry(kind).or_default().deleted += count as u64;
    }

    /// Counts what cannot be taken.
    pub(super) fn left(&mut self, kind: Kind, reason: Reason, name: impl fmt::Display) {
        let left = self.left.entry((kind, reason)).or_default();
        left.count += 1;
        if left.names.len() < MAX_NAMED {
            left.names.push(name.to_string());
        }
    }

    /// As [`Report::left`], for many.
    pub(super) fn left_many(&mut self, kind: Kind, reason: Reason, count: usize) {
        if count > 0 {
            self.left.entry((kind, reason)).or_default().count += count as u64;
        }
    }

    /// Notes fields of events that have no place here.
    pub(super) fn dropped_fields(&mut self, count: usize) {
        self.fields += count as u64;
    }

    /// Notes keys of a profile configuration that have no effect here.
    pub(super) fn idle_keys(&mut self, count: usize) {
        self.keys += count as u64;
    }

    /// Notes a project that nobody has a token for.
    pub(super) fn locked(&mut self, name: &str) {
        self.locked.push(name.to_owned());
    }

    /// Notes a project whose settings here are not those that it has there.
    pub(super) fn differs(&mut self, name: &str) {
        self.differing.push(name.to_owned());
    }

    /// Notes that the default project has another name here.
    pub(super) fn renamed(&mut self, there: &str, here: &str) {
        self.renamed = Some((there.to_owned(), here.to_owned()));
    }

    /// Notes what does not move.
    pub(super) fn unmoved(&mut self, unmoved: Unmoved) {
        self.unmoved = unmoved;
    }

    /// Ends it, and compares with what the tables hold: what nobody has come across is left behind.
    pub(super) fn complete(&mut self, counts: &Counts) {
        self.is_whole = true;
        let held = |count: i64| usize::try_from(count).unwrap_or_default();
        for (kind, count) in [
            (Kind::User, counts.users),
            (Kind::Slot, counts.slots),
            (Kind::Event, counts.events),
            (Kind::Gist, counts.gists),
        ] {
            self.left_many(kind, ASTRAY, held(count).saturating_sub(self.seen(kind)));
        }
        let blobs = self.seen(Kind::Waiting) + self.seen(Kind::Kept);
        self.left_many(Kind::Kept, ASTRAY, held(counts.blobs).saturating_sub(blobs));
        self.left_many(Kind::Waiting, EMPTY, held(counts.missing));
    }

    /// All of a kind that was come across.
    fn seen(&self, kind: Kind) -> usize {
        let Tally { moved, here, deleted } = self.tallies.get(&kind).copied().unwrap_or_default();
        let left = self.left.iter().filter(|((of, _), _)| *of == kind).map(|(_, left)| left.count);
        usize::try_from(moved + here + deleted + left.sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// Whether it is known that nothing was left behind.
    pub(super) fn is_complete(&self) -> bool {
        self.is_whole && self.left.is_empty()
    }

    fn write_tallies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moved = if self.is_rehearsal { "to be moved" } else { "moved" };
        for kind in Kind::COUNTED {
            let tally = self.tallies.get(&kind).copied().unwrap_or_default();
            write!(f, "  {:<14} {:>8} {moved}", kind.nouns(), tally.moved)?;
            if !self.is_rehearsal {
                write!(f, ", {} {}", tally.here, kind.before())?;
            }
            if tally.deleted > 0 {
                write!(f, ", {} deleted here, not brought back", tally.deleted)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn write_notes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unmoved { embeddings, statuses, billings } = self.unmoved;
        writeln!(
            f,
            "does not move: {}, which are made anew where embeddings are on; {} of users; {} of projects: see \
             `powermemo project set-quota`",
            number(embeddings, "embedding"),
            number(statuses, "status row"),
            number(billings, "billing account"),
        )?;
        if self.fields > 0 {
            writeln!(f, "events came without {} that mean nothing here", number(self.fields, "field"))?;
        }
        if self.keys > 0 {
            writeln!(f, "profile configurations have {} without effect here", number(self.keys, "key"))?;
        }
        if let Some((there, here)) = &self.renamed {
            writeln!(f, "the default project {there} is {here} here (project_id)")?;
        }
        write_projects(f, "status or profile_config are others here, and stay so, of", &self.differing)?;
        let locked = "tokens do not move: make new ones with `powermemo project rotate-token NAME` for";
        write_projects(f, locked, &self.locked)
    }

    fn write_left(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_complete() {
            return write!(f, "nothing was left behind");
        }
        if !self.is_whole {
            write!(f, "CUT SHORT: of what follows in the source nothing is known")?;
            if self.left.is_empty() {
                return Ok(());
            }
            writeln!(f)?;
        }
        write!(f, "LEFT BEHIND:")?;
        for ((kind, reason), left) in &self.left {
            let what = if left.count == 1 { kind.noun().to_owned() } else { kind.nouns() };
            write!(f, "\n  {} {what}: {reason}", left.count)?;
            if !left.names.is_empty() {
                let more = if left.count > left.names.len() as u64 { ", …" } else { "" };
                write!(f, " ({}{more})", left.names.join(", "))?;
            }
        }
        Ok(())
    }
}

/// Names of projects, under what is to be said of them.
fn write_projects(f: &mut fmt::Formatter<'_>, title: &str, names: &[String]) -> fmt::Result {
    if names.is_empty() {
        return Ok(());
    }
    write!(f, "{title}\n  {}", names[..names.len().min(MAX_PROJECTS)].join(", "))?;
    match names.len().saturating_sub(MAX_PROJECTS) {
        0 => writeln!(f),
        more => writeln!(f, " and {more} more; `powermemo project list` tells all"),
    }
}

fn number(count: impl TryInto<usize>, noun: &str) -> String {
    counted(count.try_into().unwrap_or(usize::MAX), noun)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_tallies(f)?;
        self.write_notes(f)?;
        self.write_left(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_came_across_is_left_behind() {
        let mut report = Report::new(false);
        report.moved(Kind::User, 2);
        report.here(Kind::User, 1);
        report.deleted(Kind::User, 1);
        report.left(Kind::User, ASTRAY, "x");
        report.moved(Kind::Waiting, 1);
        let counts = Counts { users: 5, blobs: 1, ..Counts::default() };
        report.complete(&counts);
        assert!(
            report.to_string().ends_with("LEFT BEHIND:\n  1 user: the user or the event they belong to is missing (x)")
        );
        report.complete(&Counts { users: 8, blobs: 3, missing: 1, ..counts });
        let told = report.to_string();
        assert!(
            told.contains("4 users: ") && told.contains("2 kept blobs: ") && told.contains("1 waiting blob: "),
            "{told}"
        );
    }

    #[test]
    fn a_report_that_was_cut_short_promises_nothing() {
        let mut report = Report::new(false);
        report.moved(Kind::User, 2);
        assert!(!report.is_complete());
        let told = report.to_string();
        assert!(told.ends_with("\nCUT SHORT: of what follows in the source nothing is known"), "{told}");
        report.left(Kind::Slot, EMPTY, 1);
        let told = report.to_string();
        assert!(told.contains("is known\nLEFT BEHIND:\n  1 profile slot: "), "{told}");
        let mut report = Report::new(false);
        report.complete(&Counts::default());
        assert!(report.is_complete() && report.to_string().ends_with("\nnothing was left behind"), "{report}");
    }

    #[test]
    fn a_long_list_is_cut() {
        let mut report = Report::new(true);
        (0..9).for_each(|number| report.left(Kind::Slot, EMPTY, number));
        (0..60).for_each(|number| report.locked(&format!("p{number}")));
        let told = report.to_string();
        assert!(told.contains("9 profile slots: ") && told.ends_with("(0, 1, 2, 3, 4, …)"), "{told}");
        assert!(told.contains(", p49 and 10 more;") && told.contains("0 to be moved\n"), "{told}");
    }
}
