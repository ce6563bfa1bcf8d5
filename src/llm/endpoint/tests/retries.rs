use super::*;

#[tokio::test]
async fn statuses_refuse_or_wait() {
    for status in [413, 422] {
        let test = Fixture::new([Reply::error(status, SECRET_TEXT)]);
        assert!(refused(test.call().await).starts_with(&status.to_string()));
    }
    for status in [301, 307, 401, 402, 403, 404, 405, 408, 409, 418, 425, 429, 500, 501, 502, 503, 504, 529] {
        let test = Fixture::new([Reply::error(status, SECRET_TEXT)]);
        assert!(unavailable(test.call().await).0.starts_with(&format!("{status} (some_error): ")), "{status}");
    }
}

#[tokio::test]
async fn what_the_operator_must_cure_is_not_tried_again() {
    let quota = json!({"error": {"message": "x", "type": "insufficient_quota", "code": "insufficient_quota"}});
    let gemini = json!([{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
        "details": [{"reason": "API_KEY_INVALID"}]}}]);
    let deepseek = json!({"error": {"message": "Model Not Exist", "type": "invalid_request_error"}});
    let replies = [
        (Reply::error(401, "Incorrect API key provided: sk-very-secret"), "llm_api_key"),
        (Reply::error(402, ""), "credit"),
        (Reply::error(403, ""), "llm_api_key"),
        (Reply::error(404, ""), "best_llm_model"),
        (Reply::status(429, &quota), "credit"),
        (Reply::status(400, &gemini), "llm_api_key"),
        (Reply::status(400, &deepseek), "best_llm_model"),
    ];
    for (reply, advice) in replies {
        let test = Fixture::with([reply], |settings| settings.max_retries = 3);
        let (reason, _) = unavailable(test.call().await);
        assert!(reason.contains(advice), "{reason}");
        assert_eq!(test.seen(), 1, "{reason}");
    }
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let away = Reply::Answer(502, vec![], "<html>Bad gateway</html>".to_owned());
    let no_json = Reply::Answer(200, vec![], "<html>Please log in</html>".to_owned());
    let empty = Reply::status(200, &json!({"choices": []}));
    let inside = Reply::status(200, &json!({"error": {"message": "Away.", "code": 502}}));
    for reply in [away, no_json, empty, inside, Reply::Drop, Reply::DropInBody, Reply::error(429, "")] {
        let shown = format!("{reply:?}");
        let test = Fixture::with([reply.clone(), reply, Reply::text("{}")], |settings| settings.max_retries = 2);
        assert_eq!(test.text().await, "{}", "{shown}");
        let pauses = test.pauses();
        assert!(pauses.len() == 2 && pauses[0] >= RETRY_FLOOR && pauses[1] >= RETRY_FLOOR * 2, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= RETRY_CEILING * 2), "{pauses:?}");
    }
}

#[tokio::test]
async fn retries_come_to_an_end() {
    let test = Fixture::with(std::iter::repeat_n(Reply::error(503, ""), 9), |settings| settings.max_retries = 2);
    unavailable(test.call().await);
    assert_eq!(test.seen(), 3);
}

#[tokio::test]
async fn a_short_retry_after_is_waited_out_a_long_one_handed_on() {
    let busy = |after: &str| Reply::error(429, "").header("retry-after", after);
    let retried = |settings: &mut EndpointSettings| settings.max_retries = 1;
    let short = Fixture::with([busy("5"), Reply::text("{}")], retried);
    assert_eq!(short.text().await, "{}");
    assert_eq!(short.pauses(), [Duration::from_secs(5)]);

    let still_busy = Fixture::with([busy("4"), busy("3")], retried);
    assert_eq!(unavailable(still_busy.call().await).1, Some(Duration::from_secs(3)));

    let long = Fixture::with([busy("6"), Reply::text("{}")], retried);
    assert_eq!(unavailable(long.call().await).1, Some(Duration::from_secs(6)));
    assert_eq!((long.seen(), long.pauses()), (1, vec![]));

    let dated = Fixture::new([busy("Sun, 01 Jun 2025 00:02:00 GMT")]);
    assert_eq!(unavailable(dated.call().await).1, Some(Duration::from_secs(120)), "by the injected clock");
}

#[tokio::test]
async fn no_pause_is_longer_than_what_is_left_of_the_call() {
    let test = Fixture::with([Reply::error(429, "").header("retry-after", "5")], |settings| {
        settings.max_retries = 1;
        settings.timeout = Duration::from_secs(5);
    });
    assert_eq!(unavailable(test.call().await).1, Some(Duration::from_secs(5)));
    assert!(test.pauses().is_empty());
}

#[tokio::test]
async fn filtered_and_refused_answers_are_refusals() {
    let filtered = json!({"choices": [{"finish_reason": "content_filter", "message": {"content": null}}]});
    let refusal = json!({"choices": [{"finish_reason": "stop", "message": {"refusal": SECRET_TEXT}}]});
    for body in [filtered, refusal] {
        let test = Fixture::with([Reply::status(200, &body)], |settings| settings.max_retries = 3);
        refused(test.call().await);
        assert_eq!(test.seen(), 1);
    }
    let by_status = json!({"error": {"message": SECRET_TEXT, "code": "content_filter"}});
    let test = Fixture::new([Reply::status(400, &by_status)]);
    assert!(refused(test.call().await).contains("content_filter"));
    assert_eq!(test.seen(), 1, "the format is beyond doubt");
}
