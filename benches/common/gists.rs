//! Gists made of texts, for all benches.

use jiff::{SignedDuration, Timestamp};
use memory::event::Gist;
use memory::ids::{EventId, GistId};
use uuid::Uuid;

/// Gists of one event.
const EVENT_GISTS: usize = 5;

/// The time of the newest gist.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

/// Gists of these texts, newest first, an hour apart. The number of a gist, from 0, is its id.
pub(crate) fn gists(texts: impl IntoIterator<Item = String>) -> Vec<Gist> {
    let gist = |(n, text): (usize, String)| {
        let at = now() - SignedDuration::from_hours(i64::try_from(n).unwrap());
        Gist {
            id: GistId(Uuid::from_u128(n as u128)),
            event_id: EventId(Uuid::from_u128((n / EVENT_GISTS) as u128)),
            position: u32::try_from(n % EVENT_GISTS).unwrap(),
            text,
            occurred_at: None,
            said_at: Some("2023-11-14".to_owned()),
            sources: Vec::new(),
            created_at: at,
            updated_at: at,
        }
    };
    texts.into_iter().enumerate().map(gist).collect()
}
