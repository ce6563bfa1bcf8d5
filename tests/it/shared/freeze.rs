//! Thousands of requests at once against pools of ten: all are answered, and the server stays alive to others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Site;

const INSERTS: usize = 2_000;
const CONTEXTS: usize = 500;
const USERS: usize = 200;

/// The status and errno of an answer.
async fn answered(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.expect("a request was not answered");
    let status = response.status();
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default();
    (status, body["errno"].clone())
}

/// Asks for the health check again and again; the longest that it took.
async fn watch(base: String, stop: Arc<AtomicBool>) -> (usize, Duration) {
    let client = Client::new();
    let (mut checks, mut longest) = (0, Duration::ZERO);
    while !stop.load(Ordering::SeqCst) {
        let asked = Instant::now();
        assert_eq!(answered(client.get(format!("{base}/api/v1/healthcheck"))).await, (StatusCode::OK, json!(0)));
        (checks, longest) = (checks + 1, longest.max(asked.elapsed()));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (checks, longest)
}

#[test]
fn thousands_of_requests_at_once_do_not_freeze_a_server() {
    // The client wants one, though nothing is encrypted here.
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let site = Site::new();
    let running = site.start(&[("POWERMEMO_DATABASE_MAX_CONNECTIONS", "10")]);
    let users: Vec<String> = (0..USERS).map(|_| super::user(&running.client)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (inserts, (checks, longest)) = runtime.block_on(load(running.server.base.clone(), users.clone()));
    assert!(checks > 0, "the health check was not asked while the load was on");
    eprintln!("{checks} health checks, the longest took {longest:?}");
    // Nothing that was acknowledged is missing.
    let kept: usize = users.iter().map(|user| running.client.capacity(user, "idle").as_array().unwrap().len()).sum();
    assert_eq!(kept, inserts);
}

/// Sends all at once. Returns how many inserts were acknowledged, and how the health check fared.
async fn load(base: String, users: Vec<String>) -> (usize, (usize, Duration)) {
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn(watch(base.clone(), stop.clone()));
    let client = Client::builder().pool_max_idle_per_host(INSERTS + CONTEXTS).build().unwrap();
    let body = json!({"blob_type": "chat", "blob_data": {"messages": [{"role": "user", "content": "I like tea."}]}});
    let (mut inserts, mut contexts) = (JoinSet::new(), JoinSet::new());
    for number in 0..INSERTS {
        let user = &users[number % users.len()];
        let request = client.post(format!("{base}/api/v1/blobs/insert/{user}"));
        inserts.spawn(answered(request.header("Content-Type", "application/json").body(body.to_string())));
    }
    for number in 0..CONTEXTS {
        let user = &users[number % users.len()];
        contexts.spawn(answered(client.get(format!("{base}/api/v1/users/context/{user}"))));
    }
    let (mut done, good) = (0, (StatusCode::OK, json!(0)));
    for answer in inserts.join_all().await {
        // A limit is an answer, too; silence is none.
        let limited = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&answer.0);
        assert!(answer == good || limited, "{answer:?}");
        done += usize::from(answer == good);
    }
    for answer in contexts.join_all().await {
        assert_eq!(answer, good);
    }
    assert_eq!(done, INSERTS, "the default limits take these");
    stop.store(true, Ordering::SeqCst);
    (done, watcher.await.unwrap())
}
