//! Finagle's random aperture: two choices among a few endpoints, as many as have about one request each.
//!
//! Endpoints are in an order that is random for each caller, the healthy first; the aperture is the beginning of it. A controller
//! widens and narrows it by one endpoint at a time so that the smoothed load of each stays within a band. Endpoints outside are
//! never picked, so no connection to them is made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math;
use crate::policy::balancer::common::{PanicMode, Status, Weighed};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// What `Balancers.aperture` and the stack parameters around it take.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The mean lifetime of a measurement of the load; 0: the load of the moment counts.
    #[serde(alias = "smoothWin")]
    #[schemars(extend("x-upstream" = "Balancers.aperture smoothWin"))]
    pub smooth_win: Duration,
    /// At this many requests in flight for each endpoint of the aperture, or fewer, it is narrowed.
    #[serde(alias = "lowLoad")]
    #[schemars(extend("x-upstream" = "Balancers.aperture lowLoad"))]
    pub low_load: f64,
    /// At this many requests in flight for each endpoint of the aperture, or more, it is widened.
    #[serde(alias = "highLoad")]
    #[schemars(extend("x-upstream" = "Balancers.aperture highLoad"))]
    pub high_load: f64,
    /// It never has fewer endpoints, unless there are fewer; at least 1.
    #[serde(alias = "minAperture")]
    #[schemars(extend("x-upstream" = "Balancers.aperture minAperture"))]
    pub min_aperture: u32,
    /// How many endpoints may be unhealthy before one request in a hundred is sent to an unhealthy one.
    #[serde(alias = "panicMode")]
    #[schemars(extend("x-upstream" = "PanicMode"))]
    pub panic_mode: PanicMode,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            smooth_win: Duration::from_secs(15),
            low_load: 0.875,
            high_load: 1.125,
            min_aperture: 1,
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
        if self.min_aperture == 0 {
            return Err("`min_aperture` must be at least 1".to_string());
        }
        if !(self.low_load >= 0.0 && self.low_load < self.high_load && self.high_load.is_finite()) {
            return Err(format!(
                "`low_load` must be at least 0 and below `high_load`, not {} and {}",
                self.low_load, self.high_load
            ));
        }
        Ok(())
    }
}

/// A moving average over unevenly spaced measurements: `finagle-core/src/main/scala/com/twitter/finagle/util/Ema.scala`.
#[derive(Clone, Copy, Debug)]
struct Ema {
    window: f64,
    value: f64,
    updated: Option<Time>,
}

impl Ema {
    fn update(&mut self, value: f64, now: Time) -> f64 {
        let kept = match self.updated {
            Some(updated) if self.window > 0.0 => math::exp(-(now.since(updated).0 as f64) / self.window),
            _ => 0.0,
        };
        self.value = value * (1.0 - kept) + self.value * kept;
        self.updated = Some(now);
        self.value
    }
}

/// The endpoints in the order of the caller, and how many of them are used.
#[derive(Clone, Debug, Default)]
struct Distributor {
    order: Vec<EndpointIndex>,
    weights: Vec<u32>,
    // The sums of the weights up to each, as shares of all; empty where weights are equal.
    shares: Vec<f64>,
    // Those that were busy when the order was made.
    busy: Vec<EndpointIndex>,
    aperture: u32,
}

impl Distributor {
    fn min(&self, min_aperture: u32) -> u32 {
        min_aperture.min(self.order.len() as u32)
    }

    fn draw(&self, rng: &mut Rng) -> EndpointIndex {
        if self.shares.is_empty() {
            return self.order[rng.below(u64::from(self.aperture)) as usize];
        }
        let most = f64::from(self.aperture) / self.order.len() as f64;
        let drawn = rng.unit() * most;
        let place = self.shares.partition_point(|&share| share < drawn);
        self.order[place.min(self.order.len() - 1)]
    }
}

/// One caller's aperture.
#[derive(Clone, Debug)]
pub struct Balancer {
    options: Options,
    distributor: Distributor,
    // The set that the order is of; `None`: its members may have changed.
    set: Option<usize>,
    // Where each endpoint is in the order, by `EndpointIndex`.
    tokens: Vec<u32>,
    total: u32,
    offered: Ema,
    rng: Rng,
}

impl Balancer {
    /// Orders the endpoints anew. The aperture begins again at its least size, as Finagle's does whenever it is rebuilt.
    #[cold]
    fn rebuild(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>) {
        let Distributor {
            order,
            weights,
            shares,
            busy,
            ..
        } = &mut self.distributor;
        order.clear();
        order.extend(set.iter());
        order.sort_unstable_by_key(|&endpoint| {
            (
                std::cmp::Reverse(Status::of(set, endpoint)),
                self.tokens[endpoint.at()],
                endpoint,
            )
        });
        busy.clear();
        busy.extend(order.iter().filter(|&&endpoint| Status::of(set, endpoint) == Status::Busy));
        weights.clear();
        weights.extend(order.iter().map(|endpoint| endpoints.weights[endpoint.at()]));
        shares.clear();
        if !set.has_equal_weights() {
            let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            shares.extend(weights.iter().scan(0.0, |passed, &weight| {
                *passed += f64::from(weight) / sum;
                Some(*passed)
            }));
        }
        self.distributor.aperture = self.distributor.min(self.options.min_aperture).max(1);
        self.set = Some(set.number());
    }

    /// Counts one request more or less, and widens or narrows the aperture.
    fn adjust(&mut self, now: Time) {
        let offered = self.offered.update(f64::from(self.total), now);
        let Distributor { order, aperture, .. } = &self.distributor;
        let (aperture, len) = (*aperture, order.len() as u32);
        let load = offered / f64::from(aperture);
        if load >= self.options.high_load && aperture < len {
            self.distributor.aperture += 1;
        } else if load <= self.options.low_load && aperture > self.distributor.min(self.options.min_aperture) {
            self.distributor.aperture -= 1;
        }
    }

    #[inline]
    fn draw_two(&self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, rng: &mut Rng) -> EndpointIndex {
        let first = self.distributor.draw(rng);
        let second = Weighed::second(first, || self.distributor.draw(rng));
        let weighed = |endpoint: EndpointIndex| Weighed {
            endpoint,
            weight: f64::from(endpoints.weights[endpoint.at()]),
            load: f64::from(endpoints.active[endpoint.at()]),
            status: Status::of(set, endpoint),
        };
        weighed(first).or(weighed(second))
    }
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "Two choices among so few endpoints that each has about one request; which ones is random";
    const SOURCE: &'static str = "twitter/finagle finagle-core/src/main/scala/com/twitter/finagle/loadbalancer/aperture/\
        {Aperture,BaseDist,RandomAperture,LoadBand,WeightedP2CPick}.scala, util/Ema.scala";
    const CHECKED: &'static str = "The size that Finagle's own test expects; The size that the load band allows; \
        Shares of weighted endpoints; What Finagle's own tests expect of unhealthy endpoints";
    const DIFFERENCES: &'static str = "Connections are made when they are needed, not eagerly, and are not closed when their \
        endpoint leaves the aperture";
    const RULES: Rules = Rules::Any;

    fn new(options: &Options, _: usize) -> Balancer {
        Balancer {
            options: options.clone(),
            distributor: Distributor::default(),
            set: None,
            tokens: Vec::new(),
            total: 0,
            offered: Ema {
                window: options.smooth_win.0 as f64,
                value: 0.0,
                updated: None,
            },
            rng: Rng::new(0),
        }
    }

    fn start(&mut self, rng: &mut Rng) {
        self.rng = Rng::new(rng.next_u64());
    }

    fn on_added(&mut self, endpoint: EndpointIndex, _: Time) {
        if endpoint.at() >= self.tokens.len() {
            self.tokens.resize(endpoint.at() + 1, 0);
        }
        self.tokens[endpoint.at()] = self.rng.next_u64() as u32;
        self.set = None;
    }

    fn update(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>, _: Time) {
        // A change of health alone is no reason to rebuild.
        let Distributor { order, weights, .. } = &self.distributor;
        let mut nodes = order.iter().zip(weights);
        let is_same = set.len() as usize == order.len()
            && nodes.all(|(&endpoint, &weight)| set.contains(endpoint) && endpoints.weights[endpoint.at()] == weight);
        if self.set == Some(set.number()) && !is_same {
            self.set = None;
        }
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
        if let [only] = self.distributor.order[..] {
            return Some(only);
        }
        let found = self.options.panic_mode.search(set, || self.draw_two(endpoints, set, rng));
        let Some(endpoint) = found else {
            self.rebuild(endpoints, set);
            return Some(self.draw_two(endpoints, set, rng));
        };
        let is_open = |&endpoint: &EndpointIndex| Status::of(set, endpoint) == Status::Open;
        if self.distributor.busy.iter().any(is_open) {
            self.rebuild(endpoints, set);
        }
        Some(endpoint)
    }

    fn on_started(&mut self, _: EndpointIndex, now: Time) {
        self.total += 1;
        self.adjust(now);
    }

    fn on_finished(&mut self, _: EndpointIndex, _: &Outcome, now: Time) {
        self.total -= 1;
        self.adjust(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The load of a constant number of requests converges to it, by the factor 1/e in each window.
    #[test]
    fn the_average_follows_the_load() {
        let mut ema = Ema {
            window: 1e9,
            value: 0.0,
            updated: None,
        };
        assert_eq!(ema.update(8.0, Time(5)), 8.0);
        assert_eq!(ema.update(0.0, Time(5)), 8.0);
        let after = ema.update(0.0, Time(1_000_000_005));
        assert!((after - 8.0 / std::f64::consts::E).abs() < 1e-12, "{after}");
    }
}
