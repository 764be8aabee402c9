//! From the values of both sides to a verdict.

use crate::measure::confidence;
use crate::scenario::expect::{Relation, Tolerance};

/// More replications than this are not advised: the two sides are as good as equal then.
const REPLICATIONS_MAX: usize = 100_000;

/// Whether an expectation holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It does.
    Holds,
    /// It does not.
    Fails,
    /// Nobody can tell yet.
    Undecided(Undecided),
    /// It was not looked at, and why: it is about what was left out on purpose.
    Skipped(String),
}

/// Why nobody can tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Undecided {
    /// The reason, as a lowercase fragment.
    pub reason: String,
    /// About how many more replications would tell, where more of them help.
    pub more_replications: Option<u64>,
}

impl Verdict {
    pub(super) fn severity(&self) -> u8 {
        match self {
            Verdict::Holds => 0,
            Verdict::Skipped(_) => 1,
            Verdict::Undecided(_) => 2,
            Verdict::Fails => 3,
        }
    }

    /// Whether it holds or fails.
    pub fn is_decided(&self) -> bool {
        matches!(self, Verdict::Holds | Verdict::Fails)
    }

    /// Whether a check may pass with it.
    pub fn may_pass(&self) -> bool {
        matches!(self, Verdict::Holds | Verdict::Skipped(_))
    }

    fn undecided(reason: impl Into<String>, more_replications: Option<u64>) -> Verdict {
        Verdict::Undecided(Undecided {
            reason: reason.into(),
            more_replications,
        })
    }

    fn not(self) -> Verdict {
        match self {
            Verdict::Holds => Verdict::Fails,
            Verdict::Fails => Verdict::Holds,
            other => other,
        }
    }

    /// Of both, which must hold.
    fn and(self, other: Verdict) -> Verdict {
        let is_first = match (&self, &other) {
            // The one that takes longer to decide.
            (Verdict::Undecided(a), Verdict::Undecided(b)) => {
                a.more_replications.unwrap_or(u64::MAX) >= b.more_replications.unwrap_or(u64::MAX)
            }
            _ => self.severity() >= other.severity(),
        };
        if is_first { self } else { other }
    }
}

/// Decides a comparison of the values of both sides, replication by replication.
pub fn verdict(left: &[f64], right: &[f64], relation: Relation, tolerance: Option<Tolerance>) -> Verdict {
    let differences = |factor: f64, slack: f64| -> Vec<f64> {
        let pairs = left.iter().zip(right);
        pairs.map(|(left, right)| right * factor + slack - left).collect()
    };
    let negated = |values: Vec<f64>| -> Vec<f64> { values.into_iter().map(|value| -value).collect() };
    match relation {
        Relation::Less => positive(&differences(1.0, 0.0), Zero::Fails),
        Relation::AtMost => positive(&differences(1.0, 0.0), Zero::Holds),
        Relation::Greater => positive(&negated(differences(1.0, 0.0)), Zero::Fails),
        Relation::AtLeast => positive(&negated(differences(1.0, 0.0)), Zero::Holds),
        Relation::NotEqual => verdict(left, right, Relation::Equal, tolerance).not(),
        Relation::Equal => {
            let (low, high) = match tolerance {
                None => return equal(&differences(1.0, 0.0)),
                // Below zero the right side's share points the other way.
                Some(Tolerance::Relative(share)) => {
                    let of = |sign: f64| -> Vec<f64> {
                        let pairs = left.iter().zip(right);
                        pairs
                            .map(|(left, right)| right.abs() * share + sign * (right - left))
                            .collect()
                    };
                    (of(-1.0), of(1.0))
                }
                Some(Tolerance::Absolute(slack)) => (negated(differences(1.0, -slack)), differences(1.0, slack)),
            };
            positive(&low, Zero::Holds).and(positive(&high, Zero::Holds))
        }
    }
}

/// What a value of zero decides.
#[derive(Clone, Copy, PartialEq)]
enum Zero {
    Holds,
    Fails,
}

/// Whether two sides are the same in every replication.
fn equal(differences: &[f64]) -> Verdict {
    if differences.iter().all(|difference| *difference == 0.0) {
        return Verdict::Holds;
    }
    match positive(differences, Zero::Fails) {
        Verdict::Holds | Verdict::Fails => Verdict::Fails,
        Verdict::Undecided(_) => Verdict::undecided(
            "no sample shows that two sides are equal: say how near, as in `within 5%`",
            None,
        ),
        skipped @ Verdict::Skipped(_) => skipped,
    }
}

/// Whether the mean of margins is above zero.
fn positive(margins: &[f64], zero: Zero) -> Verdict {
    // What was not reached within the run is infinitely late: no interval says so, and none is needed.
    let never = |sign: f64| margins.iter().any(|margin| margin.is_infinite() && margin.signum() == sign);
    match (never(-1.0), never(1.0)) {
        _ if margins.iter().any(|margin| margin.is_nan()) => {
            return Verdict::undecided("neither side was reached within the run", None);
        }
        (true, true) => return Verdict::undecided("one side or the other was not reached within the run", None),
        (true, false) => return Verdict::Fails,
        (false, true) => return Verdict::Holds,
        (false, false) => {}
    }
    let Some(estimate) = confidence::mean(margins, confidence::LEVEL) else {
        return Verdict::undecided("there is nothing to compare", None);
    };
    match estimate.interval {
        None => Verdict::undecided("one replication says nothing of the next", Some(9)),
        Some(interval) if interval.low > 0.0 || (zero == Zero::Holds && interval.low == 0.0) => Verdict::Holds,
        Some(interval) if interval.high < 0.0 || (zero == Zero::Fails && interval.high == 0.0) => Verdict::Fails,
        Some(interval) => match more_replications(estimate.value, interval.half_width(), estimate.n) {
            Some(more) => Verdict::undecided("the interval of the difference holds zero", Some(more)),
            None => Verdict::undecided("the two sides are as good as equal", None),
        },
    }
}

/// How many more than `n` replications would make an interval of `half_width` narrower than the distance of the mean from zero, if both
/// mean and spread stay what they are.
pub fn more_replications(mean: f64, half_width: f64, n: usize) -> Option<u64> {
    let t = |n: usize| confidence::student_t((1.0 + confidence::LEVEL) / 2.0, n - 1);
    let deviation = half_width / t(n) * (n as f64).sqrt();
    let is_enough = |n: usize| t(n) * deviation / (n as f64).sqrt() < mean.abs();
    if !is_enough(REPLICATIONS_MAX) {
        return None;
    }
    let (mut low, mut high) = (n, REPLICATIONS_MAX);
    while low + 1 < high {
        let middle = low.midpoint(high);
        if is_enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some((high - n) as u64)
}

/// A verdict over values without spread, looked at again on the bounds of the one share in it: both sides at its lower and at its upper
/// bound, if there were so many times as many requests.
pub(super) fn on_bounds(
    verdict: Verdict,
    relation: Relation,
    tolerance: Option<Tolerance>,
    replications: usize,
    bounds: impl Fn(f64) -> Option<[[f64; 2]; 2]>,
) -> Verdict {
    let decided = |factor: f64| {
        let ends = bounds(factor)?.map(|[left, right]| {
            // Twice the same value, as if it were sure.
            self::verdict(&[left, left], &[right, right], relation, tolerance)
        });
        Some(ends[0] == ends[1])
    };
    if decided(1.0) != Some(false) {
        return verdict;
    }
    let mut factor = 2.0;
    while decided(factor) == Some(false) {
        factor *= 2.0;
        if factor > 1e6 {
            return Verdict::undecided("there are too few requests to be sure", None);
        }
    }
    let (mut low, mut high) = (factor / 2.0, factor);
    for _ in 0..20 {
        let middle = (low + high) / 2.0;
        if decided(middle) == Some(false) {
            low = middle;
        } else {
            high = middle;
        }
    }
    let more = ((high - 1.0) * replications as f64).ceil().max(1.0);
    Verdict::undecided("there are too few requests to be sure", Some(more as u64))
}
