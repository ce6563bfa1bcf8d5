//! Events: what happened, and the gists by which it is found again.

use std::collections::{HashMap, HashSet, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::ids::{BlobId, EventId, FlushId, GistId, IdSource};
use crate::text;

/// Characters of a quote at most: enough to know a message again, and too few to keep it.
pub const MAX_QUOTE_CHARS: usize = 120;

/// Characters of what somebody else said before at most: about forty words, the last of which are what is answered.
pub const MAX_HEARD_CHARS: usize = 240;

/// A label of an event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventTag {
    /// What kind of label.
    pub tag: String,
    /// Its value.
    pub value: String,
}

/// A profile change that came with an event, in the shape of the wire.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProfileDelta {
    /// The memo.
    pub content: String,
    /// `topic`, `sub_topic` and whatever a client added.
    #[schema(value_type = Option<Object>, required)]
    pub attributes: Option<Map<String, Value>>,
}

/// The content of an event, in the shape of the wire (`event_data`).
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct EventData {
    /// The profile changes that came with it.
    #[serde(default)]
    pub profile_delta: Option<Vec<ProfileDelta>>,
    /// The summary, if any, then the gists as lines `- text`.
    #[serde(default)]
    pub event_tip: Option<String>,
    /// Labels.
    #[serde(default)]
    pub event_tags: Option<Vec<EventTag>>,
}

/// An event.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// The flush that made it.
    pub flush_id: Option<FlushId>,
    /// The content.
    pub data: EventData,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Event {
    /// This event with the given fields replaced. Its gists follow a new `event_tip`: lines that stay keep their
    /// gists, and each other line that begins with `- ` becomes a new one.
    #[must_use]
    pub fn changed(self, gists: Vec<Gist>, change: EventData, ids: &dyn IdSource, now: Timestamp) -> (Self, Vec<Gist>) {
        let gists = match &change.event_tip {
            Some(tip) => self.gists_of(tip, gists, ids, now),
            None => gists,
        };
        let data = EventData {
            profile_delta: change.profile_delta.or(self.data.profile_delta),
            event_tip: change.event_tip.or(self.data.event_tip),
            event_tags: change.event_tags.or(self.data.event_tags),
        };
        (Self { data, updated_at: now, ..self }, gists)
    }

    fn gists_of(&self, tip: &str, old: Vec<Gist>, ids: &dyn IdSource, now: Timestamp) -> Vec<Gist> {
        let texts = tip.lines().filter_map(|line| line.trim().strip_prefix("- ")).map(text::one_line);
        // When the lines were told; of a line that is new, what all others say.
        let is_one_day = old.windows(2).all(|pair| pair[0].said_at == pair[1].said_at);
        let said_at = old.first().filter(|_| is_one_day).and_then(|gist| gist.said_at.clone());
        // In their order, where several say the same.
        let mut by_text: HashMap<String, VecDeque<Gist>> = HashMap::new();
        for gist in old {
            by_text.entry(gist.text.clone()).or_default().push_back(gist);
        }
        let mut gist_of = |(position, text): (u32, String)| match by_text.get_mut(&text).and_then(VecDeque::pop_front) {
            Some(gist) => Gist { position, ..gist },
            None => Gist {
                id: GistId(ids.random()),
                event_id: self.id,
                position,
                text,
                occurred_at: None,
                said_at: said_at.clone(),
                sources: Vec::new(),
                created_at: self.created_at,
                updated_at: now,
            },
        };
        (0..).zip(texts.filter(|t| !t.is_empty())).map(&mut gist_of).collect()
    }
}

/// A message that a gist or a slot comes from. It tells so when the blob itself is not kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Source {
    /// The blob.
    pub blob_id: BlobId,
    /// The position of the message in the blob, from 0.
    pub message: u32,
    /// Who said it, if the message names somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaker: Option<String>,
    /// The beginning of the message on one line, of [`MAX_QUOTE_CHARS`] at most. None in what was stored before there
    /// were quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// What somebody else said right before it, of [`MAX_HEARD_CHARS`] at most, behind the name if that is known. For
    /// searches: an answer's words are in its question. Only the first message of a gist has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<String>,
}

impl Source {
    /// A message that says this.
    pub fn new(blob_id: BlobId, message: u32, speaker: Option<&str>, says: &str) -> Self {
        let quote = text::beginning(&text::storable(says), MAX_QUOTE_CHARS);
        let quote = Some(quote).filter(|quote| !quote.is_empty());
        Self { blob_id, message, speaker: speaker.map(str::to_owned), quote, heard: None }
    }

    /// Adds those that are not there yet, in order. A message is the same whatever its quote.
    pub fn add(to: &mut Vec<Self>, more: impl IntoIterator<Item = Self>) {
        let mut known: HashSet<(BlobId, u32)> = to.iter().map(Self::place).collect();
        to.extend(more.into_iter().filter(|source| known.insert(source.place())));
    }

    /// The messages that gists come from, in order, each once.
    pub fn of<'a>(gists: impl IntoIterator<Item = &'a Gist>) -> Vec<Self> {
        let mut sources = Vec::new();
        Self::add(&mut sources, gists.into_iter().flat_map(|gist| &gist.sources).cloned());
        sources
    }

    fn place(&self) -> (BlobId, u32) {
        (self.blob_id, self.message)
    }

    /// About how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        size_of::<Self>() + text(&self.speaker) + text(&self.quote) + text(&self.heard)
    }
}

/// One searchable line of an event.
#[derive(Clone, PartialEq, Debug)]
pub struct Gist {
    /// Its id.
    pub id: GistId,
    /// The event it belongs to.
    pub event_id: EventId,
    /// Its place among the gists of the event, from 0.
    pub position: u32,
    /// One line of text, without the `- ` of the wire.
    pub text: String,
    /// When it happened, as an ISO date or a part of one ("2023-05", "2023-05-07"), if known.
    pub occurred_at: Option<String>,
    /// When it was said, as an ISO date, if known.
    pub said_at: Option<String>,
    /// The messages it comes from.
    pub sources: Vec<Source>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Gist {
    /// The line on the wire: one that begins with `- `.
    pub fn line(&self) -> String {
        format!("- {}", self.text)
    }

    /// The date it stands under: when it was said, since its words ("yesterday") may mean it so; if that is not
    /// known, when it happened.
    pub fn heading(&self) -> Option<&str> {
        self.said_at.as_deref().or(self.occurred_at.as_deref())
    }

    /// The date to show beside it: when it happened, if the heading does not say so.
    pub fn aside(&self) -> Option<&str> {
        self.occurred_at.as_deref().filter(|date| Some(*date) != self.heading())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SystemIds;
    use uuid::Uuid;

    #[test]
    fn a_source_is_known_by_its_message_and_may_have_no_quote() {
        let id = Uuid::from_u128(1);
        let old = format!(r#"{{"blob_id":"{id}","message":3}}"#);
        let source: Source = serde_json::from_str(&old).unwrap();
        assert_eq!(source, Source { blob_id: BlobId(id), message: 3, speaker: None, quote: None, heard: None });
        assert_eq!(serde_json::to_string(&source).unwrap(), old);
        let quoted = Source { quote: Some("hi".into()), ..source.clone() };
        let others =
            [Source { message: 4, ..source.clone() }, Source { blob_id: BlobId(Uuid::nil()), ..source.clone() }];
        let mut sources = vec![quoted.clone()];
        Source::add(&mut sources, [source, others[0].clone(), quoted.clone(), others[1].clone(), others[0].clone()]);
        assert_eq!(sources[1..], others);
        assert_eq!((sources.len(), &sources[0]), (3, &quoted));
        assert!(quoted.bytes() == others[0].bytes() + 2);
    }

    #[test]
    fn gists_follow_the_tip() {
        let now = Timestamp::UNIX_EPOCH;
        let data = EventData { event_tip: Some("S\n- a\n- b".into()), ..EventData::default() };
        let event = Event { id: EventId(Uuid::from_u128(1)), flush_id: None, data, created_at: now, updated_at: now };
        let old = event.gists_of("S\n- a\n- b", vec![], &SystemIds, now);
        assert_eq!(old.iter().map(Gist::line).collect::<Vec<_>>(), ["- a", "- b"]);
        let change = EventData { event_tip: Some("- b\n- c".into()), ..EventData::default() };
        let (changed, gists) = event.clone().changed(old.clone(), change, &SystemIds, now);
        assert_eq!(changed.data.event_tip.as_deref(), Some("- b\n- c"));
        assert_eq!(
            gists.iter().map(|g| (g.position, g.line())).collect::<Vec<_>>(),
            [(0, "- b".into()), (1, "- c".into())]
        );
        assert_eq!(gists[0].id, old[1].id);
        let told = |gist: &Gist, day: &str| Gist { said_at: Some(day.into()), ..gist.clone() };
        let change = |tip: &str| EventData { event_tip: Some(tip.into()), ..EventData::default() };
        let changed_days = |old: Vec<Gist>, tip: &str| -> Vec<Option<String>> {
            let (_, gists) = event.clone().changed(old, change(tip), &SystemIds, now);
            gists.into_iter().map(|gist| gist.said_at).collect()
        };
        let one_day = vec![told(&old[0], "2023-05-08"), told(&old[1], "2023-05-08")];
        assert_eq!(changed_days(one_day, "- a\n- B"), [Some("2023-05-08".into()), Some("2023-05-08".into())]);
        let two_days = vec![told(&old[0], "2023-05-08"), told(&old[1], "2023-05-09")];
        assert_eq!(changed_days(two_days, "- A\n- b"), [None, Some("2023-05-09".into())], "nobody knows which");
        let same = event.gists_of("- x\n- a\n- a\n- a", vec![], &SystemIds, now);
        let (_, kept) = event.clone().changed(same.clone(), change("- a\n- a\n- a"), &SystemIds, now);
        assert!(kept.iter().map(|gist| gist.id).eq(same[1..].iter().map(|gist| gist.id)), "in their order");
        let tags = Some(vec![EventTag { tag: "mood".into(), value: "glad".into() }]);
        let (changed, gists) =
            event.changed(old.clone(), EventData { event_tags: tags.clone(), ..Default::default() }, &SystemIds, now);
        assert_eq!((changed.data.event_tags, gists), (tags, old));
    }
}
