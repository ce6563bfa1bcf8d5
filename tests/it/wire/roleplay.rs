//! `/users/roleplay`, as far as it goes without a language model.

use serde_json::{Value, json};

use super::case::{Case, case};

fn ask(name: &'static str, query: &str, body: Value) -> Case {
    case(name, "POST", format!("/users/roleplay/proactive/{{user}}{query}")).json(body)
}

pub(super) fn cases() -> Vec<Case> {
    let bored = || json!({"messages": [{"role": "user", "content": "boring"}], "agent_context": "you are X"});
    let path = "/users/roleplay/proactive";
    vec![
        case("a user", "POST", "/users").json(json!({})).keep("user", "/data/id"),
        ask("no model", "", bored()).errno(501),
        ask("no messages", "?topk=5&only_topics=work", json!({"messages": [], "agent_context": null})).errno(501),
        case("unknown user", "POST", format!("{path}/{{nobody}}")).json(bored()).errno(404),
        case("bad id", "POST", format!("{path}/fake")).json(bored()).bad_id("user_id"),
        ask("nothing", "", json!({})).problems(json!([["missing", ["body", "messages"]]])),
        ask("a list", "", json!([])).problems(json!([["model_attributes_type", ["body"]]])),
        ask("all that is wrong", "?topk=-1", json!({"messages": [{"role": "system"}], "agent_context": 5})).problems(
            json!([
                ["greater_than_equal", ["query", "topk"]],
                ["literal_error", ["body", "messages", 0, "role"]],
                ["missing", ["body", "messages", 0, "content"]],
                ["string_type", ["body", "agent_context"]],
            ]),
        ),
        ask("limits are no JSON", "?topic_limits_json=x", bored()).errno(400),
        case("another method", "GET", format!("{path}/{{user}}")).status(405, json!({"detail": "Method Not Allowed"})),
    ]
}
