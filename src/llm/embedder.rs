use std::sync::Arc;

use async_trait::async_trait;
use memory::ports::{Embedded, Embedder, ModelError, Purpose, TokenCounter};
use memory::search::Vector;
use tokio::runtime::Handle;

use super::call::on_io;
use super::{EmbeddingEndpoint, Input, Vectors};
use crate::tokens::Vocabulary;

/// A model for embeddings behind an OpenAI-compatible endpoint.
pub struct OpenAiEmbedder {
    endpoint: Arc<EmbeddingEndpoint>,
    size: EmbeddingSize,
    counter: Arc<dyn TokenCounter>,
    vocabulary: Vocabulary,
    space: String,
    /// Where the endpoint's connections live.
    io: Handle,
}

/// How long texts and vectors are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EmbeddingSize {
    /// Numbers of a vector (`embedding_dim`).
    pub dimensions: usize,
    /// Tokens of a text at most; what is longer is cut (`embedding_max_token_size`).
    pub max_tokens: u32,
}

impl OpenAiEmbedder {
    /// An embedder whose calls run on `io`. Its space is made of the model's name, of 190 characters at most, and the
    /// number of dimensions.
    pub fn new(
        endpoint: EmbeddingEndpoint,
        model: &str,
        size: EmbeddingSize,
        counter: Arc<dyn TokenCounter>,
        io: Handle,
    ) -> Self {
        let (space, vocabulary) = (format!("{model}/{}", size.dimensions), Vocabulary::of_embeddings(model));
        Self { endpoint: Arc::new(endpoint), size, counter, vocabulary, space, io }
    }

    /// The texts that are sent, and for each given one whether it is among them. Providers refuse empty texts, and a
    /// blank one means nothing.
    fn inputs(&self, texts: &[String]) -> (Vec<Input>, Vec<bool>) {
        let sent: Vec<bool> = texts.iter().map(|text| !text.trim().is_empty()).collect();
        let texts = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
        let inputs = texts.map(|text| {
            let text = self.vocabulary.head(text, self.size.max_tokens);
            Input { text: text.to_owned(), tokens: self.counter.count(text) }
        });
        (inputs.collect(), sent)
    }

    /// Makes a direction of the numbers of one vector.
    fn vector(&self, numbers: &[f32]) -> Result<Option<Vector>, ModelError> {
        let (came, expected) = (numbers.len(), self.size.dimensions);
        if came != expected {
            return Err(ModelError::Refused(format!(
                "the embeddings that came have {came} numbers, and embedding_dim is {expected}: set embedding_dim to \
                 {came}, or embedding_model to a model that gives {expected}"
            )));
        }
        if !numbers.iter().all(|number| number.is_finite()) {
            return Err(ModelError::Unusable("an embedding that came holds what is no number".to_owned()));
        }
        Ok(Vector::of(numbers))
    }
}

#[async_trait]
impl Embedder for OpenAiEmbedder {
    fn space(&self) -> &str {
        &self.space
    }

    async fn embed(&self, texts: &[String], purpose: Purpose) -> Result<Embedded, ModelError> {
        let (inputs, sent) = self.inputs(texts);
        if inputs.is_empty() {
            return Ok(Embedded { vectors: vec![None; texts.len()], tokens: 0 });
        }
        let endpoint = self.endpoint.clone();
        let Vectors { numbers, tokens } =
            on_io(&self.io, async move { endpoint.embed(&inputs, purpose).await }).await??;
        let mut came = numbers.iter();
        // As many came as were sent.
        let of = |sent: bool| if sent { came.next() } else { None }.map_or(Ok(None), |numbers| self.vector(numbers));
        let vectors = sent.into_iter().map(of).collect::<Result<_, _>>()?;
        Ok(Embedded { vectors, tokens })
    }
}
