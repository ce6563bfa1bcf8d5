//! Mends escapes in JSON that no store accepts: NUL and lone surrogates become U+FFFD.

use memchr::memchr;

/// Replaces in JSON text, in place, `\u0000` and every surrogate escape without its other half by `\ufffd`.
///
/// In JSON a backslash stands in strings only, and always begins an escape, so nothing but backslashes needs
/// looking at: text without any costs one pass of `memchr`. Text that is no JSON stays no JSON, since an escape is
/// replaced by an escape.
pub(super) fn repair_escapes(json: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = json.get(at..).and_then(|rest| memchr(b'\\', rest)) {
        let start = at + found;
        at = match unit(json, start) {
            None => start + 2,
            Some(0) => replace(json, start),
            Some(0xD800..=0xDBFF) => match unit(json, start + 6) {
                Some(0xDC00..=0xDFFF) => start + 12,
                _ => replace(json, start),
            },
            Some(0xDC00..=0xDFFF) => replace(json, start),
            Some(_) => start + 6,
        };
    }
}

/// The UTF-16 unit of the escape `\uXXXX` at `start`, if there is one.
fn unit(json: &[u8], start: usize) -> Option<u16> {
    let escape = json.get(start..start + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn replace(json: &mut [u8], start: usize) -> usize {
    let end = start + 6;
    if let Some(escape) = json.get_mut(start..end) {
        escape.copy_from_slice(b"\\ufffd");
    }
    end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repaired(json: &str) -> String {
        let mut bytes = json.as_bytes().to_vec();
        repair_escapes(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn bad_escapes_are_replaced() {
        assert_eq!(repaired(r#""a\u0000b""#), r#""a\ufffdb""#);
        assert_eq!(repaired(r#""\ud800""#), r#""\ufffd""#);
        assert_eq!(repaired(r#""\uDC00x""#), r#""\ufffdx""#);
        assert_eq!(repaired(r#""\ud800\ud83d\ude00""#), r#""\ufffd\ud83d\ude00""#);
    }

    #[test]
    fn good_text_is_left_alone() {
        for good in [r#""\\u0000""#, r#""\\\\ud800""#, r#""\ud83d\uDE00 \n \u00e9""#, r#"{"a": "é"}"#, r"\", r"\u00"] {
            assert_eq!(repaired(good), good);
        }
    }

    /// The pieces of a JSON string: as they stand in JSON, and as UTF-16 units.
    fn piece() -> impl Strategy<Value = (String, Vec<u16>)> {
        let escape = |c: u16| (format!("\\u{c:04x}"), vec![c]);
        prop_oneof![
            Just(("\\\\".to_owned(), vec![u16::from(b'\\')])),
            Just(("\\\"".to_owned(), vec![u16::from(b'"')])),
            Just(("\\n".to_owned(), vec![10])),
            Just(("u0000".to_owned(), "u0000".encode_utf16().collect())),
            Just(escape(0)),
            (0xD7F0..0xE010_u16).prop_map(escape),
            any::<u16>().prop_map(escape),
            "[^\"\\\\\\x00-\\x1f]{1,3}".prop_map(|s| (s.clone(), s.encode_utf16().collect())),
        ]
    }

    proptest! {
        #[test]
        fn any_string_reads_as_its_units_would(pieces in prop::collection::vec(piece(), 0..12)) {
            let json: String = pieces.iter().map(|p| p.0.as_str()).collect();
            // Units of escapes and of plain text never join to a pair, as the escapes are read alone.
            let mut wanted = String::new();
            let mut escapes: Vec<u16> = Vec::new();
            for (text, units) in &pieces {
                if text.starts_with("\\u") {
                    escapes.extend(units);
                } else {
                    wanted.push_str(&String::from_utf16_lossy(&escapes));
                    escapes.clear();
                    wanted.push_str(&String::from_utf16(units).unwrap());
                }
            }
            wanted.push_str(&String::from_utf16_lossy(&escapes));
            let wanted = wanted.replace('\0', "\u{FFFD}");
            let read: String = serde_json::from_str(&repaired(&format!("\"{json}\""))).unwrap();
            prop_assert_eq!(read, wanted);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(prop_oneof![Just(b'\\'), Just(b'u'), Just(b'0'), any::<u8>()], 0..40)) {
            let mut mended = bytes.clone();
            repair_escapes(&mut mended);
            prop_assert_eq!(mended.len(), bytes.len());
        }
    }
}
