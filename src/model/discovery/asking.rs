//! Learners that ask: name servers with their caches, registries that are polled, Eureka's clients.

use crate::engine::Agenda;
use crate::model::discovery::learner::Way;
use crate::model::discovery::{Item, Outage, draw};
use crate::model::event::Event;
use crate::model::trace::Trace;
use crate::model::world::{NIL, World};
use crate::policy::discovery::dns::{self, Answer, Cache};
use crate::policy::discovery::{Config, Stage};
use crate::time::{Duration, Time};

/// An answer that somebody keeps.
#[derive(Debug)]
pub(super) struct Cached {
    expires: Time,
    list: Vec<bool>,
}

fn share_of(period: Duration, share: f64) -> Duration {
    Duration((period.0 as f64 * share) as u64)
}

impl<T: Trace> World<'_, T> {
    /// The cache that a learner asks through, of some age; a zone's callers share it where it is the node's.
    pub(super) fn make_cache(&mut self, learner: u32) {
        let row = &mut self.discovery.learners[learner as usize];
        let Config::Dns(options) = &self.plan.discoveries[row.plan as usize].config else {
            return;
        };
        let cached = Cached {
            expires: Time::ZERO + share_of(options.ttl, row.rng.unit()),
            list: row.pending.clone(),
        };
        let caches = &mut self.discovery.caches;
        let next = caches.len() as u32;
        row.cache = match options.cache {
            Cache::None => NIL,
            // A client that asks when its answer's time is over needs no cache besides.
            Cache::Caller if options.respects_ttl() => NIL,
            Cache::Caller => next,
            Cache::Node => {
                let zone = self.callers[row.caller as usize].zone;
                let key = (row.plan, row.service, zone);
                *self.discovery.node_caches.entry(key).or_insert(next)
            }
        };
        if row.cache == next {
            caches.push(cached);
        }
    }

    /// A learner has asked at some time before the start, and asks again when it is due.
    pub(super) fn start_learning(&mut self, caller: u32, agenda: &mut Agenda<Event>) {
        let learner = self.callers[caller as usize].learner;
        let row = &mut self.discovery.learners[learner as usize];
        let config = &self.plan.discoveries[row.plan as usize].config;
        let phase = row.rng.unit();
        match (config, &row.way) {
            (Config::Dns(options), Way::Refresher(_)) => {
                let at = match row.cache {
                    // All who share a cache ask when its answer's time is over, which they know by the second.
                    cache if cache != NIL && options.respects_ttl() => {
                        self.discovery.caches[cache as usize].expires + share_of(Duration::from_secs(1), phase)
                    }
                    _ => Time::ZERO + share_of(options.period(), phase),
                };
                self.later(at, Item::Asks { learner }, agenda);
            }
            (Config::Poll(options), _) => {
                let at = Time::ZERO + share_of(options.interval, phase);
                self.later(at, Item::Asks { learner }, agenda);
            }
            (Config::Eureka(options), _) => {
                let ribbon = row.rng.unit();
                let at = Time::ZERO + share_of(options.registry_fetch_interval, phase);
                self.later(at, Item::Asks { learner }, agenda);
                if options.server_list_refresh_interval > Duration::ZERO {
                    let at = Time::ZERO + share_of(options.server_list_refresh_interval, ribbon);
                    self.later(at, Item::Takes { learner }, agenda);
                }
            }
            _ => {}
        }
    }

    /// Whether a learner that asks a registry, or is told by one, cannot reach it.
    pub(super) fn is_cut_off(&self, learner: u32) -> bool {
        let row = &self.discovery.learners[learner as usize];
        let config = &self.plan.discoveries[row.plan as usize].config;
        matches!(config, Config::Poll(_) | Config::Eureka(_) | Config::Consul(_)) && self.is_cut_from_registry(row.caller)
    }

    /// The event of a question.
    pub(super) fn asks(&mut self, learner: u32, now: Time, agenda: &mut Agenda<Event>) {
        let plan = self.discovery.learners[learner as usize].plan;
        match &self.plan.discoveries[plan as usize].config {
            Config::Dns(options) => self.resolves(learner, options, now, agenda),
            Config::Poll(options) => {
                let row = &mut self.discovery.learners[learner as usize];
                let next = now + options.next(&mut row.rng);
                if !self.discovery.is_down(Outage::Registry) && !self.is_cut_off(learner) {
                    self.take_from_source(learner);
                    self.answer(learner, now, agenda);
                }
                self.again(next, Item::Asks { learner }, now, agenda);
            }
            Config::Eureka(options) => {
                if !self.discovery.is_down(Outage::Registry) && !self.is_cut_off(learner) {
                    self.fetch(learner, options.use_read_only_response_cache);
                    if options.server_list_refresh_interval == Duration::ZERO {
                        let row = &mut self.discovery.learners[learner as usize];
                        row.pending.copy_from_slice(&row.client);
                        self.answer(learner, now, agenda);
                    }
                }
                self.again(now + options.registry_fetch_interval, Item::Asks { learner }, now, agenda);
            }
            // These are told.
            Config::Static | Config::Consul(_) | Config::Xds(_) | Config::Linkerd(_) | Config::Kubernetes(_) => {}
        }
    }

    fn fetch(&mut self, learner: u32, from_copy: bool) {
        let row = &mut self.discovery.learners[learner as usize];
        let source = &self.discovery.sources[row.source as usize];
        let list = if from_copy { &source.copy } else { &source.listed };
        let count = row.client.len();
        row.client.copy_from_slice(&list[row.first as usize..][..count]);
    }

    /// The answer is on its way.
    fn answer(&mut self, learner: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &mut self.discovery.learners[learner as usize];
        match draw(self.plan, row.plan, Stage::Query, &mut row.rng) {
            Duration::ZERO => self.answered(learner, now, agenda),
            latency => self.later(now + latency, Item::Answered { learner }, agenda),
        }
    }

    /// Asks for a name.
    fn resolves(&mut self, learner: u32, options: &dns::Options, now: Time, agenda: &mut Agenda<Event>) {
        if let Way::Grpc(resolver) = &mut self.discovery.learners[learner as usize].way {
            resolver.begin();
        }
        let cache = self.discovery.learners[learner as usize].cache;
        let kept = self.discovery.caches.get(cache as usize).filter(|kept| now < kept.expires);
        let ttl = match kept {
            Some(kept) => {
                let left = dns::remaining(kept.expires, now);
                self.discovery.learners[learner as usize].pending.copy_from_slice(&kept.list);
                left
            }
            None if self.discovery.is_down(Outage::Dns) => return self.is_not_answered(learner, options, now, agenda),
            None => {
                self.take_from_source(learner);
                let list = &self.discovery.learners[learner as usize].pending;
                let ttl = options.ttl_of(!list.contains(&true));
                if let Some(kept) = self.discovery.caches.get_mut(cache as usize) {
                    kept.expires = now + ttl;
                    kept.list.copy_from_slice(list);
                }
                ttl
            }
        };
        let row = &mut self.discovery.learners[learner as usize];
        row.unanswered = 0;
        if options.kind == dns::Kind::LogicalDns {
            row.keep_one_address();
        }
        let next = row.next_question(options, Answer::Resolved { ttl }, now);
        self.answer(learner, now, agenda);
        if let Some(at) = next {
            self.again(at, Item::Asks { learner }, now, agenda);
        }
    }

    /// The name server does not answer: it is asked so often, and then that is a failure. What was known stays.
    fn is_not_answered(&mut self, learner: u32, options: &dns::Options, now: Time, agenda: &mut Agenda<Event>) {
        let row = &mut self.discovery.learners[learner as usize];
        row.unanswered += 1;
        let gives_up = now + options.query_timeout;
        let next = if row.unanswered < options.query_tries {
            Some(gives_up)
        } else {
            row.unanswered = 0;
            row.next_question(options, Answer::Failed, gives_up)
        };
        if let Some(at) = next {
            self.again(at, Item::Asks { learner }, now, agenda);
        }
    }

    /// gRPC tries to connect to whom it knows, and asks once more when that fails.
    pub(super) fn after_answer(&mut self, learner: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.discovery.learners[learner as usize];
        if !matches!(row.way, Way::Grpc(_)) {
            return;
        }
        let truths = &self.discovery.truths[row.first as usize..];
        let fails = row
            .believed
            .iter()
            .zip(truths)
            .any(|(&believed, truth)| believed && !truth.ready);
        if fails {
            self.resolve_now(learner, now, agenda);
        }
    }

    /// A call found that its connection is gone, or got none.
    pub(in crate::model) fn connection_lost(&mut self, caller: u32, now: Time, agenda: &mut Agenda<Event>) {
        let learner = self.callers[caller as usize].learner;
        self.resolve_now(learner, now, agenda);
    }

    /// An endpoint of a service has closed its connections.
    pub(super) fn connections_closed(&mut self, service: u32, now: Time, agenda: &mut Agenda<Event>) {
        for learner in 0..self.discovery.learners.len() as u32 {
            let row = &self.discovery.learners[learner as usize];
            if row.service == service && matches!(row.way, Way::Grpc(_)) {
                self.resolve_now(learner, now, agenda);
            }
        }
    }

    fn resolve_now(&mut self, learner: u32, now: Time, agenda: &mut Agenda<Event>) {
        let Way::Grpc(resolver) = &mut self.discovery.learners[learner as usize].way else {
            return;
        };
        if let Some(at) = resolver.resolve_now(now) {
            self.again(at, Item::Asks { learner }, now, agenda);
        }
    }
}

impl super::Learner {
    /// When it asks again of itself.
    fn next_question(&mut self, options: &dns::Options, answer: Answer, now: Time) -> Option<Time> {
        match &mut self.way {
            Way::Refresher(refresher) => Some(now + refresher.next(options, answer, &mut self.rng)),
            Way::Grpc(resolver) => resolver.on_answer(options, answer, now, &mut self.rng),
            _ => None,
        }
    }

    /// Of an answer, in whose order chance has a hand, a logical cluster takes the first address; of an empty one nothing.
    fn keep_one_address(&mut self) {
        let count = self.pending.iter().filter(|listed| **listed).count();
        if count == 0 {
            return self.pending.copy_from_slice(&self.believed);
        }
        let chosen = self.rng.below(count as u64) as usize;
        let mut place = 0;
        for listed in &mut self.pending {
            if *listed {
                *listed = place == chosen;
                place += 1;
            }
        }
    }
}
