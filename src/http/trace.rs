//! What every request has in common: an id, a line in the log, its time, and an answer even after a panic.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};
use futures_util::FutureExt as _;
use tracing::Instrument as _;
use uuid::Uuid;

use super::reply::{detail, envelope};

/// The header that names a request across services.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that tells how long a request took, in seconds.
pub(super) const PROCESS_TIME: HeaderName = HeaderName::from_static("x-process-time");

/// A client's own request id: characters at most.
const MAX_REQUEST_ID: usize = 128;

/// The route of a request that met none.
const NO_ROUTE: &str = "-";

/// The middleware around everything else.
pub(super) async fn observe<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default());
    // Whatever a panic leaves half done belongs to this request alone, and goes with it.
    let handled = AssertUnwindSafe(async move { next.call(request).await }).catch_unwind().instrument(span.clone());
    let result = handled.await;
    let _entered = span.enter();
    match result {
        Ok(Ok(response)) => {
            let mut response = named(response.map_into_boxed_body());
            log(&method, || response.request().match_pattern(), response.status(), started.elapsed());
            mark(response.headers_mut(), id, started.elapsed());
            Ok(response)
        }
        Ok(Err(error)) => {
            let response = error.error_response();
            Err(failed(error, response, &method, id, started.elapsed()))
        }
        Err(_panic) => {
            let mut response = HttpResponse::InternalServerError();
            let response = envelope(&mut response, 500, "internal error; the server's log has the details");
            Err(failed("a handler panicked", response, &method, id, started.elapsed()))
        }
    }
}

/// The answer to a request that was lost on the way: an error that carries it, since without the request there is
/// no other way to answer.
fn failed<C: std::fmt::Debug + std::fmt::Display + 'static>(
    cause: C,
    mut response: HttpResponse,
    method: &Method,
    id: HeaderValue,
    took: Duration,
) -> Error {
    log(method, || None, response.status(), took);
    mark(response.headers_mut(), id, took);
    InternalError::from_response(cause, response).into()
}

/// Gives a body to the framework's bare 405, whose Allow header stays.
fn named(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let (request, old) = response.into_parts();
    let mut new = detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    for (name, value) in old.headers() {
        new.headers_mut().append(name.clone(), value.clone());
    }
    ServiceResponse::new(request, new)
}

fn mark(headers: &mut HeaderMap, id: HeaderValue, took: Duration) {
    headers.insert(REQUEST_ID, id);
    if let Ok(seconds) = HeaderValue::from_str(&format!("{:.6}", took.as_secs_f64())) {
        headers.insert(PROCESS_TIME, seconds);
    }
}

/// One line for each request, of level `debug` unless it failed: at full load a line each would cost more than the
/// request. Never its path or query, which can hold what a user said.
fn log(method: &Method, route: impl Fn() -> Option<String>, status: StatusCode, took: Duration) {
    let (status, ms) = (status.as_u16(), (took.as_secs_f64() * 1e6).round() / 1e3);
    // To find the route matches the path again.
    let route = || route().unwrap_or_else(|| NO_ROUTE.to_owned());
    if status >= 500 {
        let route = route();
        tracing::error!(%method, route, status, ms, "answered");
    } else if tracing::enabled!(tracing::Level::DEBUG) {
        let route = route();
        tracing::debug!(%method, route, status, ms, "answered");
    }
}

/// The client's id of this request, if it can be repeated as it is; else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let fits = |id: &&HeaderValue| {
        !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    match headers.get(REQUEST_ID).filter(fits) {
        Some(id) => id.clone(),
        // A UUID is a header value.
        None => HeaderValue::from_str(&Uuid::new_v4().to_string()).unwrap_or(HeaderValue::from_static("none")),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn request_ids_are_repeated_or_drawn() {
        let id = |value: &str| {
            let request = TestRequest::default().insert_header((REQUEST_ID, value)).to_http_request();
            request_id(request.headers()).to_str().unwrap().to_owned()
        };
        assert_eq!(id("abc-1:2"), "abc-1:2");
        for bad in ["", "two words", &"x".repeat(129)] {
            assert!(Uuid::parse_str(&id(bad)).is_ok(), "{bad}");
        }
        assert_eq!(id(&"x".repeat(128)).len(), 128);
    }
}
