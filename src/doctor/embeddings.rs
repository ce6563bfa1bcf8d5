use std::sync::Arc;
use std::time::Duration;

use memory::ports::{ModelError, Purpose};
use tokio::runtime::Handle;

use super::Finding;
use crate::config::Config;
use crate::embedding::embedder;
use crate::tokens::Tokeniser;

const WHAT: &str = "embeddings";
/// What is embedded: a token or two.
const WORD: &str = "hello";
/// How long the answer may take: a local model may have to be loaded first.
const PATIENCE: Duration = Duration::from_secs(60);

/// Embeds a word, when embeddings are switched on: not every endpoint lists its models, and none tells the dimension of
/// their vectors.
pub(super) async fn examine(config: &Config) -> Option<Finding> {
    let embedder = match embedder(config, Arc::new(Tokeniser::start()), &Handle::current()) {
        Ok(embedder) => embedder?,
        Err(error) => return Some(Finding::bad(WHAT, error.to_string(), "correct it; a server would not start")),
    };
    let address = config.embedding_address();
    let texts = [WORD.to_owned()];
    let reason = match tokio::time::timeout(PATIENCE, embedder.embed(&texts, Purpose::Query)).await {
        Ok(Ok(_)) => return Some(Finding::good(WHAT, format!("{} at {address}", embedder.space()))),
        Ok(Err(ModelError::Refused(reason))) => {
            return Some(Finding::bad(WHAT, reason, format!("asked was {address}")));
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    Some(away(config, address, &reason))
}

/// The endpoint may be well, and not reached or not let in.
fn away(config: &Config, address: &str, reason: &str) -> Finding {
    let mut advice = "until it works, nothing is found by its meaning, and nothing is lost".to_owned();
    if reason.contains("embedding_api_key") && config.embedding_key().is_none() {
        advice += "; no key was sent: llm_api_key goes to the address of llm_base_url alone, so set embedding_api_key";
    }
    Finding::bad(WHAT, format!("{address} embeds nothing: {reason}"), advice)
}
