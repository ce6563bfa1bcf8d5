use async_trait::async_trait;

use super::ModelError;
use crate::search::Vector;

/// What a text is embedded for. Some models tell the two apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// To be found.
    Document,
    /// To find.
    Query,
}

/// Vectors, and what they cost.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Embedded {
    /// One for each text, in order; none for a text that the model has no direction for.
    pub vectors: Vec<Option<Vector>>,
    /// Tokens that the provider counted; 0 when it does not say.
    pub tokens: u32,
}

/// Turns texts into vectors, of which those of similar meaning point in similar directions.
#[async_trait]
pub trait Embedder: Send + Sync + 'static {
    /// Which vectors can be compared: the same name, the same model with as many dimensions. Never empty; at most 200
    /// characters.
    fn space(&self) -> &str;

    /// Embeds texts, however many: the adapter keeps to the limits of its provider, and cuts what is too long.
    ///
    /// # Errors
    /// See [`ModelError`]. Then nothing of it can be used.
    async fn embed(&self, texts: &[String], purpose: Purpose) -> Result<Embedded, ModelError>;
}
