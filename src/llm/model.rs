use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use memory::extraction::{Draft, Language, Policy, Request};
use memory::ports::{Answer, LanguageModel, ModelError, TokenCounter, Usage};
use tokio::runtime::Handle;

use super::call::on_io;
use super::prompts::Rendered;
use super::{AnswerSchema, Completion, Counted, Endpoint, Prompt, Prompts, schema};

/// Characters of an unusable answer that are shown to the model again. It needs to see what it did, not all of it.
const MAX_REPAIR_CHARS: usize = 8_000;
/// Instructions that are kept: those of the policies and languages in use.
const MAX_INSTRUCTIONS: usize = 64;

/// A language model behind an OpenAI-compatible endpoint.
pub struct OpenAiModel {
    endpoint: Arc<Endpoint>,
    prompts: Prompts,
    counter: Arc<dyn TokenCounter>,
    /// Where the endpoint's connections live.
    io: Handle,
    names: ModelNames,
    schemas: Schemas,
    instructions: Mutex<VecDeque<Instructions>>,
}

/// The schemas of all answers.
pub(super) struct Schemas {
    extraction: Arc<AnswerSchema>,
    pub(super) relevant_slots: Arc<AnswerSchema>,
    pub(super) next_topic: Arc<AnswerSchema>,
}

/// The system message of an extraction, rendered once for all calls.
struct Instructions {
    language: Language,
    /// Held, so that no other policy can come to lie where it lies.
    policy: Arc<Policy>,
    text: Arc<Counted>,
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
    /// When a prompt or a schema is broken: a defect of the build.
    pub fn new(
        endpoint: Endpoint,
        names: ModelNames,
        counter: Arc<dyn TokenCounter>,
        io: Handle,
    ) -> anyhow::Result<Self> {
        let schemas = Schemas {
            extraction: Arc::new(AnswerSchema::new("memory", &schema::extraction())?),
            relevant_slots: Arc::new(AnswerSchema::new("relevant_slots", &schema::relevant_slots())?),
            next_topic: Arc::new(AnswerSchema::new("next_topic", &schema::next_topic())?),
        };
        let (endpoint, prompts, instructions) = (Arc::new(endpoint), Prompts::new()?, Mutex::default());
        Ok(Self { endpoint, prompts, counter, io, names, schemas, instructions })
    }

    pub(super) fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    pub(super) fn names(&self) -> &ModelNames {
        &self.names
    }

    pub(super) fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// The prompt of a read.
    pub(super) fn prompt_of_read(&self, model: &str, rendered: Rendered, schema: &Arc<AnswerSchema>) -> Prompt {
        let Rendered { system, user } = rendered;
        let (model, system, messages) = (model.to_owned(), Arc::new(system.into()), vec![("user", user.into())]);
        Prompt { model, system, messages, schema: schema.clone(), for_read: true }
    }

    /// The prompt of an extraction.
    fn prompt_of_extraction(&self, request: &Request) -> Result<Prompt, minijinja::Error> {
        let system = self.instructions(request.language(), &request.policy)?;
        let messages = vec![("user", self.prompts.batch(request)?.into())];
        let (model, schema) = (self.names.best.clone(), self.schemas.extraction.clone());
        Ok(Prompt { model, system, messages, schema, for_read: false })
    }

    /// Those of a policy, from the last ones used if they are among them.
    fn instructions(&self, language: Language, policy: &Arc<Policy>) -> Result<Arc<Counted>, minijinja::Error> {
        let is_it = |kept: &&Instructions| kept.language == language && Arc::ptr_eq(&kept.policy, policy);
        // Nothing is left half changed by a panic.
        let kept = || self.instructions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept().iter().find(is_it) {
            return Ok(found.text.clone());
        }
        let text = Arc::new(self.prompts.instructions(language, policy)?.into());
        let mut kept = kept();
        kept.truncate(MAX_INSTRUCTIONS - 1);
        kept.push_front(Instructions { language, policy: policy.clone(), text: Arc::clone(&text) });
        Ok(text)
    }

    /// Calls the model on the runtime of its connections. Whoever drops the future cancels the call.
    pub(super) async fn complete(&self, prompt: Arc<Prompt>) -> Result<(Completion, Usage), ModelError> {
        let (endpoint, asked) = (self.endpoint.clone(), prompt.clone());
        let completion = on_io(&self.io, async move { endpoint.complete(&asked).await }).await??;
        let told = completion.usage;
        let counter = &*self.counter;
        let counted = || Usage { input: prompt.tokens(counter), cached: 0, output: counter.count(&completion.text) };
        let usage = told.unwrap_or_else(counted);
        Ok((completion, usage))
    }

    /// The prompt that shows the model what was wrong with its answer.
    fn repair(&self, prompt: &Prompt, language: Language, bad: &Bad) -> Result<Prompt, ModelError> {
        let ask = self.prompts.repair(language, &bad.problem, bad.cut_off).map_err(|e| broken(&e))?;
        let shown: String = bad.text.chars().take(MAX_REPAIR_CHARS).collect();
        let mut prompt = prompt.clone();
        // Some providers refuse a message without text.
        if !shown.trim().is_empty() {
            prompt.messages.push(("assistant", shown.into()));
        }
        prompt.messages.push(("user", ask.into()));
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
        let version = format!("{} {}", self.prompts.version(language), self.names.best);
        let prompt = Arc::new(self.prompt_of_extraction(request).map_err(|e| broken(&e))?);
        let (completion, mut usage) = self.complete(prompt.clone()).await?;
        let mut draft = match Bad::check(completion) {
            Ok(draft) => draft,
            Err(bad) => {
                tracing::warn!(
                    problem = bad.problem,
                    cut_off = bad.cut_off,
                    "the model's answer cannot be used; asking again"
                );
                let (completion, more) = self.complete(Arc::new(self.repair(&prompt, language, &bad)?)).await?;
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
