/// What an endpoint is called for. Failures name the keys of the configuration that say where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Service {
    /// Chat completions.
    Chat,
    /// Embeddings.
    Embeddings,
}

/// What stands in an advice for either service, and its words for chats and for embeddings.
const WORDS: [(&str, &str, &str); 8] = [
    ("{base_url}", "llm_base_url", "embedding_base_url"),
    ("{api_key}", "llm_api_key", "embedding_api_key"),
    ("{model}", "best_llm_model", "embedding_model"),
    ("{kind}", "a chat model", "an embedding model"),
    ("{route}", "chat completions", "embeddings"),
    ("{rates}", ": see llm_requests_per_minute, llm_tokens_per_minute", ""),
    ("{dimensions}", "", ": set embedding_dim to a number that embedding_model can give"),
    ("{request}", "", ": check embedding_model, embedding_dim and embedding_max_token_size"),
];

impl Service {
    /// An advice in the words of this service.
    pub(super) fn words(self, advice: &str) -> String {
        WORDS.iter().fold(advice.to_owned(), |text, (place, chat, embeddings)| {
            text.replace(place, if self == Self::Chat { chat } else { embeddings })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advice_names_the_keys_of_its_service() {
        let advice = "check {base_url}, {model}{rates}";
        let chat = "check llm_base_url, best_llm_model: see llm_requests_per_minute, llm_tokens_per_minute";
        assert_eq!(Service::Chat.words(advice), chat);
        assert_eq!(Service::Embeddings.words(advice), "check embedding_base_url, embedding_model");
    }
}
