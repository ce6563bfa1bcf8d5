use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use uuid::{Builder, Uuid};

use crate::ids::IdSource;
use crate::ports::Clock;

/// Microseconds of 2025-06-01T00:00:00Z: where every manual clock starts.
const START_MICROS: i64 = 1_748_736_000_000_000;

/// A clock that moves only when a test says so.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at 2025-06-01T00:00:00Z.
    pub fn new() -> Self {
        Self(AtomicI64::new(START_MICROS))
    }

    /// Moves the clock on, to the microsecond.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }
}

/// Ids that are the same in every run with the same seed, and never the same twice in one run.
#[derive(Debug)]
pub struct SeededIds {
    seed: u64,
    drawn: AtomicU64,
}

impl SeededIds {
    /// A source of ids.
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }

    /// The number of the next id, and ten to sixteen bytes that look random.
    fn draw(&self) -> (u64, [u8; 16]) {
        let number = self.drawn.fetch_add(1, Ordering::SeqCst);
        let high = mix(self.seed ^ mix(number));
        let bytes = (u128::from(high) << 64) | u128::from(mix(high ^ number));
        (number, bytes.to_be_bytes())
    }
}

impl IdSource for SeededIds {
    fn ordered(&self) -> Uuid {
        let (number, bytes) = self.draw();
        let mut tail = [0; 10];
        tail.copy_from_slice(&bytes[..10]);
        Builder::from_unix_timestamp_millis(START_MICROS.unsigned_abs() / 1000 + number, &tail).into_uuid()
    }

    fn random(&self) -> Uuid {
        Builder::from_random_bytes(self.draw().1).into_uuid()
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): spreads neighbouring numbers apart.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_repeat_by_seed_and_carry_their_version() {
        let (one, same, other) = (SeededIds::new(1), SeededIds::new(1), SeededIds::new(2));
        let ordered: Vec<Uuid> = (0..100).map(|_| one.ordered()).collect();
        assert_eq!(ordered, (0..100).map(|_| same.ordered()).collect::<Vec<_>>());
        assert!(ordered.is_sorted() && ordered.iter().all(|id| id.get_version_num() == 7));
        let random: BTreeSet<Uuid> = (0..100).flat_map(|_| [one.random(), other.random()]).collect();
        assert_eq!(random.len(), 200);
        assert!(random.iter().all(|id| id.get_version_num() == 4 && id.get_variant() == uuid::Variant::RFC4122));
    }

    #[test]
    fn the_clock_moves_by_hand() {
        let clock = ManualClock::new();
        let start = clock.now();
        assert_eq!(start.to_string(), "2025-06-01T00:00:00Z");
        clock.advance(Duration::from_micros(3));
        assert_eq!(clock.now().as_microsecond() - start.as_microsecond(), 3);
    }
}
