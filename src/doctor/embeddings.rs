use std::sync::Arc;
use std::time::Duration;

use memory::ports::Purpose;
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
    let asked = tokio::time::timeout(PATIENCE, embedder.embed(&texts, Purpose::Query)).await;
    Some(match asked {
        Ok(Ok(_)) => Finding::good(WHAT, format!("{} at {address}", embedder.space())),
        Ok(Err(error)) => bad(config, format!("{address} embeds nothing: {error}")),
        Err(_) => bad(config, format!("{address} did not answer within {} s", PATIENCE.as_secs())),
    })
}

fn bad(config: &Config, text: String) -> Finding {
    let mut advice = "look into the endpoint's log; until it works, search is by words alone".to_owned();
    if config.embedding_key().is_none() && config.llm_api_key.is_some() {
        advice +=
            "; no key was sent: llm_api_key goes to llm_base_url alone, so set embedding_api_key if one is needed";
    }
    Finding::bad(WHAT, text, advice)
}
