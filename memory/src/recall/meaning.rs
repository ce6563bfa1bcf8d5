//! What the gists of a user mean, as vectors beside each other.

use std::collections::HashMap;

use crate::event::Gist;
use crate::ids::GistId;
use crate::search::{Vector, cosine, length};

/// The vectors of gists, one after the other in one piece of memory.
#[derive(Clone, Debug)]
pub(super) struct Meanings {
    dimensions: usize,
    numbers: Vec<i8>,
    /// The length of each vector; 0 for a gist without one.
    lengths: Vec<f32>,
    /// The length of the sum of each with its neighbours, all of length 1.
    wide_lengths: Vec<f32>,
    /// Whether the gist behind it is of the same event.
    joined: Vec<bool>,
    /// How many have a vector.
    known: usize,
}

/// How near each gist is to a query.
#[derive(Debug)]
pub(super) struct Nearness {
    /// The cosine with the gist itself; none for one without a vector.
    pub(super) own: Vec<Option<f32>>,
    /// The cosine with the sum of it and its neighbours in its event.
    pub(super) wide: Vec<f32>,
}

impl Meanings {
    /// Of no gists yet.
    pub(super) fn new(dimensions: usize) -> Self {
        let (numbers, joined) = (Vec::new(), Vec::new());
        Self { dimensions, numbers, lengths: Vec::new(), wide_lengths: Vec::new(), joined, known: 0 }
    }

    /// Makes place for gists (oldest first) of which it holds the first ones. They have no vectors yet.
    pub(super) fn extend(&mut self, gists: &[Gist]) {
        let first_new = self.lengths.len();
        // Room for some more of them, rather than for twice as many: they are the largest part of what is kept.
        let wanted = gists.len() * self.dimensions;
        if wanted > self.numbers.capacity() {
            self.numbers.reserve_exact(wanted - self.numbers.len() + if first_new > 0 { wanted / 8 } else { 0 });
        }
        self.numbers.resize(gists.len() * self.dimensions, 0);
        self.lengths.resize(gists.len(), 0.0);
        self.wide_lengths.resize(gists.len(), 0.0);
        let pairs = gists.windows(2).skip(first_new.saturating_sub(1));
        self.joined.extend(pairs.map(|pair| pair[0].event_id == pair[1].event_id));
    }

    /// Takes the vectors of these gists, which it has place for. Those of other gists and of other dimensions are passed
    /// over.
    pub(super) fn put(&mut self, gists: &[Gist], vectors: Vec<(GistId, Vector)>) {
        let mut by_id: HashMap<GistId, Vector> = vectors.into_iter().collect();
        by_id.retain(|_, vector| vector.numbers().len() == self.dimensions);
        let mut widened = vec![false; gists.len()];
        // From the newest: of few vectors all are found there.
        for (at, gist) in gists.iter().enumerate().rev() {
            if by_id.is_empty() {
                break;
            }
            if let Some(vector) = by_id.remove(&gist.id) {
                let was_known = self.lengths[at] > 0.0;
                self.numbers[at * self.dimensions..(at + 1) * self.dimensions].copy_from_slice(vector.numbers());
                self.lengths[at] = length(vector.numbers());
                self.known += usize::from(!was_known && self.lengths[at] > 0.0);
                widened[self.around(at)].fill(true);
            }
        }
        for at in (0..gists.len()).filter(|&at| widened[at]) {
            self.wide_lengths[at] = self.wide_length(at);
        }
    }

    /// How many gists have a vector.
    pub(super) fn known(&self) -> usize {
        self.known
    }

    /// How many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.numbers.capacity() + self.lengths.len() * (2 * size_of::<f32>() + 1)
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
