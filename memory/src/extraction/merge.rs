use std::collections::{BTreeMap, HashSet};

use super::check::check_action;
use super::{Action, Draft, Policy};
use crate::ports::TokenCounter;
use crate::profile::{Slot, SlotName};
use crate::text;

/// What stands between the parts of a memo.
const JOINT: &str = "; ";

impl Draft {
    /// Lets the draft add to the memos that its model was not shown (`unseen`, of `slots`, newest first), where it would
    /// write over them: a model cannot give the whole new memo of a slot that it does not know.
    ///
    /// Parts that are there already are not said again. Of more than `max_memo_tokens` the oldest parts go, which is noted
    /// as left out. So is a removal: what is over may be one part of many. A change that [`super::check()`] will refuse
    /// stays as it is, and changes nothing.
    pub fn merge_unseen(&mut self, unseen: &[SlotName], slots: &[Slot], policy: &Policy, counter: &dyn TokenCounter) {
        let mut memos: BTreeMap<&SlotName, String> = unseen.iter().map(|name| (name, String::new())).collect();
        for slot in slots.iter().rev() {
            if let Some(memo) = memos.get_mut(&slot.name()) {
                *memo = joined([memo.as_str(), &slot.content]);
            }
        }
        let mut index = 0_usize;
        let left_out = &mut self.left_out;
        self.profile.retain_mut(|action| {
            let place = format!("profile[{index}]");
            index += 1;
            let Ok(checked) = check_action(action, policy, counter) else { return true };
            let Some(memo) = memos.get_mut(checked.name()) else { return true };
            let Action::Set(_, new, _) = checked else {
                left_out.push(place);
                return false;
            };
            let whole = merged(memo, &new, policy.max_memo_tokens, counter);
            if parts(memo).any(|part| !whole.contains(part)) {
                left_out.push(format!("{place}.memo"));
            }
            *memo = whole;
            action.memo.clone_from(memo);
            true
        });
    }
}

/// An old memo and the parts of a new one that it lacks. What does not fit beside the new memo goes, oldest first.
fn merged(old: &str, new: &str, max_tokens: u32, counter: &dyn TokenCounter) -> String {
    let known: HashSet<String> = parts(old).map(folded).collect();
    let mut said = HashSet::new();
    let new: Vec<&str> = parts(new).filter(|part| said.insert(folded(part))).collect();
    let fresh: Vec<&str> = new.iter().copied().filter(|part| !known.contains(&folded(part))).collect();
    if fresh.is_empty() {
        return old.to_owned();
    }
    let whole = joined([old].into_iter().chain(fresh));
    if counter.fits(&whole, max_tokens) {
        return whole;
    }
    // The tokens of a whole are at most the sum of its parts'. So what fits is found from the newest part back, and
    // each part is counted once.
    let tokens = |part: &str| counter.count(&format!("{part}{JOINT}"));
    let mut room = max_tokens.saturating_sub(tokens(&new.join(JOINT)));
    let others = parts(old).filter(|part| !said.contains(&folded(part)));
    let others: Vec<&str> =
        others.flat_map(|part| if tokens(part) > room { text::sentences(part) } else { vec![part] }).collect();
    let mut first = others.len();
    while let Some(left) = first.checked_sub(1).and_then(|at| room.checked_sub(tokens(others[at]))) {
        (first, room) = (first - 1, left);
    }
    joined(others[first..].iter().copied().chain(new))
}

fn joined<'a>(memos: impl IntoIterator<Item = &'a str>) -> String {
    memos.into_iter().filter(|memo| !memo.trim().is_empty()).collect::<Vec<_>>().join(JOINT)
}

fn parts(memo: &str) -> impl Iterator<Item = &str> {
    memo.split([';', '；']).map(str::trim).filter(|part| !part.is_empty())
}

/// Two parts that fold alike say the same.
fn folded(part: &str) -> String {
    text::one_line(part).trim_end_matches(['.', '。']).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extraction::{DraftAction, Verb};
    use crate::ids::SlotId;
    use crate::testing::WordCounter;
    use jiff::Timestamp;
    use proptest::prelude::*;
    use uuid::Uuid;

    #[test]
    fn memos_merge_part_by_part() {
        let cases = [
            ("", "tea", "tea"),
            ("tea", "jazz", "tea; jazz"),
            ("tea; Jazz.", "jazz; golf; golf", "tea; Jazz.; golf"),
            ("tea;jazz", "Tea", "tea;jazz"),
            ("喝茶；爵士", "喝茶；高尔夫", "喝茶；爵士; 高尔夫"),
            ("not married", "married", "not married; married"),
            ("a b; c; d e f", "g h", "c; d e f; g h"),
            ("a b c d e f", "g", "a b c d e f; g"),
            ("One is here. Two is there now.", "three", "Two is there now.; three"),
            ("one two three four five six seven", "new", "new"),
            ("a; b", "1 2 3 4 5 6 7 8", "1 2 3 4 5 6 7 8"),
            ("a; b c; d e", "f g h; a", "d e; f g h; a"),
        ];
        for (old, new, both) in cases {
            assert_eq!(merged(old, new, 7, &WordCounter), both, "{old} + {new}");
        }
    }

    fn action(verb: Verb, sub_topic: &str, memo: &str) -> DraftAction {
        let (topic, sub_topic) = ("Interest".to_owned(), sub_topic.to_owned());
        DraftAction { action: verb, topic, sub_topic, memo: memo.into(), messages: vec![] }
    }

    fn slot(sub_topic: &str, content: &str) -> Slot {
        let slot = Slot::new(&SlotName::new("interest", sub_topic), SlotId(Uuid::nil()), Timestamp::UNIX_EPOCH);
        Slot { content: content.into(), ..slot }
    }

    fn after(actions: &[DraftAction]) -> Vec<String> {
        let slots = [slot("likes", "jazz"), slot("sports", "golf"), slot("Likes", "tea")];
        let unseen = [SlotName::new("interest", "likes"), SlotName::new("interest", "none")];
        let policy = Policy { validate: true, max_memo_tokens: 5, ..crate::testing::policy() };
        let mut draft = Draft { profile: actions.to_vec(), ..Draft::default() };
        draft.merge_unseen(&unseen, &slots, &policy, &WordCounter);
        draft.profile.into_iter().map(|action| action.memo).collect()
    }

    #[test]
    fn only_what_was_not_shown_is_merged() {
        let (set, remove) = (Verb::Set, Verb::Remove);
        assert_eq!(
            after(&[action(set, "LIKES", "wine"), action(set, "sports", "chess")]),
            ["tea; jazz; wine", "chess"]
        );
        assert_eq!(after(&[action(set, "likes", "wine"), action(set, "Likes", "art")])[1], "tea; jazz; wine; art");
        // A removal would take away more than the model knows of; one of a slot that was shown stays.
        assert_eq!(after(&[action(remove, "likes", ""), action(set, "likes", "wine")]), ["tea; jazz; wine"]);
        assert_eq!(after(&[action(remove, "sports", "")]), [""]);
        assert_eq!(after(&[action(set, "none", "wine")]), ["wine"]);
        // What check refuses is not made acceptable by an old memo, nor remembered for the next.
        let refused = after(&[
            action(set, "likes", "unknown"),
            action(set, "likes", "1 2 3 4 5 6"),
            action(set, "likes", "a\nb"),
        ]);
        assert_eq!(refused, ["unknown", "1 2 3 4 5 6", "tea; jazz; a b"]);
    }

    #[test]
    fn what_a_merge_takes_away_is_noted() {
        let policy = Policy { max_memo_tokens: 2, ..crate::testing::policy() };
        let profile = vec![action(Verb::Remove, "likes", ""), action(Verb::Set, "likes", "wine")];
        let mut draft = Draft { profile, ..Draft::default() };
        let unseen = [SlotName::new("interest", "likes")];
        draft.merge_unseen(&unseen, &[slot("likes", "jazz; tea")], &policy, &WordCounter);
        assert_eq!(draft.profile[0].memo, "tea; wine");
        assert_eq!(draft.left_out, ["profile[0]", "profile[1].memo"]);
    }

    proptest! {
        #[test]
        fn a_merged_memo_fits_and_keeps_the_new(old in "[a-d ;.]{0,30}", new in "[a-d][a-d;]{0,6}", max in 1..9_u32) {
            let new = joined(parts(&new));
            prop_assume!(WordCounter.count(&new) <= max);
            let both = merged(&old, &new, max, &WordCounter);
            let kept: Vec<String> = parts(&both).map(folded).collect();
            prop_assert!(parts(&new).all(|part| kept.contains(&folded(part))), "{}", both);
            prop_assert!(both == old || WordCounter.count(&both) <= max, "{}", both);
            let order: Vec<String> = parts(&old).flat_map(text::sentences).map(folded).collect();
            prop_assert!(kept.iter().all(|part| order.contains(part) || parts(&new).any(|new| folded(new) == *part)));
        }
    }
}
