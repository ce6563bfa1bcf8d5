//! What can be wrong with an answer.

use std::io;

/// What an example of a failure shows of an answer, in characters.
const MAX_EXAMPLE_CHARS: usize = 300;

/// Why a request failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no connection.
    #[error("cannot connect: {0}")]
    Connect(io::ErrorKind),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(io::ErrorKind),
    /// The server closed the connection before the answer was whole.
    #[error("the connection was closed before the answer")]
    Closed,
    /// There was no answer in time.
    #[error("no answer within --timeout")]
    Timeout,
    /// The answer is not HTTP/1.1.
    #[error("the answer is not HTTP/1.1")]
    NotHttp,
    /// The answer is larger than this client takes.
    #[error("the answer is too large")]
    TooLarge,
    /// A status that is no success, and the beginning of the body.
    #[error("HTTP {0}: {1}")]
    Status(u16, String),
    /// An error of the API, and the beginning of the body.
    #[error("errno {0}: {1}")]
    Errno(u32, String),
    /// A body without errno: this server does not speak the API.
    #[error("an answer without errno: {0}")]
    NoErrno(String),
    /// Acknowledged work that was never seen done.
    #[error("was not seen done in time")]
    NotDone,
    /// Messages that ended as a dead letter.
    #[error("became a dead letter")]
    Dead,
}

impl Fault {
    /// What failures are counted by.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Status(status, _) => format!("HTTP {status}"),
            Self::Errno(errno, _) => format!("errno {errno}"),
            Self::NoErrno(_) => "an answer without errno".to_owned(),
            other => other.to_string(),
        }
    }

    /// True when the server answered, whatever it said.
    pub(crate) fn was_answered(&self) -> bool {
        matches!(self, Self::Status(..) | Self::Errno(..) | Self::NoErrno(_) | Self::NotDone | Self::Dead)
    }

    /// What to do about it, where that is known.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Status(401, _) => "; give the server's token with --token or ACCESS_TOKEN",
            Self::Status(403, _) => "; without a token the server wants a loopback name in --url",
            Self::Status(404 | 405, _) | Self::NoErrno(_) | Self::NotHttp => {
                "; is --url the address of a server of this API, without /api/v1?"
            }
            Self::Status(429, _) => "; the server's limits are lower than this load: raise them, or ask for less",
            _ => "",
        }
    }
}

/// The beginning of a body, for an example.
pub(super) fn example(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(MAX_EXAMPLE_CHARS).collect()
}
