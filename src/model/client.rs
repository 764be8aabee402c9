//! Clients: when they intend to send, from which caller, with which key.

use crate::engine::Agenda;
use crate::model::call::End;
use crate::model::event::Event;
use crate::model::plan::Load;
use crate::model::trace::Trace;
use crate::model::world::{NIL, World};
use crate::random::{Arrival, Key, Purpose, Rng};
use crate::time::{Duration, Time};

/// What changes at a client.
#[derive(Debug)]
pub(crate) struct Client {
    /// The identity of its requests.
    key: Key,
    /// Requests so far.
    sent: u64,
    arrivals: Option<(Arrival, Rng)>,
    /// Requests of the batch that the next `Arrival` event stands for.
    batch: u32,
    /// Its first user in the world's table.
    first_user: u32,
    /// How many times as many requests it sends as it would without faults, as far as they are its own.
    pub pace: f64,
}

/// A closed-loop user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    client: u32,
    sent: u32,
}

impl<T: Trace> World<'_, T> {
    /// Sets up the clients and schedules their first events.
    pub(super) fn start_clients(&mut self, agenda: &mut Agenda<Event>) {
        for (index, plan) in self.plan.clients.iter().enumerate() {
            let client = index as u32;
            let mut row = Client {
                key: self.streams.key(Purpose::Request, u64::from(client)),
                sent: 0,
                arrivals: None,
                batch: 0,
                first_user: self.users.len() as u32,
                pace: 1.0,
            };
            match &plan.load {
                Load::Open(arrival) => {
                    row.arrivals = Some((arrival.clone(), self.streams.rng(Purpose::Arrivals, u64::from(client))));
                }
                Load::Closed { users, .. } => {
                    self.users.extend((0..*users).map(|_| User { client, sent: 0 }));
                }
            }
            self.clients.push(row);
            match plan.load {
                Load::Open(_) => self.schedule_arrival(client, Time::ZERO, agenda),
                Load::Closed { .. } => {
                    for user in self.clients[index].first_user..self.users.len() as u32 {
                        self.think(user, false, Time::ZERO, agenda);
                    }
                }
            }
        }
    }

    fn schedule_arrival(&mut self, client: u32, now: Time, agenda: &mut Agenda<Event>) {
        let end = Time(self.plan.duration.0);
        let row = &mut self.clients[client as usize];
        let (arrivals, rng) = row.arrivals.as_mut().expect("only open-loop clients have arrivals");
        if let Some((at, batch)) = arrivals.next(now, rng)
            && at < end
        {
            row.batch = batch;
            agenda.at(at, Event::Arrival { client });
        }
    }

    /// The event of an arrival: sends a request for each of its batch, then schedules the next.
    pub(super) fn arrive(&mut self, client: u32, now: Time, agenda: &mut Agenda<Event>) {
        for _ in 0..self.clients[client as usize].batch {
            let row = &mut self.clients[client as usize];
            let id = row.key.with(row.sent);
            row.sent += 1;
            if !self.is_left_out(client, id) {
                self.send(client, id, NIL, now, agenda);
            }
        }
        self.schedule_arrival(client, now, agenda);
    }

    #[inline]
    pub(super) fn send(&mut self, client: u32, id: Key, user: u32, now: Time, agenda: &mut Agenda<Event>) {
        let plan = &self.plan.clients[client as usize];
        let callers = plan.caller_zones.len() as u64;
        let caller = match user {
            _ if callers == 1 => 0,
            NIL => {
                let draw = id.with((Purpose::Caller as u64) << 32).draws().next_u64();
                ((u128::from(draw) * u128::from(callers)) >> 64) as u32
            }
            // A user stays with one proxy.
            user => (u64::from(user - self.clients[client as usize].first_user) % callers) as u32,
        };
        let key = self.hot_key(id, plan.keys.draw(client, id));
        let call = self.open_call(plan.site, caller, (id, key), user, now, agenda);
        self.start_attempt(call, now, agenda);
    }

    /// A user thinks before the next request. `idle`: the last answer took no time at all.
    fn think(&mut self, user: u32, idle: bool, now: Time, agenda: &mut Agenda<Event>) {
        let User { client, sent } = self.users[user as usize];
        let Load::Closed { think, .. } = self.plan.clients[client as usize].load else {
            unreachable!("only closed-loop clients have users");
        };
        let row = &self.clients[client as usize];
        let id = row
            .key
            .with((1 << 63) | (u64::from(user - row.first_user) << 32) | u64::from(sent));
        let mut draws = id.with((Purpose::Think as u64) << 32).draws();
        let span = Duration::from_nanos_f64(self.plan.distributions[think as usize].sample(&mut draws));
        let span = self.paced(client, span);
        // Without this a user whose requests are refused at once would stop time.
        let span = if idle { span.max(Duration::from_micros(1)) } else { span };
        let at = now + span;
        if at < Time(self.plan.duration.0) {
            agenda.at(at, Event::UserSends { user });
        }
    }

    /// The event of a user who has thought enough.
    pub(super) fn user_sends(&mut self, user: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &mut self.users[user as usize];
        let User { client, sent } = *row;
        row.sent += 1;
        let state = &self.clients[client as usize];
        let id = state
            .key
            .with((1 << 63) | (u64::from(user - state.first_user) << 32) | u64::from(sent));
        self.send(client, id, user, now, agenda);
    }

    /// A client's request has ended.
    #[inline]
    pub(super) fn request_completed(
        &mut self,
        client: u32,
        user: u32,
        (start, attempts): (Time, u16),
        end: End,
        now: Time,
        agenda: &mut Agenda<Event>,
    ) {
        self.observe.request_completed(client, start, now, end, attempts);
        self.last_completion = now;
        if user != NIL {
            self.think(user, now == start, now, agenda);
        }
    }
}
