//! The description against the routes that exist, against the parameters that they read, and against what clients of
//! the wire format rely on.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::Method;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::super::input::noted::READ;
use super::super::tests::{Shown, USER, api, ask, ask_with, at, settings};
use super::*;

/// What clients know: methods, paths, parameters and defaults, recorded.
const CONTRACT: &str = include_str!("../../../tests/data/contract.json");

/// A route of the description.
struct Told {
    method: Method,
    path: String,
    operation: Value,
}

impl Told {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn parameters(&self, place: &str) -> Vec<&Value> {
        let all = self.operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        all.iter().filter(|p| p["in"] == place).collect()
    }

    /// A request that is right, but for the values named here.
    async fn ask(&self, place: &str, name: &str, value: Option<&str>) -> Shown {
        let mut path = self.path.clone();
        for parameter in self.parameters("path") {
            let known = parameter["name"].as_str().unwrap();
            let right = parameter["schema"]["enum"][0].as_str().unwrap_or(USER);
            let text = if place == "path" && known == name { value.unwrap_or_default() } else { right };
            path = path.replace(&format!("{{{known}}}"), text);
        }
        let mut query = form_urlencoded::Serializer::new(String::new());
        for parameter in self.parameters("query") {
            let known = parameter["name"].as_str().unwrap();
            if place == "query" && known == name {
                query.extend_pairs(value.map(|value| (known, value)));
            } else if parameter["required"] == true {
                query.append_pair(known, "x");
            }
        }
        let request = at(self.method.clone(), &format!("{path}?{}", query.finish()));
        let body = if self.operation["requestBody"].is_null() { "" } else { "{}" };
        ask(request.set_payload(body)).await
    }

    /// Fails unless this value of a parameter is refused, or is not.
    async fn is_refused(&self, place: &str, name: &str, value: Option<&str>) -> bool {
        let shown = self.ask(place, name, value).await;
        assert_ne!(shown.status, 404, "{} is not there", self.name());
        let problems = shown.body["detail"].as_array().cloned().unwrap_or_default();
        problems.iter().any(|p| p["loc"][0] == place && p["loc"][1] == name)
    }
}

fn document_json() -> Value {
    serde_json::from_str(&JSON).unwrap()
}

fn told() -> Vec<Told> {
    let document = document_json();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            all.push(Told { method, path: path.clone(), operation: operation.clone() });
        }
    }
    all
}

/// The routes below [`BASE`] as `src/http/mod.rs` names them: `resource("…").route(get().to(…))`.
fn registered() -> BTreeSet<String> {
    let source: String = include_str!("../mod.rs").chars().filter(|c| !c.is_whitespace()).collect();
    let mut routes = BTreeSet::new();
    let mut count = 0;
    for chunk in source.split("resource(\"").skip(1) {
        let (path, rest) = chunk.split_once('"').unwrap();
        let path = if path.starts_with(BASE) { path.to_owned() } else { format!("{BASE}{path}") };
        for method in ["get", "post", "put", "patch", "delete", "web::head"] {
            let here = rest.matches(&format!(".route({method}().to(")).count();
            count += here;
            if here > 0 && method != "web::head" {
                routes.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    assert_eq!(count, source.matches(".to(").count(), "a route is registered in a way that this test cannot read");
    routes
}

#[test]
fn what_is_described_is_what_is_there() {
    let described: BTreeSet<String> = told().iter().map(Told::name).collect();
    assert!(described.len() > 30, "{described:?}");
    assert_eq!(described, registered());
}

#[actix_web::test]
async fn the_router_takes_the_methods_that_are_described() {
    let mut methods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for route in told() {
        methods.entry(route.path.clone()).or_default().insert(route.method.to_string());
    }
    for (path, described) in methods {
        let shown = ask(at(Method::TRACE, &path)).await;
        let allowed: BTreeSet<String> = shown.header("allow").split(", ").map(str::to_owned).collect();
        let allowed: BTreeSet<String> = allowed.into_iter().filter(|method| method != "HEAD").collect();
        assert_eq!((shown.status, allowed), (405, described), "{path}");
    }
}

#[actix_web::test]
async fn the_parameters_that_are_read_are_described() {
    for route in told() {
        READ.set(Some(BTreeMap::new()));
        route.ask("", "", None).await;
        let all = route.parameters("path").into_iter().chain(route.parameters("query"));
        let described = all.map(|p| (p["name"].as_str().unwrap().to_owned(), p["schema"]["default"].as_bool()));
        assert_eq!(READ.take(), Some(described.collect()), "{}", route.name());
    }
}

/// Values of a query parameter that must be refused, and values that must not.
fn samples(schema: &Value) -> (Vec<String>, Vec<String>) {
    let (mut bad, mut good) = (Vec::new(), Vec::new());
    match schema["type"].as_str() {
        Some("boolean") => {
            bad.push("maybe".to_owned());
            good.extend(["true".to_owned(), "False".to_owned()]);
        }
        Some("integer") => {
            let (least, most) = (schema["minimum"].as_i64().unwrap(), schema["maximum"].as_i64().unwrap());
            bad.extend([(least - 1).to_string(), (most + 1).to_string(), "many".to_owned()]);
            good.extend([least.to_string(), most.to_string()]);
        }
        Some("number") => {
            bad.push("much".to_owned());
            good.push("0.5".to_owned());
            if let (Some(above), Some(most)) = (schema["exclusiveMinimum"].as_f64(), schema["maximum"].as_f64()) {
                bad.extend([above.to_string(), (most + 0.1).to_string()]);
                good.push(most.to_string());
            }
        }
        _ => {}
    }
    for name in schema["enum"].as_array().into_iter().flatten() {
        good.push(name.as_str().unwrap().to_owned());
        bad = vec!["nonsense".to_owned()];
    }
    if let Some(most) = schema["maxLength"].as_u64() {
        let most = usize::try_from(most).unwrap();
        bad.push("x".repeat(most + 1));
        good.push("x".repeat(most));
    }
    (bad, good)
}

#[actix_web::test]
async fn limits_are_those_that_are_described() {
    let mut tried = 0;
    for route in told() {
        for place in ["query", "path"] {
            for parameter in route.parameters(place) {
                let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
                let (mut bad, good) = samples(schema);
                if place == "path" {
                    // The name of a project may be any text: one that no project can have is unknown.
                    let has_form = ["pattern", "format", "enum"].iter().any(|key| !schema[*key].is_null());
                    bad.extend(has_form.then(|| "nonsense".to_owned()));
                } else {
                    let required = parameter["required"] == true;
                    assert_eq!(route.is_refused(place, name, None).await, required, "{} without {name}", route.name());
                }
                for value in &bad {
                    assert!(route.is_refused(place, name, Some(value)).await, "{} {name}={value}", route.name());
                }
                for value in &good {
                    assert!(!route.is_refused(place, name, Some(value)).await, "{} {name}={value}", route.name());
                }
                tried += bad.len() + good.len();
            }
        }
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn what_clients_rely_on_is_there() {
    let contract: Vec<Value> = serde_json::from_str(CONTRACT).unwrap();
    let told = told();
    let mut missing = Vec::new();
    for route in &contract {
        let name = format!("{} {}", route["method"].as_str().unwrap(), route["path"].as_str().unwrap());
        let Some(known) = told.iter().find(|told| told.name() == name) else {
            missing.push(name);
            continue;
        };
        assert_eq!(route["body"].as_bool().unwrap(), !known.operation["requestBody"].is_null(), "{name}: body");
        for wanted in route["parameters"].as_array().unwrap() {
            let parameters = known.parameters(wanted["in"].as_str().unwrap());
            let parameter = parameters.iter().find(|p| p["name"] == wanted["name"]);
            let parameter = parameter.unwrap_or_else(|| panic!("{name}: {} is missing", wanted["name"]));
            assert_eq!(parameter["required"], wanted["required"], "{name}: {}", wanted["name"]);
            assert_eq!(parameter["schema"]["default"], wanted["default"], "{name}: {}", wanted["name"]);
        }
    }
    missing.sort_unstable();
    assert!(missing.is_empty(), "{missing:?}");
}

/// All values of this key, wherever they stand.
fn values_of<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get(key));
            map.values().for_each(|value| values_of(value, key, found));
        }
        Value::Array(items) => items.iter().for_each(|value| values_of(value, key, found)),
        _ => {}
    }
}

#[test]
fn the_document_is_whole() {
    let document = document_json();
    let (mut references, mut ids) = (Vec::new(), Vec::new());
    values_of(&document, "$ref", &mut references);
    assert!(references.len() > 20);
    for reference in references {
        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    values_of(&document, "operationId", &mut ids);
    let distinct: BTreeSet<&str> = ids.iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(distinct.len(), ids.len(), "{distinct:?}");
    for route in told() {
        for (status, response) in route.operation["responses"].as_object().unwrap() {
            assert!(response["description"].as_str().is_some_and(|says| !says.is_empty()), "{} {status}", route.name());
        }
        assert!(!route.operation["summary"].as_str().unwrap().is_empty(), "{}", route.name());
        assert!(document["tags"].as_array().unwrap().iter().any(|tag| tag["name"] == route.operation["tags"][0]));
    }
}

#[actix_web::test]
async fn anybody_may_read_it_and_nothing_comes_from_elsewhere() {
    for path in ["/openapi.json", "/docs", "/docs/style.css", "/docs/script.js"] {
        let shown = ask_with(settings(), at(Method::GET, path)).await;
        assert_eq!(shown.status, 200, "{path}");
        assert!(shown.header("content-security-policy").starts_with("default-src 'none'; "), "{path}");
        assert_eq!(shown.header("x-content-type-options"), "nosniff", "{path}");
    }
    let shown = ask_with(settings(), at(Method::GET, "/openapi.json")).await;
    assert_eq!(shown.body, document_json());
    assert!(!JSON.contains("secret"), "the token of the tests");
    for text in [include_str!("page/index.html"), include_str!("page/style.css"), include_str!("page/script.js")] {
        assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("//cdn"), "{text}");
        assert!(!text.contains("innerHTML") && !text.contains("style="), "the policy would forbid it");
    }
    assert_eq!(ask_with(settings(), api(Method::GET, "/openapi.json")).await.status, 401, "only at the root");
    assert_eq!(ask_with(settings(), at(Method::POST, "/docs")).await.body, json!({"detail": "Method Not Allowed"}));
}
