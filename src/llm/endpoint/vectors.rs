use serde::Deserialize;
use serde_json::Value;

use super::failure::Failure;
use super::reply::{reported, unreadable};

/// Vectors as they came, and what they cost.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Vectors {
    /// One for each text, in the order of the texts. What is no number is NaN.
    pub numbers: Vec<Vec<f32>>,
    /// Tokens that the provider counted; 0 when it does not say.
    pub tokens: u32,
}

impl Vectors {
    pub(super) fn append(&mut self, mut more: Self) {
        self.numbers.append(&mut more.numbers);
        self.tokens = self.tokens.saturating_add(more.tokens);
    }
}

/// The answer, read into its vectors at once: as a tree of values it would take ten times the memory.
#[derive(Deserialize)]
struct Answer {
    data: Vec<Embedding>,
    #[serde(default)]
    usage: Value,
}

#[derive(Deserialize)]
struct Embedding {
    index: Option<usize>,
    /// Null is how some write a number that is none.
    embedding: Vec<Option<f64>>,
}

/// Reads the embeddings of so many texts.
///
/// # Errors
/// When it reports an error, or holds no such embeddings.
pub(super) fn read(text: &str, texts: usize) -> Result<Vectors, Failure> {
    let Ok(Answer { data, usage }) = serde_json::from_str(text) else {
        let value = serde_json::from_str(text).unwrap_or(Value::Null);
        return Err(reported(&value).unwrap_or_else(|| unreadable(lack(&value))));
    };
    if data.len() != texts {
        let value = serde_json::from_str(text).unwrap_or(Value::Null);
        return Err(reported(&value).unwrap_or_else(|| unreadable("it has not one embedding for each text")));
    }
    let mut numbers = vec![None; texts];
    for (at, Embedding { index, embedding }) in data.into_iter().enumerate() {
        let place = numbers.get_mut(index.unwrap_or(at)).filter(|place| place.is_none());
        let place = place.ok_or_else(|| unreadable("it has not one embedding for each text"))?;
        #[expect(clippy::cast_possible_truncation, reason = "what is too large becomes infinite, and is found to be")]
        let number = |number: Option<f64>| number.map_or(f32::NAN, |number| number as f32);
        *place = Some(embedding.into_iter().map(number).collect());
    }
    // All are there: as many as texts, no two for one.
    let numbers = numbers.into_iter().flatten().collect();
    Ok(Vectors { numbers, tokens: tokens(&usage) })
}

/// What keeps an answer from being one.
fn lack(value: &Value) -> &'static str {
    match value.get("data").and_then(Value::as_array) {
        None => "it has no data",
        Some(_) => "its embeddings are not lists of numbers",
    }
}

fn tokens(usage: &Value) -> u32 {
    let told = |key: &str| usage.get(key).and_then(Value::as_u64);
    let tokens = told("total_tokens").filter(|tokens| *tokens > 0).or_else(|| told("prompt_tokens"));
    u32::try_from(tokens.unwrap_or_default()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::failure::Cause;
    use super::*;

    fn cause(value: &Value, texts: usize) -> Cause {
        read(&value.to_string(), texts).unwrap_err().cause
    }

    #[test]
    fn vectors_are_put_in_order() {
        let data = json!([{"index": 1, "embedding": [3, 4.5]}, {"index": 0, "embedding": [1, -2e-1], "object": "x"}]);
        let read = read(&json!({"data": data, "model": "m"}).to_string(), 2).unwrap();
        assert_eq!(read, Vectors { numbers: vec![vec![1.0, -0.2], vec![3.0, 4.5]], tokens: 0 });
    }

    #[test]
    fn without_places_they_are_in_the_order_of_the_texts() {
        let data = json!([{"embedding": [1]}, {"embedding": [2]}, {"index": null, "embedding": [3]}]);
        assert_eq!(read(&json!({"data": data}).to_string(), 3).unwrap().numbers, [[1.0], [2.0], [3.0]]);
    }

    #[test]
    fn what_is_no_number_is_not_taken_for_one() {
        let numbers = read(r#"{"data": [{"embedding": [null, 1e39]}]}"#, 1).unwrap().numbers;
        assert!(numbers[0][0].is_nan() && numbers[0][1].is_infinite());
    }

    #[test]
    fn what_are_no_embeddings_of_these_texts() {
        let one = json!({"index": 0, "embedding": [1]});
        for bad in [
            json!({}),
            json!([]),
            json!(null),
            json!({"data": {}}),
            json!({"data": []}),
            json!({"data": [one]}),
            json!({"data": [one, one]}),
            json!({"data": [one, {"index": 2, "embedding": [1]}]}),
            json!({"data": [one, {"index": -1, "embedding": [1]}]}),
            json!({"data": [one, {"index": 1, "embedding": "AACAPw=="}]}),
            json!({"data": [one, {"index": 1}]}),
            json!({"data": [one, {"index": 1, "embedding": ["1"]}]}),
        ] {
            assert!(matches!(cause(&bad, 2), Cause::Unreadable(_)), "{bad}");
        }
    }

    #[test]
    fn errors_inside_a_success() {
        assert_eq!(cause(&json!({"error": {"message": "Away.", "code": 502}}), 1), Cause::Status(502));
        assert_eq!(cause(&json!({"error": {"message": "Away."}, "data": []}), 1), Cause::Reported);
    }

    #[test]
    fn usage_is_told_in_several_ways() {
        let of = |usage: Value| tokens(&usage);
        assert_eq!(of(json!({"prompt_tokens": 3, "total_tokens": 5})), 5);
        assert_eq!(of(json!({"prompt_tokens": 3})), 3);
        assert_eq!(of(json!({"prompt_tokens": 3, "total_tokens": 0})), 3);
        assert_eq!(of(json!({"total_tokens": u64::MAX})), u32::MAX);
        for nothing in [json!(null), json!({}), json!([]), json!({"total_tokens": "5"}), json!({"total_tokens": -5})] {
            assert_eq!(of(nothing), 0);
        }
    }
}
