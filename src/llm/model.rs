use std::sync::Arc;

use async_trait::async_trait;
use memory::extraction::{Draft, Language, Request};
use memory::ports::{Answer, LanguageModel, ModelError, TokenCounter, Usage};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::prompts::Rendered;
use super::{Completion, Endpoint, Prompt, Prompts, schema};

/// Characters of an unusable answer that are shown to the model again. It needs to see what it did, not all of it.
const MAX_REPAIR_CHARS: usize = 8_000;

/// A language model behind an OpenAI-compatible endpoint.
pub struct OpenAiModel {
    endpoint: Arc<Endpoint>,
    prompts: Prompts,
    counter: Arc<dyn TokenCounter>,
    /// Where the endpoint's connections live.
    io: Handle,
    names: ModelNames,
    extraction_schema: Arc<Value>,
}

/// Which model does what.
#[derive(Clone, Debug)]
pub struct ModelNames {
    /// Extracts, and chooses slots (`best_llm_model`).
    pub best: String,
    /// Directs role-plays (`thinking_llm_model`).
    pub thinking: String,
}

impl OpenAiModel {
    /// A model whose calls run on `io`.
    ///
    /// # Errors
    /// When a prompt is broken: a defect of the build.
    pub fn new(
        endpoint: Endpoint,
        names: ModelNames,
        counter: Arc<dyn TokenCounter>,
        io: Handle,
    ) -> Result<Self, minijinja::Error> {
        let extraction_schema = Arc::new(schema::extraction());
        Ok(Self { endpoint: Arc::new(endpoint), prompts: Prompts::new()?, counter, io, names, extraction_schema })
    }

    pub(super) fn counter(&self) -> &dyn TokenCounter {
        &*self.counter
    }

    pub(super) fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    pub(super) fn names(&self) -> &ModelNames {
        &self.names
    }

    /// A prompt with its tokens counted. Providers that are given a schema count it, too.
    pub(super) fn prompt(
        &self,
        model: &str,
        rendered: Rendered,
        schema_name: &'static str,
        schema: Arc<Value>,
        for_read: bool,
    ) -> Prompt {
        let texts = [rendered.system.as_str(), rendered.user.as_str(), &schema.to_string()];
        let tokens = texts.iter().map(|text| self.counter.count(text)).fold(0, u32::saturating_add);
        let messages = vec![("user", rendered.user)];
        Prompt { model: model.to_owned(), system: rendered.system, messages, schema_name, schema, for_read, tokens }
    }

    /// Calls the model on the runtime of its connections. Whoever drops the future cancels the call.
    pub(super) async fn complete(&self, prompt: Prompt) -> Result<(Completion, Usage), ModelError> {
        let (endpoint, tokens) = (self.endpoint.clone(), prompt.tokens);
        let mut call = Call(self.io.spawn(async move { endpoint.complete(&prompt).await }));
        let completion = (&mut call.0).await.map_err(|error| {
            if error.is_cancelled() {
                return ModelError::Unavailable { reason: "the server is stopping".to_owned(), retry_after: None };
            }
            tracing::error!(%error, "a call of the model panicked");
            ModelError::Unusable("internal error; the server's log has the details".to_owned())
        })??;
        let told = completion.usage;
        let counted = || Usage { input: tokens, cached: 0, output: self.counter.count(&completion.text) };
        let usage = told.unwrap_or_else(counted);
        Ok((completion, usage))
    }

    /// The prompt that shows the model what was wrong with its answer.
    fn repair(&self, mut prompt: Prompt, language: Language, bad: &Bad) -> Result<Prompt, ModelError> {
        let ask = self.prompts.repair(language, &bad.problem, bad.cut_off).map_err(|e| broken(&e))?;
        let shown: String = bad.text.chars().take(MAX_REPAIR_CHARS).collect();
        let tokens = self.counter.count(&shown).saturating_add(self.counter.count(&ask));
        prompt.tokens = prompt.tokens.saturating_add(tokens);
        // Some providers refuse a message without text.
        if !shown.trim().is_empty() {
            prompt.messages.push(("assistant", shown));
        }
        prompt.messages.push(("user", ask));
        Ok(prompt)
    }
}

/// An answer that cannot be used.
struct Bad {
    text: String,
    problem: String,
    cut_off: bool,
}

impl Bad {
    fn check(completion: Completion) -> Result<Draft, Self> {
        match Draft::read(&completion.text) {
            Ok(draft) => Ok(draft),
            Err(problem) => {
                let problem = problem.to_string();
                Err(Self { text: completion.text, problem, cut_off: completion.cut_off })
            }
        }
    }

    /// What the client is told.
    fn reason(self) -> String {
        let why =
            if self.cut_off { "; it was cut off at the limit of its tokens (llm_max_completion_tokens)" } else { "" };
        format!("{}, not after one repair either{why}", self.problem)
    }
}

#[async_trait]
impl LanguageModel for OpenAiModel {
    fn name(&self) -> &str {
        &self.names.best
    }

    fn is_immediate(&self) -> bool {
        false
    }

    async fn extract(&self, request: &Request) -> Result<Answer, ModelError> {
        let language = request.language();
        let rendered = self.prompts.extraction(request).map_err(|e| broken(&e))?;
        let version = format!("{} {}", self.prompts.version(language), self.names.best);
        let prompt = self.prompt(&self.names.best, rendered, "memory", self.extraction_schema.clone(), false);
        let (completion, mut usage) = self.complete(prompt.clone()).await?;
        let mut draft = match Bad::check(completion) {
            Ok(draft) => draft,
            Err(bad) => {
                tracing::warn!(
                    problem = bad.problem,
                    cut_off = bad.cut_off,
                    "the model's answer cannot be used; asking again"
                );
                let (completion, more) = self.complete(self.repair(prompt, language, &bad)?).await?;
                usage += more;
                Bad::check(completion).map_err(|bad| ModelError::Unusable(bad.reason()))?
            }
        };
        draft.leave_out_copies(self.prompts.example(language), &request.lines);
        // A struct of strings and numbers always serialises.
        let text = serde_json::to_string(&draft).unwrap_or_default();
        Ok(Answer { text, usage, version })
    }
}

/// A prompt that cannot be rendered is a defect: the batch must not wait for it for ever.
pub(super) fn broken(error: &minijinja::Error) -> ModelError {
    tracing::error!(%error, "a prompt is broken");
    ModelError::Unusable("internal error; the server's log has the details".to_owned())
}

/// A call under way, which ends when nobody waits for it any more.
struct Call<T>(JoinHandle<T>);

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
