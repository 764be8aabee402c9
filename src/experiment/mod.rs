//! Many runs: variants times replications, folded in the order of the cells, whatever the threads do.

pub mod compare;
pub mod expect;
pub mod fold;
pub mod incidents;
pub mod progress;
mod run;
mod schedule;

use crate::measure::warmup::{self, Verdict};
use crate::model::plan::{Plan, Warmup};
use crate::model::result::{PILOT_BUCKETS, RunResult};
use crate::time::Duration;

pub use crate::model::result::{ANSWERERS, Failures};
pub use crate::scenario::{FaultLabel, Names, Scenario, Variant};
pub use fold::VariantResult;
pub use progress::Progress;
pub use run::{Cell, Purpose};
pub use schedule::in_order;

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

/// Where the measured windows begin.
#[derive(Clone, Debug, PartialEq)]
pub struct Warmups {
    /// By variant: what is left out at the start of each replication.
    pub cuts: Vec<Duration>,
    /// What the reader of the results ought to know of them.
    pub warnings: Vec<Warning>,
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
        let pilots = self.pilots().len();
        let cells = self.cells();
        observe(Progress::Started {
            cells: pilots + cells.len(),
        });
        let warmups = self.warmup(threads, &observe);
        let mut folds = self.folds(&warmups);
        let run = |cell: Cell| self.run_cell(cell, &warmups);
        schedule::in_order(&cells, threads, run, |cell, result| {
            folds[cell.variant].add(&result);
            observe(Progress::of_cell(&result));
        });
        self.finish(&warmups, folds)
    }

    /// The cells to measure, replication by replication, so that any prefix of whole replications can be compared.
    pub fn cells(&self) -> Vec<Cell> {
        let variants = 0..self.variants.len();
        (0..self.replications)
            .flat_map(|replication| variants.clone().map(move |variant| Cell { variant, replication }))
            .collect()
    }

    /// Measures one cell: a pure function of the experiment, the cell and the warm-up.
    pub fn run_cell(&self, cell: Cell, warmups: &Warmups) -> RunResult {
        let warmup = warmups.cuts[cell.variant];
        run::run(self, cell, Purpose::Measure { warmup })
    }

    /// Folds the results of cells that were run elsewhere, such as in shards. The replications of a variant must come in their order;
    /// how the variants take turns does not matter. The outcome is that of [`Experiment::run`] with the same cells.
    pub fn fold(&self, warmups: &Warmups, results: impl IntoIterator<Item = (Cell, RunResult)>) -> Outcome {
        let mut folds = self.folds(warmups);
        for (cell, result) in results {
            let fold = &mut folds[cell.variant];
            assert_eq!(fold.replications, cell.replication, "replications come in their order");
            fold.add(&result);
        }
        self.finish(warmups, folds)
    }

    /// Where the measured window of each variant begins. Runs pilots on `threads` threads for the variants whose warm-up is `auto`; the
    /// result does not depend on `threads`.
    pub fn warmup(&self, threads: usize, observe: &impl Fn(Progress)) -> Warmups {
        let mut warnings = Vec::new();
        let auto = self.pilot(threads, observe, &mut warnings);
        Warmups {
            cuts: self.variants.iter().map(|plan| warmup_of(plan, auto)).collect(),
            warnings,
        }
    }

    fn folds(&self, warmups: &Warmups) -> Vec<VariantResult> {
        let pairs = self.variants.iter().zip(&warmups.cuts);
        pairs.map(|(plan, &cut)| VariantResult::new(plan, cut)).collect()
    }

    fn finish(&self, warmups: &Warmups, variants: Vec<VariantResult>) -> Outcome {
        let replications = variants.iter().map(|variant| variant.replications).min().unwrap_or(0);
        let few = (replications < REPLICATIONS_ADVISED).then_some(Warning::FewReplications { replications });
        let warnings = few.into_iter().chain(warmups.warnings.iter().copied()).collect();
        Outcome { variants, warnings }
    }

    /// Whether [`Experiment::warmup`] has anything to run.
    pub fn has_pilots(&self) -> bool {
        self.variants.iter().any(|plan| plan.warmup == Warmup::Auto)
    }

    /// The cells that are run to find the warm-up.
    fn pilots(&self) -> Vec<Cell> {
        let is_auto = |cell: &Cell| self.variants[cell.variant].warmup == Warmup::Auto;
        self.cells().into_iter().filter(is_auto).collect()
    }

    /// The cut that MSER-5 gives for the variants that ask for it: the largest, so that all of them are measured over
    /// the same window.
    fn pilot(&self, threads: usize, observe: &impl Fn(Progress), warnings: &mut Vec<Warning>) -> Duration {
        let cells = self.pilots();
        if cells.is_empty() {
            return Duration::ZERO;
        }
        let mut in_system = vec![vec![0_u128; PILOT_BUCKETS]; self.variants.len()];
        let run = |cell: Cell| run::run(self, cell, Purpose::Pilot);
        schedule::in_order(&cells, threads, run, |cell, result| {
            let sums = &mut in_system[cell.variant];
            sums.iter_mut().zip(&result.in_system).for_each(|(sum, part)| *sum += part);
            observe(Progress::of_cell(&result));
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
}

/// The warm-up of one variant, which leaves something to measure in any case.
fn warmup_of(plan: &Plan, auto: Duration) -> Duration {
    match plan.warmup {
        Warmup::Fixed(warmup) => warmup,
        Warmup::Auto => auto.min(Duration(plan.duration.0 / 2)),
    }
}
