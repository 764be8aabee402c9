//! gRPC's round_robin: the connected endpoints one after the other, from a random start whenever their list changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{Change, PerSet, ReadyList, Subchannels};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Outcome};
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

/// One caller's rotation.
#[derive(Clone, Debug)]
pub struct Balancer {
    subchannels: Subchannels,
    pickers: PerSet<Picker>,
}

#[derive(Clone, Debug, Default)]
struct Picker {
    list: ReadyList,
    // None: it begins at a random place.
    next: Option<u32>,
}

impl Balancer {
    /// Every change of the connections makes new pickers.
    fn renew(&mut self) {
        for picker in self.pickers.iter_mut() {
            picker.list.refresh(&self.subchannels);
            picker.next = None;
        }
    }
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "The connected endpoints one after the other, from a random start at each change of their list";
    const SOURCE: &'static str = "grpc/grpc-go balancer/endpointsharding/endpointsharding.go, balancer/roundrobin/roundrobin.go";
    const CHECKED: &'static str = "cycles and starts that its source gives";
    const DIFFERENCES: &'static str = "The cycle is in the order of the endpoint list, where grpc-go's is that of a Go map; a lost connection is made anew by a call, which may fail";
    const RULES: Rules = Rules::Ready;

    fn new(_: &Options, _: usize) -> Balancer {
        Balancer {
            subchannels: Subchannels::new(),
            pickers: PerSet::default(),
        }
    }

    fn start(&mut self, rng: &mut Rng) {
        self.subchannels.start(rng);
    }

    fn on_added(&mut self, endpoint: EndpointIndex, _: Time) {
        self.subchannels.on_added(endpoint);
    }

    fn update(&mut self, _: &Endpoints<'_>, set: CandidateSet<'_>, _: Time) {
        let picker = self.pickers.of(set.number());
        picker.list.forget();
        picker.next = None;
    }

    #[inline]
    fn pick(
        &mut self,
        _: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        now: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        if self.subchannels.poll(now) {
            self.renew();
        }
        let picker = self.pickers.of(set.number());
        if !picker.list.is_known() {
            picker.list.fill(set, &self.subchannels);
        }
        let ready = picker.list.ready();
        if ready.is_empty() {
            return None;
        }
        let place = picker.next.unwrap_or_else(|| rng.below(ready.len() as u64) as u32) as usize;
        picker.next = Some(if place + 1 == ready.len() { 0 } else { place as u32 + 1 });
        Some(ready[place])
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
