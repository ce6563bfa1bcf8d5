use super::fusion::Stretch;
use crate::profile::Slot;
use crate::schema::Schema;
use crate::search::{Bm25, Vector, cosine, length};
use crate::text::beginning;

/// Characters of a slot that its meaning is made of.
const MAX_MEANING_CHARS: usize = 1_000;

/// From which nearness on a slot bears on a chat, where that of the farthest is 0 and that of the nearest 1. Tried by hand with
/// all-MiniLM-L6-v2, fourteen slots and eleven questions that were about one of them, most without any word in common:
/// ten times that slot was chosen, with two others at most; once all were.
const NEAR: f64 = 0.5;

/// One slot in so many may be so near. Where more are, nothing stands out: so it was with four of six chats
/// about nothing of the profile.
const MOST_NEAR: usize = 3;

/// The places of the slots that share words with the texts, each with its BM25 score, which is above 0 and
/// comparable within one call only: best first, of equal score the newest first.
///
/// A slot (newest first) is found by its topic and sub-topic, by its memo, and by what the schema says belongs there.
/// So "I moved" finds a place of residence, whose memo names a town only.
pub fn relevant(slots: &[Slot], schema: &Schema, texts: &[&str]) -> Vec<(usize, f64)> {
    // The index takes the oldest first.
    let documents: Vec<String> = slots.iter().rev().map(|slot| document(slot, schema)).collect();
    let index = Bm25::build(documents.iter().map(String::as_str));
    let place = |number: u32| usize::try_from(number).ok().and_then(|n| slots.len().checked_sub(n + 1));
    let matches = index.search(&texts.join("\n")).into_iter();
    matches.filter_map(|found| Some((place(found.document)?, found.score))).collect()
}

/// The text that the meaning of a slot is made of: no more of a memo than models read.
pub fn slot_meaning(slot: &Slot) -> String {
    let name = [&slot.topic, &slot.sub_topic].map(|part| part.replace('_', " "));
    beginning(&format!("{} {}: {}", name[0], name[1], slot.content), MAX_MEANING_CHARS)
}

/// The places of the slots that are nearest to a chat by what they mean, in order; none where none stand out. `meanings`: those of the slots
/// ([`slot_meaning`]), as far as they are known.
pub fn near(meanings: &[Option<Vector>], chat: &Vector) -> Vec<usize> {
    let numbers = chat.numbers();
    let chat = (numbers, length(numbers));
    let nearness = |vector: &Vector| {
        let other = vector.numbers();
        (other.len() == numbers.len()).then(|| cosine(chat, (other, length(other))))
    };
    let cosines: Vec<Option<f32>> = meanings.iter().map(|meaning| nearness(meaning.as_ref()?)).collect();
    let stretch = Stretch::of(cosines.iter().flatten().copied());
    let is_near = |cosine: &Option<f32>| cosine.is_some_and(|cosine| stretch.of_one(cosine) >= NEAR);
    let near: Vec<usize> = (0..cosines.len()).filter(|&at| is_near(&cosines[at])).collect();
    let known = cosines.iter().flatten().count();
    if near.len() * MOST_NEAR <= known { near } else { Vec::new() }
}

fn document(slot: &Slot, schema: &Schema) -> String {
    let name = slot.name();
    let description = schema.description(&name).unwrap_or_default();
    let words = [&name.topic, &name.sub_topic].map(|part| part.replace('_', " "));
    format!("{}\n{}\n{}\n{description}", words[0], words[1], slot.content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SlotId;
    use crate::profile::SlotName;
    use jiff::Timestamp;
    use uuid::Uuid;

    fn slot(topic: &str, sub_topic: &str, content: &str) -> Slot {
        let slot = Slot::new(&SlotName::new("", ""), SlotId(Uuid::nil()), Timestamp::UNIX_EPOCH);
        Slot { topic: topic.into(), sub_topic: sub_topic.into(), content: content.into(), ..slot }
    }

    fn places(slots: &[Slot], schema: &Schema, texts: &[&str]) -> Vec<usize> {
        relevant(slots, schema, texts).into_iter().map(|(place, _)| place).collect()
    }

    fn sample() -> Vec<Slot> {
        vec![
            slot("Life Style", "Food", "sushi and rice"),
            slot("family", "number_of_children", "two"),
            slot("work", "title", "nurse at night"),
            slot("interest", "sports", "hikes in the mountains"),
            slot("城市", "居住", "住在北京"),
        ]
    }

    #[test]
    fn each_part_of_a_slot_finds_it() {
        let found = |text: &str| places(&sample(), &Schema { topics: Vec::new() }, &[text]);
        assert_eq!(found("a new lifestyle"), [] as [usize; 0]);
        assert_eq!(found("style"), [0], "the topic");
        assert_eq!(found("a great number of them"), [1], "the sub-topic, its underscores are spaces");
        assert_eq!(found("We went hiking on a mountain"), [3], "the memo, stemmed");
        assert_eq!(found("我喜欢北京"), [4], "pairs of characters");
        assert_eq!(found("Who are you and what did you do?"), [] as [usize; 0], "stop words");
        assert_eq!(relevant(&sample(), &Schema::default(), &[]), []);
        assert_eq!(relevant(&[], &Schema::default(), &["nurse"]), []);
    }

    #[test]
    fn the_nearest_are_those_of_the_upper_half_if_they_stand_out() {
        let vector = |x: f32, y: f32| Vector::of(&[x, y]);
        let chat = vector(1.0, 0.0).unwrap();
        let far = || vector(-1.0, 0.1);
        let meanings = [vector(1.0, 0.1), None, far(), vector(1.0, 1.0), vector(-0.2, 1.0), far(), far()];
        assert_eq!(near(&meanings, &chat), [0, 3]);
        assert_eq!(near(&meanings[..6], &chat), [] as [usize; 0], "two of five are too many");
        assert_eq!(near(&meanings[..2], &chat), [] as [usize; 0], "one alone is neither near nor far");
        assert_eq!(near(&[], &chat), [] as [usize; 0]);
        let other = [Vector::of(&[1.0, 0.0, 0.0]), Vector::of(&[0.0, 1.0, 0.0])];
        assert_eq!(near(&other, &chat), [] as [usize; 0], "of another space");
        assert_eq!(slot_meaning(&sample()[1]), "family number of children: two");
    }

    #[test]
    fn the_schema_says_what_belongs_in_a_slot() {
        let slots = [slot("Basic Info", "Age", "42"), slot("work", "title", "nurse"), slot("pets", "age", "3")];
        assert_eq!(places(&slots, &Schema::default(), &["for many years"]), [0]);
        assert_eq!(places(&slots, &Schema { topics: Vec::new() }, &["for many years"]), [] as [usize; 0]);
    }

    #[test]
    fn the_best_is_first_and_the_newest_of_equals() {
        let slots = [
            slot("a", "b", "a long talk of tea and of much besides that"),
            slot("a", "b", "tea"),
            slot("a", "b", "tea"),
            slot("a", "b", "green tea"),
            slot("a", "b", "coffee"),
        ];
        let schema = Schema { topics: Vec::new() };
        let found = relevant(&slots, &schema, &["tea", "and something green"]);
        assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), [3, 1, 2, 0]);
        assert!(found.is_sorted_by(|a, b| a.1 >= b.1) && found.iter().all(|f| f.1 > 0.0));
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        let slots = [slot("x", "y", "上海")];
        assert_eq!(places(&slots, &Schema { topics: Vec::new() }, &["晚上", "海水"]), [] as [usize; 0]);
    }
}
