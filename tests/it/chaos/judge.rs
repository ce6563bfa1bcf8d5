//! Gathers what servers show and what the store holds, and gives the verdict.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use serde_json::Value;
use uuid::Uuid;

use super::answers::Recorded;
use super::client::{Client, Reply};
use super::ledger::{Fate, Life, Message, User};
use super::leftovers;
use super::model::Call;
use super::plan::Mode;
use super::run::Run;
use super::truth::{Held, Truth};
use super::verdict::{self, Complaint, Rules};

/// Complaints that are told in full.
const TOLD: usize = 8;

/// Checks everything, and prints the counts.
///
/// # Panics
/// When something is wrong; says what, and where the logs are.
pub(super) fn judge(mut run: Run, settled: Result<(), String>) {
    let mut conn = run.services.store();
    let truth = run.runtime.block_on(Truth::read(&mut conn));
    let users: Vec<User> = run.ledger.users().iter().map(|user| user.lock().clone()).collect();
    let mut complaints = about_users(&run, &truth, &users);
    complaints.extend(about_reads(&run, &truth, &users));
    let mut general = run.complaints.all();
    general.extend(settled.err().map(|left| format!("it does not come to rest: {left}")));
    general.append(&mut run.group.strange_ends);
    let calls = run.model.calls();
    let asked: HashSet<&[String]> = calls.iter().map(|call| call.lines.as_slice()).collect();
    let strange = run.answers.all().into_iter().find(|answer| !asked.contains(answer.lines.as_slice()));
    general.extend(strange.map(|answer| format!("an answer was recorded that nobody asked for: {answer:?}")));
    let living: HashSet<_> = truth.all().filter_map(|(user, held)| Some((*user, held.incarnation?))).collect();
    let left = leftovers::of_the_dead(&mut run.services.redis(), &living, run.options.mode != Mode::Always);
    general.extend(left.first().map(|key| format!("{} keys of deleted users are in the journal: {key}", left.len())));
    println!("{}", counts(&run, &truth, &users));
    if complaints.is_empty() && general.is_empty() {
        return;
    }
    let mut told = format!("{} complaints. seed {}\n", complaints.len() + general.len(), run.options.seed);
    general.iter().take(TOLD).for_each(|complaint| _ = writeln!(told, "{complaint}"));
    for complaint in complaints.iter().take(TOLD) {
        match users.iter().find(|user| user.id == complaint.user) {
            Some(user) => told += &verdict::explain(complaint, user, &truth.of(user.id), &run.history),
            None => _ = writeln!(told, "{}", complaint.what),
        }
    }
    // The servers end first: they write there.
    let logs = run.logs.take().map(tempfile::TempDir::keep);
    std::fs::write(logs.as_ref().unwrap().join("history.log"), run.history.between(0, i64::MAX).join("\n")).unwrap();
    panic!("{told}The logs of the servers are in {logs:?}");
}

fn about_users(run: &Run, truth: &Truth, users: &[User]) -> Vec<Complaint> {
    let rules = Rules { mode: run.options.mode, losses: run.history.losses() };
    let (calls, recorded) = (run.model.calls(), run.answers.all());
    let mut calls_by_lines = HashMap::<&[String], Vec<&Call>>::new();
    for call in &calls {
        calls_by_lines.entry(&call.lines).or_default().push(call);
    }
    let mut recorded_by_user = HashMap::<Uuid, Vec<&Recorded>>::new();
    for answer in &recorded {
        recorded_by_user.entry(answer.user).or_default().push(answer);
    }
    let mut complaints = Vec::new();
    for user in users {
        let held = truth.of(user.id);
        let recorded = recorded_by_user.remove(&user.id).unwrap_or_default();
        let mut by_flush = HashMap::<Uuid, Vec<&Recorded>>::new();
        recorded.iter().for_each(|answer| by_flush.entry(answer.flush).or_default().push(answer));
        complaints.extend(verdict::check(user, &held, &rules));
        let mut more = verdict::Complaints::new(user.id);
        verdict::check_shared(user, &held, &by_flush, &calls_by_lines, &mut more);
        verdict::repeated_calls(&held, &recorded, &calls_by_lines, (&run.history, &rules), &mut more);
        complaints.append(&mut more.all);
    }
    let mut rivals = verdict::Complaints::new(Uuid::nil());
    verdict::rival_calls(&calls_by_lines, (&run.history, &rules), &mut rivals);
    complaints.append(&mut rivals.all);
    complaints
}

/// Whether all servers show what the store holds: of the users whom somebody has read all the time first, since they are
/// cached, and of them the context, too.
fn about_reads(run: &Run, truth: &Truth, users: &[User]) -> Vec<Complaint> {
    let read: Vec<Uuid> = run.read_users().iter().map(|user| user.who().0).collect();
    let lives = |user: &&User| user.state == Life::Lives;
    let others = users.iter().filter(lives).map(|user| user.id).filter(|id| !read.contains(id));
    let all: Vec<Uuid> = read.iter().copied().chain(others).collect();
    let places = run.client.places();
    std::thread::scope(|threads| {
        let ask = |place| {
            let (client, all, read) = (&run.client, &all, &read);
            threads.spawn(move || {
                let about = |(at, id): (usize, &Uuid)| differences(client, place, *id, &truth.of(*id), at < read.len());
                all.iter().enumerate().flat_map(about).collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..places).map(ask).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn differences(client: &Client, place: usize, user: Uuid, held: &Held, all: bool) -> Vec<Complaint> {
    let get = |path: String| match client.ask(place, "GET", &path, None).1 {
        Reply::Done(data) => Ok(data),
        other => Err(format!("server {place} does not answer {path}: {other:?}")),
    };
    let profile = || {
        let shown = get(format!("/users/profile/{user}"))?;
        same(
            place,
            "the profile",
            slots(&shown),
            held.slots.iter().map(|(id, _, c)| (id.to_string(), c.clone())).collect(),
        )
    };
    let events = || {
        let shown = get(format!("/users/event/{user}?topk=1000"))?;
        let stored = |event: &super::truth::Event| (event.id.to_string(), event.gists.join("\n"));
        same(place, "events", tips(&shown), held.events.iter().map(stored).collect())
    };
    let context = || {
        if !all {
            return Ok(());
        }
        let shown = get(format!("/users/context/{user}?max_token_size=1000000"))?;
        let text = shown["context"].as_str().unwrap_or_default();
        let missing = held.events.iter().flat_map(|event| &event.gists).find(|gist| !text.contains(gist.as_str()));
        missing.map_or(Ok(()), |gist| Err(format!("server {place}: the context does not hold {gist:?}")))
    };
    let wrong = [profile(), events(), context()].into_iter().filter_map(Result::err);
    wrong.map(|what| Complaint { user, message: None, what }).collect()
}

fn same(
    place: usize,
    what: &str,
    mut shown: Vec<(String, String)>,
    mut held: Vec<(String, String)>,
) -> Result<(), String> {
    shown.sort_unstable();
    held.sort_unstable();
    if shown == held {
        return Ok(());
    }
    let only = |these: &[(String, String)], those: &[(String, String)]| {
        these.iter().filter(|one| !those.contains(one)).cloned().collect::<Vec<_>>()
    };
    let (more, less) = (only(&shown, &held), only(&held, &shown));
    Err(format!(
        "server {place} shows {what} otherwise than the store: only there {more:?}, only in the store {less:?}"
    ))
}

fn slots(profile: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    profile["profiles"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|slot| (text(&slot["id"]), text(&slot["content"])))
        .collect()
}

fn tips(events: &Value) -> Vec<(String, String)> {
    let tip = |event: &Value| {
        let tip = event["event_data"]["event_tip"].as_str().unwrap_or_default();
        let lines: Vec<&str> = tip.lines().map(|line| line.strip_prefix("- ").unwrap_or(line)).collect();
        (event["id"].as_str().unwrap_or_default().to_owned(), lines.join("\n"))
    };
    events["events"].as_array().into_iter().flatten().map(tip).collect()
}

fn counts(run: &Run, truth: &Truth, users: &[User]) -> String {
    let fate = |fate| users.iter().flat_map(|user| &user.messages).filter(|message| message.fate == fate).count();
    let mut flushes = HashMap::<&str, usize>::new();
    for outcome in truth.all().flat_map(|(_, held)| held.flushes.values()) {
        *flushes.entry(outcome).or_default() += 1;
    }
    let mut flushes: Vec<_> = flushes.into_iter().collect();
    flushes.sort_unstable();
    let sum = |count: fn(&Held) -> usize| truth.all().map(|(_, held)| count(held)).sum::<usize>();
    let faults: Vec<String> = run.history.counts().iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let told: HashSet<&str> =
        truth.all().flat_map(|(_, held)| &held.events).flat_map(|e| &e.gists).map(String::as_str).collect();
    let dead: String = truth.all().flat_map(|(_, held)| &held.dead).map(|dead| dead.payload.as_str()).collect();
    let is_missing = |user: &User, message: &Message| {
        let must = user.state == Life::Lives && message.life == user.life && message.fate == Fate::Acknowledged;
        let line = message.lines[0].as_str();
        must && message.deletion.is_none() && !told.contains(line) && !dead.contains(line)
    };
    let missing = users.iter().map(|user| user.messages.iter().filter(|m| is_missing(user, m)).count()).sum::<usize>();
    let edits: usize = users.iter().map(|user| user.edits.len()).sum();
    let calls = run.model.calls();
    format!(
        "users {}, messages: acknowledged {}, refused {}, unknown {}, lost with the journal {missing}; edits of shared slots {edits}\n\
         faults: {}\nflushes: {flushes:?}, dead letters' blobs {}, lives that ended {}\n\
         model: calls {}, answered rightly {}, answers recorded {}; events {}",
        users.len(),
        fate(Fate::Acknowledged),
        fate(Fate::Refused),
        fate(Fate::Unknown),
        faults.join(", "),
        sum(|held| held.dead.len()),
        sum(|held| held.tombstones),
        calls.len(),
        calls.iter().filter(|call| call.answered.is_some()).count(),
        run.answers.all().len(),
        sum(|held| held.events.len()),
    )
}
