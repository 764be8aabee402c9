//! Stories in Chrome's trace event format (Duan et al., "Trace Event Format", 2016), which Perfetto and `chrome://tracing` open: a process
//! for each client and service, below it a thread for each caller and endpoint, and more where spans overlap without lying within each
//! other.

use serde_json::{Value, json};

use crate::explain::Explanation;
use crate::explain::spans::{Span, spans};

/// One row of the picture.
struct Lane<'a> {
    place: &'a str,
    // The ends of the spans that lie within each other at present.
    open: Vec<u64>,
}

/// A client or a service.
struct Process<'a> {
    service: &'a str,
    lanes: Vec<Lane<'a>>,
}

impl<'a> Process<'a> {
    /// The number of a lane of `place` where a span fits; spans come in the order of their begins, the longer first.
    fn lane(&mut self, place: &'a str, from: u64, to: u64) -> usize {
        for (number, lane) in self.lanes.iter_mut().enumerate().filter(|(_, lane)| lane.place == place) {
            while lane.open.last().is_some_and(|&end| end <= from) {
                lane.open.pop();
            }
            if lane.open.last().is_none_or(|&end| to <= end) {
                lane.open.push(to);
                return number;
            }
        }
        self.lanes.push(Lane { place, open: vec![to] });
        self.lanes.len() - 1
    }
}

/// All stories as one document.
pub fn chrome(explanation: &Explanation) -> String {
    let mut events = Vec::new();
    let mut processes: Vec<Process<'_>> = Vec::new();
    let mut all: Vec<Span<'_>> = explanation.stories.iter().flat_map(spans).collect();
    all.sort_by_key(|span| (span.from, std::cmp::Reverse(span.to)));
    for span in &all {
        let known = processes.iter().position(|process| process.service == span.service);
        let process = known.unwrap_or_else(|| {
            processes.push(Process {
                service: span.service,
                lanes: Vec::new(),
            });
            processes.len() - 1
        });
        let lane = processes[process].lane(span.place, span.from, span.to);
        events.extend(drawn(span, process + 1, lane + 1));
    }
    let mut names = Vec::new();
    for (process, pid) in processes.iter().zip(1..) {
        names.push(json!({"ph": "M", "name": "process_name", "pid": pid, "args": {"name": process.service}}));
        for (lane, tid) in process.lanes.iter().zip(1..) {
            names.push(json!({"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": lane.place}}));
        }
    }
    names.extend(events);
    let text = serde_json::to_string_pretty(&json!({"displayTimeUnit": "ms", "traceEvents": names}));
    text.expect("a value is always writable") + "\n"
}

/// Microseconds, which the format wants.
fn micros(nanos: u64) -> f64 {
    nanos as f64 * 1e-3
}

fn drawn(span: &Span<'_>, pid: usize, tid: usize) -> Vec<Value> {
    let mut args: serde_json::Map<String, Value> = span
        .attributes
        .iter()
        .map(|(key, value)| (key.to_string(), json!(value)))
        .collect();
    if let Some(error) = span.error {
        args.insert("error".to_string(), json!(error));
    }
    let mut drawn = vec![json!({
        "ph": "X",
        "name": span.name,
        "cat": format!("{:?}", span.kind).to_lowercase(),
        "pid": pid,
        "tid": tid,
        "ts": micros(span.from),
        "dur": micros(span.to - span.from),
        "args": args,
    })];
    drawn.extend(span.events.iter().map(|event| {
        json!({
            "ph": "i",
            "s": "t",
            "name": event.what,
            "pid": pid,
            "tid": tid,
            "ts": micros(span.origin + event.at_ns),
        })
    }));
    drawn
}
