//! Failures by cause, a bar for each variant.

use crate::report::chart::axis::Axis;
use crate::report::chart::canvas::{Anchor, GRID, INK, MUTED, Picture, Tone, WIDTH, Weight, picture, series, text_width};
use crate::report::chart::compare::shortened;
use crate::report::chart::timeline::{LegendItem, SMALL, head, head_height};
use crate::report::format;
use crate::report::summary::Summary;

const ROW: f64 = 30.0;
const BAR: f64 = 18.0;
const NAMES_MAX: f64 = 180.0;
const FIGURES: f64 = 84.0;
/// Causes with a colour of their own: the most frequent; the rest share one.
const CAUSES_MAX: usize = 6;

/// The chart of a client; `None` where nothing failed.
pub fn draw(summary: &Summary, client: &str) -> Option<(String, Picture)> {
    let failures = |variant: usize| {
        let client = summary.variants[variant].clients.get(client);
        client.map(|client| client.failures_total.iter()).into_iter().flatten()
    };
    let mut causes: Vec<(&str, u64)> = Vec::new();
    for (cause, number) in (0..summary.variants.len()).flat_map(failures) {
        match causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, sum)) => *sum += number,
            None => causes.push((cause, *number)),
        }
    }
    causes.sort_by_key(|&(_, number)| std::cmp::Reverse(number));
    let total = |variant: usize| failures(variant).map(|(_, &number)| number).sum::<u64>() as f64;
    let most = (0..summary.variants.len()).map(total).fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let kind = |cause: &str| {
        causes
            .iter()
            .position(|&(known, _)| known == cause)
            .unwrap_or(0)
            .min(CAUSES_MAX)
    };
    let words: Vec<&str> = causes.iter().take(CAUSES_MAX).map(|&(cause, _)| cause).collect();
    let tones = tones(&words);
    let tone = |index: usize| tones.get(index).copied().unwrap_or(MUTED);
    let item = |(index, label): (usize, &str)| LegendItem {
        tone: tone(index),
        marker: None,
        label: label.to_string(),
        width: 9.0,
        opacity: 0.9,
    };
    let mut legend: Vec<LegendItem> = causes
        .iter()
        .take(CAUSES_MAX)
        .enumerate()
        .map(|(i, &(cause, _))| item((i, cause)))
        .collect();
    if causes.len() > CAUSES_MAX {
        legend.push(item((CAUSES_MAX, "others")));
    }
    let widths = summary.variants.iter().map(|variant| text_width(&variant.name, SMALL));
    let names = widths.fold(60.0, f64::max).min(NAMES_MAX);
    let title = format!("Failures of {client} by cause");
    let top = head_height(&legend) + 4.0;
    let bottom = top + ROW * summary.variants.len() as f64;
    let picture = picture(bottom + 34.0, &title, |canvas| {
        head(canvas, &title, "failed requests of all replications", &legend);
        let (left, right) = (24.0 + names + 14.0, WIDTH - 24.0 - FIGURES);
        let axis = Axis::linear(0.0, most, 6, format::count);
        let x = |value: f64| left + axis.place(value) * (right - left);
        for (value, label) in &axis.ticks {
            canvas.line(&[(x(*value), top), (x(*value), bottom)], GRID, 1.0, 1.0);
            canvas.text((x(*value), bottom + 14.0), label, 11.0, MUTED, Anchor::Middle, Weight::Plain);
        }
        for (row, variant) in summary.variants.iter().enumerate() {
            let y = top + ROW * (row as f64 + 0.5);
            let name = shortened(&variant.name, names);
            canvas.text((24.0, y), &name, SMALL, INK, Anchor::Start, Weight::Plain);
            let mut sums = [0.0; CAUSES_MAX + 1];
            failures(row).for_each(|(cause, &number)| sums[kind(cause)] += number as f64);
            let mut from = 0.0;
            for (index, &sum) in sums.iter().enumerate().filter(|(_, sum)| **sum > 0.0) {
                let (a, b) = (x(from), x(from + sum));
                canvas.rectangle((a, y - BAR / 2.0), ((b - 0.75).max(a + 0.5), y + BAR / 2.0), tone(index), 0.9);
                from += sum;
            }
            canvas.text(
                (WIDTH - 24.0, y),
                &format::count(total(row)),
                SMALL,
                INK,
                Anchor::End,
                Weight::Plain,
            );
        }
    });
    Some((title, picture))
}

/// The colours of causes and of who answered: one that several charts show has the same in all of them.
pub fn tones(words: &[&str]) -> Vec<Tone> {
    const KNOWN: [(&str, usize); 6] = [
        ("endpoint", 0),
        ("timeout", 1),
        ("per_try_timeout", 4),
        ("no_healthy_upstream", 3),
        ("reset", 2),
        ("connect_failure", 6),
    ];
    const COLOURS: usize = 8;
    let known = |word: &str| KNOWN.iter().find(|(known, _)| *known == word).map(|&(_, colour)| colour);
    let is_taken = |colour: &usize| words.iter().any(|word| known(word) == Some(*colour));
    let mut free = (0..COLOURS).filter(|colour| !is_taken(colour));
    let colour = |word: &&str| known(word).or_else(|| free.next()).map_or(MUTED, series);
    words.iter().map(colour).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_has_its_colour_in_every_chart_and_no_two_share_one() {
        let (causes, answerers) = (tones(&["timeout", "500", "per_try_timeout"]), tones(&["endpoint", "timeout"]));
        assert_eq!(causes[0], answerers[1]);
        let many = tones(&["503", "timeout", "500", "reset", "429", "endpoint"]);
        assert!((0..many.len()).all(|one| (0..one).all(|other| many[one] != many[other])));
    }
}
