//! The schedules of one caller of Envoy's, by candidate set: made where weights differ or an endpoint is in slow start, and kept until
//! the set changes (`source/extensions/load_balancing_policies/common/load_balancer_impl.cc`: `EdfLoadBalancerBase`).

use crate::policy::balancer::common::{PerSet, Schedule, SlowStart, SlowStartConfig, pre_picks};
use crate::policy::{CandidateSet, EndpointIndex};
use crate::time::Time;

/// The schedules. They start at a random place: without that every proxy of a mesh would send its first requests to the heaviest
/// endpoints.
#[derive(Clone, Debug)]
pub struct Schedules {
    picks: u32,
    slow_start: SlowStart,
    by_set: PerSet<State>,
    // As of when a schedule is made that nobody has asked for yet: the start, or when all were last forgotten.
    since: Option<Time>,
}

/// Whether a set is scheduled, which is decided when it changes and not when it is picked from.
#[derive(Clone, Debug, Default)]
enum State {
    /// Nobody has asked yet.
    #[default]
    Open,
    Unweighted,
    Scheduled(Box<Schedule>),
}

impl Schedules {
    /// No schedule and no endpoint yet.
    pub fn new(slow_start: &SlowStartConfig) -> Schedules {
        Schedules {
            picks: 0,
            slow_start: SlowStart::new(slow_start),
            by_set: PerSet::default(),
            since: None,
        }
    }

    /// A caller begins; where its schedules start follows from `seed`.
    pub fn start(&mut self, seed: u64) {
        self.picks = pre_picks(seed);
    }

    /// A new endpoint.
    pub fn on_added(&mut self, endpoint: EndpointIndex, now: Time) {
        self.since.get_or_insert(now);
        self.slow_start.on_added(endpoint, now);
    }

    /// A set changed: its schedule begins anew with the weights of this time.
    pub fn update(&mut self, set: CandidateSet<'_>, has_equal_weights: bool, weight: impl Fn(EndpointIndex) -> f64, now: Time) {
        self.slow_start.update(set, now);
        *self.by_set.of(set.number()) = State::new(set, has_equal_weights, self.picks, &self.slow_start, weight, now);
    }

    /// All weights changed: all schedules begin anew, each when it is asked for next, with the weights of this time.
    pub fn forget(&mut self, now: Time) {
        self.since = Some(now);
        self.by_set.iter_mut().for_each(|state| *state = State::Open);
    }

    /// The next endpoint of `set`, which is not empty; `None`: it is not scheduled, since all its members count the same.
    #[inline]
    pub fn pick(
        &mut self,
        set: CandidateSet<'_>,
        has_equal_weights: impl FnOnce() -> bool,
        weight: impl Fn(EndpointIndex) -> f64,
        now: Time,
    ) -> Option<EndpointIndex> {
        let state = self.by_set.of(set.number());
        if let State::Open = state {
            let since = self.since.unwrap_or(now);
            *state = State::new(set, has_equal_weights(), self.picks, &self.slow_start, &weight, since);
        }
        let slow_start = &self.slow_start;
        match state {
            State::Scheduled(schedule) => Some(schedule.pick(|endpoint| slow_start.weight(weight(endpoint), set, endpoint, now))),
            State::Open | State::Unweighted => None,
        }
    }
}

impl State {
    fn new(
        set: CandidateSet<'_>,
        has_equal_weights: bool,
        picks: u32,
        slow_start: &SlowStart,
        weight: impl Fn(EndpointIndex) -> f64,
        now: Time,
    ) -> State {
        if set.len() <= 1 || has_equal_weights && !slow_start.is_active(now) {
            return State::Unweighted;
        }
        let weight = |endpoint| slow_start.weight(weight(endpoint), set, endpoint, now);
        State::Scheduled(Box::new(Schedule::with_picks(set.iter(), picks, weight)))
    }
}
