//! Which projects come where, and that no two of them become one.

use std::time::{Duration, Instant};

use sqlx::Executor as _;

use super::*;

fn run_as(place: &Place, source: &Reference, default: &str, args: &[&str]) -> (bool, String) {
    let mut import = place.import(&source.url(), args);
    told(&import.args(["--project-id", default]).output().unwrap())
}

fn project(place: &Place, args: &[&str]) -> String {
    let (done, out) = told(&place.command().arg("project").args(args).output().unwrap());
    assert!(done, "{out}");
    out.trim().to_owned()
}

/// The memos of Ann, who is in both projects of the source, by the project that she is in here.
fn memos_of_ann(place: &Place, default: &str) -> Vec<String> {
    let mut command = place.command();
    command.env("PROJECT_ID", default);
    let server = Server::spawn(command);
    let mut memos: Vec<_> = Client::new(&server.base).profile(&id(0, 1)).into_iter().map(|[_, _, memo]| memo).collect();
    memos.sort();
    memos
}

#[test]
fn the_default_project_may_have_another_name() {
    let source = Reference::new();
    for place in [Place::sqlite(), Place::postgres()] {
        for _ in 0..2 {
            let (done, report) = run_as(&place, &source, "bot", &[]);
            assert!(!done && report.contains("1 project: it is the name of the default project here"), "{report}");
            assert!(report.contains("1 user: the project cannot be moved"), "{report}");
            assert!(report.contains("the default project __root__ is bot here"), "{report}");
        }
        // Neither alone, nor under another name of the default project does the other one come to the users of this one.
        let (done, report) = run_as(&place, &source, "bot", &["--project", "bot"]);
        assert!(!done && report.contains("1 project: it is the name of the default project here"), "{report}");
        let (done, report) = run_as(&place, &source, "other", &[]);
        assert!(!done && report.contains("1 project: a project of this name is or was here, with users"), "{report}");
        assert_counted(&report, "profile slots", "2 moved, 0 came before");
        assert_eq!(memos_of_ann(&place, "bot"), ["doctor", "nurse"]);
        assert_eq!(memos_of_ann(&place, "other"), ["doctor", "nurse"]);
    }
}

#[test]
fn no_two_projects_become_one() {
    let (source, other) = (Reference::new(), Reference::new());
    for place in [Place::sqlite(), Place::postgres()] {
        project(&place, &["create", "bot"]);
        let (done, report) = place.run(&source, &[]);
        assert!(done, "one without users may be filled: {report}");
        assert_counted(&report, "projects", "1 moved, 1 here already");
        assert!(report.contains("are others here, and stay so, of\n  bot\n"), "{report}");
        let rows = place.rows();
        let (done, report) = run_as(&place, &source, "bot", &["--project", "__root__"]);
        assert!(!done && report.contains("1 project: a project of this name is or was here, with users"), "{report}");
        // Another database has projects of the same names.
        let (done, report) = place.run(&other, &[]);
        assert!(!done && report.contains("2 projects: a project of this name is or was here, with users"), "{report}");
        assert!(report.contains("3 users: the project cannot be moved"), "{report}");
        assert_eq!(place.rows(), rows);
        assert_eq!(memos_of_ann(&place, "bot"), ["tea"]);
    }
}

#[test]
fn a_project_that_was_deleted_stays_away() {
    let source = Reference::new();
    for place in [Place::sqlite(), Place::postgres()] {
        assert!(place.run(&source, &[]).0);
        project(&place, &["delete", "bot"]);
        let rows = place.rows();
        source.run("INSERT INTO users (id, project_id) VALUES (gen_random_uuid(), 'bot')");
        let (done, report) = place.run(&source, &[]);
        assert!(done, "{report}");
        assert_counted(&report, "projects", "0 moved, 1 here already, 1 deleted here, not brought back");
        assert!(report.contains("2 here already, ") && report.contains(" deleted here, not brought back"), "{report}");
        assert_counted(&report, "profile slots", "0 moved, 2 came before, 1 deleted here, not brought back");
        assert_eq!(place.rows(), rows);
    }
}

/// Somebody begins to delete a project when its users are about to come.
#[test]
fn a_project_that_is_deleted_meanwhile_gets_no_users() {
    let (place, source) = (Place::postgres(), Reference::new());
    assert!(place.run(&source, &[]).0);
    let rows = place.rows();
    source.run("INSERT INTO users (id, project_id) VALUES (id(0, 2), 'bot')");
    let importing = block_on(async {
        let mut target = PgConnection::connect(&place.database()).await.unwrap();
        let mut transaction = target.begin().await.unwrap();
        transaction.execute("UPDATE projects SET status = 'deleting' WHERE project_id = 'bot'").await.unwrap();
        let importing = place.import(&source.url(), &[]).spawn().unwrap();
        let mut watch = PgConnection::connect(&place.database()).await.unwrap();
        let began = Instant::now();
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while query_scalar::<_, i64>(waits).fetch_one(&mut watch).await.unwrap() == 0 {
            assert!(began.elapsed() < Duration::from_secs(30), "it does not wait");
        }
        transaction.commit().await.unwrap();
        importing
    });
    let (done, report) = told(&importing.wait_with_output().unwrap());
    assert!(done, "{report}");
    assert_counted(&report, "users", "0 moved, 2 here already, 2 deleted here, not brought back");
    assert_counted(&report, "profile slots", "0 moved, 2 came before, 1 deleted here, not brought back");
    assert_eq!(place.rows(), rows);
}

/// Settings that could not be taken are told again, and those that differ from what they are there.
#[test]
fn settings_that_did_not_come_are_told() {
    let (place, source) = (Place::sqlite(), Reference::new());
    source.run("UPDATE projects SET profile_config = 'event_tags: 7' WHERE project_id = 'bot'");
    for _ in 0..2 {
        let (done, report) = place.run(&source, &[]);
        assert!(!done && report.contains("1 setting of a project: profile_config cannot be used"), "{report}");
        assert!(!report.contains("are others here"), "{report}");
    }
    source.run("UPDATE projects SET profile_config = 'language: zh', status = 'active' WHERE project_id = 'bot'");
    let (done, report) = place.run(&source, &[]);
    assert!(done, "{report}");
    assert!(report.contains("status or profile_config are others here, and stay so, of\n  bot\n"), "{report}");
}

/// A project that comes has the quota of new ones; what was left of its account there is no quota.
#[test]
fn projects_come_with_the_quota_of_new_ones() {
    let (place, source) = (Place::sqlite(), Reference::new());
    let mut import = place.import(&source.url(), &[]);
    let (done, report) = told(&import.env("POWERMEMO_PROJECT_TOKEN_QUOTA_PER_MONTH", "7000").output().unwrap());
    assert!(done && report.contains("1 billing account of projects: see `powermemo project set-quota`"), "{report}");
    let list = project(&place, &["list"]);
    assert!(list.lines().any(|line| line.starts_with("bot\t") && line.ends_with("\t7000 tokens per month")), "{list}");
}
