//! The figures that the page's script draws, as JSON: rounded to the digits that a screen can show, and thinned where there
//! are more than that, so that the page stays small. All digits are in the CSV files.

use serde::Serialize;

use crate::report::Results;
use crate::report::answer;
use crate::report::chart::{CLIENTS_MAX, ejected, heat, series_tones, services_by_imbalance, topology};
use crate::report::curves::{Latencies, OverTime};
use crate::report::format::rounded;
use crate::report::summary::{Summary, VariantSummary};

/// Points of a distribution.
const PERCENTILES: usize = 320;
/// Values that must lie beyond the last point of a distribution.
const BEYOND_MIN: u64 = 10;
/// Cells of all heat maps together.
const CELLS_MAX: usize = 120_000;
/// Endpoints in heat maps: the first ones of the services with the least even load.
const ENDPOINTS_MAX: usize = 160;
const COLUMNS_MAX: usize = 150;

#[derive(Serialize)]
struct Data<'a> {
    variants: Vec<&'a str>,
    /// Which of them is ranked first.
    best: usize,
    /// The colours of variants on light and on dark grounds.
    tones: Vec<[String; 2]>,
    duration: f64,
    spans: Vec<Span<'a>>,
    time: serde_json::Map<String, serde_json::Value>,
    cdf: serde_json::Map<String, serde_json::Value>,
    /// The values of charts that are pictures only: by kind, then by client or service.
    tables: [(&'static str, Vec<(String, Columns)>); 2],
    heat: Vec<Heat>,
    node: f64,
    mesh: Option<Mesh>,
}

#[derive(Serialize, PartialEq)]
struct Span<'a> {
    from: f64,
    to: f64,
    label: &'a str,
    fault: bool,
}

/// Values over time of a client; each by variant and bucket.
#[derive(Serialize)]
struct Timed {
    at: Vec<f64>,
    p50: Rows,
    p90: Rows,
    p99: Rows,
    availability: Rows,
    budget: Rows,
}

type Rows = Vec<Vec<Option<f64>>>;

/// Latencies by percentile of a client.
#[derive(Serialize)]
struct Percentiles {
    shares: Vec<f64>,
    seconds: Rows,
}

/// Values over time by what they are of.
#[derive(Serialize)]
struct Columns {
    seconds: f64,
    names: Vec<String>,
    values: Rows,
}

/// The loads of a service: by variant, endpoint and span of time, in hundredths of an even share.
#[derive(Serialize)]
struct Heat {
    service: String,
    endpoints: Vec<String>,
    seconds: f64,
    columns: usize,
    loads: Vec<Vec<Vec<Option<u32>>>>,
}

#[derive(Serialize)]
struct Mesh {
    width: f64,
    height: f64,
    nodes: Vec<MeshNode>,
    edges: Vec<MeshEdge>,
}

#[derive(Serialize)]
struct MeshNode {
    name: String,
    is_client: bool,
    x: f64,
    y: f64,
    height: f64,
}

/// An edge; lists are by variant.
#[derive(Serialize)]
struct MeshEdge {
    name: String,
    operation: String,
    begin: (f64, f64),
    end: (f64, f64),
    label: f64,
    words: Vec<Option<[String; 3]>>,
    trouble: Vec<usize>,
    width: Vec<f64>,
    p99: Vec<Option<[Option<f64>; 3]>>,
}

/// The data, safe within a `script` element.
pub fn data(results: &Results, clients: &[&str]) -> String {
    let summary = &results.summary;
    let clients = &clients[..clients.len().min(CLIENTS_MAX)];
    let mut data = Data {
        variants: summary.variants.iter().map(|variant| variant.name.as_str()).collect(),
        best: answer::ranking(summary).first().copied().unwrap_or(0),
        tones: series_tones(),
        duration: summary
            .variants
            .iter()
            .map(|variant| variant.duration_seconds)
            .fold(0.0, f64::max),
        spans: spans(summary),
        time: serde_json::Map::new(),
        cdf: serde_json::Map::new(),
        tables: [
            ("failures_over_time", of_each(clients, |client| failures(results, client))),
            (
                "ejected_over_time",
                of_each(&ejected::services(results), |service| kept_out(results, service)),
            ),
        ],
        heat: heat_maps(results),
        node: topology::NODE,
        mesh: mesh(summary),
    };
    for &client in clients {
        if let Some(figures) = over_time(results, client) {
            data.time.insert(client.to_string(), json(&figures));
        }
        if let Some(figures) = percentiles(results, client) {
            data.cdf.insert(client.to_string(), json(&figures));
        }
    }
    let text = serde_json::to_string(&data).expect("plain data");
    // What would end the element, or begin a comment in it, stands in no number and is as good escaped in a text.
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn json(figures: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(figures).expect("plain data")
}

fn spans(summary: &Summary) -> Vec<Span<'_>> {
    let mut spans: Vec<Span<'_>> = Vec::new();
    let warmup = summary
        .variants
        .iter()
        .map(|variant| variant.warmup_seconds)
        .fold(0.0, f64::max);
    if warmup > 0.0 {
        spans.push(Span {
            from: 0.0,
            to: warmup,
            label: "warm-up",
            fault: false,
        });
    }
    for fault in summary.variants.iter().flat_map(|variant| &variant.faults) {
        let span = Span {
            from: fault.at_seconds,
            to: fault.until_seconds,
            label: &fault.label,
            fault: true,
        };
        if !spans.contains(&span) {
            spans.push(span);
        }
    }
    spans
}

fn over_time(results: &Results, client: &str) -> Option<Timed> {
    let variants = &results.summary.variants;
    let find = |variant: &VariantSummary, metric: &str| results.curves.find(&variant.name, "client", client, metric);
    let first = variants.iter().find_map(|variant| find(variant, "availability_ratio"))?;
    let buckets = first.values.len();
    let rows = |metric: &str, significant: usize| -> Rows {
        let row = |variant: &VariantSummary| match find(variant, metric) {
            Some(curve) => curve
                .values
                .iter()
                .map(|value| value.map(|value| rounded(value, significant)))
                .collect(),
            None => vec![None; buckets],
        };
        variants.iter().map(row).collect()
    };
    let seconds = first.interval_nanos as f64 / 1e9;
    Some(Timed {
        at: (0..buckets)
            .map(|bucket| rounded((bucket as f64 + 0.5) * seconds, 7))
            .collect(),
        p50: rows("latency_p50_seconds", 3),
        p90: rows("latency_p90_seconds", 3),
        p99: rows("latency_p99_seconds", 3),
        availability: rows("availability_ratio", 6),
        budget: rows("error_budget_burnt_ratio", 4),
    })
}

/// Latencies at shares of which every further nine is equally far.
fn percentiles(results: &Results, client: &str) -> Option<Percentiles> {
    let of_variant = |variant: &VariantSummary| {
        let is_it = |l: &&Latencies| l.variant == variant.name && l.client == client && l.outcome == "success";
        results.curves.latencies.iter().find(is_it)
    };
    let all: Vec<Option<&Latencies>> = results.summary.variants.iter().map(of_variant).collect();
    let count = |latencies: &Latencies| latencies.buckets.iter().map(|&(_, count)| count).sum::<u64>();
    let most = all
        .iter()
        .flatten()
        .map(|latencies| count(latencies))
        .max()
        .filter(|&most| most > BEYOND_MIN)?;
    let log10 = |value: f64| crate::math::ln(value) / crate::math::ln(10.0);
    let last = log10(most as f64 / BEYOND_MIN as f64).max(0.5);
    let nines = |point: usize| last * point as f64 / (PERCENTILES - 1) as f64;
    let shares: Vec<f64> = (0..PERCENTILES)
        .map(|point| 1.0 - crate::math::pow(10.0, -nines(point)))
        .collect();
    let row = |latencies: &Option<&Latencies>| match latencies {
        Some(latencies) => at_shares(latencies, &shares, count(latencies)),
        None => vec![None; shares.len()],
    };
    Some(Percentiles {
        seconds: all.iter().map(row).collect(),
        shares: shares
            .iter()
            .map(|share| 1.0 - rounded(1.0 - share, 4))
            .map(|share| rounded(share, 9))
            .collect(),
    })
}

/// The bound of the bucket that holds each share, while enough values lie beyond it.
fn at_shares(latencies: &Latencies, shares: &[f64], count: u64) -> Vec<Option<f64>> {
    let mut buckets = latencies.buckets.iter();
    let (mut below, mut upper) = (0_u64, None);
    let mut at = |share: f64| {
        // 1 - share is not exact, hence the margin of a thousandth of a value.
        while (below as f64) < share * count as f64 + 1e-3 {
            let &(bound, values) = buckets.next()?;
            (below, upper) = (below + values, Some(bound));
        }
        let beyond = count as f64 * (1.0 - share);
        (beyond >= BEYOND_MIN as f64 * 0.999).then(|| upper.map(|bound| rounded(bound as f64 / 1e9, 4)))?
    };
    shares.iter().map(|&share| at(share)).collect()
}

fn of_each<T: AsRef<str>>(names: &[T], columns: impl Fn(&str) -> Columns) -> Vec<(String, Columns)> {
    let names = names.iter().map(AsRef::as_ref);
    names.map(|name| (name.to_string(), columns(name))).collect()
}

/// Failures per second by who ended the request.
fn failures(results: &Results, client: &str) -> Columns {
    columns(results, |curve| {
        let kind = curve.metric.strip_prefix("failures_per_second.")?;
        let is_it = curve.scope == "client" && curve.name == client;
        is_it.then(|| format!("{}, {}", curve.variant, kind.replace('_', " ")))
    })
}

/// The share of a service's endpoints that callers keep out of balancing, and of callers in panic.
fn kept_out(results: &Results, service: &str) -> Columns {
    columns(results, |curve| {
        let what = match curve.metric.as_str() {
            "ejected_ratio" => "kept out",
            "panic_ratio" => "in panic",
            _ => return None,
        };
        let is_it = curve.scope == "service" && curve.name == service;
        is_it.then(|| format!("{}, {what}", curve.variant))
    })
}

/// The curves that `name` has a name for, but those without any value.
fn columns(results: &Results, name: impl Fn(&OverTime) -> Option<String>) -> Columns {
    let mut columns = Columns {
        seconds: 0.0,
        names: Vec::new(),
        values: Vec::new(),
    };
    for curve in &results.curves.over_time {
        let Some(name) = name(curve).filter(|_| curve.values.iter().flatten().any(|&value| value > 0.0)) else {
            continue;
        };
        columns.seconds = curve.interval_nanos as f64 / 1e9;
        columns.names.push(name);
        let values = curve.values.iter().map(|value| value.map(|value| rounded(value, 3)));
        columns.values.push(values.collect());
    }
    columns
}

fn heat_maps(results: &Results) -> Vec<Heat> {
    let summary = &results.summary;
    let variants = &summary.variants;
    let mut services: Vec<(&str, usize)> = Vec::new();
    let mut endpoints = 0;
    for service in services_by_imbalance(summary) {
        let count = variants
            .first()
            .and_then(|variant| variant.services.get(service))
            .map_or(0, |s| s.endpoints.len());
        if count > 0 && (endpoints == 0 || endpoints + count <= ENDPOINTS_MAX) {
            services.push((service, count.min(ENDPOINTS_MAX)));
            endpoints += count.min(ENDPOINTS_MAX);
        }
    }
    let columns = (CELLS_MAX / (endpoints * variants.len()).max(1)).clamp(20, COLUMNS_MAX);
    let heat = |&(service, shown): &(&str, usize)| {
        let each: Vec<Option<heat::Loads>> = variants
            .iter()
            .map(|variant| heat::loads(results, &variant.name, service, columns))
            .collect();
        let some = each.iter().flatten().next()?;
        let (endpoints, seconds) = (some.endpoints.iter().take(shown).cloned().collect(), some.seconds);
        let hundredths = |load: &Option<f64>| load.map(|load| (load * 100.0).round().min(9_999.0) as u32);
        let of_variant = |loads: &Option<heat::Loads>| match loads {
            Some(loads) => loads
                .rows
                .iter()
                .take(shown)
                .map(|row| row.iter().map(hundredths).collect())
                .collect(),
            None => Vec::new(),
        };
        Some(Heat {
            service: service.to_string(),
            endpoints,
            seconds,
            columns: some.rows.first().map_or(0, Vec::len),
            loads: each.iter().map(of_variant).collect(),
        })
    };
    services.iter().filter_map(heat).collect()
}

fn mesh(summary: &Summary) -> Option<Mesh> {
    let layout = topology::layout(summary)?;
    let nodes = layout.nodes.iter().map(|node| MeshNode {
        name: node.name.clone(),
        is_client: node.is_client,
        x: node.x,
        y: node.y,
        height: node.height,
    });
    let edges = layout.edges.iter().map(|edge| {
        let figures: Vec<_> = summary.variants.iter().map(|variant| variant.edges.get(&edge.name)).collect();
        MeshEdge {
            name: edge.name.clone(),
            operation: edge.operation.clone(),
            begin: edge.begin,
            end: edge.end,
            label: edge.label_start(),
            words: figures.iter().map(|figures| figures.map(topology::words)).collect(),
            trouble: figures.iter().map(|figures| figures.map_or(0, topology::trouble)).collect(),
            width: figures
                .iter()
                .map(|figures| topology::stroke(figures.and_then(|f| f.calls_per_second.value).unwrap_or(0.0)))
                .map(|width| rounded(width, 2))
                .collect(),
            p99: figures
                .iter()
                .map(|figures| {
                    let value = figures.as_ref()?.latency_seconds.get("p99")?;
                    let ends = value.ci95;
                    Some([value.value, ends.map(|[low, _]| low), ends.map(|[_, high]| high)].map(|v| v.map(|v| rounded(v, 5))))
                })
                .collect(),
        }
    });
    Some(Mesh {
        width: layout.width,
        height: layout.height,
        nodes: nodes.collect(),
        edges: edges.collect(),
    })
}
