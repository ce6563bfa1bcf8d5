//! The commits of flushes, a group at a time: one statement for all those that nothing stands in the way of, which is
//! nearly always.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use memory::event::Source;
use memory::ids::UserKey;
use memory::ports::Commit;
use memory::profile::SlotWrite;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, query};
use uuid::Uuid;

use super::database::Work;
use super::error::DatabaseError;
use super::events::{GistColumns, tags_of};
use super::groups::{Member, place_of};
use super::rows::{BlobColumns, micros, text, to_json};
use super::slots::SlotColumns;
use super::usage;

/// Does all that [`super::flushes::commit`] does for each commit that can be done, and nothing for the others. Returns the
/// places `n` of those that are done. No user is in it twice.
///
/// A statement sees the tables as they were when it began, but for the rows that it locks. So a condition stands in the
/// row of the user, which `open` locks: its life and its revision, and that nobody has written it since the statement
/// began, as every change of the memory and every new dead letter does. Or it is a key that the row of another breaks: that
/// the flush has no outcome yet, that none of its blobs has taken effect, and that no other answer is recorded. A blob that
/// left its letter meanwhile is still seen in it, and has taken effect.
///
/// Nobody waits for a user whose row another holds: that would make the others of the group wait, too.
///
/// Rows that are there already are found one by one, in subqueries and by `ctid`: a join could become one that reads a
/// whole table, since the plan is made once, while tables may be small.
const COMMIT: &str = "WITH asked AS MATERIALIZED (
        SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::text[], $9::text[], $10::text[], $11::text[], $12::bigint[], $13::text[])
        WITH ORDINALITY AS a (project_id, user_id, incarnation, flush_id, base_revision, step, now,
            outcome, result, reason, usage, refused, version, n)
    ), blob AS MATERIALIZED (
        SELECT b.*, (SELECT count(*) FROM applied_blobs AS x
                WHERE x.project_id = a.project_id AND x.user_id = a.user_id AND x.blob_id = b.blob_id)
            + (SELECT count(*) FROM dead_letter_blobs AS x
                WHERE x.project_id = a.project_id AND x.user_id = a.user_id AND x.blob_id = b.blob_id) AS settled
        FROM unnest($14::bigint[], $15::uuid[]) AS b (n, blob_id) JOIN asked AS a USING (n)
    ), slot AS MATERIALIZED (
        SELECT s.*, CASE WHEN s.action IN ('update', 'delete') THEN (SELECT ctid FROM profile_slots AS x
            WHERE x.project_id = a.project_id AND x.user_id = a.user_id AND x.slot_id = s.slot_id) END AS place
        FROM unnest($16::bigint[], $17::text[], $18::uuid[], $19::text[], $20::text[], $21::text[], $22::text[],
            $23::text[], $24::bigint[], $25::bigint[], $26::bigint[])
        WITH ORDINALITY AS s (n, action, slot_id, topic, sub_topic, content, attributes, sources, revision,
            created_at, updated_at, number)
        JOIN asked AS a USING (n)
    ), open AS MATERIALIZED (
        SELECT a.*, u.place, u.written_by FROM asked AS a
        CROSS JOIN LATERAL (SELECT xmin AS written_by FROM users AS x
            WHERE x.project_id = a.project_id AND x.user_id = a.user_id LIMIT 1) AS seen
        CROSS JOIN LATERAL (SELECT ctid AS place, xmin AS written_by, incarnation, revision FROM users AS x
            WHERE x.project_id = a.project_id AND x.user_id = a.user_id FOR NO KEY UPDATE SKIP LOCKED) AS u
        WHERE u.written_by = seen.written_by AND u.incarnation = a.incarnation AND u.revision = a.base_revision
            AND NOT EXISTS (SELECT FROM blob WHERE blob.n = a.n AND settled > 0)
            AND NOT EXISTS (SELECT FROM slot WHERE slot.n = a.n AND action IN ('update', 'delete') AND place IS NULL)
            AND 0 = (SELECT count(*) FROM flushes AS x
                WHERE x.project_id = a.project_id AND x.user_id = a.user_id AND x.flush_id = a.flush_id)
    ), memory AS MATERIALIZED (
        UPDATE users AS u SET revision = u.revision + open.step
        FROM open WHERE u.ctid = open.place AND u.xmin = open.written_by
        RETURNING open.*
    ), flush AS (
        INSERT INTO flushes (project_id, user_id, flush_id, outcome, result, reason, usage, refused, version,
            created_at)
        SELECT project_id, user_id, flush_id, outcome, result, reason, usage, refused, version, now FROM memory
    ), applied AS (
        INSERT INTO applied_blobs (project_id, user_id, blob_id, flush_id, applied_at)
        SELECT project_id, user_id, blob_id, flush_id, now FROM memory JOIN blob USING (n)
    ), writes AS MATERIALIZED (
        SELECT m.project_id, m.user_id, m.flush_id, m.now, s.* FROM memory AS m JOIN slot AS s USING (n)
    ), inserted AS (
        INSERT INTO profile_slots (project_id, user_id, slot_id, topic, sub_topic, content, attributes, sources,
            revision, created_at, updated_at)
        SELECT project_id, user_id, slot_id, topic, sub_topic, content, attributes, sources, revision, created_at,
            updated_at
        FROM writes WHERE action = 'insert'
    ), updated AS (
        UPDATE profile_slots AS s SET topic = w.topic, sub_topic = w.sub_topic, content = w.content,
            attributes = w.attributes, sources = w.sources, revision = w.revision, updated_at = w.updated_at
        FROM writes AS w WHERE s.ctid = w.place AND w.action = 'update'
    ), deleted AS (
        DELETE FROM profile_slots AS s USING writes AS w WHERE s.ctid = w.place AND w.action = 'delete'
    ), logged AS (
        INSERT INTO slot_revisions (project_id, user_id, slot_id, entry, revision, action, author, flush_id, topic,
            sub_topic, content, attributes, sources, at)
        SELECT w.project_id, w.user_id, w.slot_id, 1 + coalesce((SELECT max(entry) FROM slot_revisions AS x
                WHERE x.project_id = w.project_id AND x.user_id = w.user_id AND x.slot_id = w.slot_id), 0),
            w.revision, w.action, 'flush', w.flush_id, w.topic, w.sub_topic, w.content, w.attributes, w.sources,
            w.now
        FROM writes AS w ORDER BY w.number
    ), happened AS MATERIALIZED (
        SELECT m.project_id, m.user_id, e.* FROM memory AS m JOIN unnest($27::bigint[], $28::uuid[], $29::uuid[],
            $30::text[], $31::bigint[], $32::bigint[]) AS e (n, event_id, flush_id, data, created_at, updated_at)
            USING (n)
    ), event AS (
        INSERT INTO events (project_id, user_id, event_id, flush_id, data, tags, created_at, updated_at)
        SELECT project_id, user_id, event_id, flush_id, data,
            ARRAY(SELECT tag FROM unnest($33::bigint[], $34::text[]) AS t (n, tag) WHERE t.n = h.n),
            created_at, updated_at
        FROM happened AS h
    ), gist AS (
        INSERT INTO gists (project_id, user_id, event_id, position, gist_id, text, occurred_at, said_at, sources,
            created_at, updated_at)
        SELECT h.project_id, h.user_id, h.event_id, g.position, g.gist_id, g.text, g.occurred_at, g.said_at, g.sources,
            g.created_at, g.updated_at
        FROM happened AS h JOIN unnest($35::bigint[], $36::bigint[], $37::uuid[], $38::text[], $39::text[],
            $40::text[], $41::text[], $42::bigint[], $43::bigint[])
            AS g (n, position, gist_id, text, occurred_at, said_at, sources, created_at, updated_at) USING (n)
    ), kept AS (
        INSERT INTO blobs (project_id, user_id, blob_id, blob_type, tokens, payload, created_at)
        SELECT m.project_id, m.user_id, b.blob_id, b.blob_type, b.tokens, b.payload, b.created_at
        FROM memory AS m JOIN unnest($44::bigint[], $45::uuid[], $46::text[], $47::bigint[], $48::text[],
            $49::bigint[]) WITH ORDINALITY AS b (n, blob_id, blob_type, tokens, payload, created_at, number) USING (n)
        ORDER BY b.number ON CONFLICT DO NOTHING
    ), answer AS (
        INSERT INTO recorded_answers (project_id, user_id, flush_id, part, answer, created_at)
        SELECT m.project_id, m.user_id, m.flush_id, a.part, a.answer, m.now
        FROM memory AS m JOIN unnest($50::bigint[], $51::bigint[], $52::text[]) AS a (n, part, answer) USING (n)
    ), used AS (
        INSERT INTO usage_entries (project_id, day, inserts, successes, input_tokens, output_tokens)
        SELECT m.project_id, u.day, sum(u.inserts)::bigint, sum(u.successes)::bigint, sum(u.input_tokens)::bigint,
            sum(u.output_tokens)::bigint
        FROM memory AS m JOIN unnest($53::text[], $54::bigint[], $55::bigint[], $56::bigint[], $57::bigint[])
            WITH ORDINALITY AS u (day, inserts, successes, input_tokens, output_tokens, n) USING (n)
        GROUP BY m.project_id, u.day
    )
    SELECT n FROM memory";

/// A commit that is asked for.
#[derive(Clone)]
pub(super) struct NewCommit(pub(super) Arc<Commit>);

impl Member for NewCommit {
    /// Whether it is done. If not, something stands in its way, and the long way finds out what.
    type Done = bool;
    type Key = UserKey;

    fn key(&self) -> UserKey {
        self.0.owner.key.clone()
    }

    fn bytes(&self) -> usize {
        let Commit { slots, event, keep, answer, .. } = &*self.0;
        let kept: usize = keep.iter().map(|stored| stored.blob.payload.len()).sum();
        let of = |sources: &[Source]| sources.iter().map(Source::bytes).sum::<usize>();
        let slots = slots.iter().map(SlotWrite::slot);
        let slots: usize = slots.map(|slot| 2 * (slot.content.len() + of(&slot.sources))).sum();
        let gists = event.iter().flat_map(|(_, gists)| gists);
        let gists: usize = gists.map(|gist| 2 * gist.text.len() + of(&gist.sources)).sum();
        kept + slots + gists + answer.as_ref().map_or(0, |(_, answer)| answer.text.len())
    }

    fn work<'c>(conn: &'c mut PgConnection, group: &'c [Self]) -> Work<'c, Vec<bool>> {
        Box::pin(commit(conn, group))
    }
}

/// Whether a commit can be done so: a slot that is written twice needs a statement each time, and what comes out of a dead
/// letter one more.
pub(super) fn is_plain(commit: &Commit) -> bool {
    let mut seen = HashSet::new();
    !commit.retried && commit.slots.iter().all(|write| seen.insert(write.slot().id))
}

/// Tells of each commit, in order, whether it is done.
async fn commit(conn: &mut PgConnection, commits: &[NewCommit]) -> Result<Vec<bool>, DatabaseError> {
    let commits: Vec<&Commit> = commits.iter().map(|commit| &*commit.0).collect();
    let mut done = vec![false; commits.len()];
    let rows = match statement(&commits)?.fetch_all(conn).await {
        // A row of another breaks a key of one of them, and nothing has happened.
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => return Ok(done),
        rows => rows?,
    };
    for row in &rows {
        *place_of(row, &mut done)? = true;
    }
    Ok(done)
}

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// In the order of the parameters of [`COMMIT`].
fn statement<'q>(commits: &[&'q Commit]) -> Result<Statement<'q>, DatabaseError> {
    let query = bind_flushes(query(COMMIT), commits)?;
    let query = query.bind(places(commits, |commit| commit.blob_ids.len()));
    let query = query.bind(all(commits, |commit| commit.blob_ids.iter().map(|id| id.0)));

    let query = query.bind(places(commits, |commit| commit.slots.len()));
    let SlotColumns { actions, ids, topics, sub_topics, contents, attributes, sources, revisions, created, updated } =
        SlotColumns::of(commits.iter().flat_map(|commit| &commit.slots))?;
    let query = query.bind(actions).bind(ids).bind(topics).bind(sub_topics).bind(contents).bind(attributes);
    let query = query.bind(sources).bind(revisions).bind(created).bind(updated);

    let query = bind_events(query, commits)?;

    let query = query.bind(places(commits, |commit| commit.keep.len()));
    let BlobColumns { ids, types, tokens, payloads, times } =
        BlobColumns::of(commits.iter().flat_map(|commit| &commit.keep));
    let query = query.bind(ids).bind(types).bind(tokens).bind(payloads).bind(times);

    let query = query.bind(places(commits, |commit| usize::from(commit.answer.is_some())));
    let answers = || commits.iter().filter_map(|commit| commit.answer.as_ref());
    let query = query.bind(answers().map(|(part, _)| i64::from(*part)).collect::<Vec<_>>());
    let query = query.bind(answers().map(|(_, answer)| to_json(answer)).collect::<Result<Vec<_>, _>>()?);

    let (days, numbers): (Vec<String>, Vec<[i64; 5]>) =
        commits.iter().map(|commit| usage::columns(commit.used(true), commit.now)).unzip();
    let column = |place: usize| numbers.iter().map(|numbers| numbers[place]).collect::<Vec<i64>>();
    Ok((0..4).fold(query.bind(days), |query, place| query.bind(column(place))))
}

fn bind_flushes<'q>(query: Statement<'q>, commits: &[&'q Commit]) -> Result<Statement<'q>, DatabaseError> {
    let owners = || commits.iter().map(|commit| &commit.owner);
    let records = || commits.iter().map(|commit| &commit.record);
    let query = query
        .bind(owners().map(|owner| owner.key.project.as_str()).collect::<Vec<_>>())
        .bind(owners().map(|owner| owner.key.user.0).collect::<Vec<_>>())
        .bind(owners().map(|owner| owner.incarnation.0).collect::<Vec<_>>())
        .bind(commits.iter().map(|commit| commit.flush_id.0).collect::<Vec<_>>())
        .bind(commits.iter().map(|commit| commit.base_revision).collect::<Vec<_>>())
        .bind(commits.iter().map(|commit| i64::from(commit.changes_memory())).collect::<Vec<_>>())
        .bind(commits.iter().map(|commit| micros(commit.now)).collect::<Vec<_>>());
    Ok(query
        .bind(records().map(|record| record.outcome.as_str()).collect::<Vec<_>>())
        .bind(records().map(|record| to_json(&record.result)).collect::<Result<Vec<_>, _>>()?)
        .bind(records().map(|record| record.reason.as_deref().map(text)).collect::<Vec<_>>())
        .bind(records().map(|record| to_json(&record.usage)).collect::<Result<Vec<_>, _>>()?)
        .bind(records().map(|record| i64::from(record.refused)).collect::<Vec<_>>())
        .bind(records().map(|record| text(&record.version)).collect::<Vec<Cow<'_, str>>>()))
}

fn bind_events<'q>(query: Statement<'q>, commits: &[&'q Commit]) -> Result<Statement<'q>, DatabaseError> {
    let events = || commits.iter().filter_map(|commit| commit.event.as_ref().map(|(event, _)| event));
    let query = query
        .bind(places(commits, |commit| usize::from(commit.event.is_some())))
        .bind(events().map(|event| event.id.0).collect::<Vec<_>>())
        .bind(events().map(|event| event.flush_id.map(|id| id.0)).collect::<Vec<Option<Uuid>>>())
        .bind(events().map(|event| to_json(&event.data)).collect::<Result<Vec<_>, _>>()?)
        .bind(events().map(|event| micros(event.created_at)).collect::<Vec<_>>())
        .bind(events().map(|event| micros(event.updated_at)).collect::<Vec<_>>());

    let tags = |commit: &Commit| {
        let event = commit.event.as_ref().map(|(event, _)| event);
        tags_of(event.and_then(|event| event.data.event_tags.as_deref()).unwrap_or_default())
    };
    let tags = commits.iter().map(|commit| tags(commit)).collect::<Result<Vec<_>, _>>()?;
    let query = query.bind(repeated(tags.iter().map(Vec::len))).bind(tags.concat());

    let gists = |commit: &&'q Commit| commit.event.as_ref().map_or(&[][..], |(_, gists)| gists);
    let query = query.bind(repeated(commits.iter().map(|commit| gists(commit).len())));
    let GistColumns { positions, ids, texts, occurred, said, sources, created, updated } =
        GistColumns::of(commits.iter().flat_map(gists))?;
    let query = query.bind(positions).bind(ids).bind(texts).bind(occurred).bind(said).bind(sources);
    Ok(query.bind(created).bind(updated))
}

/// What the commits have, one after the other.
fn all<'q, T, I: Iterator<Item = T>>(commits: &[&'q Commit], of: impl Fn(&'q Commit) -> I) -> Vec<T> {
    commits.iter().flat_map(|commit| of(commit)).collect()
}

/// The place of the commit that each of [`all`] belongs to.
fn places(commits: &[&Commit], count: impl Fn(&Commit) -> usize) -> Vec<i64> {
    repeated(commits.iter().map(|commit| count(commit)))
}

/// Each place, counted from 1, as often as its number says.
fn repeated(counts: impl Iterator<Item = usize>) -> Vec<i64> {
    (1..).zip(counts).flat_map(|(place, count)| std::iter::repeat_n(place, count)).collect()
}
