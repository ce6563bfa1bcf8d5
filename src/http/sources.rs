//! Where something comes from: the messages behind slots, gists and events, as `sources=true` shows them.

use memory::event::Source;
use memory::ids::BlobId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;
use uuid::Uuid;

use super::input::Input;
use super::openapi::parameters as p;

/// The parameter that asks for them.
const NAME: &str = "sources";

/// A message that something comes from, on the wire.
#[derive(Serialize, Clone, PartialEq, Eq, Debug, ToSchema)]
pub(super) struct SourceView {
    /// The blob. It may not be there any more.
    blob_id: Uuid,
    /// The position of the message in the blob, from 0.
    message: u32,
    /// Who said it, if the message names somebody.
    #[schema(required)]
    speaker: Option<String>,
    /// The beginning of the message on one line, of 120 characters at most.
    #[schema(required)]
    quote: Option<String>,
}

impl From<Source> for SourceView {
    fn from(Source { blob_id: BlobId(blob_id), message, speaker, quote, .. }: Source) -> Self {
        Self { blob_id, message, speaker, quote }
    }
}

/// Sources, in order.
pub(super) fn views(sources: impl IntoIterator<Item = Source>) -> Vec<SourceView> {
    sources.into_iter().map(SourceView::from).collect()
}

/// Whether they are asked for.
pub(super) fn are_asked_for(input: &mut Input<'_>) -> bool {
    input.flag(NAME, false)
}

/// Describes what [`are_asked_for`] reads.
pub(super) fn parameter() -> Parameter {
    p::flag(NAME, false, "Show the messages that each item comes from.")
}
