//! The tidy tables: `summary.csv`, `timeseries.csv`, `latency.csv`. One observation a line, units in the names.

use std::fmt::Write;

use csv::{ReaderBuilder, StringRecord, Writer};

use crate::report::Named;
use crate::report::curves::{Curves, Latencies, OverTime};
use crate::report::summary::{
    ClientSummary, ComparisonSummary, EdgeSummary, EndpointSummary, IncidentSummary, ServiceSummary, Summary, Value,
};

const SUMMARY_HEADER: [&str; 9] = [
    "variant", "scope", "name", "metric", "value", "ci_low", "ci_high", "n", "method",
];
const TIMESERIES_HEADER: [&str; 6] = ["variant", "scope", "name", "t_seconds", "metric", "value"];
const LATENCY_HEADER: [&str; 5] = ["variant", "client", "outcome", "le_seconds", "count"];

type Bytes = Writer<Vec<u8>>;

/// Every figure of the summary with its interval.
pub fn summary(summary: &Summary) -> Vec<u8> {
    let mut out = writer(&SUMMARY_HEADER);
    let mut number: [String; 3] = Default::default();
    for_each_value(summary, &mut |[variant, scope, name], metric, value| {
        let [low, high] = value.ci95.map_or([None, None], |[low, high]| [Some(low), Some(high)]);
        for (text, number) in number.iter_mut().zip([value.value, low, high]) {
            text.clear();
            if let Some(number) = number {
                let _ = write!(text, "{number}");
            }
        }
        let replications = value.n.map(|n| n.to_string()).unwrap_or_default();
        let method = value.method.as_deref().unwrap_or_default();
        let [value, low, high] = &number;
        row(
            &mut out,
            [variant, scope, name, metric, value, low, high, &replications, method],
        );
    });
    finish(out)
}

/// What is done with a figure: of which variant, scope and name it is, what it is called, the figure.
type Take<'a> = &'a mut dyn FnMut([&str; 3], &str, &Value);

/// Every figure of the summary, in the order of its parts.
pub fn for_each_value(summary: &Summary, take: Take<'_>) {
    for variant in &summary.variants {
        for (name, client) in variant.clients.iter() {
            client_rows(&mut Rows::new(take, &variant.name, "client", name), client);
        }
        for (name, service) in variant.services.iter() {
            service_rows(&mut Rows::new(take, &variant.name, "service", name), service);
            for (endpoint, figures) in service.endpoints.iter() {
                let name = format!("{name}/{endpoint}");
                endpoint_rows(&mut Rows::new(take, &variant.name, "endpoint", &name), figures);
            }
        }
        for incident in &variant.incidents {
            incident_rows(&mut Rows::new(take, &variant.name, "incident", &incident.name), incident);
        }
        for (window, figures) in variant.windows.iter() {
            for (client, figures) in figures.clients.iter() {
                let name = format!("{client} {window}");
                client_rows(&mut Rows::new(take, &variant.name, "window", &name), figures);
            }
        }
        for (name, edge) in variant.edges.iter() {
            edge_rows(&mut Rows::new(take, &variant.name, "edge", name), edge);
        }
    }
    for comparison in &summary.comparisons {
        comparison_rows(&mut Rows::new(take, &comparison.a, "comparison", &comparison.b), comparison);
    }
}

/// Of the variant against the one that is named.
fn comparison_rows(rows: &mut Rows<'_>, comparison: &ComparisonSummary) {
    let figures = [
        ("difference", &comparison.difference),
        ("ratio", &comparison.ratio),
        ("correlation", &comparison.correlation),
        ("variance_saved_ratio", &comparison.variance_saved_ratio),
        ("p_value", &comparison.p_value),
    ];
    for (figure, value) in figures {
        rows.value(&format!("{}.{figure}", comparison.metric), value);
    }
}

fn client_rows(rows: &mut Rows<'_>, client: &ClientSummary) {
    rows.value("requests_total", &client.requests_total);
    rows.value("attempts_total", &client.attempts_total);
    rows.value("requests_per_second", &client.requests_per_second);
    rows.value("goodput_per_second", &client.goodput_per_second);
    rows.value("availability_ratio", &client.availability_ratio);
    rows.value("attempts_per_request_ratio", &client.attempts_per_request_ratio);
    rows.causes(&client.failures_total);
    for (answerer, &count) in client.failures_by_answerer_total.iter() {
        rows.value(&format!("failures_by_answerer_total.{answerer}"), &Value::exact(count as f64));
    }
    rows.value("availability_objective_ratio", &client.availability_objective_ratio);
    rows.value("error_budget_burn_ratio", &client.error_budget_burn_ratio);
    rows.named("latency_seconds", &client.latency_seconds);
    rows.named("failed_latency_seconds", &client.failed_latency_seconds);
}

fn incident_rows(rows: &mut Rows<'_>, incident: &IncidentSummary) {
    rows.value("from_seconds", &Value::exact(incident.from_seconds));
    rows.value("to_seconds", &Value::exact(incident.to_seconds));
    rows.value("occurrences", &incident.occurrences);
    rows.value("time_to_detect_seconds", &incident.time_to_detect_seconds);
    rows.value("detected_ratio", &incident.detected_ratio);
    rows.value("time_to_eject_seconds", &incident.time_to_eject_seconds);
    rows.value("time_to_shift_seconds", &incident.time_to_shift_seconds);
    rows.value("time_to_recover_seconds", &incident.time_to_recover_seconds);
    rows.value("requests_lost", &incident.requests_lost);
    rows.named("median_seconds", &incident.median_seconds);
}

fn service_rows(rows: &mut Rows<'_>, service: &ServiceSummary) {
    rows.value("requests_total", &service.requests_total);
    rows.value("attempts_total", &service.attempts_total);
    rows.value("availability_ratio", &service.availability_ratio);
    rows.causes(&service.failures_total);
    rows.named("latency_seconds", &service.latency_seconds);
    rows.named("queue_wait_seconds", &service.queue_wait_seconds);
    rows.value("waited_ratio", &service.waited_ratio);
    rows.value("in_flight", &service.in_flight);
    rows.value("busy_slots", &service.busy_slots);
    rows.value("utilization_ratio", &service.utilization_ratio);
    rows.value("offered_ratio", &service.offered_ratio);
    rows.value("little_ratio", &service.little_ratio);
    rows.value("requests_per_root_request_ratio", &service.requests_per_root_request_ratio);
    rows.value("wasted_work_ratio", &service.wasted_work_ratio);
    rows.value("ejections_total", &service.ejections_total);
    rows.value("ejections_spared_total", &service.ejections_spared_total);
    rows.value("ejected_ratio", &service.ejected_ratio);
    rows.value("panic_ratio", &service.panic_ratio);
    rows.value("load_max_ratio", &service.load_max_ratio);
    rows.named("discovery_delay_seconds", &service.discovery_delay_seconds);
    rows.value("stale_requests_total", &service.stale_requests_total);
    rows.value("connections_total", &service.connections_total);
}

fn endpoint_rows(rows: &mut Rows<'_>, endpoint: &EndpointSummary) {
    rows.value("requests_total", &endpoint.requests_total);
    rows.value("failures_total", &endpoint.failures_total);
    rows.named("queue_wait_seconds", &endpoint.queue_wait_seconds);
    rows.value("busy_slots", &endpoint.busy_slots);
    rows.value("utilization_ratio", &endpoint.utilization_ratio);
}

fn edge_rows(rows: &mut Rows<'_>, edge: &EdgeSummary) {
    rows.value("calls_total", &edge.calls_total);
    rows.value("calls_per_second", &edge.calls_per_second);
    rows.value("attempts_total", &edge.attempts_total);
    rows.value("availability_ratio", &edge.availability_ratio);
    rows.value("attempts_per_call_ratio", &edge.attempts_per_call_ratio);
    rows.causes(&edge.failures_total);
    rows.named("latency_seconds", &edge.latency_seconds);
}

/// The rows of one scope.
struct Rows<'a> {
    take: Take<'a>,
    place: [&'a str; 3],
}

impl<'a> Rows<'a> {
    fn new(take: Take<'a>, variant: &'a str, scope: &'a str, name: &'a str) -> Rows<'a> {
        Rows {
            take,
            place: [variant, scope, name],
        }
    }

    fn value(&mut self, metric: &str, value: &Value) {
        (self.take)(self.place, metric, value);
    }

    fn named(&mut self, metric: &str, values: &Named<Value>) {
        values
            .iter()
            .for_each(|(name, value)| self.value(&format!("{metric}.{name}"), value));
    }

    fn causes(&mut self, causes: &Named<u64>) {
        let total = causes.iter().map(|(_, &count)| count).sum::<u64>();
        self.value("failures_total", &Value::exact(total as f64));
        for (cause, &count) in causes.iter() {
            self.value(&format!("failures_total.{cause}"), &Value::exact(count as f64));
        }
    }
}

/// Every curve over time; a value that cannot be known is empty.
pub fn timeseries(curves: &Curves) -> Vec<u8> {
    let mut out = writer(&TIMESERIES_HEADER);
    let (mut time, mut number) = (String::new(), String::new());
    for curve in &curves.over_time {
        for (bucket, value) in curve.values.iter().enumerate() {
            time.clear();
            number.clear();
            let nanos = bucket as u64 * curve.interval_nanos;
            let _ = write!(time, "{}", nanos as f64 / 1e9);
            if let Some(value) = value {
                let _ = write!(number, "{value}");
            }
            row(
                &mut out,
                [&curve.variant, &curve.scope, &curve.name, &time, &curve.metric, &number],
            );
        }
    }
    finish(out)
}

/// The histograms of latencies by variant, client and outcome: upper bound of the bucket and count.
pub fn latency(curves: &Curves) -> Vec<u8> {
    let mut out = writer(&LATENCY_HEADER);
    let (mut bound, mut number) = (String::new(), String::new());
    for latencies in &curves.latencies {
        for &(upper, count) in &latencies.buckets {
            bound.clear();
            number.clear();
            let _ = write!(bound, "{}.{:09}", upper / 1_000_000_000, upper % 1_000_000_000);
            let _ = write!(number, "{count}");
            row(
                &mut out,
                [&latencies.variant, &latencies.client, &latencies.outcome, &bound, &number],
            );
        }
    }
    finish(out)
}

/// Reads `timeseries.csv` and `latency.csv` back.
///
/// # Errors
/// Says which line is not what [`timeseries`] or [`latency`] writes.
pub fn read(timeseries: &[u8], latency: &[u8]) -> Result<Curves, String> {
    let mut curves = Curves::default();
    for_each_row(timeseries, &TIMESERIES_HEADER, |record| curves.add_point(record))
        .map_err(|error| format!("timeseries.csv: {error}"))?;
    for_each_row(latency, &LATENCY_HEADER, |record| curves.add_bucket(record))
        .map_err(|error| format!("latency.csv: {error}"))?;
    Ok(curves)
}

impl Curves {
    fn add_point(&mut self, record: &StringRecord) -> Option<()> {
        let seconds: f64 = record[3].parse().ok()?;
        let value = if record[5].is_empty() {
            None
        } else {
            Some(record[5].parse().ok()?)
        };
        let same = |curve: &&mut OverTime| {
            curve.variant == record[0] && curve.scope == record[1] && curve.name == record[2] && curve.metric == record[4]
        };
        if let Some(curve) = self.over_time.last_mut().filter(same) {
            if curve.values.len() == 1 {
                curve.interval_nanos = (seconds * 1e9).round() as u64;
            }
            curve.values.push(value);
        } else {
            self.over_time.push(OverTime {
                variant: record[0].to_string(),
                scope: record[1].to_string(),
                name: record[2].to_string(),
                metric: record[4].to_string(),
                interval_nanos: 0,
                values: vec![value],
            });
        }
        Some(())
    }

    fn add_bucket(&mut self, record: &StringRecord) -> Option<()> {
        let (seconds, nanos) = record[3].split_once('.').filter(|(_, nanos)| nanos.len() == 9)?;
        let upper = seconds
            .parse::<u64>()
            .ok()?
            .checked_mul(1_000_000_000)?
            .checked_add(nanos.parse().ok()?)?;
        let count = record[4].parse().ok()?;
        let same = |l: &&mut Latencies| l.variant == record[0] && l.client == record[1] && l.outcome == record[2];
        if let Some(latencies) = self.latencies.last_mut().filter(same) {
            latencies.buckets.push((upper, count));
        } else {
            self.latencies.push(Latencies {
                variant: record[0].to_string(),
                client: record[1].to_string(),
                outcome: record[2].to_string(),
                buckets: vec![(upper, count)],
            });
        }
        Some(())
    }
}

fn for_each_row(bytes: &[u8], header: &[&str], mut take: impl FnMut(&StringRecord) -> Option<()>) -> Result<(), String> {
    let mut reader = ReaderBuilder::new().from_reader(bytes);
    let found = reader.headers().map_err(|error| error.to_string())?;
    if found != header {
        return Err(format!("its columns are not `{}`", header.join(",")));
    }
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| error.to_string())? {
        let line = record.position().map_or(0, csv::Position::line);
        take(&record).ok_or_else(|| format!("line {line} cannot be read"))?;
    }
    Ok(())
}

fn writer(header: &[&str]) -> Bytes {
    let mut out = Writer::from_writer(Vec::new());
    out.write_record(header).expect("writing to memory");
    out
}

fn row<const N: usize>(out: &mut Bytes, fields: [&str; N]) {
    out.write_record(fields).expect("writing to memory");
}

fn finish(out: Bytes) -> Vec<u8> {
    out.into_inner().expect("writing to memory")
}
