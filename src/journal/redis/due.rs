//! Merges what the shards say is due.

use jiff::Timestamp;
use memory::ports::Due;

/// What one index of one shard says is due, the longest due first.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) due: Vec<(Timestamp, Due)>,
    /// Whether there may be more behind the last.
    pub(super) truncated: bool,
}

/// A page of what is due.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Merged {
    pub(super) due: Vec<(Timestamp, Due)>,
    /// Whether lists that go on further would have made the page fuller.
    pub(super) short: bool,
}

/// The longest due first, `limit` of them, or as many as go one beyond the instant `from`. Nothing later than the last
/// of a truncated list: what is behind that may be due for longer. What is due since the same instant as the last of a
/// page may be missing from it: the next page begins there.
pub(super) fn merge(lists: Vec<Listed>, from: Option<Timestamp>, limit: usize) -> Merged {
    let cut = |list: &Listed| list.truncated.then(|| list.due.last().map(|(since, _)| *since)).flatten();
    let known_until = lists.iter().filter_map(cut).min();
    let mut due: Vec<_> = lists.into_iter().flat_map(|list| list.due).collect();
    if let Some(until) = known_until {
        due.retain(|(since, _)| *since <= until);
    }
    due.sort_by_key(|(since, _)| *since);
    let at_from = due.iter().take_while(|(since, _)| Some(*since) <= from).count();
    let wanted = if at_from == 0 { limit } else { limit.max(at_from + 1) };
    let short = known_until.is_some() && due.len() < wanted;
    due.truncate(wanted);
    Merged { due, short }
}
