//! Vectors that stand in for embeddings: texts that share words are near each other.

use memory::search::terms;
use sha2::{Digest as _, Sha256};

/// Each word is spread over so many numbers of the vector, so that two words seldom fall together.
const PLACES: usize = 8;

/// The vector of a text, of length 1: the sum of those of its words.
pub(super) fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut sums = vec![0_f32; dimensions];
    for term in terms(text) {
        let digest = Sha256::digest(term.as_bytes());
        for place in digest.chunks_exact(size_of::<u32>()).take(PLACES) {
            let place = place.iter().fold(0_usize, |place, byte| place << 8 | usize::from(*byte));
            sums[(place >> 1) % dimensions] += if place & 1 == 0 { 1.0 } else { -1.0 };
        }
    }
    let length = sums.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length == 0.0 {
        // A text without words; or its words cancel out.
        sums[0] = 1.0;
        return sums;
    }
    sums.iter_mut().for_each(|x| *x /= length);
    sums
}

/// The numbers as OpenAI sends them with `encoding_format: base64`: little-endian, in Base64 (RFC 4648) with padding.
pub(super) fn base64(vector: &[f32]) -> String {
    encode(&vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
}

fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | group.get(at).map_or(0, |b| usize::from(*b)));
        for digit in 0..4 {
            let padded = digit > group.len();
            text.push(if padded { '=' } else { char::from(DIGITS[bits >> (18 - 6 * digit) & 63]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearness(a: &str, b: &str) -> f32 {
        vector(a, 1536).iter().zip(vector(b, 1536)).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn shared_words_make_texts_near() {
        let near = nearness("I adopted a puppy named Miso", "the puppy that I adopted");
        let far = nearness("I adopted a puppy named Miso", "quarterly tax report");
        assert!(near > 0.5 && far < 0.2, "{near} {far}");
        assert!(nearness("我喜欢喝茶", "他也喜欢喝茶") > 0.5);
        assert!((nearness("tea", "Tea!") - 1.0).abs() < 1e-5);
    }

    #[test]
    fn vectors_have_length_one_whatever_the_text() {
        for (text, dimensions) in [("", 3), ("!?", 1), ("a b c d e f", 1), ("tea and jazz", 4096)] {
            let length: f32 = vector(text, dimensions).iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-5, "{text:?}: {length}");
            assert_eq!(vector(text, dimensions).len(), dimensions);
        }
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        // Test vectors of RFC 4648, section 10.
        for (text, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encode(text.as_bytes()), encoded);
        }
        assert_eq!(base64(&[1.0, -2.0]), "AACAPwAAAMA=");
    }
}
