//! Instants on the wire.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{KnownFormat, RefOr, Schema, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use super::openapi::parameters::typed;

/// An instant in an answer: RFC 3339 in UTC, to the microsecond.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp(pub(super) Timestamp);

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.6}", self.0))
    }
}

impl PartialSchema for Stamp {
    fn schema() -> RefOr<Schema> {
        date_time().description(Some("An instant in UTC, to the microsecond.")).into()
    }
}

impl ToSchema for Stamp {}

fn date_time() -> ObjectBuilder {
    typed(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

/// The schema of an instant that a client may send: what [`read`] takes, or null. The numbers are the years 1 to 9999.
pub(super) fn sent() -> AnyOfBuilder {
    let unix = typed(Type::Number).minimum(Some(-62_135_596_800_000_i64)).maximum(Some(253_402_207_200_000_i64));
    let says = "RFC 3339, with or without a zone or a time; or seconds or milliseconds since 1970.";
    AnyOfBuilder::new().description(Some(says)).item(date_time()).item(unix).item(typed(Type::Null))
}

/// Numbers beyond this count milliseconds, smaller ones seconds (the rule of the wire format: as seconds it would
/// be the year 2603).
const MILLISECONDS_ABOVE: f64 = 2e10;

/// An instant as a client writes it in JSON: RFC 3339, the same without a zone (then it is UTC) or without a
/// time, or a number of seconds or milliseconds since 1970.
pub(super) fn read(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => read_text(text),
        Value::Number(number) => from_unix(number.as_f64()?),
        _ => None,
    }
}

/// [`read`], from a string.
pub(super) fn read_text(text: &str) -> Option<Timestamp> {
    // Eight digits are a number too, not a date: so it is in the wire format.
    if let Ok(number) = text.parse() {
        return from_unix(number);
    }
    let instant = text
        .parse::<Timestamp>()
        .or_else(|_| text.parse::<DateTime>().and_then(|civil| TimeZone::UTC.to_timestamp(civil)))
        .ok()?;
    in_our_era(instant)
}

fn from_unix(number: f64) -> Option<Timestamp> {
    let seconds = if number.abs() > MILLISECONDS_ABOVE { number / 1000.0 } else { number };
    let since = SignedDuration::try_from_secs_f64(seconds).ok()?;
    in_our_era(Timestamp::UNIX_EPOCH.checked_add(since).ok()?)
}

/// To the microsecond, as the stores keep it; none before the year 1, which RFC 3339 cannot write.
fn in_our_era(instant: Timestamp) -> Option<Timestamp> {
    let instant = Timestamp::from_microsecond(instant.as_microsecond()).ok()?;
    (TimeZone::UTC.to_datetime(instant).year() >= 1).then_some(instant)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn shown(value: Value) -> Option<String> {
        read(&value).map(|t| serde_json::to_value(Stamp(t)).unwrap().as_str().unwrap().to_owned())
    }

    #[test]
    fn dates_in_many_spellings() {
        for (value, wanted) in [
            (json!("2024-05-06T07:08:09Z"), "2024-05-06T07:08:09.000000Z"),
            (json!("2024-05-06T07:08:09.1234567Z"), "2024-05-06T07:08:09.123456Z"),
            (json!("2024-05-06T07:08:09+08:00"), "2024-05-05T23:08:09.000000Z"),
            (json!("2024-05-06T07:08:09+0800"), "2024-05-05T23:08:09.000000Z"),
            (json!("2024-05-06t07:08:09z"), "2024-05-06T07:08:09.000000Z"),
            (json!("2024-05-06T07:08:09"), "2024-05-06T07:08:09.000000Z"),
            (json!("2024-05-06 07:08"), "2024-05-06T07:08:00.000000Z"),
            (json!("2024-05-06"), "2024-05-06T00:00:00.000000Z"),
            (json!(1_715_000_000), "2024-05-06T12:53:20.000000Z"),
            (json!(1_715_000_000.5), "2024-05-06T12:53:20.500000Z"),
            (json!("1715000000"), "2024-05-06T12:53:20.000000Z"),
            (json!(1_715_000_000_000_i64), "2024-05-06T12:53:20.000000Z"),
            (json!(-1), "1969-12-31T23:59:59.000000Z"),
        ] {
            assert_eq!(shown(value.clone()).as_deref(), Some(wanted), "{value}");
        }
    }

    #[test]
    fn other_values_are_no_dates() {
        let others = ["yesterday", "", "2024-13-01", "2024-05-06T25:00", "-000001-01-01", "0000-01-01", "8 May, 2023"];
        for other in others {
            assert_eq!(shown(json!(other)), None, "{other}");
        }
        for other in [json!(true), json!([]), json!(1e20), json!(-1e15), json!(null)] {
            assert_eq!(shown(other.clone()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read(us in -62_135_596_800_000_000_i64..253_402_207_200_000_000) {
            let instant = Timestamp::from_microsecond(us).unwrap();
            let text = serde_json::to_value(Stamp(instant)).unwrap();
            prop_assert_eq!(read(&text), Some(instant));
        }

        #[test]
        fn any_text_is_survived(text in ".{0,30}") {
            let _ = read_text(&text);
        }
    }
}
