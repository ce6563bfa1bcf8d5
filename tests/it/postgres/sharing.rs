//! Several processes on one database, each with a handle of its own.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use memory::blob::{BlobType, NewBlob};
use memory::event::{Event, EventData, Gist};
use memory::ids::{BlobId, ClaimToken, EventId, FlushId, GistId, Owner};
use memory::ports::{
    Clock, Commit, CommitReply, DeadLetter, EventFilter, FlushOutcome, FlushRecord, FlushResult, JournalError, NewSlot,
    Page, Requeue, StoredBlob, SystemClock, Take, Taken, Usage,
};
use serde_json::Map;
use tokio::task::JoinSet;

use super::*;

/// Two handles on one database.
pub(super) async fn pair() -> [Shared; 2] {
    let first = fresh().await;
    let database = open(&first.place.url()).await;
    let second = Shared { database, ahead: Arc::clone(&first.ahead), place: first.place.clone() };
    [first, second]
}

pub(super) fn chat() -> NewBlob {
    let payload = "{\"data\":{\"messages\":[]}}".to_owned();
    NewBlob { id: BlobId(SystemIds.random()), blob_type: BlobType::Chat, tokens: 7, payload }
}

fn take() -> Take {
    Take {
        blob_type: BlobType::Chat,
        flush_id: FlushId(SystemIds.ordered()),
        token: ClaimToken(SystemIds.random()),
        lease: Duration::from_secs(60),
        max_tokens: 1000,
        max_blobs: 100,
        ignore_backoff: false,
    }
}

fn record(outcome: FlushOutcome) -> FlushRecord {
    FlushRecord {
        outcome,
        result: FlushResult::default(),
        reason: None,
        usage: Usage::default(),
        refused: 0,
        version: "it".into(),
    }
}

/// A commit of one blob with an event of one gist.
pub(super) fn commit(owner: &Owner, blob: BlobId, base_revision: i64) -> Commit {
    let (now, flush_id) = (SystemClock.now(), FlushId(SystemIds.ordered()));
    let id = EventId(SystemIds.random());
    let event = Event { id, flush_id: Some(flush_id), data: EventData::default(), created_at: now, updated_at: now };
    let gist = Gist {
        id: GistId(SystemIds.random()),
        event_id: id,
        position: 0,
        text: "said".into(),
        occurred_at: None,
        said_at: None,
        sources: Vec::new(),
        created_at: now,
        updated_at: now,
    };
    Commit {
        owner: owner.clone(),
        flush_id,
        base_revision,
        blob_ids: vec![blob],
        retried: false,
        record: record(FlushOutcome::Committed),
        slots: Vec::new(),
        event: Some((event, vec![gist])),
        keep: Vec::new(),
        answer: None,
        now,
    }
}

pub(super) async fn user(shared: &Shared) -> Owner {
    let owner = owner();
    assert!(shared.store().create_user(&owner.key, owner.incarnation, None, SystemClock.now()).await.unwrap());
    owner
}

fn slot() -> NewSlot {
    NewSlot {
        id: SlotId(SystemIds.random()),
        topic: "work".into(),
        sub_topic: "title".into(),
        content: "nurse".into(),
        attributes: Map::new(),
    }
}

/// Polls until a condition holds.
pub(super) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !condition().await {
        assert!(Instant::now() < deadline, "it never came to this: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_writes_the_other_reads() {
    let [one, other] = pair().await;
    let owner = user(&one).await;
    assert!(other.store().add_slot(&owner.key, &slot(), SystemClock.now()).await.unwrap());
    let profile = one.store().profile(&owner.key).await.unwrap().unwrap();
    assert_eq!((profile.slots.len(), profile.revision), (1, 1));
    let (first, second) = (chat(), chat());
    assert_eq!(one.journal().append(&owner, &first).await.unwrap().seq, 1);
    assert_eq!(other.journal().append(&owner, &second).await.unwrap().level.blobs, 2);
    assert_eq!(one.journal().append(&owner, &second).await.unwrap().seq, 2, "it is known from the other");
    let Taken::Batch(batch, _) = one.journal().take(&owner, &take()).await.unwrap() else { panic!("no batch") };
    assert!(matches!(other.journal().take(&owner, &take()).await.unwrap(), Taken::Busy { .. }));
    let plan = Commit { blob_ids: vec![first.id, second.id], ..commit(&owner, first.id, 1) };
    assert_eq!(other.store().commit(&plan).await.unwrap(), CommitReply::Done);
    other.journal().discard(&owner, batch.flush_id).await.unwrap();
    assert_eq!(one.store().gists(&owner.key, 10).await.unwrap().unwrap().0, 2);
    assert_eq!(other.store().delete_user(&owner.key, SystemClock.now()).await.unwrap(), Some(owner.incarnation));
    assert!(matches!(one.journal().append(&owner, &chat()).await, Err(JournalError::OwnerGone)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_of_two_processes_are_numbered_as_one() {
    let pair = pair().await;
    let owner = owner();
    let mut appends = JoinSet::new();
    for number in 0..200 {
        let (journal, owner) = (pair[number % 2].journal(), owner.clone());
        appends.spawn(async move { journal.append(&owner, &chat()).await.unwrap() });
    }
    let appends = appends.join_all().await;
    let numbers: BTreeSet<u64> = appends.iter().map(|append| append.seq).collect();
    assert_eq!(numbers, (1..=200).collect());
    assert!(appends.iter().all(|append| (append.level.blobs, append.level.tokens) == (append.seq, 7 * append.seq)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_has_one_taker() {
    let pair = pair().await;
    for _ in 0..10 {
        let owner = owner();
        for _ in 0..3 {
            pair[0].journal().append(&owner, &chat()).await.unwrap();
        }
        let mut takes = JoinSet::new();
        for number in 0..8 {
            let (journal, owner) = (pair[number % 2].journal(), owner.clone());
            takes.spawn(async move { journal.take(&owner, &take()).await.unwrap() });
        }
        let taken = takes.join_all().await;
        let winners: Vec<_> = taken.iter().filter(|taken| matches!(taken, Taken::Batch(..))).collect();
        let busy = taken.iter().filter(|taken| matches!(taken, Taken::Busy { .. })).count();
        assert_eq!((winners.len(), busy), (1, 7), "{taken:?}");
        let Taken::Batch(batch, level) = winners[0] else { unreachable!() };
        assert_eq!((batch.entries.len(), level.blobs), (3, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_claim_is_renewed_or_taken_over_but_not_both() {
    let pair = pair().await;
    for _ in 0..20 {
        let owner = owner();
        pair[0].journal().append(&owner, &chat()).await.unwrap();
        let first = take();
        assert!(matches!(pair[0].journal().take(&owner, &first).await.unwrap(), Taken::Batch(..)));
        pair[0].advance(Duration::from_secs(70)).await;
        let (journals, second) = ([pair[0].journal(), pair[1].journal()], take());
        let renewal = journals[0].renew(&owner, first.flush_id, first.token, first.lease);
        let (renewed, taken) = tokio::join!(renewal, journals[1].take(&owner, &second));
        let taken = matches!(taken.unwrap(), Taken::Batch(..));
        assert_ne!(renewed.unwrap(), taken);
        let token = if taken { second.token } else { first.token };
        assert!(pair[0].journal().renew(&owner, first.flush_id, token, first.lease).await.unwrap());
    }
}

/// The renewal comes when the other has read that the claim has expired, and before it takes the batch over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_is_renewed_at_the_last_moment_stands() {
    let shared = fresh().await;
    let owner = owner();
    shared.journal().append(&owner, &chat()).await.unwrap();
    let first = take();
    assert!(matches!(shared.journal().take(&owner, &first).await.unwrap(), Taken::Batch(..)));
    shared.advance(Duration::from_secs(70)).await;
    let mut conn = shared.connect().await;
    let mut renewal = conn.begin().await.unwrap();
    sqlx::query("UPDATE journal_batches SET ready_at = ready_at + 600000000").execute(&mut *renewal).await.unwrap();
    let (journal, taker) = (shared.journal(), owner.clone());
    let taking = tokio::spawn(async move { journal.take(&taker, &take()).await.unwrap() });
    until("it waits for the renewal", async || {
        let sql = "SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock')";
        sqlx::query_scalar(sql).fetch_one(&mut shared.connect().await).await.unwrap()
    })
    .await;
    renewal.commit().await.unwrap();
    assert!(matches!(taking.await.unwrap(), Taken::Busy { .. }));
    assert!(shared.journal().renew(&owner, first.flush_id, first.token, first.lease).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_leaves_nothing_of_appends_beside_it() {
    let pair = pair().await;
    for _ in 0..20 {
        let owner = owner();
        let mut tasks = JoinSet::new();
        for number in 0..8 {
            let (journal, owner) = (pair[number % 2].journal(), owner.clone());
            tasks.spawn(async move {
                if number == 4 {
                    return journal.purge(&owner).await.unwrap();
                }
                let done = journal.append(&owner, &chat()).await;
                assert!(matches!(done, Ok(_) | Err(JournalError::OwnerGone)), "{done:?}");
            });
        }
        tasks.join_all().await;
        assert_eq!(pair[0].journal().levels(&owner).await.unwrap(), []);
        assert!(matches!(pair[1].journal().append(&owner, &chat()).await, Err(JournalError::OwnerGone)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_of_two_flushes_takes_effect_once() {
    let pair = pair().await;
    for _ in 0..10 {
        let owner = user(&pair[0]).await;
        let blob = BlobId(SystemIds.random());
        let mut commits = JoinSet::new();
        for number in 0..6 {
            let (store, plan) = (pair[number % 2].store(), commit(&owner, blob, 0));
            commits.spawn(async move { store.commit(&plan).await.unwrap() });
        }
        let replies = commits.join_all().await;
        let done = replies.iter().filter(|reply| **reply == CommitReply::Done).count();
        let before = replies.iter().filter(|reply| **reply == CommitReply::AppliedBefore(vec![blob])).count();
        assert_eq!((done, before), (1, 5), "{replies:?}");
    }
}

/// A commit of one process, the end of the same flush by another, and the end of the user.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_has_one_outcome_whoever_comes_between() {
    let pair = pair().await;
    for round in 0..30 {
        let owner = user(&pair[0]).await;
        let (one, other) = (pair[0].store(), pair[1].store());
        let plan = commit(&owner, BlobId(SystemIds.random()), 0);
        let blob = StoredBlob { blob: NewBlob { id: plan.blob_ids[0], ..chat() }, created_at: plan.now };
        let letter = DeadLetter { reason: "no use".into(), blobs: vec![blob] };
        let dead = record(FlushOutcome::Dead);
        let deletion =
            async { if round % 2 == 0 { one.delete_user(&owner.key, plan.now).await.unwrap() } else { None } };
        let ending = other.end_flush(&owner, plan.flush_id, &dead, Some(&letter), plan.now);
        let (first, second, ended, _) = tokio::join!(one.commit(&plan), other.commit(&plan), ending, deletion);
        let (replies, ended) = ([first.unwrap(), second.unwrap()], ended.unwrap());
        let done = replies.iter().filter(|reply| **reply == CommitReply::Done).count();
        let gone = replies.iter().filter(|reply| **reply == CommitReply::UserGone).count();
        assert!(done <= 1, "{replies:?}");
        if round % 2 == 0 {
            assert!(pair[0].store().events(&owner.key, &EventFilter::default()).await.unwrap().is_empty());
            let outcome = one.flush(&owner.key, plan.flush_id).await.unwrap().map(|record| record.outcome);
            assert_eq!(outcome, (gone > 0).then_some(FlushOutcome::Cancelled), "{replies:?}");
        } else {
            assert_eq!(ended, (done == 1).then(|| plan.record.clone()), "{replies:?}");
            let page = Page { offset: 0, limit: 9 };
            let letters = one.dead_letters(&owner.key.project, Some(owner.key.user), page).await.unwrap();
            assert_eq!(letters.len(), 1 - done);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_is_tried_again_once() {
    let pair = pair().await;
    let owner = owner();
    let blobs = vec![(chat(), SystemClock.now())];
    let mut requeues = JoinSet::new();
    for number in 0..8 {
        let (journal, owner) = (pair[number % 2].journal(), owner.clone());
        let flush_id = FlushId(SystemIds.ordered());
        let requeue = Requeue { flush_id, blob_type: BlobType::Chat, blobs: blobs.clone() };
        requeues.spawn(async move { journal.requeue(&owner, &requeue).await.unwrap() });
    }
    requeues.join_all().await;
    let open = pair[0].journal().holding(&owner).await.unwrap().open.unwrap();
    assert_eq!((open.entries.len(), open.retried), (1, true));
}

/// All that writes at once, over few users: nobody waits for ever, and nothing fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_do_not_block_each_other_for_good() {
    let pair = pair().await;
    let users = [user(&pair[0]).await, user(&pair[1]).await];
    let mut tasks = JoinSet::new();
    for number in 0..160_usize {
        let (shared, owner) = (&pair[number % 2], users[number / 2 % 2].clone());
        let (store, journal, now) = (shared.store(), shared.journal(), SystemClock.now());
        tasks.spawn(async move {
            match number % 8 {
                0 => drop(store.add_slot(&owner.key, &slot(), now).await.unwrap()),
                1 => drop(store.commit(&commit(&owner, BlobId(SystemIds.random()), 0)).await.unwrap()),
                2 => drop(store.update_user(&owner.key, &Map::new(), now).await.unwrap()),
                3 => drop(store.forget_before(now, 10).await.unwrap()),
                4 => drop(journal.take(&owner, &take()).await.unwrap()),
                5 => drop(journal.due(Duration::ZERO, None, 10).await.unwrap()),
                6 => {
                    journal.purge(&Owner { incarnation: Incarnation(SystemIds.random()), ..owner }).await.unwrap();
                }
                _ => drop(journal.append(&owner, &chat()).await.unwrap()),
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn servers_and_a_command_keep_out_of_each_others_way() {
    let [one, other] = pair().await;
    let first = one.database.announce_server().await.unwrap().unwrap();
    let second = other.database.announce_server().await.unwrap().unwrap();
    assert!(first.is_held() && second.is_held());
    assert!(other.database.take_exclusively().await.unwrap().is_none());
    drop(first);
    assert!(one.database.take_exclusively().await.unwrap().is_none(), "the other still runs");
    drop(second);
    let database = &other.database;
    until("the servers are gone", async || database.take_exclusively().await.unwrap().is_some()).await;
    // That one was dropped at once; its connection may take a moment.
    let command = loop {
        if let Some(command) = database.take_exclusively().await.unwrap() {
            break command;
        }
    };
    assert!(one.database.announce_server().await.unwrap().is_none());
    drop(command);
    let database = &one.database;
    until("the command is gone", async || database.announce_server().await.unwrap().is_some()).await;
}

/// Cuts the connection of the one server that has put up its sign.
async fn cut_signs(shared: &Shared) {
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks
        WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let ended: i64 = sqlx::query_scalar(sql).fetch_one(&mut shared.connect().await).await.unwrap();
    assert_eq!(ended, 1);
}

#[tokio::test]
async fn a_server_that_missed_a_move_must_stop() {
    let shared = fresh().await;
    shared.database.set_meta("journal", "store").await.unwrap();
    let expelled = async |presence: &powermemo::store::postgres::Presence| {
        tokio::time::timeout(Duration::from_secs(30), presence.expelled()).await.expect("it must stop")
    };
    // A command is at work.
    let presence = shared.database.announce_server().await.unwrap().unwrap();
    presence.stand_on("journal", "store");
    cut_signs(&shared).await;
    let command = shared.database.take_exclusively().await.unwrap();
    expelled(&presence).await;
    drop((presence, command));
    // One has come and gone.
    let presence = loop {
        if let Some(presence) = shared.database.announce_server().await.unwrap() {
            break presence;
        }
    };
    presence.stand_on("journal", "store");
    shared.database.set_meta("journal", "redis").await.unwrap();
    cut_signs(&shared).await;
    expelled(&presence).await;
}

#[tokio::test]
async fn a_server_whose_sign_fell_puts_it_up_again() {
    let shared = fresh().await;
    let presence = shared.database.announce_server().await.unwrap().unwrap();
    presence.stand_on("journal", "store");
    shared.database.set_meta("journal", "store").await.unwrap();
    cut_signs(&shared).await;
    until("the sign is down", async || !presence.is_held()).await;
    until("the sign is up", async || presence.is_held()).await;
    assert!(shared.database.take_exclusively().await.unwrap().is_none());
}

#[tokio::test]
async fn the_database_says_what_it_is() {
    let [one, other] = pair().await;
    let id = one.database.journal_id().await.unwrap();
    assert_eq!((id.len(), &id), (32, &other.database.journal_id().await.unwrap()));
    assert_eq!(one.database.meta("journal").await.unwrap(), None);
    for place in ["store", "redis"] {
        one.database.set_meta("journal", place).await.unwrap();
        assert_eq!(other.database.meta("journal").await.unwrap().as_deref(), Some(place));
    }
    let ahead = one.database.now().await.unwrap().duration_since(SystemClock.now());
    assert!(ahead.unsigned_abs() < Duration::from_secs(5));
    let facts = one.database.facts().await.unwrap();
    assert!(facts.is_writable && facts.max_connections > 0 && !facts.version.is_empty(), "{facts:?}");
    let fsync: String = sqlx::query_scalar("SHOW fsync").fetch_one(&mut one.connect().await).await.unwrap();
    assert_eq!(facts.is_durable, fsync == "on");
    let careless = open(&format!("{}&options=-c%20synchronous_commit%3Doff", one.place.url())).await;
    assert!(!careless.facts().await.unwrap().is_durable);
}
