//! What a caller itself finds out about its endpoints: who is taken out of balancing, by whom, and who comes back.
//!
//! Several watchers look at the same endpoints, each with a say of its own: an endpoint is used while none of them has it out. What
//! discovery says of its health is kept beside that.

use std::collections::VecDeque;

use crate::policy::failure_accrual::{Accrual, Config};
use crate::policy::health_check::{self, Checker};
use crate::policy::outlier_detection::Detector;
use crate::policy::{ClusterConfig, EndpointIndex, Health, Outcome};
use crate::random::{Key, Rng};
use crate::time::{Duration, Time};

/// Who has a say about an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Watcher {
    /// Outlier detection: passive, by rates and rows of failures.
    OutlierDetection = 1,
    /// Failure accrual: Linkerd's and Finagle's breakers of single endpoints.
    FailureAccrual = 2,
    /// Active health checks.
    HealthCheck = 4,
}

/// Why an endpoint is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// So many answers with 5xx, one after the other.
    Consecutive5xx,
    /// So many answers with 502, 503 or 504, one after the other.
    ConsecutiveGatewayFailure,
    /// So many failures without an answer, one after the other.
    ConsecutiveLocalOriginFailure,
    /// A share of successes below that of the others.
    SuccessRate,
    /// The same of failures without an answer.
    SuccessRateLocalOrigin,
    /// A share of failures above a limit.
    FailurePercentage,
    /// The same of failures without an answer.
    FailurePercentageLocalOrigin,
    /// Failures in a row, where a breaker counts them.
    ConsecutiveFailures,
    /// Active health checks failed.
    HealthCheck,
}

impl Reason {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Consecutive5xx => "consecutive_5xx",
            Reason::ConsecutiveGatewayFailure => "consecutive_gateway_failure",
            Reason::ConsecutiveLocalOriginFailure => "consecutive_local_origin_failure",
            Reason::SuccessRate => "success_rate",
            Reason::SuccessRateLocalOrigin => "success_rate_local_origin",
            Reason::FailurePercentage => "failure_percentage",
            Reason::FailurePercentageLocalOrigin => "failure_percentage_local_origin",
            Reason::ConsecutiveFailures => "consecutive_failures",
            Reason::HealthCheck => "health_check",
        }
    }
}

/// What a caller has just decided about an endpoint; a driver may show it, count it, or drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// About whom.
    pub endpoint: EndpointIndex,
    /// By whom.
    pub watcher: Watcher,
    /// What.
    pub decision: Decision,
}

/// What becomes of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is taken out.
    Out {
        /// Why.
        reason: Reason,
        /// The first moment at which it may come back; `None`: that depends on what happens.
        until: Option<Time>,
    },
    /// It would have been taken out, but was not: the limit of how many may be out is reached, or this is not enforced.
    Spared {
        /// Why it would have been.
        reason: Reason,
    },
    /// It is used again.
    In,
}

/// The decisions of watchers, in the order in which they were made.
pub(crate) type Decisions = VecDeque<Notice>;

/// All that watches the endpoints of one caller and upstream.
#[derive(Debug)]
pub(crate) struct Watch {
    // By endpoint.
    discovered: Vec<Health>,
    // By endpoint: a bit for each watcher that has it out.
    out: Vec<u8>,
    detector: Option<Detector>,
    accrual: Option<Accrual>,
    // What those are that failure accrual alone has out.
    shut: Health,
    checker: Option<Checker>,
    decisions: Decisions,
    notices: VecDeque<Notice>,
    merge: MergeWindow,
    rng: Rng,
}

/// Changes that come soon after others, and wait to be obeyed with the next: Envoy's `update_merge_window`, in
/// `ClusterManagerImpl::scheduleUpdate` (`source/common/upstream/cluster_manager_impl.cc`).
#[derive(Debug)]
struct MergeWindow {
    // Zero: nothing waits.
    length: Duration,
    last: Option<Time>,
    waiting: Vec<EndpointIndex>,
    over_at: Time,
}

impl MergeWindow {
    /// Whether a change waits.
    fn holds_back(&mut self, endpoint: EndpointIndex, now: Time) -> bool {
        if self.length == Duration::ZERO {
            return false;
        }
        if let Some(last) = self.last
            && now.since(last) <= self.length
        {
            self.waiting.push(endpoint);
            self.over_at = last + self.length;
            return true;
        }
        self.last = Some(now);
        false
    }
}

impl Watch {
    /// What the configuration asks for; `None`: nothing.
    pub fn new(config: &ClusterConfig, rng: &mut Rng, now: Time) -> Option<Box<Watch>> {
        let detector = config.outlier_detection.as_ref();
        let accrual = config.failure_accrual.as_ref();
        let checker = config.health_check.as_ref();
        if detector.is_none() && accrual.is_none() && checker.is_none() {
            return None;
        }
        // Finagle's balancers know endpoints that should get nothing but are there.
        let seed = rng.next_u64();
        let is_finagles = accrual.is_some_and(Config::is_finagles) && config.balancer.name().starts_with("finagle/");
        Some(Box::new(Watch {
            shut: if is_finagles { Health::Degraded } else { Health::Unhealthy },
            discovered: Vec::new(),
            out: Vec::new(),
            detector: detector.map(|config| Detector::new(config, now)),
            accrual: accrual.map(Accrual::new),
            checker: checker.map(|options| Checker::new(options, Key(seed), now)),
            decisions: Decisions::new(),
            notices: VecDeque::new(),
            merge: MergeWindow {
                length: config.candidates.update_merge_window,
                last: None,
                waiting: Vec::new(),
                over_at: Time::MAX,
            },
            rng: Rng::new(seed),
        }))
    }

    /// Periodic work begins after this share of its period, from 0 to 1; at once for 0. To be called once, at the start.
    pub fn set_phase(&mut self, share: f64, now: Time) {
        if let Some(detector) = &mut self.detector {
            detector.set_phase(share, now);
        }
        if let Some(checker) = &mut self.checker {
            checker.set_phase(share, now);
        }
    }

    /// From now on attempts that time out or break are known to have had a connection.
    pub fn expect_connections(&mut self) {
        if let Some(detector) = &mut self.detector {
            detector.expect_connections();
        }
    }

    /// An endpoint came to the list, or came back to it.
    pub fn on_added(&mut self, endpoint: EndpointIndex, discovered: Health, now: Time) {
        if self.out.len() <= endpoint.at() {
            self.out.resize(endpoint.at() + 1, 0);
            self.discovered.resize(endpoint.at() + 1, Health::Healthy);
        }
        self.discovered[endpoint.at()] = discovered;
        self.out[endpoint.at()] = 0;
        if let Some(detector) = &mut self.detector {
            detector.on_added(endpoint);
        }
        if let Some(accrual) = &mut self.accrual {
            accrual.on_added(endpoint, now);
        }
        if let Some(checker) = &mut self.checker
            && checker.on_added(endpoint, now, &mut self.rng)
        {
            self.out[endpoint.at()] = Watcher::HealthCheck as u8;
        }
    }

    /// An endpoint left the list.
    pub fn on_removed(&mut self, endpoint: EndpointIndex) {
        self.out[endpoint.at()] = 0;
        if let Some(detector) = &mut self.detector {
            detector.on_removed(endpoint);
        }
        if let Some(accrual) = &mut self.accrual {
            accrual.on_removed(endpoint);
        }
        if let Some(checker) = &mut self.checker {
            checker.on_removed(endpoint);
        }
    }

    /// Discovery says something else of an endpoint's health.
    pub fn on_discovered(&mut self, endpoint: EndpointIndex, health: Health) {
        self.discovered[endpoint.at()] = health;
    }

    /// What discovery says of an endpoint.
    pub fn discovered(&self, endpoint: EndpointIndex) -> Health {
        self.discovered[endpoint.at()]
    }

    /// What the caller is to believe of an endpoint.
    pub fn health(&self, endpoint: EndpointIndex) -> Health {
        const ACCRUAL: u8 = Watcher::FailureAccrual as u8;
        let discovered = self.discovered[endpoint.at()];
        let is_awaited = self.accrual.as_ref().is_some_and(|accrual| accrual.is_awaited(endpoint));
        let out = self.out[endpoint.at()] | if is_awaited { ACCRUAL } else { 0 };
        match out {
            0 => discovered,
            _ if discovered == Health::Excluded => Health::Excluded,
            _ if self.checker.as_ref().is_some_and(|checker| checker.is_excluded(endpoint)) => Health::Excluded,
            ACCRUAL if discovered != Health::Unhealthy => self.shut,
            _ => Health::Unhealthy,
        }
    }

    /// An attempt was placed.
    #[inline]
    pub fn on_started(&mut self, endpoint: EndpointIndex, now: Time) {
        if let Some(accrual) = &mut self.accrual {
            accrual.on_started(endpoint);
        }
        if let Some(checker) = &mut self.checker {
            checker.on_traffic(now);
        }
    }

    /// An attempt has ended.
    #[inline]
    pub fn on_finished(&mut self, endpoint: EndpointIndex, outcome: &Outcome, now: Time) {
        if let Some(detector) = &mut self.detector {
            detector.on_finished(endpoint, outcome, now, &mut self.rng, &mut self.decisions);
        }
        if let Some(accrual) = &mut self.accrual {
            accrual.on_finished(endpoint, outcome, now, &mut self.rng, &mut self.decisions);
        }
    }

    /// An active health check has ended.
    pub fn on_checked(&mut self, endpoint: EndpointIndex, result: health_check::Finding, now: Time) {
        let Some(checker) = &mut self.checker else { return };
        let passed = checker.on_checked(endpoint, result, now, &mut self.decisions);
        // Who is still out by its checks is not well yet.
        if passed
            && !self.fails_checks(endpoint)
            && let Some(detector) = &mut self.detector
        {
            detector.on_check_passed(endpoint, now, &mut self.decisions);
        }
    }

    /// Whether health checks have an endpoint out, or are about to.
    fn fails_checks(&self, endpoint: EndpointIndex) -> bool {
        let is_theirs = |notice: &&Notice| notice.endpoint == endpoint && notice.watcher == Watcher::HealthCheck;
        match self.decisions.iter().rev().find(is_theirs) {
            Some(notice) => matches!(notice.decision, Decision::Out { .. }),
            None => self.out[endpoint.at()] & Watcher::HealthCheck as u8 != 0,
        }
    }

    /// An endpoint that is to be checked now.
    #[inline]
    pub fn next_check(&mut self, now: Time) -> Option<(EndpointIndex, Duration)> {
        self.checker.as_mut().and_then(|checker| checker.next_check(now))
    }

    /// How many endpoints a watcher has out.
    pub fn count_out(&self, watcher: Watcher) -> u32 {
        self.out.iter().filter(|&&out| out & watcher as u8 != 0).count() as u32
    }

    /// What sends the checks.
    #[inline]
    pub fn checker(&self) -> Option<&Checker> {
        self.checker.as_ref()
    }

    /// Leaves the checks of an endpoint to the driver, if all that pass would change nothing: when the next is due.
    pub fn park_check(&mut self, endpoint: EndpointIndex) -> Option<Time> {
        let is_indifferent = |detector: &Detector| detector.is_indifferent_to_checks(endpoint);
        match self.detector.as_ref().is_none_or(is_indifferent) {
            true => self.checker.as_mut()?.park(endpoint),
            false => None,
        }
    }

    /// The driver gives the checks of an endpoint back.
    pub fn unpark_check(&mut self, endpoint: EndpointIndex, ended: u32, due: Option<Time>) {
        if let Some(checker) = &mut self.checker {
            checker.unpark(endpoint, ended, due);
        }
    }

    /// When [`Watch::on_timer`] is to be called next; [`Time::MAX`]: never.
    #[inline]
    pub fn next_timer(&self) -> Time {
        let checker = self.checker.as_ref().map_or(Time::MAX, Checker::next_timer);
        self.next_timer_but_checks().min(checker)
    }

    /// The same without health checks.
    #[inline]
    pub fn next_timer_but_checks(&self) -> Time {
        let detector = self.detector.as_ref().map_or(Time::MAX, Detector::next_timer);
        let accrual = self.accrual.as_ref().map_or(Time::MAX, Accrual::next_timer);
        detector.min(accrual).min(self.merge.over_at)
    }

    /// Time has come to [`Watch::next_timer`], or past it.
    pub fn on_timer(&mut self, now: Time) {
        if let Some(detector) = &mut self.detector
            && detector.next_timer() <= now
        {
            detector.on_timer(now, &mut self.rng, &mut self.decisions);
        }
        if let Some(accrual) = &mut self.accrual
            && accrual.next_timer() <= now
        {
            accrual.on_timer(now, &mut self.decisions);
        }
    }

    /// The next decision to be obeyed: it is taken down, and given as whom it is about.
    #[inline]
    pub fn next_decision(&mut self) -> Option<EndpointIndex> {
        let Some(notice) = self.decisions.pop_front() else {
            return self.accrual.as_mut().and_then(Accrual::next_changed);
        };
        let out = &mut self.out[notice.endpoint.at()];
        match notice.decision {
            Decision::Out { .. } => *out |= notice.watcher as u8,
            Decision::In => *out &= !(notice.watcher as u8),
            Decision::Spared { .. } => {}
        }
        self.notices.push_back(notice);
        Some(notice.endpoint)
    }

    /// Whether a change of what is believed of an endpoint is to wait.
    #[inline]
    pub fn holds_back(&mut self, endpoint: EndpointIndex, now: Time) -> bool {
        self.merge.holds_back(endpoint, now)
    }

    /// A change that has waited long enough.
    #[inline]
    pub fn next_waiting(&mut self, now: Time) -> Option<EndpointIndex> {
        if self.merge.over_at > now {
            return None;
        }
        let next = self.merge.waiting.pop();
        if next.is_none() {
            self.merge.over_at = Time::MAX;
            self.merge.last = Some(now);
        }
        next
    }

    /// What was decided, the oldest first.
    #[inline]
    pub fn next_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }
}
