//! Axes: from values to places, with ticks at round numbers.

use crate::math;
use crate::report::format;

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Linear,
    /// Equal ratios are equally long.
    Log,
    /// A share p lies at -log10(1 - p): every further nine is equally long.
    Nines,
}

/// An axis from `low` to `high`.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    /// Values and their labels.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From `low` to `high` or a little beyond, with some `ticks` labelled by `label`.
    pub fn linear(low: f64, high: f64, ticks: usize, label: impl Fn(f64) -> String) -> Axis {
        let high = if high > low { high } else { low + low.abs().max(1e-9) };
        let step = round_step((high - low) / ticks as f64);
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        // Products of whole numbers and round steps, so that 0.3 is not 0.30000000000000004 on a label.
        let ticks = (first..=last)
            .map(|i| i as f64 * step)
            .map(|tick| (tick, label(tick)))
            .collect();
        Axis {
            scale: Scale::Linear,
            low,
            high,
            ticks,
        }
    }

    /// Simulated time from 0 to `duration` seconds, in whole minutes where it is long.
    pub fn time(duration: f64) -> Axis {
        const STEPS: [f64; 16] = [
            1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0,
        ];
        let step = STEPS.into_iter().find(|step| duration <= step * 8.0);
        let Some(step) = step.filter(|_| duration > 4.0) else {
            return Axis::linear(0.0, duration, 6, format::seconds_short);
        };
        let label = |tick: f64| {
            if step < 60.0 {
                format!("{tick} s")
            } else {
                format!("{} min", tick / 60.0)
            }
        };
        let ticks = (0..=8)
            .map(|i| f64::from(i) * step)
            .filter(|&tick| tick <= duration * (1.0 + 1e-9));
        Axis {
            scale: Scale::Linear,
            low: 0.0,
            high: duration,
            ticks: ticks.map(|tick| (tick, label(tick))).collect(),
        }
    }

    /// Durations in seconds: on a logarithmic scale where they span more than a factor of four.
    pub fn durations(low: f64, high: f64) -> Axis {
        let (low, high) = (low.max(1e-9), high.max(1e-9));
        if high <= low * 4.0 {
            let margin = (high - low).max(high * 0.02) * 0.08;
            return Axis::linear((low - margin).max(0.0), high + margin, 5, format::seconds_short);
        }
        let (low, high) = (low / 1.1, high * 1.1);
        let multiples: &[f64] = match high / low {
            ratio if ratio < 10.0 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
            ratio if ratio < 3e3 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let decades = (-9..=9).map(|exponent| math::pow(10.0, f64::from(exponent)));
        let ticks = decades.flat_map(|decade| multiples.iter().map(move |multiple| decade * multiple));
        let ticks = ticks.filter(|&tick| low <= tick && tick <= high);
        Axis {
            scale: Scale::Log,
            low,
            high,
            ticks: ticks.map(|tick| (tick, format::seconds_short(tick))).collect(),
        }
    }

    /// Shares from 0 to `high` (below 1) with a stretched tail.
    pub fn nines(high: f64) -> Axis {
        let marks = [
            (0.0, "0"),
            (0.5, "50"),
            (0.75, "75"),
            (0.9, "90"),
            (0.99, "99"),
            (0.999, "99.9"),
            (0.9999, "99.99"),
            (0.99999, "99.999"),
            (0.999999, "99.9999"),
            (0.9999999, "99.99999"),
        ];
        let marks = marks.into_iter().filter(|&(share, _)| share <= high);
        Axis {
            scale: Scale::Nines,
            low: 0.0,
            high,
            ticks: marks.map(|(share, label)| (share, format!("{label} %"))).collect(),
        }
    }

    /// Where a value lies: 0 at the low end, 1 at the high end; kept within.
    pub fn place(&self, value: f64) -> f64 {
        let [value, low, high] = [value, self.low, self.high].map(|value| match self.scale {
            Scale::Linear => value,
            Scale::Log => math::ln(value.max(f64::MIN_POSITIVE)),
            Scale::Nines => -math::ln(1.0 - value.min(1.0 - 1e-12)),
        });
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below `least`.
fn round_step(least: f64) -> f64 {
    let mut unit = 1e-12;
    loop {
        for factor in [1.0, 2.0, 5.0] {
            if unit * factor >= least * (1.0 - 1e-9) {
                return tidy(unit * factor);
            }
        }
        unit *= 10.0;
    }
}

/// A round step as the nearest number to its decimal notation.
fn tidy(step: f64) -> f64 {
    format!("{step:.0e}").parse().expect("a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        let axis = Axis::linear(0.0, 300.0, 6, |tick| format!("{tick}"));
        assert_eq!(labels(&axis), ["0", "50", "100", "150", "200", "250", "300"]);
        let axis = Axis::linear(0.97, 1.0, 5, |tick| format!("{:.0}", tick * 100.0));
        assert_eq!(labels(&axis), ["97", "98", "99", "100"]);
        assert_eq!(
            labels(&Axis::durations(0.001, 0.02)),
            ["1 ms", "2 ms", "5 ms", "10 ms", "20 ms"]
        );
        assert_eq!(
            labels(&Axis::durations(0.010, 0.012)),
            ["10 ms", "10.5 ms", "11 ms", "11.5 ms", "12 ms"]
        );
        assert_eq!(
            labels(&Axis::durations(0.023, 0.13)),
            ["30 ms", "50 ms", "70 ms", "100 ms"],
            "a short scale has ticks too"
        );
    }

    #[test]
    fn time_is_told_in_one_unit() {
        assert_eq!(
            labels(&Axis::time(300.0)),
            ["0 min", "1 min", "2 min", "3 min", "4 min", "5 min"]
        );
        assert_eq!(labels(&Axis::time(20.0)), ["0 s", "5 s", "10 s", "15 s", "20 s"]);
        assert_eq!(
            labels(&Axis::time(1.0)),
            ["0 s", "200 ms", "400 ms", "600 ms", "800 ms", "1 s"]
        );
        assert_eq!(labels(&Axis::time(1e6)).len(), 6);
    }

    #[test]
    fn every_nine_is_equally_long() {
        let axis = Axis::nines(0.999);
        assert_eq!(labels(&axis), ["0 %", "50 %", "75 %", "90 %", "99 %", "99.9 %"]);
        for (share, place) in [(0.0, 0.0), (0.9, 1.0 / 3.0), (0.99, 2.0 / 3.0), (0.999, 1.0), (0.9999, 1.0)] {
            assert!((axis.place(share) - place).abs() < 1e-9, "{share}");
        }
    }

    #[test]
    fn an_axis_without_extent_has_one() {
        assert!(Axis::linear(5.0, 5.0, 4, |_| String::new()).place(5.0).is_finite());
        assert!(Axis::durations(0.0, 0.0).place(0.0).is_finite());
    }
}
