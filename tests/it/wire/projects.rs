//! `/admin` and `/project/users`. Each run makes a project of its own, whose token is `{key}`.

use serde_json::{Value, json};

use super::case::{Case, case};

const NAME: &str = "w-{fresh}";

fn admin(name: &'static str, method: &'static str, rest: &str) -> Case {
    case(name, method, format!("/admin/projects{rest}"))
}

/// A request with the token of the project.
fn own(name: &'static str, method: &'static str, path: &str) -> Case {
    case(name, method, path).header("Authorization", "Bearer {key}")
}

fn view(status: &str) -> Value {
    json!({"project_id": NAME, "status": status, "is_default": false, "has_profile_config": false,
        "token_quota_per_month": null, "created_at": "$time", "updated_at": "$time"})
}

fn with_quota(status: &str, tokens: u64) -> Value {
    let mut view = view(status);
    view["token_quota_per_month"] = json!(tokens);
    view
}

fn with_token(status: &str) -> Value {
    let mut view = view(status);
    view["token"] = json!("$start:sk-w-");
    view
}

fn refused(path: &str) -> Value {
    json!({"data": null, "errno": 401, "errmsg": format!("$text:{path}")})
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = creating();
    cases.extend(reading());
    cases.extend(using());
    cases.extend(users());
    cases.extend(usage());
    cases.extend(quotas());
    cases.extend(closing());
    cases
}

fn creating() -> Vec<Case> {
    let create = |name, body: Value| admin(name, "POST", "").json(body);
    let problem = |kind| json!([[kind, ["body", "project_id"]]]);
    let malformed = "string_pattern_mismatch";
    vec![
        case("status check", "GET", "/admin/status_check").data(json!(null)),
        create("create", json!({"project_id": NAME})).data(with_token("active")).keep("key", "/data/token"),
        create("the same again", json!({"project_id": NAME})).errno(409),
        create("the default project", json!({"project_id": "__root__"})).errno(409),
        create("no name", json!({})).problems(problem("missing")),
        create("no text", json!({"project_id": 5})).problems(problem("string_type")),
        create("an empty name", json!({"project_id": ""})).problems(problem(malformed)),
        create("a dot", json!({"project_id": "a.b"})).problems(problem(malformed)),
        create("a long name", json!({"project_id": "x".repeat(65)})).problems(problem(malformed)),
        create("a letter of another script", json!({"project_id": "é"})).problems(problem(malformed)),
    ]
}

fn reading() -> Vec<Case> {
    let default = json!({"project_id": "__root__", "status": "active", "is_default": true,
        "has_profile_config": false, "token_quota_per_month": null, "created_at": "$any", "updated_at": "$any"});
    let patch = |name, rest, body: Value| admin(name, "PATCH", rest).json(body);
    vec![
        admin("get", "GET", "/w-{fresh}").data(view("active")),
        admin("get the default", "GET", "/__root__").data(default.clone()),
        admin("get unknown", "GET", "/nobody").errno(404),
        admin("list", "GET", "").data(json!({"projects": "$any"})),
        admin("list none", "GET", "?limit=0").data(json!({"projects": [default]})),
        admin("list from far", "GET", "?offset=1000000").data(json!({"projects": []})),
        admin("bad page", "GET", "?limit=-1&offset=x")
            .problems(json!([["greater_than_equal", ["query", "limit"]], ["int_parsing", ["query", "offset"]]])),
        patch("unknown status", "/w-{fresh}", json!({"status": "deleting"}))
            .problems(json!([["enum", ["body", "status"]]])),
        patch("no status", "/w-{fresh}", json!({})).problems(json!([["missing", ["body", "status"]]])),
        patch("unknown project", "/nobody", json!({"status": "suspended"})).errno(404),
        patch("the default stays", "/__root__", json!({"status": "suspended"})).errno(400),
        admin("the default has no token", "POST", "/__root__/token").errno(400),
        admin("the default cannot go", "DELETE", "/__root__").errno(400),
        admin("no token of an unknown project", "POST", "/nobody/token").errno(404),
        admin("no end of an unknown project", "DELETE", "/nobody").errno(404),
    ]
}

/// What a project's token opens, and what it does not.
fn using() -> Vec<Case> {
    let mut cases = vec![
        own("create a user", "POST", "/users").json(json!({"id": "{fresh}", "data": {"name": "Ada L."}})),
        own("read it", "GET", "/users/{fresh}"),
        case("it is the project's", "GET", "/users/{fresh}").errno(404),
        case("another secret", "GET", "/users/{fresh}")
            .header("Authorization", &format!("Bearer sk-w-{{fresh}}-{}", "0".repeat(64)))
            .status(401, refused("/api/v1/users/"))
            .wants_header("WWW-Authenticate", "Bearer"),
        case("an unknown project", "GET", "/users/{fresh}")
            .header("Authorization", &format!("Bearer sk-nobody-{}", "0".repeat(64)))
            .status(401, refused("/api/v1/users/")),
        case("the default project", "GET", "/users/{fresh}")
            .header("Authorization", &format!("Bearer sk-__root__-{}", "0".repeat(64)))
            .status(401, refused("/api/v1/users/")),
    ];
    for (name, method, path) in [
        ("own status check", "GET", "/admin/status_check"),
        ("own list", "GET", "/admin/projects"),
        ("own creation", "POST", "/admin/projects"),
        ("own row", "GET", "/admin/projects/w-{fresh}"),
        ("own status", "PATCH", "/admin/projects/w-{fresh}"),
        ("own end", "DELETE", "/admin/projects/w-{fresh}"),
        ("own token", "POST", "/admin/projects/w-{fresh}/token"),
    ] {
        let body = json!({"project_id": "mine", "status": "active"});
        let asked = own(name, method, path);
        cases.push(if ["POST", "PATCH"].contains(&method) { asked.json(body) } else { asked }.errno(403));
    }
    cases
}

/// What the project uses; the numbers are those of `model::usage`.
fn usage() -> Vec<Case> {
    let day = || {
        json!({"date": "$start:20", "total_insert": "$number", "total_success_insert": "$number",
            "total_input_token": "$number", "total_output_token": "$number", "total_embedding_token": "$number"})
    };
    let bill = json!({"token_left": null, "next_refill_at": "$time", "project_token_cost_month": "$number"});
    vec![
        own("a week", "GET", "/project/usage").data(json!("$list:7")),
        own("no day", "GET", "/project/usage?last_days=0").data(json!([])),
        own("less than none", "GET", "/project/usage?last_days=-1")
            .problems(json!([["greater_than_equal", ["query", "last_days"]]])),
        own("two days", "GET", "/project/usage?last_days=2").data(json!([day(), day()])),
        own("bill", "GET", "/project/billing").data(bill),
    ]
}

/// What is left of a quota where nothing was used: the rules use no tokens. What happens when it is used up: `model::quota`.
fn quotas() -> Vec<Case> {
    const MOST: u64 = (1 << 53) - 1;
    let set = |name, tokens: Value| admin(name, "PATCH", "/w-{fresh}").json(json!({"token_quota_per_month": tokens}));
    let bill = |name, left: Value| {
        let bill = json!({"token_left": left, "next_refill_at": "$time", "project_token_cost_month": 0});
        own(name, "GET", "/project/billing").data(bill)
    };
    let problem = json!([["int_type", ["body", "token_quota_per_month"]]]);
    let mut made = with_quota("active", 5);
    made["project_id"] = json!("q-{fresh}");
    made["token"] = json!("$start:sk-q-");
    let mut cases = vec![
        set("a quota", json!(1_000)).data(with_quota("active", 1_000)),
        bill("all is left", json!(1_000)),
        set("the greatest", json!(MOST)).data(with_quota("active", MOST)),
        admin("it stays", "GET", "/w-{fresh}").data(with_quota("active", MOST)),
        admin("with a status", "PATCH", "/w-{fresh}")
            .json(json!({"status": "suspended", "token_quota_per_month": 7}))
            .data(with_quota("suspended", 7)),
        admin("a status alone", "PATCH", "/w-{fresh}").json(json!({"status": "active"})).data(with_quota("active", 7)),
        set("none", json!(0)).data(with_quota("active", 0)),
        bill("nothing is left", json!(0)),
        set("no limit", json!(null)).data(view("active")),
        bill("no end", json!(null)),
        admin("of an unknown project", "PATCH", "/nobody").json(json!({"token_quota_per_month": 1})).errno(404),
        admin("with a status of the default", "PATCH", "/__root__")
            .json(json!({"status": "active", "token_quota_per_month": 1}))
            .errno(400),
        own("one's own", "PATCH", "/admin/projects/w-{fresh}").json(json!({"token_quota_per_month": 1})).errno(403),
        admin("a new one with a quota", "POST", "")
            .json(json!({"project_id": "q-{fresh}", "token_quota_per_month": 5}))
            .data(made),
        admin("which is there", "GET", "/q-{fresh}").data(json!("$any")),
        admin("and goes", "DELETE", "/q-{fresh}"),
    ];
    for (name, tokens) in [
        ("less than none", json!(-1)),
        ("more than there is", json!(MOST + 1)),
        ("a part", json!(0.5)),
        ("a text", json!("5")),
        ("a list", json!([])),
    ] {
        cases.push(set(name, tokens).problems(problem.clone()));
    }
    let body = json!({"project_id": "a.b", "token_quota_per_month": true});
    let problems = json!([problem[0], ["string_pattern_mismatch", ["body", "project_id"]]]);
    cases.push(admin("all is told", "POST", "").json(body).problems(problems));
    cases
}

fn users() -> Vec<Case> {
    let user = |id: &str, data: Value, slots: u32| {
        json!({"id": id, "project_id": NAME, "profile_count": slots, "event_count": 0,
            "created_at": "$time", "updated_at": "$time", "additional_fields": data})
    };
    let ada = || user("{fresh}", json!({"name": "Ada L."}), 0);
    let bare = || user("{bare}", json!(null), 1);
    let list = |name, query: &str| own(name, "GET", &format!("/project/users{query}"));
    let slot = json!({"content": "c", "attributes": {"topic": "t", "sub_topic": "s"}});
    let page = |users: Value, count: u32| json!({"users": users, "count": count});
    vec![
        own("another user", "POST", "/users").json(json!({})).keep("bare", "/data/id"),
        own("a slot", "POST", "/users/profile/{bare}").json(slot),
        list("newest first", "").data(page(json!([bare(), ada()]), 2)),
        list("oldest first", "?order_desc=false").data(page(json!([ada(), bare()]), 2)),
        list("most slots first", "?order_by=profile_count").data(page(json!([bare(), ada()]), 2)),
        list("fewest slots first", "?order_by=profile_count&order_desc=false&limit=1").data(page(json!([ada()]), 2)),
        list("by events", "?order_by=event_count").data(page(json!("$list:2"), 2)),
        list("the second", "?offset=1&limit=1").data(page(json!([ada()]), 2)),
        list("none", "?limit=0").data(page(json!([]), 2)),
        list("search", "?search=ada%20l").data(page(json!([ada()]), 1)),
        list("search by id", "?search={fresh}").data(page(json!([ada()]), 1)),
        list("search in vain", "?search=%25").data(page(json!([]), 0)),
        list("unknown order", "?order_by=foo").problems(json!([["literal_error", ["query", "order_by"]]])),
        list("negative", "?offset=-1&limit=-1")
            .problems(json!([["greater_than_equal", ["query", "limit"]], ["greater_than_equal", ["query", "offset"]]])),
        list("no flag", "?order_desc=maybe").problems(json!([["bool_parsing", ["query", "order_desc"]]])),
        case("the default project has others", "GET", "/project/users?search={bare}").data(page(json!([]), 0)),
    ]
}

fn closing() -> Vec<Case> {
    let read = |name| own(name, "GET", "/users/{fresh}");
    let set = |name, status| admin(name, "PATCH", "/w-{fresh}").json(json!({"status": status})).data(view(status));
    vec![
        set("suspend", "suspended"),
        read("suspended").errno(403),
        own("suspended, admin", "GET", "/admin/projects").errno(403),
        set("resume", "active"),
        read("resumed"),
        admin("rotate", "POST", "/w-{fresh}/token").data(with_token("active")).keep("new", "/data/token"),
        read("the old token").status(401, refused("/api/v1/users/")),
        case("the new token", "GET", "/users/{fresh}").header("Authorization", "Bearer {new}"),
        admin("delete", "DELETE", "/w-{fresh}").data(view("deleting")),
        admin("delete again", "DELETE", "/w-{fresh}").data(view("deleting")),
        case("being deleted", "GET", "/users/{fresh}").header("Authorization", "Bearer {new}").errno(403),
        admin("taken until it is gone", "POST", "").json(json!({"project_id": NAME})).errno(409),
        admin("no way back", "PATCH", "/w-{fresh}").json(json!({"status": "active"})).errno(404),
    ]
}
