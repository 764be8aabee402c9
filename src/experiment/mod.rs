//! Many runs: variants times replications, folded in the order of the cells, whatever the threads do.

pub mod compare;
pub mod effects;
pub mod endpoints;
pub mod expect;
pub mod fold;
pub mod incidents;
pub mod precision;
pub mod progress;
pub mod ranking;
mod run;
mod schedule;
pub mod stability;

use std::ops::ControlFlow;

use crate::measure::confidence::{Estimator, LEVEL};
use crate::measure::warmup::{self, Verdict};
use crate::model::plan::{Plan, Warmup};
use crate::model::result::{PILOT_BUCKETS, RunResult};
use crate::random::{self, Streams};
use crate::time::Duration;

pub use crate::model::result::{ANSWERERS, Failures};
pub use crate::scenario::{FaultLabel, Names, Scenario, Variant};
pub use fold::VariantResult;
pub use precision::Reached;
use precision::Watcher;
pub use progress::{Progress, Widest};
pub use run::{Cell, Purpose};
pub use schedule::in_order;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Experiment<'a> {
    /// The plan of each variant, in the order of the file.
    pub variants: Vec<&'a Plan>,
    /// The scenario's seed.
    pub seed: u64,
    /// Replications of each variant; at least one. Replication r of every variant sees the same traffic. There are more where
    /// `scenario.statistics` asks for a precision.
    pub replications: u32,
    /// What is run.
    pub scenario: &'a Scenario,
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
    /// How well figures are known, where the scenario says how well they are to be.
    pub reached: Option<Reached>,
}

impl Outcome {
    /// How many replications every variant has.
    pub fn replications(&self) -> u32 {
        self.variants.iter().map(|variant| variant.replications).min().unwrap_or(0)
    }
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
    /// More work arrives at a service than it has the capacity for.
    Overloaded {
        /// The variant.
        variant: usize,
        /// The service.
        service: usize,
        /// What it is offered over what it can serve.
        offered: f64,
        /// Whether requests pile up there for as long as the run lasts.
        grows: bool,
    },
    /// One endpoint is busy all the time and requests pile up, though its service as a whole could serve them.
    Saturated {
        /// The variant.
        variant: usize,
        /// The service.
        service: usize,
        /// The endpoint of the plan.
        endpoint: usize,
    },
    /// Requests stay in a service for longer or shorter than their number there allows in a steady state.
    NotStationary {
        /// The variant.
        variant: usize,
        /// The service.
        service: usize,
        /// Little's law: arrivals per second times their mean stay, over the mean number there.
        ratio: f64,
    },
}

/// How the intervals of a scenario's results are made.
pub fn estimator(scenario: &Scenario) -> Estimator {
    Estimator {
        level: LEVEL,
        bootstrap: (scenario.statistics.bootstrap).then(|| Streams::new(scenario.seed, 0).key(random::Purpose::Bootstrap, 0)),
    }
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
            scenario,
        }
    }

    /// Runs every cell on `threads` threads and folds the results. The outcome does not depend on `threads`.
    pub fn run(&self, threads: usize, observe: impl Fn(Progress)) -> Outcome {
        assert!(self.replications >= 1 && !self.variants.is_empty());
        let mut watcher = Watcher::of(self.scenario);
        let (first, last) = watcher.as_ref().map_or((self.replications, self.replications), |watcher| {
            (watcher.first(), watcher.last())
        });
        let pilots = self.pilots().len();
        let variants = self.variants.len();
        observe(Progress::Started {
            cells: pilots + first as usize * variants,
        });
        let warmups = self.warmup(threads, &observe);
        let mut outcome = Outcome {
            variants: self.folds(&warmups),
            warnings: Vec::new(),
            reached: None,
        };
        let run = |cell: Cell| self.run_cell(cell, &warmups);
        schedule::in_order(&self.cells_of(last), threads, run, |cell, result| {
            outcome.variants[cell.variant].add(&result);
            observe(Progress::of_cell(&result, Widest::of(&outcome.variants)));
            let done = cell.replication + 1;
            let Some(watcher) = watcher.as_mut().filter(|_| cell.variant + 1 == variants && done >= first) else {
                return ControlFlow::Continue(());
            };
            if watcher.is_satisfied(&outcome) {
                return ControlFlow::Break(());
            }
            let more = watcher.replications_expected(&outcome);
            observe(Progress::Extended {
                cells: pilots + more as usize * variants,
            });
            ControlFlow::Continue(())
        });
        let reached = watcher.map(|watcher| watcher.report(&outcome));
        Outcome {
            reached,
            ..self.finish(&warmups, outcome.variants)
        }
    }

    /// The cells to measure, replication by replication, so that any prefix of whole replications can be compared.
    pub fn cells(&self) -> Vec<Cell> {
        self.cells_of(self.replications)
    }

    fn cells_of(&self, replications: u32) -> Vec<Cell> {
        let variants = 0..self.variants.len();
        (0..replications)
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
        let unstable = (0..).zip(self.variants.iter().zip(&variants));
        let unstable = unstable.flat_map(|(variant, (plan, result))| stability::warnings(variant, plan, result));
        let warnings = few
            .into_iter()
            .chain(warmups.warnings.iter().copied())
            .chain(unstable)
            .collect();
        Outcome {
            variants,
            warnings,
            reached: None,
        }
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
            observe(Progress::of_cell(&result, None));
            ControlFlow::Continue(())
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
