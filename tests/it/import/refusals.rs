//! What cannot be taken, and sources that are none.

use std::time::{Duration, Instant};

use sqlx::Executor as _;

use super::*;
use crate::services::postgres::Cluster;

/// Beside what is in order, one row of each kind that is not.
const ODD: &str = r#"
    INSERT INTO projects (project_id, profile_config, status) VALUES ('two words', NULL, 'active'),
        ('broken', 'event_tags: 7', 'active'), ('strange', NULL, 'frozen');
    INSERT INTO users (id, project_id) VALUES (id(0, 3), 'two words'),
        ('00000000-0000-1000-8000-000000000001', '__root__');
    INSERT INTO users (id, project_id, additional_fields, created_at) VALUES (id(0, 4), '__root__', '[1]', now()),
        (id(0, 5), '__root__', '{}', 'infinity');
    INSERT INTO user_profiles (id, project_id, user_id, content, attributes, created_at) VALUES
        (id(1, 11), '__root__', id(0, 2), 'x', '{"topic": "t"}', now()),
        (id(1, 12), '__root__', id(0, 2), 'x', NULL, now()),
        (id(1, 13), '__root__', id(0, 2), 'x', '{"topic": "t", "sub_topic": "s"}', '-infinity'),
        (id(1, 14), '__root__', id(0, 2), 'x', '{"topic": "t", "sub_topic": "s"}', '200000-01-01Z'),
        (id(1, 15), '__root__', id(0, 2), repeat('x', 5000), '{"topic": "t", "sub_topic": "s"}', now()),
        (id(1, 16), '__root__', id(0, 2), 'good', '{"topic": "t", "sub_topic": "s"}', now()),
        (id(1, 17), '__root__', '00000000-0000-1000-8000-000000000001', 'x', '{}', now()),
        (id(1, 18), '__root__', id(0, 99), 'x', '{"topic": "t", "sub_topic": "s"}', now()),
        (id(1, 19), 'two words', id(0, 3), 'x', '{"topic": "t", "sub_topic": "s"}', now());
    INSERT INTO user_events (id, project_id, user_id, event_data) VALUES (id(2, 11), '__root__', id(0, 2), '[]'),
        (id(2, 12), '__root__', id(0, 2), '{"event_tags": 1}'),
        (id(2, 13), '__root__', id(0, 2), '{"event_tip": "- good", "colour": "red"}');
    INSERT INTO user_event_gists (id, project_id, user_id, event_id, gist_data) VALUES
        (id(3, 11), '__root__', id(0, 2), id(2, 11), '{"content": "x"}'),
        (id(3, 12), '__root__', id(0, 2), id(2, 13), '{"content": " "}'),
        (id(3, 13), '__root__', id(0, 2), id(2, 99), '{"content": "x"}');
    INSERT INTO general_blobs (id, project_id, user_id, blob_type, blob_data) VALUES
        (id(4, 11), '__root__', id(0, 2), 'image', '{"url": "x"}'),
        (id(4, 12), '__root__', id(0, 2), 'video', '{}'),
        (id(4, 13), '__root__', id(0, 2), 'chat', '{"messages": [{"role": "system", "content": "x"}]}');
    INSERT INTO buffer_zones (project_id, user_id, blob_id, blob_type, status) VALUES
        ('__root__', id(0, 2), id(4, 13), 'chat', 'idle'), ('__root__', id(0, 2), id(4, 99), 'chat', 'failed');"#;

#[test]
fn what_cannot_be_taken_is_told() {
    let source = Reference::new();
    source.run(ODD);
    for place in [Place::sqlite(), Place::postgres()] {
        let mut import = place.import(&source.url(), &[]);
        let (done, report) = told(&import.env("POWERMEMO_MAX_BODY_BYTES", "4096").output().unwrap());
        assert!(!done && report.contains("something was left behind"), "{report}");
        for line in [
            "1 project: the name has other characters than letters, digits, '_' and '-', or is too long (two words)"
                .to_owned(),
            "1 setting of a project: profile_config cannot be used, and was left out (broken: ".to_owned(),
            "1 setting of a project: the status is not known: the project is suspended here (strange)".to_owned(),
            "1 user: the id is no UUID of version 4 or 5".to_owned(),
            format!("1 user: the project cannot be moved ({})", id(0, 3)),
            format!("1 user: its JSON is no object, or cannot be read ({})", id(0, 4)),
            format!("1 user: a time is missing, infinite or out of range ({})", id(0, 5)),
            format!("2 profile slots: the attributes name no topic and sub_topic ({}, {})", id(1, 11), id(1, 12)),
            format!("2 profile slots: a time is missing, infinite or out of range ({}, {})", id(1, 13), id(1, 14)),
            format!("1 profile slot: larger than max_body_bytes: raise it and import again ({})", id(1, 15)),
            "2 profile slots: the user cannot be moved".to_owned(),
            "1 profile slot: the user or the event they belong to is missing".to_owned(),
            format!("1 event: its JSON is no object, or cannot be read ({})", id(2, 11)),
            format!("1 event: event_data has not the shape of an event ({})", id(2, 12)),
            "1 event gist: the event cannot be moved".to_owned(),
            format!("1 event gist: there is no content ({})", id(3, 12)),
            "1 event gist: the user or the event they belong to is missing".to_owned(),
            format!("1 kept blob: images are not supported ({})", id(4, 11)),
            format!("1 kept blob: the blob_type is not known ({})", id(4, 12)),
            format!("1 waiting blob: blob_data has not the shape of its blob_type ({})", id(4, 13)),
            "1 waiting blob: only their place in the buffer is left".to_owned(),
        ] {
            assert!(report.contains(&format!("\n  {line}")), "not told: {line}\n{report}");
        }
        assert!(report.contains("events came without 1 field"), "{report}");
        assert_counted(&report, "projects", "4 moved, 0 here already");
        assert_counted(&report, "users", "3 moved, 0 here already");
        let (_server, client) = place.serve();
        assert_eq!(client.profile(&id(0, 2)), [["t", "s", "good"].map(str::to_owned)]);
        assert_eq!(client.event_lines(&id(0, 2)), ["good"]);
    }
}

/// What was too large is not said to have come when more is allowed: it comes.
#[test]
fn what_was_too_large_comes_when_it_may() {
    let source = Reference::new();
    source.run(
        r#"INSERT INTO users (id, project_id, additional_fields)
            VALUES (id(0, 3), '__root__', json_build_object('x', repeat('x', 5000)));
        INSERT INTO user_profiles (id, project_id, user_id, content, attributes)
            VALUES (id(1, 11), '__root__', id(0, 3), 'memo', '{"topic": "t", "sub_topic": "s"}');
        INSERT INTO user_events (id, project_id, user_id, event_data) VALUES (id(2, 11), '__root__', id(0, 2), '{}');
        INSERT INTO user_event_gists (id, project_id, user_id, event_id, gist_data)
            SELECT id(3, 10 + n), '__root__', id(0, 2), id(2, 11), json_build_object('content', repeat('x', 900))
            FROM generate_series(1, 5) AS n;
        INSERT INTO general_blobs (id, project_id, user_id, blob_type, blob_data)
            VALUES (id(4, 11), '__root__', id(0, 2), 'doc', json_build_object('content', repeat('x', 5000)))"#,
    );
    for place in [Place::sqlite(), Place::postgres()] {
        let mut import = place.import(&source.url(), &[]);
        let (done, report) = told(&import.env("POWERMEMO_MAX_BODY_BYTES", "4096").output().unwrap());
        assert!(!done, "{report}");
        for line in [
            format!("1 user: larger than max_body_bytes: raise it and import again ({})", id(0, 3)),
            "1 profile slot: the user cannot be moved".to_owned(),
            format!("1 event: larger than max_body_bytes: raise it and import again ({})", id(2, 11)),
            "5 event gists: the event cannot be moved".to_owned(),
            format!("1 kept blob: larger than max_body_bytes: raise it and import again ({})", id(4, 11)),
        ] {
            assert!(report.contains(&format!("\n  {line}")), "not told: {line}\n{report}");
        }
        let (done, report) = place.run(&source, &[]);
        assert!(done, "{report}");
        assert_counted(&report, "users", "1 moved, 3 here already");
        assert_counted(&report, "profile slots", "1 moved, 3 came before");
        assert_counted(&report, "event gists", "5 moved, 2 came before");
        assert_counted(&report, "kept blobs", "1 moved, 2 came before");
        let (_server, client) = place.serve();
        let data = &client.call("GET", &format!("/users/{}", id(0, 3)), None).unwrap()["data"];
        assert_eq!(data["x"].as_str().map(str::len), Some(5000));
    }
}

/// Nothing of ours is made in the database of a Memobase.
#[test]
fn the_source_is_no_target() {
    let source = Reference::new();
    let place = Place::sqlite();
    let tables = || -> i64 {
        block_on(async {
            let mut conn = PgConnection::connect(&source.url()).await.unwrap();
            let sql = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
            query_scalar(sql).fetch_one(&mut conn).await.unwrap()
        })
    };
    let before = tables();
    for args in [vec!["import", "memobase", "--from", &source.url()], vec!["migrate"], vec!["serve", "--port", "0"]] {
        let mut command = place.command();
        command.env("DATABASE_URL", source.url()).args(&args).stderr(Stdio::piped());
        let (done, report) = told(&command.output().unwrap());
        assert!(!done && report.contains("holds the tables of a Memobase: use a database of its own"), "{report}");
        assert_eq!(tables(), before, "{args:?}");
    }
}

#[test]
fn a_source_that_is_none_is_refused() {
    let place = Place::sqlite();
    let other = Place::postgres();
    let (done, _) = told(&other.command().arg("migrate").output().unwrap());
    assert!(done);
    let empty = block_on(TestDatabase::new());
    for (url, reason) in [
        (other.database(), "is not a Memobase database as of 0.0.42: there is no column"),
        (empty.url(), "there is no column project_id in a table projects that this user may read"),
        (
            "postgres://me:secret@127.0.0.1:9/x".to_owned(),
            "cannot connect to Postgres at 127.0.0.1:9, database x, as user me",
        ),
        ("postgresql+asyncpg://me:secret@127.0.0.1/x".to_owned(), "it does not begin with postgres://"),
        ("postgres://me:secret@host:port/x".to_owned(), "the URL of the database cannot be read"),
        ("".to_owned(), "the URL of the database cannot be read"),
    ] {
        let (done, report) = told(&place.import(&url, &[]).output().unwrap());
        assert!(!done && report.contains(reason), "{url}: {report}");
        assert!(!report.contains("secret"), "{report}");
    }
    let Place::Sqlite(folder) = &place else { unreachable!() };
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is made for nothing");
}

#[test]
fn a_wrong_password_is_told_and_a_reader_will_do() {
    let cluster = block_on(Cluster::start());
    block_on(async {
        let mut conn = PgConnection::connect(&cluster.url()).await.unwrap();
        let file: String = query_scalar("SHOW hba_file").fetch_one(&mut conn).await.unwrap();
        let rules = "host all reader 127.0.0.1/32 scram-sha-256\nhost all tester 127.0.0.1/32 trust\n";
        std::fs::write(file, rules).unwrap();
        conn.execute(reference::TABLES).await.unwrap();
        conn.execute(reference::PEOPLE).await.unwrap();
        conn.execute("CREATE ROLE reader LOGIN PASSWORD 'right'; SELECT pg_reload_conf()").await.unwrap();
    });
    let place = Place::sqlite();
    let run = |password: Option<&str>| {
        let mut import = place.import(&cluster.url().replace("tester", "reader"), &[]);
        if let Some(password) = password {
            import.env("PGPASSWORD", password);
        }
        told(&import.output().unwrap())
    };
    let began = Instant::now();
    loop {
        let (done, report) = run(Some("wrong"));
        if !done && report.contains("password authentication failed") {
            assert!(!report.contains("wrong"), "{report}");
            break;
        }
        // The rules are read again in a moment.
        assert!(began.elapsed() < Duration::from_secs(20), "{report}");
    }
    let (done, report) = run(Some("right"));
    assert!(!done && report.contains("that this user may read"), "{report}");
    block_on(async {
        let mut conn = PgConnection::connect(&cluster.url()).await.unwrap();
        conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader").await.unwrap();
    });
    let (done, report) = run(Some("right"));
    assert!(done, "{report}");
}

#[test]
fn the_folder_of_a_running_server_is_left_alone() {
    let (place, source) = (Place::sqlite(), Reference::new());
    let (_server, _client) = place.serve();
    let (done, report) = place.run(&source, &[]);
    assert!(!done && report.contains("is in use by another process: stop that process"), "{report}");
}

/// Somebody ends the connection to the source while the import waits for the target.
#[test]
fn a_source_that_goes_away_is_gone_on_with_later() {
    const USERS: i64 = 20;
    let (place, source) = (Place::postgres(), Reference::crowd(20));
    assert!(told(&place.command().arg("migrate").output().unwrap()).0);
    let importing = block_on(async {
        let mut target = PgConnection::connect(&place.database()).await.unwrap();
        let mut transaction = target.begin().await.unwrap();
        let sql = "INSERT INTO users SELECT '__root__', '00000000-0000-4000-8000-000000000005', gen_random_uuid(), 0, NULL, 0, 0";
        transaction.execute(sql).await.unwrap();
        let importing = place.import(&source.url(), &[]).spawn().unwrap();
        let mut other = PgConnection::connect(&source.url()).await.unwrap();
        let mut watch = PgConnection::connect(&place.database()).await.unwrap();
        let began = Instant::now();
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while query_scalar::<_, i64>(waits).fetch_one(&mut watch).await.unwrap() == 0 {
            assert!(began.elapsed() < Duration::from_secs(30), "it does not wait");
        }
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'powermemo import'";
        assert_eq!(query_scalar::<_, i64>(end).fetch_one(&mut other).await.unwrap(), 1);
        transaction.rollback().await.unwrap();
        importing
    });
    let (done, report) = told(&importing.wait_with_output().unwrap());
    assert!(!done && report.contains("the source could not be read to its end"), "{report}");
    assert!(report.contains("run it again, and it goes on where it ended"), "{report}");
    assert!(report.contains("CUT SHORT: ") && !report.contains("nothing was left behind"), "{report}");
    assert!((1..USERS).contains(&place.rows()[0]), "{report}");
    let (done, report) = place.run(&source, &[]);
    assert!(done, "{report}");
    assert_eq!(place.rows(), [USERS, USERS, USERS, USERS, USERS, 0, 2 * USERS, USERS]);
}
