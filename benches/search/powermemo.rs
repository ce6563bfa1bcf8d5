//! Powermemo: the snapshot of a user in the memory of the process. Words are ranked by BM25, with stemming and without
//! stop words; with vectors, of a byte per dimension, a hit has the best mean of words, meaning and its neighbours'
//! meaning. Hits come with their texts.

use std::time::Instant;

use allocation_counter::measure;
use memory::ids::GistId;
use memory::recall::{KnownGists, Search};
use memory::search::Vector;
use powermemo::tokens::Tokeniser;
use uuid::Uuid;

use crate::data::{QUERIES, TOP, Texts, Vectors};
use crate::made;
use crate::report::{Report, megabytes};

/// What the service takes when a request names none.
const THRESHOLD: f64 = 0.2;

/// Words alone. What they find is expected of the others.
pub(crate) fn words(report: &mut Report, texts: &Texts) {
    let snapshot = Snapshot::new(texts, None);
    report.expect((0..QUERIES.len()).map(|query| snapshot.search(query, None)).collect());
    snapshot.measure("Powermemo, words".to_owned(), report, None);
}

pub(crate) fn words_and_vectors(report: &mut Report, texts: &Texts, vectors: &Vectors) {
    let name = format!("Powermemo, words and {} dimensions", vectors.dimensions);
    if report.wants(&name) {
        Snapshot::new(texts, Some(vectors)).measure(name, report, Some(vectors));
    }
}

struct Snapshot {
    known: KnownGists,
    made: std::time::Duration,
    /// What it holds of the allocator.
    bytes: i64,
}

impl Snapshot {
    fn new(texts: &Texts, vectors: Option<&Vectors>) -> Self {
        // The tables are the process's, not the user's.
        let counter = Tokeniser::start();
        memory::ports::TokenCounter::count(&counter, "");
        let (mut known, start) = (None, Instant::now());
        let taken = measure(|| {
            let gists = KnownGists::new(1, made::gists(texts.0.iter().cloned()), &counter);
            let of = |(number, numbers): (usize, &Vec<f32>)| {
                Some((GistId(Uuid::from_u128(number as u128)), Vector::of(numbers)?))
            };
            let gists = match vectors {
                Some(vectors) => gists.with_vectors(vectors.gists.iter().enumerate().filter_map(of).collect()),
                None => gists,
            };
            // The first search makes the index.
            assert!(!gists.search(&search(0, None)).hits.is_empty());
            known = Some(gists);
        });
        Self { known: known.unwrap(), made: start.elapsed(), bytes: taken.bytes_current }
    }

    fn search(&self, query: usize, meaning: Option<&[f32]>) -> Vec<usize> {
        let hits = self.known.search(&search(query, meaning));
        hits.hits.iter().map(|hit| usize::try_from(hit.gist.id.0.as_u128()).unwrap()).collect()
    }

    fn measure(&self, name: String, report: &mut Report, vectors: Option<&Vectors>) {
        if report.wants(&name) {
            let own = i64::try_from(self.known.bytes()).unwrap();
            let size = format!("{} held, {} by its own count", megabytes(self.bytes), megabytes(own));
            let meaning = |query: usize| Some(vectors?.queries[query].as_slice());
            report.measure(name, self.made, size, |query| self.search(query, meaning(query)));
        }
    }
}

fn search(query: usize, meaning: Option<&[f32]>) -> Search {
    let by_words = Search::by_words(QUERIES[query], u32::try_from(TOP).unwrap(), THRESHOLD);
    Search { meaning: meaning.and_then(Vector::of), ..by_words }
}
