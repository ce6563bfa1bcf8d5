//! Figures of several rounds, and how figures are shown.

use serde::{Deserialize, Serialize};

/// A figure of several rounds.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// The one in the middle.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
}

impl Spread {
    /// Of some figures; zeros when there are none.
    pub(crate) fn of(figures: impl Iterator<Item = f64> + Clone) -> Self {
        let extreme = |better: fn(f64, f64) -> f64| figures.clone().reduce(better).unwrap_or_default();
        Self { median: median(figures.clone()), min: extreme(f64::min), max: extreme(f64::max) }
    }
}

/// The figure in the middle; of an even number, the mean of the two. 0 when there is none.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => 0.0,
        length if length % 2 == 1 => figures[length / 2],
        length => f64::midpoint(figures[length / 2 - 1], figures[length / 2]),
    }
}

/// A figure with three digits that count, thousands apart: 12,345 or 1.23.
pub(super) fn short(figure: f64) -> String {
    match figure.abs() {
        f if f >= 99.95 => thousands(figure.round()),
        f if f >= 9.995 => format!("{figure:.1}"),
        f if f >= 0.0995 || f == 0.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

fn thousands(figure: f64) -> String {
    let digits = format!("{:.0}", figure.abs());
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    if figure < 0.0 { format!("-{shown}") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_found() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0].into_iter()), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0].into_iter()), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(Spread::of([].into_iter()), Spread::default());
    }

    #[test]
    fn figures_are_short() {
        for (figure, shown) in [
            (0.0, "0.00"),
            (0.01234, "0.012"),
            (0.5, "0.50"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (99.96, "100"),
            (999.6, "1,000"),
            (1_234_567.0, "1,234,567"),
            (-1_234.0, "-1,234"),
        ] {
            assert_eq!(short(figure), shown);
        }
    }
}
