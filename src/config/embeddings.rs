//! Where embeddings come from.

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::Config;
use crate::serve::OPENAI_BASE_URL;

/// Kind of an endpoint for embeddings. All speak the API of OpenAI, with differences.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmbeddingProvider {
    /// OpenAI, and any endpoint that is like it.
    Openai,
    /// Jina.
    Jina,
    /// Ollama.
    Ollama,
    /// LM Studio.
    Lmstudio,
}

impl Config {
    /// Base address of the endpoint for embeddings.
    pub fn embedding_address(&self) -> &str {
        let usual = match self.embedding_provider {
            EmbeddingProvider::Openai => self.llm_address(),
            EmbeddingProvider::Jina => "https://api.jina.ai/v1",
            EmbeddingProvider::Ollama => "http://localhost:11434/v1",
            EmbeddingProvider::Lmstudio => "http://localhost:1234/v1",
        };
        self.embedding_base_url.as_deref().unwrap_or(usual)
    }

    /// API key for embeddings: their own, or that of the language model, which goes nowhere else than to the language
    /// model's own address (scheme, host and port).
    pub fn embedding_key(&self) -> Option<&SecretString> {
        let llm_key = self.llm_api_key.as_ref().filter(|_| self.embeds_at_llm());
        self.embedding_api_key.as_ref().or(llm_key)
    }

    /// True when embeddings come from where the language model is, so that what is sent to the one may be sent to the
    /// other.
    pub fn embeds_at_llm(&self) -> bool {
        let origin = |address: &str| Url::parse(address).ok().map(|url| url.origin());
        let of_llm = origin(self.llm_address());
        of_llm.is_some_and(|llm| llm.is_tuple() && origin(self.embedding_address()) == Some(llm))
    }

    /// Whether anything says where embeddings come from.
    pub(super) fn knows_embeddings(&self) -> bool {
        let named = self.embedding_base_url.is_some() || self.embedding_api_key.is_some();
        let of_llm = self.llm_base_url.is_some() || self.llm_api_key.is_some();
        named || of_llm || self.embedding_provider != EmbeddingProvider::Openai
    }

    fn llm_address(&self) -> &str {
        self.llm_base_url.as_deref().unwrap_or(OPENAI_BASE_URL)
    }
}
