//! The commit of a flush as one statement, for when nothing stands in its way: nearly always.

use std::collections::HashSet;

use memory::ports::Commit;
use memory::profile::SlotWrite;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryScalar;
use sqlx::{PgConnection, Postgres, query_scalar};
use uuid::Uuid;

use super::error::DatabaseError;
use super::events::{GistColumns, tags_of};
use super::rows::{About, BlobColumns, micros, text, to_json, uuids};
use super::slots::SlotColumns;
use super::usage;

/// Does all that [`super::flushes::commit`] does when a commit can be done, or nothing.
///
/// A statement sees the tables as they were when it began, but for the rows that it locks. So a condition stands in the
/// row of the user, which `memory` locks: its life and its revision, and that nobody has written it since the statement
/// began, as every change of the memory and every dead letter does. Or it is a key that the row of another breaks: that
/// the flush has no outcome yet, that none of its blobs has taken effect, and that no other answer is recorded.
const COMMIT: &str = "WITH memory AS MATERIALIZED (
        UPDATE users AS u SET revision = u.revision + $6
        FROM (SELECT xmin AS written_by FROM users WHERE project_id = $1 AND user_id = $2) AS seen
        WHERE u.project_id = $1 AND u.user_id = $2 AND u.incarnation = $3 AND u.revision = $5
            AND u.xmin = seen.written_by
            AND NOT EXISTS (SELECT FROM flushes WHERE project_id = $1 AND user_id = $2 AND flush_id = $4)
            AND NOT EXISTS (SELECT FROM applied_blobs
                WHERE project_id = $1 AND user_id = $2 AND blob_id = ANY($8::uuid[]))
            AND NOT EXISTS (SELECT FROM dead_letter_blobs
                WHERE project_id = $1 AND user_id = $2 AND blob_id = ANY($8::uuid[]))
            AND $9 = (SELECT count(*) FROM profile_slots
                WHERE project_id = $1 AND user_id = $2 AND slot_id = ANY($10::uuid[]))
        RETURNING u.project_id, u.user_id
    ), flush AS (
        INSERT INTO flushes (project_id, user_id, flush_id, outcome, result, reason, usage, refused, version,
            created_at)
        SELECT project_id, user_id, $4, $11, $12, $13, $14, $15, $16, $7 FROM memory
    ), applied AS (
        INSERT INTO applied_blobs (project_id, user_id, blob_id, flush_id, applied_at)
        SELECT project_id, user_id, blob_id, $4, $7 FROM memory, unnest($8::uuid[]) AS b (blob_id)
    ), writes AS MATERIALIZED (
        SELECT memory.*, w.* FROM memory, unnest($17::text[], $18::uuid[], $19::text[], $20::text[], $21::text[],
            $22::text[], $23::bigint[], $24::bigint[], $25::bigint[])
        WITH ORDINALITY
            AS w (action, slot_id, topic, sub_topic, content, attributes, revision, created_at, updated_at, number)
    ), inserted AS (
        INSERT INTO profile_slots (project_id, user_id, slot_id, topic, sub_topic, content, attributes, revision,
            created_at, updated_at)
        SELECT project_id, user_id, slot_id, topic, sub_topic, content, attributes, revision, created_at, updated_at
        FROM writes WHERE action = 'insert'
    ), updated AS (
        UPDATE profile_slots AS s SET topic = w.topic, sub_topic = w.sub_topic, content = w.content,
            attributes = w.attributes, revision = w.revision, updated_at = w.updated_at
        FROM writes AS w
        WHERE s.project_id = $1 AND s.user_id = $2 AND s.slot_id = w.slot_id AND w.action = 'update'
    ), deleted AS (
        DELETE FROM profile_slots AS s USING writes AS w
        WHERE s.project_id = $1 AND s.user_id = $2 AND s.slot_id = w.slot_id AND w.action = 'delete'
    ), logged AS (
        INSERT INTO slot_revisions (project_id, user_id, slot_id, entry, revision, action, author, flush_id, topic,
            sub_topic, content, attributes, at)
        SELECT w.project_id, w.user_id, w.slot_id, 1 + coalesce((SELECT max(entry) FROM slot_revisions AS r
                WHERE r.project_id = $1 AND r.user_id = $2 AND r.slot_id = w.slot_id), 0),
            w.revision, w.action, 'flush', $4, w.topic, w.sub_topic, w.content, w.attributes, $7
        FROM writes AS w ORDER BY w.number
    ), event AS (
        INSERT INTO events (project_id, user_id, event_id, flush_id, data, tags, created_at, updated_at)
        SELECT project_id, user_id, $26, $27, $28, $29, $30, $31 FROM memory WHERE $26 IS NOT NULL
    ), gist AS (
        INSERT INTO gists (project_id, user_id, event_id, position, gist_id, text, occurred_at, said_at, sources,
            created_at, updated_at)
        SELECT project_id, user_id, $26, g.* FROM memory, unnest($32::bigint[], $33::uuid[], $34::text[],
            $35::text[], $36::text[], $37::text[], $38::bigint[], $39::bigint[]) AS g
    ), kept AS (
        INSERT INTO blobs (project_id, user_id, blob_id, blob_type, tokens, payload, created_at)
        SELECT project_id, user_id, b.blob_id, b.blob_type, b.tokens, b.payload, b.created_at
        FROM memory, unnest($40::uuid[], $41::text[], $42::bigint[], $43::text[], $44::bigint[])
            WITH ORDINALITY AS b (blob_id, blob_type, tokens, payload, created_at, number)
        ORDER BY b.number ON CONFLICT DO NOTHING
    ), answer AS (
        INSERT INTO recorded_answers (project_id, user_id, flush_id, part, answer, created_at)
        SELECT project_id, user_id, $4, $45, $46, $7 FROM memory WHERE $45 IS NOT NULL
    ), used AS (
        INSERT INTO usage_entries (project_id, day, inserts, successes, input_tokens, output_tokens)
        SELECT project_id, $47, $48, $49, $50, $51 FROM memory
    )
    SELECT count(*) FROM memory";

/// True when it is done. False when something stands in the way, and nothing has happened: the long way finds out what.
///
/// # Errors
/// When Postgres cannot.
pub(super) async fn at_once(conn: &mut PgConnection, commit: &Commit) -> Result<bool, DatabaseError> {
    let mut seen = HashSet::new();
    // A slot that is written twice needs a statement each time, and what comes out of a dead letter one more.
    if commit.retried || !commit.slots.iter().all(|write| seen.insert(write.slot().id)) {
        return Ok(false);
    }
    let done: sqlx::Result<i64> = statement(commit)?.fetch_one(conn).await;
    match done {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
        done => Ok(done? == 1),
    }
}

/// In the order of the parameters of [`COMMIT`].
fn statement(commit: &Commit) -> Result<QueryScalar<'_, Postgres, i64, PgArguments>, DatabaseError> {
    let Commit { record, .. } = commit;
    let stored = commit.slots.iter().filter(|write| matches!(write, SlotWrite::Update(_) | SlotWrite::Delete(_)));
    let stored: Vec<Uuid> = stored.map(|write| write.slot().id.0).collect();
    let query = query_scalar(COMMIT).owner(&commit.owner).bind(commit.flush_id.0).bind(commit.base_revision);
    let query = query.bind(i64::from(commit.changes_memory())).bind(micros(commit.now)).bind(uuids(&commit.blob_ids));
    let query = query.bind(i64::try_from(stored.len()).unwrap_or(i64::MAX)).bind(stored);
    let query = query.bind(record.outcome.as_str()).bind(to_json(&record.result)?);
    let query = query.bind(record.reason.as_deref().map(text)).bind(to_json(&record.usage)?);
    let query = query.bind(i64::from(record.refused)).bind(text(&record.version));

    let SlotColumns { actions, ids, topics, sub_topics, contents, attributes, revisions, created, updated } =
        SlotColumns::of(&commit.slots)?;
    let query = query.bind(actions).bind(ids).bind(topics).bind(sub_topics).bind(contents).bind(attributes);
    let query = query.bind(revisions).bind(created).bind(updated);

    let event = commit.event.as_ref().map(|(event, _)| event);
    let tags = event.and_then(|event| event.data.event_tags.as_deref()).unwrap_or_default();
    let query = query.bind(event.map(|event| event.id.0));
    let query = query.bind(event.and_then(|event| event.flush_id).map(|id| id.0));
    let query = query.bind(event.map(|event| to_json(&event.data)).transpose()?).bind(tags_of(tags)?);
    let query = query.bind(event.map(|event| micros(event.created_at)));
    let query = query.bind(event.map(|event| micros(event.updated_at)));

    let gists = commit.event.as_ref().map_or(&[][..], |(_, gists)| gists);
    let GistColumns { positions, ids, texts, occurred, said, sources, created, updated } = GistColumns::of(gists)?;
    let query = query.bind(positions).bind(ids).bind(texts).bind(occurred).bind(said).bind(sources);
    let query = query.bind(created).bind(updated);

    let BlobColumns { ids, types, tokens, payloads, times } = BlobColumns::of(&commit.keep);
    let query = query.bind(ids).bind(types).bind(tokens).bind(payloads).bind(times);

    let answer = commit.answer.as_ref();
    let query = query.bind(answer.map(|(part, _)| i64::from(*part)));
    let query = query.bind(answer.map(|(_, answer)| to_json(answer)).transpose()?);

    let (day, numbers) = usage::columns(commit.used(true), commit.now);
    Ok(numbers.into_iter().fold(query.bind(day), |query, number| query.bind(number)))
}
