//! gRPC's weighted_target: a target at random, by weight, among those that are ready; each is balanced by a child.
//!
//! The targets of a priority level are its localities, as they are below gRPC's xDS policies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::child_policy::ChildPolicy;
use crate::policy::balancer::common::PerSet;
use crate::policy::balancer::{self, Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Locality, Rules};
use crate::policy::{CallerInfo, EndpointIndex, Endpoints, LoadReport, Outcome};
use crate::random::Rng;
use crate::time::Time;

/// What the configuration of `weighted_target_experimental` holds of one child; all targets have the same.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// What balances within a target: another balancer of family grpc, by name or as a map from its name to its options.
    #[schemars(extend("x-upstream" = "targets[].childPolicy"))]
    #[serde(alias = "childPolicy")]
    pub child_policy: ChildPolicy,
}

/// What may be a child.
const CHILDREN: [&str; 5] = [
    "round_robin",
    "pick_first",
    "weighted_round_robin",
    "ring_hash",
    "least_request",
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

/// One caller's children: one balancer, which keeps the state of each target apart.
#[derive(Clone, Debug)]
pub struct Balancer {
    child: Box<balancer::Balancer>,
    // Of each level, while its sets are what they were.
    targets: PerSet<Option<Vec<Target>>>,
}

/// A locality of a level.
#[derive(Clone, Copy, Debug)]
struct Target {
    weight: u64,
    set: usize,
    // Whether it had nobody to give for the call that is placed.
    has_failed: bool,
}

/// The targets of a level. Where nobody gave a locality a weight all count alike; else those without one are left out, as gRPC
/// leaves out localities without weight.
fn targets(level: CandidateSet<'_>) -> Vec<Target> {
    let has_weights = level.localities().any(|locality| locality.weight.is_some());
    let target = |locality: Locality<'_>| Target {
        weight: if has_weights {
            u64::from(locality.weight.unwrap_or(0))
        } else {
            1
        },
        set: locality.set.number(),
        has_failed: false,
    };
    level.localities().map(target).filter(|target| target.weight > 0).collect()
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "Targets, here localities, at random by their weights; a child balances within each";
    const SOURCE: &'static str = "grpc/grpc-go balancer/weightedtarget, internal/wrr/random.go; grpc/proposal A28, A55";
    const CHECKED: &'static str = "the shares of its weights";
    const DIFFERENCES: &'static str =
        "Targets are localities, with `locality_weight` as their weights and one child policy for all";
    const RULES: Rules = Rules::Ready;

    fn rules(options: &Options) -> Rules {
        options.child_policy.0.rules()
    }

    fn wants(options: &Options) -> Wants {
        Wants {
            localities: true,
            ..options.child_policy.0.wants()
        }
    }

    fn new(options: &Options, set_count: usize) -> Balancer {
        Balancer {
            child: Box::new(balancer::Balancer::new(&options.child_policy.0, set_count)),
            targets: PerSet::default(),
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
        self.targets.reset(set.number());
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
        let targets = self.targets.of(set.number()).get_or_insert_with(|| targets(set));
        let mut sum = 0;
        for target in targets.iter_mut() {
            target.has_failed = set.other(target.set).is_empty();
            sum += if target.has_failed { 0 } else { target.weight };
        }
        // Only ready targets are drawn: one that has nobody to give is left out, and another one drawn.
        while sum > 0 {
            let mut passed = 0;
            let draw = rng.below(sum);
            let drawn = targets.iter_mut().filter(|target| !target.has_failed).find(|target| {
                passed += target.weight;
                draw < passed
            });
            let target = drawn.expect("the draw is below the sum");
            let picked = self.child.pick(endpoints, set.other(target.set), hints, now, rng);
            if picked.is_some() {
                return picked;
            }
            target.has_failed = true;
            sum -= target.weight;
        }
        None
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
