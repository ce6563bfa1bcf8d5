use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test]
async fn the_breaker_opens_probes_and_closes() {
    let away = || Reply::error(500, "");
    let script = [away(), away(), away(), Reply::text("1"), Reply::text("2")];
    let test = Fixture::with(script, |settings| settings.breaker_failures = 2);
    unavailable(test.call().await);
    unavailable(test.call().await);
    test.clock.advance(Duration::from_secs(10));
    let (reason, rest) = unavailable(test.call().await);
    assert!(reason.contains("llm_breaker_pause_seconds"), "{reason}");
    assert_eq!((rest, test.seen()), (Some(Duration::from_secs(20)), 2), "answered without a call");
    test.clock.advance(Duration::from_secs(20));
    unavailable(test.call().await);
    assert_eq!(unavailable(test.call().await).1, Some(PAUSE), "the probe failed");
    test.clock.advance(PAUSE);
    assert_eq!(test.text().await, "1");
    assert_eq!(test.text().await, "2");
}

#[tokio::test]
async fn calls_of_reads_neither_probe_nor_count() {
    let script = [Reply::error(500, ""), Reply::error(500, ""), Reply::text("1")];
    let test = Fixture::with(script, |settings| settings.breaker_failures = 1);
    let read = Prompt { for_read: true, ..prompt() };
    unavailable(test.endpoint.complete(&read).await);
    unavailable(test.call().await);
    test.clock.advance(PAUSE);
    unavailable(test.endpoint.complete(&read).await);
    assert_eq!(test.seen(), 2, "the first failure opened nothing, and the last call was not made");
    assert_eq!(test.text().await, "1");
}

#[tokio::test]
async fn an_open_breaker_answers_without_waiting_for_a_place() {
    let test = Fixture::with([Reply::error(500, "")], |settings| {
        settings.breaker_failures = 1;
        settings.max_parallel_calls = 1;
    });
    unavailable(test.call().await);
    let _place = test.endpoint.line.limits.enter(|| 1).await;
    assert_eq!(unavailable(test.call().now_or_never().unwrap()).1, Some(PAUSE));
}

#[tokio::test]
async fn a_refusal_proves_that_the_provider_lives() {
    let script = [Reply::error(500, ""), Reply::error(413, ""), Reply::error(500, ""), Reply::text("{}")];
    let test = Fixture::with(script, |settings| settings.breaker_failures = 2);
    for _ in 0..3 {
        test.call().await.unwrap_err();
    }
    assert_eq!(test.text().await, "{}");
}

#[tokio::test]
async fn a_long_retry_after_is_the_pause_of_the_breaker() {
    let busy = Reply::error(429, "").header("retry-after", "90");
    let test = Fixture::with([busy], |settings| settings.breaker_failures = 1);
    unavailable(test.call().await);
    test.clock.advance(PAUSE);
    assert_eq!(unavailable(test.call().await).1, Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn a_probe_that_is_given_up_makes_room_for_another() {
    let script = [Reply::error(500, ""), Reply::Hang, Reply::text("{}")];
    let test = Fixture::with(script, |settings| settings.breaker_failures = 1);
    unavailable(test.call().await);
    test.clock.advance(PAUSE);
    let endpoint = Arc::clone(&test.endpoint);
    let probe = tokio::spawn(async move { endpoint.complete(&prompt()).await });
    test.provider.wait_asked(2).await;
    assert_eq!(unavailable(test.call().await).1, None, "one probe at a time");
    probe.abort();
    assert!(probe.await.unwrap_err().is_cancelled());
    test.provider.wait_given_up(1).await;
    assert_eq!(test.text().await, "{}");
}

#[tokio::test]
async fn calls_at_the_same_time_are_limited() {
    let reply = Reply::AfterGate(Box::new(Reply::text("{}")));
    let test = Fixture::with(std::iter::repeat_n(reply, 6), |settings| settings.max_parallel_calls = 2);
    let started = Arc::new(AtomicUsize::new(0));
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let (endpoint, started) = (Arc::clone(&test.endpoint), Arc::clone(&started));
            tokio::spawn(async move {
                started.fetch_add(1, Ordering::SeqCst);
                endpoint.complete(&prompt()).await
            })
        })
        .collect();
    test.provider.wait_asked(2).await;
    assert_eq!(started.load(Ordering::SeqCst), 6, "all are under way");
    assert!(test.endpoint.line.limits.enter(|| 1).now_or_never().is_none(), "two are with the provider");
    test.provider.open_gate();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().text, "{}");
    }
    assert_eq!((test.provider.peak(), test.seen()), (2, 6));
}

#[tokio::test]
async fn what_an_answer_costs_counts_for_the_next_call() {
    // The prompt is said to have 20 tokens, the provider counts 20 and 5 for the answer.
    let test = Fixture::with([Reply::text("{}")], |settings| {
        settings.tokens_per_minute = NonZeroU32::new(44);
    });
    test.text().await;
    // The 24 that are left are enough for such a prompt, but not for the answer of the last as well.
    assert!(test.endpoint.line.limits.enter(|| 20).now_or_never().is_none());
    assert!(test.endpoint.line.limits.enter(|| 19).now_or_never().is_some());
}
