use std::error::Error;
use std::io;
use std::time::Duration;

use async_openai::error::OpenAIError;
use memory::ports::ModelError;

use super::provider::ProviderError;
use super::service::Service;

/// Why a call brought no answer, in words of ours that clients and logs may show.
///
/// Of what a provider says in prose nothing is kept: it may repeat the prompt. Its short identifiers are, as
/// `invalid_api_key`: they tell an operator what to look up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    pub(super) cause: Cause,
    /// What the provider said, when it said something.
    pub(super) said: ProviderError,
    /// When the provider asked to be called again.
    pub(super) retry_after: Option<Duration>,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// An answer of this status, not a success; or a success that reported a failure of this status.
    Status(u16),
    /// A success that reported a failure without a status.
    Reported,
    /// The provider or its model would not talk about that.
    Filtered,
    /// No connection, and what the system says about it.
    Unconnected(Option<io::ErrorKind>),
    /// The provider's certificate is not accepted.
    Untrusted,
    /// The connection ended before the answer did.
    Dropped,
    /// No answer within so many seconds.
    Timeout(u64),
    /// The answer is larger than so many bytes.
    TooLarge(usize),
    /// The answer is not what was asked for, and what it lacks.
    Unreadable(&'static str),
    /// The request could not be made.
    Unsent,
}

/// What a failure means for the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The provider lives and refuses this request. It would refuse it again.
    Refused,
    /// The provider is away, and only time or the operator can help.
    Away,
    /// The provider is away, and a moment may be enough.
    AwayForAMoment,
}

use Verdict::{Away, AwayForAMoment, Refused};

const KEY: &str = "the provider refused {api_key}";
const CREDIT: &str = "the account at the provider has no credit left";
const MODEL: &str =
    "the provider does not know the address or the model: check {base_url} (most end in /v1) and {model}";

impl Failure {
    pub(super) fn new(cause: Cause) -> Self {
        Self { cause, said: ProviderError::default(), retry_after: None }
    }

    /// What to make of it, and what to tell the operator, with gaps for the words of a [`Service`].
    ///
    /// Only what says something about this one request is `Refused`: that counts as an attempt, and messages that
    /// fail too often are set aside. What an operator can cure (a wrong key, no credit, a wrong name of a model) and
    /// what is unknown is `Away`, so that no message is lost for it. `AwayForAMoment` is tried again at once.
    pub(super) fn verdict(&self) -> (Verdict, &'static str) {
        match self.cause {
            Cause::Filtered => (Refused, "the provider's content filter or the model declined"),
            Cause::Status(status) => self.verdict_of_status(status),
            Cause::Reported => self.verdict_of_identifiers().unwrap_or((AwayForAMoment, "the provider failed")),
            Cause::Unconnected(_) => (AwayForAMoment, "check {base_url} and the network"),
            Cause::Untrusted => (Away, "install the certificate of its authority on this machine, or check {base_url}"),
            Cause::Dropped => (AwayForAMoment, "the provider, a proxy or the network may be overloaded"),
            Cause::Timeout(_) => (Away, "the provider is slow, or llm_timeout_seconds too short"),
            Cause::TooLarge(_) => (Away, "check that {base_url} is that of {kind}"),
            Cause::Unreadable(_) => (AwayForAMoment, "check that {base_url} is that of an OpenAI-compatible API"),
            Cause::Unsent => (Away, "check {base_url}, llm_openai_default_query and llm_openai_default_header"),
        }
    }

    fn verdict_of_status(&self, status: u16) -> (Verdict, &'static str) {
        if let Some(verdict) = self.verdict_of_identifiers() {
            return verdict;
        }
        match status {
            400 | 422 if self.said.complaints.dimensions => {
                (Refused, "the provider does not accept the request{dimensions}")
            }
            300..=399 => (Away, "the provider redirects, which is not followed: set {base_url} to where it points"),
            400 | 422 => (Refused, "the provider does not accept the request{request}"),
            401 => (Away, KEY),
            402 => (Away, CREDIT),
            403 => (Away, "{api_key} has no access to the model, or not from here"),
            404 => (Away, MODEL),
            408 | 409 | 425 => (AwayForAMoment, "the provider asks to try again"),
            413 => (Refused, "the request is too large for the provider{request}"),
            429 => (AwayForAMoment, "the provider's rate limit{rates}"),
            501 | 505 => (Away, "the provider has no {route} at {base_url}"),
            500..=599 => (AwayForAMoment, "the provider failed or is overloaded"),
            _ => (Away, "the provider does not serve such a request: check {base_url}"),
        }
    }

    /// What the provider's identifiers say, whatever the status: providers differ in the statuses they choose, as 400
    /// for a wrong key (Gemini) or an unknown model (DeepSeek), and 403 for filtered content (OpenRouter).
    fn verdict_of_identifiers(&self) -> Option<(Verdict, &'static str)> {
        if self.said.filtered {
            return Some((Refused, "the provider's content filter declined"));
        }
        self.said.identifiers.iter().find_map(|identifier| match identifier.as_str() {
            "content_filter" | "content_policy_violation" => Some((Refused, "the provider's content filter declined")),
            "invalid_api_key" | "API_KEY_INVALID" => Some((Away, KEY)),
            "insufficient_quota" => Some((Away, CREDIT)),
            "model_not_found" | "DeploymentNotFound" => Some((Away, MODEL)),
            _ => None,
        })
    }

    /// The provider refused without a word about why, so that it may have been the format of the answer.
    pub(super) fn may_be_about_the_format(&self) -> bool {
        self.cause == Cause::Status(400) && self.verdict_of_identifiers().is_none()
    }

    /// The provider lives and refuses this request.
    pub(super) fn is_refusal(&self) -> bool {
        self.verdict().0 == Refused
    }

    /// The provider refused what might be too much for it, so that less may do.
    pub(super) fn may_be_about_the_size(&self) -> bool {
        matches!(self.cause, Cause::Status(400 | 413 | 422)) && self.verdict_of_identifiers().is_none()
    }

    /// What happened, the provider's identifiers, and what to do.
    pub(super) fn reason(&self, service: Service) -> String {
        format!("{self}: {}", service.words(self.verdict().1))
    }

    /// The failure as the port knows it.
    pub(super) fn into_model_error(self, service: Service) -> ModelError {
        let reason = self.reason(service);
        match self.verdict().0 {
            Refused => ModelError::Refused(reason),
            Away | AwayForAMoment => ModelError::Unavailable { reason, retry_after: self.retry_after },
        }
    }
}

impl std::fmt::Display for Failure {
    /// What happened, and the provider's identifiers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let happened = match &self.cause {
            Cause::Status(status) => status.to_string(),
            Cause::Reported => "an error in place of an answer".to_owned(),
            Cause::Filtered => "no answer".to_owned(),
            Cause::Unconnected(None) => "no connection".to_owned(),
            Cause::Unconnected(Some(kind)) => format!("no connection, {kind}"),
            Cause::Untrusted => "no connection, the provider's certificate is not accepted".to_owned(),
            Cause::Dropped => "the connection ended before the answer".to_owned(),
            Cause::Timeout(seconds) => format!("no answer within {seconds} s"),
            Cause::TooLarge(limit) => format!("an answer of more than {limit} bytes"),
            Cause::Unreadable(what) => format!("an answer that cannot be read, {what}"),
            Cause::Unsent => "the request could not be sent".to_owned(),
        };
        let identifiers = self.said.identifiers.join(", ");
        let said = if identifiers.is_empty() { String::new() } else { format!(" ({identifiers})") };
        write!(f, "{happened}{said}")
    }
}

impl Error for Failure {}

impl From<Failure> for OpenAIError {
    fn from(failure: Failure) -> Self {
        Self::Boxed(Box::new(failure))
    }
}

impl From<OpenAIError> for Failure {
    /// The failure that travelled through the client. Other errors are not shown: theirs hold addresses and content.
    fn from(error: OpenAIError) -> Self {
        match error {
            OpenAIError::Boxed(boxed) => {
                boxed.downcast::<Self>().map_or_else(|_| Self::new(Cause::Unsent), |failure| *failure)
            }
            OpenAIError::Reqwest(error) => error.into(),
            OpenAIError::JSONDeserialize(..) => Self::new(Cause::Unreadable("not JSON")),
            _ => Self::new(Cause::Unsent),
        }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self::new(if error.is_connect() {
            if error.is_timeout() { Cause::Unconnected(Some(io::ErrorKind::TimedOut)) } else { unconnected(&error) }
        } else if error.is_builder() {
            Cause::Unsent
        } else {
            Cause::Dropped
        })
    }
}

/// Why there is no connection, by what the system or TLS says. Their texts may name hosts, so they are not taken.
fn unconnected(error: &(dyn Error + 'static)) -> Cause {
    let (mut kind, mut next) = (None, Some(error));
    while let Some(error) = next {
        next = error.source();
        let Some(io) = error.downcast_ref::<io::Error>() else { continue };
        // An I/O error does not name what it wraps as its source.
        let tls = io.get_ref().and_then(|wrapped| wrapped.downcast_ref::<rustls::Error>());
        if matches!(tls, Some(rustls::Error::InvalidCertificate(_))) {
            return Cause::Untrusted;
        }
        kind = Some(io.kind()).filter(|kind| *kind != io::ErrorKind::Other).or(kind);
    }
    Cause::Unconnected(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, identifiers: &[&str]) -> Verdict {
        let identifiers = identifiers.iter().map(|&identifier| identifier.to_owned()).collect();
        let said = ProviderError { identifiers, ..ProviderError::default() };
        Failure { said, ..Failure::new(Cause::Status(status)) }.verdict().0
    }

    #[test]
    fn every_status_has_its_verdict() {
        let refused = [400, 413, 422];
        let moment = [408, 409, 425, 429, 500, 502, 503, 504, 520, 529, 599];
        for status in 0..=999 {
            let expected = match status {
                _ if refused.contains(&status) => Refused,
                501 | 505 => Away,
                _ if moment.contains(&status) || (500..600).contains(&status) => AwayForAMoment,
                _ => Away,
            };
            assert_eq!(verdict(status, &[]), expected, "{status}");
        }
    }

    #[test]
    fn identifiers_say_more_than_the_status() {
        assert_eq!(verdict(400, &["INVALID_ARGUMENT", "API_KEY_INVALID"]), Away);
        assert_eq!(verdict(400, &["model_not_found"]), Away);
        assert_eq!(verdict(429, &["insufficient_quota"]), Away);
        assert_eq!(verdict(403, &["content_filter"]), Refused);
        assert_eq!(verdict(400, &["context_length_exceeded"]), Refused);
    }

    #[test]
    fn a_reason_names_status_identifiers_and_what_to_do() {
        let said = ProviderError {
            identifiers: vec!["invalid_request_error".to_owned(), "invalid_api_key".to_owned()],
            ..ProviderError::default()
        };
        let failure = Failure { said, ..Failure::new(Cause::Status(401)) };
        assert_eq!(
            failure.reason(Service::Chat),
            "401 (invalid_request_error, invalid_api_key): the provider refused llm_api_key"
        );
        assert!(failure.reason(Service::Embeddings).ends_with(": the provider refused embedding_api_key"));
    }

    #[test]
    fn why_there_is_no_connection() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);

        let of = |error: io::Error| unconnected(&Outer(error));
        let refused = io::ErrorKind::ConnectionRefused;
        assert_eq!(of(refused.into()), Cause::Unconnected(Some(refused)));
        assert_eq!(of(io::Error::other(Outer(refused.into()))), Cause::Unconnected(Some(refused)));
        assert_eq!(of(io::Error::other("dns")), Cause::Unconnected(None));
        let certificate = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert_eq!(of(io::Error::new(io::ErrorKind::InvalidData, certificate)), Cause::Untrusted);
        let handshake = rustls::Error::HandshakeNotComplete;
        assert_eq!(of(io::Error::other(handshake)), Cause::Unconnected(None));
    }
}
