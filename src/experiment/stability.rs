//! Whether a service can serve what it is offered, and whether a run looks like a steady state: Little's law as a check.

use crate::experiment::Warning;
use crate::experiment::fold::{ServiceFold, VariantResult};
use crate::measure::Series;
use crate::measure::confidence::{self, Estimate, LEVEL};
use crate::model::plan::Plan;

/// Requests that must pile up within the measured window, beside a tenth of those that are there on average, before it is called growing.
const GROWTH_MIN: f64 = 5.0;
/// An endpoint is busy all the time if this share of its capacity is.
const SATURATED: f64 = 0.995;
/// How far the two sides of Little's law may be apart.
pub const LITTLE_TOLERANCE: f64 = 0.01;
/// How far they must be apart before a run is called not stationary: what is cut at the edges of a short window is not worth a warning.
const NOT_STATIONARY: f64 = 0.05;

/// How many more requests are there at the end of a window of `window` nanoseconds, which is the last part of the series of
/// request-nanoseconds, than at its start.
pub fn growth(in_flight: &Series, window: f64) -> f64 {
    let sums = in_flight.sums();
    let width = in_flight.width(0).0 as f64;
    let buckets = ((window / width) as usize).min(sums.len());
    if buckets < 3 {
        return 0.0;
    }
    let mean = |bucket: usize| sums[bucket] as f64 / in_flight.width(bucket).0 as f64;
    let (first, last) = (sums.len() - buckets, sums.len() - 1);
    // The means of the outer buckets are those half a bucket within the window.
    (mean(last) - mean(first)) * buckets as f64 / (buckets - 1) as f64
}

/// What a service is offered over what it can serve: the work that arrives in a second, over its slots (or cores). `None` where it has no
/// limit or did nothing.
///
/// The time in a slot that an attempt takes is what slots were busy over how many began to be served within the window: those served in the
/// end, or never, less those that piled up.
pub fn offered(fold: &ServiceFold) -> Option<Estimate> {
    let capacity = fold.capacity? * fold.endpoints.1 as f64;
    let of_replication = |r: usize| {
        let served = fold.queue_wait.totals[r].1 + fold.causes[r].unfinished as f64 - fold.growth[r];
        let per_attempt = fold.busy[r] * fold.window[r] / served;
        (served > 0.0 && fold.window[r] > 0.0).then(|| fold.arrived[r] / fold.window[r] * per_attempt / capacity)
    };
    let each: Option<Vec<f64>> = (0..fold.arrived.len()).map(of_replication).collect();
    confidence::mean(&each?, LEVEL)
}

/// Little's law, L = lambda T, of a service: lambda T over L, which is 1 but for what is cut at the edges of the window. `None` where
/// attempts failed, since how long those stayed is not kept, or nothing came.
pub fn little(fold: &ServiceFold) -> Option<Estimate> {
    if fold.failed.iter().any(|&failed| failed > 0.0) {
        return None;
    }
    let each = fold.latency.totals.iter().zip(fold.in_flight.iter().zip(&fold.window));
    let pairs: Vec<(f64, f64)> = each
        .map(|(&(nanos, _), (in_flight, window))| (nanos / 1e9, in_flight * window))
        .collect();
    confidence::ratio(&pairs, LEVEL)
}

/// Whether the two sides of Little's law agree, as far as the replications tell.
pub fn little_holds(ratio: &Estimate) -> bool {
    let agree = (ratio.value - 1.0).abs() <= LITTLE_TOLERANCE;
    agree || ratio.interval.is_some_and(|interval| interval.contains(1.0))
}

/// Whether requests pile up for certain.
fn grows(fold: &ServiceFold) -> bool {
    let mean = fold.in_flight.iter().sum::<f64>() / fold.in_flight.len().max(1) as f64;
    let growth = confidence::mean(&fold.growth, LEVEL);
    growth.is_some_and(|growth| growth.interval.map_or(growth.value, |interval| interval.low) > GROWTH_MIN + 0.1 * mean)
}

/// What is not steady in a variant.
pub(super) fn warnings(variant: usize, plan: &Plan, result: &VariantResult) -> Vec<Warning> {
    let services = result.services.iter().enumerate();
    services
        .filter_map(|(service, fold)| warning(variant, service, fold, plan, result))
        .collect()
}

fn warning(variant: usize, service: usize, fold: &ServiceFold, plan: &Plan, result: &VariantResult) -> Option<Warning> {
    let grows = grows(fold);
    if let Some(offered) = offered(fold)
        && offered.interval.map_or(offered.value, |interval| interval.low) > 1.0
    {
        return Some(Warning::Overloaded {
            variant,
            service,
            offered: offered.value,
            grows,
        });
    }
    if !plan.faults.is_empty() {
        // Requests pile up in an outage, as is expected.
        return None;
    }
    if let Some(capacity) = fold.capacity.filter(|_| grows) {
        let (first, count) = fold.endpoints;
        let busy = |endpoint: usize| result.endpoints[endpoint].busy.estimate(LEVEL).map_or(0.0, |busy| busy.value);
        let saturated = (first..first + count).find(|&endpoint| busy(endpoint) >= SATURATED * capacity);
        if let Some(endpoint) = saturated {
            return Some(Warning::Saturated {
                variant,
                service,
                endpoint,
            });
        }
    }
    let ratio = little(fold)?;
    let interval = ratio.interval?;
    let is_off = interval.high < 1.0 - NOT_STATIONARY || interval.low > 1.0 + NOT_STATIONARY;
    is_off.then_some(Warning::NotStationary {
        variant,
        service,
        ratio: ratio.value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Duration, Time};

    #[test]
    fn growth_is_that_of_the_window() {
        // Ten requests come, one a second, and stay; the first half is not measured.
        let mut series = Series::new(Duration(10_000_000_000), Duration(1_000_000_000));
        for second in 0..10 {
            series.add_overlap(Time(second * 1_000_000_000), Time(20_000_000_000));
        }
        assert!((growth(&series, 5e9) - 5.0).abs() < 1e-9, "{}", growth(&series, 5e9));
        assert_eq!(growth(&series, 1e9), 0.0);
        assert_eq!(growth(&Series::default(), 5e9), 0.0);
    }

    fn service() -> ServiceFold {
        ServiceFold {
            endpoints: (0, 2),
            capacity: Some(2.0),
            arrived: vec![1120.0],
            busy: vec![4.0],
            window: vec![10.0],
            growth: vec![120.0],
            in_flight: vec![60.0],
            failed: vec![0.0],
            causes: vec![Default::default()],
            latency: crate::experiment::fold::LatencyFold {
                totals: vec![(1200e9, 1120.0)],
                ..Default::default()
            },
            queue_wait: crate::experiment::fold::LatencyFold {
                totals: vec![(0.0, 1120.0)],
                ..Default::default()
            },
            ..ServiceFold::default()
        }
    }

    #[test]
    fn offered_load_counts_what_piles_up() {
        // 1120 came in ten seconds, and 1000 were served by four slots that were always busy: 112 a second times 40 ms over 4.
        let offered = offered(&service()).expect("a limit");
        assert!((offered.value - 1.12).abs() < 1e-12, "{}", offered.value);
        let unlimited = ServiceFold {
            capacity: None,
            ..service()
        };
        assert_eq!(super::offered(&unlimited), None);
    }

    #[test]
    fn littles_law_compares_stay_and_number() {
        // Stays of 1200 s in all in ten seconds are 120 at a time, and there were 60.
        let ratio = little(&service()).expect("nothing failed");
        assert!((ratio.value - 2.0).abs() < 1e-12 && !little_holds(&ratio));
        let failing = ServiceFold {
            failed: vec![1.0],
            ..service()
        };
        assert_eq!(little(&failing), None);
    }
}
