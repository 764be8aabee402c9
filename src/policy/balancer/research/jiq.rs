//! Join the idle queue: endpoints that become idle report to a caller, which sends to them first.
//!
//! Lu et al., "Join-Idle-Queue" (Performance Evaluation 2011). Which caller an endpoint reports to is the driver's to draw
//! (JIQ-Random). An endpoint may be in a queue though it is busy again, since nobody takes its report back.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::{Balance, Hints, Wants};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

/// It has no options.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {}

impl Options {
    /// Nothing can be wrong.
    ///
    /// # Errors
    /// None.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// One caller's I-queue.
#[derive(Clone, Debug, Default)]
pub struct Balancer {
    idle: VecDeque<EndpointIndex>,
    // Whether an endpoint is in the queue: it is there at most once.
    queued: Vec<bool>,
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "An endpoint that reported to be idle, else a random one";
    const SOURCE: &'static str = "Lu, Xie, Kliot, Geller, Larus and Greenberg, Performance Evaluation 68 (2011)";
    const CHECKED: &'static str = "The stationary distribution of two servers";
    const DIFFERENCES: &'static str = "Which caller an idle endpoint reports to is the driver's to say: a random one (JIQ-Random), not the \
        one with the shortest of d queues (JIQ-SQ(d))";
    const RULES: Rules = Rules::Envoy;
    const WANTS: Wants = Wants {
        idle_reports: true,
        ..Wants::NOTHING
    };

    fn new(_: &Options, _: usize) -> Balancer {
        Balancer::default()
    }

    fn on_added(&mut self, endpoint: EndpointIndex, _: Time) {
        // What is queued under that index is another endpoint's report.
        if self.queued.get(endpoint.at()) == Some(&true) {
            self.queued[endpoint.at()] = false;
            self.idle.retain(|&queued| queued != endpoint);
        }
    }

    #[inline]
    fn pick(&mut self, _: &Endpoints<'_>, set: CandidateSet<'_>, _: &Hints<'_>, _: Time, rng: &mut Rng) -> Option<EndpointIndex> {
        // The report of an endpoint that may not be picked now is kept: it will not report again before it has served something.
        let Some(place) = self.idle.iter().position(|&endpoint| set.contains(endpoint)) else {
            return Some(set.random(rng));
        };
        let endpoint = self.idle.remove(place)?;
        self.queued[endpoint.at()] = false;
        Some(endpoint)
    }

    fn on_idle(&mut self, endpoint: EndpointIndex, _: Time) {
        if endpoint.at() >= self.queued.len() {
            self.queued.resize(endpoint.at() + 1, false);
        }
        if !std::mem::replace(&mut self.queued[endpoint.at()], true) {
            self.idle.push_back(endpoint);
        }
    }
}
