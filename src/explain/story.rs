//! From the moments that a tracer wrote down to the calls and attempts of a request.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::explain::reason::{self, Sight};
use crate::model::RunResult;
use crate::model::plan::{Owner, Plan};
use crate::model::trace::{CallerId, Closed, Log, Record, RequestId, What, Why};
use crate::policy::retry::Denial;
use crate::policy::{Answer, Watcher};
use crate::scenario::Variant;
use crate::time::{Duration, Time};

/// One request. All moments are nanoseconds since its intended start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Story {
    /// Whose request it is.
    pub client: String,
    /// Which of the client's requests, from 1, in the order of the intended start.
    pub number: u64,
    /// Its intended start since the begin of the run.
    pub start_ns: u64,
    /// From there to the end; for a request that never ended, to the end of the run.
    pub latency_ns: u64,
    /// Whether it succeeded.
    pub success: bool,
    /// How it ended: a status or a word.
    pub end: String,
    /// Faults under way while it was.
    pub faults: Vec<FaultSpan>,
    /// Its calls, in the order in which they were opened: the first is the client's own.
    pub calls: Vec<Call>,
    /// Their attempts, in the order in which they were made.
    pub attempts: Vec<Attempt>,
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultSpan {
    /// What it is called.
    pub fault: String,
    /// What it does to whom.
    pub what: String,
    /// When it began, since the begin of the run.
    pub from_ns: u64,
    /// When it ended.
    pub to_ns: u64,
}

/// A call: what one caller wants of one operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Call {
    /// Who makes it: a client's proxy, or an endpoint.
    pub caller: String,
    /// Its zone; empty where there are no zones.
    pub zone: String,
    /// Whose callers they are: the client or the service.
    pub from: String,
    /// The operation called: `catalog/list`.
    pub operation: String,
    /// The balancer that chooses an endpoint.
    pub balancer: String,
    /// The attempt whose work makes it, in [`Story::attempts`]; `None`: it is the client's.
    pub made_by: Option<usize>,
    /// When it was opened.
    pub from_ns: u64,
    /// When it ended; `None`: not within the run.
    pub to_ns: Option<u64>,
    /// How it ended: a status or a word.
    pub end: String,
    /// Whether it succeeded.
    pub success: bool,
    /// Its attempts in [`Story::attempts`].
    pub attempts: Vec<usize>,
    /// What happened to it beside its attempts.
    pub events: Vec<Moment>,
}

/// One try of a call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attempt {
    /// Whose, in [`Story::calls`].
    pub call: usize,
    /// Which of the call's, from 1.
    pub number: u16,
    /// Whether it was made beside others that were under way.
    pub hedge: bool,
    /// Where it went; `None`: nowhere.
    pub endpoint: Option<String>,
    /// The endpoint's zone.
    pub zone: Option<String>,
    /// What the caller saw, and why it chose.
    pub sight: Option<Sight>,
    /// When it was made.
    pub from_ns: u64,
    /// When it ended for the caller; `None`: not within the run.
    pub to_ns: Option<u64>,
    /// How it ended for the caller: a status or a word.
    pub end: Option<String>,
    /// When it reached its endpoint.
    pub arrived_ns: Option<u64>,
    /// Requests that were served and that waited there then; `None`: that is not known where visits are computed on arrival.
    pub there: Option<(u32, u32)>,
    /// When its service began.
    pub started_ns: Option<u64>,
    /// When it left its endpoint.
    pub left_ns: Option<u64>,
    /// With what status the endpoint ended it; `None`: it did not.
    pub status: Option<u16>,
    /// The pieces of its work: from, to. One that was broken off ends with the endpoint's interest in it.
    pub work_ns: Vec<(u64, u64)>,
    /// What happened to it.
    pub events: Vec<Moment>,
}

/// A moment that is neither the begin nor the end of anything above.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// When.
    pub at_ns: u64,
    /// What happened.
    pub what: String,
    /// Whether it is bad news.
    #[serde(skip)]
    pub is_bad: bool,
    /// Whether it follows from the end of the attempt, at the same moment.
    #[serde(skip)]
    pub follows: bool,
}

/// The names of things.
pub(super) struct Namer<'a> {
    pub variant: &'a Variant,
}

impl Namer<'_> {
    fn plan(&self) -> &Plan {
        &self.variant.plan
    }

    /// An endpoint of the plan, with its service where its own name does not tell it.
    pub fn endpoint(&self, endpoint: u32) -> String {
        let name = &self.variant.names.endpoints[endpoint as usize];
        let service = &self.variant.names.services[self.plan().endpoints[endpoint as usize].service as usize];
        match name.starts_with(service.as_str()) {
            true => name.clone(),
            false => format!("{service}/{name}"),
        }
    }

    pub fn zone(&self, zone: u32) -> String {
        self.variant.names.zones.get(zone as usize).cloned().unwrap_or_default()
    }

    fn owner(&self, owner: Owner) -> String {
        match owner {
            Owner::Client(client) => self.variant.names.clients[client as usize].clone(),
            Owner::Service(service) => self.variant.names.services[service as usize].clone(),
        }
    }

    fn caller(&self, by: CallerId) -> String {
        match self.plan().clusters[by.cluster as usize].owner {
            Owner::Client(client) => {
                let name = &self.variant.names.clients[client as usize];
                match self.plan().clients[client as usize].caller_zones.len() {
                    1 => name.clone(),
                    _ => format!("{name}#{}", by.instance),
                }
            }
            Owner::Service(service) => self.endpoint(self.plan().services[service as usize].first_endpoint + by.instance),
        }
    }

    fn operation(&self, site: u32) -> String {
        let operation = self.plan().sites[site as usize].operation as usize;
        let service = self.plan().operations[operation].service as usize;
        format!(
            "{}/{}",
            self.variant.names.services[service], self.variant.names.operations[operation]
        )
    }
}

/// An answer in words.
pub(super) fn answer(answer: Answer) -> String {
    match answer {
        Answer::Status(status) => status.to_string(),
        Answer::ConnectFailure => "connect failure".to_string(),
        Answer::Reset => "reset".to_string(),
        Answer::PerTryTimeout => "per-try timeout".to_string(),
        Answer::Timeout => "timeout".to_string(),
        Answer::Cancelled => "given up".to_string(),
    }
}

fn closed(closed: Closed) -> String {
    match closed {
        Closed::Answer(end) => answer(end),
        Closed::Refused(refusal) => refusal.word().to_string(),
    }
}

/// Tells about these requests, in their order; `None` for one that was not sent.
pub(super) fn tell(variant: &Variant, log: &Log, result: &RunResult, ids: &[RequestId]) -> Vec<Option<Story>> {
    let mut of_request: BTreeMap<RequestId, Vec<&Record>> = BTreeMap::new();
    let (mut by_call, mut by_attempt) = (BTreeMap::new(), BTreeMap::new());
    for record in &log.records {
        let request = match record.what {
            What::Opened {
                request: Some(request), ..
            } => request,
            What::Opened { maker, .. } => by_attempt[&maker.expect("a request or a call of one")],
            _ => by_call[&record.call],
        };
        by_call.insert(record.call, request);
        if let Some(attempt) = record.attempt {
            by_attempt.insert(attempt, request);
        }
        of_request.entry(request).or_default().push(record);
    }
    let story = |id: &RequestId| {
        let records = of_request.get(id)?;
        Some(Teller::new(variant, log, records).story(result, *id))
    };
    ids.iter().map(story).collect()
}

/// What is told of an attempt that all connections are too busy for.
const WAITS: &str = "waits for a connection";

/// Puts a story together.
struct Teller<'a> {
    namer: Namer<'a>,
    log: &'a Log,
    start: Time,
    calls: Vec<Call>,
    attempts: Vec<Attempt>,
    // From the log's numbers to places above.
    call_at: BTreeMap<u32, usize>,
    attempt_at: BTreeMap<u32, usize>,
    // By call.
    callers: Vec<CallerId>,
    // Since when a task of an attempt works.
    working: BTreeMap<(usize, u32), u64>,
}

impl<'a> Teller<'a> {
    fn new(variant: &'a Variant, log: &'a Log, records: &[&Record]) -> Teller<'a> {
        let mut teller = Teller {
            namer: Namer { variant },
            log,
            start: records[0].at,
            calls: Vec::new(),
            attempts: Vec::new(),
            call_at: BTreeMap::new(),
            attempt_at: BTreeMap::new(),
            callers: Vec::new(),
            working: BTreeMap::new(),
        };
        records.iter().for_each(|record| teller.take(record));
        teller
    }

    fn since(&self, at: Time) -> u64 {
        at.0.saturating_sub(self.start.0)
    }

    fn take(&mut self, record: &Record) {
        let at = self.since(record.at);
        if let What::Opened {
            maker, site, by, zone, ..
        } = record.what
        {
            return self.open(record.call, maker, site, by, zone, at);
        }
        let call = self.call_at[&record.call];
        if let (What::Attempted(number), Some(attempt)) = (&record.what, record.attempt) {
            return self.begin(call, attempt, *number, at);
        }
        match record.attempt.map(|attempt| self.attempt_at[&attempt]) {
            Some(attempt) => self.of_attempt(call, attempt, &record.what, record.at),
            None => self.of_call(call, &record.what, at),
        }
    }

    fn open(&mut self, number: u32, maker: Option<u32>, site: u32, by: CallerId, zone: u32, at: u64) {
        let cluster = &self.namer.plan().clusters[by.cluster as usize];
        let call = Call {
            caller: self.namer.caller(by),
            zone: self.namer.zone(zone),
            from: self.namer.owner(cluster.owner),
            operation: self.namer.operation(site),
            balancer: cluster.config.balancer.name().to_string(),
            made_by: maker.map(|maker| self.attempt_at[&maker]),
            from_ns: at,
            to_ns: None,
            end: "unfinished".to_string(),
            success: false,
            attempts: Vec::new(),
            events: Vec::new(),
        };
        self.call_at.insert(number, self.calls.len());
        self.calls.push(call);
        self.callers.push(by);
    }

    fn begin(&mut self, call: usize, attempt: u32, number: u16, at: u64) {
        let place = self.attempts.len();
        self.attempt_at.insert(attempt, place);
        self.calls[call].attempts.push(place);
        self.attempts.push(Attempt {
            call,
            number,
            hedge: false,
            endpoint: None,
            zone: None,
            sight: None,
            from_ns: at,
            to_ns: None,
            end: None,
            arrived_ns: None,
            there: None,
            started_ns: None,
            left_ns: None,
            status: None,
            work_ns: Vec::new(),
            events: Vec::new(),
        });
    }

    fn of_call(&mut self, call: usize, what: &What, at: u64) {
        let row = &mut self.calls[call];
        let mut event = |what: String, is_bad| {
            row.events.push(Moment {
                at_ns: at,
                what,
                is_bad,
                follows: false,
            })
        };
        match what {
            What::HeldUp(by) => event(format!("a fault holds it up for {}", reason::span(*by)), true),
            What::Injected(status) => event(format!("a fault answers it with {status}"), true),
            What::Ended(end) => {
                row.to_ns = Some(at);
                row.end = closed(*end);
                row.success = end.is_success();
            }
            _ => {}
        }
    }

    fn of_attempt(&mut self, call: usize, attempt: usize, moment: &What, time: Time) {
        let at = self.since(time);
        if let Some((what, is_bad)) = self.event_of(attempt, moment, at) {
            let follows = matches!(moment, What::Retries(_) | What::Stands(_));
            self.attempts[attempt].events.push(Moment {
                at_ns: at,
                what,
                is_bad,
                follows,
            });
        }
        let row = &mut self.attempts[attempt];
        match moment {
            What::Saw(look) => {
                let sight = Sight::new(&self.namer, self.log, self.callers[call], look, time);
                self.attempts[attempt].sight = Some(sight);
            }
            What::Placed(endpoint) => {
                let name = self.namer.endpoint(*endpoint);
                row.endpoint = Some(name.clone());
                row.zone = Some(self.namer.zone(self.namer.variant.plan.endpoints[*endpoint as usize].zone));
                let balancer = &self.calls[call].balancer;
                if let Some(sight) = &mut row.sight {
                    sight.decide(balancer, &name);
                }
            }
            What::Refused(refusal) => {
                row.to_ns = Some(at);
                row.end = Some(refusal.word().to_string());
            }
            What::Hedges => row.hedge = true,
            What::Arrived(there) => {
                row.arrived_ns = Some(at);
                row.there = *there;
            }
            What::Started => row.started_ns = Some(at),
            What::Works(task) => {
                self.working.insert((attempt, *task), at);
            }
            What::Worked(task) => {
                if let Some(from) = self.working.remove(&(attempt, *task)) {
                    row.work_ns.push((from, at));
                }
            }
            What::TurnedAway(status, _) if *status != 0 => {
                row.left_ns = Some(at);
                row.status = Some(*status);
            }
            What::Left(status) => {
                row.left_ns = Some(at);
                row.status = Some(*status);
            }
            What::DroppedFromQueue | What::Stopped | What::Crashed => {
                row.left_ns = Some(at);
                // What it was at is broken off.
                let of_it = self.working.range((attempt, 0)..=(attempt, u32::MAX));
                row.work_ns.extend(of_it.map(|(_, &from)| (from, at)));
                self.working.retain(|&(of, _), _| of != attempt);
            }
            What::Answered(end, _) => {
                row.to_ns = Some(at);
                row.end = Some(answer(*end));
                self.add_notices(call, attempt, time);
            }
            _ => {}
        }
    }

    /// What is told of a moment of an attempt in words of its own; and whether it is bad news.
    fn event_of(&self, attempt: usize, what: &What, at: u64) -> Option<(String, bool)> {
        let endpoint = self.attempts[attempt].endpoint.as_deref().unwrap_or("the endpoint");
        Some(match what {
            What::WaitsForConnection => (WAITS.to_string(), false),
            What::Connects => ("sets up a connection".to_string(), false),
            What::Connected => ("the connection is there".to_string(), false),
            What::Sent(_) => {
                let waited = self.attempts[attempt].events.iter().rfind(|event| event.what == WAITS)?;
                let after = reason::span(Duration(at - waited.at_ns));
                (format!("has a connection after {after}"), false)
            }
            What::Lost => ("lost on the way: a partition".to_string(), true),
            What::FoundRefusing => (format!("{endpoint} is down and refuses the connection"), true),
            What::FoundResetting => (format!("{endpoint} is down and resets the connection"), true),
            What::FoundHanging => (format!("{endpoint} is down and answers nothing"), true),
            What::TurnedAway(0, _) => (format!("{endpoint} takes it and never answers"), true),
            What::TurnedAway(status, why) => (format!("{endpoint} answers {status} at once: {}", turned_away(*why)), true),
            What::Requeued => ("waits for a slot to go on".to_string(), false),
            What::DroppedFromQueue => (
                format!("{endpoint} learns that nobody waits and drops it from its queue"),
                false,
            ),
            What::Stopped => (format!("{endpoint} learns that nobody waits and stops working on it"), false),
            What::Crashed => (format!("{endpoint} crashes, and it is lost"), true),
            What::Retries(after) => (format!("retry {}", pause(*after)), false),
            What::Stands(Some(denial)) => match denial {
                // Everybody expects that of a success.
                Denial::NotRetriable => return None,
                Denial::LimitExceeded => ("no retry: it has had as many as it may have".to_string(), true),
                Denial::Budget => ("no retry: the budget for retries is used up".to_string(), true),
            },
            _ => return None,
        })
    }

    /// What the caller decided because an attempt of its ended.
    fn add_notices(&mut self, call: usize, attempt: usize, now: Time) {
        let by = self.callers[call];
        let first = self.log.notices.partition_point(|decided| decided.at < now);
        let same = self.log.notices[first..].iter().take_while(|decided| decided.at == now);
        for decided in same.filter(|decided| decided.by == by) {
            let at_ns = self.since(decided.at);
            let (what, is_bad) = reason::notice(&self.namer, by, &decided.notice, now);
            let what = format!("{} {what}", self.calls[call].caller);
            let moment = Moment {
                at_ns,
                what,
                is_bad,
                follows: true,
            };
            let events = &mut self.attempts[attempt].events;
            if !events.contains(&moment) {
                events.push(moment);
            }
        }
    }

    fn story(mut self, result: &RunResult, id: RequestId) -> Story {
        self.tell_what_went_on();
        let plan = self.namer.plan();
        let horizon = (Time::ZERO + plan.duration + plan.drain).0 - self.start.0;
        let root = &self.calls[0];
        let latency = root.to_ns.unwrap_or(horizon);
        let until = self.start.0 + latency;
        let faults = result
            .fault_windows
            .iter()
            .filter(|(_, from, to)| from.0 <= until && to.0 > self.start.0);
        Story {
            client: self.namer.variant.names.clients[id.client as usize].clone(),
            number: id.number,
            start_ns: self.start.0,
            latency_ns: latency,
            success: root.success,
            end: root.end.clone(),
            faults: faults
                .map(|&(fault, from, to)| FaultSpan {
                    fault: plan.faults[fault as usize].label.clone(),
                    what: plan.faults[fault as usize].what.clone(),
                    from_ns: from.0,
                    to_ns: to.0,
                })
                .collect(),
            calls: self.calls,
            attempts: self.attempts,
        }
    }

    /// Endpoints that went on with what nobody waited for any more.
    fn tell_what_went_on(&mut self) {
        for attempt in &mut self.attempts {
            let (Some(ended), Some(endpoint)) = (attempt.to_ns, &attempt.endpoint) else {
                continue;
            };
            let late = match (attempt.left_ns, attempt.status) {
                (Some(left), Some(status)) if left > ended => {
                    let after = reason::span(Duration(left - ended));
                    format!("{endpoint} ends it with {status} {after} after the caller gave up: nobody waits for the answer")
                }
                (None, _) if attempt.arrived_ns.is_some() && attempt.end.as_deref() != Some("reset") => {
                    format!("{endpoint} is never done with it")
                }
                _ => continue,
            };
            let at_ns = attempt.left_ns.unwrap_or(ended);
            let is_bad = true;
            attempt.events.push(Moment {
                at_ns,
                what: late,
                is_bad,
                follows: true,
            });
        }
    }
}

fn turned_away(why: Why) -> &'static str {
    match why {
        Why::Shield => "its proxy sheds load",
        Why::Fails => "an error by chance, of its own or by a fault",
        Why::Deadline => "its deadline has passed, or the load leaves no room for it",
        Why::Full => "its queue is full",
        Why::QueueTimeout => "it has waited too long in the queue",
        Why::Dropped => "the queue's controlled delay drops it",
    }
}

fn pause(after: Duration) -> String {
    match after {
        Duration::ZERO => "at once".to_string(),
        after => format!("in {}", reason::span(after)),
    }
}

/// Who has decided something, in words.
pub(super) fn watcher(watcher: Watcher) -> &'static str {
    match watcher {
        Watcher::OutlierDetection => "outlier detection",
        Watcher::FailureAccrual => "failure accrual",
        Watcher::HealthCheck => "health checks",
    }
}
