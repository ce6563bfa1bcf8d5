use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use memory::ports::{Clock, ModelError, Purpose};
use serde::Serialize;

use super::EndpointSettings;
use super::failure::{Cause, Failure};
use super::line::{Call, Line, Missed};
use super::service::Service;
use super::vectors::{self, Vectors};

/// Tokens of all texts of a request at most. OpenAI takes 300,000; its embedding models and ours count differently.
const MAX_TOKENS: u32 = 100_000;
/// Numbers of all vectors of an answer at most: with 40 bytes for each, which is more than they are written with, it
/// stays below the size up to which answers are read.
const MAX_NUMBERS: usize = (8 << 20) / 40;

/// Where the embeddings come from, and how the provider wants to be asked for them.
#[derive(Clone, Debug)]
pub struct EmbeddingSettings {
    /// The endpoint. What concerns the answers of chats is not used.
    pub endpoint: EndpointSettings,
    /// Name of the model.
    pub model: String,
    /// Numbers of a vector.
    pub dimensions: usize,
    /// Whether the model can be asked for so many numbers.
    pub asks_dimensions: bool,
    /// The words that the provider uses.
    pub style: EmbeddingStyle,
    /// Texts of one request at most.
    pub max_inputs: usize,
}

/// The parameters that a provider knows besides model and texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EmbeddingStyle {
    /// Those of OpenAI: `encoding_format`.
    OpenAi,
    /// Those of Jina: `embedding_type`, `truncate`, and `task` for models that tell queries from documents.
    Jina {
        /// Whether the model does.
        tasks: bool,
    },
}

/// A text and its tokens, about.
#[derive(Clone, PartialEq, Eq)]
pub struct Input {
    /// The text, not blank.
    pub text: String,
    /// Its tokens.
    pub tokens: u32,
}

/// Without the text, which belongs in no log.
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

/// An OpenAI-compatible endpoint for embeddings.
pub struct EmbeddingEndpoint {
    line: Line,
    model: String,
    dimensions: usize,
    style: EmbeddingStyle,
    /// Until the provider refuses it.
    asks_dimensions: AtomicBool,
    /// Texts of one request at most, as far as is known.
    max_inputs: AtomicUsize,
}

impl EmbeddingEndpoint {
    /// An endpoint that is not called yet.
    ///
    /// # Errors
    /// When the address, a header or a parameter cannot be sent, or there is no TLS on this machine.
    pub fn new(settings: &EmbeddingSettings, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let most = settings.max_inputs.min(MAX_NUMBERS / settings.dimensions.max(1)).max(1);
        Ok(Self {
            line: Line::new(&settings.endpoint, Service::Embeddings, clock)?,
            model: settings.model.clone(),
            dimensions: settings.dimensions,
            style: settings.style,
            asks_dimensions: AtomicBool::new(settings.asks_dimensions),
            max_inputs: AtomicUsize::new(most),
        })
    }

    /// Embeds texts, in as many requests as it takes, one after the other. The vectors are as they came.
    ///
    /// A provider may refuse a request for the number of its texts without saying so, as DashScope (10 at most) and TEI
    /// (`--max-client-batch-size`) do. So half as many are tried before a refusal is believed. What all went well with
    /// is remembered.
    ///
    /// # Errors
    /// [`ModelError::Refused`] and [`ModelError::Unavailable`]; the reason holds no content of texts.
    pub async fn embed(&self, inputs: &[Input], purpose: Purpose) -> Result<Vectors, ModelError> {
        let known = self.max_inputs.load(Ordering::Relaxed);
        let (mut most, mut rest, mut all) = (known, inputs, Vectors::default());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(batch(rest, most));
            match self.request(now, purpose).await {
                Ok(vectors) => {
                    all.append(vectors);
                    rest = later;
                }
                Err(Missed::Failed(failure)) if now.len() > 1 && failure.may_be_about_the_size() => {
                    most = now.len() / 2;
                }
                Err(missed) => return Err(missed.into_model_error(Service::Embeddings)),
            }
        }
        if most < known {
            self.max_inputs.fetch_min(most, Ordering::Relaxed);
            tracing::warn!(model = self.model, texts = most, "the provider of embeddings takes fewer texts at a time");
        }
        Ok(all)
    }

    /// One request.
    async fn request(&self, inputs: &[Input], purpose: Purpose) -> Result<Vectors, Missed> {
        let (vectors, ms) = self.line.call(&mut Request { endpoint: self, inputs, purpose }).await?;
        tracing::debug!(model = self.model, texts = inputs.len(), tokens = vectors.tokens, ms, "the model answered");
        Ok(vectors)
    }
}

#[cfg(test)]
impl EmbeddingEndpoint {
    /// Makes no pauses before retries.
    pub(in crate::llm) fn without_pauses(mut self) -> Self {
        self.line.sleep = Arc::new(|_| Box::pin(std::future::ready(())));
        self
    }
}

/// How many of the first texts, at least one, fit a request.
fn batch(inputs: &[Input], most: usize) -> usize {
    let mut tokens = 0_u32;
    let fits = |input: &&Input| {
        tokens = tokens.saturating_add(input.tokens);
        tokens <= MAX_TOKENS
    };
    inputs.iter().take(most).take_while(fits).count().max(1)
}

struct Request<'a> {
    endpoint: &'a EmbeddingEndpoint,
    inputs: &'a [Input],
    purpose: Purpose,
}

/// The body of a request.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    input: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding_format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'static str>,
}

impl Request<'_> {
    fn body(&self, dimensions: bool) -> Body<'_> {
        let (format, task) = match (self.endpoint.style, self.purpose) {
            (EmbeddingStyle::Jina { tasks: true }, Purpose::Document) => (None, Some("retrieval.passage")),
            (EmbeddingStyle::Jina { tasks: true }, Purpose::Query) => (None, Some("retrieval.query")),
            (EmbeddingStyle::Jina { tasks: false }, _) => (None, None),
            (EmbeddingStyle::OpenAi, _) => (Some("float"), None),
        };
        let is_jina = format.is_none();
        Body {
            model: &self.endpoint.model,
            input: self.inputs.iter().map(|input| input.text.as_str()).collect(),
            dimensions: dimensions.then_some(self.endpoint.dimensions),
            encoding_format: format,
            embedding_type: is_jina.then_some("float"),
            // Its models count tokens in their own way, and refuse what is one too many.
            truncate: is_jina.then_some(true),
            task,
        }
    }

    async fn send(&self, line: &Line, dimensions: bool) -> Result<Vectors, Failure> {
        let answer = line.transport.embeddings(&self.body(dimensions)).await?;
        vectors::read(answer.get(), self.inputs.len())
    }
}

impl Call for Request<'_> {
    type Answer = Vectors;

    fn model(&self) -> &str {
        &self.endpoint.model
    }

    fn tokens(&self) -> u32 {
        self.inputs.iter().fold(0, |sum, input| sum.saturating_add(input.tokens))
    }

    /// A search may be given up soon. The provider may be tried with it all the same: a server that is read from and
    /// seldom written to has nothing else to try it with, and a probe that is given up makes room for the next.
    fn is_aside(&self) -> bool {
        false
    }

    /// One try, and once more without `dimensions` when the provider complains about that. Whether the vectors have as
    /// many numbers as they must is seen from them.
    async fn attempt(&mut self, line: &Line) -> Result<Vectors, Failure> {
        let asks = &self.endpoint.asks_dimensions;
        let asked = asks.load(Ordering::Relaxed);
        let failure = match self.send(line, asked).await {
            Err(failure) if asked && complains_about_dimensions(&failure) => failure,
            result => return result,
        };
        line.limits.count_try();
        let vectors =
            self.send(line, false).await.map_err(|second| if second.is_refusal() { failure } else { second })?;
        if asks.swap(false, Ordering::Relaxed) {
            tracing::warn!(model = self.endpoint.model, "the provider of embeddings does not take dimensions");
        }
        Ok(vectors)
    }
}

fn complains_about_dimensions(failure: &Failure) -> bool {
    matches!(failure.cause, Cause::Status(400 | 422)) && failure.said.complaints.dimensions
}
