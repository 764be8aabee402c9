//! Prequal's pool of probe answers, and the rule by which one of them is used.
//!
//! Wydrowski et al. (NSDI 2024), section 4. A replica is in the pool once, with its last answer. Ties go to the older answer.

use std::collections::VecDeque;

use crate::policy::{CandidateSet, EndpointIndex};
use crate::time::{Duration, Time};

/// How large, how old, how loaded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbePoolLimits {
    /// At most so many answers.
    pub size: u32,
    /// None is older than this.
    pub age: Duration,
    /// The quantile of reported requests in flight above which a replica is hot.
    pub q_rif: f64,
}

/// With fewer answers there is no choice.
const ANSWERS_MIN: usize = 2;

/// So many reports make the distribution of requests in flight.
const REPORTS_MAX: usize = 128;

/// What a replica answered.
#[derive(Clone, Copy, Debug)]
struct Answer {
    endpoint: EndpointIndex,
    // With what was sent there since.
    in_flight: u32,
    latency: f64,
    uses_left: u32,
    is_shunned: bool,
    at: Time,
}

/// The answers that one client has.
#[derive(Clone, Debug)]
pub struct ProbePool {
    limits: ProbePoolLimits,
    // The oldest first.
    answers: Vec<Answer>,
    // Requests in flight as lately reported, in the order of the reports and in that of their size.
    reports: VecDeque<u32>,
    sorted: Vec<u32>,
    is_oldest_next: bool,
}

impl ProbePool {
    /// An empty one.
    pub fn new(limits: ProbePoolLimits) -> ProbePool {
        ProbePool {
            limits,
            answers: Vec::with_capacity(limits.size as usize),
            reports: VecDeque::with_capacity(REPORTS_MAX),
            sorted: Vec::with_capacity(REPORTS_MAX),
            is_oldest_next: true,
        }
    }

    /// How many answers there are.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Takes an answer, in place of the last one of the same replica, or of the oldest one if the pool is full.
    pub fn insert(&mut self, endpoint: EndpointIndex, in_flight: u32, latency: f64, uses: u32, is_shunned: bool, now: Time) {
        self.forget(endpoint);
        if self.answers.len() == self.limits.size as usize {
            self.answers.remove(0);
        }
        self.answers.push(Answer {
            endpoint,
            in_flight,
            latency,
            uses_left: uses,
            is_shunned,
            at: now,
        });
        self.report(in_flight);
    }

    fn report(&mut self, in_flight: u32) {
        let place = |sorted: &[u32], value: u32| sorted.partition_point(|&other| other < value);
        if self.reports.len() == REPORTS_MAX
            && let Some(old) = self.reports.pop_front()
        {
            self.sorted.remove(place(&self.sorted, old));
        }
        self.reports.push_back(in_flight);
        self.sorted.insert(place(&self.sorted, in_flight), in_flight);
    }

    /// Drops what a replica answered.
    pub fn forget(&mut self, endpoint: EndpointIndex) {
        self.answers.retain(|answer| answer.endpoint != endpoint);
    }

    /// Drops what is too old, or from a replica that is not in `set`.
    pub fn expire(&mut self, set: CandidateSet<'_>, now: Time) {
        let age = self.limits.age;
        self.answers
            .retain(|answer| now.since(answer.at) <= age && set.contains(answer.endpoint));
    }

    /// The least number of requests in flight that the wanted share of reports does not exceed.
    fn threshold(&self) -> u32 {
        let rank = (self.limits.q_rif * self.sorted.len() as f64).ceil() as usize;
        self.sorted.get(rank.max(1) - 1).copied().unwrap_or(0)
    }

    fn is_hot(answer: &Answer, threshold: u32) -> bool {
        answer.is_shunned || answer.in_flight > threshold
    }

    /// The fastest of those not hot, or the least loaded if all are; `None`: too little is known. It is used once more, and has
    /// one request more.
    pub fn select(&mut self) -> Option<EndpointIndex> {
        if self.answers.len() < ANSWERS_MIN {
            return None;
        }
        let threshold = self.threshold();
        let rank = |answer: &Answer| match ProbePool::is_hot(answer, threshold) {
            false => (0, answer.latency),
            true => (1, f64::from(answer.in_flight)),
        };
        let mut best = 0;
        for i in 1..self.answers.len() {
            if rank(&self.answers[i]) < rank(&self.answers[best]) {
                best = i;
            }
        }
        let answer = &mut self.answers[best];
        let endpoint = answer.endpoint;
        answer.in_flight += 1;
        answer.uses_left = answer.uses_left.saturating_sub(1);
        if answer.uses_left == 0 {
            self.answers.remove(best);
        }
        Some(endpoint)
    }

    /// Drops the oldest and the worst answer by turns; the worst is the most loaded if any is hot, else the slowest.
    pub fn remove_one(&mut self) {
        if self.answers.is_empty() {
            return;
        }
        self.is_oldest_next = !self.is_oldest_next;
        if !self.is_oldest_next {
            self.answers.remove(0);
            return;
        }
        let threshold = self.threshold();
        let rank = |answer: &Answer| match ProbePool::is_hot(answer, threshold) {
            true => (1, f64::from(answer.in_flight)),
            false => (0, answer.latency),
        };
        let mut worst = 0;
        for i in 1..self.answers.len() {
            if rank(&self.answers[i]) > rank(&self.answers[worst]) {
                worst = i;
            }
        }
        self.answers.remove(worst);
    }
}
