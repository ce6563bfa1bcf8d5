use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, ensure};
use async_openai::Client;
use async_openai::config::Config;
use async_openai::middleware::HttpRequestFactory;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use memory::ports::Clock;
use reqwest::Response;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use url::{Host, Url};

use super::EndpointSettings;
use super::dialect::Body;
use super::embeddings::Body as EmbeddingsBody;
use super::failure::{Cause, Failure};
use super::provider::{ProviderError, retry_after};
use super::service::Service;

/// Largest answer that is read, in bytes. The longest answer of a model is a few hundred kilobytes.
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// How much of the answer to a failed request is read, in bytes: enough for any error, not for a page.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Brings one request to the provider and its answer back, once.
///
/// The client of `async-openai` would retry by itself, log answers that it cannot read, and drop `Retry-After`; it
/// makes the request, and the exchange is done here.
pub(super) struct Transport {
    client: Client<Provider>,
}

/// Where the provider is. Made by hand: the library's own configuration reads `OPENAI_*` variables.
struct Provider {
    base_url: String,
    query: BTreeMap<String, SecretString>,
    no_key: SecretString,
}

impl Config for Provider {
    /// None here: those of [`Exchange`] replace what the library sets.
    fn headers(&self) -> HeaderMap {
        HeaderMap::new()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        self.query.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect()
    }

    fn api_base(&self) -> &str {
        &self.base_url
    }

    /// The key is in the headers of [`Exchange`]; requests do not ask for it here.
    fn api_key(&self) -> &SecretString {
        &self.no_key
    }
}

impl Transport {
    /// # Errors
    /// When the address, a header or a parameter cannot be sent, or there is no TLS.
    pub(super) fn new(settings: &EndpointSettings, service: Service, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let base_url = base_url(&settings.base_url, service)?;
        let http = http_client(&base_url, settings)?;
        let exchange = Arc::new(Exchange { http: http.clone(), headers: headers(settings, service)?, clock });
        let provider = Provider {
            base_url: base_url.as_str().trim_end_matches('/').to_owned(),
            query: settings.query.clone(),
            no_key: SecretString::default(),
        };
        let service = tower::service_fn(move |request| {
            let exchange = Arc::clone(&exchange);
            async move { exchange.run(request).await }
        });
        Ok(Self { client: Client::build(http, provider).with_http_service(service) })
    }

    /// Posts a chat completion.
    ///
    /// # Errors
    /// When there is no answer, it is not a success, too large or not JSON.
    pub(super) async fn chat(&self, body: &Body<'_>) -> Result<Value, Failure> {
        self.client.chat().create_byot(body).await.map_err(Failure::from)
    }

    /// Posts texts to embed. The answer is some JSON.
    ///
    /// # Errors
    /// When there is no answer, it is not a success, too large or not JSON.
    pub(super) async fn embeddings(&self, body: &EmbeddingsBody<'_>) -> Result<Box<RawValue>, Failure> {
        self.client.embeddings().create_byot(body).await.map_err(Failure::from)
    }
}

/// One exchange of HTTP.
struct Exchange {
    http: reqwest::Client,
    headers: HeaderMap,
    clock: Arc<dyn Clock>,
}

impl Exchange {
    async fn run(&self, request: HttpRequestFactory) -> Result<Response, Failure> {
        let mut request = request.build().await?;
        request.headers_mut().extend(self.headers.clone());
        let mut response = self.http.execute(request).await.map_err(|error| {
            let failure = Failure::from(error);
            tracing::debug!(%failure, "a call of the model failed on the way");
            failure
        })?;
        if !response.status().is_success() {
            return Err(self.failure(response).await);
        }
        let (body, whole) = read(&mut response, MAX_ANSWER_BYTES).await?;
        if !whole {
            return Err(Failure::new(Cause::TooLarge(MAX_ANSWER_BYTES)));
        }
        // Only JSON goes on: the library logs what it cannot read.
        if serde_json::from_slice::<IgnoredAny>(&body).is_err() {
            return Err(Failure::new(Cause::Unreadable("it is not JSON")));
        }
        Ok(http::Response::new(body).into())
    }

    /// What an answer that is no success says.
    async fn failure(&self, mut response: Response) -> Failure {
        let asked = retry_after(response.headers(), self.clock.now());
        let cause = Cause::Status(response.status().as_u16());
        let (body, _) = read(&mut response, MAX_ERROR_BYTES).await.unwrap_or_default();
        let said = ProviderError::of_body(&body);
        Failure { cause, retry_after: asked.or(said.retry_after), said }
    }
}

/// Reads a body up to a limit, and says whether that was all of it.
async fn read(response: &mut Response, limit: usize) -> Result<(Vec<u8>, bool), Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = limit - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Ok((body, false));
        }
    }
    Ok((body, true))
}

/// The address without a slash at its end.
fn base_url(text: &str, service: Service) -> anyhow::Result<Url> {
    let words = |text| service.words(text);
    let url = Url::parse(text).with_context(|| words("{base_url} is not a URL, as https://api.openai.com/v1"))?;
    ensure!(matches!(url.scheme(), "http" | "https"), words("{base_url} must begin with http:// or https://"));
    ensure!(
        url.query().is_none() && url.fragment().is_none(),
        words("{base_url} must not have a query: put its parameters into llm_openai_default_query")
    );
    Ok(url)
}

/// The headers of each call, those of the settings instead of ours.
pub(super) fn headers(settings: &EndpointSettings, service: Service) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("powermemo/", env!("CARGO_PKG_VERSION"))));
    if let Some(key) = settings.api_key.as_ref().map(|key| key.expose_secret().trim()).filter(|key| !key.is_empty()) {
        let context = || service.words("{api_key} cannot be sent in a header");
        let value = sensitive(&format!("Bearer {key}")).with_context(context)?;
        headers.insert(header::AUTHORIZATION, value);
    }
    for (name, value) in &settings.headers {
        let context = || format!("llm_openai_default_header: {name:?} cannot be sent");
        let name = HeaderName::try_from(name).with_context(context)?;
        ensure!(
            name != header::HOST && name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING,
            "llm_openai_default_header: {name} is set by HTTP itself, leave it out"
        );
        headers.insert(name, sensitive(value.expose_secret()).with_context(context)?);
    }
    Ok(headers)
}

/// A value that is not shown.
fn sensitive(value: &str) -> Result<HeaderValue, header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(value)?;
    value.set_sensitive(true);
    Ok(value)
}

fn http_client(base_url: &Url, settings: &EndpointSettings) -> anyhow::Result<reqwest::Client> {
    // Fails when there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(settings.connect_timeout)
        // The key goes to the address that was configured, and nowhere else.
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never());
    if base_url.scheme() == "http" {
        // So that a machine without certificates can call a model next to it.
        builder = builder.tls_certs_only([]);
    }
    let local = match base_url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if local {
        // A proxy of the environment (`HTTPS_PROXY`) cannot reach what runs on this machine.
        builder = builder.no_proxy();
    }
    builder.build().context("no TLS for calls of the model: are certificates installed (ca-certificates)?")
}
