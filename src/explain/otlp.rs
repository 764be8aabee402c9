//! Stories as OTLP in JSON (`opentelemetry/proto/trace/v1/trace.proto` in the proto3 JSON mapping, with identifiers in hexadecimal as OTLP
//! has them), which Jaeger and others import.

use serde_json::{Value, json};

use crate::explain::Explanation;
use crate::explain::spans::{STATUS_CODE, Span, span_id, spans, trace_id};

/// The begin of the run in the time of day: 2020-01-01T00:00:00Z, so that the same run has the same bytes whenever it is made.
const EPOCH_NANOS: u64 = 1_577_836_800_000_000_000;

/// Of OpenTelemetry's `Status.code`: an error.
const STATUS_ERROR: u32 = 2;

/// All stories as one document.
pub fn otlp(explanation: &Explanation) -> String {
    let mut services: Vec<(String, Vec<Value>)> = Vec::new();
    for story in &explanation.stories {
        let trace = trace_id(explanation, story);
        for span in spans(story) {
            let value = one(trace, &span);
            match services.iter_mut().find(|(service, _)| service == span.service) {
                Some((_, spans)) => spans.push(value),
                None => services.push((span.service.to_string(), vec![value])),
            }
        }
    }
    let resource = |(service, spans): (String, Vec<Value>)| {
        json!({
            "resource": {"attributes": [attribute("service.name", &service)]},
            "scopeSpans": [{
                "scope": {"name": "meshsim", "version": env!("CARGO_PKG_VERSION")},
                "spans": spans,
            }],
        })
    };
    let resources: Vec<Value> = services.into_iter().map(resource).collect();
    let text = serde_json::to_string_pretty(&json!({ "resourceSpans": resources }));
    text.expect("a value is always writable") + "\n"
}

fn attribute(key: &str, value: &str) -> Value {
    // The proto3 JSON mapping writes 64-bit integers as text.
    let kind = if key == STATUS_CODE { "intValue" } else { "stringValue" };
    json!({"key": key, "value": {kind: value}})
}

fn one(trace: u128, span: &Span<'_>) -> Value {
    let time = |nanos: u64| (EPOCH_NANOS + nanos).to_string();
    let mut attributes: Vec<Value> = span.attributes.iter().map(|(key, value)| attribute(key, value)).collect();
    attributes.push(attribute("meshsim.place", span.place));
    let events: Vec<Value> = span
        .events
        .iter()
        .map(|event| json!({"timeUnixNano": time(span.origin + event.at_ns), "name": event.what}))
        .collect();
    let mut value = json!({
        "traceId": format!("{trace:032x}"),
        "spanId": format!("{:016x}", span_id(trace, span.number)),
        "name": span.name,
        "kind": span.kind as u32,
        "startTimeUnixNano": time(span.from),
        "endTimeUnixNano": time(span.to),
        "attributes": attributes,
        "events": events,
    });
    if let Some(parent) = span.parent {
        value["parentSpanId"] = json!(format!("{:016x}", span_id(trace, parent)));
    }
    if let Some(error) = span.error {
        value["status"] = json!({"code": STATUS_ERROR, "message": error});
    }
    value
}
