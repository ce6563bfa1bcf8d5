//! Okapi BM25 over the terms of short texts, in memory.

use std::collections::{HashMap, HashSet};

use super::terms;

/// Saturation of repeated terms; the customary value, as in Lucene's `BM25Similarity`.
const K1: f64 = 1.2;

/// How much a long text is discounted; the customary value, as in Lucene's `BM25Similarity`.
const B: f64 = 0.75;

/// A document that shares a term with the query.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Match {
    /// The number of the document.
    pub document: u32,
    /// Its BM25 score, above 0. Comparable within one search only.
    pub score: f64,
}

#[derive(Clone, Copy, Debug)]
struct Posting {
    document: u32,
    count: u32,
}

/// An inverted index. Documents are numbered from 0 in the order in which they are added, so a higher number means
/// a newer document.
///
/// Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with Lucene's
/// `ln(1 + (N - df + 0.5) / (df + 0.5))` for the inverse document frequency, which never falls below 0.
#[derive(Clone, Debug, Default)]
pub struct Bm25 {
    postings: HashMap<Box<str>, Vec<Posting>>,
    lengths: Vec<u32>,
    total_length: u64,
}

impl Bm25 {
    /// Indexes texts, oldest first.
    pub fn build(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut index = Self::default();
        for text in texts {
            index.add(text.as_ref());
        }
        index.postings.values_mut().for_each(Vec::shrink_to_fit);
        index
    }

    /// Adds a text as the newest document and returns its number.
    pub fn add(&mut self, text: &str) -> u32 {
        let document = saturate(self.lengths.len());
        let terms = terms(text);
        let length = saturate(terms.len());
        for term in terms {
            let postings = self.postings.entry(term.into_boxed_str()).or_default();
            match postings.last_mut() {
                Some(last) if last.document == document => last.count += 1,
                _ => postings.push(Posting { document, count: 1 }),
            }
        }
        self.lengths.push(length);
        self.total_length += u64::from(length);
        document
    }

    /// How many documents there are.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// True when there is no document.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// The score of every document, by its number; 0 where no term is shared. A term counts once however often the
    /// query repeats it.
    pub fn scores(&self, query: &str) -> Vec<f64> {
        let mut scores = vec![0.0; self.len()];
        let mean = (self.total_length as f64 / self.len() as f64).max(1.0);
        let mut seen = HashSet::new();
        for term in terms(query) {
            let Some(postings) = self.postings.get(term.as_str()) else { continue };
            if !seen.insert(term) {
                continue;
            }
            let frequency = postings.len() as f64;
            let idf = (1.0 + (self.len() as f64 - frequency + 0.5) / (frequency + 0.5)).ln();
            for posting in postings {
                let count = f64::from(posting.count);
                let length = f64::from(self.lengths[posting.document as usize]);
                let weight = count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length / mean));
                scores[posting.document as usize] += idf * weight;
            }
        }
        scores
    }

    /// The documents that share a term with the query: best first, of equal score the newest first.
    pub fn search(&self, query: &str) -> Vec<Match> {
        let scores = self.scores(query).into_iter().enumerate();
        let mut matches: Vec<Match> = scores
            .filter(|&(_, score)| score > 0.0)
            .map(|(number, score)| Match { document: saturate(number), score })
            .collect();
        matches.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.document.cmp(&a.document)));
        matches
    }
}

/// Counts past `u32::MAX` cannot occur: the texts of one user would fill tens of gigabytes.
fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The formula, document by document.
    fn naive(texts: &[String], query: &str) -> Vec<f64> {
        let documents: Vec<Vec<String>> = texts.iter().map(|t| terms(t)).collect();
        let mean = documents.iter().map(Vec::len).sum::<usize>() as f64 / documents.len() as f64;
        let query: HashSet<String> = terms(query).into_iter().collect();
        let score = |document: &Vec<String>, term: &String| {
            let n = documents.len() as f64;
            let df = documents.iter().filter(|d| d.contains(term)).count() as f64;
            let tf = document.iter().filter(|t| *t == term).count() as f64;
            let idf = ((n - df + 0.5) / (df + 0.5)).ln_1p();
            idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * document.len() as f64 / mean.max(1.0)))
        };
        documents.iter().map(|d| query.iter().map(|t| score(d, t)).sum()).collect()
    }

    #[test]
    fn rare_terms_and_short_texts_win_and_newer_ones_break_ties() {
        let index = Bm25::build(["red car", "red bike", "red bike", "a red bike that I rode to the lake yesterday"]);
        let found: Vec<u32> = index.search("red bike").iter().map(|m| m.document).collect();
        assert_eq!(found, [2, 1, 3, 0]);
        assert!(index.search("boat").is_empty());
        assert!(Bm25::default().search("boat").is_empty());
        assert_eq!(Bm25::build(["", "?"]).search("boat"), []);
    }

    #[test]
    fn a_growing_index_equals_one_built_at_once() {
        let texts = ["I like green tea", "tea and cake", "北京的茶"];
        let mut grown = Bm25::build([texts[0]]);
        assert_eq!(grown.add(texts[1]), 1);
        assert_eq!(grown.add(texts[2]), 2);
        assert_eq!(grown.search("tea in 北京"), Bm25::build(texts).search("tea in 北京"));
        assert_eq!((grown.len(), grown.is_empty()), (3, false));
    }

    proptest! {
        #[test]
        fn scores_are_those_of_the_formula(
            texts in prop::collection::vec("([a-e]{1,2} ){0,8}", 1..12), query in "([a-e]{1,2} ){0,5}",
        ) {
            let index = Bm25::build(texts.iter().map(String::as_str));
            let expected = naive(&texts, &query);
            for (score, expected) in index.scores(&query).iter().zip(&expected) {
                prop_assert!((score - expected).abs() < 1e-9, "{} {}", score, expected);
            }
            let matches = index.search(&query);
            prop_assert_eq!(matches.len(), expected.iter().filter(|s| **s > 0.0).count());
            prop_assert!(matches.windows(2).all(|w|
                w[0].score > w[1].score || (w[0].score == w[1].score && w[0].document > w[1].document)));
        }
    }
}
