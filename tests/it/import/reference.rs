//! A database with the tables of a Memobase, as test data.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, raw_sql};

use crate::services::postgres::TestDatabase;
use crate::shared::block_on;

/// The tables, without those that hold nothing to move. Vectors are text here: their type is an extension's.
pub(crate) const TABLES: &str = "
    CREATE TABLE projects (project_id varchar(64) PRIMARY KEY, id uuid NOT NULL DEFAULT gen_random_uuid(),
        project_secret varchar(255) NOT NULL DEFAULT 'in clear', profile_config text, status varchar(16) NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE users (id uuid NOT NULL, project_id varchar(64) NOT NULL REFERENCES projects ON DELETE CASCADE,
        additional_fields jsonb, created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (id, project_id));
    CREATE TABLE general_blobs (id uuid NOT NULL, project_id varchar(64) NOT NULL, user_id uuid NOT NULL,
        blob_type varchar(16) NOT NULL, blob_data jsonb NOT NULL, additional_fields jsonb,
        created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (id, project_id));
    CREATE TABLE buffer_zones (id uuid NOT NULL DEFAULT gen_random_uuid(), project_id varchar(64) NOT NULL,
        user_id uuid NOT NULL, blob_id uuid NOT NULL, blob_type varchar(16) NOT NULL, token_size int NOT NULL DEFAULT 1,
        status varchar(16) NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (id, project_id));
    CREATE TABLE user_profiles (id uuid NOT NULL, project_id varchar(64) NOT NULL, user_id uuid NOT NULL,
        content text NOT NULL, attributes jsonb, created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (id, project_id));
    CREATE TABLE user_events (id uuid NOT NULL, project_id varchar(64) NOT NULL, user_id uuid NOT NULL,
        event_data jsonb, embedding text, created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (id, project_id));
    CREATE TABLE user_event_gists (id uuid NOT NULL, project_id varchar(64) NOT NULL, user_id uuid NOT NULL,
        event_id uuid NOT NULL, gist_data jsonb, embedding text, created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (id, project_id));
    CREATE TABLE user_statuses (id uuid NOT NULL, project_id varchar(64) NOT NULL, user_id uuid NOT NULL,
        type varchar(32), attributes jsonb, PRIMARY KEY (id, project_id));
    CREATE TABLE billings (id uuid PRIMARY KEY, usage_left int, next_refill_at timestamptz);
    CREATE TABLE project_billings (project_id varchar(64), billing_id uuid, PRIMARY KEY (project_id, billing_id));
    -- What a test counts by: an id of a kind and a number.
    CREATE FUNCTION id(kind int, number int) RETURNS uuid LANGUAGE sql AS $$
        SELECT format('%s-0000-4000-8000-%s', lpad(kind::text, 8, '0'), lpad(number::text, 12, '0'))::uuid $$;";

/// Two projects, and a little of everything. The user Ann is in both.
pub(crate) const PEOPLE: &str = r#"
    INSERT INTO projects (project_id, profile_config, status) VALUES ('__root__', E'language: en\n', 'ultra'),
        ('bot', E'language: zh\nunheard_of: 1\n', 'suspended');
    INSERT INTO users VALUES
        (id(0, 1), '__root__', '{"name": "Ann"}', '2024-01-02T03:04:05.678901Z', '2024-02-02T03:04:05.678901Z'),
        (id(0, 2), '__root__', NULL, '2024-01-03Z', '2024-01-03Z'), (id(0, 1), 'bot', '{}', '2024-01-03Z', '2024-01-03Z');
    INSERT INTO user_profiles VALUES
        (id(1, 1), '__root__', id(0, 1), 'nurse', '{"topic": "work", "sub_topic": "title", "update_hits": 2}',
            '2024-01-02T00:00:00.000001Z', '2024-01-05Z'),
        (id(1, 2), '__root__', id(0, 1), 'doctor', '{"topic": "work", "sub_topic": "title"}', '2024-01-02Z', '2024-01-04Z'),
        (id(1, 3), 'bot', id(0, 1), 'tea', '{"topic": "interest", "sub_topic": "drinks"}', '2024-01-02Z', '2024-01-02Z');
    INSERT INTO user_events VALUES
        (id(2, 1), '__root__', id(0, 1), '{"event_tip": "- went hiking\n- bought a bike",
            "event_tags": [{"tag": "mood", "value": "glad"}],
            "profile_delta": [{"content": "nurse", "attributes": {"topic": "work", "sub_topic": "title"}}]}', '[0.5]',
            '2024-05-06T07:08:09.123456Z', '2024-05-07Z'),
        (id(2, 2), '__root__', id(0, 1), '{"event_tip": null, "event_tags": null, "profile_delta": []}', NULL,
            '2024-04-06Z', '2024-04-06Z');
    INSERT INTO user_event_gists VALUES
        (id(3, 2), '__root__', id(0, 1), id(2, 1), '{"content": "- went hiking"}', '[0.5]', '2024-05-06T07:08:09.123456Z',
            '2024-05-06T07:08:09.123456Z'),
        (id(3, 1), '__root__', id(0, 1), id(2, 1), '{"content": "- bought a bike"}', NULL, '2024-05-06T07:08:09.123456Z',
            '2024-05-06T07:08:09.123456Z');
    INSERT INTO general_blobs
        SELECT id(4, n), '__root__', id(0, 1), 'chat', json_build_object('messages', json_build_array(json_build_object(
            'role', 'user', 'content', text, 'alias', NULL, 'created_at', NULL))), NULL, '2024-06-01Z'::timestamptz + at, now()
        FROM (VALUES (1, 'I live in Turin.', '2 h'::interval), (2, 'I like tea.', '3 h'), (3, 'I live in Oslo.', '1 h'),
            (4, 'I am old news.', '0 h')) AS c (n, text, at);
    INSERT INTO general_blobs VALUES
        (id(4, 5), '__root__', id(0, 1), 'doc', '{"content": "A document."}', '{"k": "v"}', '2024-05-01Z', now());
    INSERT INTO buffer_zones (project_id, user_id, blob_id, blob_type, status)
        SELECT '__root__', id(0, 1), id(4, n), 'chat', status
        FROM (VALUES (1, 'idle'), (2, 'processing'), (3, 'failed'), (4, 'done')) AS z (n, status);
    INSERT INTO user_statuses VALUES (id(5, 1), '__root__', id(0, 1), 'roleplay', '{}');
    INSERT INTO billings VALUES (id(6, 1), 100, now());
    INSERT INTO project_billings VALUES ('__root__', id(6, 1));"#;

/// Such a database.
pub(crate) struct Reference(TestDatabase);

impl Reference {
    /// One without any rows.
    pub(crate) fn empty() -> Self {
        let reference = Self(block_on(TestDatabase::new()));
        reference.run(TABLES);
        reference
    }

    /// One with two projects and three users.
    pub(crate) fn new() -> Self {
        let reference = Self::empty();
        reference.run(PEOPLE);
        reference
    }

    /// One with so many users of one project. Each has a slot, an event with a gist, and a blob that waits.
    pub(crate) fn crowd(users: usize) -> Self {
        let reference = Self::empty();
        reference.run(&format!(
            r#"INSERT INTO projects (project_id, status) VALUES ('__root__', 'active');
            INSERT INTO users (id, project_id) SELECT id(0, n), '__root__' FROM generate_series(1, {users}) AS n;
            INSERT INTO user_profiles (id, project_id, user_id, content, attributes)
                SELECT id(1, n), '__root__', id(0, n), 'memo', '{{"topic": "t", "sub_topic": "s"}}'
                FROM generate_series(1, {users}) AS n;
            INSERT INTO user_events (id, project_id, user_id, event_data)
                SELECT id(2, n), '__root__', id(0, n), '{{"event_tip": "- x"}}' FROM generate_series(1, {users}) AS n;
            INSERT INTO user_event_gists (id, project_id, user_id, event_id, gist_data)
                SELECT id(3, n), '__root__', id(0, n), id(2, n), '{{"content": "- x"}}'
                FROM generate_series(1, {users}) AS n;
            INSERT INTO general_blobs (id, project_id, user_id, blob_type, blob_data)
                SELECT id(4, n), '__root__', id(0, n), 'summary', '{{"summary": "I like tea."}}'
                FROM generate_series(1, {users}) AS n;
            INSERT INTO buffer_zones (project_id, user_id, blob_id, blob_type, status)
                SELECT '__root__', id(0, n), id(4, n), 'summary', 'idle' FROM generate_series(1, {users}) AS n"#
        ));
        reference
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        self.0.url()
    }

    /// Runs a script in it.
    pub(crate) fn run(&self, sql: &str) {
        block_on(async {
            let mut conn = PgConnection::connect(&self.url()).await.unwrap();
            raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        });
    }
}

/// The id of a number and a kind: 0 for users, 1 for slots, 2 for events, 3 for gists, 4 for blobs.
pub(crate) fn id(kind: u8, number: usize) -> String {
    format!("{kind:08}-0000-4000-8000-{number:012}")
}
