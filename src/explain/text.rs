//! A story as text: one line a moment, its time since the intended start on the left, what belongs to a call below it and indented.

use std::fmt::Write as _;

use crate::explain::Explanation;
use crate::explain::reason::span;
use crate::explain::story::{Attempt, Call, Story};
use crate::report::format;
use crate::time::Duration;

/// How a line looks on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
}

impl Look {
    fn code(self) -> &'static str {
        match self {
            Look::Plain => "",
            Look::Strong => "\x1b[1m",
            Look::Faint => "\x1b[2m",
            Look::Good => "\x1b[32m",
            Look::Bad => "\x1b[31m",
        }
    }
}

/// The stories for people, several of them behind a list; `color`: with colours for a terminal.
pub fn text(explanation: &Explanation, color: bool) -> String {
    let mut text = String::new();
    if explanation.stories.len() > 1 {
        let width = explanation.stories.iter().map(|story| title(story).len()).max().unwrap_or(0);
        for story in &explanation.stories {
            let latency = span(Duration(story.latency_ns));
            let _ = writeln!(text, "{:width$}  {latency:>8}  {}", title(story), story.end);
        }
        text.push('\n');
    }
    for (index, story) in explanation.stories.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let mut page = Page {
            story,
            color,
            in_seconds: story.latency_ns >= 10_000_000_000,
            text: String::new(),
        };
        page.head(explanation);
        page.call(0, 0);
        text += &page.text;
    }
    text
}

fn title(story: &Story) -> String {
    format!("request {} of {}", story.number, story.client)
}

/// One thing within an attempt, at its time.
enum Item<'a> {
    Line(String, Look),
    Call(usize),
    Event(&'a str, bool),
}

struct Page<'a> {
    story: &'a Story,
    color: bool,
    in_seconds: bool,
    text: String,
}

impl Page<'_> {
    fn paint(&self, text: &str, look: Look) -> String {
        match self.color && look != Look::Plain {
            true => format!("{}{text}\x1b[0m", look.code()),
            false => text.to_string(),
        }
    }

    fn head(&mut self, explanation: &Explanation) {
        let Story {
            success,
            end,
            latency_ns,
            ..
        } = self.story;
        let attempts = self.story.calls[0].attempts.len();
        let tries = match attempts {
            1 => String::new(),
            _ => format!(", {attempts} attempts"),
        };
        let outcome = match end.as_str() {
            "unfinished" => format!(
                "not finished when the run ended, {} after its start",
                span(Duration(*latency_ns))
            ),
            end => format!("{end} after {}", span(Duration(*latency_ns))),
        };
        let look = if *success { Look::Good } else { Look::Bad };
        let title = self.paint(&title(self.story), Look::Strong);
        let outcome = self.paint(&format!("{outcome}{tries}"), look);
        let _ = writeln!(self.text, "{title}: {outcome}");
        let Explanation {
            scenario,
            variant,
            replication,
            seed,
            ..
        } = explanation;
        let at = self.story.start_ns as f64 * 1e-9;
        let place = format!("{scenario}, variant {variant}, replication {replication}, seed {seed}; intended start at {at:.6} s");
        let place = self.paint(&place, Look::Faint);
        let _ = writeln!(self.text, "{place}");
        for fault in &self.story.faults {
            let seconds = |nanos: u64| format::trimmed(nanos as f64 * 1e-9, 6);
            let (from, to) = (seconds(fault.from_ns), seconds(fault.to_ns));
            let what = match fault.what == fault.fault {
                true => String::new(),
                false => format!(" ({})", fault.what),
            };
            let line = format!("fault under way: {}{what}, from {from} s to {to} s", fault.fault);
            let line = self.paint(&line, Look::Bad);
            let _ = writeln!(self.text, "{line}");
        }
    }

    fn line(&mut self, at: Option<u64>, depth: usize, text: &str, look: Look) {
        let time = match at {
            None => String::new(),
            Some(at) if self.in_seconds => format!("{:.6} s", at as f64 * 1e-9),
            Some(at) => format!("{:.3} ms", at as f64 * 1e-6),
        };
        let text = self.paint(text, look);
        let _ = writeln!(self.text, "{time:>14}  {:indent$}{text}", "", indent = 2 * depth);
    }

    fn call(&mut self, call: usize, depth: usize) {
        let story = self.story;
        let row: &Call = &story.calls[call];
        let zone = in_zone(&row.zone);
        self.line(
            Some(row.from_ns),
            depth,
            &format!("{}{zone} calls {}", row.caller, row.operation),
            Look::Strong,
        );
        let mut parts: Vec<(u64, Item<'_>)> = row
            .events
            .iter()
            .map(|event| (event.at_ns, Item::Event(&event.what, event.is_bad)))
            .collect();
        // Attempts stand in for calls here.
        parts.extend(
            row.attempts
                .iter()
                .map(|&attempt| (story.attempts[attempt].from_ns, Item::Call(attempt))),
        );
        parts.sort_by_key(|part| part.0);
        for (at, part) in parts {
            match part {
                Item::Call(attempt) => self.attempt(attempt, depth + 1),
                Item::Event(what, is_bad) => self.line(Some(at), depth + 1, what, bad_if(is_bad)),
                Item::Line(..) => {}
            }
        }
        if let Some(to) = row.to_ns {
            let text = format!(
                "{} {} {} after {}",
                row.caller,
                ended(row),
                row.operation,
                span(Duration(to - row.from_ns))
            );
            self.line(Some(to), depth, &text, if row.success { Look::Good } else { Look::Bad });
        }
    }

    fn attempt(&mut self, attempt: usize, depth: usize) {
        let story = self.story;
        let row: &Attempt = &story.attempts[attempt];
        let hedge = if row.hedge { ", beside those under way" } else { "" };
        let text = match &row.endpoint {
            Some(endpoint) => format!(
                "attempt {}{hedge} -> {endpoint}{}",
                row.number,
                in_zone(row.zone.as_deref().unwrap_or_default())
            ),
            None => {
                let end = row.end.as_deref().unwrap_or_default();
                format!("attempt {}{hedge} goes nowhere: {end}{}", row.number, refusal(end))
            }
        };
        self.line(
            Some(row.from_ns),
            depth,
            &text,
            if row.endpoint.is_none() { Look::Bad } else { Look::Plain },
        );
        self.sight(row, depth + 1);
        for (at, item) in items(story, attempt) {
            match item {
                Item::Line(text, look) => self.line(Some(at), depth + 1, &text, look),
                Item::Event(what, is_bad) => self.line(Some(at), depth + 1, what, bad_if(is_bad)),
                Item::Call(call) => self.call(call, depth + 1),
            }
        }
    }

    fn sight(&mut self, row: &Attempt, depth: usize) {
        let Some(sight) = &row.sight else { return };
        if sight.endpoints.is_empty() {
            return self.line(None, depth, "knows no endpoint", Look::Bad);
        }
        self.line(None, depth, &format!("sees {}", sight.line()), Look::Faint);
        if sight.panic {
            self.line(
                None,
                depth,
                "panic: too few are well, so all are candidates whatever their health",
                Look::Bad,
            );
        }
        if !sight.rejected.is_empty() {
            let rejected = format!(
                "chosen first and rejected, since the call has been there: {}",
                sight.rejected.join(", ")
            );
            self.line(None, depth, &rejected, Look::Faint);
        }
        if !sight.why.is_empty() {
            self.line(None, depth, &sight.why, Look::Faint);
        }
    }
}

fn bad_if(is_bad: bool) -> Look {
    if is_bad { Look::Bad } else { Look::Plain }
}

/// What a caller's policy means by letting an attempt go nowhere.
fn refusal(word: &str) -> &'static str {
    match word {
        "no_endpoint" => " (no endpoint may be chosen)",
        "overflow" => " (a limit of its circuit breaker is reached)",
        "circuit_open" => " (its breaker is open)",
        "throttled" => " (the caller holds itself back)",
        _ => "",
    }
}

fn count(n: u32, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn in_zone(zone: &str) -> String {
    match zone {
        "" => String::new(),
        zone => format!(" (zone {zone})"),
    }
}

fn ended(call: &Call) -> String {
    match call.end.parse::<u16>() {
        Ok(status) => format!("has {status} from"),
        Err(_) => format!("has no answer ({}) from", call.end),
    }
}

/// What happened to an attempt once it was placed, in the order of time.
fn items(story: &Story, attempt: usize) -> Vec<(u64, Item<'_>)> {
    let row = &story.attempts[attempt];
    let endpoint = row.endpoint.as_deref().unwrap_or_default();
    let mut items: Vec<(u64, u8, Item<'_>)> = Vec::new();
    let mut add = |at: u64, rank: u8, text: String, look: Look| items.push((at, rank, Item::Line(text, look)));
    if let Some(arrived) = row.arrived_ns {
        let mut text = format!("arrives at {endpoint}");
        text += &match row.there {
            None | Some((0, 0)) => String::new(),
            Some((served, 0)) => format!(", where {} being served", count(served, "is", "are")),
            Some((served, waiting)) => format!(
                ", where {} being served and {}",
                count(served, "is", "are"),
                count(waiting, "waits", "wait")
            ),
        };
        if row.started_ns == Some(arrived) {
            text += "; is served at once";
        }
        add(arrived, 0, text, Look::Plain);
        if let Some(started) = row.started_ns.filter(|&started| started > arrived) {
            let text = format!("is served after {} in the queue", span(Duration(started - arrived)));
            add(started, 1, text, Look::Plain);
        }
    }
    for &(from, to) in &row.work_ns {
        if to > from {
            let is_broken = row.status.is_none() && row.left_ns == Some(to);
            let broken = if is_broken { ", then broken off" } else { "" };
            add(from, 2, format!("work of {}{broken}", span(Duration(to - from))), Look::Plain);
        }
    }
    if let (Some(left), Some(status), Some(_)) = (row.left_ns, row.status, row.started_ns)
        && row.to_ns.is_none_or(|to| left <= to)
    {
        let look = if status < 400 { Look::Plain } else { Look::Bad };
        add(left, 4, format!("{endpoint} answers {status}"), look);
    }
    if let (Some(to), Some(end), Some(_)) = (row.to_ns, &row.end, &row.endpoint) {
        let Call { caller, success, .. } = &story.calls[row.call];
        let text = match end.parse::<u16>() {
            Ok(status) => format!(
                "{status} reaches {caller}, {} after the attempt was made",
                span(Duration(to - row.from_ns))
            ),
            Err(_) => {
                let why = match end == "given up" && *success {
                    true => ", as the call has its answer",
                    false => "",
                };
                format!("{caller}: {end} after {}{why}", span(Duration(to - row.from_ns)))
            }
        };
        let is_good = end.parse::<u16>().is_ok_and(|status| status < 400);
        add(to, 6, text, if is_good { Look::Plain } else { Look::Bad });
    }
    for (call, nested) in story
        .calls
        .iter()
        .enumerate()
        .filter(|(_, call)| call.made_by == Some(attempt))
    {
        items.push((nested.from_ns, 3, Item::Call(call)));
    }
    for event in &row.events {
        items.push((
            event.at_ns,
            if event.follows { 7 } else { 5 },
            Item::Event(&event.what, event.is_bad),
        ));
    }
    items.sort_by_key(|&(at, rank, _)| (at, rank));
    items.into_iter().map(|(at, _, item)| (at, item)).collect()
}
