//! Retries: which answers are worth another attempt, after which pause, and how many a caller may afford.
//!
//! Options without a family's name are Envoy's (`source/common/router/retry_state_impl.cc`); each other family is a key of its own:
//! `retry: {grpc/retry: {…}}`.

mod aws;
mod back_off;
mod conditions;
mod finagle;
mod grpc;
mod host_selection;
mod linkerd;
mod slots;
mod tokens;

pub use aws::Options as AwsOptions;
pub use back_off::BackOff;
pub use conditions::{Condition, Conditions, WORDS};
pub use finagle::Options as FinagleOptions;
pub use grpc::{Code, Codes, Options as GrpcOptions, RetryThrottling, Throttle};
pub use host_selection::{HostPredicate, PreviousPriorities, RateLimitedBackOff, ResetHeader, RetryPriority};
pub use linkerd::{Budget as LinkerdBudget, Options as LinkerdOptions};
pub(crate) use slots::Standing;
pub use slots::{Limit, RetryBudget};
pub use tokens::{Terms, Tokens};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::circuit_breaker::RoutingPriority;
use crate::policy::{Answer, Outcome, Verdict, circuit_breaker};
use crate::random::Rng;
use crate::time::{Duration, Time};

use slots::Slots;

/// When a call is tried again: Envoy's retry policy of a route, or another family's under its name.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How often to try again after the first attempt.
    pub num_retries: u32,
    /// Which answers are worth another attempt: a list of Envoy's words, or one text with commas. Without any there is no retry.
    pub retry_on: Conditions,
    /// The statuses that the word `retriable-status-codes` stands for.
    pub retriable_status_codes: Vec<u16>,
    /// Time for one attempt; none if absent.
    pub per_try_timeout: Option<Duration>,
    /// An attempt of which nothing is heard for so long is given up; no limit if absent. Here nothing is heard of an attempt before its
    /// answer, so that it is a limit beside `per_try_timeout`.
    pub per_try_idle_timeout: Option<Duration>,
    /// The pause before a retry.
    #[serde(alias = "retry_back_off")]
    #[schemars(extend("x-upstream" = "retry_back_off"))]
    pub back_off: BackOff,
    /// An answer that says when to come again is obeyed; it is not if absent.
    pub rate_limited_retry_back_off: Option<RateLimitedBackOff>,
    /// Retries of a caller in relation to its requests under way; it wins over what `circuit_breaker` says of retries.
    pub retry_budget: Option<RetryBudget>,
    /// Which endpoints a retry rejects: `[previous_hosts]`, or as Envoy writes it; none if absent.
    pub retry_host_predicate: Vec<HostPredicate>,
    /// After so many rejected endpoints the next one is taken in any case.
    pub host_selection_retry_max_attempts: u32,
    /// Which priority levels a retry avoids; none if absent.
    pub retry_priority: Option<RetryPriority>,
    /// gRPC's retry policy, instead of Envoy's.
    #[serde(rename = "grpc/retry")]
    pub grpc: Option<GrpcOptions>,
    /// Linkerd's, instead of Envoy's.
    #[serde(rename = "linkerd/retry")]
    pub linkerd: Option<LinkerdOptions>,
    /// Finagle's, instead of Envoy's.
    #[serde(rename = "finagle/retry")]
    pub finagle: Option<FinagleOptions>,
    /// The standard mode of AWS's SDKs, instead of Envoy's.
    #[serde(rename = "aws/retry", alias = "aws/standard")]
    pub aws: Option<AwsOptions>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            num_retries: 1,
            retry_on: Conditions::default(),
            retriable_status_codes: Vec::new(),
            per_try_timeout: None,
            per_try_idle_timeout: None,
            back_off: BackOff::default(),
            rate_limited_retry_back_off: None,
            retry_budget: None,
            retry_host_predicate: Vec::new(),
            host_selection_retry_max_attempts: 1,
            retry_priority: None,
            grpc: None,
            linkerd: None,
            finagle: None,
            aws: None,
        }
    }
}

/// Why a call is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Its answer is not one to be tried again.
    NotRetriable,
    /// It has had all the retries that a call may have.
    LimitExceeded,
    /// The caller has no retry left for it: its budget, or its limit of retries under way.
    Budget,
}

impl Denial {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Denial::NotRetriable => "not_retriable",
            Denial::LimitExceeded => "limit",
            Denial::Budget => "budget",
        }
    }
}

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        let families = [
            self.grpc.is_some(),
            self.linkerd.is_some(),
            self.finagle.is_some(),
            self.aws.is_some(),
        ];
        let count = families.iter().filter(|is_written| **is_written).count();
        let plain = Options {
            grpc: self.grpc.clone(),
            linkerd: self.linkerd.clone(),
            finagle: self.finagle.clone(),
            aws: self.aws.clone(),
            ..Options::default()
        };
        if count > 1 || count == 1 && *self != plain {
            return Err(
                "one family's retry policy is wanted: either options of Envoy's, or one such as `grpc/retry`".to_string(),
            );
        }
        if let Some(status) = self
            .retriable_status_codes
            .iter()
            .find(|status| !(100..600).contains(*status))
        {
            return Err(format!("`retriable_status_codes` holds {status}, which is no HTTP status"));
        }
        for (name, timeout) in [
            ("per_try_timeout", self.per_try_timeout),
            ("per_try_idle_timeout", self.per_try_idle_timeout),
        ] {
            if timeout == Some(Duration::ZERO) {
                return Err(format!("`{name}` must be longer than 0; leave it out for none"));
            }
        }
        if self
            .retry_priority
            .as_ref()
            .and_then(|priority| priority.previous_priorities.as_ref())
            .is_some_and(|previous| previous.update_frequency == 0)
        {
            return Err("`update_frequency` must be at least 1".to_string());
        }
        self.back_off.check()?;
        let named = |name: &str, result: Result<(), String>| result.map_err(|message| format!("in `{name}`: {message}"));
        named("grpc/retry", self.grpc.as_ref().map_or(Ok(()), GrpcOptions::check))?;
        named("linkerd/retry", self.linkerd.as_ref().map_or(Ok(()), LinkerdOptions::check))?;
        named("finagle/retry", self.finagle.as_ref().map_or(Ok(()), FinagleOptions::check))?;
        named("aws/retry", self.aws.as_ref().map_or(Ok(()), AwsOptions::check))
    }

    /// Whether there can be a retry at all.
    pub fn is_on(&self) -> bool {
        let by_family = self.grpc.is_some() || self.linkerd.is_some() || self.finagle.is_some() || self.aws.is_some();
        by_family || self.num_retries > 0
    }

    /// The time for one attempt, where there is a limit.
    pub fn attempt_timeout(&self) -> Option<Duration> {
        match &self.linkerd {
            Some(linkerd) => linkerd.timeout,
            // Nothing is heard of an attempt before its answer.
            None => [self.per_try_timeout, self.per_try_idle_timeout].into_iter().flatten().min(),
        }
    }

    /// How many endpoints where a call has been are rejected for one retry.
    pub(crate) fn rejections(&self) -> u32 {
        match self.retry_host_predicate.is_empty() {
            true => 0,
            false => self.host_selection_retry_max_attempts,
        }
    }

    /// After how many attempts the levels where a call has been are left out; 0: never.
    pub(crate) fn priority_update_frequency(&self) -> u32 {
        let priority = self.retry_priority.as_ref();
        priority
            .and_then(|priority| priority.previous_priorities.as_ref())
            .map_or(0, |previous| previous.update_frequency)
    }

    /// Whether an answer is worth another attempt, as far as Envoy's conditions go.
    pub fn is_retriable(&self, answer: Answer) -> bool {
        self.retry_on.hold(answer, &self.retriable_status_codes)
    }

    /// Envoy's word on an attempt that ended so; `None`: worth another one, as far as this call goes.
    fn denial(&self, outcome: &Outcome) -> Option<Denial> {
        if !self.retry_on.hold(outcome.answer, &self.retriable_status_codes) {
            Some(Denial::NotRetriable)
        } else if outcome.attempts > self.num_retries {
            Some(Denial::LimitExceeded)
        } else {
            None
        }
    }

    /// Envoy's pause before the next attempt.
    fn pause(&self, outcome: &Outcome, rng: &mut Rng) -> Duration {
        let limited = self.rate_limited_retry_back_off.as_ref();
        let told = outcome
            .retry_after
            .filter(|&after| limited.is_some_and(|limited| after <= limited.max_interval));
        match told {
            Some(interval) => BackOff::draw_after(interval, rng),
            None => self.back_off.draw(outcome.attempts, rng),
        }
    }
}

/// What a family remembers between calls.
#[derive(Debug)]
enum Memory {
    Envoy,
    Grpc(Option<Throttle>),
    Linkerd(Option<Tokens>),
    Finagle(Tokens),
    Aws(aws::Quota),
}

/// The retries of one caller and upstream.
#[derive(Debug)]
pub(crate) struct Retrier {
    memory: Memory,
    slots: Slots,
    denial: Option<Denial>,
}

impl Retrier {
    /// `breaker` limits Envoy's retries.
    pub fn new(options: &Options, breaker: Option<&circuit_breaker::Options>) -> Retrier {
        let memory = match options {
            Options { grpc: Some(grpc), .. } => Memory::Grpc(grpc.throttle()),
            Options {
                linkerd: Some(linkerd), ..
            } => Memory::Linkerd(linkerd.tokens()),
            Options {
                finagle: Some(finagle), ..
            } => Memory::Finagle(finagle.tokens()),
            Options { aws: Some(aws), .. } => Memory::Aws(aws.quota()),
            _ => Memory::Envoy,
        };
        let slots = Slots::new(|priority| match (&memory, &options.retry_budget, breaker) {
            (Memory::Envoy, Some(budget), _) => Limit::Budget(budget.clone()),
            (Memory::Envoy, None, Some(breaker)) => breaker.retry_limit(priority),
            // Other families count in their own way.
            _ => Limit::Unlimited,
        });
        Retrier {
            memory,
            slots,
            denial: None,
        }
    }

    /// Retries that are under way, their pauses included.
    pub fn under_way(&self) -> u64 {
        self.slots.held()
    }

    /// Why the last attempt that was told of is not followed by another; `None`: it is, or needs none.
    pub fn denial(&self) -> Option<Denial> {
        self.denial
    }

    /// A call ended between a granted retry and its attempt, or that attempt found no endpoint.
    #[inline]
    pub fn on_dropped(&mut self, priority: RoutingPriority) {
        self.slots.give_back(priority);
    }

    /// An attempt of this priority has ended, whatever becomes of its call.
    #[inline]
    pub fn on_ended(&mut self, priority: RoutingPriority, now: Time) {
        self.slots.on_ended(priority, now);
    }

    /// What is to become of a call whose attempt ended so, while so much is under way.
    #[inline]
    pub fn verdict(&mut self, options: &Options, outcome: &Outcome, standing: Standing, now: Time, rng: &mut Rng) -> Verdict {
        self.verdict_after(options, outcome, outcome.attempts > 1, standing, now, rng)
    }

    /// The same of a call that holds a slot for a retry or does not. It is free again once the retry's attempt is over; the next retry takes
    /// one anew.
    #[inline]
    pub fn verdict_after(
        &mut self,
        options: &Options,
        outcome: &Outcome,
        holds: bool,
        standing: Standing,
        now: Time,
        rng: &mut Rng,
    ) -> Verdict {
        if holds {
            self.slots.give_back(standing.priority);
        }
        let answer = self.ask(options, outcome, standing, now, rng);
        self.denial = answer.err();
        match answer {
            Ok(after) => Verdict::Retry { after },
            Err(_) => Verdict::Done,
        }
    }

    /// Whether a retry may be made beside an attempt that takes too long: any such attempt is worth one.
    pub fn hedge(
        &mut self,
        options: &Options,
        attempts: u32,
        holds: bool,
        standing: Standing,
        now: Time,
        rng: &mut Rng,
    ) -> Verdict {
        if holds {
            self.slots.give_back(standing.priority);
        }
        if attempts > options.num_retries || !self.slots.take(standing, now) {
            return Verdict::Done;
        }
        Verdict::Retry {
            after: options.back_off.draw(attempts, rng),
        }
    }

    fn ask(
        &mut self,
        options: &Options,
        outcome: &Outcome,
        standing: Standing,
        now: Time,
        rng: &mut Rng,
    ) -> Result<Duration, Denial> {
        if matches!(outcome.answer, Answer::Timeout | Answer::Cancelled) {
            return Err(Denial::NotRetriable);
        }
        let pause = match (&mut self.memory, options) {
            (Memory::Grpc(throttle), Options { grpc: Some(grpc), .. }) => grpc.ask(throttle, outcome, rng)?,
            (
                Memory::Linkerd(tokens),
                Options {
                    linkerd: Some(linkerd), ..
                },
            ) => linkerd.ask(tokens, outcome, now, rng)?,
            (
                Memory::Finagle(tokens),
                Options {
                    finagle: Some(finagle), ..
                },
            ) => finagle.ask(tokens, outcome, now)?,
            (Memory::Aws(quota), Options { aws: Some(aws), .. }) => aws.ask(quota, outcome, rng)?,
            _ => {
                if let Some(denial) = options.denial(outcome) {
                    return Err(denial);
                }
                if !self.slots.take(standing, now) {
                    return Err(Denial::Budget);
                }
                return Ok(options.pause(outcome, rng));
            }
        };
        self.slots.take(standing, now);
        Ok(pause)
    }
}
