//! Hops between caller and endpoint: latency, loss, transfer time, connection set-up.
//!
//! A hop's draws are keyed by its attempt, so two variants see the same latency for the same attempt of the same request.

use crate::engine::{Agenda, Sequence};
use crate::model::call::{CONNECT_FAILURE, RESET};
use crate::model::caller::Connections;
use crate::model::check::Step;
use crate::model::endpoint::{Condition, Incoming};
use crate::model::event::Event;
use crate::model::fault::link::Trouble;
use crate::model::plan::{LinkPlan, NO_SIZE, NetworkPlan};
use crate::model::task::{Task, TaskState};
use crate::model::trace::{Trace, What};
use crate::model::world::{NIL, World};
use crate::policy::connection_pool::Connection;
use crate::random::{Distribution, Key, Purpose};
use crate::time::{Duration, Time};

/// Which hop of an attempt; part of the key of its draws.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hop {
    Request = 0,
    Response = 1,
    Syn = 2,
    SynAck = 3,
    Cancel = 4,
}

/// Retransmissions of one packet after which a hop is taken as delivered: the delay has doubled so often by then.
const RETRANSMISSIONS_MAX: u32 = 15;

/// One link as the model uses it.
#[derive(Debug)]
pub(crate) struct Link<'p> {
    plan: &'p LinkPlan,
    /// Nothing ever takes time here, so nothing needs to be drawn.
    instant: bool,
    /// The link the other way.
    pub(super) back: u32,
}

impl<'p> Link<'p> {
    /// All links of a network.
    pub fn all(network: &'p NetworkPlan) -> Vec<Link<'p>> {
        let zones = network.zones;
        let pairs = (0..zones).flat_map(|from| (0..zones).map(move |to| to * zones + from));
        network
            .links
            .iter()
            .zip(pairs)
            .map(|(plan, back)| Link::new(plan, back))
            .collect()
    }

    fn new(plan: &'p LinkPlan, back: u32) -> Link<'p> {
        let free = matches!(plan.latency, Distribution::Constant(latency) if latency == 0.0);
        Link {
            plan,
            instant: free && plan.loss == 0.0 && plan.bandwidth.is_infinite(),
            back,
        }
    }

    /// Whether all small packets take the same time.
    pub fn is_constant(&self) -> bool {
        matches!(self.plan.latency, Distribution::Constant(_)) && self.plan.loss == 0.0
    }

    /// How long `bytes` take over this link.
    #[inline]
    pub fn latency(&self, attempt: Key, hop: Hop, bytes: f64) -> Duration {
        if self.instant {
            return Duration::ZERO;
        }
        let mut draws = attempt.with(((Purpose::Network as u64) << 32) | hop as u64).draws();
        let mut nanos = self.plan.latency.sample(&mut draws);
        if self.plan.loss > 0.0 {
            let mut delay = self.plan.retransmission_timeout.0 as f64;
            for _ in 0..RETRANSMISSIONS_MAX {
                if draws.unit() >= self.plan.loss {
                    break;
                }
                nanos += delay;
                delay *= 2.0;
            }
        }
        if bytes > 0.0 {
            nanos += bytes / self.plan.bandwidth * 1e9;
        }
        Duration::from_nanos_f64(nanos)
    }

    /// The same while faults strike the link. It takes the draws that the link takes without them, so that a larger loss loses more of the
    /// same packets.
    pub fn troubled_latency(&self, attempt: Key, hop: Hop, bytes: f64, trouble: Trouble) -> Duration {
        let mut draws = attempt.with(((Purpose::Network as u64) << 32) | hop as u64).draws();
        let mut nanos = self.plan.latency.sample(&mut draws) + trouble.delay;
        let loss = 1.0 - (1.0 - self.plan.loss) * trouble.kept;
        let mut delay = self.plan.retransmission_timeout.0 as f64;
        for _ in 0..RETRANSMISSIONS_MAX {
            if loss <= 0.0 || draws.unit() >= loss {
                break;
            }
            nanos += delay;
            delay *= 2.0;
        }
        if bytes > 0.0 {
            nanos += bytes / self.plan.bandwidth.min(trouble.bandwidth) * 1e9;
        }
        Duration::from_nanos_f64(nanos)
    }
}

impl<T: Trace> World<'_, T> {
    /// Sends the request of a call's present attempt to the endpoint that was picked.
    #[inline(always)]
    pub(super) fn send_request(&mut self, call: u32, now: Time, agenda: &mut Agenda<Event>) {
        let (incoming, link) = self.outgoing(call);
        let caller = &self.callers[self.calls[call].cluster as usize];
        if self.endpoints[incoming.endpoint as usize].condition != Condition::Up || caller.astray.is_some() {
            let service = caller.service;
            self.observe.sent_in_vain(service, now);
        }
        let mut connect = Duration::ZERO;
        let connections = &self.callers[self.calls[call].cluster as usize].connections;
        if let Some(kind) = connections {
            if matches!(kind, Connections::Limited(_)) {
                if self.wait_for_connection(call, now, agenda) {
                    return;
                }
            } else {
                match self.connection(&incoming, link, now) {
                    Some(wait) => connect = wait,
                    None => return self.send_syn(&incoming, link, now, agenda),
                }
            }
        }
        self.transmit(&incoming, link, connect, now, agenda);
    }

    /// A call's present attempt as its endpoint will see it, and the link to there.
    #[inline(always)]
    pub(super) fn outgoing(&self, call: u32) -> (Incoming, u32) {
        let row = &self.calls[call];
        let cluster = row.cluster;
        let caller = &self.callers[cluster as usize];
        let endpoint = caller.first_endpoint + row.endpoint;
        let link = caller.zone * self.plan.network.zones + self.endpoints[endpoint as usize].zone;
        let incoming = Incoming {
            id: row.id.with(u64::from(row.attempts)),
            sent: row.sent,
            call,
            generation: row.generation,
            endpoint,
            site: row.site,
        };
        (incoming, link)
    }

    /// Sends a request that goes over a connection that will be open after `connect`.
    #[inline(always)]
    pub(super) fn transmit(&mut self, incoming: &Incoming, link: u32, connect: Duration, now: Time, agenda: &mut Agenda<Event>) {
        let cluster = self.calls[incoming.call].cluster;
        if self.callers[cluster as usize].astray.is_some() {
            return self.send_astray(incoming, Hop::Request, now, agenda);
        }
        let endpoint = incoming.endpoint;
        let bytes = self.size(self.sites[incoming.site as usize].request_size, incoming.id, Hop::Request);
        let link = &self.links[link as usize];
        let hop = self.hop(link, incoming.id, Hop::Request, bytes, (cluster, endpoint));
        let at_once = connect == Duration::ZERO && link.instant && hop == Duration::ZERO;
        if self.is_cut(cluster, endpoint, true) {
            return self.note_attempt(incoming.generation, now, || What::Lost);
        }
        self.note_attempt(incoming.generation, now, || What::Sent(connect + hop));
        self.travel(incoming, connect + hop, at_once, now, agenda);
    }

    /// Sends a health check over a connection of its own; `syn`: the connection is all it asks for.
    pub(super) fn transmit_check(&mut self, call: u32, syn: bool, now: Time, agenda: &mut Agenda<Event>) {
        let (incoming, link) = self.outgoing(call);
        if syn {
            return self.send_syn(&incoming, link, now, agenda);
        }
        self.transmit(&incoming, link, Duration::ZERO, now, agenda);
    }

    /// How long a small packet takes between a caller (a row of [`World::callers`]) and an endpoint: `Hop::Request` there,
    /// `Hop::Response` back. `None`: it is lost.
    pub(super) fn hop_latency(&self, id: Key, caller: u32, endpoint: u32, hop: Hop) -> Option<Duration> {
        let (from, to) = (self.callers[caller as usize].zone, self.endpoints[endpoint as usize].zone);
        let link = &self.links[(from * self.plan.network.zones + to) as usize];
        let there = matches!(hop, Hop::Request | Hop::Syn | Hop::Cancel);
        let link = if there { link } else { &self.links[link.back as usize] };
        (!self.is_cut(caller, endpoint, there)).then(|| self.hop(link, id, hop, 0.0, (caller, endpoint)))
    }

    /// A request is on its way for `latency`; `at_once`: there is no way.
    #[inline(always)]
    fn travel(&mut self, incoming: &Incoming, latency: Duration, at_once: bool, now: Time, agenda: &mut Agenda<Event>) {
        let service = self.services_of(incoming.endpoint);
        if service.folds_request_hop {
            // Nothing at the endpoint depends on who comes first, so the visit is settled now.
            return self.visit_unlimited(incoming, (now, now + latency, at_once), agenda);
        }
        // Where the hop could be folded, the numbers of the visit are reserved as if it were.
        let could_fold = service.could_fold_request_hop;
        let sequence = if could_fold { agenda.reserve(3) } else { Sequence::NONE };
        let wake = if could_fold { sequence.next() } else { Sequence::NONE };
        if at_once {
            return self.deliver(incoming, wake, now, agenda);
        }
        let task = self.tasks.insert(Task {
            wake,
            waits_for: self.calls[incoming.call].cluster,
            ..Task::travelling(incoming)
        });
        self.remember_task(incoming.call, task);
        let sequence = if could_fold { sequence } else { agenda.reserve(1) };
        let sequence = self.number_of(incoming.call, Step::Arrival, sequence);
        agenda.at_reserved(now + latency, sequence, Event::RequestDelivered { task });
    }

    /// How long until the caller's connection is open; `None`: a new one must be set up first.
    fn connection(&mut self, incoming: &Incoming, link: u32, now: Time) -> Option<Duration> {
        let back = self.links[link as usize].back;
        let row = &self.calls[incoming.call];
        let parties = (row.cluster, incoming.endpoint);
        let caller = &mut self.callers[row.cluster as usize];
        let incarnation = self.endpoints[incoming.endpoint as usize].incarnation;
        let found = match caller.connections.as_mut()? {
            Connections::Pinned => caller.cluster.connection(),
            Connections::Limited(_) => None,
            Connections::Pool(pool) => {
                let found = pool.acquire(row.endpoint, incarnation, now, |_| {}).map(|found| found.1);
                found.or_else(|| {
                    pool.open(row.endpoint, row.endpoint, incarnation, now);
                    Some(Connection::New)
                })
            }
        };
        match found? {
            Connection::Open => Some(Duration::ZERO),
            Connection::OpenAt(at) => Some(at.since(now)),
            Connection::New => {
                let (link, back) = (&self.links[link as usize], &self.links[back as usize]);
                let round_trip =
                    self.hop(link, incoming.id, Hop::Syn, 0.0, parties) + self.hop(back, incoming.id, Hop::SynAck, 0.0, parties);
                let caller = &mut self.callers[parties.0 as usize];
                match caller.connections.as_mut()? {
                    Connections::Pinned => caller.cluster.on_opening(now + round_trip),
                    Connections::Limited(_) => {}
                    Connections::Pool(pool) => pool.opening(now + round_trip),
                }
                None
            }
        }
    }

    /// The first packet of a new connection travels; what it meets decides what comes next.
    fn send_syn(&mut self, incoming: &Incoming, link: u32, now: Time, agenda: &mut Agenda<Event>) {
        let parties = (self.calls[incoming.call].cluster, incoming.endpoint);
        if self.callers[parties.0 as usize].astray.is_some() {
            return self.send_astray(incoming, Hop::Syn, now, agenda);
        }
        self.note_attempt(incoming.generation, now, || What::Connects);
        if self.is_cut(parties.0, parties.1, true) {
            return self.note_attempt(incoming.generation, now, || What::Lost);
        }
        let latency = self.hop(&self.links[link as usize], incoming.id, Hop::Syn, 0.0, parties);
        let task = self.tasks.insert(Task {
            state: TaskState::Connecting,
            waits_for: parties.0,
            ..Task::travelling(incoming)
        });
        self.remember_task(incoming.call, task);
        let sequence = agenda.reserve(1);
        let sequence = self.number_of(incoming.call, Step::Arrival, sequence);
        agenda.at_reserved(now + latency, sequence, Event::RequestDelivered { task });
    }

    /// The first packet of a connection has reached an endpoint that accepts it: the request follows after its answer.
    pub(super) fn connected(&mut self, task: u32, now: Time, agenda: &mut Agenda<Event>) {
        let incoming = self.tasks[task].incoming();
        let Some(link) = self.link_of(&incoming) else {
            // The caller gave up before the connection was there: the request is never sent.
            return self.free_task(task);
        };
        let back = self.links[link as usize].back;
        if self.is_check(incoming.site) {
            let parties = (self.calls[incoming.call].cluster, incoming.endpoint);
            let at = now + self.hop(&self.links[back as usize], incoming.id, Hop::SynAck, 0.0, parties);
            self.free_task(task);
            if self.is_cut(parties.0, parties.1, false) {
                return;
            }
            let sequence = agenda.reserve(1);
            return self.respond(&incoming, 200, at, sequence, now, agenda);
        }
        let bytes = self.size(self.sites[incoming.site as usize].request_size, incoming.id, Hop::Request);
        let parties = (self.calls[incoming.call].cluster, incoming.endpoint);
        let latency = self.hop(&self.links[back as usize], incoming.id, Hop::SynAck, 0.0, parties)
            + self.hop(&self.links[link as usize], incoming.id, Hop::Request, bytes, parties);
        self.free_task(task);
        if self.is_cut(parties.0, parties.1, false) {
            return self.note_attempt(incoming.generation, now, || What::Lost);
        }
        self.note_attempt(incoming.generation, now, || What::Connected);
        self.travel(&incoming, latency, false, now, agenda);
    }

    /// The link from an attempt's caller to its endpoint, if the caller still waits.
    fn link_of(&self, incoming: &Incoming) -> Option<u32> {
        let row = &self.calls[incoming.call];
        if row.generation != incoming.generation {
            return None;
        }
        let zone = self.callers[row.cluster as usize].zone;
        Some(zone * self.plan.network.zones + self.endpoints[incoming.endpoint as usize].zone)
    }

    #[inline]
    fn size(&self, distribution: u32, attempt: Key, hop: Hop) -> f64 {
        if distribution == NO_SIZE {
            return 0.0;
        }
        let mut draws = attempt.with(((Purpose::Size as u64) << 32) | hop as u64).draws();
        self.plan.distributions[distribution as usize].sample(&mut draws)
    }

    /// When the answer that leaves the endpoint at `leaves` reaches the caller; `None`: nobody waits for it.
    #[inline]
    pub(super) fn response_arrives(&self, incoming: &Incoming, leaves: Time) -> Option<Time> {
        let link = self.link_of(incoming)?;
        let back = self.links[link as usize].back;
        let bytes = self.size(self.sites[incoming.site as usize].response_size, incoming.id, Hop::Response);
        let parties = (self.calls[incoming.call].cluster, incoming.endpoint);
        Some(leaves + self.hop(&self.links[back as usize], incoming.id, Hop::Response, bytes, parties))
    }

    /// Sends an answer, or the word that there is no connection or that it broke.
    pub(super) fn send_status(&mut self, incoming: &Incoming, status: u16, now: Time, agenda: &mut Agenda<Event>) {
        let Some(at) = self.response_arrives(incoming, now) else {
            return;
        };
        let sequence = agenda.reserve(1);
        self.respond(incoming, status, at, sequence, now, agenda);
    }

    /// Delivers an answer at `at`: at once, or by an event with a reserved number. The answer to a health check comes by an event always, so
    /// that it has its place among those of one instant.
    #[inline]
    pub(super) fn respond(
        &mut self,
        incoming: &Incoming,
        status: u16,
        at: Time,
        sequence: Sequence,
        now: Time,
        agenda: &mut Agenda<Event>,
    ) {
        if self.is_cut(self.calls[incoming.call].cluster, incoming.endpoint, false) {
            return self.note_attempt(incoming.generation, now, || What::Lost);
        }
        let sequence = self.number_of(incoming.call, Step::Answer, sequence);
        let row = &mut self.calls[incoming.call];
        debug_assert!(row.generation == incoming.generation && row.site != NIL);
        row.status = status;
        row.wake = sequence;
        if at == now && !sequence.is_own() {
            self.response_delivered(incoming.call, sequence, now, agenda);
        } else {
            agenda.at_reserved(at, sequence, Event::ResponseDelivered { call: incoming.call });
        }
    }

    /// An endpoint that is down answers a connection attempt.
    pub(super) fn refuse(&mut self, incoming: &Incoming, now: Time, agenda: &mut Agenda<Event>) {
        self.send_status(incoming, CONNECT_FAILURE, now, agenda);
    }

    /// An endpoint that crashes resets a connection.
    pub(super) fn reset(&mut self, incoming: &Incoming, now: Time, agenda: &mut Agenda<Event>) {
        self.send_status(incoming, RESET, now, agenda);
    }

    /// The way of a cancellation from the caller to the endpoint; `None`: it is lost.
    pub(super) fn cancel_latency(&self, incoming: &Incoming) -> Option<Duration> {
        match self.link_of(incoming) {
            None => Some(Duration::ZERO),
            Some(_) => self.hop_latency(incoming.id, self.calls[incoming.call].cluster, incoming.endpoint, Hop::Cancel),
        }
    }
}
