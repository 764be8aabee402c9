//! Earlier results that later ones are compared with, figure by figure.
//!
//! Where both have the same seed and saw the same traffic, replication r of one is compared with replication r of the other; else the
//! means are, by Welch's interval. A figure has regressed if the whole interval is worse than what it was by more than the tolerance,
//! and has not if none of it is; in between nobody can tell.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::experiment::expect::decide::more_replications;
use crate::experiment::expect::values::{Key, Lookup, Missing};
use crate::experiment::expect::{Better, Metric, MetricOf};
use crate::experiment::{Outcome, Scenario};
use crate::measure::confidence::{self, Estimate, Interval, LEVEL, Method};
use crate::report::replications::{Replications, metric_of};
use crate::report::summary::{Summary, Value};
use crate::report::{Results, json};

/// How much worse a time, rate or count may be where nobody says otherwise.
const TOLERANCE: f64 = 0.02;
/// The same for shares: a tenth of a percentage point.
const TOLERANCE_OF_SHARES: f64 = 0.001;
/// What is compared of each client where nobody says otherwise.
const USUAL: [&str; 4] = ["availability", "mean", "p50", "p99"];

/// Earlier results.
#[derive(Clone, Debug)]
pub struct Baseline {
    folder: PathBuf,
    summary: Summary,
    replications: Replications,
}

/// How much worse things may be. What is absent the scenario says, or it is 2 %, and 0.1 percentage points for shares.
#[derive(Clone, Debug, Default)]
pub struct Tolerances {
    /// Of what is no share, relative.
    pub general: Option<f64>,
    /// Of single metrics; of shares in absolute terms.
    pub single: Vec<(Metric, f64)>,
}

/// What came of a comparison with a baseline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BaselineCheck {
    /// Where the baseline lies.
    pub folder: String,
    /// The version of meshsim that wrote it.
    pub version: String,
    /// What the reader ought to know of it.
    pub notes: Vec<String>,
    /// Variants of which every event of every replication is the same as in the baseline.
    pub identical: Vec<String>,
    /// What was compared of the others.
    pub comparisons: Vec<BaselineComparison>,
}

/// One figure, then and now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BaselineComparison {
    /// The variant.
    pub variant: String,
    /// The figure: `p99(web)`.
    pub metric: String,
    /// What can be said.
    pub verdict: Standing,
    /// Why nothing can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// About how many more replications would tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_replications: Option<u64>,
    /// `seconds`, `ratio`, `per_second` or, of counts, nothing.
    pub unit: &'static str,
    /// What it was: the mean over replications.
    pub was: Value,
    /// What it is.
    pub is: Value,
    /// By how much it changed: of a share the difference, else relative to what it was.
    pub change: Value,
    /// How much worse it may be, in the terms of `change`.
    pub tolerance: f64,
    /// Whether replications were compared in pairs.
    pub paired: bool,
}

/// Why earlier results cannot be compared with; the text is for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// There are none, or they are not those of this version.
    Unreadable(String),
    /// They are of another scenario.
    Foreign(String),
}

/// How a figure stands to what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It is no worse than the tolerance allows.
    Unchanged,
    /// It is better, and more than chance.
    Improved,
    /// It is worse by more than the tolerance.
    Regressed,
    /// Nobody can tell.
    Undecided,
}

impl Standing {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Unchanged => "unchanged",
            Standing::Improved => "improved",
            Standing::Regressed => "regressed",
            Standing::Undecided => "undecided",
        }
    }
}

impl Baseline {
    /// Where the results of a scenario lie below `folder`: in a folder of its name, or in `folder` itself if that is a results folder.
    pub fn place(folder: &Path, scenario: &str) -> PathBuf {
        match folder.join("summary.json").exists() {
            true => folder.to_path_buf(),
            false => folder.join(scenario),
        }
    }

    /// Reads a results folder.
    ///
    /// # Errors
    /// Says what is missing, or that they are results of something else.
    pub fn read(folder: &Path, scenario: &str) -> Result<Baseline, Unusable> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path)
                .map_err(|error| Unusable::Unreadable(format!("cannot read the baseline `{}`: {error}", path.display())))
        };
        let wrong = |name: &str, problem: String| {
            let path = folder.join(name);
            Unusable::Unreadable(format!("`{}` is no baseline for this version: {problem}", path.display()))
        };
        let summary = json::read(&read("summary.json")?).map_err(|problem| wrong("summary.json", problem))?;
        if summary.scenario != scenario {
            let folder = folder.display();
            let problem = format!(
                "the baseline `{folder}` is of the scenario `{}`, not of `{scenario}`",
                summary.scenario
            );
            return Err(Unusable::Foreign(problem));
        }
        let replications =
            Replications::read(&read("replications.csv")?).map_err(|problem| wrong("replications.csv", problem))?;
        Ok(Baseline {
            folder: folder.to_path_buf(),
            summary,
            replications,
        })
    }

    /// Compares an outcome with it.
    pub fn compare(&self, scenario: &Scenario, outcome: &Outcome, results: &Results, tolerances: &Tolerances) -> BaselineCheck {
        let mut check = BaselineCheck {
            folder: self.folder.display().to_string(),
            version: self.summary.version.clone(),
            notes: self.notes(&results.summary),
            identical: Vec::new(),
            comparisons: Vec::new(),
        };
        for (index, variant) in scenario.variants.iter().enumerate() {
            let Some(then) = self.summary.variant(&variant.name) else {
                continue;
            };
            let is_same = results.summary.variants[index].digest == then.digest;
            if is_same && self.summary.replications == results.summary.replications {
                check.identical.push(variant.name.clone());
                continue;
            }
            let lookup = Lookup {
                scenario,
                outcome,
                variant: Some(index),
            };
            let paired = self.can_be_paired(&results.summary, results, &variant.name);
            if self.summary.seed == results.summary.seed && !paired {
                check.notes.push(format!(
                    "`{}` saw other traffic then, so replications are not compared in pairs",
                    variant.name
                ));
            }
            let usual: Vec<MetricOf> = (variant.names.clients.iter())
                .flat_map(|client| USUAL.map(|metric| metric_of(metric, format!("client {client}"))))
                .collect();
            let is_usual = scenario.baseline.metrics.is_empty();
            for of in if is_usual { &usual } else { &scenario.baseline.metrics } {
                let Some(key) = lookup.key(of) else { continue };
                let then = self.replications.get(&variant.name, &key);
                let now = lookup.each(of);
                // A usual figure that neither has, for lack of values, is nobody's loss.
                if is_usual && then.is_none() && now.is_err() {
                    continue;
                }
                let tolerance = tolerances.of(of.metric, scenario);
                check
                    .comparisons
                    .push(compared(&variant.name, &key, of.metric, (then, now), tolerance, paired));
            }
        }
        check
    }

    /// What the reader ought to know.
    fn notes(&self, now: &Summary) -> Vec<String> {
        let then = &self.summary;
        let mut notes = Vec::new();
        if then.version != now.version {
            notes.push(format!(
                "the baseline was written by meshsim {}, and this is {}",
                then.version, now.version
            ));
        }
        if then.scenario_digest != now.scenario_digest {
            let digests = (&then.scenario_digest, &now.scenario_digest);
            notes.push(format!(
                "the scenario is not what it was then: digest {}, now {}",
                digests.0, digests.1
            ));
        }
        if then.seed != now.seed {
            notes.push(format!(
                "the seed was {}, now {}, so replications are not compared in pairs",
                then.seed, now.seed
            ));
        }
        if then.replications != now.replications {
            notes.push(format!(
                "there were {} replications, now {}",
                then.replications, now.replications
            ));
        }
        let missing = |from: &Summary, of: &Summary| -> Vec<String> {
            let names = from.variants.iter().filter(|variant| of.variant(&variant.name).is_none());
            names.map(|variant| format!("`{}`", variant.name)).collect()
        };
        let (gone, new) = (missing(then, now), missing(now, then));
        if !gone.is_empty() {
            notes.push(format!("not run this time: {}", gone.join(", ")));
        }
        if !new.is_empty() {
            notes.push(format!("not in the baseline, and so not compared: {}", new.join(", ")));
        }
        notes
    }

    /// Whether replication r of a variant saw the same traffic then: the same seed, and as many requests of every client.
    fn can_be_paired(&self, now: &Summary, results: &Results, variant: &str) -> bool {
        let Some(then) = self.summary.variant(variant) else {
            return false;
        };
        let is_same = |client: &str| {
            let key = Key {
                scope: "client",
                name: client.to_string(),
                window: String::new(),
                metric: "requests".to_string(),
            };
            let (then, now) = (self.replications.get(variant, &key), results.replications.get(variant, &key));
            matches!((then, now), (Some(then), Some(now)) if then.iter().zip(now).all(|(then, now)| then == now))
        };
        self.summary.seed == now.seed && then.clients.iter().all(|(client, _)| is_same(client))
    }
}

impl Tolerances {
    fn of(&self, metric: Metric, scenario: &Scenario) -> f64 {
        let single = |list: &[(Metric, f64)]| list.iter().rev().find(|(other, _)| *other == metric).map(|(_, share)| *share);
        let general = self.general.or(scenario.baseline.tolerance).unwrap_or(TOLERANCE);
        let usual = if metric.is_share() { TOLERANCE_OF_SHARES } else { general };
        single(&self.single)
            .or_else(|| single(&scenario.baseline.tolerances))
            .unwrap_or(usual)
    }
}

type Sides<'a> = (Option<&'a [f64]>, Result<Vec<f64>, Missing>);

fn compared(variant: &str, key: &Key, metric: Metric, sides: Sides<'_>, tolerance: f64, paired: bool) -> BaselineComparison {
    let window = if key.window.is_empty() {
        String::new()
    } else {
        format!(" {}", key.window)
    };
    let mut comparison = BaselineComparison {
        variant: variant.to_string(),
        metric: format!("{}({}){window}", key.metric, key.name),
        verdict: Standing::Undecided,
        reason: None,
        more_replications: None,
        unit: unit(metric.unit(), metric.is_share()),
        was: Value::default(),
        is: Value::default(),
        change: Value::default(),
        tolerance,
        paired,
    };
    let (then, now) = match sides {
        (Some(then), Ok(now)) => (then, now),
        (None, _) => {
            comparison.reason = Some("the baseline does not hold it: write it anew with `--update-baseline`".to_string());
            return comparison;
        }
        (_, Err(Missing::Data(reason, more))) => {
            (comparison.reason, comparison.more_replications) = (Some(reason), more);
            return comparison;
        }
        (_, Err(Missing::NotRun(reason))) => {
            comparison.reason = Some(reason);
            return comparison;
        }
    };
    comparison.was = Value::of(confidence::mean(then, LEVEL), "nothing was measured");
    comparison.is = Value::of(confidence::mean(&now, LEVEL), "nothing was measured");
    let difference = of_means(&now, then, paired);
    let scale = match (metric.is_share(), &comparison.was.value) {
        (true, _) => 1.0,
        (false, Some(was)) => was.abs(),
        (false, None) => 0.0,
    };
    comparison.change = match difference {
        Some(difference) if scale > 0.0 => Value::divided(&difference, scale),
        Some(difference) if difference.value == 0.0 => Value::exact(0.0),
        _ => Value::missing("it was zero"),
    };
    // Above zero where it is worse by more than it may be, and where it is better.
    let worse = |sign: f64| {
        let limits: Vec<f64> = then
            .iter()
            .map(|then| sign * then + tolerance * if metric.is_share() { 1.0 } else { then.abs() })
            .collect();
        let now: Vec<f64> = now.iter().map(|now| sign * now).collect();
        of_means(&now, &limits, paired)
    };
    let (standing, margin) = match metric.better() {
        Better::Lower => standing(worse(1.0), difference, 1.0),
        Better::Higher => standing(worse(-1.0), difference, -1.0),
        Better::Same => match (standing(worse(1.0), None, 1.0), standing(worse(-1.0), None, 1.0)) {
            (found, (Standing::Unchanged, _)) | ((Standing::Unchanged, _), found) => found,
            (found @ (Standing::Regressed, _), _) | (_, found @ (Standing::Regressed, _)) => found,
            (found, _) => found,
        },
    };
    comparison.verdict = standing;
    if standing == Standing::Undecided {
        let more = margin.and_then(|margin| {
            let interval = margin.interval?;
            more_replications(margin.value, interval.half_width(), margin.n)
        });
        comparison.more_replications = more;
        comparison.reason = Some(match margin.map(|margin| margin.interval.is_some()) {
            Some(true) => "it may be worse by more than the tolerance, or not".to_string(),
            _ => "one replication says nothing of the next".to_string(),
        });
    }
    comparison
}

/// How a figure stands, by how much more than the tolerance it is worse, and by how much it changed, `sign` being which way is worse.
fn standing(worse: Option<Estimate>, change: Option<Estimate>, sign: f64) -> (Standing, Option<Estimate>) {
    let is_better = |interval: Interval| (interval.low * sign).max(interval.high * sign) < 0.0;
    let bounds = worse.and_then(|worse| worse.interval);
    let standing = match bounds {
        // Equal in the only replication: all the same.
        None if change.is_some_and(|change| change.value == 0.0) => Standing::Unchanged,
        None => Standing::Undecided,
        Some(interval) if interval.low > 0.0 => Standing::Regressed,
        Some(_) if change.and_then(|change| change.interval).is_some_and(is_better) => Standing::Improved,
        Some(interval) if interval.high <= 0.0 => Standing::Unchanged,
        Some(_) => Standing::Undecided,
    };
    (standing, worse)
}

/// The difference of the means: of pairs where they are pairs, else by Welch.
fn of_means(a: &[f64], b: &[f64], paired: bool) -> Option<Estimate> {
    if paired {
        let count = a.len().min(b.len());
        return confidence::paired_difference(&a[..count], &b[..count], LEVEL);
    }
    let (of_a, of_b) = (confidence::mean(a, LEVEL)?, confidence::mean(b, LEVEL)?);
    let variance = |values: &[f64], mean: f64| {
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        squares / (values.len() - 1) as f64 / values.len() as f64
    };
    let value = of_a.value - of_b.value;
    let n = a.len().min(b.len());
    if n < confidence::REPLICATIONS_MIN {
        return Some(Estimate {
            value,
            interval: None,
            n,
            method: Method::Welch,
        });
    }
    let (var_a, var_b) = (variance(a, of_a.value), variance(b, of_b.value));
    let both = var_a + var_b;
    // Welch and Satterthwaite's degrees of freedom, rounded down, which errs on the wide side.
    let degrees = match both > 0.0 {
        true => both * both / (var_a * var_a / (a.len() - 1) as f64 + var_b * var_b / (b.len() - 1) as f64),
        false => 1.0,
    };
    let half = confidence::student_t((1.0 + LEVEL) / 2.0, (degrees as usize).max(1)) * both.sqrt();
    let interval = Interval {
        low: value - half,
        high: value + half,
    };
    Some(Estimate {
        value,
        interval: Some(interval),
        n,
        method: Method::Welch,
    })
}

/// The unit as documents call it.
pub(super) fn unit(power: i32, is_share: bool) -> &'static str {
    match (power, is_share) {
        (1, _) => "seconds",
        (-1, _) => "per_second",
        (_, true) => "ratio",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(metric: &str, then: &[f64], now: &[f64], tolerance: f64, paired: bool) -> BaselineComparison {
        let key = Key {
            scope: "client",
            name: "web".to_string(),
            window: String::new(),
            metric: metric.to_string(),
        };
        let metric = Metric::from_name(metric).expect("a metric");
        compared("v", &key, metric, (Some(then), Ok(now.to_vec())), tolerance, paired)
    }

    #[test]
    fn what_is_worse_beyond_doubt_has_regressed() {
        let then = [0.100, 0.110, 0.090, 0.105, 0.095];
        let times = |factor: f64| then.map(|value| value * factor);
        for (factor, standing) in [
            (1.05, Standing::Regressed),
            (1.01, Standing::Unchanged),
            (1.0, Standing::Unchanged),
            (0.99, Standing::Improved),
            (0.5, Standing::Improved),
        ] {
            // In pairs nothing but the factor is left.
            assert_eq!(
                verdict("p99", &then, &times(factor), 0.02, true).verdict,
                standing,
                "{factor}"
            );
        }
        // Without pairs the spread between replications hides it: 5 % of 100 ms is less than the deviation of 8 ms.
        let hidden = verdict("p99", &then, &times(1.05), 0.02, false);
        assert_eq!(hidden.verdict, Standing::Undecided);
        assert!(hidden.more_replications.is_some_and(|more| more > 5), "{hidden:?}");
        assert_eq!(verdict("p99", &then, &times(2.0), 0.02, false).verdict, Standing::Regressed);
        assert_eq!(
            verdict("goodput", &then, &times(0.9), 0.02, true).verdict,
            Standing::Regressed
        );
        assert_eq!(verdict("goodput", &then, &times(1.1), 0.02, true).verdict, Standing::Improved);
        assert_eq!(
            verdict("requests", &then, &times(1.1), 0.02, true).verdict,
            Standing::Regressed
        );
        assert_eq!(
            verdict("requests", &then, &times(0.9), 0.02, true).verdict,
            Standing::Regressed
        );
    }

    #[test]
    fn shares_are_compared_in_points() {
        let then = [0.999, 0.998, 0.9985];
        let less = |points: f64| then.map(|value| value - points);
        assert_eq!(
            verdict("availability", &then, &less(0.0005), 0.001, true).verdict,
            Standing::Unchanged
        );
        let worse = verdict("availability", &then, &less(0.002), 0.001, true);
        assert_eq!(worse.verdict, Standing::Regressed);
        assert!((worse.change.value.expect("a number") + 0.002).abs() < 1e-12);
        assert_eq!(
            verdict("availability", &[1.0; 3], &[1.0; 3], 0.001, false).verdict,
            Standing::Unchanged
        );
    }

    #[test]
    fn one_replication_tells_only_what_is_equal() {
        assert_eq!(verdict("p99", &[0.1], &[0.1], 0.02, true).verdict, Standing::Unchanged);
        assert_eq!(verdict("p99", &[0.1], &[0.2], 0.02, true).verdict, Standing::Undecided);
    }

    #[test]
    fn unpaired_means_have_welchs_interval() {
        // By Welch's formulas, worked out with pencil and paper: t = -2.8292 with 27.88 degrees of freedom.
        let a = [
            27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4,
        ];
        let b = [
            27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 30.5, 24.0,
        ];
        let found = of_means(&a, &b, false).expect("there are values");
        let half = found.interval.expect("an interval").half_width();
        // The table's 97.5th percentile of t with 27 degrees.
        let t = found.value / (half / 2.0518);
        assert!((t + 2.8292).abs() < 0.001, "{t}");
    }
}
