//! What is searched, and what for: always the same.

use memory::search::terms;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tiktoken_rs::cl100k_base_singleton;

/// Hits at most.
pub(crate) const TOP: usize = 10;

/// What is asked: three to eight words.
pub(crate) const QUERIES: [&str; 20] = [
    "when did my sister move to Portland",
    "favourite coffee shop",
    "what did the doctor say about my knee",
    "name of the new manager",
    "which books did I like this summer",
    "trip to the mountains with friends",
    "how much is the rent",
    "birthday present for my mother",
    "guitar lessons on Thursday",
    "why was the flight to Chicago late",
    "how does the cat like the garden",
    "job interview at the bank",
    "allergic to nuts and milk",
    "did I finish the marathon last year",
    "plans for the wedding in June",
    "learning Spanish before the holiday",
    "recipe for chicken soup",
    "who fixed the heating in our apartment",
    "running every morning before work",
    "the film that made me cry",
];

/// Different words of the texts.
const VOCABULARY: usize = 10_000;

/// The texts of the gists of one user, newest first.
pub(crate) struct Texts(pub(crate) Vec<String>);

impl Texts {
    /// Texts of 12 to 20 words. The word of rank r comes with a frequency of 1 / (r + 2.7), as Zipf and Mandelbrot
    /// found in natural languages.
    pub(crate) fn new(size: usize) -> Self {
        let words = vocabulary();
        let mut sums = Vec::with_capacity(words.len());
        let mut sum = 0.0;
        for rank in 0..u32::try_from(words.len()).unwrap() {
            sum += 1.0 / (f64::from(rank) + 3.7);
            sums.push(sum);
        }
        let mut random = SmallRng::seed_from_u64(1);
        let mut text = || {
            let length = random.random_range(12..=20);
            let word = |_| {
                let drawn = random.random::<f64>() * sum;
                words[sums.partition_point(|&at| at < drawn)].as_str()
            };
            (0..length).map(word).collect::<Vec<_>>().join(" ")
        };
        Self((0..size).map(|_| text()).collect())
    }
}

/// The English words that are one token each in the vocabulary of a tokeniser, which has the commonest first. The words
/// without which no sentence is made come before all others, as they do in speech.
fn vocabulary() -> Vec<String> {
    let tables = cl100k_base_singleton();
    let word = |token| {
        let text = String::from_utf8(tables.decode_bytes(&[token]).ok()?).ok()?;
        let word = text.strip_prefix(' ')?;
        let letters = word.bytes().all(|byte| byte.is_ascii_lowercase());
        (letters && (word.len() > 2 || common(word))).then(|| word.to_owned())
    };
    let mut words: Vec<String> = (0..100_000).filter_map(word).collect();
    words.sort_by_key(|word| !common(word));
    words.truncate(VOCABULARY);
    words
}

/// Whether a word says nothing of what a text is about.
pub(crate) fn common(word: &str) -> bool {
    terms(word).is_empty()
}

/// What the texts and the queries mean: random directions of length 1.
pub(crate) struct Vectors {
    pub(crate) dimensions: usize,
    /// One for each gist.
    pub(crate) gists: Vec<Vec<f32>>,
    /// One for each query, near (cosine about 0.7) to that of one gist and far (about 0) from all others.
    pub(crate) queries: Vec<Vec<f32>>,
}

impl Vectors {
    pub(crate) fn new(size: usize, dimensions: usize) -> Self {
        let mut random = SmallRng::seed_from_u64(2);
        let mut direction = || {
            // The sum of some numbers is nearly normal, so that no direction is preferred.
            let number = |_| (0..4).map(|_| random.random::<f32>() - 0.5).sum();
            normalised((0..dimensions).map(number).collect())
        };
        let gists: Vec<Vec<f32>> = (0..size).map(|_| direction()).collect();
        let near = |number: usize| {
            let noise = direction();
            normalised(gists[Self::near(number, size)].iter().zip(noise).map(|(a, b)| a + b).collect())
        };
        let queries = (0..QUERIES.len()).map(near).collect();
        Self { dimensions, gists, queries }
    }

    /// The gist that is near, for each query.
    pub(crate) fn nearest(&self) -> Vec<Vec<usize>> {
        (0..QUERIES.len()).map(|query| vec![Self::near(query, self.gists.len())]).collect()
    }

    fn near(query: usize, size: usize) -> usize {
        query * size / QUERIES.len()
    }
}

fn normalised(numbers: Vec<f32>) -> Vec<f32> {
    let length = dot(&numbers, &numbers).sqrt();
    numbers.into_iter().map(|number| number / length).collect()
}

/// The dot product; for directions of length 1 the cosine. Written so that the compiler makes vector instructions of it,
/// for dimensions that are a multiple of eight.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

/// The numbers of the best, best first.
pub(crate) fn best(scores: impl Iterator<Item = (usize, f32)>) -> Vec<usize> {
    let mut scores: Vec<(usize, f32)> = scores.collect();
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    scores.into_iter().take(TOP).map(|(number, _)| number).collect()
}
