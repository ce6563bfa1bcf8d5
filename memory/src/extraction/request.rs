use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::blob::{Blob, BlobData, Role};
use crate::dates;
use crate::ids::BlobId;
use crate::ports::TokenCounter;
use crate::profile::{Slot, SlotName};
use crate::schema::Schema;
use crate::text;

/// One message of a batch, as a model sees it.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// Its number in the batch, from 1. Pieces of one long message share it.
    pub number: u32,
    /// The blob it comes from.
    pub blob_id: BlobId,
    /// Its position in the blob, from 0.
    pub message: u32,
    /// Who said it.
    pub role: Role,
    /// The speaker's name, when known.
    pub alias: Option<String>,
    /// When it was said: the client's own words for it, if they hold a date, else the date of the blob.
    pub said_on: Option<Date>,
    /// The text.
    pub text: String,
}

/// An event label to ask for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagSpec {
    /// Its name.
    pub name: String,
    /// What it means.
    pub description: String,
}

/// A language that there are prompts in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// Chinese.
    Zh,
    /// Japanese.
    Ja,
}

/// How a project wants its memory made.
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    /// The slots to look for.
    pub schema: Schema,
    /// Refuse slots outside the schema.
    pub strict: bool,
    /// Refuse memos that say nothing.
    pub validate: bool,
    /// Sub-topics of one topic at most.
    pub max_sub_topics: u32,
    /// Tokens of one memo at most.
    pub max_memo_tokens: u32,
    /// Labels to ask for.
    pub event_tags: Vec<TagSpec>,
    /// The time zone of dates.
    pub time_zone: TimeZone,
    /// The language of memory; none: that of the chat.
    pub language: Option<Language>,
    /// Who the model is told to be, in place of our words (`system_prompt`).
    pub introduction: Option<String>,
    /// What events should be about (`event_theme_requirement`).
    pub event_theme: Option<String>,
}

/// What a model is asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// The messages, in order.
    pub lines: Vec<Line>,
    /// The slots of the present profile that the messages could touch, newest update first.
    pub profile: Vec<Slot>,
    /// The names of the other slots, whose memos are not shown.
    pub named: Vec<SlotName>,
    /// What to look for.
    pub policy: std::sync::Arc<Policy>,
}

/// The messages of a blob, in order. Numbers go on from `first_number`.
///
/// A document, a summary or a piece of code is one message of the user; a transcript is one message per piece,
/// spoken by the user unless it names a speaker. Messages without text are passed over.
pub fn lines_of(blob_id: Uuid, blob: &Blob, first_number: u32, zone: &TimeZone) -> Vec<Line> {
    let blob_day = blob.created_at.to_zoned(zone.clone()).date();
    let line = |role: Role, alias: Option<&String>, said: Option<&String>, content: &str| Line {
        number: 0,
        blob_id: BlobId(blob_id),
        message: 0,
        role,
        alias: alias.cloned(),
        said_on: said.map_or(Some(blob_day), |words| dates::date_in(words)),
        text: content.to_owned(),
    };
    let mut lines: Vec<Line> = match &blob.data {
        BlobData::Chat { messages } => {
            messages.iter().map(|m| line(m.role, m.alias.as_ref(), m.created_at.as_ref(), &m.content)).collect()
        }
        BlobData::Transcript { transcripts } => {
            transcripts.iter().map(|t| line(Role::User, t.speaker.as_ref(), None, &t.content)).collect()
        }
        BlobData::Summary { summary: text }
        | BlobData::Code { content: text, .. }
        | BlobData::Doc { content: text } => {
            vec![line(Role::User, None, None, text)]
        }
    };
    for (position, line) in (0..).zip(&mut lines) {
        line.message = position;
        line.number = first_number.saturating_add(position);
    }
    // Nothing was said there.
    lines.retain(|line| !line.text.trim().is_empty());
    lines
}

/// Lines of one part at most. A line is shown with its number, date and speaker, some 15 tokens that its own do not count.
const MAX_PART_LINES: usize = 500;

/// Cuts the lines of a batch into parts of `max_tokens` and 500 lines at most, each of which is one model call.
///
/// A single line over the limit is cut at the ends of sentences; its pieces keep its number.
pub fn parts_of(lines: Vec<Line>, max_tokens: u32, counter: &dyn TokenCounter) -> Vec<Vec<Line>> {
    // Nearly always: a token is at least one byte.
    let bytes: usize = lines.iter().map(|line| line.text.len()).sum();
    if u32::try_from(bytes).is_ok_and(|bytes| bytes <= max_tokens) && (1..=MAX_PART_LINES).contains(&lines.len()) {
        return vec![lines];
    }
    let mut parts = Vec::new();
    let mut part: Vec<Line> = Vec::new();
    let mut used = 0_u32;
    for (line, tokens) in lines.into_iter().flat_map(|line| pieces_of(line, max_tokens, counter)) {
        if !part.is_empty() && (used.saturating_add(tokens) > max_tokens || part.len() >= MAX_PART_LINES) {
            parts.push(std::mem::take(&mut part));
            used = 0;
        }
        used = used.saturating_add(tokens);
        part.push(line);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

/// The pieces of a line, and the tokens of each.
fn pieces_of(line: Line, max_tokens: u32, counter: &dyn TokenCounter) -> Vec<(Line, u32)> {
    let tokens = counter.count(&line.text);
    if tokens <= max_tokens {
        return vec![(line, tokens)];
    }
    let piece = |text: &str| (Line { text: text.to_owned(), ..line.clone() }, counter.count(text));
    text::cut(&line.text, max_tokens, counter).into_iter().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Message;
    use crate::testing::WordCounter;

    #[test]
    fn messages_without_text_are_passed_over_and_parts_have_few_lines() {
        let message =
            |content: &str| Message { role: Role::User, alias: None, content: content.into(), created_at: None };
        let messages = (0..1_200).map(|n| message(if n == 1 { " \n" } else { "hi" })).collect();
        let blob = Blob { data: BlobData::Chat { messages }, fields: None, created_at: jiff::Timestamp::UNIX_EPOCH };
        let lines = lines_of(Uuid::nil(), &blob, 1, &TimeZone::UTC);
        assert_eq!(
            lines.iter().take(3).map(|line| (line.number, line.message)).collect::<Vec<_>>(),
            [(1, 0), (3, 2), (4, 3)]
        );
        let parts = parts_of(lines, 10_000, &WordCounter);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 199]);
    }
}
