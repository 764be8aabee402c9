//! What was found, for people: a line each, or a table in Markdown.

use crate::report::baseline::{BaselineCheck, BaselineComparison, Standing};
use crate::report::check::{ExpectationCheck, ScenarioCheck};
use crate::report::format;
use crate::report::summary::Value;

/// Colours on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// Green, red, yellow.
    On,
    /// None.
    Off,
}

/// Everything of a scenario, a line each.
pub fn text(check: &ScenarioCheck, colors: Colors) -> String {
    let mut out = String::new();
    if check.expectations.is_empty() && check.baseline.is_none() {
        out.push_str(&format!("{} expects nothing: add `expect:`\n", check.scenario));
    }
    for line in &check.expectations {
        out.push_str(&format!("{}  {}\n", word(line.verdict, colors), expectation(line)));
    }
    if let Some(baseline) = &check.baseline {
        out.push_str(&format!("compared with {}\n", baseline.folder));
        for note in &baseline.notes {
            out.push_str(&format!("     note  {note}\n"));
        }
        for variant in &baseline.identical {
            out.push_str(&format!("{}  {variant}: {IDENTICAL}\n", word("identical", colors)));
        }
        for line in &baseline.comparisons {
            out.push_str(&format!("{}  {}\n", word(line.verdict.word(), colors), comparison(line)));
        }
        if let Some(sentence) = counts(baseline) {
            out.push_str(&format!("{sentence}\n"));
        }
    }
    out
}

/// What is said of a variant whose digest is that of the baseline.
pub(super) const IDENTICAL: &str = "every event of every replication is as it was";

/// The same as tables in Markdown, for the step summary of a CI.
pub fn markdown(check: &ScenarioCheck) -> String {
    let mut out = format!("**{}** {}\n", check.scenario, check.verdict);
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    if !check.expectations.is_empty() {
        out.push_str("\n| | expectation | measured | against | |\n|---|---|---|---|---|\n");
    }
    for line in &check.expectations {
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            sign(line.verdict),
            cell(&named(line)),
            figure(&line.left, line.unit),
            figure(&line.right, line.unit),
            cell(&reason(&line.reason, line.more_replications).unwrap_or_default()),
        ));
    }
    if let Some(baseline) = &check.baseline {
        out.push_str(&format!("\nCompared with `{}`:\n", baseline.folder));
        for note in &baseline.notes {
            out.push_str(&format!("\n> {note}\n"));
        }
        out.push_str("\n| | variant | figure | was | is | change | |\n|---|---|---|---|---|---|---|\n");
        for variant in &baseline.identical {
            out.push_str(&format!("| {} | {} | all | | | | |\n", sign("identical"), cell(variant)));
        }
        for line in &baseline.comparisons {
            out.push_str(&format!(
                "| {} | {} | {} | {} | {} | {} | {} |\n",
                sign(line.verdict.word()),
                cell(&line.variant),
                cell(&line.metric),
                figure(&line.was, line.unit),
                figure(&line.is, line.unit),
                change(line),
                cell(&reason(&line.reason, line.more_replications).unwrap_or_default()),
            ));
        }
    }
    out
}

/// The line of an expectation without its verdict.
pub fn expectation(line: &ExpectationCheck) -> String {
    let sides = match (&line.left.value, &line.right.value) {
        (Some(_), Some(_)) => Some(format!(
            "{} against {}",
            figure(&line.left, line.unit),
            figure(&line.right, line.unit)
        )),
        _ => None,
    };
    let parts: Vec<String> = sides
        .into_iter()
        .chain(reason(&line.reason, line.more_replications))
        .collect();
    match parts.is_empty() {
        true => named(line),
        false => format!("{} ({})", named(line), parts.join("; ")),
    }
}

/// The text of an expectation with the variant that it is of.
pub fn named(line: &ExpectationCheck) -> String {
    match &line.variant {
        Some(variant) => format!("{} [{variant}]", line.expect),
        None => line.expect.clone(),
    }
}

/// The line of a comparison without its verdict.
pub fn comparison(line: &BaselineComparison) -> String {
    let mut parts = Vec::new();
    if line.was.value.is_some() && line.is.value.is_some() {
        parts.push(format!(
            "was {}, is {}: {}, {} allowed",
            figure(&line.was, line.unit),
            figure(&line.is, line.unit),
            change(line),
            allowed(line)
        ));
    }
    parts.extend(reason(&line.reason, line.more_replications));
    format!("{} of {} ({})", line.metric, line.variant, parts.join("; "))
}

fn change(line: &BaselineComparison) -> String {
    let Some(value) = line.change.value else {
        return line.change.reason.clone().unwrap_or_default();
    };
    if value == 0.0 {
        return "no change".to_string();
    }
    let percent = |number: f64| number * 100.0;
    let half = line.change.ci95.map(|[low, high]| percent((high - low) / 2.0));
    let figure = format::with_error(percent(value), half.unwrap_or(0.0));
    let unit = if line.unit == "ratio" { "points" } else { "%" };
    format!("{}{figure} {unit}", if value > 0.0 { "+" } else { "" })
}

fn allowed(line: &BaselineComparison) -> String {
    let percent = format::trimmed(line.tolerance * 100.0, 6);
    match line.unit {
        "ratio" => format!("{percent} points"),
        _ => format!("{percent} %"),
    }
}

fn counts(baseline: &BaselineCheck) -> Option<String> {
    let count = |standing: Standing| {
        let of = baseline.comparisons.iter().filter(|line| line.verdict == standing).count();
        (of > 0).then(|| format!("{of} {}", standing.word()))
    };
    let all = [
        Standing::Regressed,
        Standing::Undecided,
        Standing::Improved,
        Standing::Unchanged,
    ];
    let counts: Vec<String> = all.into_iter().filter_map(count).collect();
    (!counts.is_empty()).then(|| format!("{} of {}", counts.join(", "), baseline.comparisons.len()))
}

fn reason(reason: &Option<String>, more: Option<u64>) -> Option<String> {
    let advice = more.map(|more| match more {
        1 => "about 1 more replication would tell".to_string(),
        more => format!("about {more} more replications would tell"),
    });
    let parts: Vec<String> = reason.iter().cloned().chain(advice).collect();
    (!parts.is_empty()).then(|| parts.join(": "))
}

/// A figure with its unit and interval; nothing where there is none.
pub fn figure(value: &Value, unit: &str) -> String {
    match unit {
        _ if value.value.is_none() => String::new(),
        "seconds" => format::latency(value),
        "ratio" => format::share(value),
        "per_second" => format!("{}/s", format::figure(value)),
        _ => format::figure(value),
    }
}

fn word(verdict: &str, colors: Colors) -> String {
    let (shown, color) = match verdict {
        "fails" | "regressed" => (verdict.to_uppercase(), "31"),
        "undecided" => (verdict.to_string(), "33"),
        "skipped" => (verdict.to_string(), "2"),
        _ => (verdict.to_string(), "32"),
    };
    match colors {
        Colors::On => format!("\u{1b}[{color}m{shown:>9}\u{1b}[0m"),
        Colors::Off => format!("{shown:>9}"),
    }
}

/// A verdict that is seen at once, and is read without colours too.
fn sign(verdict: &str) -> String {
    let sign = match verdict {
        "fails" | "regressed" => "❌",
        "undecided" => "❔",
        "skipped" => "➖",
        _ => "✅",
    };
    format!("{sign} {verdict}")
}
