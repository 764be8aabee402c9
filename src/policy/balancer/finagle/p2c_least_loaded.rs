//! Finagle's P2C: of two distinct random nodes the healthier one, and of equally healthy ones that with fewer requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{PanicMode, Status, WeightClasses};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

/// What `Balancers.p2c` and the stack parameters around it take.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How many endpoints may be unhealthy before one request in a hundred is sent to an unhealthy one.
    #[serde(alias = "panicMode")]
    #[schemars(extend("x-upstream" = "PanicMode"))]
    pub panic_mode: PanicMode,
}

impl Options {
    /// Nothing can be wrong.
    ///
    /// # Errors
    /// None.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// It has no state but an order of the endpoints: the requests in flight are counted for it.
#[derive(Clone, Debug)]
pub struct Balancer {
    panic_mode: PanicMode,
    classes: WeightClasses,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "Of two random endpoints the healthier, then the one with fewer requests in flight";
    const SOURCE: &'static str = "twitter/finagle finagle-core/src/main/scala/com/twitter/finagle/loadbalancer/\
        {TrafficDistributor,LeastLoaded}.scala, p2c/{P2C,P2CPick}.scala";
    const CHECKED: &'static str = "The stationary distribution of two servers; The share that theory gives; Panics as often as Finagle's test expects; \
        Shares of weighted endpoints";
    const RULES: Rules = Rules::Any;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            panic_mode: options.panic_mode,
            classes: WeightClasses::default(),
        }
    }

    fn update(&mut self, _: &Endpoints<'_>, _: CandidateSet<'_>, _: Time) {
        self.classes.forget();
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        _: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        let better = |first, second| {
            // The better status counts first, hence the order of the pair.
            let rank = |endpoint: EndpointIndex| (std::cmp::Reverse(Status::of(set, endpoint)), endpoints.active[endpoint.at()]);
            if rank(first) <= rank(second) { first } else { second }
        };
        Some(self.classes.two_choices(endpoints, set, self.panic_mode, rng, better))
    }
}
