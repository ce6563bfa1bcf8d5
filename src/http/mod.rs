//! HTTP: the wire format of the API.
//!
//! One file per resource, each handler in three steps: read the input, ask the [`Engine`], reply. Beside them
//! stand the shared pieces: `call` (who calls), `input`, `body` and `node` (reading, with all problems of a request
//! reported at once), `reply` (the envelope and the errors), `access` (who may call), `trace` (request ids, the log,
//! panics) and `linger` (bodies that nobody read).

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::{Condition, from_fn};
use actix_web::web::{self, delete, get, patch, post, put, resource};
use actix_web::{App, Error, HttpResponse, HttpServer};
use actors::Engine;
use memory::ids::ProjectId;

mod access;
mod admin;
mod blobs;
mod body;
mod buffers;
mod call;
mod context;
mod events;
mod explain;
mod filter;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod health;
mod input;
mod insert;
mod invalid;
mod letters;
mod linger;
mod messages;
mod node;
mod openapi;
mod parse;
mod profiles;
mod project;
mod repair;
mod reply;
mod roleplay;
mod sources;
mod stamp;
mod trace;
mod users;

pub use access::{AccessToken, BadToken};
pub(crate) use insert::typed_data as read_blob_data;

use access::Access;
use body::BodyLimit;

/// Idle connections are kept so long: longer than the pools of common clients and load balancers keep theirs, so
/// that the client is the one who closes.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// The head of a request must have arrived within this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that is closed is waited for so long; meanwhile what still comes of a body is read and thrown away.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections of one worker at most; further ones wait in the system's queue.
const CONNECTIONS_PER_WORKER: usize = 10_000;
/// How long browsers may remember an answer about CORS, in seconds.
const CORS_MAX_AGE_SECONDS: usize = 3600;

/// How to serve.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The project that the access token, or a server without one, works on.
    pub project: ProjectId,
    /// The token that every request but the health check must carry. None: no token is needed, and only requests to
    /// a loopback name are answered, so that no web page can reach the server.
    pub access_token: Option<AccessToken>,
    /// The largest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// The origins of web pages that may call (`https://app.example`); `*` for any, if there is a token.
    pub cors_origins: Vec<String>,
    /// Threads that serve requests.
    pub workers: usize,
}

/// Starts to serve on a socket that is listening already.
///
/// The server runs when it is awaited or spawned; its handle stops it, and lets requests under way finish for at
/// most `shutdown_timeout`, whole seconds. It leaves the signals of the process to the caller.
///
/// # Errors
/// When the socket cannot be used.
pub fn serve(
    listener: TcpListener,
    engine: Engine,
    settings: Settings,
    shutdown_timeout: Duration,
) -> io::Result<Server> {
    let workers = settings.workers.max(1);
    let engine = web::Data::new(engine);
    let server = HttpServer::new(move || app(settings.clone()).app_data(engine.clone()))
        .workers(workers)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .max_connections(CONNECTIONS_PER_WORKER)
        .shutdown_timeout(shutdown_timeout.as_secs())
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

/// The application but for the engine.
fn app(
    settings: Settings,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let cors = Condition::new(!settings.cors_origins.is_empty(), cors(&settings.cors_origins));
    let access = Access { project: settings.project, token: settings.access_token, origins: settings.cors_origins };
    App::new()
        .app_data(web::Data::new(BodyLimit(settings.max_body_bytes)))
        .app_data(web::Data::new(access))
        .configure(routes)
        .default_service(web::to(not_found))
        .wrap(cors)
        .wrap(from_fn(trace::observe))
        .wrap(from_fn(linger::close_unread))
}

/// All routes. The health check and the description of the API stand outside the scope whose access is checked;
/// everything else stands in it.
/// Fixed names stand before the parameters that would take them. A path is matched against one route after the other,
/// so those that bots call all day come first.
fn routes(config: &mut web::ServiceConfig) {
    let health = resource("/api/v1/healthcheck").route(get().to(health::check)).route(web::head().to(health::check));
    let api = web::scope("/api/v1").wrap(from_fn(access::guard));
    let api = api.configure(hot_routes).configure(user_routes).configure(blob_routes);
    let api = api.configure(letter_routes).configure(project_routes).configure(admin_routes);
    config.service(health).service(api.default_service(web::to(not_found))).configure(openapi::routes);
}

fn hot_routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/blobs/insert/{user_id}").route(post().to(blobs::insert)))
        .service(resource("/users/context/{user_id}").route(get().to(context::get)))
        .service(resource("/users/profile/{user_id}").route(get().to(profiles::get)).route(post().to(profiles::add)))
        .service(resource("/users/buffer/{user_id}/{buffer_type}").route(post().to(buffers::flush)));
}

fn user_routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/users").route(post().to(users::create)))
        .service(
            resource("/users/{user_id}")
                .route(get().to(users::get))
                .route(put().to(users::update))
                .route(delete().to(users::delete)),
        )
        .service(resource("/users/blobs/{user_id}/{blob_type}").route(get().to(blobs::list)))
        .service(resource("/users/buffer/capacity/{user_id}/{buffer_type}").route(get().to(buffers::capacity)))
        .service(resource("/users/profile/import/{user_id}").route(post().to(profiles::import)))
        .service(
            resource("/users/profile/{user_id}/{profile_id}")
                .route(put().to(profiles::update))
                .route(delete().to(profiles::delete)),
        )
        .service(resource("/users/event/{user_id}").route(get().to(events::list)))
        .service(resource("/users/event/search/{user_id}").route(get().to(events::search)))
        .service(
            resource("/users/event/{user_id}/{event_id}")
                .route(put().to(events::update))
                .route(delete().to(events::delete)),
        )
        .service(resource("/users/event_gist/search/{user_id}").route(get().to(events::search_gists)))
        .service(resource("/users/event_tags/search/{user_id}").route(get().to(events::search_tags)))
        .service(resource("/users/roleplay/proactive/{user_id}").route(post().to(roleplay::proactive)));
}

fn blob_routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/blobs/{user_id}/{blob_id}").route(get().to(blobs::get)).route(delete().to(blobs::delete)));
}

fn letter_routes(config: &mut web::ServiceConfig) {
    config
        .service(
            resource("/users/dead_letters/{user_id}")
                .route(get().to(letters::list_of_user))
                .route(delete().to(letters::drop_of_user)),
        )
        .service(resource("/users/dead_letters/{user_id}/retry").route(post().to(letters::retry_of_user)))
        .service(
            resource("/users/dead_letters/{user_id}/{dead_letter_id}")
                .route(get().to(letters::get))
                .route(delete().to(letters::delete)),
        )
        .service(resource("/users/dead_letters/{user_id}/{dead_letter_id}/retry").route(post().to(letters::retry)))
        .service(
            resource("/project/dead_letters")
                .route(get().to(letters::list_of_project))
                .route(delete().to(letters::drop_of_project)),
        )
        .service(resource("/project/dead_letters/retry").route(post().to(letters::retry_of_project)));
}

fn project_routes(config: &mut web::ServiceConfig) {
    config
        .service(
            resource("/project/profile_config").route(get().to(project::config)).route(post().to(project::set_config)),
        )
        .service(resource("/project/users").route(get().to(project::users)))
        .service(resource("/project/usage").route(get().to(project::usage)))
        .service(resource("/project/billing").route(get().to(project::billing)));
}

fn admin_routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/admin/status_check").route(get().to(admin::status)))
        .service(resource("/admin/projects").route(get().to(admin::list)).route(post().to(admin::create)))
        .service(
            resource("/admin/projects/{project_id}")
                .route(get().to(admin::get))
                .route(patch().to(admin::change))
                .route(delete().to(admin::delete)),
        )
        .service(resource("/admin/projects/{project_id}/token").route(post().to(admin::rotate)));
}

async fn not_found() -> HttpResponse {
    reply::detail(StatusCode::NOT_FOUND, "Not Found")
}

fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allow_any_method()
        .allow_any_header()
        .expose_headers([trace::REQUEST_ID, trace::PROCESS_TIME])
        .max_age(CORS_MAX_AGE_SECONDS);
    if origins.iter().any(|origin| origin == "*") {
        return cors.allow_any_origin();
    }
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}

#[cfg(test)]
mod tests;
