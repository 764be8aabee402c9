//! Calls with several attempts at a time: the bench makes the further ones when their moment comes, and gives up those that a good answer
//! leaves behind.

use std::io::Write;

use super::{Attempt, Bench, Fault, line};
use crate::policy::hedging::{Fate, Way};
use crate::policy::retry::Denial;
use crate::policy::{Answer, CallInfo, EndpointIndex, MatchId, Outcome, RoutingPriority, Ticket, Verdict};
use crate::time::Time;

/// What a policy may know of a call, to be placed again.
pub(super) struct Request {
    pub hash: Option<u64>,
    pub key: Option<String>,
    pub source: Option<std::net::IpAddr>,
    pub metadata_match: Option<MatchId>,
    pub priority: RoutingPriority,
}

/// An attempt that is under way.
struct Live {
    endpoint: EndpointIndex,
    // When it takes too long; [`Time::MAX`]: that is past, or there is no such time.
    late_at: Time,
    is_late: bool,
}

/// A call that hedges.
pub(super) struct Hedged {
    request: Request,
    // Attempts so far, and where they went.
    started: u32,
    tried: Vec<EndpointIndex>,
    live: Vec<Live>,
    // When the next attempt is made; [`Time::MAX`]: none is to come.
    next: Time,
    holds_slot: bool,
}

impl Hedged {
    fn due(&self) -> Time {
        let late = self.live.iter().map(|live| live.late_at);
        late.fold(self.next, Time::min)
    }
}

impl<W: Write> Bench<W> {
    /// When something happens to a call that hedges; [`Time::MAX`]: never.
    pub(super) fn next_hedge(&self) -> Time {
        self.hedged.values().map(Hedged::due).min().unwrap_or(Time::MAX)
    }

    fn late_at(&self) -> Time {
        let timeout = self.cluster.upstream().config().retry.as_ref();
        match (self.way, timeout.and_then(|retry| retry.attempt_timeout())) {
            (Some(Way::OnPerTryTimeout), Some(timeout)) => self.now + timeout,
            _ => Time::MAX,
        }
    }

    fn next_at_distance(&self, started: u32) -> Time {
        match self.way {
            Some(Way::Fixed { delay, attempts }) if started < attempts => self.now + delay,
            _ => Time::MAX,
        }
    }

    /// A call's first attempt has been placed: gives the call a number.
    pub(super) fn open_hedged(&mut self, request: Request, endpoint: EndpointIndex) -> u64 {
        let call = self.calls;
        self.calls += 1;
        let hedged = Hedged {
            request,
            started: 1,
            tried: vec![endpoint],
            live: vec![Live {
                endpoint,
                late_at: self.late_at(),
                is_late: false,
            }],
            next: self.next_at_distance(1),
            holds_slot: false,
        };
        self.hedged.insert(call, hedged);
        call
    }

    /// Does what has become due by now.
    pub(super) fn run_hedges(&mut self) -> Result<(), Fault> {
        loop {
            let due = self.hedged.iter().map(|(&call, hedged)| (hedged.due(), call)).min();
            match due {
                Some((at, call)) if at <= self.now => self.run_hedge(call)?,
                _ => return Ok(()),
            }
        }
    }

    fn run_hedge(&mut self, call: u64) -> Result<(), Fault> {
        let Some(hedged) = self.hedged.get_mut(&call) else {
            return Ok(());
        };
        if hedged.next <= self.now {
            hedged.next = Time::MAX;
            let is_fixed = matches!(self.way, Some(Way::Fixed { .. }));
            return match is_fixed && !self.cluster.may_hedge() {
                true => Ok(()),
                false => self.start_further(call),
            };
        }
        let now = self.now;
        let Some(live) = hedged.live.iter_mut().find(|live| live.late_at <= now) else {
            return Ok(());
        };
        live.late_at = Time::MAX;
        // One that waits for its moment is the next attempt already.
        if hedged.next == Time::MAX {
            let verdict = self
                .cluster
                .hedge(hedged.started, hedged.request.priority, hedged.holds_slot, now);
            hedged.holds_slot = verdict != Verdict::Done;
            if let Verdict::Retry { after } = verdict {
                live.is_late = true;
                hedged.next = now + after;
            }
        }
        Ok(())
    }

    /// Makes a further attempt of a call.
    fn start_further(&mut self, call: u64) -> Result<(), Fault> {
        let (late_at, t) = (self.late_at(), self.seconds);
        let Some(hedged) = self.hedged.get_mut(&call) else {
            return Ok(());
        };
        let number = hedged.started;
        hedged.started += 1;
        let request = &hedged.request;
        let info = CallInfo {
            hash: request.hash,
            key: request.key.as_deref(),
            source: request.source,
            attempt: number,
            tried: &hedged.tried,
            priority: request.priority,
            metadata_match: request.metadata_match,
            ..CallInfo::default()
        };
        match self.cluster.pick(&info, self.now) {
            Ok(Ticket { endpoint, priority }) => {
                hedged.tried.push(endpoint);
                hedged.live.push(Live {
                    endpoint,
                    late_at,
                    is_late: false,
                });
                let started = hedged.started;
                let next = self.next_at_distance(started);
                if let Some(hedged) = self.hedged.get_mut(&call) {
                    hedged.next = next;
                }
                let slot = &mut self.slots[endpoint.at()];
                writeln!(self.output, "{{\"t\": {t:?}, \"hedge\": {}}}", slot.quoted)?;
                let attempt = Attempt {
                    number,
                    priority,
                    call: Some(call),
                    ..Attempt::default()
                };
                slot.opened(self.now, attempt);
            }
            Err(refusal) => {
                // The policy has taken the slot back.
                hedged.holds_slot = false;
                if hedged.live.is_empty() {
                    self.hedged.remove(&call);
                }
                writeln!(
                    self.output,
                    "{{\"t\": {t:?}, \"hedge\": null, \"reason\": \"{}\"}}",
                    refusal.word()
                )?;
            }
        }
        self.tell()?;
        Ok(())
    }

    /// An attempt of a call that hedges has ended, which the policy has been told of.
    pub(super) fn hedged_ended(&mut self, call: u64, endpoint: EndpointIndex, outcome: &Outcome) -> Result<(), Fault> {
        let (way, now) = (self.way, self.now);
        let Some(hedged) = self.hedged.get_mut(&call) else {
            return Ok(());
        };
        let place = hedged.live.iter().position(|live| live.endpoint == endpoint);
        let is_late = place.is_some_and(|place| hedged.live.remove(place).is_late);
        if matches!(outcome.answer, Answer::Timeout | Answer::Cancelled) {
            return self.end_hedged(call, outcome.answer);
        }
        let waits = !hedged.live.is_empty() || hedged.next != Time::MAX;
        let stands = match way {
            Some(Way::Fixed { attempts, .. }) => match self.cluster.on_hedged_answer(outcome.answer) {
                Fate::Stands => true,
                Fate::Others { another: true } if hedged.started < attempts => return self.start_further(call),
                Fate::Others { another } => hedged.live.is_empty() && (!another || hedged.next == Time::MAX),
            },
            // It was given up for late: a failure is dropped while others may do better.
            _ if is_late => !self.cluster.is_retriable(outcome.answer) || !waits,
            _ if hedged.next != Time::MAX => !self.cluster.is_retriable(outcome.answer),
            _ => {
                let outcome = Outcome {
                    attempts: hedged.started,
                    ..*outcome
                };
                let verdict = self
                    .cluster
                    .ask_retry(&outcome, hedged.request.priority, hedged.holds_slot, now);
                hedged.holds_slot = verdict != Verdict::Done;
                if let Verdict::Retry { after } = verdict {
                    hedged.next = now + after;
                }
                self.say_retry(outcome.answer, verdict)?;
                verdict == Verdict::Done && (self.cluster.denial() == Some(Denial::NotRetriable) || !waits)
            }
        };
        match stands {
            true => self.end_hedged(call, Answer::Cancelled),
            false => Ok(()),
        }
    }

    /// Ends a call; its attempts that are under way end so.
    fn end_hedged(&mut self, call: u64, others: Answer) -> Result<(), Fault> {
        let Some(hedged) = self.hedged.remove(&call) else {
            return Ok(());
        };
        let priority = hedged.request.priority;
        for Live { endpoint, .. } in hedged.live {
            let slot = &mut self.slots[endpoint.at()];
            let Some(place) = slot.open.iter().position(|open| open.attempt.call == Some(call)) else {
                continue;
            };
            let since = slot.open.remove(place).map_or(self.now, |open| open.since);
            writeln!(self.output, "{{\"t\": {:?}, \"cancel\": {}}}", self.seconds, slot.quoted)?;
            let outcome = Outcome {
                answer: others,
                latency: self.now.since(since),
                ..line::success(0)
            };
            self.finish(Ticket { endpoint, priority }, &outcome);
            self.tell()?;
        }
        if hedged.holds_slot {
            self.cluster.on_retry_dropped(priority);
        }
        Ok(())
    }
}
