//! Values that an adapter might not give back as it got them.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Text with everything odd but NUL, which Postgres cannot hold.
pub(super) fn odd() -> String {
    let plain = "it's \"quoted\" \\back\\slash\\ %s $1 :name ?; -- /* ' || x";
    let controls = "\u{1}\u{7f}\r\n\t\u{85}\u{2028}\u{feff}\u{200b}\u{202e}";
    let letters = "工作 مرحبا ß ſ ı İ e\u{301} é \u{1f469}\u{200d}\u{1f680} \u{10ffff} \u{fffd} \u{e000}";
    format!("{plain}{controls}{letters} ")
}

/// A megabyte of text, of characters of one to four bytes.
pub(super) fn megabyte() -> String {
    "aé工\u{1f680}".repeat((1 << 20) / 10 + 1)
}

/// An object with numbers at their limits, odd keys, depth and size.
pub(super) fn object() -> Map<String, Value> {
    let mut deep = json!([]);
    for _ in 0..30 {
        deep = json!([deep]);
    }
    let many: Map<String, Value> = (0..5000).map(|n| (format!("key {n}"), json!(n))).collect();
    let value = json!({
        "": "", odd(): odd(), "null": null, "yes": true, "list": [1, "two", [], {}],
        "integers": [0, -1, i64::MIN, i64::MAX, u64::MAX], "numbers": [0.1, 1.5, -2.25, 1e-7, 1e20],
        "deep": deep, "many": many,
    });
    value.as_object().cloned().unwrap_or_default()
}

/// An instant in the present century that uses all its microseconds: 2026-03-04T05:06:07.000_001Z and later.
pub(super) fn at(seconds: i64) -> Timestamp {
    let micros = 1_772_600_767_000_001 + seconds * 1_000_000;
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}
