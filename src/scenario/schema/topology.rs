//! Services, their endpoints and operations, and the network between zones.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::mesh::Mesh;
use super::values::{Bandwidth, Limit};
use crate::policy::overload::{Criticality, adaptive_concurrency, admission_control, codel, load_shedding, local_rate_limit};
use crate::policy::{Metadata, PRIORITY_MAX};
use crate::random::{DistributionConfig, Share};
use crate::scenario::decode::{Field, LIST_OR_ONE, Named};
use crate::scenario::source::Span;
use crate::time::Duration;

/// The application: services on zones, and the network.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
pub struct Topology {
    /// The zones by name; one without a name if absent.
    pub zones: Option<Field<Vec<Field<String>>>>,
    /// Regions by name, each with its zones; a zone that is in none has no region.
    pub regions: Option<Field<Named<Vec<Field<String>>>>>,
    /// Hops between endpoints; they take no time if absent.
    pub network: Option<Field<Network>>,
    /// The services by name.
    pub services: Field<Named<Service>>,
}

/// One-way hops between zones.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
pub struct Network {
    /// One-way latency within a zone; 0s if absent.
    pub same_zone: Option<Field<DistributionConfig>>,
    /// One-way latency between zones; as `same_zone` if absent.
    pub cross_zone: Option<Field<DistributionConfig>>,
    /// Pairs of zones that differ from that.
    pub links: Option<Field<Vec<Field<Link>>>>,
    /// The share of transmissions that are lost and sent again; none if absent.
    pub loss: Option<Field<Share>>,
    /// How long after a loss it is sent again, doubling each time; 200ms if absent, the least that Linux waits.
    pub retransmission_timeout: Option<Field<Duration>>,
    /// What a hop carries, so that a payload takes time; sizes cost no time if absent.
    pub bandwidth: Option<Field<Bandwidth>>,
}

/// The network between one pair of zones.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
pub struct Link {
    /// One zone.
    pub from: Field<String>,
    /// The other, or the same.
    pub to: Field<String>,
    /// One-way latency; as between other zones if absent.
    pub latency: Option<Field<DistributionConfig>>,
    /// As the network's.
    pub loss: Option<Field<Share>>,
    /// As the network's.
    pub bandwidth: Option<Field<Bandwidth>>,
    /// Whether it holds only from `from` to `to`; in both directions if absent.
    pub one_way: Option<Field<bool>>,
}

/// One service.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
pub struct Service {
    /// How many equal endpoints, spread over the zones in order; or `endpoints`.
    #[schemars(extend("minimum" = 1))]
    pub replicas: Option<Field<u32>>,
    /// The endpoints one by one; or `replicas`.
    pub endpoints: Option<Field<Vec<Field<Endpoint>>>>,
    /// Replicas that are replaced one after the other, as in a rollout.
    pub churn: Option<Field<Churn>>,
    /// Requests that one endpoint serves at once; `unlimited` if absent.
    pub concurrency: Option<Field<Limit>>,
    /// Where requests wait at an endpoint.
    pub queue: Option<Field<Queue>>,
    /// The weights of localities by zone, for locality-weighted balancing.
    pub locality_weights: Option<Field<Named<u32>>>,
    /// Metadata of all its endpoints.
    pub metadata: Option<Field<Metadata>>,
    /// Cores of one endpoint, shared by its requests under the discipline `ps`; 1 if absent.
    #[schemars(extend("minimum" = 1))]
    pub cores: Option<Field<u32>>,
    /// Whether a request keeps its slot while it waits for its own calls (`sync`) or not (`async`, the default).
    pub threading: Option<Field<Threading>>,
    /// What becomes of a request whose caller gave up; `continue` if absent.
    pub on_cancel: Option<Field<OnCancel>>,
    /// A token bucket in front of each endpoint: beyond it the answer is 429; none if absent.
    pub local_rate_limit: Option<Field<local_rate_limit::Options>>,
    /// Each endpoint answers 503 while too few of its recent answers are successes (Envoy's filter); it does not if absent.
    pub admission_control: Option<Field<admission_control::Options>>,
    /// How many requests each endpoint has at once, found from how latency grows with them; beyond it the answer is 503. No limit if
    /// absent.
    pub adaptive_concurrency: Option<Field<adaptive_concurrency::Options>>,
    /// A filling endpoint turns the less important requests away first; it does not if absent.
    pub load_shedding: Option<Field<load_shedding::Options>>,
    /// By status, from 400 to 599: how long a caller is asked to wait before it tries again (`Retry-After`, gRPC's
    /// `grpc-retry-pushback-ms`). Callers heed it as their kind of retries does: Envoy's with `rate_limited_retry_back_off`, gRPC's always.
    pub retry_after: Option<Field<Named<Duration>>>,
    /// What can be called, by name: each a list of steps that run in order.
    pub operations: Field<Named<Vec<Field<Step>>>>,
    /// Overrides the scenario's `mesh`, key by key, for calls to this service.
    pub mesh: Option<Field<Mesh>>,
}

/// One endpoint of a service.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
pub struct Endpoint {
    /// Its name; the service's name and its number, as in `catalog-0`, if absent.
    pub name: Option<Field<String>>,
    /// Its zone; the zones in order if absent.
    pub zone: Option<Field<String>>,
    /// The node that it runs on, for faults of nodes; none that has a name if absent.
    pub node: Option<Field<String>>,
    /// Its weight for weighted balancers; 1 if absent.
    #[schemars(extend("minimum" = 1))]
    pub weight: Option<Field<u32>>,
    /// Work takes `1 / speed` of its time here; 1 if absent.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub speed: Option<Field<f64>>,
    /// The `ip:port` that hashing balancers hash; `10.S.H.L:8080` by service and number if absent.
    pub address: Option<Field<String>>,
    /// How often it answers at once with an error instead of working.
    pub fail: Option<Field<Fail>>,
    /// Its priority level: calls go to the next one as far as the levels before cannot take them; 0 if absent, at most 128.
    #[schemars(extend("maximum" = PRIORITY_MAX))]
    pub priority: Option<Field<u32>>,
    /// When it begins to serve; from the start if absent.
    pub joins: Option<Field<Duration>>,
    /// When it is told to go: whoever keeps the list of endpoints hears of it, and it serves on for `drain`; never if absent.
    pub leaves: Option<Field<Duration>>,
    /// How long it serves on; 5s if absent, as Istio's `terminationDrainDuration`.
    pub drain: Option<Field<Duration>>,
    /// The region of its locality, beside the zone; that of its zone if absent.
    pub region: Option<Field<String>>,
    /// The sub-zone of its locality; none if absent.
    pub sub_zone: Option<Field<String>>,
    /// The weight of its locality within its priority level, the same for all endpoints of both; that of the service's
    /// `locality_weights` if absent.
    pub locality_weight: Option<Field<u32>>,
    /// What hashing balancers hash instead of the address: Envoy's metadata `hash_key`.
    pub hash_key: Option<Field<String>>,
    /// What subsets are made of: Envoy's metadata `envoy.lb`. Added to the service's `metadata`.
    pub metadata: Option<Field<Metadata>>,
}

/// Replicas that are replaced one after the other: a new one begins to serve, with an address of its own, and the oldest is told to go.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
pub struct Churn {
    /// From one to the next.
    pub every: Field<Duration>,
    /// When the first is replaced; after `every` if absent.
    pub from: Option<Field<Duration>>,
    /// None is replaced from here on; at the end if absent.
    pub until: Option<Field<Duration>>,
    /// How long one serves on that was told to go; 5s if absent.
    pub drain: Option<Field<Duration>>,
}

/// Where requests wait at an endpoint.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
pub struct Queue {
    /// How many may wait; beyond that the answer is 503. `unlimited` if absent.
    pub limit: Option<Field<Limit>>,
    /// Who is served next; `fifo` if absent.
    pub discipline: Option<Field<Discipline>>,
    /// After this long in the queue the answer is 503; never if absent.
    pub timeout: Option<Field<Duration>>,
    /// While the queue never empties, what has waited too long is answered 503 instead of served; it is served if absent.
    pub codel: Option<Field<codel::Options>>,
    /// Under `adaptive_lifo` the youngest is served first while more than so many wait; as many as an endpoint serves at once if absent.
    pub lifo_switch_threshold: Option<Field<u32>>,
}

/// Who is served next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Discipline {
    /// In the order of arrival.
    Fifo,
    /// The youngest first.
    Lifo,
    /// In the order of arrival while few wait, and the youngest first while many do.
    AdaptiveLifo,
    /// All at once, sharing the cores; a request uses at most one.
    Ps,
}

/// Whether a request keeps its slot while it waits for its own calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Threading {
    /// It gives the slot up and queues for one before its next work.
    Async,
    /// It keeps the slot from start to end.
    Sync,
}

/// What becomes of a request whose caller gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnCancel {
    /// The endpoint never learns of it and works on.
    Continue,
    /// It is dropped if it still waits in the queue.
    DropQueued,
    /// It is dropped from the queue, or its work stops and its own calls are cancelled.
    Stop,
}

/// One step of an operation: one of `work`, `call`, `parallel`, `choose`, `fail` and `steps`, and what modifies it.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
pub struct Step {
    /// Works for this long.
    pub work: Option<Field<DistributionConfig>>,
    /// Calls an operation, `service/operation`, and waits for the answer.
    pub call: Option<Field<String>>,
    /// Runs branches side by side (each a step, or a list of steps) and waits for all of them.
    pub parallel: Option<Field<Vec<Field<Branch>>>>,
    /// Runs one of several lists of steps, by weight.
    pub choose: Option<Field<Vec<Field<Arm>>>>,
    /// Ends the operation with an error: a probability, or `{probability, status}`.
    pub fail: Option<Field<Fail>>,
    /// Steps that run in order as one.
    pub steps: Option<Field<Vec<Field<Step>>>>,
    /// How often the step runs: one after another, or side by side for a branch of `parallel`. Each time `probability` decides anew.
    #[schemars(extend("minimum" = 1))]
    pub repeat: Option<Field<u32>>,
    /// How likely the step runs; always if absent.
    pub probability: Option<Field<Share>>,
    /// What an error of the step does: `fail` the operation (the default) or `ignore`. Given to steps within that say nothing else.
    pub on_error: Option<Field<OnError>>,
    /// Overrides `mesh`, key by key, for the calls of this step.
    pub mesh: Option<Field<Mesh>>,
    /// How important a call is, as `criticality` of a client; as the request that it is made for if absent.
    pub criticality: Option<Field<Criticality>>,
    /// Bytes of a call's request; none if absent.
    pub request_size: Option<Field<DistributionConfig>>,
    /// Bytes of a call's answer; none if absent.
    pub response_size: Option<Field<DistributionConfig>>,
}

/// What an error of a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The operation ends with status 500.
    Fail,
    /// The operation goes on.
    Ignore,
}

/// One arm of `choose`.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
pub struct Arm {
    /// How likely it is, in proportion; 1 if absent.
    #[schemars(extend("minimum" = 0))]
    pub weight: Option<Field<f64>>,
    /// What runs.
    pub steps: Field<Vec<Field<Step>>>,
}

impl Step {
    /// Calls `visit` for each of `steps` and all steps within them that could be read.
    pub(crate) fn walk<'a>(steps: &'a [Field<Step>], visit: &mut impl FnMut(&'a Step, Span)) {
        for field in steps {
            if let Some(step) = field.get() {
                step.walk_here(field.span, visit);
            }
        }
    }

    fn walk_here<'a>(&'a self, span: Span, visit: &mut impl FnMut(&'a Step, Span)) {
        visit(self, span);
        for branch in self.parallel.iter().filter_map(Field::get).flatten() {
            match branch.get() {
                Some(Branch::Step(step)) => step.walk_here(branch.span, visit),
                Some(Branch::Steps(steps)) => Step::walk(steps, visit),
                None => {}
            }
        }
        for arm in self.choose.iter().filter_map(Field::get).flatten().filter_map(Field::get) {
            Step::walk(arm.steps.get().map_or(&[], Vec::as_slice), visit);
        }
        Step::walk(self.steps.as_ref().and_then(Field::get).map_or(&[], Vec::as_slice), visit);
    }
}

/// One branch of `parallel`: a step, or a list of steps.
#[derive(Clone, Debug)]
pub enum Branch {
    /// One step.
    Step(Box<Step>),
    /// Several, one after another.
    Steps(Vec<Field<Step>>),
}

impl<'de> Deserialize<'de> for Branch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Branch, D::Error> {
        struct BranchVisitor;
        impl<'de> Visitor<'de> for BranchVisitor {
            type Value = Branch;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a step such as `call: service/operation`, or a list of steps")
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Branch, D::Error> {
                Step::deserialize(deserializer).map(|step| Branch::Step(Box::new(step)))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<Branch, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(items)).map(Branch::Steps)
            }
        }
        deserializer.deserialize_newtype_struct(LIST_OR_ONE, BranchVisitor)
    }
}

impl JsonSchema for Branch {
    fn schema_name() -> Cow<'static, str> {
        "Branch".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let step = generator.subschema_for::<Step>();
        json_schema!({
            "description": "A step, or a list of steps that run in order.",
            "anyOf": [step, {"type": "array", "items": step}]
        })
    }
}

/// An error that is answered on purpose.
#[derive(Clone, Debug)]
pub struct Fail {
    /// How likely.
    pub probability: Share,
    /// The HTTP status of the answer.
    pub status: u16,
}

/// The status of an error that says nothing else.
const FAIL_STATUS: u16 = 503;

impl<'de> Deserialize<'de> for Fail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fail, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields, rename = "Fail")]
        struct Long {
            probability: Share,
            status: Option<u16>,
        }
        struct FailVisitor;
        impl<'de> Visitor<'de> for FailVisitor {
            type Value = Fail;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a probability such as `1%`, or `{probability: 1%, status: 503}`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Fail, E> {
                Share::parse(text).map(Fail::with).map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Fail, E> {
                self.visit_f64(number as f64)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Fail, E> {
                self.visit_f64(number as f64)
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Fail, E> {
                Share::new(number).map(Fail::with).map_err(E::custom)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Fail, A::Error> {
                let long = Long::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Fail {
                    probability: long.probability,
                    status: long.status.unwrap_or(FAIL_STATUS),
                })
            }
        }
        deserializer.deserialize_any(FailVisitor)
    }
}

impl Fail {
    fn with(probability: Share) -> Fail {
        Fail {
            probability,
            status: FAIL_STATUS,
        }
    }
}

impl JsonSchema for Fail {
    fn schema_name() -> Cow<'static, str> {
        "Fail".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let share = generator.subschema_for::<Share>();
        json_schema!({
            "description": "An error that is answered on purpose: a probability, or with a status (503 if absent).",
            "anyOf": [share, {
                "type": "object",
                "properties": {"probability": share, "status": {"type": "integer", "minimum": 400, "maximum": 599}},
                "required": ["probability"]
            }]
        })
    }
}
