//! Who may call: the token, or without one the machine itself alone.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, ResponseError as _, web};
use actors::{Admission, Engine};
use memory::ids::ProjectId;
use memory::ports::ProjectStatus;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::{Host, Url};

use super::call::Caller;
use super::reply::Failure;
use crate::token::ProjectToken;

/// A token that no client could send.
#[derive(Debug, thiserror::Error)]
#[error("the access token must be printable ASCII without blanks, and not empty")]
pub struct BadToken;

/// The token of this server. Only its hash is kept, and it is not shown.
///
/// Hashes are compared, in constant time: they all have one length, so an answer's time tells nothing of the
/// token, not even how long it is.
#[derive(Clone)]
pub struct AccessToken([u8; 32]);

impl AccessToken {
    /// Takes a token from the configuration.
    ///
    /// # Errors
    /// When no client could send it: it is the first word after `Bearer`.
    pub fn new(token: &str) -> Result<Self, BadToken> {
        let sendable = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
        if sendable { Ok(Self::hash(token)) } else { Err(BadToken) }
    }

    fn hash(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    fn is(&self, token: &str) -> bool {
        self.0.ct_eq(&Self::hash(token).0).into()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// What the access check goes by.
#[derive(Clone, Debug)]
pub(super) struct Access {
    /// The project that the root token, or a server without tokens, works on.
    pub(super) project: ProjectId,
    /// The root token.
    pub(super) token: Option<AccessToken>,
    /// The origins of web pages that may call.
    pub(super) origins: Vec<String>,
}

/// What the headers of a request say of its caller.
#[derive(Debug)]
enum Shown {
    /// It may do everything.
    Root,
    /// It has the token of a project, if the project knows it.
    Project(ProjectToken),
}

impl Access {
    /// The caller of a request, as far as its headers tell.
    ///
    /// Where no token is asked for, one that has the form of a project's is heeded all the same: the request is for
    /// that project, not for the default one.
    ///
    /// # Errors
    /// [`Failure::Unauthorized`] without a token. When the server has none: [`Failure::Forbidden`] unless the
    /// request was addressed to this machine by a loopback name, and comes from no foreign web page. A browser
    /// sends a page's requests wherever the page likes, but it does not let the page choose these headers.
    fn check(&self, headers: &HeaderMap) -> Result<Shown, Failure> {
        let token = bearer(headers);
        match (&self.token, token) {
            (Some(root), Some(token)) if root.is(token) => return Ok(Shown::Root),
            (Some(_), _) => {}
            (None, _) => self.check_local(headers)?,
        }
        match token.and_then(ProjectToken::parse) {
            Some(token) => Ok(Shown::Project(token)),
            None if self.token.is_none() => Ok(Shown::Root),
            None => Err(Failure::Unauthorized { route: None }),
        }
    }

    fn check_local(&self, headers: &HeaderMap) -> Result<(), Failure> {
        if !text(headers, header::HOST).is_some_and(is_loopback_host) {
            return Err(Failure::Forbidden(
                "without an access token this server answers only to a loopback name, such as localhost, in Host",
            ));
        }
        let mut origins = headers.get_all(header::ORIGIN);
        let known = |origin: &str| is_loopback_origin(origin) || self.origins.iter().any(|o| o == origin);
        if origins.all(|origin| origin.to_str().is_ok_and(known)) {
            Ok(())
        } else {
            Err(Failure::Forbidden("without an access token this server answers no foreign web page (Origin)"))
        }
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The first word after `Bearer`, in any case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut words = text(headers, header::AUTHORIZATION)?.split_ascii_whitespace();
    words.next().filter(|scheme| scheme.eq_ignore_ascii_case("bearer"))?;
    words.next()
}

/// True for the value of a Host header that names this machine, with any port.
fn is_loopback_host(host: &str) -> bool {
    let name = host.split_once(':').map_or(host, |(name, port)| if port.parse::<u16>().is_ok() { name } else { host });
    if matches!(name, "localhost" | "127.0.0.1") {
        return true;
    }
    let plain = !host.contains(['/', '@', '?', '#', '\\']);
    plain && Url::parse(&format!("http://{host}")).is_ok_and(|url| is_loopback(&url))
}

/// True for an Origin that names this machine, with any port.
fn is_loopback_origin(origin: &str) -> bool {
    Url::parse(origin).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && is_loopback(&url))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => canonical(ip).is_loopback(),
        None => false,
    }
}

/// An IPv4 address that is written as an IPv6 one is that IPv4 address.
fn canonical(ip: Ipv6Addr) -> IpAddr {
    IpAddr::V6(ip).to_canonical()
}

/// The caller of a request.
async fn caller(request: &ServiceRequest) -> Result<Caller, Failure> {
    let refused = || Failure::Unauthorized { route: None };
    let access = request.app_data::<web::Data<Access>>().ok_or_else(refused)?;
    let token = match access.check(request.headers())? {
        Shown::Root => return Ok(Caller { project: access.project.clone(), is_root: true }),
        Shown::Project(token) => token,
    };
    // There always is an engine in a server.
    let engine = request.app_data::<web::Data<Engine>>().ok_or_else(refused)?;
    // The default project is root's alone.
    if token.project == access.project {
        return Err(refused());
    }
    match engine.admit(&token.project, |known| token.is(known)).await? {
        Admission::Open => Ok(Caller { project: token.project, is_root: false }),
        Admission::Closed(status) => {
            Err(Failure::Refused { errno: 403, message: format!("this project is {}", status_words(status)) })
        }
        Admission::Refused => Err(refused()),
    }
}

/// Counts the request of a caller.
fn counted(request: &ServiceRequest, caller: Caller) -> Result<Caller, Failure> {
    if let Some(engine) = request.app_data::<web::Data<Engine>>() {
        engine.count_request(&caller.project)?;
    }
    Ok(caller)
}

fn status_words(status: ProjectStatus) -> &'static str {
    match status {
        ProjectStatus::Active => "active",
        ProjectStatus::Suspended => "suspended",
        ProjectStatus::Deleting => "being deleted",
    }
}

/// The middleware: lets a request pass with its [`Caller`], or answers it.
pub(super) async fn guard<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match caller(&request).await.and_then(|caller| counted(&request, caller)) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.call(request).await.map(ServiceResponse::map_into_boxed_body)
        }
        Err(mut failure) => {
            if let Failure::Unauthorized { route } = &mut failure {
                *route = request.match_pattern();
            }
            Ok(request.into_response(failure.error_response()))
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn access(token: Option<&str>) -> Access {
        let token = token.map(|t| AccessToken::new(t).unwrap());
        Access { project: "__root__".into(), token, origins: vec!["https://app.example".to_owned()] }
    }

    fn passes(access: &Access, headers: &[(&'static str, &str)]) -> bool {
        let mut request = TestRequest::default();
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        matches!(access.check(request.to_http_request().headers()), Ok(Shown::Root))
    }

    #[test]
    fn the_token_opens() {
        let access = access(Some("secret"));
        for good in ["Bearer secret", "bearer secret", "BEARER  secret", "Bearer secret extra"] {
            assert!(passes(&access, &[("Authorization", good)]), "{good}");
        }
        for bad in
            ["Bearer", "Bearer ", "Basic c2VjcmV0", "Bearer secre", "Bearer secrets", "Bearer sk-x", "secret", ""]
        {
            assert!(!passes(&access, &[("Authorization", bad)]), "{bad}");
        }
        assert!(!passes(&access, &[("Host", "localhost")]));
        assert!(passes(&access, &[("Authorization", "Bearer secret"), ("Host", "memo.example")]));
    }

    #[test]
    fn tokens_can_be_sent_and_are_not_shown() {
        for bad in ["", "two words", "new\nline", "schlüssel"] {
            assert!(AccessToken::new(bad).is_err(), "{bad}");
        }
        assert_eq!(format!("{:?}", AccessToken::new("secret").unwrap()), "AccessToken(…)");
    }

    #[test]
    fn without_a_token_only_loopback_names_are_hosts() {
        let access = access(None);
        for good in ["localhost", "localhost:8019", "LOCALHOST.", "memo.localhost:1", "127.0.0.1:8019", "127.8.9.1"] {
            assert!(passes(&access, &[("Host", good)]), "{good}");
        }
        for good in ["[::1]", "[::1]:8019", "[::ffff:127.0.0.1]:1"] {
            assert!(passes(&access, &[("Host", good)]), "{good}");
        }
        for bad in ["evil.example", "localhost.evil.example", "10.0.0.1", "localhost@evil.example", "evil@localhost"] {
            assert!(!passes(&access, &[("Host", bad)]), "{bad}");
        }
        for bad in ["", "0.0.0.0", "[::]", "[::2]", "localhost/x", "a b"] {
            assert!(!passes(&access, &[("Host", bad)]), "{bad}");
        }
        assert!(!passes(&access, &[]));
    }

    #[test]
    fn without_a_token_foreign_pages_are_refused() {
        let access = access(None);
        for good in ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:1", "https://app.example"] {
            assert!(passes(&access, &[("Host", "localhost"), ("Origin", good)]), "{good}");
        }
        for bad in [
            "null",
            "",
            "https://evil.example",
            "https://app.example.evil",
            "file://localhost",
            "https://app.example:1",
        ] {
            assert!(!passes(&access, &[("Host", "localhost"), ("Origin", bad)]), "{bad}");
        }
        let both = [("Host", "localhost"), ("Origin", "http://localhost"), ("Origin", "https://evil.example")];
        assert!(!passes(&access, &both));
    }
}
