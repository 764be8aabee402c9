//! How well figures are known that were to be known well, and whether the best variant was found.

use crate::experiment::precision::{Reached, TargetReached};
use crate::experiment::{Outcome, Scenario};
use crate::report::format;
use crate::report::summary::{PrecisionSummary, SelectionSummary};

pub(super) fn precisions(outcome: &Outcome) -> Vec<PrecisionSummary> {
    let of_target = |target: &TargetReached| PrecisionSummary {
        metric: target.text.clone(),
        wanted_ratio: target.wanted,
        reached_ratio: target.relative,
        met: target.met,
        reason: target.reason.clone(),
    };
    let targets = outcome.reached.iter().flat_map(|reached| &reached.targets);
    targets.map(of_target).collect()
}

pub(super) fn selection(scenario: &Scenario, outcome: &Outcome) -> Option<SelectionSummary> {
    let selection = outcome.reached.as_ref()?.selection.as_ref()?;
    let left = scenario.variants.iter().zip(&selection.left_after);
    Some(SelectionSummary {
        metric: selection.text.clone(),
        indifference: selection.zone,
        best: scenario.variants[selection.best].name.clone(),
        found: selection.found,
        left_after_replications: left
            .filter_map(|(variant, left)| Some((variant.name.clone(), (*left)?)))
            .collect(),
    })
}

/// Warns of what was not reached with the replications allowed.
pub(super) fn unreached(scenario: &Scenario, outcome: &Outcome) -> Vec<String> {
    let Some(reached) = &outcome.reached else { return Vec::new() };
    let unmet = reached.targets.iter().filter(|target| !target.met);
    let mut warnings: Vec<String> = unmet.map(|target| of_target(target, reached)).collect();
    if let Some(selection) = reached.selection.as_ref().filter(|selection| !selection.found) {
        warnings.push(format!(
            "the best variant by {} was not found in {} replications; `{}` is the best so far; use a larger --max-replications or --indifference",
            selection.text, reached.replications, scenario.variants[selection.best].name
        ));
    }
    warnings
}

fn of_target(target: &TargetReached, reached: &Reached) -> String {
    let percent = |share: f64| format!("{} %", format::digits(share * 100.0, 2));
    let state = match (target.relative, &target.reason) {
        (Some(relative), _) => format!("its interval is ± {}", percent(relative)),
        (None, Some(reason)) => reason.clone(),
        (None, None) => "it has no interval".to_string(),
    };
    format!(
        "precision not reached: {} was to be known to {}, and after {} replications, the most allowed, {state}; use a larger \
         --max-replications or a longer --duration",
        target.text,
        percent(target.wanted),
        reached.replications
    )
}
