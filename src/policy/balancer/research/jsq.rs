//! Join the shortest queue: the least loaded of all endpoints, or of d random ones, by what is really queued there.
//!
//! All queues are compared at every pick, many endpoints at a time: they change without the balancer's knowledge, so no heap could
//! keep them in order. JSQ(d) looks at d. Where the driver knows the servers' queues (a simulator does) these are global; else
//! they are the caller's own requests in flight.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{Sample, least_of, least_of_set};
use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

/// JSQ is without options; JSQ(d) has one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How many distinct random endpoints are compared, the d of JSQ(d); all if absent.
    pub choices: Option<u32>,
}

impl Options {
    /// Whether the options make sense.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        match self.choices {
            Some(0) => Err("`choices` must be at least 1; leave it out to compare all endpoints".to_string()),
            _ => Ok(()),
        }
    }
}

/// It has no state but room for a sample.
#[derive(Clone, Debug)]
pub struct Balancer {
    choices: u32,
    sample: Sample,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "The shortest queue of all endpoints, or of d random ones; ties at random";
    const SOURCE: &'static str = "Winston 1977; Vvedenskaya, Dobrushin and Karpelevich 1996; Mitzenmacher 2001";
    const CHECKED: &'static str =
        "The stationary distribution of two servers; Queue lengths that theory gives for two choices of many";
    const RULES: Rules = Rules::Envoy;
    const WANTS: Wants = Wants {
        server_load: true,
        ..Wants::NOTHING
    };

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            choices: options.choices.unwrap_or(u32::MAX),
            sample: Sample::default(),
        }
    }

    #[inline]
    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        hints: &Hints<'_>,
        _: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        let known = !hints.call.server_load.is_empty();
        let queues = if known { hints.call.server_load } else { endpoints.active };
        if self.choices >= set.len() {
            return Some(least_of_set(set, queues, rng));
        }
        Some(least_of(
            self.sample.draw(set, self.choices, rng).iter().copied(),
            queues,
            rng,
        ))
    }
}
