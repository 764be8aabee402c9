//! What `check` found: the document of `--format json`, which its lines, tables and JUnit cases are drawn from.

pub mod junit;
pub mod lines;

use csv::Writer;
use serde::Serialize;

use crate::experiment::Scenario;
use crate::experiment::expect::{Decision, Verdict};
use crate::report::baseline::{self, BaselineCheck, Standing};
use crate::report::summary::{Summary, Value};

/// The name of this document's shape.
pub const SCHEMA: &str = "meshsim/check/v1";

/// All scenarios of one call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// The version of meshsim that wrote it.
    pub version: &'static str,
    /// `passed`, `failed`, or `undecided` where nothing failed and something could not be decided.
    pub verdict: &'static str,
    /// In the order of the command line.
    pub scenarios: Vec<ScenarioCheck>,
}

/// One scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScenarioCheck {
    /// Its name.
    pub scenario: String,
    /// Its file, as the command line named it.
    pub file: String,
    /// A hash over the scenario with its patches.
    pub scenario_digest: String,
    /// All randomness follows from it.
    pub seed: u64,
    /// Independent runs of each variant.
    pub replications: u32,
    /// The answer in one sentence.
    pub answer: String,
    /// `passed`, `failed` or `undecided`.
    pub verdict: &'static str,
    /// Its expectations, in the order of the file.
    pub expectations: Vec<ExpectationCheck>,
    /// How it compares with earlier results, where any were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineCheck>,
}

/// One line of `expect`, of one variant where it is meant of each.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExpectationCheck {
    /// The line.
    pub expect: String,
    /// The variant, where the line names none and there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Where it is in the file, from 1; null if it is not there.
    pub line: Option<usize>,
    /// Its first character, from 1.
    pub column: Option<usize>,
    /// The character behind its last.
    pub end_column: Option<usize>,
    /// `holds`, `fails`, `undecided`, or `skipped` where it is about a variant that was left out.
    pub verdict: &'static str,
    /// Why it is undecided or skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// About how many more replications would decide it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_replications: Option<u64>,
    /// `seconds`, `ratio`, `per_second` or, of counts, nothing.
    pub unit: &'static str,
    /// The left side: the mean over replications.
    pub left: Value,
    /// The right side.
    pub right: Value,
}

/// What stands for a whole.
fn worst<'a>(verdicts: impl Iterator<Item = &'a str>) -> &'static str {
    verdicts.fold("passed", |worst, verdict| match (worst, verdict) {
        ("failed", _) | (_, "fails" | "failed" | "regressed") => "failed",
        (_, "undecided") => "undecided",
        _ => worst,
    })
}

impl Check {
    /// Of these scenarios.
    pub fn new(scenarios: Vec<ScenarioCheck>) -> Check {
        Check {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            verdict: worst(scenarios.iter().map(|scenario| scenario.verdict)),
            scenarios,
        }
    }

    /// The document, indented, with a line feed at its end.
    pub fn json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a check has only text for keys");
        bytes.push(b'\n');
        bytes
    }

    /// A table: a line for each expectation and each comparison with the baseline. Of an expectation `value` is the left side and
    /// `against` the right one.
    pub fn csv(&self) -> Vec<u8> {
        const HEADER: [&str; 13] = [
            "scenario",
            "kind",
            "variant",
            "text",
            "verdict",
            "value",
            "ci_low",
            "ci_high",
            "against",
            "against_ci_low",
            "against_ci_high",
            "unit",
            "reason",
        ];
        let mut out = Writer::from_writer(Vec::new());
        let written = "a vector takes all bytes";
        out.write_record(HEADER).expect(written);
        let mut record = |scenario: &str, about: [&str; 4], figures: [&[String; 3]; 2], unit: &str, reason: &str| {
            let figures = figures.into_iter().flatten().map(String::as_str);
            let fields = [scenario].into_iter().chain(about).chain(figures).chain([unit, reason]);
            out.write_record(fields).expect(written);
        };
        for scenario in &self.scenarios {
            for line in &scenario.expectations {
                let left = numbers(&line.left);
                let right = numbers(&line.right);
                let variant = line.variant.as_deref().unwrap_or_default();
                let about = ["expectation", variant, &line.expect, line.verdict];
                let reason = line.reason.as_deref().unwrap_or_default();
                record(&scenario.scenario, about, [&left, &right], line.unit, reason);
            }
            let Some(baseline) = &scenario.baseline else { continue };
            for variant in &baseline.identical {
                let nothing = Default::default();
                let about = ["baseline", variant, "", "identical"];
                record(&scenario.scenario, about, [&nothing, &nothing], "", "");
            }
            for line in &baseline.comparisons {
                let (is, was) = (numbers(&line.is), numbers(&line.was));
                let about = ["baseline", &line.variant, &line.metric, line.verdict.word()];
                let reason = line.reason.as_deref().unwrap_or_default();
                record(&scenario.scenario, about, [&is, &was], line.unit, reason);
            }
        }
        out.into_inner().expect(written)
    }
}

fn numbers(value: &Value) -> [String; 3] {
    let text = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    let ends = value.ci95;
    [
        text(value.value),
        text(ends.map(|ends| ends[0])),
        text(ends.map(|ends| ends[1])),
    ]
}

impl ScenarioCheck {
    /// What was decided of a scenario.
    pub fn new(scenario: &Scenario, summary: &Summary, decisions: &[Decision], baseline: Option<BaselineCheck>) -> ScenarioCheck {
        let expectations: Vec<ExpectationCheck> = decisions.iter().map(ExpectationCheck::new).collect();
        let compared = baseline.iter().flat_map(|baseline| &baseline.comparisons);
        let verdicts = expectations.iter().map(|line| line.verdict);
        ScenarioCheck {
            scenario: scenario.name.clone(),
            file: scenario.source_name.clone(),
            scenario_digest: summary.scenario_digest.clone(),
            seed: scenario.seed,
            replications: summary.replications,
            answer: summary.answer.clone(),
            verdict: worst(verdicts.chain(compared.map(|line| line.verdict.word()))),
            expectations,
            baseline,
        }
    }

    /// How many comparisons with the baseline there are of a kind.
    pub fn standing(&self, standing: Standing) -> usize {
        let compared = self.baseline.iter().flat_map(|baseline| &baseline.comparisons);
        compared.filter(|line| line.verdict == standing).count()
    }
}

impl ExpectationCheck {
    fn new(decision: &Decision) -> ExpectationCheck {
        let side = |side: &Option<crate::measure::Estimate>| Value::of(*side, "it has no value");
        let (verdict, reason, more_replications) = match &decision.verdict {
            Verdict::Holds => ("holds", None, None),
            Verdict::Fails => ("fails", None, None),
            Verdict::Undecided(why) => ("undecided", Some(why.reason.clone()), why.more_replications),
            Verdict::Skipped(reason) => ("skipped", Some(reason.clone()), None),
        };
        ExpectationCheck {
            expect: decision.text.clone(),
            variant: decision.variant.clone(),
            line: decision.place.map(|place| place.line),
            column: decision.place.map(|place| place.column),
            end_column: decision.place.map(|place| place.end_column),
            verdict,
            reason,
            more_replications,
            unit: baseline::unit(decision.unit, decision.is_share),
            left: side(&decision.left),
            right: side(&decision.right),
        }
    }
}
