//! The description of the API: `/openapi.json`, and a page to browse it at `/docs`. Neither needs a token.
//!
//! Each file of handlers describes its routes itself, in a function `describe` that uses the limits and defaults of
//! the handlers. To add a route: describe it there; to add a file: add its function to [`groups`]. A test compares
//! the description with the routes that exist and with the parameters that they read.

use std::sync::LazyLock;

use actix_web::web::{self, get, resource};
use actix_web::{HttpResponse, http::header};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathsBuilder};

pub(super) mod parameters;
mod responses;
mod route;

pub(super) use route::Route;

use super::{admin, blobs, buffers, context, events, health, letters, profiles, project, roleplay, users};

/// What all paths but those of this module begin with.
pub(super) const BASE: &str = "/api/v1";
/// The name of the security scheme.
const TOKEN: &str = "token";

const ABOUT: &str = "The wire format of Memobase, so that its clients work with nothing changed but the URL.\n\n\
    Every answer is an envelope `{\"data\": …, \"errno\": 0, \"errmsg\": \"\"}`. A request that was understood but \
    could not be done is answered with HTTP 200 and an errno other than 0; each route lists its own, and 500 is a \
    defect of the server. Every answer bears `X-Request-ID`, the client's own or a new one, and `X-Process-Time` in \
    seconds.";

/// All routes: a name and a sentence for each group of them, in the order in which they are shown.
fn groups() -> Vec<(&'static str, &'static str, Vec<Route>)> {
    vec![
        ("users", "People who are remembered.", users::describe()),
        ("blobs", "What is sent in: chats, documents, summaries, code, transcripts.", blobs::describe()),
        ("buffers", "What was sent in and waits to be processed.", buffers::describe()),
        ("context", "Memory as a section of a prompt.", context::describe()),
        ("profile", "Facts, addressed by topic and sub-topic.", profiles::describe()),
        ("events", "What happened, and lines to search.", events::describe()),
        ("roleplay", "Advice by a language model.", roleplay::describe()),
        ("dead letters", "What could not be processed.", letters::describe()),
        ("project", "How a project wants its memory made, its users, and what it has used.", project::describe()),
        ("admin", "Projects and the state of the server, for the root token.", admin::describe()),
        ("health", "Whether the server answers.", health::describe()),
    ]
}

/// The whole description.
fn document() -> OpenApi {
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("Powermemo")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license))
        .build();
    let mut components = ComponentsBuilder::new().security_scheme(TOKEN, token());
    let (mut paths, mut tags) = (PathsBuilder::new(), Vec::new());
    for (name, about, routes) in groups() {
        tags.push(TagBuilder::new().name(name).description(Some(about)).build());
        for route in routes {
            let described = route.describe(name);
            components = components.schemas_from_iter(described.schemas);
            paths = paths.path(described.path, described.item);
        }
    }
    let components = components.schemas_from_iter(responses::schemas()).build();
    OpenApiBuilder::new().info(info).paths(paths.build()).components(Some(components)).tags(Some(tags)).build()
}

fn token() -> SecurityScheme {
    let mut scheme = Http::new(HttpAuthScheme::Bearer);
    scheme.description =
        Some("The server's access token (`ACCESS_TOKEN`), or that of a project (`sk-…`). A server without one asks for none.".to_owned());
    SecurityScheme::Http(scheme)
}

static JSON: LazyLock<String> =
    // Strings, numbers and JSON values: there is nothing that JSON cannot write.
    LazyLock::new(|| document().to_json().unwrap_or_default());

/// Only what this server itself serves may be loaded by the page, and nothing may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of this module.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/openapi.json").route(get().to(json)))
        .service(resource("/docs").route(get().to(page)))
        .service(resource("/docs/style.css").route(get().to(style)))
        .service(resource("/docs/script.js").route(get().to(script)));
}

async fn json() -> HttpResponse {
    file("application/json", JSON.as_str())
}

async fn page() -> HttpResponse {
    file("text/html; charset=utf-8", include_str!("page/index.html"))
}

async fn style() -> HttpResponse {
    file("text/css; charset=utf-8", include_str!("page/style.css"))
}

async fn script() -> HttpResponse {
    file("text/javascript; charset=utf-8", include_str!("page/script.js"))
}

fn file(content_type: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        // A newer version of the program may say something else.
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text)
}

#[cfg(test)]
mod tests;
