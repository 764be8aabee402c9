//! The connections of a gRPC channel, one for each endpoint, as far as the ends of calls tell of them.
//!
//! A real channel connects by itself, and its pickers hold the endpoints that are connected. Nobody connects here but for a call, so
//! one call finds out whether an endpoint can be reached again: at once after a connection broke, and when the back-off has passed
//! after a connection could not be made (grpc/grpc-go `internal/backoff/backoff.go`).

use crate::math;
use crate::policy::{Answer, CandidateSet, EndpointIndex};
use crate::random::Rng;
use crate::time::{Duration, Time};

/// The pause after the first failure to connect, in seconds.
const BASE_DELAY: f64 = 1.0;
/// How much longer each further pause is.
const MULTIPLIER: f64 = 1.6;
/// By what share a pause varies, but for the first one.
const JITTER: f64 = 0.2;
/// The longest pause before it varies, in seconds.
const MAX_DELAY: f64 = 120.0;

/// What is known of the connection to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is there, or nothing speaks against it.
    Connected,
    /// It is not, and the next call may make it.
    Idle,
    /// One call is making it.
    Connecting,
    /// It could not be made, and is not tried before this time.
    Failed(Time),
}

#[derive(Clone, Copy, Debug)]
struct Subchannel {
    state: State,
    // In a row, to make the connection.
    failures: u8,
}

const CONNECTED: Subchannel = Subchannel {
    state: State::Connected,
    failures: 0,
};

/// One caller's subchannels.
#[derive(Clone, Debug)]
pub(in crate::policy::balancer) struct Subchannels {
    by_endpoint: Vec<Subchannel>,
    // The earliest end of a back-off.
    due: Time,
    rng: Rng,
}

/// What the end of a call changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy::balancer) enum Change {
    None,
    /// The endpoint is connected again.
    Connected,
    /// The connection broke, or could not be made.
    Lost,
}

impl Subchannels {
    /// None yet.
    pub fn new() -> Subchannels {
        Subchannels {
            by_endpoint: Vec::new(),
            due: Time::MAX,
            rng: Rng::new(0),
        }
    }

    /// A caller begins.
    pub fn start(&mut self, rng: &mut Rng) {
        self.rng = Rng::new(rng.next_u64());
    }

    /// A new endpoint.
    pub fn on_added(&mut self, endpoint: EndpointIndex) {
        if endpoint.at() >= self.by_endpoint.len() {
            self.by_endpoint.resize(endpoint.at() + 1, CONNECTED);
        }
        self.by_endpoint[endpoint.at()] = CONNECTED;
    }

    /// Ends the back-offs that have passed; whether there was one.
    #[inline]
    pub fn poll(&mut self, now: Time) -> bool {
        now >= self.due && self.end_back_offs(now)
    }

    #[cold]
    fn end_back_offs(&mut self, now: Time) -> bool {
        let mut ended = false;
        self.due = Time::MAX;
        for subchannel in &mut self.by_endpoint {
            if let State::Failed(until) = subchannel.state {
                if until <= now {
                    subchannel.state = State::Idle;
                    ended = true;
                } else {
                    self.due = self.due.min(until);
                }
            }
        }
        ended
    }

    /// Whether a call may be sent there: it is connected, or this call is the one that connects.
    #[inline]
    pub fn is_ready(&self, endpoint: EndpointIndex) -> bool {
        matches!(self.by_endpoint[endpoint.at()].state, State::Connected | State::Idle)
    }

    /// Whether a connection could not be made, and is not tried now.
    #[inline]
    pub fn has_failed(&self, endpoint: EndpointIndex) -> bool {
        matches!(self.by_endpoint[endpoint.at()].state, State::Failed(_))
    }

    /// A call is sent there; whether this changes who is ready.
    #[inline]
    pub fn on_started(&mut self, endpoint: EndpointIndex) -> bool {
        let state = &mut self.by_endpoint[endpoint.at()].state;
        let connects = *state == State::Idle;
        if connects {
            *state = State::Connecting;
        }
        connects
    }

    /// A call ended there.
    #[inline]
    pub fn on_finished(&mut self, endpoint: EndpointIndex, answer: Answer, now: Time) -> Change {
        let subchannel = &mut self.by_endpoint[endpoint.at()];
        match (answer, subchannel.state) {
            (Answer::Status(_), State::Connected) => Change::None,
            (Answer::Status(_), _) => {
                *subchannel = CONNECTED;
                Change::Connected
            }
            (Answer::ConnectFailure, State::Failed(_)) | (Answer::Reset, State::Failed(_) | State::Idle) => Change::None,
            (Answer::ConnectFailure, _) => {
                self.fail(endpoint, now);
                Change::Lost
            }
            (Answer::Reset, _) => {
                subchannel.state = State::Idle;
                Change::Lost
            }
            // Nobody knows whether there is a connection.
            (_, State::Connecting) => {
                subchannel.state = State::Idle;
                Change::Lost
            }
            _ => Change::None,
        }
    }

    #[cold]
    fn fail(&mut self, endpoint: EndpointIndex, now: Time) {
        let subchannel = &mut self.by_endpoint[endpoint.at()];
        let until = now + back_off(subchannel.failures, &mut self.rng);
        subchannel.state = State::Failed(until);
        subchannel.failures = subchannel.failures.saturating_add(1);
        self.due = self.due.min(until);
    }

    /// Forgets all failures, as pick_first does when it has a connection.
    #[inline]
    pub fn forget_failures(&mut self) {
        if self.due < Time::MAX {
            self.by_endpoint.fill(CONNECTED);
            self.due = Time::MAX;
        }
    }
}

fn back_off(failures: u8, rng: &mut Rng) -> Duration {
    if failures == 0 {
        return Duration::from_secs_f64(BASE_DELAY);
    }
    let delay = (BASE_DELAY * math::pow(MULTIPLIER, f64::from(failures))).min(MAX_DELAY);
    Duration::from_secs_f64(delay * (1.0 + JITTER * (2.0 * rng.unit() - 1.0)))
}

/// Those of a candidate set that are ready: what a picker of gRPC holds.
#[derive(Clone, Debug, Default)]
pub(in crate::policy::balancer) struct ReadyList {
    is_known: bool,
    all: Vec<EndpointIndex>,
    ready: Vec<EndpointIndex>,
}

impl ReadyList {
    /// The set is no longer what it was.
    pub fn forget(&mut self) {
        self.is_known = false;
    }

    /// Whether it has been filled since the set last changed.
    #[inline]
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// Takes over a set.
    pub fn fill(&mut self, set: CandidateSet<'_>, subchannels: &Subchannels) {
        self.is_known = true;
        self.all.clear();
        self.all.extend(set.iter());
        self.refresh(subchannels);
    }

    /// The connections are no longer what they were.
    pub fn refresh(&mut self, subchannels: &Subchannels) {
        self.ready.clear();
        self.ready
            .extend(self.all.iter().copied().filter(|&endpoint| subchannels.is_ready(endpoint)));
    }

    /// Those ready, in the order of the endpoint list.
    #[inline]
    pub fn ready(&self) -> &[EndpointIndex] {
        &self.ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: EndpointIndex = EndpointIndex(0);

    fn one() -> Subchannels {
        let mut subchannels = Subchannels::new();
        subchannels.on_added(ENDPOINT);
        subchannels
    }

    #[test]
    fn one_call_finds_out_after_a_connection_broke() {
        let mut subchannels = one();
        assert_eq!(subchannels.on_finished(ENDPOINT, Answer::Reset, Time(5)), Change::Lost);
        assert!(subchannels.is_ready(ENDPOINT) && subchannels.on_started(ENDPOINT));
        assert!(!subchannels.is_ready(ENDPOINT) && !subchannels.has_failed(ENDPOINT));
        assert_eq!(
            subchannels.on_finished(ENDPOINT, Answer::Status(500), Time(9)),
            Change::Connected
        );
        assert!(subchannels.is_ready(ENDPOINT) && !subchannels.on_started(ENDPOINT));
    }

    #[test]
    fn pauses_grow_by_the_multiplier_up_to_two_minutes() {
        // internal/backoff/backoff.go: the first pause is the base delay itself, later ones vary by 20 %.
        let mut subchannels = one();
        let mut now = Time::ZERO;
        for failure in 0..20 {
            subchannels.on_finished(ENDPOINT, Answer::ConnectFailure, now);
            assert!(subchannels.has_failed(ENDPOINT), "{failure}");
            let pause = subchannels.due.since(now).as_secs_f64();
            let mean = math::pow(1.6, f64::from(failure)).min(120.0);
            let jitter = if failure == 0 { 0.0 } else { 0.2 };
            assert!(
                (mean * (1.0 - jitter)..=mean * (1.0 + jitter) + 1e-9).contains(&pause),
                "{failure}: {pause}"
            );
            now = subchannels.due;
            assert!(!subchannels.poll(Time(now.0 - 1)) && subchannels.poll(now));
            assert!(subchannels.on_started(ENDPOINT), "{failure}");
        }
        subchannels.on_finished(ENDPOINT, Answer::Status(200), now);
        subchannels.on_finished(ENDPOINT, Answer::ConnectFailure, now);
        assert_eq!(subchannels.due.since(now), Duration::from_secs(1));
    }
}
