//! What stands in front of an endpoint's queue.

use super::{adaptive_concurrency, admission_control, local_rate_limit};
use crate::random::Rng;
use crate::time::Time;

/// What a service asks for; each is off if absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShieldOptions {
    /// Envoy's token bucket.
    pub local_rate_limit: Option<local_rate_limit::Options>,
    /// Envoy's admission control.
    pub admission_control: Option<admission_control::Options>,
    /// Envoy's adaptive concurrency.
    pub adaptive_concurrency: Option<adaptive_concurrency::Options>,
}

impl ShieldOptions {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == ShieldOptions::default()
    }
}

/// The proxy beside one endpoint, in the order in which a request meets its parts: rate limit, admission control, adaptive concurrency.
#[derive(Debug)]
pub struct Shield {
    bucket: Option<local_rate_limit::Bucket>,
    admission: Option<admission_control::Controller>,
    concurrency: Option<adaptive_concurrency::Controller>,
    rng: Rng,
}

impl Shield {
    /// One that starts at `now`.
    pub fn new(options: &ShieldOptions, rng: Rng, now: Time) -> Shield {
        Shield {
            bucket: options
                .local_rate_limit
                .as_ref()
                .map(|options| local_rate_limit::Bucket::new(options, now)),
            admission: options.admission_control.as_ref().map(admission_control::Controller::new),
            concurrency: options
                .adaptive_concurrency
                .as_ref()
                .map(|options| adaptive_concurrency::Controller::new(options, now)),
            rng,
        }
    }

    /// Its endpoint starts anew, and it with it.
    pub fn restart(&mut self, options: &ShieldOptions, now: Time) {
        *self = Shield::new(options, self.rng.clone(), now);
    }

    /// Whether a request may go on to the queue.
    ///
    /// # Errors
    /// The status of the answer to one that may not.
    pub fn admit(&mut self, options: &ShieldOptions, now: Time) -> Result<(), u16> {
        if let (Some(bucket), Some(options)) = (&mut self.bucket, &options.local_rate_limit)
            && !bucket.admits(options, now)
        {
            return Err(options.status());
        }
        if let (Some(admission), Some(options)) = (&mut self.admission, &options.admission_control)
            && !admission.admits(options, now, &mut self.rng)
        {
            return Err(503);
        }
        if let (Some(concurrency), Some(settings)) = (&mut self.concurrency, &options.adaptive_concurrency)
            && settings.enabled
            && !concurrency.admits(settings, now)
        {
            // The filter before it sees this answer too.
            if let (Some(admission), Some(options)) = (&mut self.admission, &options.admission_control) {
                admission.record(options, options.is_success(settings.status()), now);
            }
            return Err(settings.status());
        }
        Ok(())
    }

    /// A request that arrived at `arrived` and was let through has ended, with a status or without an answer.
    pub fn on_left(&mut self, options: &ShieldOptions, arrived: Time, status: Option<u16>, now: Time) {
        if let (Some(concurrency), Some(options)) = (&mut self.concurrency, &options.adaptive_concurrency)
            && options.enabled
        {
            concurrency.ended(options, arrived, status.is_some(), now, &mut self.rng);
        }
        if let (Some(admission), Some(options)) = (&mut self.admission, &options.admission_control) {
            let success = status.is_some_and(|status| options.is_success(status));
            admission.record(options, success, now);
        }
    }
}
