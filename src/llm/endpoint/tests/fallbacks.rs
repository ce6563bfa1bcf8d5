use serde_json::Value;

use super::*;

#[tokio::test]
async fn a_schema_that_is_not_understood_goes_into_the_prompt() {
    let complaint = || Reply::error(400, "This response_format type is unavailable now");
    let test = Fixture::new([complaint(), Reply::text("1"), Reply::text("2"), complaint(), Reply::text("3")]);
    assert_eq!(test.text().await, "1");
    assert_eq!(test.text().await, "2");
    assert_eq!(test.text().await, "3");
    let bodies = test.provider.bodies();
    let formats: Vec<Option<&str>> =
        bodies.iter().map(|body| body.pointer("/response_format/type").and_then(Value::as_str)).collect();
    let (schema, object) = (Some("json_schema"), Some("json_object"));
    assert_eq!(formats, [schema, object, object, object, None], "found out once, and once more");
    let system = |at: usize| bodies[at]["messages"][0]["content"].as_str().unwrap();
    assert_eq!(system(0), "You extract.");
    for at in [1, 2, 4] {
        assert!(system(at).starts_with("You extract.\n\nAnswer with one JSON object"), "{}", system(at));
        assert!(system(at).ends_with(&prompt().schema.json.get()));
    }
    assert!(test.pauses().is_empty(), "no retries");
}

#[tokio::test]
async fn each_status_that_may_mean_the_format() {
    for status in [400, 404, 415, 422, 501] {
        let test = Fixture::new([Reply::error(status, "json_schema is not supported"), Reply::text("{}")]);
        assert_eq!(test.text().await, "{}", "{status}");
    }
    for status in [401, 403, 429, 500, 503] {
        let test = Fixture::new([Reply::error(status, "json_schema is not supported")]);
        unavailable(test.call().await);
        assert_eq!(test.seen(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_temperature_that_is_not_understood_is_left_out() {
    let complaint = json!({"error": {"message": "Unsupported value: 'temperature' does not support 0.2 with this model.",
        "type": "invalid_request_error", "param": "temperature", "code": "unsupported_value"}});
    let test = Fixture::new([Reply::status(400, &complaint), Reply::text("1"), Reply::text("2")]);
    assert_eq!((test.text().await, test.text().await), ("1".to_owned(), "2".to_owned()));
    let temperatures: Vec<bool> = test.provider.bodies().iter().map(|body| body.get("temperature").is_some()).collect();
    assert_eq!(temperatures, [true, false, false]);
    assert!(test.provider.bodies().iter().all(|body| body["response_format"]["type"] == "json_schema"));
}

#[tokio::test]
async fn an_old_provider_gets_max_tokens() {
    let complaint = Reply::error(400, "Unrecognized request argument supplied: max_completion_tokens");
    let test = Fixture::new([complaint, Reply::text("1"), Reply::text("2")]);
    assert_eq!((test.text().await, test.text().await), ("1".to_owned(), "2".to_owned()));
    let limits: Vec<(Value, Value)> = test
        .provider
        .bodies()
        .iter()
        .map(|body| (body["max_completion_tokens"].clone(), body["max_tokens"].clone()))
        .collect();
    let old = (Value::Null, json!(700));
    assert_eq!(limits, [(json!(700), Value::Null), old.clone(), old]);
}

#[tokio::test]
async fn a_provider_that_complains_about_everything_is_asked_a_few_times() {
    let all = "response_format, temperature and max_completion_tokens are not supported";
    let test = Fixture::with(std::iter::repeat_n(Reply::error(400, all), 20), |settings| settings.max_retries = 3);
    assert_eq!(refused(test.call().await), "400 (some_error): the provider does not accept the request");
    assert_eq!(test.seen(), 5);
    test.call().await.unwrap_err();
    assert_eq!(test.seen(), 10, "what did not help is not remembered");
}

#[tokio::test]
async fn a_refusal_without_a_word_is_tried_once_without_the_schema() {
    let silent = || Reply::error(400, "Bad request");
    let helped = Fixture::new([silent(), Reply::text("1"), Reply::text("2")]);
    assert_eq!((helped.text().await, helped.text().await), ("1".to_owned(), "2".to_owned()));
    assert_eq!(helped.provider.bodies()[2]["response_format"]["type"], "json_object");

    let in_vain = Fixture::new([silent(), silent(), Reply::text("{}")]);
    refused(in_vain.call().await);
    assert_eq!(in_vain.text().await, "{}");
    assert_eq!(in_vain.provider.bodies()[2]["response_format"]["type"], "json_schema", "not remembered");
}

#[tokio::test]
async fn a_dialect_is_that_of_one_model_and_outlives_a_retry() {
    let script = [Reply::error(400, "no json_schema"), Reply::error(500, ""), Reply::text("1"), Reply::text("2")];
    let test = Fixture::with(script, |settings| settings.max_retries = 1);
    test.text().await;
    test.endpoint.complete(&Prompt { model: "other".to_owned(), ..prompt() }).await.unwrap();
    let formats: Vec<Value> =
        test.provider.bodies().iter().map(|body| body["response_format"]["type"].clone()).collect();
    assert_eq!(formats, ["json_schema", "json_object", "json_object", "json_schema"]);
}
