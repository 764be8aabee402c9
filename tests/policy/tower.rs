//! What shows that the balancers of `tower` are the real ones.

use std::collections::BTreeMap;

use meshsim::policy::balancer::common::PeakEwma;
use meshsim::time::{Duration, Time};
use serde_json::json;

use super::crowd::{self, Oracle};
use super::evidence::Evidence;
use super::vectors::{cases, close, f64_of, list, u64_of};

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "tower/peak_ewma",
        against: "Values of tower's own tests",
        check: tower_values,
    },
    Evidence {
        policy: "tower/peak_ewma",
        against: "Loads computed from its formula",
        check: || crowd::duel("tower/peak_ewma", &json!({}), || Box::new(PeakEwmaByFormula::new(1.0))),
    },
    Evidence {
        policy: "tower/peak_ewma",
        against: "The share that theory gives",
        check: || crowd::never_the_busy_one("tower/peak_ewma"),
    },
    Evidence {
        policy: "tower/pending_requests",
        against: "The stationary distribution of two servers",
        check: || crowd::check_two_servers("tower/pending_requests", &json!({}), crowd::shorter),
    },
    Evidence {
        policy: "tower/pending_requests",
        against: "The share that theory gives",
        check: || crowd::never_the_busy_one("tower/pending_requests"),
    },
];

/// The estimator itself, for Linkerd too.
pub fn tower_values() -> String {
    let mut compared = 0;
    let cases = cases("tower/peak_ewma/vectors.json");
    for (name, input, expected) in &cases {
        let decay = f64_of(&input["decay_ms"]) * 1e6;
        let mut estimate = PeakEwma::new(f64_of(&input["default_rtt_ms"]) * 1e6, Time::ZERO);
        let mut started = BTreeMap::new();
        let mut expected = list(expected).iter();
        for event in list(&input["events"]) {
            let now = Time(u64_of(&event[0]) * 1_000_000);
            match event[1].as_str() {
                Some("start") => drop(started.insert(event[2].to_string(), now)),
                Some("end") => {
                    let start = started.remove(&event[2].to_string()).expect("it was started");
                    estimate.observe(now.since(start), decay, now);
                }
                _ => {
                    let expected = f64_of(&expected.next().expect("a load for each")["load_ms"]);
                    let load = estimate.load(started.len() as u32, decay, now) / 1e6;
                    assert!(close(load, expected, 1e-9), "{name}: {load} for {expected}");
                    compared += 1;
                }
            }
        }
        assert!(expected.next().is_none(), "{name}");
    }
    format!("{} cases, {compared} loads, equal to 1e-9", cases.len())
}

/// Loads in seconds, with tower's two quirks: a peak is compared with the estimate as it was last written, and reading writes it.
pub struct PeakEwmaByFormula {
    rtt: [f64; 2],
    written: [f64; 2],
}

const DECAY: f64 = 10.0;

impl PeakEwmaByFormula {
    pub fn new(default_rtt: f64) -> PeakEwmaByFormula {
        PeakEwmaByFormula {
            rtt: [default_rtt; 2],
            written: [0.0; 2],
        }
    }

    fn write(&mut self, i: usize, latency: f64, now: Time) {
        let now = now.as_secs_f64();
        if latency > self.rtt[i] {
            self.rtt[i] = latency;
        } else {
            let left = libm::exp((self.written[i] - now) / DECAY);
            self.rtt[i] = latency + (self.rtt[i] - latency) * left;
        }
        self.written[i] = now;
    }
}

impl Oracle for PeakEwmaByFormula {
    fn load(&mut self, endpoint: usize, pending: u32, now: Time) -> f64 {
        self.write(endpoint, 0.0, now);
        self.rtt[endpoint] * f64::from(pending + 1)
    }

    fn ended(&mut self, endpoint: usize, _: u16, latency: Duration, now: Time) {
        self.write(endpoint, latency.as_secs_f64(), now);
    }
}
