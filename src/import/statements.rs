//! What a Memobase is asked. The texts of a row that is larger than the limit stay there: `bytes` tells why they are missing.
//! They are made in a subquery of their own (`OFFSET 0` keeps it one), so that they are made once.

/// The tables that are read, with the columns that are needed.
pub(super) const TABLES: [(&str, &[&str]); 7] = [
    ("projects", &["project_id", "id", "profile_config", "status", "created_at", "updated_at"]),
    ("users", &["id", "project_id", "additional_fields", "created_at", "updated_at"]),
    ("user_profiles", &["id", "project_id", "user_id", "content", "attributes", "created_at", "updated_at"]),
    ("user_events", &["id", "project_id", "user_id", "event_data", "created_at", "updated_at"]),
    ("user_event_gists", &["id", "project_id", "user_id", "event_id", "gist_data", "created_at", "updated_at"]),
    ("general_blobs", &["id", "project_id", "user_id", "blob_type", "blob_data", "additional_fields", "created_at"]),
    ("buffer_zones", &["project_id", "user_id", "blob_id", "status"]),
];

/// What a table is counted for that does not move: its name, a column, and the statement.
pub(super) const UNMOVED: [(&str, &str, &str); 4] = [
    ("user_events", "embedding", "SELECT count(embedding) FROM user_events WHERE $1::text IS NULL OR project_id = $1"),
    (
        "user_event_gists",
        "embedding",
        "SELECT count(embedding) FROM user_event_gists WHERE $1::text IS NULL OR project_id = $1",
    ),
    ("user_statuses", "project_id", "SELECT count(*) FROM user_statuses WHERE $1::text IS NULL OR project_id = $1"),
    (
        "project_billings",
        "project_id",
        "SELECT count(*) FROM project_billings WHERE $1::text IS NULL OR project_id = $1",
    ),
];

/// A time as microseconds since 1970, none for one that is no instant.
macro_rules! micros {
    ($column:literal) => {
        concat!("CASE WHEN isfinite(", $column, ") THEN (extract(epoch FROM ", $column, ") * 1000000)::bigint END")
    };
}

/// For this transaction alone, which is idle while its rows are written elsewhere. Not every version has all of them.
pub(super) const NO_LIMITS: &str = "SELECT set_config(name, '0', TRUE) FROM pg_settings WHERE name IN
    ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout')";
pub(super) const COLUMNS: &str = "SELECT table_name::text, column_name::text FROM information_schema.columns
    WHERE table_schema = current_schema()";
pub(super) const COUNTS: &str = "SELECT
    (SELECT count(*) FROM users WHERE $1::text IS NULL OR project_id = $1) AS users,
    (SELECT count(*) FROM user_profiles WHERE $1::text IS NULL OR project_id = $1) AS slots,
    (SELECT count(*) FROM user_events WHERE $1::text IS NULL OR project_id = $1) AS events,
    (SELECT count(*) FROM user_event_gists WHERE $1::text IS NULL OR project_id = $1) AS gists,
    (SELECT count(*) FROM general_blobs WHERE $1::text IS NULL OR project_id = $1) AS blobs,
    (SELECT count(*) FROM buffer_zones AS z WHERE ($1::text IS NULL OR z.project_id = $1) AND z.status <> 'done'
        AND NOT EXISTS (SELECT FROM general_blobs AS b
            WHERE b.project_id = z.project_id AND b.user_id = z.user_id AND b.id = z.blob_id)) AS missing";
pub(super) const PROJECTS: &str = "SELECT project_id::text FROM projects WHERE $1::text IS NULL OR project_id = $1
    UNION SELECT project_id::text FROM users WHERE $1::text IS NULL OR project_id = $1 ORDER BY 1";
pub(super) const PROJECT: &str = concat!(
    "SELECT id, profile_config::text, status::text, ",
    micros!("created_at"),
    " AS created, ",
    micros!("updated_at"),
    " AS updated FROM projects WHERE project_id = $1"
);
pub(super) const USER_IDS: &str =
    "SELECT id FROM users WHERE project_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3";
pub(super) const USER: &str = concat!(
    "SELECT id, created, updated, bytes, CASE WHEN bytes <= $3 THEN data END AS data
    FROM (SELECT *, coalesce(octet_length(data), 0)::bigint AS bytes FROM (SELECT id, additional_fields::text AS data, ",
    micros!("created_at"),
    " AS created, ",
    micros!("updated_at"),
    " AS updated FROM users WHERE project_id = $1 AND id = $2 OFFSET 0) AS texts) AS sized"
);
pub(super) const SLOTS: &str = concat!(
    "SELECT id, created, updated, bytes, CASE WHEN bytes <= $3 THEN content END AS content,
        CASE WHEN bytes <= $3 THEN attributes END AS attributes
    FROM (SELECT *, coalesce(octet_length(content), 0)::bigint + coalesce(octet_length(attributes), 0) AS bytes
        FROM (SELECT id, updated_at, content::text, attributes::text, ",
    micros!("created_at"),
    " AS created, ",
    micros!("updated_at"),
    " AS updated FROM user_profiles WHERE project_id = $1 AND user_id = $2 OFFSET 0) AS texts) AS sized
    ORDER BY updated_at, id"
);
/// The gists of an event come with it, as JSON; what they hold is text in that. Each counts for 128 bytes at least.
pub(super) const EVENTS: &str = concat!(
    "SELECT id, created, updated, bytes, gist_count, CASE WHEN bytes <= $3 THEN data END AS data,
        CASE WHEN bytes <= $3 THEN (SELECT coalesce(json_agg(json_build_object('id', g.id, 'data', g.gist_data::text,
            'created', ",
    micros!("g.created_at"),
    ", 'updated', ",
    micros!("g.updated_at"),
    ") ORDER BY g.created_at, g.id), '[]')::text FROM user_event_gists AS g
            WHERE g.project_id = $1 AND g.user_id = $2 AND g.event_id = sized.id) END AS gists
    FROM (SELECT texts.*, gist_count, coalesce(octet_length(data), 0)::bigint + gist_bytes AS bytes
        FROM (SELECT id, created_at, event_data::text AS data, ",
    micros!("created_at"),
    " AS created, ",
    micros!("updated_at"),
    " AS updated FROM user_events WHERE project_id = $1 AND user_id = $2 OFFSET 0) AS texts,
        LATERAL (SELECT count(*) AS gist_count,
                coalesce(sum(coalesce(octet_length(g.gist_data::text), 0) + 128), 0)::bigint AS gist_bytes
            FROM user_event_gists AS g
            WHERE g.project_id = $1 AND g.user_id = $2 AND g.event_id = texts.id) AS gists) AS sized
    ORDER BY created_at, id"
);
/// Whatever has a row in the buffer that is not done is still to be processed: idle, under way, or failed. The rows are
/// looked up once: no index there leads from a blob to them.
pub(super) const BLOBS: &str = concat!(
    "SELECT id, blob_type, created, waits, bytes, CASE WHEN bytes <= $3 THEN data END AS data,
        CASE WHEN bytes <= $3 THEN fields END AS fields
    FROM (SELECT *, coalesce(octet_length(data), 0)::bigint + coalesce(octet_length(fields), 0) AS bytes
        FROM (SELECT b.id, b.created_at, b.blob_type::text, b.blob_data::text AS data,
            b.additional_fields::text AS fields, ",
    micros!("b.created_at"),
    " AS created, b.id IN (SELECT z.blob_id FROM buffer_zones AS z WHERE z.project_id = $1 AND z.user_id = $2
                AND z.status <> 'done') AS waits
        FROM general_blobs AS b WHERE b.project_id = $1 AND b.user_id = $2 OFFSET 0) AS texts) AS sized
    ORDER BY created_at, id"
);
