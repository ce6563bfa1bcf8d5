//! Scores by words and by meaning in one.

use super::meaning::Nearness;

/// What the score by words counts, where the nearness of a gist counts 1. Measured as in `Lending::CONTEXT`: 1 finds 0.008
/// less.
const WORDS: f64 = 2.0;

/// Scores by words and by meaning in one, 0 to 1. A gist without a vector has those by its words alone.
pub(super) fn fused(words: &[f64], near: &Nearness, wide: f64, in_range: &[bool]) -> Vec<f64> {
    let best = words.iter().copied().fold(0.0, f64::max);
    let known = |at: &usize| in_range[*at] && near.own[*at].is_some();
    let own = Stretch::of((0..words.len()).filter(known).filter_map(|at| near.own[at]));
    let around = Stretch::of((0..words.len()).filter(known).map(|at| near.wide[at]));
    let score = |(at, words): (usize, &f64)| {
        let words = if best > 0.0 { words / best } else { 0.0 };
        match near.own[at] {
            Some(cosine) => {
                (WORDS * words + own.of_one(cosine) + wide * around.of_one(near.wide[at])) / (WORDS + 1.0 + wide)
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
    pub(super) fn of(numbers: impl Iterator<Item = f32>) -> Self {
        let (least, most) =
            numbers.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), number| (a.min(number), b.max(number)));
        Self { least: least.into(), range: f64::from(most) - f64::from(least) }
    }

    pub(super) fn of_one(&self, number: f32) -> f64 {
        if self.range > 0.0 { (f64::from(number) - self.least) / self.range } else { 0.0 }
    }
}
