//! What queueing theory knows of a scenario: which parts of it have a known answer, what that is, and whether the runs agree.
//!
//! A part is recognised only where every assumption of the theory holds in the plan; where one does not, the answer is the reason and no
//! figure. Laws that hold of anything (Little's, the utilisation law, flow) are checked everywhere.

mod chances;
mod closed;
mod fork;
mod laws;
pub mod networks;
mod observed;
mod product;
pub mod queues;
mod recognise;
mod routes;
mod station;
mod text;
mod walk;

use serde::Serialize;

use crate::experiment::{Experiment, Outcome};
use crate::scenario::Scenario;

pub use text::text;

/// Beyond this many standard errors an answer and the runs differ: by chance one in a thousand does.
pub const Z_MAX: f64 = 3.3;

/// What theory says of a scenario and what was observed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Examination {
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// Replications of each variant.
    pub replications: u32,
    /// By variant, in the order of the file.
    pub variants: Vec<VariantExamination>,
}

/// One variant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VariantExamination {
    /// Its name.
    pub variant: String,
    /// What has a known answer.
    pub findings: Vec<Finding>,
    /// What has none, and why.
    pub unrecognised: Vec<Unrecognised>,
    /// What to bear in mind.
    pub caveats: Vec<String>,
}

/// A figure that theory knows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What it is about: `service catalog`, `client web`.
    pub subject: String,
    /// The model it is an instance of: `M/M/1`.
    pub model: String,
    /// What it is: `mean sojourn`.
    pub quantity: &'static str,
    /// In what it is measured.
    pub unit: Unit,
    /// What theory claims.
    pub claim: Claim,
    /// The known figure.
    pub theory: f64,
    /// What was observed, the mean over the replications; `None`: nothing was.
    pub observed: Option<f64>,
    /// Its standard error; `None`: there are too few replications.
    pub standard_error: Option<f64>,
    /// By how many standard errors they differ, as a normal deviate with the tail of Student's t; 0 within a bound. `None`: there is no standard error.
    pub z: Option<f64>,
    /// What follows.
    pub verdict: Verdict,
    /// Who says so.
    pub source: &'static str,
}

/// In what a figure is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// A share from 0 to 1.
    Share,
    /// A count.
    Number,
    /// Per second.
    PerSecond,
}

/// What theory claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// It is so in a steady state.
    Exact,
    /// It is so in the limit; for finitely many it is off by the order of this.
    Limit {
        /// What the error is of the order of.
        error: &'static str,
    },
    /// It is at least so much.
    AtLeast,
    /// It is at most so much.
    AtMost,
    /// It holds of any run but for requests that cross the edges of the measured window.
    Law,
}

/// Whether theory and the runs agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// They do.
    Agrees,
    /// They do not.
    Differs,
    /// As near as the limit lets one expect, or not: the error is not known.
    Approximate,
    /// There is nothing to compare, or too few replications.
    Undecided,
}

/// A part without a known answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unrecognised {
    /// What it is: `service catalog`.
    pub subject: String,
    /// Why.
    pub why: String,
}

impl Examination {
    /// Whether an exact result or a bound is missed.
    pub fn differs(&self) -> bool {
        let mut findings = self.variants.iter().flat_map(|variant| &variant.findings);
        // Laws leave open who crosses the edges of the measured time.
        findings.any(|finding| !finding.is_law() && finding.verdict == Verdict::Differs)
    }
}

impl Finding {
    /// Whether it holds of any run but for who crosses the edges of the measured time.
    fn is_law(&self) -> bool {
        self.claim == Claim::Law || self.source == laws::LITTLE
    }
}

/// Compares what theory says of a scenario with what came of running it.
pub fn examine(scenario: &Scenario, outcome: &Outcome) -> Examination {
    let variants = scenario.variants.iter().zip(&outcome.variants).map(|(variant, result)| {
        let view = walk::View::new(&variant.plan, &variant.names);
        let recognised = recognise::recognise(&view);
        let mut findings = Vec::new();
        for known in recognised.known {
            findings.push(observed::compare(&known, result));
        }
        findings.extend(laws::laws(&view, result));
        // All that is known of one thing stands together: services first, each in the order of the plan.
        let services = variant.names.services.iter().map(|name| format!("service {name}"));
        let clients = variant.names.clients.iter().map(|name| format!("client {name}"));
        let subjects: Vec<String> = services.chain(clients).collect();
        findings.sort_by_key(|finding| subjects.iter().position(|subject| *subject == finding.subject));
        VariantExamination {
            variant: variant.name.clone(),
            findings,
            unrecognised: recognised.unknown,
            caveats: observed::caveats(result, &recognised.relaxation),
        }
    });
    Examination {
        scenario: scenario.name.clone(),
        seed: scenario.seed,
        replications: Experiment::of(scenario).replications,
        variants: variants.collect(),
    }
}
