//! What shows that the balancers of `linkerd` are the real ones.

use meshsim::policy::balancer::linkerd::penalty_peak_ewma::Ewma;
use meshsim::time::{Duration, Time};
use serde_json::json;

use super::crowd::{self, Oracle};
use super::evidence::Evidence;
use super::tower::{PeakEwmaByFormula, tower_values};
use super::vectors::{cases, close, f64_of, list};

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "linkerd/peak_ewma",
        against: "Values of tower's own tests",
        check: tower_values,
    },
    Evidence {
        policy: "linkerd/peak_ewma",
        against: "Loads computed from its formula",
        check: || crowd::duel("linkerd/peak_ewma", &json!({}), || Box::new(PeakEwmaByFormula::new(0.030))),
    },
    Evidence {
        policy: "linkerd/peak_ewma",
        against: "The share that theory gives",
        check: || crowd::never_the_busy_one("linkerd/peak_ewma"),
    },
    Evidence {
        policy: "linkerd/penalty_peak_ewma",
        against: "Values of Linkerd's own tests",
        check: linkerd_values,
    },
    Evidence {
        policy: "linkerd/penalty_peak_ewma",
        against: "Loads computed from its formula",
        check: || {
            crowd::duel("linkerd/penalty_peak_ewma", &json!({}), || {
                Box::new(PenaltyByFormula::default())
            })
        },
    },
    Evidence {
        policy: "linkerd/penalty_peak_ewma",
        against: "The share that theory gives",
        check: || crowd::never_the_busy_one("linkerd/penalty_peak_ewma"),
    },
];

fn linkerd_values() -> String {
    let cases = cases("linkerd/penalty_peak_ewma/ewma.json");
    for (name, input, expected) in &cases {
        let second = |value| Time::ZERO + Duration::from_secs_f64(f64_of(value));
        let initial = input["initial"].as_f64().unwrap_or(f64::INFINITY);
        let mut ewma = Ewma::new(initial, Duration::from_secs_f64(f64_of(&input["decay_s"])), Time::ZERO);
        for event in list(&input["events"]) {
            match event[1].as_str() {
                Some("add") => ewma.add(f64_of(&event[2]), second(&event[0])),
                Some("add_peak") => ewma.add_peak(f64_of(&event[2]), second(&event[0])),
                Some("get_at") => assert!(
                    close(ewma.get_at(second(&event[0])), f64_of(&event[2]), 1e-9),
                    "{name}: {event}"
                ),
                op => panic!("{name}: {op:?}"),
            }
        }
        let found = ewma.get();
        assert!(close(found, f64_of(expected), 1e-9), "{name}: {found} for {expected}");
    }
    format!("{} cases, equal to 1e-9", cases.len())
}

/// Loads in seconds: a peak is compared with the decayed estimate, reading writes nothing, a failure is 5 s or what is left.
struct PenaltyByFormula {
    rtt: [f64; 2],
    written: [Time; 2],
}

impl Default for PenaltyByFormula {
    fn default() -> PenaltyByFormula {
        PenaltyByFormula {
            rtt: [1.0; 2],
            written: [Time::ZERO; 2],
        }
    }
}

impl PenaltyByFormula {
    fn left(&self, i: usize, now: Time) -> f64 {
        self.rtt[i] * libm::exp(-now.since(self.written[i]).as_secs_f64() / 10.0)
    }
}

impl Oracle for PenaltyByFormula {
    fn load(&mut self, endpoint: usize, pending: u32, now: Time) -> f64 {
        self.left(endpoint, now) * f64::from(pending + 1)
    }

    fn ended(&mut self, endpoint: usize, status: u16, latency: Duration, now: Time) {
        let left = self.left(endpoint, now);
        let measured = if status == 429 || status >= 500 {
            left.max(5.0)
        } else {
            latency.as_secs_f64()
        };
        let kept = libm::exp(-now.since(self.written[endpoint]).as_secs_f64() / 10.0);
        self.rtt[endpoint] = if left < measured {
            measured
        } else {
            left + measured * (1.0 - kept)
        };
        self.written[endpoint] = now;
    }
}
