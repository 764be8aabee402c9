//! What happens while an experiment runs, for whoever draws a bar.

use crate::experiment::fold::{ClientFold, QUANTILE_NAMES, VariantResult};
use crate::measure::confidence;
use crate::model::RunResult;
use crate::time::Duration;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// It begins.
    Started {
        /// How many cells there are, pilot runs included.
        cells: usize,
    },
    /// There are more cells, or fewer, than was thought: replications are added until figures are known well enough.
    Extended {
        /// How many there will be in all, about.
        cells: usize,
    },
    /// A cell has been folded.
    CellDone {
        /// How long it simulated.
        simulated: Duration,
        /// Requests it measured.
        requests: u64,
        /// Events it handled.
        events: u64,
        /// The widest interval so far, once any variant has one.
        widest: Option<Widest>,
    },
}

/// An interval for the eye: of the variant where it is widest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Widest {
    /// `p99`, or the highest figure below it that is known.
    pub figure: &'static str,
    /// Half of its width by the figure.
    pub relative: f64,
}

/// What is looked at, the preferred one first: indices into the quantiles.
const FIGURES: [usize; 3] = [4, 2, 0];

impl Widest {
    /// Of all variants that have two replications and more, by the client with the most requests.
    pub fn of(folds: &[VariantResult]) -> Option<Widest> {
        let widest = folds.iter().filter_map(|fold| {
            let total = |client: &ClientFold| client.requests.iter().sum::<f64>();
            let client = fold.clients.iter().max_by(|a, b| total(a).total_cmp(&total(b)))?;
            let known = FIGURES
                .iter()
                .find(|&&index| client.latency.values_missing(index).is_none())?;
            let estimate = confidence::mean(&client.latency.quantile_of_each(*known)?, confidence::LEVEL)?;
            let relative = estimate.interval?.half_width() / estimate.value;
            relative.is_finite().then_some(Widest {
                figure: QUANTILE_NAMES[*known],
                relative,
            })
        });
        widest.max_by(|a, b| a.relative.total_cmp(&b.relative))
    }
}

impl Progress {
    /// The end of the cell with this result.
    pub fn of_cell(result: &RunResult, widest: Option<Widest>) -> Progress {
        Progress::CellDone {
            simulated: Duration(result.simulated_nanos),
            requests: result.clients.iter().map(|client| client.requests).sum(),
            events: result.events_total,
            widest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Histogram;

    /// A variant whose replications have all requests take so long.
    fn fold(millis: &[u64]) -> VariantResult {
        let mut client = ClientFold::default();
        for &millis in millis {
            let mut histogram = Histogram::default();
            (0..20_000).for_each(|_| histogram.record(millis * 1_000_000));
            client.requests.push(20_000.0);
            client.latency.add(&histogram);
        }
        VariantResult {
            clients: vec![client],
            ..VariantResult::default()
        }
    }

    #[test]
    fn the_widest_interval_is_that_of_the_least_certain_variant() {
        assert_eq!(Widest::of(&[]), None);
        assert_eq!(Widest::of(&[fold(&[10])]), None, "one replication has no interval");
        let widest = Widest::of(&[fold(&[10, 10, 10]), fold(&[9, 10, 11]), fold(&[7])]).expect("an interval");
        assert_eq!(widest.figure, "p99");
        // t(0.975, 2) = 4.303 times 1/sqrt(3), by 10; buckets are a percent wide.
        assert!((widest.relative - 0.248).abs() < 0.01, "{widest:?}");
    }
}
