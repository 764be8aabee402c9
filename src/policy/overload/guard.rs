//! What a caller itself holds back.

use super::{adaptive_throttling, admission_control, local_rate_limit, nack_admission_filter};
use crate::policy::{Answer, Outcome, Refusal};
use crate::random::Rng;
use crate::time::Time;

/// What a `mesh` asks for; each is off if absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuardOptions {
    /// Envoy's admission control.
    pub admission_control: Option<admission_control::Options>,
    /// Envoy's token bucket.
    pub local_rate_limit: Option<local_rate_limit::Options>,
    /// Finagle's filter.
    pub nack_admission_filter: Option<nack_admission_filter::Options>,
    /// The SRE book's throttling.
    pub adaptive_throttling: Option<adaptive_throttling::Options>,
}

impl GuardOptions {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == GuardOptions::default()
    }
}

/// What one caller knows of an upstream. It is asked once for each call, before its first attempt, and told how each call ended.
#[derive(Debug)]
pub(crate) struct Guard {
    options: GuardOptions,
    controller: Option<admission_control::Controller>,
    bucket: Option<local_rate_limit::Bucket>,
    filter: Option<nack_admission_filter::Filter>,
    throttle: Option<adaptive_throttling::Throttle>,
    rng: Rng,
}

impl Guard {
    /// What the options ask for; `None`: nothing.
    pub fn new(options: &GuardOptions, rng: &mut Rng, now: Time) -> Option<Box<Guard>> {
        if options.is_empty() {
            return None;
        }
        Some(Box::new(Guard {
            controller: options.admission_control.as_ref().map(admission_control::Controller::new),
            bucket: options
                .local_rate_limit
                .as_ref()
                .map(|options| local_rate_limit::Bucket::new(options, now)),
            filter: options
                .nack_admission_filter
                .as_ref()
                .map(|_| nack_admission_filter::Filter::new(now)),
            throttle: options
                .adaptive_throttling
                .as_ref()
                .map(|_| adaptive_throttling::Throttle::new()),
            options: options.clone(),
            rng: Rng::new(rng.next_u64()),
        }))
    }

    /// Whether a call may go to its endpoint.
    ///
    /// # Errors
    /// [`Refusal::Throttled`]: it may not.
    pub fn admit(&mut self, now: Time) -> Result<(), Refusal> {
        let Guard { options, rng, .. } = self;
        let mut admits = true;
        if let (Some(bucket), Some(options)) = (&mut self.bucket, &options.local_rate_limit) {
            admits = bucket.admits(options, now);
        }
        if let (true, Some(controller), Some(options)) = (admits, &mut self.controller, &options.admission_control) {
            admits = controller.admits(options, now, rng);
        }
        if let (true, Some(filter), Some(options)) = (admits, &mut self.filter, &options.nack_admission_filter) {
            admits = filter.admits(options, now, rng);
        }
        if let (true, Some(throttle), Some(options)) = (admits, &mut self.throttle, &options.adaptive_throttling) {
            admits = throttle.admits(options, now, rng);
        }
        if admits { Ok(()) } else { Err(Refusal::Throttled) }
    }

    /// A call that was let through has ended with the outcome of its last attempt.
    pub fn on_finished(&mut self, outcome: &Outcome, now: Time) {
        match outcome.answer {
            Answer::Status(status) => self.record(status, now),
            Answer::PerTryTimeout | Answer::Timeout => self.record(504, now),
            // A request that the caller withdrew says nothing of the upstream, but that it had not answered yet.
            Answer::ConnectFailure | Answer::Reset | Answer::Cancelled => self.record(0, now),
        }
    }

    /// A call that was let through found no endpoint.
    pub fn on_refused(&mut self, now: Time) {
        self.record(0, now);
    }

    /// `status` 0: there was no answer.
    fn record(&mut self, status: u16, now: Time) {
        if let (Some(controller), Some(options)) = (&mut self.controller, &self.options.admission_control) {
            controller.record(options, options.is_success(status), now);
        }
        if let (Some(filter), Some(options)) = (&mut self.filter, &self.options.nack_admission_filter) {
            filter.record(options, status == 503, now);
        }
        if let (Some(throttle), Some(options)) = (&mut self.throttle, &self.options.adaptive_throttling)
            && !matches!(status, 0 | 429 | 502..=504)
        {
            throttle.accepted(options, now);
        }
    }
}
