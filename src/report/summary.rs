//! The one document that everything is drawn from: `summary.json`.
//!
//! Units are in the names: `_seconds`, `_ratio`, `_total`. A total is a sum over replications; any other figure is a mean
//! over them with a 95 % interval. What cannot be known is null, with the reason beside it. Nothing here depends on the
//! wall clock, the host or the number of threads. How it is made of an outcome is in `summarize.rs`.

mod value;

use serde::{Deserialize, Serialize};

pub use value::Value;

use crate::report::Named;

/// The name of this document's shape.
pub const SCHEMA: &str = "meshsim/summary/v1";

/// Services with more endpoints than this are not listed endpoint by endpoint.
pub const ENDPOINTS_LISTED_MAX: usize = 1024;

/// The results of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The version of meshsim that wrote it.
    pub version: String,
    /// The scenario's name.
    pub scenario: String,
    /// Its question.
    pub description: String,
    /// A hash over the scenario with its patches: equal digests mean equal experiments.
    pub scenario_digest: String,
    /// All randomness follows from it.
    pub seed: u64,
    /// Independent runs of each variant.
    pub replications: u32,
    /// The answer in one sentence.
    pub answer: String,
    /// What the reader ought to know before trusting the figures.
    pub warnings: Vec<String>,
    /// How sure the intervals are.
    pub confidence: Confidence,
    /// What was compared.
    pub variants: Vec<VariantSummary>,
    /// How the variants differ.
    pub comparisons: Vec<ComparisonSummary>,
    /// The order of the variants, by each figure that is compared.
    #[serde(default)]
    pub rankings: Vec<RankingSummary>,
    /// How well figures are known that were to be known well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub precision: Vec<PrecisionSummary>,
    /// What the search for the best variant came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionSummary>,
    /// What the engine did.
    pub engine: Engine,
    /// The scenario as it was written.
    pub source: SourceText,
}

/// How sure the intervals are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    /// The confidence of each interval of a variant, and of all intervals of one metric's comparisons together.
    pub level: f64,
    /// Over how many pairs of variants the intervals of comparisons hold at once (Bonferroni).
    pub pairs: usize,
    /// How intervals of comparisons are made to hold together: `bonferroni`; p-values are corrected by `holm`.
    #[serde(default)]
    pub correction: String,
    /// The share of a figure up to which a difference does not matter, where the scenario says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indifference: Option<f64>,
}

/// A figure that was to be known well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrecisionSummary {
    /// The figure: `p99(least_request)`.
    pub metric: String,
    /// Half the width of its interval, as a share of it, was to be at most this.
    pub wanted_ratio: f64,
    /// What it is; null where the figure is not known.
    pub reached_ratio: Option<f64>,
    /// Whether that is enough: at most wanted / (1 + wanted), so that the true relative error is at most what was wanted.
    pub met: bool,
    /// Why the figure is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The search for the best variant by a metric (Kim and Nelson's procedure KN).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelectionSummary {
    /// The metric.
    pub metric: String,
    /// Differences up to this do not matter, in the unit of the metric.
    pub indifference: f64,
    /// The variant that is best with 95 % confidence, or within the zone of indifference of the best; the best so far where it was not found.
    pub best: String,
    /// Whether it was found with the replications allowed.
    pub found: bool,
    /// The variants that were out of it, with the replications that took.
    pub left_after_replications: Named<u32>,
}

/// What the engine did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Engine {
    /// Events of all measured cells.
    pub events_total: u64,
    /// Simulated time of all measured cells.
    pub simulated_seconds: f64,
}

/// A scenario file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceText {
    /// Its name, without directories.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// One variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariantSummary {
    /// Its name.
    pub name: String,
    /// A hash over every event of every replication: equal digests mean equal runs.
    pub digest: String,
    /// When arrivals stop.
    pub duration_seconds: f64,
    /// What was left out at the beginning of each replication.
    pub warmup_seconds: f64,
    /// What was measured of each replication.
    pub measured_seconds: f64,
    /// What went wrong on purpose.
    pub faults: Vec<FaultSummary>,
    /// The clients.
    pub clients: Named<ClientSummary>,
    /// The services.
    pub services: Named<ServiceSummary>,
    /// Who called whom.
    pub edges: Named<EdgeSummary>,
    /// How the faults went, in their order.
    #[serde(default)]
    pub incidents: Vec<IncidentSummary>,
    /// What clients went through in the windows of time that expectations look at: `during crash`.
    #[serde(default)]
    pub windows: Named<WindowSummary>,
    /// Which parts of the model it uses, and how; null where a part is off.
    #[serde(default)]
    pub effects: Named<Option<String>>,
}

/// How a fault went. Where it comes several times in a replication, times are means over these, and requests lost their sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentSummary {
    /// What it is called.
    pub name: String,
    /// When it began; the first time in any replication.
    pub from_seconds: f64,
    /// When it ended; the last time in any replication.
    pub to_seconds: f64,
    /// How often it came in a replication.
    pub occurrences: Value,
    /// From its begin until a caller took an endpoint struck out of balancing, while it lasted: mean over the callers that did.
    pub time_to_detect_seconds: Value,
    /// The share that did of the callers that watch endpoints and had to do with the services struck.
    pub detected_ratio: Value,
    /// From its begin until all callers that sent to endpoints struck had all of these out at once.
    pub time_to_eject_seconds: Value,
    /// From its begin to the last attempt sent to an endpoint struck before these got less than 1 % of the next 500 attempts.
    pub time_to_shift_seconds: Value,
    /// From its end to the first of three buckets of time in a row in which every client's availability is at most one point below, and
    /// the 90th percentile of its latency at most 1.25 times, what it was before the fault.
    pub time_to_recover_seconds: Value,
    /// Failed requests that were meant to be sent while it lasted or that it met in flight, less what would have failed by the share of
    /// failures before it: mean over replications.
    pub requests_lost: Value,
    /// The medians of these times over all replications, those included in which it did not come to that: `time_to_recover`…
    #[serde(default)]
    pub median_seconds: Named<Value>,
}

/// One window of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowSummary {
    /// What was measured of it in a replication.
    pub measured_seconds: Value,
    /// The clients.
    pub clients: Named<ClientSummary>,
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultSummary {
    /// When it began.
    pub at_seconds: f64,
    /// When it ended.
    pub until_seconds: f64,
    /// What it was.
    pub label: String,
}

/// The requests of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientSummary {
    /// Requests, by their intended start.
    pub requests_total: Value,
    /// Attempts of the root calls.
    pub attempts_total: Value,
    /// Requests a second.
    pub requests_per_second: Value,
    /// Successes a second.
    pub goodput_per_second: Value,
    /// The share that succeeded.
    pub availability_ratio: Value,
    /// Attempts over requests.
    pub attempts_per_request_ratio: Value,
    /// Failures by cause.
    pub failures_total: Named<u64>,
    /// Failures by who or what ended the request: `endpoint`, `proxy_overflow`, `no_healthy_upstream`, `timeout`, `reset`…
    #[serde(default)]
    pub failures_by_answerer_total: Named<u64>,
    /// The share of requests that is to succeed.
    #[serde(default)]
    pub availability_objective_ratio: Value,
    /// Failures over those that the objective allows.
    #[serde(default)]
    pub error_budget_burn_ratio: Value,
    /// From the intended start to the end of the answer, of successes.
    pub latency_seconds: Named<Value>,
    /// The same of failures.
    pub failed_latency_seconds: Named<Value>,
}

/// The calls from one owner to one operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeSummary {
    /// Calls.
    pub calls_total: Value,
    /// Calls a second.
    #[serde(default)]
    pub calls_per_second: Value,
    /// Attempts.
    pub attempts_total: Value,
    /// The share of calls that succeeded.
    pub availability_ratio: Value,
    /// Attempts over calls.
    pub attempts_per_call_ratio: Value,
    /// Failed calls by cause.
    pub failures_total: Named<u64>,
    /// From the start of a call to its end, of successes.
    pub latency_seconds: Named<Value>,
}

/// What arrived at a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceSummary {
    /// What arrived at its endpoints.
    pub requests_total: Value,
    /// Attempts that its callers made, those that found no connection included.
    pub attempts_total: Value,
    /// The share of arrivals that were answered without failure.
    pub availability_ratio: Value,
    /// Failures by cause.
    pub failures_total: Named<u64>,
    /// From arrival to the end of the answer, of successes.
    pub latency_seconds: Named<Value>,
    /// The part before the first service.
    pub queue_wait_seconds: Named<Value>,
    /// The share of served ones that waited at all.
    pub waited_ratio: Value,
    /// Requests at its endpoints: time average.
    pub in_flight: Value,
    /// Busy slots (or cores) at its endpoints: time average.
    pub busy_slots: Value,
    /// Busy slots over all slots.
    pub utilization_ratio: Value,
    /// What it is offered over what it can serve: above 1 requests pile up or are refused.
    #[serde(default)]
    pub offered_ratio: Value,
    /// Little's law as a check: arrivals a second times their mean stay, over the mean number there. 1 in a steady state, but for what is cut
    /// at the edges of the measured window.
    #[serde(default)]
    pub little_ratio: Value,
    /// Arrivals by request of any client: how much retries on all hops before multiply what clients want.
    #[serde(default)]
    pub requests_per_root_request_ratio: Value,
    /// The share of its work that was for attempts whose answer nobody waited for.
    #[serde(default)]
    pub wasted_work_ratio: Value,
    /// How often callers took an endpoint out of balancing.
    #[serde(default)]
    pub ejections_total: Value,
    /// How often they would have but for a limit.
    #[serde(default)]
    pub ejections_spared_total: Value,
    /// The share of the endpoints they know that callers kept out of balancing: mean over callers and time.
    #[serde(default)]
    pub ejected_ratio: Value,
    /// The share of time in which callers used endpoints whatever their health, because too few were well: mean over callers.
    #[serde(default)]
    pub panic_ratio: Value,
    /// The busiest endpoint's requests over the mean of all endpoints.
    pub load_max_ratio: Value,
    /// From a change of an endpoint (it came, went or was lost) to each caller that believes it.
    pub discovery_delay_seconds: Named<Value>,
    /// Attempts sent to an endpoint that was gone or down while the caller took it to be there.
    pub stale_requests_total: Value,
    /// Pairs of a caller and an endpoint that had to do with each other: what a mesh has to keep open, mean over replications.
    pub connections_total: Value,
    /// How many endpoints it has.
    pub endpoints_total: u64,
    /// By endpoint; none where there are more than [`ENDPOINTS_LISTED_MAX`].
    pub endpoints: Named<EndpointSummary>,
}

/// What arrived at an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointSummary {
    /// What arrived.
    pub requests_total: Value,
    /// Of that, failed.
    pub failures_total: Value,
    /// The wait of what was served: its mean.
    pub queue_wait_seconds: Named<Value>,
    /// Busy slots (or cores): time average.
    pub busy_slots: Value,
    /// Busy slots over all slots.
    pub utilization_ratio: Value,
}

/// How variant `a` differs from variant `b`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparisonSummary {
    /// Client and figure: `web.latency_seconds.p99`.
    pub metric: String,
    /// The variant compared.
    pub a: String,
    /// What it is compared with.
    pub b: String,
    /// Mean of `a - b` over paired replications.
    pub difference: Value,
    /// Geometric mean of `a / b` over paired replications; of the shares of failures where the metric is availability.
    pub ratio: Value,
    /// Correlation over replications.
    pub correlation: Value,
    /// 1 - Var(A - B) / (Var A + Var B): what the common random numbers saved.
    #[serde(default)]
    pub variance_saved_ratio: Value,
    /// How likely such differences would be if there were none, with Holm's correction for all pairs of this metric.
    #[serde(default)]
    pub p_value: Value,
    /// `lower`, `higher`, `no difference`, or `undecided`: without an interval, or where it reaches beyond the zone of indifference.
    pub verdict: String,
    /// The same in words, of `a`: `better`, `worse`, `no difference above 2 %`, `undecided: about 14 more replications`.
    #[serde(default)]
    pub statement: String,
    /// Where there is no difference: larger ones are excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_difference_above: Option<f64>,
    /// About how many replications more would tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replications_needed: Option<u64>,
}

impl ComparisonSummary {
    /// The same the other way round: how `b` differs from `a`.
    fn turned(&self) -> ComparisonSummary {
        let map = |value: &Value, turn: &dyn Fn(f64) -> f64| Value {
            value: value.value.map(turn),
            ci95: value.ci95.map(|[low, high]| [turn(high), turn(low)]),
            ..value.clone()
        };
        let other = |word: &str, [one, two]: [&str; 2]| match word {
            word if word == one => two.to_string(),
            word if word == two => one.to_string(),
            word => word.to_string(),
        };
        ComparisonSummary {
            a: self.b.clone(),
            b: self.a.clone(),
            difference: map(&self.difference, &|difference| 0.0 - difference),
            ratio: map(&self.ratio, &|ratio| 1.0 / ratio),
            verdict: other(&self.verdict, ["lower", "higher"]),
            statement: other(&self.statement, ["better", "worse"]),
            ..self.clone()
        }
    }
}

/// The order of the variants by one figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankingSummary {
    /// Client and figure: `web.latency_seconds.p99`.
    pub metric: String,
    /// Best first by the point estimates; what is certain of that order is in the ranks.
    pub variants: Vec<RankSummary>,
}

/// Where a variant stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankSummary {
    /// The variant.
    pub variant: String,
    /// The best and the worst place that it may have, from 1, as far as comparisons tell.
    pub rank: [usize; 2],
    /// Variants that share a letter are not separated.
    pub group: String,
}

impl VariantSummary {
    /// The figure of a client that a comparison names: `web.latency_seconds.p99`.
    pub fn figure(&self, metric: &str) -> Option<&Value> {
        self.clients.iter().find_map(|(name, client)| {
            let figure = metric.strip_prefix(name)?.strip_prefix('.')?;
            match figure.strip_prefix("latency_seconds.") {
                Some(name) => client.latency_seconds.get(name),
                None => (figure == "availability_ratio").then_some(&client.availability_ratio),
            }
        })
    }
}

impl Summary {
    /// The variant of this name.
    pub fn variant(&self, name: &str) -> Option<&VariantSummary> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    /// How `a` differs from `b` in a metric, whichever way round they were compared.
    pub fn comparison(&self, metric: &str, a: &str, b: &str) -> Option<ComparisonSummary> {
        let of = |a: &str, b: &str| self.comparisons.iter().find(|c| c.metric == metric && c.a == a && c.b == b);
        of(a, b).cloned().or_else(|| Some(of(b, a)?.turned()))
    }

    /// The client with the most requests in the first variant (the first of equals): the one that answers are about.
    pub fn main_client(&self) -> Option<&str> {
        let clients = &self.variants.first()?.clients;
        let mut best: Option<(&str, f64)> = None;
        for (name, client) in clients.iter() {
            let requests = client.requests_total.value.unwrap_or(0.0);
            if best.is_none_or(|(_, most)| requests > most) {
                best = Some((name, requests));
            }
        }
        best.map(|(name, _)| name)
    }
}
