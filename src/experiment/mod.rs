//! Many runs: variants times replications, folded in the order of the cells, whatever the threads do.

pub mod compare;
pub mod effects;
pub mod endpoints;
pub mod expect;
pub mod fold;
pub mod incidents;
pub mod progress;
mod run;
mod schedule;

use crate::measure::warmup::{self, Verdict};
use crate::model::plan::{Plan, Warmup};
use crate::model::result::PILOT_BUCKETS;
use crate::time::Duration;

pub use crate::model::result::{ANSWERERS, Failures};
pub use crate::scenario::{FaultLabel, Names, Scenario, Variant};
pub use fold::VariantResult;
pub use progress::{Progress, Widest};
pub use run::{Cell, Purpose};

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Experiment<'a> {
    /// The plan of each variant, in the order of the file.
    pub variants: Vec<&'a Plan>,
    /// The scenario's seed.
    pub seed: u64,
    /// Replications of each variant; at least one. Replication r of every variant sees the same traffic.
    pub replications: u32,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// By variant, in the order of the experiment.
    pub variants: Vec<VariantResult>,
    /// What the reader of the results ought to know.
    pub warnings: Vec<Warning>,
}

/// What makes results less trustworthy than they look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warning {
    /// Fewer replications than an interval needs.
    FewReplications {
        /// How many there are.
        replications: u32,
    },
    /// MSER-5 found no settled part of a variant.
    NotSettled {
        /// Which variant.
        variant: usize,
    },
    /// The measured part is shorter than ten times what was cut.
    ShortRun {
        /// What was cut.
        warmup: Duration,
        /// The whole run.
        duration: Duration,
    },
}

/// Below this many replications an interval is too wide or too uncertain to lean on.
const REPLICATIONS_ADVISED: u32 = 10;

impl<'a> Experiment<'a> {
    /// The experiment that a scenario describes.
    pub fn of(scenario: &'a Scenario) -> Experiment<'a> {
        Experiment {
            variants: scenario.variants.iter().map(|variant| &*variant.plan).collect(),
            seed: scenario.seed,
            replications: scenario.replications,
        }
    }

    /// Runs every cell on `threads` threads and folds the results. The outcome does not depend on `threads`.
    pub fn run(&self, threads: usize, observe: impl Fn(Progress)) -> Outcome {
        assert!(self.replications >= 1 && !self.variants.is_empty());
        let mut warnings = Vec::new();
        if self.replications < REPLICATIONS_ADVISED {
            warnings.push(Warning::FewReplications {
                replications: self.replications,
            });
        }
        let pilots = self.variants.iter().filter(|plan| plan.warmup == Warmup::Auto).count();
        let cells = (self.variants.len() + pilots) * self.replications as usize;
        observe(Progress::Started { cells });
        let auto = if pilots > 0 {
            self.pilot(threads, &observe, &mut warnings)
        } else {
            Duration::ZERO
        };
        let variants = self.measure(threads, auto, &observe);
        Outcome { variants, warnings }
    }

    /// The cells of the variants that `filter` lets pass, in the order of variants, then replications.
    fn cells(&self, filter: impl Fn(&Plan) -> bool) -> Vec<Cell> {
        let variants = (0..self.variants.len()).filter(|&variant| filter(self.variants[variant]));
        variants
            .flat_map(|variant| (0..self.replications).map(move |replication| Cell { variant, replication }))
            .collect()
    }

    /// The cut that MSER-5 gives for the variants that ask for it: the largest, so that all of them are measured over
    /// the same window.
    fn pilot(&self, threads: usize, observe: &impl Fn(Progress), warnings: &mut Vec<Warning>) -> Duration {
        let cells = self.cells(|plan| plan.warmup == Warmup::Auto);
        let mut in_system = vec![vec![0_u128; PILOT_BUCKETS]; self.variants.len()];
        let run = |cell: Cell| run::run(self, cell, Purpose::Pilot);
        schedule::in_order(&cells, threads, run, |cell, result| {
            let sums = &mut in_system[cell.variant];
            sums.iter_mut().zip(&result.in_system).for_each(|(sum, part)| *sum += part);
            observe(Progress::of_cell(&result, None));
        });
        let mut cut = Duration::ZERO;
        for (variant, plan) in self.variants.iter().enumerate() {
            if plan.warmup != Warmup::Auto {
                continue;
            }
            let mean: Vec<f64> = in_system[variant].iter().map(|&sum| sum as f64).collect();
            let found = warmup::mser5(&mean);
            if found.verdict == Verdict::OnBoundary {
                warnings.push(Warning::NotSettled { variant });
            }
            let nanos = u128::from(plan.duration.0) * found.points as u128 / PILOT_BUCKETS as u128;
            cut = cut.max(Duration(nanos as u64));
        }
        let shortest = self
            .variants
            .iter()
            .map(|plan| plan.duration)
            .min()
            .expect("there are variants");
        if shortest.0 < cut.0.saturating_mul(11) {
            warnings.push(Warning::ShortRun {
                warmup: cut,
                duration: shortest,
            });
        }
        cut
    }

    fn measure(&self, threads: usize, auto: Duration, observe: &impl Fn(Progress)) -> Vec<VariantResult> {
        let warmups: Vec<Duration> = self.variants.iter().map(|plan| warmup_of(plan, auto)).collect();
        let folds = self
            .variants
            .iter()
            .zip(&warmups)
            .map(|(plan, &warmup)| VariantResult::new(plan, warmup));
        let mut folds: Vec<VariantResult> = folds.collect();
        let run = |cell: Cell| {
            let purpose = Purpose::Measure {
                warmup: warmups[cell.variant],
            };
            run::run(self, cell, purpose)
        };
        schedule::in_order(&self.cells(|_| true), threads, run, |cell, result| {
            folds[cell.variant].add(&result);
            observe(Progress::of_cell(&result, Widest::of(&folds)));
        });
        folds
    }
}

/// The warm-up of one variant, which leaves something to measure in any case.
fn warmup_of(plan: &Plan, auto: Duration) -> Duration {
    match plan.warmup {
        Warmup::Fixed(warmup) => warmup,
        Warmup::Auto => auto.min(Duration(plan.duration.0 / 2)),
    }
}
