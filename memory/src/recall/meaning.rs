//! What the gists of a user mean, as vectors beside each other.

use std::collections::HashMap;

use crate::event::Gist;
use crate::ids::GistId;
use crate::search::{Vector, cosine, length};

/// The vectors of gists, one after the other in one piece of memory.
#[derive(Debug)]
pub(super) struct Meanings {
    dimensions: usize,
    numbers: Vec<i8>,
    /// The length of each vector; 0 for a gist without one.
    lengths: Vec<f32>,
    /// The length of the sum of each with its neighbours, all of length 1.
    wide_lengths: Vec<f32>,
    /// Whether the gist behind it is of the same event.
    joined: Vec<bool>,
}

/// How near each gist is to a query.
pub(super) struct Nearness {
    /// The cosine with the gist itself; none for one without a vector.
    pub(super) own: Vec<Option<f32>>,
    /// The cosine with the sum of it and its neighbours in its event.
    pub(super) wide: Vec<f32>,
}

impl Meanings {
    /// The vectors of these gists, in their order; none when fewer than half have one: then their words alone decide.
    pub(super) fn of(gists: &[Gist], vectors: Vec<(GistId, Vector)>) -> Option<Self> {
        let dimensions = vectors.first()?.1.numbers().len();
        let mut by_id: HashMap<GistId, Vector> = vectors.into_iter().collect();
        let mut numbers = vec![0; gists.len() * dimensions];
        let mut lengths = vec![0.0; gists.len()];
        for ((gist, place), length_of) in gists.iter().zip(numbers.chunks_exact_mut(dimensions)).zip(&mut lengths) {
            if let Some(vector) = by_id.remove(&gist.id).filter(|v| v.numbers().len() == dimensions) {
                place.copy_from_slice(vector.numbers());
                *length_of = length(vector.numbers());
            }
        }
        let known = lengths.iter().filter(|length| **length > 0.0).count();
        if known == 0 || known * 2 < gists.len() {
            return None;
        }
        let joined = gists.windows(2).map(|pair| pair[0].event_id == pair[1].event_id).collect();
        let mut meanings = Self { dimensions, numbers, lengths, wide_lengths: Vec::new(), joined };
        meanings.wide_lengths = (0..gists.len()).map(|at| meanings.wide_length(at)).collect();
        Some(meanings)
    }

    /// How many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.numbers.len() + self.lengths.len() * (2 * size_of::<f32>() + 1)
    }

    fn vector(&self, at: usize) -> &[i8] {
        &self.numbers[at * self.dimensions..(at + 1) * self.dimensions]
    }

    /// A gist and its neighbours in its event.
    fn around(&self, at: usize) -> std::ops::RangeInclusive<usize> {
        let first = if at > 0 && self.joined[at - 1] { at - 1 } else { at };
        let last = if self.joined.get(at).copied().unwrap_or(false) { at + 1 } else { at };
        first..=last
    }

    fn cosine(&self, at: usize, other: &[i8], other_length: f32) -> f32 {
        cosine((self.vector(at), self.lengths[at]), (other, other_length))
    }

    fn wide_length(&self, at: usize) -> f32 {
        let around = || self.around(at).filter(|&near| self.lengths[near] > 0.0);
        let product = |a, b| self.cosine(a, self.vector(b), self.lengths[b]);
        let squared: f32 = around().map(|a| around().map(|b| product(a, b)).sum::<f32>()).sum();
        squared.max(0.0).sqrt()
    }

    /// How near each gist is; none for a query of other dimensions.
    pub(super) fn nearness(&self, query: &Vector) -> Option<Nearness> {
        let numbers = query.numbers();
        if numbers.len() != self.dimensions {
            return None;
        }
        let query_length = length(numbers);
        let cosines: Vec<f32> = (0..self.lengths.len()).map(|at| self.cosine(at, numbers, query_length)).collect();
        let wide = |at: usize| {
            let sum: f32 = self.around(at).map(|near| cosines[near]).sum();
            if self.wide_lengths[at] > 0.0 { sum / self.wide_lengths[at] } else { 0.0 }
        };
        let wide = (0..cosines.len()).map(wide).collect();
        let own = cosines.iter().zip(&self.lengths).map(|(cosine, length)| (*length > 0.0).then_some(*cosine));
        Some(Nearness { own: own.collect(), wide })
    }
}
