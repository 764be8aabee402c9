//! Control planes that push: Istio's debounce and its queue of proxies, Linkerd's streams.
//!
//! After `pilot/pkg/xds/discovery.go`, `pushqueue.go` and `pilot/pkg/features/tuning.go` of istio/istio, and
//! `controller/api/destination` of linkerd/linkerd2.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::Deserialize;

use super::kubernetes;
use crate::random::DistributionConfig;
use crate::time::{Duration, Time};

/// What a user may write about Istio, in the words of its `PILOT_…` settings.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "XdsDiscovery")]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Changes are pushed after so much quiet (`PILOT_DEBOUNCE_AFTER`); 100ms if absent.
    pub debounce_after: Duration,
    /// And at the latest so long after the first of them (`PILOT_DEBOUNCE_MAX`); 10s if absent.
    pub debounce_max: Duration,
    /// How many proxies are pushed to at a time (`PILOT_PUSH_THROTTLE`); 20 if absent, which is what Istio takes with one core: 15 and 5 for
    /// each, at most 100.
    #[schemars(extend("minimum" = 1))]
    pub push_throttle: u32,
    /// How long a push to one proxy takes, its acknowledgement included; 5ms if absent.
    pub push_time: DistributionConfig,
    /// The pods.
    pub kubernetes: kubernetes::Options,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            debounce_after: Duration::from_millis(100),
            debounce_max: Duration::from_secs(10),
            push_throttle: 20,
            push_time: DistributionConfig::constant(Duration::from_millis(5)),
            kubernetes: kubernetes::Options::default(),
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.push_throttle == 0 {
            return Err("`push_throttle` must be at least 1".to_string());
        }
        self.kubernetes.check()
    }
}

/// What a user may write about Linkerd.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "LinkerdDiscovery")]
#[serde(default, deny_unknown_fields)]
pub struct Linkerd {
    /// From the controller to a proxy; 5ms if absent.
    pub stream_delay: DistributionConfig,
    /// The pods.
    pub kubernetes: kubernetes::Options,
}

impl Default for Linkerd {
    fn default() -> Linkerd {
        Linkerd {
            stream_delay: DistributionConfig::constant(Duration::from_millis(5)),
            kubernetes: kubernetes::Options::default(),
        }
    }
}

/// What is to become of the changes that were gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Push them.
    Push,
    /// Look again at this time.
    Again(Time),
    /// Nothing, until something else happens.
    Wait,
}

/// Gathers changes: pushes them after some quiet, or when the first of them is too old.
#[derive(Clone, Debug)]
pub struct Debounce {
    after: Duration,
    max: Duration,
    // The first change since the last push, and the last; `None`: there is none.
    batch: Option<(Time, Time)>,
    is_pushing: bool,
}

impl Debounce {
    /// Nothing gathered.
    pub fn new(after: Duration, max: Duration) -> Debounce {
        Debounce {
            after,
            max,
            batch: None,
            is_pushing: false,
        }
    }

    /// From now on changes wait for so long.
    pub fn set(&mut self, after: Duration, max: Duration) {
        self.after = after;
        self.max = max;
    }

    /// Something has changed: when to look; [`Step::Wait`]: that is settled already.
    pub fn on_change(&mut self, now: Time) -> Step {
        match &mut self.batch {
            Some((_, last)) => {
                *last = now;
                Step::Wait
            }
            None => {
                self.batch = Some((now, now));
                Step::Again(now + self.after)
            }
        }
    }

    /// Time to look.
    pub fn on_timer(&mut self, now: Time) -> Step {
        if self.is_pushing {
            return Step::Wait;
        }
        let Some((first, last)) = self.batch else {
            return Step::Wait;
        };
        if now.since(first) >= self.max || now.since(last) >= self.after {
            self.batch = None;
            self.is_pushing = true;
            return Step::Push;
        }
        Step::Again(last + self.after)
    }

    /// The push has been computed and is with the queue.
    pub fn on_pushed(&mut self, now: Time) -> Step {
        self.is_pushing = false;
        self.on_timer(now)
    }
}

/// The proxies that wait for a push: each once, so many of them served at a time.
#[derive(Clone, Debug)]
pub struct PushQueue {
    throttle: u32,
    under_way: u32,
    waiting: VecDeque<u32>,
    // By proxy.
    states: Vec<Waiting>,
}

/// What a proxy waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Nothing,
    /// Its turn.
    Turn,
    /// The end of its push.
    End,
    /// The end of its push, and then another one.
    EndAndTurn,
}

impl PushQueue {
    /// An empty queue.
    pub fn new(throttle: u32) -> PushQueue {
        PushQueue {
            throttle,
            under_way: 0,
            waiting: VecDeque::new(),
            states: Vec::new(),
        }
    }

    /// A proxy is to be pushed to; what it waits for already is merged with it.
    pub fn add(&mut self, proxy: u32) {
        if self.states.len() <= proxy as usize {
            self.states.resize(proxy as usize + 1, Waiting::Nothing);
        }
        let state = &mut self.states[proxy as usize];
        *state = match *state {
            Waiting::Nothing => {
                self.waiting.push_back(proxy);
                Waiting::Turn
            }
            Waiting::Turn => Waiting::Turn,
            Waiting::End | Waiting::EndAndTurn => Waiting::EndAndTurn,
        };
    }

    /// The next one to be pushed to now, if there is one and room for it.
    pub fn start_next(&mut self) -> Option<u32> {
        if self.under_way >= self.throttle {
            return None;
        }
        let proxy = self.waiting.pop_front()?;
        self.states[proxy as usize] = Waiting::End;
        self.under_way += 1;
        Some(proxy)
    }

    /// A push has ended.
    pub fn on_done(&mut self, proxy: u32) {
        self.under_way -= 1;
        let again = self.states[proxy as usize] == Waiting::EndAndTurn;
        self.states[proxy as usize] = Waiting::Nothing;
        if again {
            self.add(proxy);
        }
    }

    /// All that wait are forgotten; what is under way ends all the same.
    pub fn clear(&mut self) {
        for proxy in self.waiting.drain(..) {
            self.states[proxy as usize] = Waiting::Nothing;
        }
        for state in &mut self.states {
            if *state == Waiting::EndAndTurn {
                *state = Waiting::End;
            }
        }
    }
}
