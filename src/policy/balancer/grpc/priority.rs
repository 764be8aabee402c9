//! gRPC's priority: all calls to the first priority level that has a ready endpoint, each level balanced by a child.
//!
//! The levels are those of the endpoints; the candidates are already those of the first level with any, and a child that has
//! nobody to give hands on to the next one. What a real one waits for while it connects is not here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::child_policy::ChildPolicy;
use crate::policy::balancer::{self, Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{CallerInfo, EndpointIndex, Endpoints, LoadReport, Outcome};
use crate::random::Rng;
use crate::time::Time;

/// What the configuration of `priority_experimental` holds of one child; all levels have the same.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// What balances within a level: another balancer of family grpc, by name or as a map from its name to its options.
    #[schemars(extend("x-upstream" = "priorities[].config"))]
    #[serde(alias = "childPolicy")]
    pub child_policy: ChildPolicy,
}

/// What may be a child.
const CHILDREN: [&str; 6] = [
    "round_robin",
    "pick_first",
    "weighted_round_robin",
    "ring_hash",
    "least_request",
    "weighted_target",
];

impl Options {
    /// Whether the child is one that can be.
    ///
    /// # Errors
    /// A sentence that says which can.
    pub fn check(&self) -> Result<(), String> {
        self.child_policy.check(&CHILDREN)
    }
}

/// One caller's children: one balancer, which keeps the state of each level apart.
#[derive(Clone, Debug)]
pub struct Balancer {
    child: Box<balancer::Balancer>,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "All calls to the first priority level with a ready endpoint; a child balances within it";
    const SOURCE: &'static str = "grpc/grpc-go internal/xds/balancer/priority; grpc/proposal A56";
    const CHECKED: &'static str = "levels that its specification chooses";
    const DIFFERENCES: &'static str = "A level that connects is passed over at once, where a real one is waited for until its failover timer of 10 s has passed";
    const RULES: Rules = Rules::Ready;

    fn rules(options: &Options) -> Rules {
        options.child_policy.0.rules()
    }

    fn wants(options: &Options) -> Wants {
        options.child_policy.0.wants()
    }

    fn new(options: &Options, set_count: usize) -> Balancer {
        Balancer {
            child: Box::new(balancer::Balancer::new(&options.child_policy.0, set_count)),
        }
    }

    fn on_caller(&mut self, caller: &CallerInfo) {
        self.child.on_caller(caller);
    }

    fn start(&mut self, rng: &mut Rng) {
        self.child.start(rng);
    }

    fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        self.child.on_added(endpoint, now);
    }

    fn renew(&mut self, sets: &[usize], set_count: usize) {
        self.child.renew(sets, set_count);
    }

    fn share(&mut self, prototype: &Balancer) {
        self.child.share(&prototype.child);
    }

    fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, now: Time) {
        self.child.update(endpoints, set, now);
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        hints: &Hints<'_>,
        now: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        self.child.pick(endpoints, set, hints, now, rng)
    }

    #[inline]
    fn on_started(&mut self, endpoint: EndpointIndex, now: Time) {
        self.child.on_started(endpoint, now);
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        self.child.on_finished(endpoint, outcome, now);
    }

    fn on_idle(&mut self, endpoint: EndpointIndex, now: Time) {
        self.child.on_idle(endpoint, now);
    }

    fn next_probe(&mut self) -> Option<EndpointIndex> {
        self.child.next_probe()
    }

    fn on_probed(&mut self, endpoint: EndpointIndex, report: &LoadReport, now: Time) {
        self.child.on_probed(endpoint, report, now);
    }
}
