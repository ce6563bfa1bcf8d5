use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::blob::Role;
use crate::extraction::{Draft, DraftAction, DraftGist, Line, Request, Verb};
use crate::ports::{Answer, LanguageModel, ModelError, Usage};

/// A language model that answers what the test has pushed, in that order.
///
/// With nothing pushed it makes one gist of each line of the user, and of each `FACT topic/sub_topic=memo` (to the
/// end of the line) it makes that slot. It is not immediate unless told so.
#[derive(Debug, Default)]
pub struct ScriptedModel {
    immediate: AtomicBool,
    calls: AtomicU64,
    script: Mutex<VecDeque<Result<Answer, ModelError>>>,
}

impl ScriptedModel {
    /// A model with nothing pushed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it says that it answers at once and for nothing.
    pub fn set_immediate(&self, immediate: bool) {
        self.immediate.store(immediate, Ordering::SeqCst);
    }

    /// The calls so far, failed ones too.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Answers one call with this text.
    pub fn push_text(&self, text: &str) {
        self.script().push_back(Ok(answer(text.to_owned())));
    }

    /// Answers one call with this draft.
    pub fn push_draft(&self, draft: &Draft) {
        self.script().push_back(Ok(answer(json(draft))));
    }

    /// Lets one call fail.
    pub fn push_error(&self, error: ModelError) {
        self.script().push_back(Err(error));
    }

    fn script(&self) -> MutexGuard<'_, VecDeque<Result<Answer, ModelError>>> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LanguageModel for ScriptedModel {
    fn name(&self) -> &str {
        "scripted"
    }

    fn is_immediate(&self) -> bool {
        self.immediate.load(Ordering::SeqCst)
    }

    async fn extract(&self, request: &Request) -> Result<Answer, ModelError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let scripted = self.script().pop_front();
        scripted.unwrap_or_else(|| Ok(answer(json(&draft_of(&request.lines)))))
    }
}

fn answer(text: String) -> Answer {
    Answer { text, usage: Usage { input: 10, cached: 0, output: 1 }, version: "scripted-1".into() }
}

fn json(draft: &Draft) -> String {
    // A struct of strings and numbers always serialises.
    serde_json::to_string(draft).unwrap_or_default()
}

fn draft_of(lines: &[Line]) -> Draft {
    let said: Vec<&Line> = lines.iter().filter(|l| l.role == Role::User).collect();
    let gist = |line: &&Line| DraftGist { text: line.text.clone(), occurred_at: None, messages: vec![line.number] };
    let facts = |line: &&Line| line.text.lines().filter_map(|t| fact(t, line.number)).collect::<Vec<_>>();
    Draft { gists: said.iter().map(gist).collect(), profile: said.iter().flat_map(facts).collect(), ..Draft::default() }
}

fn fact(text: &str, number: u32) -> Option<DraftAction> {
    let (_, fact) = text.split_once("FACT ")?;
    let (name, memo) = fact.split_once('=')?;
    let (topic, sub_topic) = name.split_once('/')?;
    let [topic, sub_topic, memo] = [topic, sub_topic, memo].map(|s| s.trim().to_owned());
    Some(DraftAction { action: Verb::Set, topic, sub_topic, memo, messages: vec![number] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BlobId;

    #[test]
    fn user_lines_become_gists_and_facts_slots() {
        let line = |number, role, text: &str| Line {
            number,
            blob_id: BlobId(uuid::Uuid::nil()),
            message: number - 1,
            role,
            alias: None,
            said_on: None,
            text: text.into(),
        };
        let draft = draft_of(&[
            line(1, Role::User, "hello"),
            line(2, Role::Assistant, "FACT a/b=c"),
            line(3, Role::User, "well: FACT work/title=nurse at night"),
        ]);
        assert_eq!(draft.gists.iter().map(|g| g.messages[0]).collect::<Vec<_>>(), [1, 3]);
        let [slot] = draft.profile.as_slice() else { panic!("{draft:?}") };
        assert_eq!((slot.topic.as_str(), slot.sub_topic.as_str()), ("work", "title"));
        assert_eq!((slot.memo.as_str(), slot.messages.as_slice()), ("nurse at night", &[3][..]));
    }
}
