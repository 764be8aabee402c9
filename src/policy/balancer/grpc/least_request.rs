//! gRPC's least_request: the fewest calls outstanding among a few random connected endpoints, drawn with replacement.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{Change, PerSet, ReadyList, Subchannels, least_of_draws};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::Time;

/// What a service config says of `least_request_experimental`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How many random endpoints are compared, at least 2; more than 10 count as 10.
    #[serde(alias = "choiceCount")]
    #[schemars(extend("x-upstream" = "least_request_experimental.choiceCount"))]
    pub choice_count: u32,
}

/// "If a LeastRequestLoadBalancingConfig with a choice_count > 10 is received, the policy will set choice_count = 10" (gRFC A48).
const CHOICES_MAX: u32 = 10;

impl Default for Options {
    fn default() -> Options {
        Options { choice_count: 2 }
    }
}

impl Options {
    /// Whether gRPC would take them.
    ///
    /// # Errors
    /// A sentence about the option that it would not take.
    pub fn check(&self) -> Result<(), String> {
        if self.choice_count < 2 {
            return Err(format!("`choice_count` must be at least 2, not {}", self.choice_count));
        }
        Ok(())
    }
}

/// One caller's connections; the counts are the caller's calls in flight.
#[derive(Clone, Debug)]
pub struct Balancer {
    choice_count: u32,
    subchannels: Subchannels,
    lists: PerSet<ReadyList>,
}

impl Balancer {
    fn renew(&mut self) {
        for list in self.lists.iter_mut() {
            list.refresh(&self.subchannels);
        }
    }
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "The fewest calls outstanding among a few random connected endpoints";
    const SOURCE: &'static str = "grpc/grpc-go balancer/leastrequest/leastrequest.go; grpc/proposal A48";
    const CHECKED: &'static str = "the share that its draws give";
    const DIFFERENCES: &'static str = "Calls from before an endpoint's connection was lost still count when it is back, where grpc-go begins at 0; a lost connection is made anew by a call, which may fail";
    const RULES: Rules = Rules::Ready;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            choice_count: options.choice_count.min(CHOICES_MAX),
            subchannels: Subchannels::new(),
            lists: PerSet::default(),
        }
    }

    fn start(&mut self, rng: &mut Rng) {
        self.subchannels.start(rng);
    }

    fn on_added(&mut self, endpoint: EndpointIndex, _: Time) {
        self.subchannels.on_added(endpoint);
    }

    fn update(&mut self, _: &Endpoints<'_>, set: CandidateSet<'_>, _: Time) {
        self.lists.of(set.number()).forget();
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        now: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        if self.subchannels.poll(now) {
            self.renew();
        }
        let list = self.lists.of(set.number());
        if !list.is_known() {
            list.fill(set, &self.subchannels);
        }
        let ready = list.ready();
        let n = ready.len() as u64;
        (n > 0).then(|| least_of_draws(|| ready[rng.below(n) as usize], endpoints.active, self.choice_count))
    }

    #[inline]
    fn on_started(&mut self, endpoint: EndpointIndex, _: Time) {
        if self.subchannels.on_started(endpoint) {
            self.renew();
        }
    }

    #[inline]
    fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        if self.subchannels.on_finished(endpoint, outcome.answer, now) != Change::None {
            self.renew();
        }
    }
}
