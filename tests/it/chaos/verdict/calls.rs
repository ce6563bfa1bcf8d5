//! Calls of the model: none whose answer had been recorded.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Complaints, Rules};
use crate::chaos::answers::Recorded;
use crate::chaos::group::MODEL_TIMEOUT_SECONDS;
use crate::chaos::history::{History, Process};
use crate::chaos::model::Call;
use crate::chaos::time::{MILLI, Micros, SECOND, shown};
use crate::chaos::truth::Held;

/// For how long a process may run between its look for a recorded answer and its call.
const LOOK: Micros = SECOND;
/// For how long one question to the model may go on, with its retry.
const QUESTION: Micros = (MODEL_TIMEOUT_SECONDS + 1) * SECOND;
/// Longer than a claim lasts that is not renewed.
const CLAIM: Micros = 5 * SECOND / 2;
/// Longer than any trouble with Redis lasts.
const TROUBLE: Micros = 5 * SECOND;
/// How long a process may take to read an answer that was sent.
const READING: Micros = 300 * MILLI;

/// Looks for calls that ask for what had been recorded.
///
/// An answer is known to have been recorded when it was seen in the store (`Recorded::seen`). A call that came later
/// and asks the same lines is wrong when it began a question whose look for recorded answers must have come later, too:
///
/// * It is a new question, and no retry of an older one: the same process had not asked the same within the time that
///   a question may take, or was answered rightly.
/// * Its process ran for a while between: it did not look before the answer was recorded, and was stopped then.
/// * The flush kept its id: it was not superseded, and no journal lost it between its sealing and the call. The same lines
///   under a new id are asked for anew.
pub(crate) fn repeated_calls(
    held: &Held,
    recorded: &[&Recorded],
    calls: &HashMap<&[String], Vec<&Call>>,
    (history, rules): (&History, &Rules),
    complaints: &mut Complaints,
) {
    for answer in recorded {
        if !held.flushes.get(&answer.flush).is_some_and(|outcome| ["committed", "dead"].contains(&outcome.as_str())) {
            continue;
        }
        let same = calls.get(answer.lines.as_slice()).map(Vec::as_slice).unwrap_or_default();
        for (place, call) in same.iter().enumerate().filter(|(_, call)| call.received > answer.seen) {
            let before: Vec<&Call> = same[..place].iter().filter(|c| c.process == call.process).copied().collect();
            let sealed = sealed_at(answer.flush);
            let was_lost = rules.losses.iter().any(|loss| loss.at >= sealed && loss.from <= call.received);
            let looked_later = history.start_of(call.process) > answer.seen
                || history.running(call.process, answer.seen, call.received) > LOOK;
            if looked_later && !was_lost && is_new(history, call, &before) {
                let (by, flush, at, seen) = (call.process, answer.flush, shown(call.received), shown(answer.seen));
                complaints.add(format!("{by:?} asked {at} for the answer of flush {flush}, which was recorded {seen}"));
            }
        }
    }
}

/// Looks for two processes that asked the model the same at the same time: one of them had no claim on the batch.
///
/// The first had one, if it was answered after the second had asked. It has kept it, since it ran all the time and could
/// reach Redis, for longer than a claim lasts.
pub(crate) fn rival_calls(
    calls: &HashMap<&[String], Vec<&Call>>,
    (history, rules): (&History, &Rules),
    complaints: &mut Complaints,
) {
    for same in calls.values() {
        for pair in same.windows(2) {
            let [first, second] = pair else { continue };
            let at_once = first.process != second.process && first.answered.is_some_and(|at| at > second.received);
            let from = first.received - CLAIM;
            let kept = history.start_of(first.process) <= from
                && ran_all(history, first.process, from, second.received)
                && reaches_redis(history, first.process, from, second.received);
            let was_lost = rules.losses.iter().any(|loss| loss.at >= from && loss.from <= second.received);
            if at_once && kept && !was_lost {
                let (one, other, at) = (first.process, second.process, shown(second.received));
                complaints.add(format!("{other:?} asked {at} what {one:?} was just asking: {:?}", first.lines));
            }
        }
    }
}

/// Whether nothing stood between a process and Redis for some time.
fn reaches_redis(history: &History, process: Process, from: Micros, to: Micros) -> bool {
    let link = format!("server {} and Redis", process.place);
    let begins = |line: &String| line.contains("redis-") || (line.contains(&link) && !line.contains("Open"));
    let happens = |line: &String| line.contains(&link);
    let (lately, now) = (history.between(from - TROUBLE, to), history.between(from, to));
    !lately.iter().any(begins) && !now.iter().any(happens)
}

/// Whether a call is no retry of an earlier one by the same process.
fn is_new(history: &History, call: &Call, before: &[&Call]) -> bool {
    let Some((last, older)) = before.split_last() else { return true };
    let ran = |from: &Call, to: &Call| history.running(call.process, from.received, to.received);
    if ran(last, call) > QUESTION {
        return true;
    }
    let was_prompt = |answered: Micros| {
        answered - last.received < SECOND && ran_all(history, last.process, last.received, answered + READING)
    };
    // A retry may be answered when the time of its question is up.
    let is_first = older.last().is_none_or(|older| ran(older, last) > QUESTION);
    is_first && last.answered.is_some_and(was_prompt)
}

fn ran_all(history: &History, process: Process, from: Micros, to: Micros) -> bool {
    history.running(process, from, to) == to - from
}

/// When a batch was sealed: its id tells, to the millisecond.
fn sealed_at(flush: Uuid) -> Micros {
    let time = flush.get_timestamp().map(|time| time.to_unix());
    time.map_or(0, |(seconds, nanos)| Micros::try_from(seconds).unwrap_or(0) * SECOND + Micros::from(nanos) / 1_000)
}
