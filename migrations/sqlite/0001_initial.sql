-- Ids are UUIDs as 16 bytes, times are microseconds since 1970 in UTC, JSON is text.
-- Every key begins with project and user: no row can be reached without naming both.

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Tells this journal from any other: random, drawn once.
INSERT INTO meta (key, value) VALUES ('journal_id', lower(hex(randomblob(16))));

-- Users.

CREATE TABLE users (
    project_id  TEXT    NOT NULL,
    user_id     BLOB    NOT NULL,
    incarnation BLOB    NOT NULL,
    revision    INTEGER NOT NULL,
    data        TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (project_id, user_id)
) STRICT, WITHOUT ROWID;

-- Lives that have ended. Without purged_at it is also the order to purge the journal.
CREATE TABLE tombstones (
    project_id  TEXT    NOT NULL,
    user_id     BLOB    NOT NULL,
    incarnation BLOB    NOT NULL,
    deleted_at  INTEGER NOT NULL,
    purged_at   INTEGER,
    PRIMARY KEY (project_id, user_id, incarnation)
) STRICT, WITHOUT ROWID;
CREATE INDEX purge_orders ON tombstones (deleted_at) WHERE purged_at IS NULL;
CREATE INDEX tombstones_by_age ON tombstones (purged_at) WHERE purged_at IS NOT NULL;

-- Memory.

CREATE TABLE profile_slots (
    project_id TEXT    NOT NULL,
    user_id    BLOB    NOT NULL,
    slot_id    BLOB    NOT NULL,
    topic      TEXT    NOT NULL,
    sub_topic  TEXT    NOT NULL,
    content    TEXT    NOT NULL,
    attributes TEXT    NOT NULL,
    revision   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, user_id, slot_id),
    FOREIGN KEY (project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX slots_by_age ON profile_slots (project_id, user_id, updated_at DESC, slot_id DESC);

-- The history of slots; it outlives them. A flush that a client overruled has an entry, too.
CREATE TABLE slot_revisions (
    project_id TEXT    NOT NULL,
    user_id    BLOB    NOT NULL,
    slot_id    BLOB    NOT NULL,
    entry      INTEGER NOT NULL, -- counts the entries of a slot, from 1
    revision   INTEGER NOT NULL, -- of the slot, after the change
    action     TEXT    NOT NULL CHECK (action IN ('insert', 'update', 'delete', 'overruled')),
    author     TEXT    NOT NULL CHECK (author IN ('client', 'flush')),
    flush_id   BLOB,
    topic      TEXT    NOT NULL,
    sub_topic  TEXT    NOT NULL,
    content    TEXT    NOT NULL,
    attributes TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (project_id, user_id, slot_id, entry),
    FOREIGN KEY (project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
) STRICT;

CREATE TABLE events (
    place      INTEGER PRIMARY KEY, -- grows: tells the order of events of one instant
    project_id TEXT    NOT NULL,
    user_id    BLOB    NOT NULL,
    event_id   BLOB    NOT NULL,
    flush_id   BLOB,
    data       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (project_id, user_id, event_id),
    FOREIGN KEY (project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
) STRICT;
-- Read backwards; every entry ends with the place.
CREATE INDEX events_by_age ON events (project_id, user_id, created_at);

CREATE TABLE gists (
    project_id  TEXT    NOT NULL,
    user_id     BLOB    NOT NULL,
    event_id    BLOB    NOT NULL,
    position    INTEGER NOT NULL,
    gist_id     BLOB    NOT NULL,
    text        TEXT    NOT NULL,
    occurred_at TEXT,
    said_at     TEXT,
    sources     TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (project_id, user_id, event_id, position),
    FOREIGN KEY (project_id, user_id, event_id) REFERENCES events (project_id, user_id, event_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE blobs (
    place      INTEGER PRIMARY KEY, -- as that of events
    project_id TEXT    NOT NULL,
    user_id    BLOB    NOT NULL,
    blob_id    BLOB    NOT NULL,
    blob_type  TEXT    NOT NULL,
    tokens     INTEGER NOT NULL,
    payload    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (project_id, user_id, blob_id),
    FOREIGN KEY (project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX blobs_by_age ON blobs (project_id, user_id, blob_type, created_at);

-- Flushes. A flush of a user who is gone has a row, too: hence no reference.

CREATE TABLE flushes (
    project_id TEXT    NOT NULL,
    user_id    BLOB    NOT NULL,
    flush_id   BLOB    NOT NULL,
    outcome    TEXT    NOT NULL CHECK (outcome IN ('committed', 'dead', 'cancelled', 'superseded')),
    result     TEXT    NOT NULL,
    reason     TEXT,
    usage      TEXT    NOT NULL,
    refused    INTEGER NOT NULL,
    version    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, user_id, flush_id)
) STRICT;

-- Which flush a blob took effect in: what makes an effect happen once.
CREATE TABLE applied_blobs (
    project_id TEXT    NOT NULL,
    user_id    BLOB    NOT NULL,
    blob_id    BLOB    NOT NULL,
    flush_id   BLOB    NOT NULL,
    applied_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, user_id, blob_id),
    FOREIGN KEY (project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX applied_blobs_by_age ON applied_blobs (applied_at);

CREATE TABLE dead_letters (
    project_id TEXT    NOT NULL,
    user_id    BLOB    NOT NULL,
    flush_id   BLOB    NOT NULL,
    reason     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, user_id, flush_id),
    FOREIGN KEY (project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letter_blobs (
    project_id TEXT    NOT NULL,
    user_id    BLOB    NOT NULL,
    flush_id   BLOB    NOT NULL,
    position   INTEGER NOT NULL,
    blob_id    BLOB    NOT NULL,
    blob_type  TEXT    NOT NULL,
    tokens     INTEGER NOT NULL,
    payload    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, user_id, flush_id, position),
    FOREIGN KEY (project_id, user_id, flush_id) REFERENCES dead_letters (project_id, user_id, flush_id)
        ON DELETE CASCADE
) STRICT;
-- A blob is buried once.
CREATE UNIQUE INDEX dead_letter_blobs_by_id ON dead_letter_blobs (project_id, user_id, blob_id);

-- Answers of a model, recorded before they are used.
CREATE TABLE recorded_answers (
    project_id TEXT    NOT NULL,
    user_id    BLOB    NOT NULL,
    flush_id   BLOB    NOT NULL,
    part       INTEGER NOT NULL,
    answer     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, user_id, flush_id, part),
    FOREIGN KEY (project_id, user_id) REFERENCES users (project_id, user_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX recorded_answers_by_age ON recorded_answers (created_at);

-- The journal. It stands alone: it may hold what the tables above know nothing of, and the other way round.

-- One row per buffer that was ever used; it stays so that last_seq never goes back.
CREATE TABLE journal_buffers (
    project_id  TEXT    NOT NULL,
    user_id     BLOB    NOT NULL,
    incarnation BLOB    NOT NULL,
    blob_type   TEXT    NOT NULL,
    last_seq    INTEGER NOT NULL,
    blobs       INTEGER NOT NULL CHECK (blobs >= 0),
    tokens      INTEGER NOT NULL CHECK (tokens >= 0),
    oldest_at   INTEGER, -- when the first blob that waits was appended
    PRIMARY KEY (project_id, user_id, incarnation, blob_type)
) STRICT, WITHOUT ROWID;
CREATE INDEX journal_buffers_by_age ON journal_buffers (oldest_at) WHERE oldest_at IS NOT NULL;

-- Blobs that wait, and those of open batches: these have a flush_id.
CREATE TABLE journal_entries (
    project_id  TEXT    NOT NULL,
    user_id     BLOB    NOT NULL,
    incarnation BLOB    NOT NULL,
    blob_id     BLOB    NOT NULL,
    blob_type   TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    flush_id    BLOB,
    tokens      INTEGER NOT NULL,
    appended_at INTEGER NOT NULL,
    payload     TEXT    NOT NULL,
    PRIMARY KEY (project_id, user_id, incarnation, blob_id)
) STRICT;
CREATE INDEX journal_entries_waiting ON journal_entries (project_id, user_id, incarnation, blob_type, seq)
    WHERE flush_id IS NULL;
CREATE INDEX journal_entries_sealed ON journal_entries (project_id, user_id, incarnation, flush_id, seq)
    WHERE flush_id IS NOT NULL;

-- The open batch of an owner.
CREATE TABLE journal_batches (
    project_id  TEXT    NOT NULL,
    user_id     BLOB    NOT NULL,
    incarnation BLOB    NOT NULL,
    flush_id    BLOB    NOT NULL,
    blob_type   TEXT    NOT NULL,
    token       BLOB,             -- of the present claim
    ready_at    INTEGER NOT NULL, -- when the claim, or else the wait for the next attempt, ends
    attempts    INTEGER NOT NULL,
    tries       INTEGER NOT NULL,
    PRIMARY KEY (project_id, user_id, incarnation)
) STRICT, WITHOUT ROWID;
CREATE INDEX journal_batches_by_age ON journal_batches (ready_at);
