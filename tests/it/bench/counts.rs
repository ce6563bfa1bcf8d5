//! What was counted is what was done.

use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection, query_scalar};

use super::{Desk, Run};
use crate::server::Server;

/// A run of a second under a small load.
const SHORT: &str = "--seconds 1 --warmup 0 --ceiling-seconds 1 --concurrency 4";

/// Asks the database of a server that has stopped.
fn count(desk: &Desk, sql: &'static str) -> u64 {
    let file = desk.path().join("powermemo.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut conn = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
        query_scalar::<_, i64>(sql).fetch_one(&mut conn).await.unwrap().try_into().unwrap()
    })
}

/// Runs bench against a server on the desk, whose database can be asked afterwards.
fn run_against(desk: &Desk, envs: &[(&str, &str)], line: &str) -> Run {
    let server = Server::start_in(desk.path(), envs);
    let run = desk.run(&format!("{line} --url {}", server.base));
    assert!(server.stop_gracefully().success());
    run
}

#[test]
fn every_workload_runs_on_a_server_of_its_own() {
    let desk = Desk::new();
    let page = desk.path().join("result.html");
    let names = ["insert", "profile", "context", "context-chats", "flush-wait", "flush-background", "mixed"];
    let line =
        format!("{} {SHORT} --rounds 1 --users 12 --model-latency 0ms --html {}", names.join(" "), page.display());
    let run = desk.run(&line);
    assert_eq!(run.code, Some(0));
    let found: Vec<_> = run.workloads().into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, names);
    for (name, outcome) in run.workloads() {
        assert_eq!(outcome["failures"], json!([]), "{name}");
        for figure in [&outcome["throughput"]["median"], &outcome["ratio"]["median"], &outcome["latency"]["p50_ms"]] {
            assert!(figure.as_f64().unwrap() > 0.0, "{name}: {outcome}");
        }
        let [low, high] = ["p50_ms", "max_ms"].map(|figure| outcome["latency"][figure].as_f64().unwrap());
        assert!(low <= high, "{name}");
        let round = &outcome["rounds"][0];
        let [series, answers] = [&round["series"], &outcome["operations"]].map(|list| list.as_array().unwrap());
        let answered: u64 = series.iter().map(|second| second.as_u64().unwrap()).sum();
        let counts = answers.iter().map(|kind| kind["count"].as_u64().unwrap());
        let headline = if name.starts_with("flush") { counts.take(1).sum() } else { counts.sum::<u64>() };
        assert_eq!(answered, headline, "{name}");
    }
    assert_eq!(run.acknowledged("flush-background", "flush"), 12, "each user once");
    assert_eq!((&run.json["notes"], &run.json["server"]["started_here"]), (&json!([]), &Value::Bool(true)));
    assert!(run.json["ceilings"][0]["throughput"]["median"].as_f64().unwrap() > 0.0);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(names.iter().all(|name| page.contains(&format!("{name} x4"))));
    assert!(names.iter().all(|name| run.stdout.contains(name)), "the table has them all");
    let url = run.json["server"]["url"].as_str().unwrap();
    assert!(ureq::get(format!("{url}/api/v1/healthcheck")).call().is_err(), "the server is gone");
}

#[test]
fn inserts_are_in_the_server() {
    let desk = Desk::new();
    let envs = [("ACCESS_TOKEN", "secret"), ("POWERMEMO_MAX_CHAT_BLOB_BUFFER_TOKEN_SIZE", "1000000")];
    let run = run_against(
        &desk,
        &envs,
        &format!("insert {SHORT} --rounds 2 --users 9 --buffer-tokens 1000000 --token secret --keep-users"),
    );
    assert_eq!(run.code, Some(0));
    let acknowledged = run.acknowledged("insert", "insert");
    assert!(acknowledged > 0);
    assert_eq!(count(&desk, "SELECT count(*) FROM journal_entries"), acknowledged);
    assert_eq!(
        count(&desk, "SELECT count(DISTINCT payload) FROM journal_entries"),
        acknowledged,
        "no two are the same"
    );
    assert_eq!(count(&desk, "SELECT count(DISTINCT user_id) FROM journal_entries"), 9);
    assert_eq!(run.json["notes"], json!([]));
}

#[test]
fn users_are_deleted_and_full_buffers_are_told_of() {
    let desk = Desk::new();
    // A buffer that takes one insert.
    let run = run_against(&desk, &[], &format!("insert {SHORT} --rounds 1 --users 2 --buffer-tokens 1"));
    assert_eq!(run.code, Some(0));
    assert_eq!(count(&desk, "SELECT count(*) FROM users"), 0);
    let note = run.json["notes"][0].as_str().unwrap();
    let beyond = run.acknowledged("insert", "insert") - 2;
    assert!(note.contains(&format!("{beyond} inserts went to buffers that were full")), "{note}");
}

#[test]
fn flushes_are_in_the_server() {
    let desk = Desk::new();
    let run =
        run_against(&desk, &[], &format!("flush-wait flush-background {SHORT} --rounds 2 --users 7 --keep-users"));
    assert_eq!(run.code, Some(0));
    let [waited, inserted] = ["flush", "insert"].map(|kind| run.acknowledged("flush-wait", kind));
    let [done, asked, told] = ["flush", "ask", "insert"].map(|kind| run.acknowledged("flush-background", kind));
    assert_eq!([done, asked, told], [14; 3], "each user once a round");
    // At the end of a round an insert may have no flush any more; then the next flush of its user takes both.
    assert!(waited > 0 && (waited..=waited + 8).contains(&inserted), "{waited} {inserted}");
    assert_eq!(count(&desk, "SELECT count(*) FROM flushes WHERE outcome = 'committed'"), waited + done);
    let left = count(&desk, "SELECT count(*) FROM journal_entries");
    assert_eq!(count(&desk, "SELECT count(*) FROM applied_blobs"), inserted + told - left);
}

#[test]
fn a_flush_in_the_background_counts_when_it_is_done() {
    let desk = Desk::new();
    let line = "flush-background --users 4 --concurrency 4 --rounds 2 --ceiling-seconds 0 --model-latency 300ms";
    let mut command = desk.command(line);
    command.env("POWERMEMO_LLM_MAX_PARALLEL_CALLS", "1");
    let run = desk.finish(command);
    assert_eq!((run.code, run.acknowledged("flush-background", "flush")), (Some(0), 8));
    for round in run.workloads()[0].1["rounds"].as_array().unwrap() {
        // The model takes one after the other, however fast the machine is.
        assert!(round["seconds"].as_f64().unwrap() > 1.0, "{round}");
        assert!(round["latency"]["max_ms"].as_f64().unwrap() > 1_000.0, "{round}");
    }
}

#[test]
fn an_open_loop_sends_what_is_due() {
    let desk = Desk::new();
    let run =
        desk.run("profile --rate 40 --seconds 2 --warmup 1 --rounds 1 --ceiling-seconds 0 --concurrency 3 --users 4");
    assert_eq!(run.code, Some(0));
    let outcome = run.workloads()[0].1;
    let unsent = outcome["rounds"][0]["unsent"].as_u64().unwrap();
    // The warm-up's requests that were never sent are not told; there is none unless the machine stood still.
    assert_eq!(run.acknowledged("profile", "profile") + unsent, 120);
    assert_eq!((&outcome["rate"], &outcome["ratio"]), (&json!(40), &Value::Null), "there is no ceiling");
    assert!(outcome["rounds"][0]["delay_p99_ms"].is_number());
}

#[test]
fn a_soak_leaves_nothing_behind() {
    let desk = Desk::new();
    let run = desk.run("soak --seconds 5 --warmup 0 --ceiling-seconds 1 --concurrency 3 --users 6 --conversations 2 --model-latency 0ms");
    assert_eq!(run.code, Some(0));
    let outcome = run.workloads()[0].1;
    assert_eq!((&outcome["soak"]["left"], &outcome["soak"]["dead"]), (&json!(0), &json!(0)));
    assert_eq!(outcome["soak"]["resident_quarters"].as_array().unwrap().len(), 4);
    assert!(run.acknowledged("soak", "new user") > 0, "users come and go");
    let [contexts, inserts] = ["context", "insert"].map(|kind| run.acknowledged("soak", kind));
    assert!((inserts..=inserts + 3).contains(&contexts), "{contexts} {inserts}");
}
