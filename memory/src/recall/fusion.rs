//! Scores by words and by meaning in one.

use super::meaning::Nearness;

/// What counts how much, where the meaning of a gist counts 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    /// Its score by words.
    pub(super) words: f64,
    /// Its meaning together with its neighbours.
    pub(super) wide: f64,
}

/// From so many gists on, the farthest of them is far from what is asked. Of fewer it may be as near as the others: there a
/// cosine of 0 is far.
const MANY: usize = 10;

/// Scores by words and by meaning in one, 0 to 1 for those in the range, which is the measure. A gist without a vector has
/// those by its words alone.
pub(super) fn fused(words: &[f64], near: &Nearness, weights: Weights, in_range: &[bool]) -> Vec<f64> {
    let Weights { words: by_words, wide } = weights;
    let words_in_range = || words.iter().zip(in_range).filter(|(_, in_range)| **in_range).map(|(words, _)| *words);
    let best = words_in_range().fold(0.0, f64::max);
    let known = |at: &usize| in_range[*at] && near.own[*at].is_some();
    let own = Stretch::of_gists((0..words.len()).filter(known).filter_map(|at| near.own[at]));
    let around = Stretch::of_gists((0..words.len()).filter(known).map(|at| near.wide[at]));
    let score = |(at, words): (usize, &f64)| {
        let words = if best > 0.0 { words / best } else { 0.0 };
        match near.own[at] {
            Some(cosine) => {
                (by_words * words + own.of_one(cosine) + wide * around.of_one(near.wide[at])) / (by_words + 1.0 + wide)
            }
            None => words,
        }
    };
    words.iter().enumerate().map(score).collect()
}

/// Stretches numbers over 0 to 1.
pub(super) struct Stretch {
    least: f64,
    range: f64,
}

impl Stretch {
    /// Of the cosines of gists: from the farthest, if there are many.
    fn of_gists(cosines: impl Iterator<Item = f32> + Clone) -> Self {
        if cosines.clone().nth(MANY - 1).is_some() { Self::of(cosines) } else { Self::of(cosines.chain([0.0])) }
    }

    pub(super) fn of(numbers: impl Iterator<Item = f32>) -> Self {
        let (least, most) =
            numbers.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), number| (a.min(number), b.max(number)));
        Self { least: least.into(), range: f64::from(most) - f64::from(least) }
    }

    pub(super) fn of_one(&self, number: f32) -> f64 {
        if self.range > 0.0 { (f64::from(number) - self.least) / self.range } else { 0.0 }
    }
}
