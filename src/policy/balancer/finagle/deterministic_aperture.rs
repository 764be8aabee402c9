//! Finagle's deterministic aperture: each of N clients uses an arc of the ring of servers, and together the arcs cover it evenly.
//!
//! Servers lie on the ring [0, 1) in the order of the list, each with an arc of its share of the weights. Client i of N begins at
//! i/N, and its arc is a whole number of Nths that holds at least twelve average servers; a server that is only partly in it gets
//! a part of the traffic. Where there is no number there is one client, whose arc is the ring. The load band is out of work here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{Alias, PanicMode, Status, Weighed};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{CallerInfo, EndpointIndex, Endpoints};
use crate::random::Rng;
use crate::time::Time;

/// The coordinate, and what `Balancers.aperture` and the stack parameters and flags around it take.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The client's number among its peers, from 0; if absent, what the driver knows of the caller.
    #[serde(alias = "instanceId")]
    #[schemars(extend("x-upstream" = "ProcessCoordinate.setCoordinate instanceId"))]
    pub instance_id: Option<u32>,
    /// How many peers there are, the client included; if absent, what the driver knows of the caller.
    #[serde(alias = "totalInstances")]
    #[schemars(extend("x-upstream" = "ProcessCoordinate.setCoordinate totalInstances"))]
    pub total_instances: Option<u32>,
    /// An arc holds at least so many servers of average weight, unless there are fewer; at least 2.
    #[serde(alias = "minDeterministicAperture")]
    #[schemars(extend("x-upstream" = "com.twitter.finagle.loadbalancer.aperture.minDeterministicAperture"))]
    pub min_deterministic_aperture: u32,
    /// How many endpoints may be unhealthy before one request in a hundred is sent to an unhealthy one.
    #[serde(alias = "panicMode")]
    #[schemars(extend("x-upstream" = "PanicMode"))]
    pub panic_mode: PanicMode,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            instance_id: None,
            total_instances: None,
            min_deterministic_aperture: 12,
            panic_mode: PanicMode::default(),
        }
    }
}

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if self.min_deterministic_aperture < 2 {
            return Err(format!(
                "`min_deterministic_aperture` must be at least 2, not {}",
                self.min_deterministic_aperture
            ));
        }
        match (self.instance_id, self.total_instances) {
            (_, Some(0)) => Err("`total_instances` must be at least 1".to_string()),
            (Some(id), Some(total)) if id >= total => {
                Err(format!("`instance_id` must be below `total_instances`, {total}, not {id}"))
            }
            _ => Ok(()),
        }
    }
}

/// Where a client stands among its peers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coordinate {
    /// Where its arc begins, from 0 to below 1.
    pub offset: f64,
    /// The distance to the next peer.
    pub unit_width: f64,
}

impl Coordinate {
    /// That of peer `instance` of `instances`, of which there is at least one.
    pub fn new(instance: u32, instances: u32) -> Coordinate {
        let unit_width = 1.0 / f64::from(instances);
        Coordinate {
            offset: (f64::from(instance) * unit_width) % 1.0,
            unit_width,
        }
    }

    /// The length of an arc that holds `aperture` of `servers` servers: a whole number of units, so that arcs tile the ring.
    pub fn width(self, aperture: u32, servers: u32) -> f64 {
        let least = f64::from(aperture) * (1.0 / f64::from(servers));
        ((least / self.unit_width).ceil() * self.unit_width).min(1.0)
    }
}

/// How much of each server's arc lies in the arc that begins at `offset`; servers have arcs of their shares of `weights`.
pub fn adjusted_weights(weights: &[f64], offset: f64, width: f64) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    let share = |weight: f64| {
        if sum == 0.0 {
            1.0 / weights.len() as f64
        } else {
            weight / sum
        }
    };
    let end = offset + width;
    let mut adjusted = vec![0.0; weights.len()];
    let (mut position, mut i) = (0.0, 0);
    // The walk goes on past 1, once around at most. The order of these sums is Finagle's, since their rounding decides who is in.
    while position < end {
        let arc = share(weights[i]);
        if position < offset {
            if position + arc >= offset {
                adjusted[i] += width.min(arc + position - offset);
            }
        } else if position + arc > end {
            adjusted[i] += end - position;
        } else {
            adjusted[i] += arc;
        }
        position += arc;
        i = (i + 1) % weights.len();
    }
    adjusted
}

/// One caller's aperture.
#[derive(Clone, Debug)]
pub struct Balancer {
    options: Options,
    coordinate: Coordinate,
    // The set that the aperture is of; `None`: it may have changed.
    set: Option<usize>,
    // Who is in it, with its part of it.
    members: Vec<(EndpointIndex, f64)>,
    alias: Alias,
}

impl Balancer {
    #[cold]
    fn rebuild(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>) {
        let weights: Vec<f64> = set
            .iter()
            .map(|endpoint| f64::from(endpoints.weights[endpoint.at()]))
            .collect();
        let aperture = self.options.min_deterministic_aperture.min(set.len());
        let width = self.coordinate.width(aperture, set.len());
        let adjusted = adjusted_weights(&weights, self.coordinate.offset, width);
        self.members = set.iter().zip(adjusted).filter(|&(_, weight)| weight > 0.0).collect();
        self.alias = Alias::new(self.members.iter().map(|&(_, weight)| weight));
        self.set = Some(set.number());
    }

    #[inline]
    fn draw_two(&self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, rng: &mut Rng) -> EndpointIndex {
        let first = self.alias.draw(rng);
        let second = Weighed::second(first, || self.alias.draw(rng));
        let weighed = |place: u32| {
            let (endpoint, weight) = self.members[place as usize];
            Weighed {
                endpoint,
                weight,
                load: f64::from(endpoints.active[endpoint.at()]),
                status: Status::of(set, endpoint),
            }
        };
        weighed(first).or(weighed(second))
    }
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str =
        "Two choices among the endpoints of one's own arc of the ring, of which all callers have an equal one";
    const SOURCE: &'static str = "twitter/finagle finagle-core/src/main/scala/com/twitter/finagle/loadbalancer/aperture/\
        {DeterministicAperture,WeightedAperture,WeightedP2CPick,Alias,ProcessCoordinate}.scala, util/Drv.scala";
    const CHECKED: &'static str = "Vectors of Finagle's weighted aperture test; Who is picked in Finagle's own tests; \
        Equal shares of all servers; Connections of each server";
    const DIFFERENCES: &'static str = "Arcs are in the order of the endpoint list, which Finagle sorts by a hash of the address; \
        connections are made when they are needed, not eagerly";
    const RULES: Rules = Rules::Any;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            options: options.clone(),
            coordinate: Coordinate::new(0, 1),
            set: None,
            members: Vec::new(),
            alias: Alias::default(),
        }
    }

    fn on_caller(&mut self, caller: &CallerInfo) {
        let instances = self.options.total_instances.unwrap_or(caller.instances).max(1);
        let instance = self.options.instance_id.unwrap_or(caller.instance);
        self.coordinate = Coordinate::new(instance, instances);
        self.set = None;
    }

    fn update(&mut self, _: &Endpoints<'_>, _: CandidateSet<'_>, _: Time) {
        self.set = None;
    }

    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        _: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        if self.set != Some(set.number()) {
            self.rebuild(endpoints, set);
        }
        let mut pick = || self.draw_two(endpoints, set, rng);
        Some(self.options.panic_mode.search(set, &mut pick).unwrap_or_else(pick))
    }
}
