//! Outlier detection: endpoints that fail more than they should are taken out for a while, by what their answers say.

mod config;
pub mod envoy;
mod envoy_options;
pub mod grpc;
mod grpc_options;
pub mod haproxy;
mod rates;
mod whole_number;

pub use config::Config;
pub use envoy_options::Options as EnvoyOptions;
pub use grpc_options::{FailurePercentageEjection, Options as GrpcOptions, SuccessRateEjection};
pub use haproxy::Options as HaproxyOptions;
pub use rates::success_rate_threshold;

use crate::policy::watch::Decisions;
use crate::policy::{EndpointIndex, Outcome};
use crate::random::Rng;
use crate::time::Time;

/// The detector of one caller and upstream.
#[derive(Debug)]
pub(crate) enum Detector {
    Envoy(envoy::Detector),
    Grpc(grpc::Detector),
    Haproxy(haproxy::Detector),
}

/// Passes a call on to whichever it is.
macro_rules! each {
    ($detector:expr, $of:ident => $call:expr) => {
        match $detector {
            Detector::Envoy($of) => $call,
            Detector::Grpc($of) => $call,
            Detector::Haproxy($of) => $call,
        }
    };
}

impl Detector {
    pub fn new(config: &Config, now: Time) -> Detector {
        match config {
            Config::Envoy(options) => Detector::Envoy(envoy::Detector::new(options, now)),
            Config::Grpc(options) => Detector::Grpc(grpc::Detector::new(options, now)),
            Config::Haproxy(options) => Detector::Haproxy(haproxy::Detector::new(options)),
        }
    }

    /// The first sweep comes after this share of the interval.
    pub fn set_phase(&mut self, share: f64, now: Time) {
        match self {
            Detector::Envoy(detector) => detector.set_phase(share, now),
            Detector::Grpc(detector) => detector.set_phase(share, now),
            Detector::Haproxy(_) => {}
        }
    }

    /// From now on attempts that time out or break are known to have had a connection.
    pub fn expect_connections(&mut self) {
        if let Detector::Envoy(detector) = self {
            detector.expect_connections();
        }
    }

    pub fn on_added(&mut self, endpoint: EndpointIndex) {
        each!(self, detector => detector.on_added(endpoint));
    }

    pub fn on_removed(&mut self, endpoint: EndpointIndex) {
        each!(self, detector => detector.on_removed(endpoint));
    }

    /// An attempt has ended.
    #[inline]
    pub fn on_finished(
        &mut self,
        endpoint: EndpointIndex,
        outcome: &Outcome,
        now: Time,
        rng: &mut Rng,
        decisions: &mut Decisions,
    ) {
        match self {
            Detector::Envoy(detector) => detector.on_finished(endpoint, outcome.answer, now, rng, decisions),
            Detector::Grpc(detector) => detector.on_finished(endpoint, outcome.answer),
            Detector::Haproxy(detector) => detector.on_finished(endpoint, outcome.answer, decisions),
        }
    }

    /// An active health check says that an endpoint is well.
    pub fn on_check_passed(&mut self, endpoint: EndpointIndex, now: Time, decisions: &mut Decisions) {
        match self {
            Detector::Envoy(detector) => detector.on_check_passed(endpoint, now, decisions),
            Detector::Grpc(_) => {}
            Detector::Haproxy(detector) => detector.on_check_passed(endpoint, decisions),
        }
    }

    /// Whether a check that passes at an endpoint changes nothing here, until the endpoint is taken out.
    pub fn is_indifferent_to_checks(&self, endpoint: EndpointIndex) -> bool {
        match self {
            Detector::Envoy(detector) => !detector.is_ejected(endpoint),
            Detector::Grpc(_) => true,
            // Its counter rises with each.
            Detector::Haproxy(_) => false,
        }
    }

    /// When the next sweep is due.
    #[inline]
    pub fn next_timer(&self) -> Time {
        match self {
            Detector::Envoy(detector) => detector.next_timer(),
            Detector::Grpc(detector) => detector.next_timer(),
            Detector::Haproxy(_) => Time::MAX,
        }
    }

    /// A sweep.
    pub fn on_timer(&mut self, now: Time, rng: &mut Rng, decisions: &mut Decisions) {
        match self {
            Detector::Envoy(detector) => detector.on_timer(now, rng, decisions),
            Detector::Grpc(detector) => detector.on_timer(now, rng, decisions),
            Detector::Haproxy(_) => {}
        }
    }
}
