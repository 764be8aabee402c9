//! An examination as a table for people.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use crate::report::format;
use crate::theory::{Claim, Examination, Finding, Unit, VariantExamination, Verdict};

/// Tables for people; `color`: with colours for a terminal.
pub fn text(examination: &Examination, color: bool) -> String {
    let mut text = String::new();
    for (index, variant) in examination.variants.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let replications = examination.replications;
        let _ = writeln!(
            text,
            "{}, variant {}: {replications} replications, seed {}",
            examination.scenario, variant.variant, examination.seed
        );
        one(&mut text, variant, color);
    }
    text
}

fn one(text: &mut String, variant: &VariantExamination, color: bool) {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["what", "model", "figure", "theory", "observed", "± s.e.", "z", ""]);
    if color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    for column in 3..=6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut last = String::new();
    for finding in &variant.findings {
        let subject = if finding.subject == last {
            String::new()
        } else {
            finding.subject.clone()
        };
        last.clone_from(&finding.subject);
        let verdict = Cell::new(word(finding));
        let verdict = match (color, finding.verdict) {
            (true, Verdict::Agrees) => verdict.fg(Color::Green),
            (true, Verdict::Differs) => verdict.fg(Color::Red),
            _ => verdict,
        };
        table.add_row([
            Cell::new(subject),
            Cell::new(&finding.model),
            Cell::new(finding.quantity),
            Cell::new(format!("{}{}", sign(finding.claim), figure(finding.theory, finding.unit))),
            Cell::new(
                finding
                    .observed
                    .map_or("n/a".to_string(), |value| figure(value, finding.unit)),
            ),
            Cell::new(
                finding
                    .standard_error
                    .map_or("n/a".to_string(), |value| figure(value, finding.unit)),
            ),
            Cell::new(finding.z.map_or("-".to_string(), |z| format!("{z:+.2}"))),
            verdict,
        ]);
    }
    if variant.findings.is_empty() {
        let _ = writeln!(text, "nothing in it has a known answer");
    } else {
        let _ = writeln!(text, "{}", table.trim_fmt());
    }
    for unknown in &variant.unrecognised {
        let _ = writeln!(text, "no known answer: {}: {}", unknown.subject, unknown.why);
    }
    for caveat in &variant.caveats {
        let _ = writeln!(text, "caveat: {caveat}");
    }
    let mut sources: Vec<&str> = Vec::new();
    for finding in &variant.findings {
        if !sources.contains(&finding.source) {
            sources.push(finding.source);
        }
    }
    for source in sources {
        let _ = writeln!(text, "source: {source}");
    }
}

fn sign(claim: Claim) -> &'static str {
    match claim {
        Claim::Exact | Claim::Law => "",
        Claim::Limit { .. } => "~ ",
        Claim::AtLeast => ">= ",
        Claim::AtMost => "<= ",
    }
}

fn word(finding: &Finding) -> String {
    match (finding.verdict, finding.claim) {
        (Verdict::Agrees, Claim::Limit { error }) => format!("agrees; a limit, off by the order of {error}"),
        (Verdict::Agrees, _) => "agrees".to_string(),
        (Verdict::Differs, _) if finding.is_law() => "differs: not steady over the measured time".to_string(),
        (Verdict::Differs, _) => "DIFFERS".to_string(),
        (Verdict::Approximate, Claim::Limit { error }) => format!("a limit, off by the order of {error}"),
        (Verdict::Approximate, _) => "approximate".to_string(),
        (Verdict::Undecided, _) => "undecided".to_string(),
    }
}

fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Seconds => format::seconds(value),
        Unit::Share => format!("{} %", format::digits(value * 100.0, 4)),
        Unit::Number => format::digits(value, 4),
        Unit::PerSecond => format!("{}/s", format::digits(value, 4)),
    }
}
