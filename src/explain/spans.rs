//! A story as spans, which trace viewers draw.

use xxhash_rust::xxh64::xxh64;

use crate::explain::Explanation;
use crate::explain::story::{Attempt, Call, Moment, Story};

/// What kind of span it is, by OpenTelemetry's numbers (`opentelemetry/proto/trace/v1/trace.proto`: `SpanKind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
}

/// The attribute of an answer's status, a number (OpenTelemetry's semantic conventions for HTTP spans).
pub(super) const STATUS_CODE: &str = "http.response.status_code";

/// One span.
#[derive(Clone, Debug)]
pub(super) struct Span<'a> {
    /// Its number within the story.
    pub number: usize,
    /// That of the span around it.
    pub parent: Option<usize>,
    /// The client or the service that it is of.
    pub service: &'a str,
    /// The caller or the endpoint.
    pub place: &'a str,
    pub name: String,
    pub kind: Kind,
    /// The intended start of the request, since which its events count, in nanoseconds since the begin of the run.
    pub origin: u64,
    /// Nanoseconds since the begin of the run.
    pub from: u64,
    pub to: u64,
    pub attributes: Vec<(&'static str, String)>,
    pub events: &'a [Moment],
    /// How it failed; `None`: it did not.
    pub error: Option<&'a str>,
}

/// The trace's number, the same for the same request of the same run.
pub(super) fn trace_id(explanation: &Explanation, story: &Story) -> u128 {
    let Explanation {
        scenario,
        variant,
        replication,
        seed,
        ..
    } = explanation;
    let text = format!(
        "{scenario}\n{variant}\n{replication}\n{seed}\n{}\n{}",
        story.client, story.number
    );
    (u128::from(xxh64(text.as_bytes(), 1)) << 64) | u128::from(xxh64(text.as_bytes(), 2))
}

/// A span's number in its trace; never 0, which stands for none.
pub(super) fn span_id(trace: u128, number: usize) -> u64 {
    let mut bytes = trace.to_le_bytes().to_vec();
    bytes.extend((number as u64).to_le_bytes());
    xxh64(&bytes, 3).max(1)
}

/// All spans of a story: those of callers, of endpoints, and of what goes on within these.
pub(super) fn spans(story: &Story) -> Vec<Span<'_>> {
    let mut spans = Spans {
        story,
        spans: Vec::new(),
    };
    spans.call(0, None);
    spans.spans
}

struct Spans<'a> {
    story: &'a Story,
    spans: Vec<Span<'a>>,
}

impl<'a> Spans<'a> {
    fn add(&mut self, mut span: Span<'a>) -> usize {
        span.number = self.spans.len();
        span.from += self.story.start_ns;
        span.to += self.story.start_ns;
        self.spans.push(span);
        self.spans.len() - 1
    }

    fn call(&mut self, call: usize, parent: Option<usize>) {
        let story = self.story;
        let row: &Call = &story.calls[call];
        let mut attributes = vec![("meshsim.end", row.end.clone()), ("meshsim.balancer", row.balancer.clone())];
        if parent.is_none() {
            attributes.push(("meshsim.request", story.number.to_string()));
        }
        let number = self.add(Span {
            number: 0,
            origin: story.start_ns,
            parent,
            service: &row.from,
            place: &row.caller,
            name: row.operation.clone(),
            kind: Kind::Client,
            from: row.from_ns,
            to: row.to_ns.unwrap_or(story.latency_ns).max(row.from_ns),
            attributes,
            events: &row.events,
            error: (!row.success).then_some(&row.end),
        });
        for &attempt in &row.attempts {
            self.attempt(attempt, number);
        }
    }

    fn attempt(&mut self, attempt: usize, parent: usize) {
        let story = self.story;
        let row: &Attempt = &story.attempts[attempt];
        let call = &story.calls[row.call];
        let mut attributes = Vec::new();
        if let Some(endpoint) = &row.endpoint {
            attributes.push(("meshsim.endpoint", endpoint.clone()));
        }
        if let Some(sight) = &row.sight {
            attributes.push(("meshsim.sees", sight.line()));
            attributes.push(("meshsim.why", sight.why.clone()));
        }
        let end = row.end.as_deref().unwrap_or("unfinished");
        attributes.push(("meshsim.end", end.to_string()));
        let number = self.add(Span {
            number: 0,
            origin: story.start_ns,
            parent: Some(parent),
            service: &call.from,
            place: &call.caller,
            name: format!("attempt {}", row.number),
            kind: Kind::Client,
            from: row.from_ns,
            to: row.to_ns.unwrap_or(story.latency_ns).max(row.from_ns),
            attributes,
            events: &row.events,
            error: end.parse::<u16>().map_or(true, |status| status >= 400).then_some(end),
        });
        let (Some(arrived), Some(endpoint)) = (row.arrived_ns, &row.endpoint) else {
            return;
        };
        self.visit(attempt, number, arrived, endpoint);
    }

    fn visit(&mut self, attempt: usize, parent: usize, arrived: u64, endpoint: &'a str) {
        let story = self.story;
        let row: &Attempt = &story.attempts[attempt];
        let call = &story.calls[row.call];
        let service = call.operation.split('/').next().unwrap_or_default();
        let last_work = row.work_ns.last().map_or(arrived, |work| work.1);
        let left = row
            .left_ns
            .or(row.to_ns)
            .unwrap_or(story.latency_ns)
            .max(arrived)
            .max(last_work);
        let mut attributes = vec![("meshsim.endpoint", endpoint.to_string())];
        attributes.extend(row.status.map(|status| (STATUS_CODE, status.to_string())));
        if let Some(zone) = row.zone.as_ref().filter(|zone| !zone.is_empty()) {
            attributes.push(("meshsim.zone", zone.clone()));
        }
        let blank = Span {
            number: 0,
            origin: story.start_ns,
            parent: Some(parent),
            service,
            place: endpoint,
            name: call.operation.clone(),
            kind: Kind::Server,
            from: arrived,
            to: left,
            attributes,
            events: &[],
            error: (row.status.is_none_or(|status| status >= 400)).then_some("no success"),
        };
        let inner = |name: &str, from: u64, to: u64, parent: usize| Span {
            parent: Some(parent),
            name: name.to_string(),
            kind: Kind::Internal,
            from,
            to,
            attributes: Vec::new(),
            error: None,
            ..blank.clone()
        };
        let number = self.add(blank.clone());
        let started = row.started_ns.unwrap_or(left);
        if started > arrived {
            self.add(inner("queue", arrived, started, number));
        }
        for &(from, to) in &row.work_ns {
            if to > from {
                self.add(inner("work", from, to, number));
            }
        }
        for (nested, _) in story
            .calls
            .iter()
            .enumerate()
            .filter(|(_, call)| call.made_by == Some(attempt))
        {
            self.call(nested, Some(number));
        }
    }
}
