//! What the stand-in answers: the agreed JSON, made from the chat lines of the request.

use memory::extraction::{Draft, DraftAction, DraftGist, Verb};
use serde_json::Value;

use super::schema::minimal_instance;

/// The lines between which the chat stands in a user message. Without them every line counts that looks like one.
const FENCE: (&str, &str) = ("<chat>", "</chat>");
/// What sets a slot in the text of a line: `FACT topic/sub_topic=memo`.
const FACT: &str = "FACT ";
/// What removes one: `FORGET topic/sub_topic`.
const FORGET: &str = "FORGET ";
/// The schemas of questions that reads ask: no chat is turned into memory there.
const ADVICE: [&str; 2] = ["relevant_slots", "next_topic"];

/// The content of the answer to a chat-completion request.
///
/// The last user message that holds chat lines (`[3] 2024-05-01 user: text`) is read. Each line becomes a gist; each
/// `FACT topic/sub_topic=memo` in it sets a slot and each `FORGET topic/sub_topic` removes one, up to the next such
/// word or the end of the line. A question with the schema `relevant_slots` or `next_topic` is answered with the least
/// that fits the schema.
pub fn answer(request: &Value) -> String {
    let format = &request["response_format"]["json_schema"];
    if format["name"].as_str().is_some_and(|name| ADVICE.contains(&name)) {
        return minimal_instance(&format["schema"]).to_string();
    }
    let messages = request["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let texts = messages.iter().rev().filter(|m| m["role"] == "user").map(|m| text_of(&m["content"]));
    let draft = texts.map(|text| draft(&text)).find(|draft| draft.is_some()).flatten();
    // Only strings and numbers: this cannot fail.
    serde_json::to_string(&draft.unwrap_or_default()).unwrap_or_default()
}

/// The text of a message, whether it is sent whole or in parts.
pub(super) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

/// A message of the chat as it stands in a prompt.
struct ChatLine<'a> {
    number: u32,
    text: &'a str,
}

/// What is made of a user message; none when it holds no chat line.
fn draft(text: &str) -> Option<Draft> {
    let mut lines = fenced(text).filter_map(chat_line).peekable();
    lines.peek()?;
    let mut draft = Draft::default();
    for ChatLine { number, text } in lines {
        if !text.trim().is_empty() {
            draft.gists.push(DraftGist { text: text.to_owned(), occurred_at: None, messages: vec![number] });
        }
        draft.profile.extend(actions(text, number));
    }
    Some(draft)
}

fn fenced(text: &str) -> impl Iterator<Item = &str> {
    let has_fence = text.lines().any(|line| line.trim() == FENCE.0);
    let skipped = text.lines().skip_while(move |line| has_fence && line.trim() != FENCE.0);
    skipped.take_while(move |line| !has_fence || line.trim() != FENCE.1)
}

/// Reads `[number] date speaker: text`.
fn chat_line(line: &str) -> Option<ChatLine<'_>> {
    let (number, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let (date, rest) = rest.split_once(' ')?;
    let (speaker, text) = rest.split_once(": ").or_else(|| Some((rest.strip_suffix(':')?, "")))?;
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    if !is_number || date.is_empty() || speaker.is_empty() || speaker.contains(':') {
        return None;
    }
    Some(ChatLine { number: number.parse().ok()?, text })
}

fn actions(text: &str, number: u32) -> Vec<DraftAction> {
    let starts_word = |at: &usize| text[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let marks = |mark: &'static str| text.match_indices(mark).map(|(at, _)| at).filter(starts_word);
    let mut starts: Vec<usize> = marks(FACT).chain(marks(FORGET)).collect();
    starts.sort_unstable();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| action(text[*start..end].trim(), number)).collect()
}

fn action(order: &str, number: u32) -> Option<DraftAction> {
    let (verb, slot, memo) = match order.strip_prefix(FACT) {
        Some(fact) => fact.split_once('=').map(|(slot, memo)| (Verb::Set, slot, memo))?,
        None => (Verb::Remove, order.strip_prefix(FORGET)?, ""),
    };
    let (topic, sub_topic) = slot.split_once('/')?;
    let text = |text: &str| text.trim().to_owned();
    Some(DraftAction {
        action: verb,
        topic: text(topic),
        sub_topic: text(sub_topic),
        memo: text(memo),
        messages: vec![number],
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer_to(messages: &Value) -> Value {
        serde_json::from_str(&answer(&json!({"model": "any", "messages": messages}))).unwrap()
    }

    #[test]
    fn lines_become_gists_and_facts_become_slots() {
        let chat = "Who is it?\n[9] - user: not in the fence\n<chat>\n[1] 2024-05-01 user: FACT work/title=nurse, since 2021 \
            FACT interest/likes=tea\n[2] - Dr. Who: 我喜欢喝茶 FACT 兴趣/喜欢=茶\nno line\n[3] - user:\n\
            [4] 2024 user: bye FORGET work/company\n</chat>\n[8] - user: nor here";
        let messages = json!([{"role": "system", "content": "[7] - user: no"}, {"role": "user", "content": chat}]);
        let expected = r#"{"gists":[{"text":"FACT work/title=nurse, since 2021 FACT interest/likes=tea","occurred_at":null,"messages":[1]},{"text":"我喜欢喝茶 FACT 兴趣/喜欢=茶","occurred_at":null,"messages":[2]},{"text":"bye FORGET work/company","occurred_at":null,"messages":[4]}],"profile":[{"action":"set","topic":"work","sub_topic":"title","memo":"nurse, since 2021","messages":[1]},{"action":"set","topic":"interest","sub_topic":"likes","memo":"tea","messages":[1]},{"action":"set","topic":"兴趣","sub_topic":"喜欢","memo":"茶","messages":[2]},{"action":"remove","topic":"work","sub_topic":"company","memo":"","messages":[4]}],"tags":[],"summary":""}"#;
        assert_eq!(answer(&json!({"messages": messages})), expected);
    }

    #[test]
    fn a_repair_round_is_answered_from_the_chat_before_it() {
        let chat = json!([{"type": "text", "text": "[1] - user: one"}, {"type": "text", "text": "[2] - user: two"}]);
        let answered = answer_to(&json!([
            {"role": "user", "content": "[5] - user: older"},
            {"role": "user", "content": chat},
            {"role": "assistant", "content": "[6] - user: {"},
            {"role": "user", "content": "That was no JSON: try again."},
        ]));
        let texts: Vec<_> = answered["gists"].as_array().unwrap().iter().map(|g| g["text"].clone()).collect();
        assert_eq!(texts, ["one", "two"]);
    }

    #[test]
    fn what_is_no_chat_line_is_left_out() {
        for line in
            ["[1]  user: x", "[] - user: x", "[+1] - user: x", "[1] - : x", "[1] user: x", "1 - user: x", "", "["]
        {
            assert!(chat_line(line).is_none(), "{line:?}");
        }
        assert!(chat_line("[4294967296] - user: x").is_none(), "more than 32 bits");
        assert_eq!(chat_line("[12] 2024-05-01T10:00 Ann B: a: b").unwrap().text, "a: b");
        assert_eq!(answer_to(&json!([{"role": "user", "content": "hello"}]))["gists"], json!([]));
        assert_eq!(answer(&json!({})), answer(&json!({"messages": "?"})));
    }

    #[test]
    fn an_order_that_is_not_whole_is_no_order() {
        for text in ["FACT work=nurse", "FACT work/title", "ARTIFACT a/b=c", "FORGET work", "FACT"] {
            assert_eq!(actions(text, 1), [], "{text:?}");
        }
        assert_eq!(actions("FACT a/b=c FACTS d/e=f", 1)[0].memo, "c FACTS d/e=f");
    }

    #[test]
    fn advice_is_the_least_that_fits() {
        let schema = json!({"type": "object", "required": ["slots"], "properties": {"slots": {"type": "array"}}});
        let format = |name: &str| json!({"type": "json_schema", "json_schema": {"name": name, "schema": schema}});
        let messages = json!([{"role": "user", "content": "[1] - user: x"}]);
        let ask = |name: &str| answer(&json!({"messages": messages, "response_format": format(name)}));
        assert_eq!(ask("relevant_slots"), r#"{"slots":[]}"#);
        assert_eq!(ask("next_topic"), r#"{"slots":[]}"#);
        assert!(ask("memory").starts_with(r#"{"gists":[{"text":"x""#));
    }
}
