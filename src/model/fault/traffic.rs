//! Faults of the traffic: clients that send more or less than usual, and requests that all want one key.
//!
//! What a client would have sent anyway stays as it is, so that all else is comparable: more requests are those of further arrival processes
//! like the client's, fewer are what is left of its own when some are dropped.

use crate::engine::{Agenda, Sequence};
use crate::model::event::Event;
use crate::model::key::RequestKey;
use crate::model::plan::{FaultKind, Load, Probability};
use crate::model::trace::Trace;
use crate::model::world::{NIL, World};
use crate::random::{Arrival, Key, Purpose, Rng};
use crate::time::{Duration, Time};

/// A further arrival process of a client.
#[derive(Debug)]
pub(super) struct Extra {
    fault: u32,
    client: u32,
    arrivals: Arrival,
    rng: Rng,
    /// Which share of its requests is sent.
    share: Probability,
    last: Time,
    batch: u32,
    /// The identity of its requests.
    key: Key,
    sent: u64,
    armed: Sequence,
}

impl<T: Trace> World<'_, T> {
    /// Makes the further arrival processes of a fault.
    pub(super) fn add_extras(&mut self, fault: u32) {
        let FaultKind::Spike { clients, factor } = &self.plan.faults[fault as usize].kind else {
            return;
        };
        for &client in clients {
            let Load::Open(arrivals) = &self.plan.clients[client as usize].load else {
                continue;
            };
            let mut left = factor - 1.0;
            for number in 0_u64.. {
                if left <= 0.0 {
                    break;
                }
                let own = (u64::from(client) << 32) | number;
                let key = self.streams.key(Purpose::FaultTime, u64::from(fault)).with(2).with(own);
                self.faults.extras.push(Extra {
                    fault,
                    client,
                    arrivals: arrivals.clone(),
                    rng: Rng::new(key.0),
                    share: Probability::new(left.min(1.0)),
                    last: Time::ZERO,
                    batch: 0,
                    key,
                    sent: 0,
                    armed: Sequence::NONE,
                });
                left -= 1.0;
            }
        }
    }

    pub(super) fn spike_switched(&mut self, strand: u32, on: bool, now: Time, agenda: &mut Agenda<Event>) {
        let fault = self.faults.strands[strand as usize].fault;
        let FaultKind::Spike { clients, .. } = &self.plan.faults[fault as usize].kind else {
            unreachable!("only spikes come here");
        };
        for &client in clients {
            self.set_pace(client);
        }
        for extra in 0..self.faults.extras.len() as u32 {
            let row = &mut self.faults.extras[extra as usize];
            if row.fault != fault {
                continue;
            }
            row.armed = Sequence::NONE;
            if on {
                self.next_extra(extra, now, agenda);
            }
        }
    }

    /// How many times as many requests a client sends now, as far as it sends them itself: fewer by dropping some, and users by thinking
    /// for a shorter or longer time.
    fn set_pace(&mut self, client: u32) {
        let is_open = matches!(self.plan.clients[client as usize].load, Load::Open(_));
        let factors = self
            .faults
            .strands
            .iter()
            .filter(|strand| strand.active)
            .filter_map(|strand| match &self.plan.faults[strand.fault as usize].kind {
                FaultKind::Spike { clients, factor } if clients.contains(&client) => Some(*factor),
                _ => None,
            });
        let pace: f64 = factors.map(|factor| if is_open { factor.min(1.0) } else { factor }).product();
        self.clients[client as usize].pace = pace;
    }

    fn next_extra(&mut self, extra: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &mut self.faults.extras[extra as usize];
        // What would have been sent before the fault began is left out.
        while let Some((at, batch)) = row.arrivals.next(row.last, &mut row.rng) {
            row.last = at;
            if at >= Time::ZERO + self.plan.duration {
                return;
            }
            if at >= now {
                row.batch = batch;
                row.armed = agenda.at(at, Event::ExtraArrival { extra });
                return;
            }
        }
    }

    /// The event of an arrival on top of what a client sends.
    pub(in crate::model) fn extra_arrival(&mut self, extra: u32, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.faults.extras[extra as usize];
        if row.armed != sequence {
            return;
        }
        for _ in 0..row.batch {
            let row = &mut self.faults.extras[extra as usize];
            let id = row.key.with(row.sent);
            row.sent += 1;
            if row.share.happens(id.with((Purpose::Fault as u64) << 32).draws().next_u64()) {
                let client = row.client;
                self.send(client, id, NIL, now, agenda);
            }
        }
        self.next_extra(extra, now, agenda);
    }

    /// Whether a client that sends less than usual leaves a request out.
    #[inline]
    pub(in crate::model) fn is_left_out(&self, client: u32, id: Key) -> bool {
        let pace = self.clients[client as usize].pace;
        pace < 1.0 && !Probability::new(pace).happens(id.with((Purpose::Fault as u64) << 32).draws().next_u64())
    }

    /// How long a user thinks, at the client's present pace.
    #[inline]
    pub(in crate::model) fn paced(&self, client: u32, span: Duration) -> Duration {
        let pace = self.clients[client as usize].pace;
        if pace == 1.0 {
            return span;
        }
        Duration::from_nanos_f64(span.0 as f64 / pace)
    }

    /// The key of a request, unless it is one of those that want the hot key.
    #[inline]
    pub(in crate::model) fn hot_key(&self, id: Key, key: RequestKey) -> RequestKey {
        if self.faults.hot_keys.is_empty() {
            return key;
        }
        self.perhaps_hot(id, key)
    }

    #[cold]
    fn perhaps_hot(&self, id: Key, key: RequestKey) -> RequestKey {
        let hot = self.faults.hot_keys.iter().find_map(|&strand| {
            let fault = self.faults.strands[strand as usize].fault;
            match &self.plan.faults[fault as usize].kind {
                FaultKind::HotKey {
                    clients,
                    share,
                    key: hot,
                } if clients.contains(&key.client) => {
                    let coin = id.with(((Purpose::Fault as u64) << 32) | u64::from(fault));
                    share.happens(coin.draws().next_u64()).then_some(*hot)
                }
                _ => None,
            }
        });
        hot.map_or(key, |number| RequestKey { number, ..key })
    }
}
