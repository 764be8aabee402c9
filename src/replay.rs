//! Drives one policy by a script of JSON lines and prints its decisions: the policy library's test bench.
//!
//! There is no simulation here: time is what the script says, and answers are the script's. The lines are those of the contract's
//! section 5. The bench is the policy's only caller, so what leaves an endpoint idle is reported to the policy as such.

mod checks;
mod hedging;
mod line;
pub mod setup;
mod slot;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;

use hedging::{Hedged, Request};
use line::{DoneLine, EndpointLine, HealthLine, Line, PickLine, ProbeLine};
use slot::{Attempt, Slot};

use crate::policy::health_check::Finding;
use crate::policy::hedging::Way;
use crate::policy::{
    Answer, CallInfo, CallerInfo, Cluster, ClusterConfig, Decision, EndpointIndex, Outcome, Refusal, Ticket, Upstream, Verdict,
    Watcher, retry::Denial,
};
use crate::random::{Purpose, Streams};
use crate::time::{Duration, Time};

/// Why a replay ended before its script.
#[derive(Debug)]
pub enum Error {
    /// A line of the script cannot be obeyed.
    Script {
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        message: String,
    },
    /// The script could not be read.
    Read(io::Error),
    /// The decisions could not be written.
    Write(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Script { line, message } => write!(f, "line {line}: {message}"),
            Error::Read(error) => write!(f, "cannot read the events: {error}"),
            Error::Write(error) => write!(f, "cannot write the decisions: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Script { .. } => None,
            Error::Read(error) | Error::Write(error) => Some(error),
        }
    }
}

/// Obeys each line of `events` and writes each decision, one line each.
///
/// # Errors
/// The first line that is wrong ends it; what was decided before is written.
pub fn run(config: ClusterConfig, seed: u64, events: impl BufRead, output: impl Write) -> Result<(), Error> {
    obey_all(config, seed, events, output, |_| false)
}

/// As [`run`], for a script that somebody writes while it is obeyed: whenever there is no further line yet, all decisions are out.
///
/// # Errors
/// As of [`run`].
pub fn converse(config: ClusterConfig, seed: u64, events: impl Read, output: impl Write) -> Result<(), Error> {
    let events = BufReader::with_capacity(1 << 16, events);
    obey_all(config, seed, events, output, |events| events.buffer().is_empty())
}

fn obey_all<R: BufRead>(
    config: ClusterConfig,
    seed: u64,
    mut events: R,
    output: impl Write,
    is_awaited: impl Fn(&R) -> bool,
) -> Result<(), Error> {
    let mut bench = Bench::new(config, seed, output);
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        if is_awaited(&events) {
            bench.output.flush().map_err(Error::Write)?;
        }
        if events.read_until(b'\n', &mut text).map_err(Error::Read)? == 0 {
            break;
        }
        bench.obey(&text).map_err(|fault| match fault {
            Fault::Script(message) => Error::Script { line, message },
            Fault::Write(error) => Error::Write(error),
        })?;
    }
    bench.output.flush().map_err(Error::Write)
}

/// Why a line cannot be obeyed, where only the loop knows which it is.
enum Fault {
    Script(String),
    Write(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Write(error)
    }
}

impl From<String> for Fault {
    fn from(message: String) -> Fault {
        Fault::Script(message)
    }
}

struct Bench<W> {
    cluster: Cluster,
    output: W,
    seconds: f64,
    now: Time,
    // What each line of a pick begins with.
    prefix: String,
    slots: Vec<Slot>,
    listed: BTreeMap<String, EndpointIndex>,
    // Endpoints that left the list with picks open, the oldest first.
    draining: BTreeMap<String, VecDeque<EndpointIndex>>,
    // Granted retries, in the order in which they were granted.
    owed: VecDeque<Attempt>,
    // Whether and how calls have several attempts at a time, those that do, and how many there were.
    way: Option<Way>,
    hedged: BTreeMap<u64, Hedged>,
    calls: u64,
    // Health checks that wait for their answer, and until when.
    checks: Vec<(Time, EndpointIndex)>,
}

impl<W: Write> Bench<W> {
    fn new(config: ClusterConfig, seed: u64, output: W) -> Bench<W> {
        let rng = Streams::new(seed, 0).rng(Purpose::Policy, 0);
        let way = Way::of(&config);
        let upstream = Arc::new(Upstream::new(config, Vec::new()));
        let mut bench = Bench {
            cluster: Cluster::new(upstream, &CallerInfo::default(), rng, Time::ZERO),
            output,
            seconds: 0.0,
            now: Time::ZERO,
            prefix: String::new(),
            slots: Vec::new(),
            listed: BTreeMap::new(),
            draining: BTreeMap::new(),
            owed: VecDeque::new(),
            way,
            hedged: BTreeMap::new(),
            calls: 0,
            checks: Vec::new(),
        };
        bench.set_time(0.0);
        bench
    }

    fn obey(&mut self, text: &[u8]) -> Result<(), Fault> {
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        let (seconds, line) = line::parse(text)?;
        if let Some(seconds) = seconds {
            self.advance(seconds)?;
        }
        match line {
            Line::Endpoints(endpoints) => self.endpoints(endpoints)?,
            Line::Pick(pick) => self.pick(&pick)?,
            Line::Done(done) => self.done(&done)?,
            Line::Health(health) => self.health(&health)?,
            Line::Probe(probe) => self.probe(&probe)?,
            Line::Check(check) => self.check(&check)?,
            Line::Caller(caller) => self.cluster.on_caller(&caller.info()?, self.now),
            // A check that is not answered by now has timed out.
            Line::Tick => self.expire_checks()?,
        }
        self.tell()?;
        self.send_checks()?;
        self.run_hedges()
    }

    /// Writes what the policy has decided about its endpoints.
    fn tell(&mut self) -> io::Result<()> {
        while let Some(notice) = self.cluster.next_notice() {
            let id = &self.slots[notice.endpoint.at()].quoted;
            let t = self.seconds;
            if notice.watcher == Watcher::HealthCheck {
                let word = if notice.decision == Decision::In {
                    "healthy"
                } else {
                    "unhealthy"
                };
                writeln!(self.output, "{{\"t\": {t:?}, \"health\": {id}, \"to\": \"{word}\"}}")?;
                continue;
            }
            match notice.decision {
                Decision::Out { reason, until } => {
                    let word = reason.word();
                    write!(self.output, "{{\"t\": {t:?}, \"eject\": {id}, \"reason\": \"{word}\"")?;
                    if let Some(until) = until {
                        write!(self.output, ", \"until\": {:?}", until.since(Time::ZERO).as_secs_f64())?;
                    }
                    writeln!(self.output, "}}")?;
                }
                Decision::In => writeln!(self.output, "{{\"t\": {t:?}, \"uneject\": {id}}}")?,
                // Nothing has become of it.
                Decision::Spared { .. } => {}
            }
        }
        Ok(())
    }

    fn advance(&mut self, seconds: f64) -> Result<(), Fault> {
        // A century is room enough, and far from where nanoseconds end.
        if !(0.0..=3e9).contains(&seconds) {
            return Err(format!("`t` must be from 0 to 3e9 seconds, not {seconds}").into());
        }
        if seconds < self.seconds {
            return Err(format!("`t` goes back from {:?} to {seconds:?}", self.seconds).into());
        }
        let end = Time::ZERO + Duration::from_secs_f64(seconds);
        loop {
            let timeout = self.checks.iter().map(|check| check.0).min().unwrap_or(Time::MAX);
            let hedge = self.next_hedge();
            if hedge < end && hedge <= self.cluster.next_timer().min(timeout) {
                self.pass_to(hedge);
                self.run_hedges()?;
                continue;
            }
            let due = self.cluster.next_timer().min(timeout);
            // What comes at the very moment of a timeout comes in time.
            if due > end || (due == timeout && due == end && self.cluster.next_timer() > end) {
                break;
            }
            self.pass_to(due);
            if self.cluster.next_timer() <= due {
                self.cluster.on_timer(self.now);
                self.send_checks()?;
            } else if let Some(at) = self.checks.iter().position(|check| check.0 == timeout) {
                let (_, endpoint) = self.checks.remove(at);
                self.cluster.on_checked(endpoint, Finding::Timeout, self.now);
            }
            self.tell()?;
        }
        if seconds > self.seconds {
            self.set_time(seconds);
        }
        Ok(())
    }

    fn pass_to(&mut self, due: Time) {
        if due > self.now {
            self.set_time(due.since(Time::ZERO).as_secs_f64());
            self.now = due;
        }
    }

    fn set_time(&mut self, seconds: f64) {
        self.seconds = seconds;
        self.now = Time::ZERO + Duration::from_secs_f64(seconds);
        self.prefix = format!("{{\"t\": {seconds:?}, \"pick\": ");
    }

    fn endpoints(&mut self, lines: Vec<EndpointLine>) -> Result<(), String> {
        let mut ids = BTreeSet::new();
        if let Some(twice) = lines.iter().find(|line| !ids.insert(line.id.as_str())) {
            return Err(format!("endpoint `{}` is listed twice", twice.id));
        }
        let mut answer = Vec::with_capacity(lines.len());
        let mut weights = BTreeMap::new();
        for line in &lines {
            let known = self
                .listed
                .get(&line.id)
                .map(|&endpoint| self.cluster.discovered_health(endpoint));
            let info = line.info(known)?;
            if let Some(weight) = info.locality_weight {
                let locality = (info.priority, info.region.clone(), info.zone.clone(), info.sub_zone.clone());
                let first = *weights.entry(locality).or_insert(weight);
                if first != weight {
                    return Err(format!(
                        "endpoint `{}` has `locality_weight` {weight}, and others of its locality and priority have {first}",
                        line.id
                    ));
                }
            }
            answer.push(info);
        }
        self.cluster.on_resolved(&answer, self.now);
        self.relist(lines);
        let listed = self.cluster.upstream().endpoints();
        self.checks.retain(|check| listed.contains(&check.1));
        Ok(())
    }

    /// Follows the cluster's new list.
    fn relist(&mut self, lines: Vec<EndpointLine>) {
        let order: Vec<EndpointIndex> = self.cluster.upstream().endpoints().to_vec();
        let mut last = std::mem::take(&mut self.listed);
        for (line, endpoint) in lines.into_iter().zip(order) {
            if endpoint.at() >= self.slots.len() {
                self.slots.resize_with(endpoint.at() + 1, Slot::default);
            }
            if last.remove(&line.id) != Some(endpoint) {
                self.slots[endpoint.at()].quoted = quoted(&line.id);
                self.cluster.on_idle(endpoint, self.now);
            }
            self.listed.insert(line.id, endpoint);
        }
        for (id, endpoint) in last {
            self.draining.entry(id).or_default().push_back(endpoint);
        }
        let slots = &self.slots;
        self.draining.retain(|_, endpoints| {
            endpoints.retain(|endpoint| !slots[endpoint.at()].open.is_empty());
            !endpoints.is_empty()
        });
    }

    fn pick(&mut self, line: &PickLine) -> Result<(), Fault> {
        let (hash, source) = (line.hash(), line.source());
        let priority = line.priority.unwrap_or(self.cluster.upstream().config().priority);
        let metadata_match = line.metadata_match.as_ref().map(|demand| self.cluster.demand(demand));
        for _ in 0..line.count {
            let mut attempt = match line.attempt {
                Some(number) => Attempt {
                    number,
                    priority,
                    ..Attempt::default()
                },
                None => self.owed.pop_front().unwrap_or(Attempt {
                    priority,
                    ..Attempt::default()
                }),
            };
            let call = CallInfo {
                hash,
                key: line.key.as_deref(),
                source,
                attempt: attempt.number,
                tried: &attempt.tried,
                priority: attempt.priority,
                metadata_match,
                ..CallInfo::default()
            };
            self.output.write_all(self.prefix.as_bytes())?;
            match self.cluster.pick_again(&call, line.attempt.unwrap_or(0), self.now) {
                Ok(ticket) => {
                    let slot = &mut self.slots[ticket.endpoint.at()];
                    self.output.write_all(slot.quoted.as_bytes())?;
                    self.output.write_all(b"}\n")?;
                    if line.auto_done {
                        self.finish(ticket, &line::success(attempt.number + 1));
                    } else {
                        if self.cluster.upstream().config().retry.is_some() {
                            attempt.tried.push(ticket.endpoint);
                        }
                        if self.way.is_some() && line.attempt.is_none() {
                            let request = Request {
                                hash,
                                key: line.key.clone(),
                                source,
                                metadata_match,
                                priority,
                            };
                            attempt.call = Some(self.open_hedged(request, ticket.endpoint));
                        }
                        self.slots[ticket.endpoint.at()].opened(self.now, attempt);
                    }
                }
                Err(Refusal::NoEndpoint) => self.output.write_all(b"null}\n")?,
                Err(refusal) => writeln!(self.output, "null, \"reason\": \"{}\"}}", refusal.word())?,
            }
            while let Some(endpoint) = self.cluster.next_probe() {
                let quoted = &self.slots[endpoint.at()].quoted;
                writeln!(self.output, "{{\"t\": {:?}, \"probe\": {quoted}}}", self.seconds)?;
            }
            self.tell()?;
        }
        Ok(())
    }

    fn done(&mut self, line: &DoneLine) -> Result<(), Fault> {
        let answer = line.answer()?;
        let (endpoint, since, attempt) = self.close(&line.endpoint)?;
        let latency = match line.latency {
            Some(seconds) if (0.0..=3e9).contains(&seconds) => Duration::from_secs_f64(seconds),
            Some(seconds) => return Err(format!("`latency` must be at least 0 seconds, not {seconds}").into()),
            None => self.now.since(since),
        };
        let priority = attempt.priority;
        let outcome = Outcome {
            answer,
            latency,
            // What becomes of a call that hedges is not decided by this attempt alone.
            attempts: if attempt.call.is_some() { 0 } else { attempt.number + 1 },
            load: line.load.as_ref().map(line::LoadLine::report).transpose()?,
            retry_after: line.retry_after()?,
        };
        let verdict = self.finish(Ticket { endpoint, priority }, &outcome);
        if line.immediate_health_check_fail {
            self.cluster.on_checked(endpoint, Finding::ImmediateFailure, self.now);
        }
        match attempt.call {
            Some(call) => self.hedged_ended(call, endpoint, &outcome),
            None => self.answer_failure(&outcome, attempt, verdict),
        }
    }

    fn finish(&mut self, ticket: Ticket, outcome: &Outcome) -> Verdict {
        let verdict = self.cluster.on_finished(ticket, outcome, self.now);
        if self.cluster.active(ticket.endpoint) == 0 {
            self.cluster.on_idle(ticket.endpoint, self.now);
        }
        verdict
    }

    fn answer_failure(&mut self, outcome: &Outcome, attempt: Attempt, verdict: Verdict) -> Result<(), Fault> {
        if self.cluster.upstream().config().retry.is_none() {
            return Ok(());
        }
        if verdict != Verdict::Done {
            self.owed.push_back(Attempt {
                number: attempt.number + 1,
                ..attempt
            });
        }
        self.say_retry(outcome.answer, verdict)
    }

    /// Writes what is said of a retry after an attempt that ended so.
    fn say_retry(&mut self, answer: Answer, verdict: Verdict) -> Result<(), Fault> {
        if let Verdict::Retry { after } = verdict {
            writeln!(self.output, "{{\"retry\": {:?}}}", after.as_secs_f64())?;
            return Ok(());
        }
        match self.cluster.denial() {
            None => {}
            Some(Denial::NotRetriable) if !line::is_failure(answer) => {}
            Some(denial) => writeln!(self.output, "{{\"retry\": null, \"reason\": \"{}\"}}", denial.word())?,
        }
        Ok(())
    }

    /// The oldest open pick of an endpoint, which is closed now: where, since when, and which attempt of its call it is.
    fn close(&mut self, id: &str) -> Result<(EndpointIndex, Time, Attempt), String> {
        let draining = self.draining.get(id).into_iter().flatten();
        let mut places = draining.chain(self.listed.get(id)).copied().peekable();
        if places.peek().is_none() {
            return Err(self.unknown_endpoint(id));
        }
        let slots = &mut self.slots;
        places
            .find_map(|endpoint| {
                slots[endpoint.at()]
                    .closed()
                    .map(|(since, attempt)| (endpoint, since, attempt))
            })
            .ok_or_else(|| format!("endpoint `{id}` has no open pick that could be done"))
    }

    fn health(&mut self, line: &HealthLine) -> Result<(), String> {
        match self.listed.get(&line.endpoint) {
            Some(&endpoint) => self.cluster.on_health(endpoint, line.health.into(), self.now),
            None => return Err(self.unknown_endpoint(&line.endpoint)),
        }
        Ok(())
    }

    fn probe(&mut self, line: &ProbeLine) -> Result<(), String> {
        let report = line.load.report()?;
        match self.listed.get(&line.endpoint) {
            Some(&endpoint) => self.cluster.on_probed(endpoint, &report, self.now),
            None => return Err(self.unknown_endpoint(&line.endpoint)),
        }
        Ok(())
    }

    fn unknown_endpoint(&self, id: &str) -> String {
        let message = format!("endpoint `{id}` is not in the list");
        setup::suggest(message, id, self.listed.keys().map(String::as_str))
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("every text is a JSON text")
}
