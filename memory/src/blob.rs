//! Blobs: what a client posts in one insert, before anything was made of it.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::ids::BlobId;

/// The kind of a blob. Each user has one buffer per kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BlobType {
    /// Messages between the user and the bot.
    Chat,
    /// A summary that the client wrote.
    Summary,
    /// A document.
    Doc,
    /// An image. Not supported; named because the wire format knows it.
    Image,
    /// Source code.
    Code,
    /// A timed transcript.
    Transcript,
}

impl BlobType {
    /// All kinds, in the order of the wire format.
    pub const ALL: [Self; 6] = [Self::Chat, Self::Summary, Self::Doc, Self::Image, Self::Code, Self::Transcript];

    /// The name on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Summary => "summary",
            Self::Doc => "doc",
            Self::Image => "image",
            Self::Code => "code",
            Self::Transcript => "transcript",
        }
    }
}

impl fmt::Display for BlobType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no [`BlobType`].
#[derive(Debug, thiserror::Error)]
#[error("unknown blob type {0:?}")]
pub struct UnknownBlobType(pub String);

impl FromStr for BlobType {
    type Err = UnknownBlobType;

    fn from_str(name: &str) -> Result<Self, UnknownBlobType> {
        Self::ALL.into_iter().find(|t| t.as_str() == name).ok_or_else(|| UnknownBlobType(name.to_owned()))
    }
}

/// Who said a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person who is remembered.
    User,
    /// The bot, or anybody else.
    Assistant,
}

/// One message of a chat.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// The speaker's name, when the client gave one.
    #[serde(default)]
    pub alias: Option<String>,
    /// What was said.
    pub content: String,
    /// When it was said, in the client's own words ("8 May, 2023", "Year 32637").
    #[serde(default)]
    pub created_at: Option<String>,
}

/// One piece of a transcript.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TranscriptStamp {
    /// What was said.
    pub content: String,
    /// Seconds from the start.
    pub start_timestamp_in_seconds: f64,
    /// Seconds from the start, when known. The wire format's name is longer than its sister's.
    #[serde(default, rename = "end_time_timestamp_in_seconds", alias = "end_timestamp_in_seconds")]
    pub end_timestamp_in_seconds: Option<f64>,
    /// The speaker's name, when known.
    #[serde(default)]
    pub speaker: Option<String>,
}

/// The content of a blob. The shape on the wire (`blob_data`) depends on the kind.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BlobData {
    /// `{"messages": […]}`
    Chat {
        /// In the order in which they were said.
        messages: Vec<Message>,
    },
    /// `{"summary": "…"}`
    Summary {
        /// The text.
        summary: String,
    },
    /// `{"transcripts": […]}`
    Transcript {
        /// In order of time.
        transcripts: Vec<TranscriptStamp>,
    },
    /// `{"language": "…", "content": "…", "src": "…"}`
    Code {
        /// The programming language; empty when the client did not say.
        language: String,
        /// The code.
        content: String,
        /// Where it comes from.
        #[serde(default)]
        src: Option<String>,
    },
    /// `{"content": "…"}`
    Doc {
        /// The text.
        content: String,
    },
}

/// A blob as a client posted it, normalised.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Blob {
    /// The content.
    pub data: BlobData,
    /// Free-form fields of the client.
    pub fields: Option<Map<String, Value>>,
    /// The client's date of the blob, or else the time of the insert.
    pub created_at: Timestamp,
}

impl Blob {
    /// The kind of this blob.
    pub fn blob_type(&self) -> BlobType {
        match self.data {
            BlobData::Chat { .. } => BlobType::Chat,
            BlobData::Summary { .. } => BlobType::Summary,
            BlobData::Transcript { .. } => BlobType::Transcript,
            BlobData::Code { .. } => BlobType::Code,
            BlobData::Doc { .. } => BlobType::Doc,
        }
    }

    /// The texts in it: what its tokens are counted of.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let (messages, pieces, text) = match &self.data {
            BlobData::Chat { messages } => (messages.as_slice(), [].as_slice(), None),
            BlobData::Transcript { transcripts } => ([].as_slice(), transcripts.as_slice(), None),
            BlobData::Summary { summary: text }
            | BlobData::Code { content: text, .. }
            | BlobData::Doc { content: text } => ([].as_slice(), [].as_slice(), Some(text.as_str())),
        };
        messages.iter().map(|m| m.content.as_str()).chain(pieces.iter().map(|p| p.content.as_str())).chain(text)
    }

    /// The form in which journal and store keep a blob.
    pub fn to_payload(&self) -> String {
        // A struct of strings, numbers and string-keyed maps always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Blob::to_payload`] wrote.
    ///
    /// # Errors
    /// When the payload was not written by this version or an earlier one.
    pub fn from_payload(payload: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(payload)
    }
}

/// A blob on its way into a buffer.
#[derive(Clone, PartialEq, Debug)]
pub struct NewBlob {
    /// Chosen by the server, or by the client to make a repeated insert harmless.
    pub id: BlobId,
    /// The kind.
    pub blob_type: BlobType,
    /// What the buffer's size triggers count.
    pub tokens: u32,
    /// See [`Blob::to_payload`].
    pub payload: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of fields come back as they were sent, to the last digit.
    #[test]
    fn a_payload_is_read_as_it_was_written() {
        let digits = "299999999999999999999999999999999999999999999999999999999999999999999999999999999999999.5";
        for number in [digits, "0.1", "1e300", "123456789.123456789", "5e-324", "18446744073709551615", "-0.0"] {
            let payload = format!(
                r#"{{"data":{{"summary":"s"}},"fields":{{"n":{number}}},"created_at":"2024-05-06T07:08:09Z"}}"#
            );
            let blob = Blob::from_payload(&payload).unwrap();
            assert_eq!(Blob::from_payload(&blob.to_payload()).unwrap(), blob, "{number}");
        }
    }
}
