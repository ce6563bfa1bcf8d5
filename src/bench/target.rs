//! The server that is measured, as its clients see it.

use std::net::{SocketAddr, ToSocketAddrs as _};

use anyhow::{Context as _, ensure};
use url::Url;

/// Where the server is, and what every request carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    /// The address as it was given.
    pub(crate) url: String,
    /// Where to connect to.
    pub(crate) address: SocketAddr,
    /// What stands before `/api/v1`.
    prefix: String,
    /// Headers of every request.
    headers: String,
}

impl Target {
    /// Reads an address such as `http://127.0.0.1:8019`.
    ///
    /// # Errors
    /// When it cannot be used, or names no host that is known.
    pub(crate) fn new(url: &str, token: Option<&str>) -> anyhow::Result<Self> {
        let parsed = Url::parse(url).with_context(|| format!("--url {url} is no address such as http://host:8019"))?;
        ensure!(
            parsed.scheme() == "http",
            "--url must begin with http://: TLS would be measured rather than the server; give its plain address"
        );
        let host = parsed.host_str().with_context(|| format!("--url {url} names no host"))?;
        let port = parsed.port_or_known_default().unwrap_or(80);
        let addresses = (host.trim_matches(['[', ']']), port).to_socket_addrs();
        let address = addresses.ok().and_then(|mut addresses| addresses.next());
        let address = address.with_context(|| format!("--url {url}: no host {host} is known"))?;
        let mut headers = format!("Host: {host}:{port}\r\n");
        if let Some(token) = token {
            let is_sendable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
            ensure!(is_sendable, "--token must be printable ASCII without blanks, and not empty");
            headers.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        let prefix = parsed.path().trim_end_matches('/').trim_end_matches("/api/v1").to_owned();
        Ok(Self { url: url.trim_end_matches('/').to_owned(), address, prefix, headers })
    }

    /// A request, up to and with its body. `path` begins after `/api/v1`.
    pub(crate) fn request(&self, method: &str, path: &str, body: Option<&str>) -> String {
        let Self { prefix, headers, .. } = self;
        let start = format!("{method} {prefix}/api/v1{path} HTTP/1.1\r\n{headers}");
        match body {
            Some(body) => {
                let length = body.len();
                format!("{start}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
            }
            None if method == "GET" => format!("{start}\r\n"),
            None => format!("{start}Content-Length: 0\r\n\r\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let target = Target::new("http://127.0.0.1:8019/", Some("secret")).unwrap();
        assert_eq!((target.url.as_str(), target.address.port()), ("http://127.0.0.1:8019", 8019));
        assert_eq!(
            target.request("POST", "/users", Some("{}")),
            "POST /api/v1/users HTTP/1.1\r\nHost: 127.0.0.1:8019\r\nAuthorization: Bearer secret\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        );
        let target = Target::new("http://[::1]:1/memory/api/v1", None).unwrap();
        let wanted = "GET /memory/api/v1/healthcheck HTTP/1.1\r\nHost: [::1]:1\r\n\r\n";
        assert_eq!(target.request("GET", "/healthcheck", None), wanted);
        assert!(target.request("POST", "/x", None).ends_with("Content-Length: 0\r\n\r\n"));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for (url, token, told) in [
            ("127.0.0.1:8019", None, "such as"),
            ("https://localhost", None, "http://"),
            ("http://localhost", Some("two words"), "--token"),
            ("http://localhost", Some(""), "--token"),
        ] {
            let error = format!("{:#}", Target::new(url, token).unwrap_err());
            assert!(error.contains(told), "{url}: {error}");
        }
    }
}
