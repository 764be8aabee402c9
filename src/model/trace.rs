//! What happened to single requests, moment by moment, for whoever tells their story.
//!
//! A world has a tracer or has none; that is a type, so a plain run has no hook left in it. A tracer only writes down: a traced run handles
//! the same events and has the same results.

use std::collections::BTreeMap;

use crate::model::call::{Call, End};
use crate::model::caller::Caller;
use crate::model::world::{NIL, World};
use crate::policy::retry::Denial;
use crate::policy::{Answer, Look, Notice, Refusal};
use crate::time::{Duration, Time};

/// Whether a world is traced.
pub(crate) trait Trace {
    /// Who writes down, if anybody does.
    fn tracer(&mut self) -> Option<&mut Tracer>;
}

impl Trace for () {
    #[inline(always)]
    fn tracer(&mut self) -> Option<&mut Tracer> {
        None
    }
}

impl Trace for Tracer {
    #[inline]
    fn tracer(&mut self) -> Option<&mut Tracer> {
        Some(self)
    }
}

/// A request of a client: `number` counts the requests that the client sends, in the order of their intended start, from 1. Those that a
/// fault keeps from being sent do not count; those that it adds do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId {
    /// The client in the plan.
    pub client: u32,
    /// Which of its requests.
    pub number: u64,
}

/// Which requests to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// Only those of this client; `None`: of any.
    pub client: Option<u32>,
    /// So many of the slowest that succeeded.
    pub slowest: usize,
    /// So many of those that failed, of different causes as far as there are such.
    pub failed: usize,
    /// Only requests whose intended start is from here on.
    pub from: Time,
    /// And before this.
    pub to: Time,
}

/// A request that was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which one.
    pub id: RequestId,
    /// Its intended start.
    pub start: Time,
    /// From there to its end; to the end of the run if it never ended.
    pub latency: Duration,
    /// Whether it failed.
    pub failed: bool,
}

/// What a tracer has written down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// The moments of the requests traced, in the order of time, then of cause and effect.
    pub records: Vec<Record>,
    /// What callers decided about endpoints over the whole run, in the order of time.
    pub notices: Vec<Decided>,
    /// How many requests each client sent.
    pub sent: Vec<u64>,
    /// Requests that were looked for: the slowest first, then the failed in the order of time.
    pub found: Vec<Found>,
}

/// What a caller decided about an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    /// When.
    pub at: Time,
    /// Who.
    pub by: CallerId,
    /// What.
    pub notice: Notice,
}

/// One caller's side of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallerId {
    /// The cluster in the plan.
    pub cluster: u32,
    /// Which of its owner's callers.
    pub instance: u32,
}

/// One moment of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When.
    pub at: Time,
    /// The call: numbered in the order in which they were opened.
    pub call: u32,
    /// The attempt: numbered in the order in which they were made, over all calls; `None`: it is about the call.
    pub attempt: Option<u32>,
    /// What happened.
    pub what: What,
}

/// Why an endpoint answers an attempt without serving it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The proxy beside it lets it not through: overload control.
    Shield,
    /// It fails at random, by itself or by a fault.
    Fails,
    /// Its deadline has passed, or it is not important enough for the load.
    Deadline,
    /// The queue is full.
    Full,
    /// It waited too long in the queue.
    QueueTimeout,
    /// Controlled delay dropped it when its turn came.
    Dropped,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A call begins.
    Opened {
        /// Whose request it is, if it is no call of a service.
        request: Option<RequestId>,
        /// The attempt whose work makes this call.
        maker: Option<u32>,
        /// Where it is made from, in the plan.
        site: u32,
        /// Who makes it.
        by: CallerId,
        /// In which zone.
        zone: u32,
    },
    /// A fault holds it up so long before it is sent.
    HeldUp(Duration),
    /// A fault answers it with this status before it is sent.
    Injected(u16),
    /// An attempt begins, the first, second …
    Attempted(u16),
    /// What the caller saw when it placed the attempt.
    Saw(Box<Look>),
    /// It goes to this endpoint of the plan.
    Placed(u32),
    /// The caller's policy lets it go nowhere.
    Refused(Refusal),
    /// It waits for a connection.
    WaitsForConnection,
    /// A connection is being set up.
    Connects,
    /// The connection is there.
    Connected,
    /// The request is on its way, for so long (what is left of a connection's set-up included).
    Sent(Duration),
    /// It is lost on the way.
    Lost,
    /// It came to an endpoint that is down and refuses connections.
    FoundRefusing,
    /// It came to an endpoint that is down and resets connections.
    FoundResetting,
    /// It came to an endpoint that answers nothing.
    FoundHanging,
    /// It reached its endpoint; how many requests are served and wait there, where that is known.
    Arrived(Option<(u32, u32)>),
    /// It is answered with this status without being served; 0: never.
    TurnedAway(u16, Why),
    /// It has its first slot.
    Started,
    /// It waits for a slot again.
    Requeued,
    /// A task of it works.
    Works(u32),
    /// That task's piece of work is done.
    Worked(u32),
    /// The endpoint is done with it: the status.
    Left(u16),
    /// The caller gave up, and the endpoint drops it from its queue.
    DroppedFromQueue,
    /// The caller gave up, and the endpoint stops working on it.
    Stopped,
    /// It is lost with its endpoint.
    Crashed,
    /// It has ended for the caller.
    Answered(Answer, Duration),
    /// There will be another attempt after this pause.
    Retries(Duration),
    /// There will be none, and why if there could have been.
    Stands(Option<Denial>),
    /// Another attempt is made beside those under way.
    Hedges,
    /// The call has ended with this status or without one.
    Ended(Closed),
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// By an answer, or what stands for one.
    Answer(Answer),
    /// The caller's policy did not let it go anywhere.
    Refused(Refusal),
}

impl Closed {
    /// Whether it succeeded.
    pub fn is_success(self) -> bool {
        matches!(self, Closed::Answer(Answer::Status(status)) if status < 400)
    }
}

impl<T: Trace> World<'_, T> {
    /// Writes down what happens to a call or to its present attempt, where anybody does.
    #[inline(always)]
    pub(super) fn note_call(&mut self, call: u32, at: Time, what: impl FnOnce() -> What) {
        if let Some(tracer) = self.trace.tracer() {
            tracer.at_caller(call, at, what());
        }
    }

    /// The same of an attempt at its endpoint or on the way, by its generation.
    #[inline(always)]
    pub(super) fn note_attempt(&mut self, generation: u32, at: Time, what: impl FnOnce() -> What) {
        if let Some(tracer) = self.trace.tracer() {
            tracer.at_endpoint(generation, at, what());
        }
    }

    /// The same of the attempt that a task serves.
    #[inline(always)]
    pub(super) fn note_task(&mut self, task: u32, at: Time, what: impl FnOnce() -> What) {
        if let Some(tracer) = self.trace.tracer() {
            tracer.at_endpoint(self.tasks[task].generation, at, what());
        }
    }
}

/// Who writes down.
#[derive(Debug, Default)]
pub(crate) struct Tracer {
    wanted: Vec<RequestId>,
    search: Option<Finder>,
    log: Log,
    calls_opened: u32,
    attempts_made: u32,
    // By row: the call, and its present attempt.
    calls: BTreeMap<u32, (u32, Option<u32>)>,
    // By generation: the call and the attempt.
    attempts: BTreeMap<u32, (u32, u32)>,
}

impl Tracer {
    /// One that follows these requests through a run of `clients` clients.
    pub fn follow(requests: &[RequestId], clients: usize) -> Tracer {
        let mut tracer = Tracer {
            wanted: requests.to_vec(),
            ..Tracer::default()
        };
        tracer.wanted.sort_unstable();
        tracer.log.sent = vec![0; clients];
        tracer
    }

    /// One that looks for requests in a run of `clients` clients.
    pub fn search(search: Search, clients: usize) -> Tracer {
        let mut tracer = Tracer::follow(&[], clients);
        tracer.search = Some(Finder {
            search,
            under_way: BTreeMap::new(),
            slowest: Vec::new(),
            failed: BTreeMap::new(),
        });
        tracer
    }

    /// What was written down, once the run has ended at `horizon`.
    pub fn finish(mut self, horizon: Time) -> Log {
        if let Some(finder) = self.search {
            self.log.found = finder.finish(horizon);
        }
        // Visits are settled before their time; a stable sort keeps cause before effect.
        self.log.records.sort_by_key(|record| record.at);
        self.log
    }

    fn push(&mut self, at: Time, call: u32, attempt: Option<u32>, what: What) {
        self.log.records.push(Record { at, call, attempt, what });
    }

    /// Whether a call is followed.
    pub fn follows(&self, call: u32) -> bool {
        self.calls.contains_key(&call)
    }

    /// A call was opened. `client`: whose request it is, or `NIL`; `maker`: the generation of the attempt that makes it.
    pub fn opened(&mut self, call: u32, row: &Call, client: u32, maker: Option<u32>, caller: &Caller) {
        let mut request = None;
        if client != NIL {
            let sent = &mut self.log.sent[client as usize];
            *sent += 1;
            let id = RequestId { client, number: *sent };
            if let Some(finder) = &mut self.search {
                finder.opened(call, id, row.start);
            }
            request = self.wanted.binary_search(&id).ok().map(|_| id);
        }
        let maker = maker
            .and_then(|generation| self.attempts.get(&generation))
            .map(|attempt| attempt.1);
        self.calls.remove(&call);
        if request.is_none() && maker.is_none() {
            return;
        }
        let number = self.calls_opened;
        self.calls_opened += 1;
        self.calls.insert(call, (number, None));
        let what = What::Opened {
            request,
            maker,
            site: row.site,
            by: CallerId {
                cluster: caller.plan,
                instance: caller.instance,
            },
            zone: caller.zone,
        };
        self.push(row.start, number, None, what);
    }

    /// Another row stands for a further attempt of a call.
    pub fn shares(&mut self, further: u32, call: u32) {
        self.calls.remove(&further);
        if let Some(&(number, _)) = self.calls.get(&call) {
            self.calls.insert(further, (number, None));
        }
    }

    /// That row is free.
    pub fn forgets(&mut self, further: u32) {
        self.calls.remove(&further);
    }

    /// A call begins an attempt.
    pub fn attempted(&mut self, call: u32, row: &Call) {
        let Some(followed) = self.calls.get_mut(&call) else { return };
        let attempt = self.attempts_made;
        self.attempts_made += 1;
        followed.1 = Some(attempt);
        let number = followed.0;
        self.attempts.insert(row.generation, (number, attempt));
        self.push(row.sent, number, Some(attempt), What::Attempted(row.attempts));
    }

    /// Something happens to a call, or to its present attempt.
    pub fn at_caller(&mut self, call: u32, at: Time, what: What) {
        if let Some(&(number, attempt)) = self.calls.get(&call) {
            self.push(at, number, attempt, what);
        }
    }

    /// Something happens to an attempt at its endpoint or on the way.
    pub fn at_endpoint(&mut self, generation: u32, at: Time, what: What) {
        if let Some(&(call, attempt)) = self.attempts.get(&generation) {
            self.push(at, call, Some(attempt), what);
        }
    }

    /// A caller has decided something.
    pub fn noticed(&mut self, caller: &Caller, notice: &Notice, now: Time) {
        if self.search.is_none() {
            self.log.notices.push(Decided {
                at: now,
                by: CallerId {
                    cluster: caller.plan,
                    instance: caller.instance,
                },
                notice: *notice,
            });
        }
    }

    /// A call has ended.
    pub fn completed(&mut self, call: u32, end: End, now: Time) {
        if let Some(finder) = &mut self.search {
            finder.completed(call, end, now);
        }
        let closed = match end {
            End::Answer(answer) => Closed::Answer(answer),
            End::Refused(refusal) => Closed::Refused(refusal),
        };
        if let Some((number, _)) = self.calls.remove(&call) {
            self.push(now, number, None, What::Ended(closed));
        }
    }
}

/// Finds the slowest and the failed requests while a run goes on.
#[derive(Debug)]
struct Finder {
    search: Search,
    // By row.
    under_way: BTreeMap<u32, (RequestId, Time)>,
    // The slowest first.
    slowest: Vec<Found>,
    // The first of each cause: who answered, and the status.
    failed: BTreeMap<(usize, u16), Vec<Found>>,
}

impl Finder {
    fn opened(&mut self, call: u32, id: RequestId, start: Time) {
        let is_wanted = self.search.client.is_none_or(|client| client == id.client);
        if is_wanted && (self.search.from..self.search.to).contains(&start) {
            self.under_way.insert(call, (id, start));
        }
    }

    fn completed(&mut self, call: u32, end: End, now: Time) {
        let Some((id, start)) = self.under_way.remove(&call) else {
            return;
        };
        let found = Found {
            id,
            start,
            latency: now.since(start),
            failed: !end.is_success(),
        };
        if found.failed {
            let status = match end {
                End::Answer(Answer::Status(status)) => status,
                _ => 0,
            };
            return self.fails((end.answerer(), status), found);
        }
        let place = self.slowest.partition_point(|other| other.latency >= found.latency);
        if place < self.search.slowest {
            self.slowest.insert(place, found);
            self.slowest.truncate(self.search.slowest);
        }
    }

    fn fails(&mut self, cause: (usize, u16), found: Found) {
        let same = self.failed.entry(cause).or_default();
        if same.len() < self.search.failed {
            same.push(found);
        }
    }

    fn finish(mut self, horizon: Time) -> Vec<Found> {
        let unfinished = End::Answer(Answer::Cancelled).answerer();
        for (id, start) in std::mem::take(&mut self.under_way).into_values() {
            let found = Found {
                id,
                start,
                latency: horizon.since(start),
                failed: true,
            };
            self.fails((unfinished, 0), found);
        }
        // One of each cause, then another of each, until there are enough.
        let mut failed: Vec<Found> = Vec::new();
        for round in 0..self.search.failed {
            failed.extend(self.failed.values().filter_map(|same| same.get(round)));
        }
        failed.truncate(self.search.failed);
        failed.sort_by_key(|found| (found.start, found.id));
        self.slowest.extend(failed);
        self.slowest
    }
}
