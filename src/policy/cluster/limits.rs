//! What a caller does besides picking: it holds attempts back, and tries again.

use std::sync::Arc;

use super::Cluster;
use crate::policy::candidates::Load;
use crate::policy::circuit_breaker::{Breaker, Limits, PRIORITIES};
use crate::policy::hedging::Fate;
use crate::policy::request_pool::{Opening, Place, RequestPool, WaitIndex};
use crate::policy::retry::{Denial, Retrier, Standing};
use crate::policy::{
    Answer, CallInfo, ClusterConfig, EndpointIndex, Outcome, Refusal, RoutingPriority, Ticket, Verdict, View, connection_pool,
};
use crate::random::Rng;
use crate::time::Time;

/// What holds attempts back.
#[derive(Debug)]
pub(super) struct Gate {
    breaker: Breaker,
}

impl Gate {
    /// What the configuration asks for; `None`: nothing.
    pub fn new(config: &ClusterConfig) -> Option<Box<Gate>> {
        let breaker = config.circuit_breaker.as_ref().map(Breaker::new)?;
        Some(Box::new(Gate { breaker }))
    }

    /// An attempt has ended.
    pub fn on_finished(&mut self, outcome: &Outcome, now: Time) {
        self.breaker.on_finished(outcome, now);
    }
}

/// The connections of a caller, and the requests that wait for one. Each priority has pools of its own.
#[derive(Debug)]
pub(super) struct Pooled {
    // By priority; that of `HIGH` is there once it has been asked for.
    pools: Vec<RequestPool>,
    options: connection_pool::Options,
    limits: [Limits; 2],
    endpoints: usize,
    last: Place,
}

impl Pooled {
    /// What the configuration asks for; `None`: connections are the driver's.
    pub fn new(config: &ClusterConfig, endpoints: usize, rng: &mut Rng) -> Option<Box<Pooled>> {
        let options = config.pool?;
        let breaker = config.circuit_breaker.as_ref();
        let limits = PRIORITIES.map(|priority| breaker.map_or(Limits::NONE, |breaker| breaker.limits(priority)));
        Some(Box::new(Pooled {
            pools: vec![RequestPool::new(options, limits[0], endpoints, Rng::new(rng.next_u64()))],
            options,
            limits,
            endpoints,
            last: Place::Open,
        }))
    }

    /// Adds the pool of priority `HIGH`.
    #[cold]
    fn add_high(&mut self) {
        let rng = self.pools[0].fork_rng();
        let pool = RequestPool::new(self.options, self.limits[RoutingPriority::High.at()], self.endpoints, rng);
        self.pools.push(pool);
    }

    pub fn request(&mut self, endpoint: EndpointIndex, priority: RoutingPriority, now: Time) -> Result<(), Refusal> {
        if self.pools.len() <= priority.at() {
            self.add_high();
        }
        let place = self.pools[priority.at()].request(endpoint, now)?;
        self.last = match place {
            Place::Open => Place::Open,
            Place::Waiting(wait) => Place::Waiting(wait_of(priority.at(), wait)),
        };
        Ok(())
    }

    pub fn released(&mut self, ticket: Ticket, answer: Answer, now: Time) {
        self.pools[ticket.priority.at()].released(ticket.endpoint, answer, now);
    }

    pub fn lose(&mut self, endpoint: EndpointIndex, now: Time) {
        for pool in &mut self.pools {
            pool.lose(endpoint, now);
        }
    }

    pub fn reserve(&mut self, count: usize) {
        self.endpoints = self.endpoints.max(count);
        for pool in &mut self.pools {
            pool.reserve(count);
        }
    }

    /// The pool that a number for the driver is of, and its number there.
    fn pool_of(&mut self, WaitIndex(number): WaitIndex) -> (&mut RequestPool, WaitIndex) {
        (&mut self.pools[(number & 1) as usize], WaitIndex(number >> 1))
    }

    fn next_opening(&mut self) -> Option<Opening> {
        self.pools.iter_mut().zip(PRIORITIES).find_map(|(pool, priority)| {
            let opening = pool.next_opening()?;
            Some(Opening { priority, ..opening })
        })
    }
}

/// The number of a wait for the driver, which knows nothing of pools.
fn wait_of(pool: usize, WaitIndex(number): WaitIndex) -> WaitIndex {
    WaitIndex(number << 1 | pool as u32)
}

/// The retries of a caller.
#[derive(Debug)]
pub(super) struct Retries {
    retrier: Retrier,
    // The shares of the levels without those of a mask, for the present view.
    loads: Vec<(u128, u32, Option<Vec<Load>>)>,
}

impl Retries {
    /// What the configuration asks for; `None`: none.
    pub fn new(config: &ClusterConfig) -> Option<Box<Retries>> {
        let options = config.retry.as_ref()?;
        Some(Box::new(Retries {
            retrier: Retrier::new(options, config.circuit_breaker.as_ref()),
            loads: Vec::new(),
        }))
    }

    /// The view is another one.
    pub fn forget_loads(&mut self) {
        self.loads.clear();
    }
}

impl Cluster {
    /// Requests under way at this caller, those that wait for a connection included.
    pub fn requests(&self) -> u64 {
        self.active_total
    }

    /// Granted retries of this caller that have not ended, their pauses included.
    pub fn retries(&self) -> u64 {
        self.retrier.as_ref().map_or(0, |retries| retries.retrier.under_way())
    }

    /// Why the attempt that ended last is not followed by another; `None`: it is, or there are no retries.
    pub fn denial(&self) -> Option<Denial> {
        self.retrier.as_ref().and_then(|retries| retries.retrier.denial())
    }

    /// A call of this priority has ended between a granted retry and its attempt.
    pub fn on_retry_dropped(&mut self, priority: RoutingPriority) {
        if let Some(retries) = &mut self.retrier {
            retries.retrier.on_dropped(priority);
        }
    }

    /// Whether another attempt may be made beside those of a call.
    pub fn may_hedge(&self) -> bool {
        self.hedger.as_ref().is_none_or(|hedger| hedger.allows())
    }

    /// What an answer means to a call with several attempts, where these are made at a fixed distance.
    pub fn on_hedged_answer(&mut self, answer: Answer) -> Fate {
        self.hedger.as_mut().map_or(Fate::Stands, |hedger| hedger.on_answer(answer))
    }

    /// Whether an answer is worth another attempt, whatever may be afforded.
    pub fn is_retriable(&self, answer: Answer) -> bool {
        let retry = self.view.config().retry.as_ref();
        retry.is_some_and(|retry| retry.is_retriable(answer))
    }

    /// What is under way of a priority.
    fn standing(&self, priority: RoutingPriority) -> Standing {
        let requests = match priority {
            RoutingPriority::Default => self.active_total - self.active_high,
            RoutingPriority::High => self.active_high,
        };
        Standing { priority, requests }
    }

    /// Asks for a retry of a call after an attempt that [`Cluster::on_finished`] was told of without a number of attempts; `holds`: an
    /// earlier retry of the call still has its slot.
    pub fn ask_retry(&mut self, outcome: &Outcome, priority: RoutingPriority, holds: bool, now: Time) -> Verdict {
        let standing = self.standing(priority);
        match (&mut self.retrier, &self.view.config().retry) {
            (Some(retries), Some(options)) => {
                retries
                    .retrier
                    .verdict_after(options, outcome, holds, standing, now, &mut self.rng)
            }
            _ => Verdict::Done,
        }
    }

    /// Asks for a retry beside an attempt that takes too long, the last of so many.
    pub fn hedge(&mut self, attempts: u32, priority: RoutingPriority, holds: bool, now: Time) -> Verdict {
        let standing = self.standing(priority);
        match (&mut self.retrier, &self.view.config().retry) {
            (Some(retries), Some(options)) => retries.retrier.hedge(options, attempts, holds, standing, now, &mut self.rng),
            _ => Verdict::Done,
        }
    }

    /// Where the last attempt that was placed is, where this cluster keeps connections: it may have to wait for one.
    pub fn last_place(&self) -> Place {
        self.pool.as_ref().map_or(Place::Open, |pooled| pooled.last)
    }

    /// As [`Cluster::on_finished`], for an attempt that waited for a connection to the end.
    pub fn on_finished_waiting(&mut self, ticket: Ticket, wait: WaitIndex, outcome: &Outcome, now: Time) -> Verdict {
        if let Some(pooled) = &mut self.pool {
            let (pool, wait) = pooled.pool_of(wait);
            pool.give_up(wait, outcome.answer, now);
        }
        self.finish(ticket, outcome, now)
    }

    /// A connection that is to be set up now; to be asked for whenever anything was told to this cluster, until there is none.
    pub fn next_opening(&mut self) -> Option<Opening> {
        self.pool.as_mut().and_then(|pooled| pooled.next_opening())
    }

    /// A connection was set up, or cannot be.
    pub fn on_opened(&mut self, opening: &Opening, connected: bool, now: Time) {
        if let Some(pooled) = &mut self.pool {
            let pool = &mut pooled.pools[opening.priority.at()];
            match connected {
                true => pool.on_connected(opening, now),
                false => pool.on_connect_failed(opening),
            }
        }
    }

    /// Whether [`Cluster::next_ready`] has any.
    #[inline]
    pub fn has_ready(&self) -> bool {
        let pools = self.pool.as_ref().map(|pooled| &pooled.pools);
        pools.is_some_and(|pools| pools.iter().any(RequestPool::has_ready))
    }

    /// An attempt that has waited and now has a connection, or is refused by a limit (then it is to be told of by
    /// [`Cluster::on_finished_waiting`], like one that failed); a number without an error is used again.
    pub fn next_ready(&mut self) -> Option<(WaitIndex, Result<(), Refusal>)> {
        let pools = &mut self.pool.as_mut()?.pools;
        pools.iter_mut().enumerate().find_map(|(number, pool)| {
            let (wait, admitted) = pool.next_ready()?;
            if admitted.is_ok() {
                pool.forget(wait);
            }
            Some((wait_of(number, wait), admitted))
        })
    }

    /// An attempt that has waited for a connection that cannot be had.
    pub fn next_failed(&mut self) -> Option<WaitIndex> {
        let pools = &mut self.pool.as_mut()?.pools;
        let mut numbered = pools.iter_mut().enumerate();
        numbered.find_map(|(number, pool)| pool.next_failed().map(|wait| wait_of(number, wait)))
    }

    /// Connections, those being set up included, and requests that wait for one, where this cluster keeps them.
    pub fn connections(&self) -> (u32, u32) {
        let pools = self.pool.as_ref().map_or(&[][..], |pooled| &pooled.pools);
        (
            pools.iter().map(RequestPool::open).sum(),
            pools.iter().map(RequestPool::waiting).sum(),
        )
    }

    /// Asks whether an attempt may be made.
    pub(super) fn pass_gate(&mut self, call: &CallInfo<'_>, now: Time) -> Result<(), Refusal> {
        let mut standing = self.standing(call.priority);
        let Some(gate) = &mut self.gate else { return Ok(()) };
        if self.pool.is_some() {
            // A pool counts those that have a connection itself.
            standing.requests = 0;
        }
        let passed = gate.breaker.admit(standing, now);
        if passed.is_err() && call.attempt > 0 {
            self.on_retry_dropped(call.priority);
        }
        passed
    }

    /// An attempt found no endpoint: its call ends.
    #[cold]
    pub(super) fn on_no_endpoint(&mut self, call: &CallInfo<'_>, now: Time) {
        if let Some(breaker) = self.gate.as_mut().map(|gate| &mut gate.breaker) {
            breaker.on_refused(now);
        }
        if call.attempt > 0 {
            self.on_retry_dropped(call.priority);
        }
    }

    /// What is under way of a priority when an attempt ends so. An answer is judged while its request still counts; one that was broken
    /// off is not.
    #[inline]
    pub(super) fn standing_at(&self, priority: RoutingPriority, outcome: &Outcome) -> Standing {
        let mut standing = self.standing(priority);
        standing.requests -= u64::from(!matches!(outcome.answer, Answer::Status(_)));
        standing
    }

    /// What is to become of a call after an attempt, while so much is under way.
    pub(super) fn judge(&mut self, outcome: &Outcome, standing: Standing, now: Time) -> Verdict {
        let (Some(retries), Some(options)) = (&mut self.retrier, &self.view.config().retry) else {
            return Verdict::Done;
        };
        let verdict = match outcome.attempts {
            0 => Verdict::Done,
            _ => retries.retrier.verdict(options, outcome, standing, now, &mut self.rng),
        };
        retries.retrier.on_ended(standing.priority, now);
        verdict
    }

    /// An endpoint of a group for a retry: another than those where the call has been, where that is wanted
    /// (`source/extensions/load_balancing_policies/common/load_balancer_impl.cc`: `chooseHost`).
    pub(super) fn pick_for_retry(
        &mut self,
        group: u32,
        call: &CallInfo<'_>,
        hash: Option<u64>,
        reselection: u32,
        now: Time,
    ) -> Option<EndpointIndex> {
        let options = self.view.config().retry.as_ref()?;
        let (rejections, frequency) = (options.rejections(), options.priority_update_frequency());
        let mut chosen = None;
        for rejected in 0..=rejections {
            let number = match frequency {
                0 => self
                    .view
                    .candidates()
                    .choose(group, hash, &mut self.schedules, &mut self.rng)?,
                _ => self.choose_other_level(group, call, hash, frequency)?,
            };
            let endpoint = self.pick_of(number, call, hash, reselection + rejected, now)?;
            chosen = Some(endpoint);
            if !call.tried.contains(&endpoint) {
                break;
            }
        }
        chosen
    }

    /// The set of a group that a retry takes when the levels where its call has been are left out
    /// (`source/extensions/retry/priority/previous_priorities/previous_priorities.cc`).
    fn choose_other_level(&mut self, group: u32, call: &CallInfo<'_>, hash: Option<u64>, frequency: u32) -> Option<u32> {
        let view = Arc::clone(&self.view);
        // What is left out follows from where the call has been.
        let (mut excluded, mut attempted, mut attempts) = (0, 0, 0);
        for &endpoint in call.tried {
            attempted |= 1_u128.checked_shl(view.listing().level_of(endpoint) as u32).unwrap_or(0);
            attempts += 1;
            if attempts % frequency == 0 {
                excluded |= attempted;
                if self.loads_without(&view, group, excluded).is_none() {
                    (excluded, attempted, attempts) = (0, 0, 0);
                }
            }
        }
        if excluded != 0
            && let Some(place) = self.loads_without(&view, group, excluded)
        {
            let loads = self.retrier.as_ref()?.loads[place].2.as_deref()?;
            return view
                .candidates()
                .choose_among(group, loads, hash, &mut self.schedules, &mut self.rng);
        }
        view.candidates().choose(group, hash, &mut self.schedules, &mut self.rng)
    }

    /// Where the shares of a group's levels without those of a mask are; `None`: nobody is available in the others.
    fn loads_without(&mut self, view: &View, group: u32, excluded: u128) -> Option<usize> {
        let loads = &mut self.retrier.as_mut()?.loads;
        let known = loads.iter().position(|(mask, of, _)| (*mask, *of) == (excluded, group));
        let place = known.unwrap_or_else(|| {
            let shares = view.candidates().loads_without(group, excluded, &view.config().candidates);
            loads.push((excluded, group, shares));
            loads.len() - 1
        });
        loads[place].2.as_ref().map(|_| place)
    }
}
