//! Replies in OpenAI's shape.

use std::io;

use actix_web::body::BodyStream;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, ResponseError};
use futures_util::stream;
use serde_json::json;

/// Why a call fails.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The caller's fault.
    #[error("{message}")]
    Invalid {
        /// What is wrong and what to do.
        message: String,
        /// Where, when it is one parameter.
        param: Option<&'static str>,
    },
    /// The body is over the limit.
    #[error("the request body is over the limit of {limit} bytes; send less")]
    TooLarge {
        /// Bytes at most.
        limit: usize,
    },
    /// There is no such route.
    #[error(
        "there is no such route; there are POST /v1/chat/completions, POST /v1/embeddings, GET /v1/models, GET /health and GET /stats"
    )]
    NotFound,
    /// A fault that was asked for.
    #[error("the mock model was told to fail")]
    Broken,
    /// A fault that was asked for.
    #[error("the mock model was told to be busy; try again later")]
    Busy,
}

impl Failure {
    pub(super) fn invalid(message: impl Into<String>, param: Option<&'static str>) -> Self {
        Self::Invalid { message: message.into(), param }
    }

    /// OpenAI's name for its kind.
    fn kind(&self) -> &'static str {
        match self {
            Self::Invalid { .. } | Self::TooLarge { .. } | Self::NotFound => "invalid_request_error",
            Self::Broken => "server_error",
            Self::Busy => "rate_limit_exceeded",
        }
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Invalid { .. } => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if *self == Self::Busy {
            response.insert_header((RETRY_AFTER, "1"));
        }
        let param = if let Self::Invalid { param, .. } = self { *param } else { None };
        let error = json!({"message": self.to_string(), "type": self.kind(), "param": param, "code": null});
        response.json(json!({"error": error}))
    }
}

/// No reply: the connection is closed before a byte of one was sent.
///
/// The server writes the head together with the first piece of the body, and closes the connection when that piece
/// cannot be had.
pub(super) fn closed() -> HttpResponse {
    let broken = Err::<Bytes, _>(io::Error::other("the mock model was told to drop this call"));
    HttpResponse::Ok().body(BodyStream::new(stream::iter([broken])))
}
