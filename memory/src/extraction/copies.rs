use std::collections::HashSet;

use super::{Draft, Line};
use crate::search::terms;

impl Draft {
    /// Leaves out what a model has copied from the example of its prompt, of which small ones are fond: gists and
    /// memos that are the example's, and whose words the chat does not have. The summary goes if it is the example's.
    pub fn leave_out_copies(&mut self, example: &Self, lines: &[Line]) {
        let mut said: Option<HashSet<String>> = None;
        let mut is_said = |text: &str| {
            let said = said.get_or_insert_with(|| lines.iter().flat_map(|line| terms(&line.text)).collect());
            terms(text).iter().all(|term| said.contains(term))
        };
        let mut left_out = Vec::new();
        let mut index = 0;
        self.gists.retain(|gist| {
            let keep = example.gists.iter().all(|e| e.text != gist.text) || is_said(&gist.text);
            note(keep, "gists", &mut index, &mut left_out)
        });
        index = 0;
        self.profile.retain(|action| {
            let same = |e: &super::DraftAction| e.sub_topic == action.sub_topic && e.memo == action.memo;
            let keep = !example.profile.iter().any(same) || is_said(&action.memo);
            note(keep, "profile", &mut index, &mut left_out)
        });
        if !self.summary.is_empty() && self.summary == example.summary && !is_said(&self.summary) {
            self.summary.clear();
            left_out.push("summary".to_owned());
        }
        self.left_out.append(&mut left_out);
    }
}

/// Notes the place of an item that goes, and says whether it stays.
fn note(keep: bool, list: &str, index: &mut usize, left_out: &mut Vec<String>) -> bool {
    if !keep {
        left_out.push(format!("{list}[{index}]"));
    }
    *index += 1;
    keep
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Role;
    use crate::ids::BlobId;

    const EXAMPLE: &str = r#"{"gists":[{"text":"Lea flies to Oslo"}],"summary":"a trip",
        "profile":[{"action":"set","topic":"basic_info","sub_topic":"name","memo":"Lea"}]}"#;

    fn left(answer: &str, chat: &str) -> Draft {
        let line = Line {
            number: 1,
            blob_id: BlobId(uuid::Uuid::nil()),
            message: 0,
            role: Role::User,
            alias: None,
            said_on: None,
            text: chat.into(),
        };
        let mut draft = Draft::read(answer).unwrap();
        draft.leave_out_copies(&Draft::read(EXAMPLE).unwrap(), &[line]);
        draft
    }

    #[test]
    fn copies_of_the_example_go_and_the_rest_stays() {
        let answer = EXAMPLE.replace(r#""gists":["#, r#""gists":[{"text":"likes tea"},"#);
        let draft = left(&answer, "I like tea");
        assert_eq!(draft.gists.iter().map(|g| g.text.as_str()).collect::<Vec<_>>(), ["likes tea"]);
        assert_eq!((draft.profile.len(), draft.summary.as_str()), (0, ""));
        assert_eq!(draft.left_out, ["gists[1]", "profile[0]", "summary"]);
    }

    #[test]
    fn what_the_chat_says_is_no_copy() {
        let draft = left(EXAMPLE, "I'm Lea, and on this trip I am flying to Oslo!");
        assert_eq!((draft.gists.len(), draft.profile.len(), draft.summary.as_str()), (1, 1, "a trip"));
        assert!(draft.left_out.is_empty());
        // A namesake who says nothing else.
        let draft = left(EXAMPLE, "My name is Lea.");
        assert_eq!((draft.gists.len(), draft.profile.len()), (0, 1));
    }
}
