//! Token quotas: how many tokens a project may use in a month, and what is left of them.
//!
//! A month is one of the calendar in UTC, as the days are by which usage is counted ([`crate::usage`]). The time is an
//! argument everywhere.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::usage::day_of;

/// How many tokens of model calls a project may use in a month.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TokenQuota {
    /// Nobody has said: the default project has that of the configuration, any other as many as it likes.
    #[default]
    Unset,
    /// As many as it likes.
    Unlimited,
    /// So many, [`TokenQuota::MOST`] at most. With none it can ask no model.
    Tokens(u64),
}

impl TokenQuota {
    /// The greatest quota: what every reader of JSON can hold.
    pub const MOST: u64 = (1 << 53) - 1;

    /// How it is kept in a store: nothing, -1, or the number of tokens.
    pub fn to_stored(self) -> Option<i64> {
        match self {
            Self::Unset => None,
            Self::Unlimited => Some(-1),
            Self::Tokens(tokens) => Some(i64::try_from(tokens.min(Self::MOST)).unwrap_or(i64::MAX)),
        }
    }

    /// Reads what [`TokenQuota::to_stored`] wrote.
    pub fn from_stored(stored: Option<i64>) -> Self {
        stored.map_or(Self::Unset, |tokens| u64::try_from(tokens).map_or(Self::Unlimited, Self::Tokens))
    }

    /// The number of tokens where `default` stands in for what nobody has said.
    pub fn tokens(self, default: Option<u64>) -> Option<u64> {
        match self {
            Self::Unset => default,
            Self::Unlimited => None,
            Self::Tokens(tokens) => Some(tokens),
        }
    }
}

impl From<Option<u64>> for TokenQuota {
    /// None is no limit.
    fn from(tokens: Option<u64>) -> Self {
        tokens.map_or(Self::Unlimited, Self::Tokens)
    }
}

/// A month of the calendar, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Month {
    first: Date,
}

impl Month {
    /// The month that an instant is in.
    pub fn of(at: Timestamp) -> Self {
        Self { first: day_of(at).first_of_month() }
    }

    /// Its first and its last day.
    pub fn days(self) -> (Date, Date) {
        (self.first, self.first.last_of_month())
    }

    /// The instant at which the next one begins.
    pub fn ends_at(self) -> Timestamp {
        let next = self.first.last_of_month().tomorrow().and_then(|day| day.to_zoned(TimeZone::UTC));
        // The calendar ends in the year 9999.
        next.map_or(Timestamp::MAX, |next| next.timestamp())
    }
}

/// What a project has used of its quota in a month.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Balance {
    /// Tokens that it may use in a month; none: as many as it likes.
    pub quota: Option<u64>,
    /// Tokens that it has used in this month.
    pub used: u64,
    /// The month.
    pub month: Month,
}

impl Balance {
    /// Tokens that it may still use in the month; less than none when flushes that had begun went beyond the quota.
    pub fn left(&self) -> Option<i64> {
        let left = i128::from(self.quota?) - i128::from(self.used);
        Some(i64::try_from(left).unwrap_or(if left < 0 { i64::MIN } else { i64::MAX }))
    }

    /// Whether nothing is left now. In another month than that of the balance nothing is known to be used.
    pub fn is_used_up(&self, now: Timestamp) -> bool {
        let used = if Month::of(now) == self.month { self.used } else { 0 };
        self.quota.is_some_and(|quota| used >= quota)
    }
}

impl fmt::Display for Balance {
    /// That it is used up, in words for clients.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, quota, refill) = (self.used, self.quota.unwrap_or(0), self.month.ends_at());
        if quota == 0 {
            return f.write_str("this project may use no tokens (token_quota_per_month is 0)");
        }
        write!(
            f,
            "this project has used up its tokens of this month ({used} used, token_quota_per_month is {quota}); it gets \
             new ones at {refill}"
        )
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn balance(quota: Option<u64>, used: u64) -> Balance {
        Balance { quota, used, month: Month::of(instant("2025-06-10T00:00:00Z")) }
    }

    #[test]
    fn a_month_begins_on_the_first_in_utc_and_ends_where_the_next_begins() {
        for (at, first, last, end) in [
            ("2025-06-01T00:00:00Z", "2025-06-01", "2025-06-30", "2025-07-01T00:00:00Z"),
            ("2025-06-30T23:59:59.999999999Z", "2025-06-01", "2025-06-30", "2025-07-01T00:00:00Z"),
            // Midnight in Rome is not midnight here.
            ("2025-07-01T00:30:00+02:00", "2025-06-01", "2025-06-30", "2025-07-01T00:00:00Z"),
            ("2024-02-29T12:00:00Z", "2024-02-01", "2024-02-29", "2024-03-01T00:00:00Z"),
            ("2025-02-28T23:59:59Z", "2025-02-01", "2025-02-28", "2025-03-01T00:00:00Z"),
            ("2025-12-31T23:59:59Z", "2025-12-01", "2025-12-31", "2026-01-01T00:00:00Z"),
            ("1969-12-31T23:59:59Z", "1969-12-01", "1969-12-31", "1970-01-01T00:00:00Z"),
        ] {
            let month = Month::of(instant(at));
            assert_eq!(month.days(), (first.parse().unwrap(), last.parse().unwrap()), "{at}");
            assert_eq!(month.ends_at(), instant(end), "{at}");
        }
        assert_eq!(Month::of(Timestamp::MAX).ends_at(), Timestamp::MAX, "the last month of all");
    }

    proptest! {
        #[test]
        fn every_instant_is_in_one_month(seconds in -60_000_000_000_i64..250_000_000_000, nanos in 0..1_000_000_000) {
            let at = Timestamp::new(seconds, nanos).unwrap();
            let (month, nano) = (Month::of(at), SignedDuration::from_nanos(1));
            let end = month.ends_at();
            prop_assert!(at < end);
            prop_assert_eq!(Month::of(end - nano), month);
            prop_assert_ne!(Month::of(end), month);
            let (first, last) = month.days();
            prop_assert!(first.day() == 1 && first <= day_of(at) && day_of(at) <= last);
            prop_assert_eq!(day_of(end), last.tomorrow().unwrap());
        }

        #[test]
        fn a_quota_is_read_as_it_was_stored(tokens in 0..=TokenQuota::MOST) {
            for quota in [TokenQuota::Unset, TokenQuota::Unlimited, TokenQuota::Tokens(tokens)] {
                prop_assert_eq!(TokenQuota::from_stored(quota.to_stored()), quota);
            }
        }
    }

    #[test]
    fn what_nobody_has_said_is_the_default() {
        assert_eq!([None, Some(5)].map(|default| TokenQuota::Unset.tokens(default)), [None, Some(5)]);
        assert_eq!(TokenQuota::Unlimited.tokens(Some(5)), None);
        assert_eq!(TokenQuota::Tokens(0).tokens(Some(5)), Some(0));
        assert_eq!([None, Some(7)].map(TokenQuota::from), [TokenQuota::Unlimited, TokenQuota::Tokens(7)]);
    }

    #[test]
    fn a_quota_is_used_up_when_nothing_is_left_until_the_month_is_over() {
        let (june, july) = (instant("2025-06-30T23:59:59.999Z"), instant("2025-07-01T00:00:00Z"));
        for (quota, used, left, in_june, in_july) in [
            (None, u64::MAX, None, false, false),
            (Some(100), 0, Some(100), false, false),
            (Some(100), 99, Some(1), false, false),
            (Some(100), 100, Some(0), true, false),
            (Some(100), 250, Some(-150), true, false),
            // Whoever may use none gets none with a new month.
            (Some(0), 0, Some(0), true, true),
            (Some(u64::MAX), 0, Some(i64::MAX), false, false),
            (Some(0), u64::MAX, Some(i64::MIN), true, true),
        ] {
            let balance = balance(quota, used);
            let found = (balance.left(), balance.is_used_up(june), balance.is_used_up(july));
            assert_eq!(found, (left, in_june, in_july), "{balance:?}");
        }
    }

    #[test]
    fn a_client_is_told_how_much_and_until_when() {
        let told = balance(Some(100), 250).to_string();
        for words in ["250", "100", "2025-07-01T00:00:00Z"] {
            assert!(told.contains(words), "{told}");
        }
        assert!(!balance(Some(0), 0).to_string().contains("new ones"), "there are none to wait for");
    }
}
