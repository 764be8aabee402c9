//! Whether what a scenario expects holds: decided on confidence bounds, replication by replication.
//!
//! Both sides of a comparison are computed for each replication, from metrics of that replication alone; since replication r of every
//! variant sees the same traffic, their difference is a paired one. The expectation holds if the whole t interval of the mean
//! difference is on its side of zero, fails if it is on the other, and is undecided in between. `==` within a tolerance holds if the
//! whole interval is within it: two one-sided tests of the equivalence at once.

pub mod decide;
pub mod values;

use crate::experiment::{Outcome, Scenario};
use crate::measure::confidence::{self, Estimate};
use crate::scenario::expect::{Comparison, Expectation, Expr, Function, Operator, Place};

pub use crate::scenario::expect::{Argument, Better, Metric, MetricOf};
pub use decide::{Undecided, Verdict};
pub use values::{Lookup, Missing};

/// What is known of an expectation.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The line of `expect:`.
    pub text: String,
    /// Where the line names no variant and there are several: of which this is.
    pub variant: Option<String>,
    /// Where the line is.
    pub place: Option<Place>,
    /// Whether it holds.
    pub verdict: Verdict,
    /// The left side, where it can be computed; of a chain, that of the link that decides.
    pub left: Option<Estimate>,
    /// The right side.
    pub right: Option<Estimate>,
    /// The power of a second in which both sides are: 1 for times, -1 for rates, 0 for shares and counts.
    pub unit: i32,
    /// Whether both sides are shares of a whole.
    pub is_share: bool,
}

/// Decides every expectation of a scenario.
pub fn decide(scenario: &Scenario, outcome: &Outcome) -> Vec<Decision> {
    let known: Vec<&str> = scenario.all_variants.iter().map(String::as_str).collect();
    let mut decisions = Vec::new();
    for expectation in &scenario.expect {
        let is_of_each = known.len() > 1
            && expectation
                .metrics()
                .all(|of| of.meaning(&known).is_ok_and(|meaning| meaning.variant.is_none()));
        let meant: Vec<Option<usize>> = match is_of_each {
            true => (0..scenario.variants.len()).map(Some).collect(),
            false => vec![None],
        };
        for variant in meant {
            let lookup = Lookup {
                scenario,
                outcome,
                variant,
            };
            decisions.push(decide_one(expectation, lookup));
        }
    }
    decisions
}

/// A line, of one variant: that of the link that decides.
fn decide_one(expectation: &Expectation, lookup: Lookup<'_>) -> Decision {
    let links = expectation.comparisons.iter().map(|link| decide_link(link, lookup));
    // What fails decides, then what is not known; of equals the first.
    let worst = links
        .enumerate()
        .max_by_key(|(index, (verdict, ..))| (verdict.severity(), usize::MAX - index));
    let (at, (verdict, left, right)) = worst.expect("an expectation compares something");
    let link = &expectation.comparisons[at];
    let metrics: Vec<&MetricOf> = [&link.left, &link.right].iter().flat_map(|side| side.metrics()).collect();
    Decision {
        text: expectation.text.clone(),
        variant: lookup.variant.map(|index| lookup.scenario.variants[index].name.clone()),
        place: expectation.place,
        verdict,
        left,
        right,
        unit: link.unit(),
        is_share: metrics.iter().all(|of| of.metric.is_share()),
    }
}

fn decide_link(link: &Comparison, lookup: Lookup<'_>) -> (Verdict, Option<Estimate>, Option<Estimate>) {
    let each = |of: &MetricOf| lookup.each(of);
    let sides = [&link.left, &link.right].map(|side| value(side, &each));
    let [left, right] = &sides;
    let estimate = |side: &Result<Vec<f64>, Missing>| confidence::mean(side.as_ref().ok()?, confidence::LEVEL);
    // A number is one whatever the replications.
    let estimates = [left, right].map(|side| estimate(side).filter(|estimate| estimate.value.is_finite()));
    let verdict = match (left, right) {
        (Err(Missing::NotRun(reason)), _) | (_, Err(Missing::NotRun(reason))) => Verdict::Skipped(reason.clone()),
        (Err(Missing::Data(reason, more)), _) | (_, Err(Missing::Data(reason, more))) => Verdict::Undecided(Undecided {
            reason: reason.clone(),
            more_replications: *more,
        }),
        (Ok(left), Ok(right)) => {
            // A number alone is the same in every replication.
            let count = left.len().max(right.len());
            let spread = |side: &[f64]| (0..count).map(|at| side[at.min(side.len() - 1)]).collect::<Vec<f64>>();
            let (left, right) = (spread(left), spread(right));
            let verdict = decide::verdict(&left, &right, link.relation, link.tolerance);
            // What is exactly on the limit is decided by what the relation says of equals: `availability >= 100%`.
            match left == right {
                true => verdict,
                false => reconsidered(verdict, link, lookup, count),
            }
        }
    };
    (verdict, estimates[0], estimates[1])
}

/// Shares of requests that are the same in all replications (all succeeded, mostly) have an interval without width, which is too good to
/// be true: then it is Wilson's over all requests.
fn reconsidered(verdict: Verdict, link: &Comparison, lookup: Lookup<'_>, replications: usize) -> Verdict {
    let metrics: Vec<&MetricOf> = [&link.left, &link.right].iter().flat_map(|side| side.metrics()).collect();
    let [of] = metrics[..] else { return verdict };
    if !verdict.is_decided() || replications < confidence::REPLICATIONS_MIN {
        return verdict;
    }
    let (Some((successes, trials)), Ok(each)) = (lookup.trials(of), lookup.each(of)) else {
        return verdict;
    };
    if each.windows(2).any(|pair| pair[0] != pair[1]) {
        return verdict;
    }
    let bounds = |factor: f64| {
        let interval = confidence::wilson(successes * factor, trials * factor, confidence::LEVEL);
        let at = |share: f64| {
            let each = |_: &MetricOf| Ok(vec![share]);
            Some([value(&link.left, &each).ok()?[0], value(&link.right, &each).ok()?[0]])
        };
        Some([at(interval.low)?, at(interval.high)?])
    };
    decide::on_bounds(verdict, link.relation, link.tolerance, replications, bounds)
}

/// The value of an expression in each replication; that of a number alone is one.
fn value(expr: &Expr, each: &impl Fn(&MetricOf) -> Result<Vec<f64>, Missing>) -> Result<Vec<f64>, Missing> {
    match expr {
        Expr::Number(number) => Ok(vec![number.value]),
        Expr::Metric(metric) => each(metric),
        Expr::Negative(inner) => Ok(value(inner, each)?.into_iter().map(|value| -value).collect()),
        Expr::Binary(operator, left, right) => {
            let (left, right) = (value(left, each)?, value(right, each)?);
            if *operator == Operator::Over && right.contains(&0.0) {
                let reason = "it divides by zero in some replication".to_string();
                return Err(Missing::Data(reason, None));
            }
            Ok(combined(&left, &right, |left, right| match operator {
                Operator::Plus => left + right,
                Operator::Minus => left - right,
                Operator::Times => left * right,
                Operator::Over => left / right,
            }))
        }
        Expr::Call(function, values) => {
            let mut values = values.iter().map(|argument| value(argument, each));
            let first = values.next().expect("a function has values")?;
            let first = match function {
                Function::Abs => first.into_iter().map(f64::abs).collect(),
                Function::Min | Function::Max => first,
            };
            values.try_fold(first, |so_far, next| {
                let of = if *function == Function::Min { f64::min } else { f64::max };
                Ok(combined(&so_far, &next?, of))
            })
        }
    }
}

/// Replication by replication. A side with one value has it in all of them.
fn combined(left: &[f64], right: &[f64], of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let count = match (left.len(), right.len()) {
        (1, other) | (other, 1) => other,
        (left, right) => left.min(right),
    };
    let at = |side: &[f64], index: usize| side[if side.len() == 1 { 0 } else { index }];
    (0..count).map(|index| of(at(left, index), at(right, index))).collect()
}
