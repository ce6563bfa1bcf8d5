//! Readers of single values as clients write them in paths and queries.

use uuid::{Uuid, Variant};

/// Why a text is no id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BadId {
    /// Not a UUID.
    Parsing,
    /// A UUID of another version than 4 and 5.
    Version,
}

impl BadId {
    /// The name on the wire.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Parsing => "uuid_parsing",
            Self::Version => "uuid_version",
        }
    }

    /// What should be there.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Parsing => "must be a UUID",
            Self::Version => "must be a UUID of version 4 or 5",
        }
    }
}

/// An id: a UUID of version 4 or 5, in any spelling (upper case, without dashes, in braces, as `urn:uuid:`).
pub(super) fn id(text: &str) -> Result<Uuid, BadId> {
    let id = Uuid::parse_str(text).map_err(|_| BadId::Parsing)?;
    let known = id.get_variant() == Variant::RFC4122 && matches!(id.get_version_num(), 4 | 5);
    if known { Ok(id) } else { Err(BadId::Version) }
}

/// An id of whatever version.
pub(super) fn own_id(text: &str) -> Result<Uuid, BadId> {
    Uuid::parse_str(text).map_err(|_| BadId::Parsing)
}

/// A truth value, in the spellings that the clients use.
pub(super) fn flag(text: &str) -> Option<bool> {
    const YES: [&str; 6] = ["true", "1", "yes", "on", "t", "y"];
    const NO: [&str; 6] = ["false", "0", "no", "off", "f", "n"];
    let is = |words: [&str; 6]| words.iter().any(|w| w.eq_ignore_ascii_case(text));
    if is(YES) {
        Some(true)
    } else if is(NO) {
        Some(false)
    } else {
        None
    }
}

/// A whole number, with an optional sign and `.0`. Beyond 64 bits it saturates: some limit will refuse it anyway.
pub(super) fn int(text: &str) -> Option<i64> {
    let text = text.trim();
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    let digits = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(whole.parse().unwrap_or(if whole.starts_with('-') { i64::MIN } else { i64::MAX }))
}

/// A decimal number; `nan` and `inf` are numbers too.
pub(super) fn float(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_any_spelling() {
        let id4 = Uuid::from_u128(0x4b77_e467_effa_4330_87f3_fee5_bae3_9696);
        for spelling in [
            "4b77e467-effa-4330-87f3-fee5bae39696",
            "4B77E467-EFFA-4330-87F3-FEE5BAE39696",
            "4b77e467effa433087f3fee5bae39696",
            "{4b77e467-effa-4330-87f3-fee5bae39696}",
            "urn:uuid:4b77e467-effa-4330-87f3-fee5bae39696",
        ] {
            assert_eq!(id(spelling), Ok(id4), "{spelling}");
        }
        assert!(id("886313e1-3b8a-5372-9b90-0c9aee199e5d").is_ok(), "version 5");
    }

    #[test]
    fn other_ids_are_refused() {
        for other in ["fake", "", " 4b77e467-effa-4330-87f3-fee5bae39696", "4b77e467"] {
            assert_eq!(id(other), Err(BadId::Parsing), "{other}");
            assert_eq!(own_id(other), Err(BadId::Parsing), "{other}");
        }
        for version in [
            "d2719f2a-8c1b-11ee-b9d1-0242ac120002",
            "00000000-0000-0000-0000-000000000000",
            "018f4e3a-0000-7000-8000-000000000000",
            "12345678-1234-4234-c234-123456789abc",
        ] {
            assert_eq!(id(version), Err(BadId::Version), "{version}");
            assert!(own_id(version).is_ok(), "{version}");
        }
    }

    #[test]
    fn flags() {
        for yes in ["True", "true", "1", "YES", "on", "T", "y"] {
            assert_eq!(flag(yes), Some(true), "{yes}");
        }
        for no in ["False", "0", "no", "OFF", "f", "N"] {
            assert_eq!(flag(no), Some(false), "{no}");
        }
        for neither in ["", "maybe", "2", " on"] {
            assert_eq!(flag(neither), None, "{neither}");
        }
    }

    #[test]
    fn numbers() {
        for (text, number) in [("7", 7), (" 7 ", 7), ("+7", 7), ("-1", -1), ("01", 1), ("1.0", 1)] {
            assert_eq!(int(text), Some(number), "{text}");
        }
        assert_eq!(int("99999999999999999999"), Some(i64::MAX));
        assert_eq!(int("-99999999999999999999"), Some(i64::MIN));
        for none in ["", "abc", "1.5", "1.", "1e3", "0x1", "-", "+-1"] {
            assert_eq!(int(none), None, "{none}");
        }
        assert_eq!(float("-0.5"), Some(-0.5));
        assert!(float("nan").unwrap().is_nan());
        assert_eq!(float("abc"), None);
    }
}
