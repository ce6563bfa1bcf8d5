//! What scripts are handed.

use std::time::Duration;

use jiff::Timestamp;
use memory::ports::Entry;

/// Scripts count with floating point: integers are exact below this.
pub(super) const EXACT: u64 = 1 << 53;
/// The longest lease, wait or age, in microseconds: 142 years.
const LONGEST_US: u64 = EXACT / 2;

/// What a script is handed besides its keys.
#[derive(Default)]
pub(super) struct Args(pub(super) Vec<Vec<u8>>);

impl Args {
    pub(super) fn add(&mut self, arg: impl ToString) -> &mut Self {
        self.0.push(arg.to_string().into_bytes());
        self
    }

    pub(super) fn id(&mut self, id: uuid::Uuid) -> &mut Self {
        self.add(id.simple())
    }

    pub(super) fn length(&mut self, duration: Duration) -> &mut Self {
        self.add(length_us(duration))
    }

    pub(super) fn entry(&mut self, entry: &Entry) -> &mut Self {
        self.id(entry.blob.id.0).add(entry.blob.blob_type).add(entry.seq.min(EXACT)).add(micros(entry.appended_at));
        self.add(entry.blob.tokens).add(&entry.blob.payload)
    }
}

pub(super) fn length_us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(LONGEST_US).min(LONGEST_US)
}

pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}
