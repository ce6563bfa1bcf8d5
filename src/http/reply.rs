//! What a request is answered: the envelope, and the ways in which a request fails.

use std::fmt;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Responder, ResponseError};
use actors::EngineError;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::invalid::Problems;

/// The envelope of every answer.
#[derive(Serialize)]
struct Envelope<'a, T> {
    data: Option<T>,
    errno: u16,
    errmsg: &'a str,
}

/// The answer to a request that was malformed, or that no route knows.
#[derive(Serialize)]
struct Detail<T> {
    detail: T,
}

/// What a handler returns.
pub(super) type Reply<T> = Result<Answer<T>, Failure>;

/// A request that was done, with the `data` of its envelope.
pub(super) struct Answer<T>(pub(super) T);

impl<T: Serialize> Responder for Answer<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().json(Envelope { data: Some(self.0), errno: 0, errmsg: "" })
    }
}

/// An id that was made or changed.
#[derive(Serialize, ToSchema)]
pub(super) struct IdData {
    pub(super) id: Uuid,
}

/// A list of ids.
#[derive(Serialize, ToSchema)]
pub(super) struct IdsData<T> {
    pub(super) ids: Vec<T>,
}

/// Why a request was not done.
pub(super) enum Failure {
    /// The input is malformed: HTTP 422.
    Invalid(Problems),
    /// The body is no text, or was not sent to its end: HTTP 400.
    Unreadable(&'static str),
    /// The body is larger than `max_body_bytes`: HTTP 413.
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The body is made of more values than a server wants to hold: HTTP 413.
    TooManyValues {
        /// The limit.
        limit: usize,
    },
    /// The body came too slowly: HTTP 408.
    TooSlow {
        /// The limit.
        limit: Duration,
    },
    /// No valid token: HTTP 401.
    Unauthorized {
        /// The route that was asked for, if there is one. Nothing of what was sent: neither ids nor the token.
        route: Option<String>,
    },
    /// A web page that may not ask: HTTP 403.
    Forbidden(&'static str),
    /// The request is understood, but cannot be done: HTTP 200 with an errno.
    Refused {
        /// The errno.
        errno: u16,
        /// Why.
        message: String,
    },
    /// The engine could not.
    Engine(EngineError),
}

impl Failure {
    /// errno 400: content that does not fit.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::Refused { errno: 400, message: message.into() }
    }

    /// errno 404: `what` with this id is not there.
    pub(super) fn not_found(what: &str, id: Uuid, user: Uuid) -> Self {
        Self::Refused { errno: 404, message: format!("user {user} has no {what} {id}") }
    }

    /// errno 403: the token is valid, but not for this.
    pub(super) fn forbidden(message: &str) -> Self {
        Self::Refused { errno: 403, message: message.to_owned() }
    }

    /// errno 501: known to the wire format, but not to this server.
    pub(super) fn not_implemented(message: &str) -> Self {
        Self::Refused { errno: 501, message: message.to_owned() }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Invalid(problems)
    }
}

// Failures can end up in a log, so they show their kind and nothing of what the client sent.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, errno) = self.codes();
        write!(f, "answered with status {} and errno {errno}", status.as_u16())
    }
}

impl Failure {
    /// The HTTP status and the errno.
    fn codes(&self) -> (StatusCode, u16) {
        let http = |status: StatusCode| (status, status.as_u16());
        match self {
            Self::Invalid(_) => http(StatusCode::UNPROCESSABLE_ENTITY),
            Self::Unreadable(_) => http(StatusCode::BAD_REQUEST),
            Self::TooLarge { .. } | Self::TooManyValues { .. } => http(StatusCode::PAYLOAD_TOO_LARGE),
            Self::TooSlow { .. } => http(StatusCode::REQUEST_TIMEOUT),
            Self::Unauthorized { .. } => http(StatusCode::UNAUTHORIZED),
            Self::Forbidden(_) => http(StatusCode::FORBIDDEN),
            Self::Refused { errno, .. } => (StatusCode::OK, *errno),
            Self::Engine(error) => match error {
                EngineError::UnknownUser(_) => (StatusCode::OK, 404),
                EngineError::UnknownProject(_) => (StatusCode::OK, 404),
                EngineError::UserExists | EngineError::ProjectExists => (StatusCode::OK, 409),
                EngineError::DefaultProject => (StatusCode::OK, 400),
                EngineError::Busy { .. } => http(StatusCode::TOO_MANY_REQUESTS),
                EngineError::Unavailable { .. } | EngineError::BatchOpen { .. } => {
                    http(StatusCode::SERVICE_UNAVAILABLE)
                }
                EngineError::FlushFailed { .. } | EngineError::QuotaUsedUp(_) => (StatusCode::OK, 503),
                EngineError::FlushTimeout | EngineError::ModelTimeout { .. } => (StatusCode::OK, 504),
                EngineError::NoModel => (StatusCode::OK, 501),
                EngineError::TooLong { .. } => (StatusCode::OK, 400),
                EngineError::ModelAway { .. } => http(StatusCode::SERVICE_UNAVAILABLE),
                EngineError::ModelFailed { .. } => (StatusCode::OK, 502),
                EngineError::Internal => (StatusCode::OK, 500),
            },
        }
    }

    /// The errmsg.
    fn message(&self) -> String {
        match self {
            Self::Invalid(problems) => problems.sentence(),
            Self::Unreadable(why) | Self::Forbidden(why) => (*why).to_owned(),
            Self::TooLarge { limit } => format!("the body is larger than max_body_bytes ({limit})"),
            Self::TooManyValues { limit } => {
                format!("the body has more than {limit} keys and values, a fixed limit; send it in parts")
            }
            Self::TooSlow { limit } => format!("the body did not come within {} s", limit.as_secs()),
            Self::Unauthorized { route } => {
                let what = route.as_deref().unwrap_or("this path");
                format!("unauthorized access to {what}: send a valid token in the header Authorization: Bearer <token>")
            }
            Self::Refused { message, .. } => message.clone(),
            Self::Engine(error) => error.to_string(),
        }
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        self.codes().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, errno) = self.codes();
        let mut response = HttpResponse::build(status);
        match self {
            Self::Invalid(problems) => return response.json(Detail { detail: problems }),
            Self::Unreadable(why) => return response.json(Detail { detail: why }),
            Self::TooSlow { .. } | Self::TooLarge { .. } => {
                // What is left of the body is not worth reading.
                response.force_close();
            }
            Self::Unauthorized { .. } => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            Self::Engine(
                EngineError::Busy { retry_after, .. }
                | EngineError::BatchOpen { retry_after }
                | EngineError::Unavailable { retry_after, .. }
                | EngineError::ModelAway { retry_after, .. },
            ) => {
                response.insert_header((header::RETRY_AFTER, seconds(*retry_after)));
            }
            _ => {}
        }
        envelope(&mut response, errno, &self.message())
    }
}

/// Whole seconds, rounded up: a client that comes back after them finds the time over.
fn seconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
}

/// An envelope without data.
pub(super) fn envelope(response: &mut HttpResponseBuilder, errno: u16, errmsg: &str) -> HttpResponse {
    response.json(Envelope::<()> { data: None, errno, errmsg })
}

/// A request that was done, with `data` that is JSON already.
pub(super) fn envelope_of(data: &str) -> HttpResponse {
    let body = ["{\"data\":", data, ",\"errno\":0,\"errmsg\":\"\"}"].concat();
    HttpResponse::Ok().content_type(ContentType::json()).body(body)
}

/// An answer for what no route knows: `{"detail": …}`.
pub(super) fn detail(status: StatusCode, detail: &str) -> HttpResponse {
    HttpResponse::build(status).json(Detail { detail })
}

#[cfg(test)]
mod tests {
    use actix_web::body::{self, MessageBody};
    use memory::ids::UserId;
    use memory::quota::{Balance, Month};
    use serde_json::{Value, json};

    use super::*;

    fn shown(failure: &Failure) -> (u16, Option<String>, Value) {
        let response = failure.error_response();
        let retry = response.headers().get(header::RETRY_AFTER).map(|v| v.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let bytes = body::MessageBody::try_into_bytes(response.into_body().boxed()).ok().unwrap();
        (status, retry, serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn engine_errors_have_their_codes() {
        let retry_after = Duration::from_millis(1500);
        let busy = EngineError::Busy { what: "buffered blobs", parameter: "max_buffered", limit: 3, retry_after };
        let month = Month::of(jiff::Timestamp::UNIX_EPOCH);
        let balance = Balance { quota: Some(1), used: 2, month };
        let away = EngineError::Unavailable { what: "the store", retry_after: Duration::ZERO };
        for (error, status, errno, retry) in [
            (EngineError::UnknownUser(UserId(Uuid::nil())), 200, 404, None),
            (EngineError::UserExists, 200, 409, None),
            (EngineError::UnknownProject("p".into()), 200, 404, None),
            (EngineError::ProjectExists, 200, 409, None),
            (EngineError::DefaultProject, 200, 400, None),
            (busy, 429, 429, Some("2")),
            (away, 503, 503, Some("1")),
            (EngineError::BatchOpen { retry_after }, 503, 503, Some("2")),
            (EngineError::FlushFailed { reason: "the model said no".to_owned() }, 200, 503, None),
            (EngineError::QuotaUsedUp(balance), 200, 503, None),
            (EngineError::FlushTimeout, 200, 504, None),
            (EngineError::NoModel, 200, 501, None),
            (EngineError::TooLong { what: "texts", parameter: "max", limit: 9 }, 200, 400, None),
            (EngineError::ModelAway { reason: "HTTP 500".to_owned(), retry_after }, 503, 503, Some("2")),
            (EngineError::ModelFailed { reason: "the model said no".to_owned() }, 200, 502, None),
            (EngineError::ModelTimeout { limit: retry_after }, 200, 504, None),
            (EngineError::Internal, 200, 500, None),
        ] {
            let wanted = json!({"data": null, "errno": errno, "errmsg": error.to_string()});
            assert_eq!(shown(&Failure::Engine(error)), (status, retry.map(str::to_owned), wanted));
        }
    }

    #[test]
    fn failures_show_nothing_of_the_input() {
        let failure = Failure::bad_request("secret words");
        assert!(!format!("{failure} {failure:?}").contains("secret"));
        assert_eq!(shown(&failure), (200, None, json!({"data": null, "errno": 400, "errmsg": "secret words"})));
    }

    #[test]
    fn malformed_requests_get_details() {
        assert_eq!(shown(&Failure::Invalid(Problems::default())), (422, None, json!({"detail": []})));
        assert_eq!(shown(&Failure::Unreadable("no text")), (400, None, json!({"detail": "no text"})));
        assert_eq!(shown(&Failure::TooLarge { limit: 9 }).2["errmsg"], "the body is larger than max_body_bytes (9)");
    }
}
