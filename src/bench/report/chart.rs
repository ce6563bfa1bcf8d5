//! Line charts: figures to places on a canvas. The page draws them.

use serde::Serialize;

use super::numbers::short;

/// The canvas, in units of the drawing.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 240.0;
/// Room for labels around the lines: left, right, above, below.
const MARGIN: [f64; 4] = [64.0, 14.0, 10.0, 40.0];
/// Ticks of a linear axis, about.
const TICKS: f64 = 5.0;
/// Points of a line at most: a longer series is thinned out, each point the mean of its neighbours.
const MAX_POINTS: usize = 600;

/// How figures become places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scale {
    /// Equal steps.
    Linear,
    /// Equal factors; figures must be above zero.
    Logarithmic,
    /// Percentiles: each nine takes as much room as the one before it.
    Nines,
}

/// A line, as it is given.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Line {
    /// What it shows.
    pub(super) label: String,
    /// Where it goes.
    pub(super) points: Vec<(f64, f64)>,
    /// Whether its points are marked.
    pub(super) dots: bool,
}

/// What is drawn.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Plot {
    pub(super) title: String,
    pub(super) x: (String, Scale),
    pub(super) y: (String, Scale),
    pub(super) lines: Vec<Line>,
}

/// A chart, ready to be drawn.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Chart {
    title: String,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    x_label: String,
    y_label: String,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    lines: Vec<Drawn>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct Tick {
    at: f64,
    label: String,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct Drawn {
    label: String,
    /// Its colour, from 0.
    colour: usize,
    /// "x,y x,y …"
    points: String,
    dots: Vec<Dot>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct Dot {
    x: f64,
    y: f64,
    label: String,
}

/// Figures from here to there, on places from here to there.
struct Axis {
    scale: Scale,
    figures: (f64, f64),
    places: (f64, f64),
}

impl Axis {
    fn new(scale: Scale, figures: impl Iterator<Item = f64> + Clone, places: (f64, f64)) -> Self {
        let figures = figures.filter(|figure| figure.is_finite() && (scale != Scale::Logarithmic || *figure > 0.0));
        let low = figures.clone().fold(f64::INFINITY, f64::min);
        let high = figures.fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let figures = match scale {
            Scale::Linear => (0.0_f64.min(low), if high > 0.0 { high } else { 1.0 }),
            Scale::Logarithmic => (step_down(low.max(1e-6)), step_up(high.max(2e-6))),
            Scale::Nines => (low, high),
        };
        Self { scale, figures, places }
    }

    /// A figure on a line where places are equal steps.
    fn straight(&self, figure: f64) -> f64 {
        match self.scale {
            Scale::Linear => figure,
            Scale::Logarithmic => figure.max(f64::MIN_POSITIVE).log10(),
            // The last nine that is told apart stands for 100 %.
            Scale::Nines => -(1.0 - figure.clamp(0.0, 99.9995) / 100.0).log10(),
        }
    }

    fn place(&self, figure: f64) -> f64 {
        let (low, high) = (self.straight(self.figures.0), self.straight(self.figures.1));
        let share = if high > low { (self.straight(figure) - low) / (high - low) } else { 0.0 };
        let (from, to) = self.places;
        ((from + share.clamp(0.0, 1.0) * (to - from)) * 10.0).round() / 10.0
    }

    fn ticks(&self) -> Vec<Tick> {
        let (low, high) = self.figures;
        let figures: Vec<(f64, String)> = match self.scale {
            Scale::Linear => {
                let step = step_up((high - low) / TICKS);
                let count = ((high - low) / step).floor();
                (0_u32..).map(f64::from).take_while(|n| *n <= count).map(|n| low + n * step).map(named).collect()
            }
            Scale::Logarithmic => {
                let mut tick = low;
                let mut ticks = Vec::new();
                while tick <= high * 1.000_1 {
                    ticks.push(named(tick));
                    tick = step_up(tick * 1.001);
                }
                // Decades alone, when there are many.
                let is_decade = |figure: f64| (figure.log10() - figure.log10().round()).abs() < 1e-6;
                if ticks.len() > 10 {
                    ticks.retain(|(figure, _)| is_decade(*figure));
                }
                ticks
            }
            Scale::Nines => [50.0, 90.0, 99.0, 99.9, 99.99, 99.999]
                .into_iter()
                .filter(|percentile| (low..=high).contains(percentile))
                .map(|percentile| (percentile, format!("{percentile}%")))
                .collect(),
        };
        figures.into_iter().map(|(figure, label)| Tick { at: self.place(figure), label }).collect()
    }
}

fn named(figure: f64) -> (f64, String) {
    let label =
        if figure.fract().abs() < 1e-9 && figure.abs() < 100.0 { format!("{figure:.0}") } else { short(figure) };
    (figure, label)
}

/// The next of …, 0.1, 0.2, 0.5, 1, 2, 5, 10, … that is not below a figure.
fn step_up(figure: f64) -> f64 {
    let decade = 10_f64.powf(figure.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * decade)
        .find(|step| *step >= figure * 0.999_9)
        .unwrap_or(1.0)
}

/// The last of them that is not above it.
fn step_down(figure: f64) -> f64 {
    let decade = 10_f64.powf((figure * 1.000_1).log10().floor());
    [5.0, 2.0, 1.0].into_iter().map(|factor| factor * decade).find(|step| *step <= figure * 1.000_1).unwrap_or(1.0)
}

impl Plot {
    /// Finds the places.
    pub(super) fn chart(self) -> Chart {
        let [left, right, top, bottom] = MARGIN;
        let (right, bottom) = (WIDTH - right, HEIGHT - bottom);
        let lines: Vec<Line> = self.lines.into_iter().map(thin).collect();
        let points = || lines.iter().flat_map(|line| line.points.iter().copied());
        let x = Axis::new(self.x.1, points().map(|point| point.0), (left, right));
        let y = Axis::new(self.y.1, points().map(|point| point.1), (bottom, top));
        let draw = |(colour, line): (usize, &Line)| {
            let place = |point: &(f64, f64)| (x.place(point.0), y.place(point.1));
            let dot = |point: &(f64, f64)| {
                let at = place(point);
                Dot { x: at.0, y: at.1, label: format!("{}: {} at {}", line.label, short(point.1), short(point.0)) }
            };
            let places = line.points.iter().map(place).map(|(x, y)| format!("{x},{y}"));
            Drawn {
                label: line.label.clone(),
                colour,
                points: places.collect::<Vec<_>>().join(" "),
                dots: if line.dots { line.points.iter().map(dot).collect() } else { Vec::new() },
            }
        };
        let drawn = lines.iter().enumerate().map(draw).collect();
        let (x_ticks, y_ticks) = (x.ticks(), y.ticks());
        let (x_label, y_label, title) = (self.x.0, self.y.0, self.title);
        let (width, height) = (WIDTH, HEIGHT);
        Chart { title, width, height, left, right, top, bottom, x_label, y_label, x_ticks, y_ticks, lines: drawn }
    }
}

fn thin(mut line: Line) -> Line {
    let size = line.points.len().div_ceil(MAX_POINTS).max(1);
    if size > 1 {
        let mean = |points: &[(f64, f64)]| {
            let count = points.len() as f64;
            (points.iter().map(|p| p.0).sum::<f64>() / count, points.iter().map(|p| p.1).sum::<f64>() / count)
        };
        line.points = line.points.chunks(size).map(mean).collect();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(x: Scale, y: Scale, points: &[(f64, f64)]) -> Chart {
        let line = Line { label: "l".to_owned(), points: points.to_vec(), dots: true };
        Plot { title: String::new(), x: (String::new(), x), y: (String::new(), y), lines: vec![line] }.chart()
    }

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn steps_are_round() {
        for (figure, up, down) in [(1.0, 1.0, 1.0), (1.1, 2.0, 1.0), (3.0, 5.0, 2.0), (70.0, 100.0, 50.0)] {
            assert!((step_up(figure) - up).abs() < 1e-9, "{figure}");
            assert!((step_down(figure) - down).abs() < 1e-9, "{figure}");
        }
        assert!((step_up(0.03) - 0.05).abs() < 1e-9);
    }

    #[test]
    fn lines_fill_the_canvas() {
        let chart = plot(Scale::Linear, Scale::Linear, &[(0.0, 0.0), (5.0, 1_000.0), (10.0, 500.0)]);
        assert_eq!(chart.lines[0].points, "64,200 255,10 446,105");
        assert_eq!(labels(&chart.x_ticks), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(labels(&chart.y_ticks), ["0", "200", "400", "600", "800", "1,000"]);
        let chart = plot(Scale::Nines, Scale::Logarithmic, &[(0.0, 0.3), (90.0, 1.0), (99.0, 10.0), (100.0, 40.0)]);
        assert_eq!(labels(&chart.x_ticks), ["50%", "90%", "99%", "99.9%", "99.99%", "99.999%"]);
        assert_eq!(labels(&chart.y_ticks), ["0.20", "0.50", "1", "2", "5", "10", "20", "50"]);
        let places: Vec<f64> = chart.x_ticks.iter().skip(1).map(|tick| tick.at).collect();
        assert!((places[1] - places[0] - (places[2] - places[1])).abs() < 0.2, "{places:?}");
    }

    #[test]
    fn what_cannot_be_drawn_is_empty() {
        for scale in [Scale::Linear, Scale::Logarithmic, Scale::Nines] {
            let chart = plot(scale, scale, &[]);
            assert_eq!(chart.lines[0].points, "");
            assert!(!plot(scale, scale, &[(1.0, 0.0), (f64::NAN, 0.0)]).lines[0].points.contains("NaN 1"));
        }
    }

    #[test]
    fn long_series_are_thinned_out() {
        let points: Vec<_> = (0..10_000).map(|n| (f64::from(n), 1.0)).collect();
        let chart = plot(Scale::Linear, Scale::Linear, &points);
        assert!(chart.lines[0].dots.len() <= MAX_POINTS);
        assert!(chart.lines[0].dots.iter().all(|dot| (dot.y - chart.top).abs() < 0.1));
    }
}
