//! Health checks that are left out.
//!
//! A check of an endpoint that is well, over a way and at a station that let it pass at once, by a caller who takes the endpoint to be well
//! already, changes nothing but when the next one is due. So long as that holds, the policy leaves the checks of the endpoint to the model
//! (they are *parked*), and the model makes none. When something changes that a check could notice, it works out from the keyed draws
//! how far the checks have come, puts the one that is under way where it is, and gives the rest back: nobody can tell the difference
//! (`tests/swarm.rs` compares the two).
//!
//! - Where every check takes the same time, parked checks cost nothing until then.
//! - Where latencies or pauses are drawn, stretches of checks are looked at in advance, for one that will run into its timeout.
//! - Where slots are limited, a check may find all taken, so one event is left: its arrival.

use crate::engine::{Agenda, Sequence};
use crate::model::Elision;
use crate::model::check::Step;
use crate::model::endpoint::Condition;
use crate::model::event::Event;
use crate::model::network::Hop;
use crate::model::plan::{ClusterPlan, Plan, UNLIMITED};
use crate::model::task::{Task, TaskState};
use crate::model::trace::Trace;
use crate::model::visit::moment;
use crate::model::watch::Alarm;
use crate::model::world::{NIL, World};
use crate::policy::EndpointIndex;
use crate::policy::health_check::Probe;
use crate::time::{Duration, Time};

/// So many checks are looked at in advance.
const STRETCH: u32 = 64;

/// How checks may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Not at all.
    Never,
    /// Whole: nothing at the endpoint can hold one up.
    Whole,
    /// But for their arrival.
    ToArrival,
}

impl Way {
    /// That of a cluster's checks, as far as the plan decides it.
    pub fn of(plan: &Plan, cluster: &ClusterPlan, elision: Elision) -> Way {
        let service = &plan.services[cluster.service as usize];
        let Some(options) = cluster.config.health_check.as_ref().filter(|_| elision == Elision::On) else {
            return Way::Never;
        };
        if options.probe() == Probe::Connection {
            return Way::Whole;
        }
        // Meters count busy slots whenever anything comes or goes.
        let mut clusters = plan.clusters.iter().filter(|other| other.service == cluster.service);
        let is_metered = clusters.any(|other| {
            let wants = other.config.balancer.wants();
            wants.load_reports || wants.probes
        });
        match options.work() {
            Duration::ZERO if is_metered || service.codel.is_some() || service.shed.is_some() => Way::Never,
            Duration::ZERO if service.concurrency == UNLIMITED => Way::Whole,
            Duration::ZERO => Way::ToArrival,
            _ => Way::Never,
        }
    }
}

/// The checks of one endpoint by one caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series {
    /// A row of [`World::callers`].
    caller: u32,
    /// Among those of the caller's upstream.
    endpoint: u32,
    /// Checks that were sent. Of parked ones, those that had ended by the last look.
    pub sent: u32,
    /// Checks that have a call.
    pub in_flight: u32,
    /// They are left out.
    is_parked: bool,
    /// While parked: how many have ended, and when the one after these is (or was) sent.
    ended: u32,
    due: Time,
    /// When they are to be looked at.
    alarm: Alarm,
}

impl Series {
    pub fn new(caller: u32, endpoint: u32) -> Series {
        Series {
            caller,
            endpoint,
            sent: 0,
            in_flight: 0,
            is_parked: false,
            ended: 0,
            due: Time::MAX,
            alarm: Alarm::NONE,
        }
    }
}

/// The course of a check that nothing holds up.
#[derive(Clone, Copy, Debug)]
struct Flight {
    arrives: Time,
    ends: Time,
    /// It ends before its timeout.
    passes: bool,
}

impl<T: Trace> World<'_, T> {
    /// Parks the checks of a new caller where possible.
    pub(super) fn park_checks(&mut self, caller: u32, agenda: &mut Agenda<Event>) {
        if self.callers[caller as usize].first_series != NIL {
            for endpoint in 0..self.callers[caller as usize].endpoint_count {
                self.park_check(caller, endpoint, Time::ZERO, agenda);
            }
        }
    }

    /// Parks the checks of an endpoint, if none that follows can be told from its absence.
    pub(super) fn park_check(&mut self, caller: u32, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.callers[caller as usize];
        let series = row.first_series + endpoint;
        let is_alone = self.checks.series[series as usize].in_flight == 0;
        if !is_alone || self.checks.ways[row.plan as usize] == Way::Never || !self.lets_checks_pass(caller, endpoint, now) {
            return;
        }
        let number = self.checks.series[series as usize].sent;
        if self.check_period(caller, endpoint).is_some() && !self.flight(caller, endpoint, number, now).passes {
            return;
        }
        let Some(due) = self.callers[caller as usize].cluster.park_check(EndpointIndex(endpoint)) else {
            return;
        };
        let row = &mut self.checks.series[series as usize];
        row.is_parked = true;
        row.ended = 0;
        row.due = due;
        self.look_ahead(series, (number, due, 0), agenda);
    }

    /// Callers and endpoints (in the plan's table) whose checks are left out.
    pub(super) fn parked_checks(&self) -> impl Iterator<Item = (u32, u32)> {
        let parked = self.checks.series.iter().filter(|series| series.is_parked);
        parked.map(|series| {
            let first = self.callers[series.caller as usize].first_endpoint;
            (series.caller, first + series.endpoint)
        })
    }

    /// Whether a check would meet nothing that could hold it up but a lack of slots, as long as nothing changes.
    fn lets_checks_pass(&self, caller: u32, endpoint: u32, now: Time) -> bool {
        let row = &self.callers[caller as usize];
        let target = row.first_endpoint + endpoint;
        self.endpoints[target as usize].condition == Condition::Up
            && (row.probe == Probe::Connection || self.is_indifferent(target, now))
            && !self.is_path_troubled(caller, target)
    }

    /// A check over a network without faults and a free slot.
    fn flight(&self, caller: u32, endpoint: u32, number: u32, sent: Time) -> Flight {
        let row = &self.callers[caller as usize];
        let zone = self.endpoints[(row.first_endpoint + endpoint) as usize].zone;
        let there = &self.links[(row.zone * self.plan.network.zones + zone) as usize];
        let back = &self.links[there.back as usize];
        // It is the first attempt of its call.
        let id = self.check_id(caller, endpoint, number).with(1);
        let (out, home) = match row.probe {
            Probe::Request => (Hop::Request, Hop::Response),
            Probe::Connection => (Hop::Syn, Hop::SynAck),
        };
        let arrives = sent + there.latency(id, out, 0.0);
        let ends = arrives + back.latency(id, home, 0.0);
        Flight {
            arrives,
            ends,
            passes: ends.since(sent) < self.check_timeout(caller),
        }
    }

    /// The time from one check to the next, if it is always the same.
    fn check_period(&self, caller: u32, endpoint: u32) -> Option<Duration> {
        let row = &self.callers[caller as usize];
        let zone = self.endpoints[(row.first_endpoint + endpoint) as usize].zone;
        let there = &self.links[(row.zone * self.plan.network.zones + zone) as usize];
        if !there.is_constant() || !self.links[there.back as usize].is_constant() {
            return None;
        }
        let pause = row.cluster.constant_pause()?;
        let flight = self.flight(caller, endpoint, 0, Time::ZERO);
        Some(flight.ends.since(Time::ZERO) + pause)
    }

    /// Sets the event of the next moment at which parked checks are to be looked at; those from `number` on are still to come.
    fn look_ahead(&mut self, series: u32, (mut number, mut due, mut ended): (u32, Time, u32), agenda: &mut Agenda<Event>) {
        let Series { caller, endpoint, .. } = self.checks.series[series as usize];
        let way = self.checks.ways[self.callers[caller as usize].plan as usize];
        let mut flight = self.flight(caller, endpoint, number, due);
        if way == Way::Whole {
            if self.check_period(caller, endpoint).is_some() {
                return;
            }
            for _ in 0..STRETCH {
                if !flight.passes || due > self.horizon {
                    break;
                }
                due = flight.ends + self.steady_pause(caller, endpoint, ended);
                number = number.wrapping_add(1);
                ended = ended.wrapping_add(1);
                flight = self.flight(caller, endpoint, number, due);
            }
        }
        let (at, step) = match way == Way::ToArrival && flight.passes {
            true => (flight.arrives, Step::Arrival),
            false => (due, Step::Sending),
        };
        let sequence = self.check_number(caller, endpoint, number, step);
        self.checks.series[series as usize].alarm = Alarm { at, sequence };
        agenda.at_reserved(at, sequence, Event::SteadyCheck { series });
    }

    fn steady_pause(&self, caller: u32, endpoint: u32, ended: u32) -> Duration {
        self.callers[caller as usize]
            .cluster
            .steady_pause(EndpointIndex(endpoint), ended)
    }

    /// Goes past the parked checks that ended before the moment `until`; false if checks are over before.
    fn catch_up(&mut self, series: u32, until: u128) -> bool {
        let Series {
            caller,
            endpoint,
            mut sent,
            mut ended,
            mut due,
            ..
        } = self.checks.series[series as usize];
        let end = Time((until >> 64) as u64).min(self.sends_end);
        if let Some(period) = self.check_period(caller, endpoint) {
            // The last one or two are looked at one by one.
            let skipped = (end.since(due).0 / period.0.max(1)).saturating_sub(1);
            due += Duration(skipped * period.0);
            sent = sent.wrapping_add(skipped as u32);
            ended = ended.wrapping_add(skipped as u32);
        }
        let goes_on = loop {
            let number = |step| self.check_number(caller, endpoint, sent, step);
            if moment(due, number(Step::Sending)) < until && self.is_over(due, number(Step::Sending)) {
                break false;
            }
            let flight = self.flight(caller, endpoint, sent, due);
            if moment(flight.ends, number(Step::Answer)) >= until {
                break true;
            }
            due = flight.ends + self.steady_pause(caller, endpoint, ended);
            sent = sent.wrapping_add(1);
            ended = ended.wrapping_add(1);
        };
        let row = &mut self.checks.series[series as usize];
        (row.sent, row.ended, row.due) = (sent, ended, due);
        goes_on
    }

    /// The event of parked checks that are to be looked at: one is sent that will not pass, one arrives, or a stretch is over.
    pub(super) fn steady_check(&mut self, series: u32, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        let row = &mut self.checks.series[series as usize];
        if row.alarm != (Alarm { at: now, sequence }) {
            return;
        }
        row.alarm = Alarm::NONE;
        if !self.catch_up(series, moment(now, sequence)) {
            return;
        }
        let Series {
            caller,
            endpoint,
            sent,
            ended,
            due,
            ..
        } = self.checks.series[series as usize];
        let flight = self.flight(caller, endpoint, sent, due);
        let way = self.checks.ways[self.callers[caller as usize].plan as usize];
        if !flight.passes {
            self.give_back(series, Some(due));
            self.arm_checks(caller, now, agenda);
        } else if way == Way::Whole {
            self.look_ahead(series, (sent, due, ended), agenda);
        } else if self.has_free_slot(self.callers[caller as usize].first_endpoint + endpoint, now) {
            let next = flight.ends + self.steady_pause(caller, endpoint, ended);
            self.look_ahead(series, (sent.wrapping_add(1), next, ended.wrapping_add(1)), agenda);
        } else {
            self.give_back(series, None);
            let task = self.send_late(caller, endpoint, due, TaskState::Travelling, agenda);
            self.request_delivered(task, now, agenda);
        }
    }

    /// Parked checks are the policy's again, the next due or under way.
    fn give_back(&mut self, series: u32, due: Option<Time>) {
        let row = &mut self.checks.series[series as usize];
        row.is_parked = false;
        row.alarm = Alarm::NONE;
        let (caller, endpoint, ended) = (row.caller, EndpointIndex(row.endpoint), row.ended);
        self.callers[caller as usize].cluster.unpark_check(endpoint, ended, due);
    }

    /// Makes a check that was sent at `sent` and is on its way to its endpoint; gives its task.
    fn send_late(&mut self, caller: u32, endpoint: u32, sent: Time, state: TaskState, agenda: &mut Agenda<Event>) -> u32 {
        let call = self.open_check(caller, endpoint, sent, agenda);
        let (incoming, _) = self.outgoing(call);
        let task = self.tasks.insert(Task {
            state,
            waits_for: caller,
            ..Task::travelling(&incoming)
        });
        self.remember_task(call, task);
        task
    }

    /// Something happens that checks of an endpoint could notice: if they are parked, they are no longer.
    pub(super) fn unpark_check(&mut self, caller: u32, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        let first = self.callers[caller as usize].first_series;
        if first == NIL || !self.checks.series[(first + endpoint) as usize].is_parked {
            return;
        }
        let series = first + endpoint;
        let until = moment(now, self.current).max(self.checks.latest);
        if !self.catch_up(series, until) {
            return;
        }
        let Series { sent: number, due, .. } = self.checks.series[series as usize];
        let of = |step| self.check_number(caller, endpoint, number, step);
        let (sending, arrival, answer) = (of(Step::Sending), of(Step::Arrival), of(Step::Answer));
        if moment(due, sending) >= until {
            self.give_back(series, Some(due));
            return self.arm_checks(caller, now, agenda);
        }
        self.give_back(series, None);
        let flight = self.flight(caller, endpoint, number, due);
        let target = self.callers[caller as usize].first_endpoint + endpoint;
        // Where the way there is no event of its own, nothing can happen on it.
        let is_on_its_way = moment(flight.arrives, arrival) >= until;
        if is_on_its_way && !self.services_of(target).folds_request_hop {
            let state = match self.callers[caller as usize].probe {
                Probe::Request => TaskState::Travelling,
                Probe::Connection => TaskState::Connecting,
            };
            let task = self.send_late(caller, endpoint, due, state, agenda);
            agenda.at_reserved(flight.arrives, arrival, Event::RequestDelivered { task });
        } else {
            let call = self.open_check(caller, endpoint, due, agenda);
            let row = &mut self.calls[call];
            row.status = 200;
            row.wake = answer;
            agenda.at_reserved(flight.ends, answer, Event::ResponseDelivered { call });
        }
    }

    /// Something happens at an endpoint.
    pub(super) fn unpark_checks_of(&mut self, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        let service = self.endpoints[endpoint as usize].service;
        for caller in 0..self.callers.len() as u32 {
            let row = &self.callers[caller as usize];
            if row.service == service {
                self.unpark_check(caller, endpoint - row.first_endpoint, now, agenda);
            }
        }
    }

    /// Something happens to the network.
    pub(super) fn unpark_troubled_checks(&mut self, now: Time, agenda: &mut Agenda<Event>) {
        for series in 0..self.checks.series.len() {
            let Series { caller, endpoint, .. } = self.checks.series[series];
            let target = self.callers[caller as usize].first_endpoint + endpoint;
            if self.is_path_troubled(caller, target) {
                self.unpark_check(caller, endpoint, now, agenda);
            }
        }
    }

    /// The list that a caller has of its endpoints has changed: who has left it is not checked any more, but for what is under way.
    pub(super) fn unpark_unlisted_checks(&mut self, caller: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.callers[caller as usize];
        if row.first_series == NIL {
            return;
        }
        for endpoint in 0..row.endpoint_count {
            if !self.callers[caller as usize].cluster.is_check_parked(EndpointIndex(endpoint)) {
                self.unpark_check(caller, endpoint, now, agenda);
            }
        }
    }
}
