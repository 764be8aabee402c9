//! What is different between two runs of a scenario, for whoever tries things out.

use crate::report::check::{ExpectationCheck, ScenarioCheck, lines};
use crate::report::format;
use crate::report::summary::{ClientSummary, Summary, Value};

/// The figures of clients that left their intervals, and in one line how many others changed within them.
pub fn moved(before: &Summary, now: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    let mut within = 0;
    for variant in &now.variants {
        let Some(earlier) = before.variant(&variant.name) else {
            lines.push(format!("{} is new", variant.name));
            continue;
        };
        if earlier.digest == variant.digest {
            continue;
        }
        for (name, client) in variant.clients.iter() {
            let Some(earlier) = earlier.clients.get(name) else {
                lines.push(format!("{}: {name} is new", variant.name));
                continue;
            };
            for ((figure, unit, was), (_, _, is)) in figures(earlier).into_iter().zip(figures(client)) {
                if was.value == is.value {
                    continue;
                }
                if has_moved(was, is) {
                    let (was, is) = (shown(was, unit), shown(is, unit));
                    lines.push(format!("{}: {figure} of {name} was {was}, is {is}", variant.name));
                } else {
                    within += 1;
                }
            }
        }
    }
    let gone = before.variants.iter().filter(|variant| now.variant(&variant.name).is_none());
    lines.extend(gone.map(|variant| format!("{} is gone", variant.name)));
    if within > 0 {
        let plural = if within == 1 { "" } else { "s" };
        lines.push(format!("{within} figure{plural} changed within the intervals"));
    }
    lines
}

/// The expectations with another verdict than before.
pub fn verdicts(before: &ScenarioCheck, now: &ScenarioCheck) -> Vec<String> {
    let mut changed = Vec::new();
    for line in &now.expectations {
        let is_same = |other: &&ExpectationCheck| (&other.expect, &other.variant) == (&line.expect, &line.variant);
        let text = lines::named(line);
        match before.expectations.iter().find(is_same) {
            None => changed.push(format!("{text} is new: {}", line.verdict)),
            Some(earlier) if earlier.verdict != line.verdict => {
                changed.push(format!("{text}: {}, was {}", line.verdict, earlier.verdict));
            }
            Some(_) => {}
        }
    }
    changed
}

/// Whether two values are not each within the interval of the other.
fn has_moved(was: &Value, is: &Value) -> bool {
    let holds = |interval: &Value, value: Option<f64>| match (interval.ci95, value) {
        (Some([low, high]), Some(value)) => low <= value && value <= high,
        _ => false,
    };
    !(holds(was, is.value) && holds(is, was.value))
}

/// What of a client is looked at.
fn figures(client: &ClientSummary) -> Vec<(&str, &'static str, &Value)> {
    let mut figures = vec![
        ("rate", "per_second", &client.requests_per_second),
        ("availability", "ratio", &client.availability_ratio),
        ("attempts per request", "", &client.attempts_per_request_ratio),
    ];
    let latencies = client.latency_seconds.iter().filter(|(name, _)| *name != "max");
    figures.extend(latencies.map(|(name, value)| (name, "seconds", value)));
    figures
}

fn shown(value: &Value, unit: &str) -> String {
    match (value.value, unit) {
        (None, _) => "not known".to_string(),
        (_, "seconds") => format::latency(value),
        _ => lines::figure(value, unit),
    }
}
