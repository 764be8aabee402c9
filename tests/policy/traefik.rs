//! What shows that the balancers of `traefik` are the real ones.

use meshsim::policy::balancer::traefik::least_time;
use serde_json::{Value, json};

use super::evidence::Evidence;
use super::steps::check_recordings;
use super::vectors::{cases, close, f64_of, u32_of};
use super::{config, endpoints_line, output};

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "traefik/wrr",
        against: "sequences of its own test and computed from its source",
        check: || check_recordings("traefik/wrr", "traefik/wrr"),
    },
    Evidence {
        policy: "traefik/p2c",
        against: "the shares that its source gives",
        check: check_two_choices,
    },
    Evidence {
        policy: "traefik/hrw",
        against: "picks computed from its source",
        check: || check_recordings("traefik/hrw", "traefik/hrw"),
    },
    Evidence {
        policy: "traefik/least_time",
        against: "sequences computed from its source",
        check: || check_recordings("traefik/least_time", "traefik/least_time"),
    },
    Evidence {
        policy: "traefik/least_time",
        against: "vectors of its score",
        check: check_scores,
    },
];

/// Of four servers with 0, 1, 2 and 3 requests each pair is drawn equally often, so they win 3, 2, 1 and none of six pairs.
fn check_two_choices() -> String {
    const PICKS: u32 = 60_000;
    let ids: Vec<String> = (0..4).map(|i| format!("10.0.0.{i}:80")).collect();
    let endpoints: Vec<Value> = ids.iter().map(|id| json!({"id": id, "health": "unhealthy"})).collect();
    let mut script = endpoints_line(&endpoints);
    let health = |i: usize, health: &str| format!("{}\n", json!({"op": "health", "endpoint": ids[i], "health": health}));
    for i in 1..4 {
        script += &health(i, "healthy");
        script += &format!("{}\n", json!({"op": "pick", "count": i}));
        script += &health(i, "unhealthy");
    }
    (0..4).for_each(|i| script += &health(i, "healthy"));
    script += &format!("{}\n", json!({"op": "pick", "count": PICKS, "auto_done": true}));
    let output = output(config("traefik/p2c", &json!({})), 1, &script);
    let picks: Vec<&str> = output.lines().skip(6).collect();
    for (i, wins) in [3, 2, 1, 0].into_iter().enumerate() {
        let found = picks.iter().filter(|line| line.contains(&ids[i])).count() as f64 / f64::from(PICKS);
        let expected = f64::from(wins) / 6.0;
        // Five standard deviations.
        let allowed = 5.0 * (expected * (1.0 - expected) / f64::from(PICKS)).sqrt();
        assert!((found - expected).abs() <= allowed, "server {i} has {found}, not {expected}");
    }
    format!("4 shares of {} picks, within 5 standard deviations", picks.len())
}

fn check_scores() -> String {
    let cases = cases("traefik/vectors/least_time.json");
    for (name, input, expected) in &cases {
        let score = least_time::score(
            f64_of(&input["avg_ttfb_ms"]),
            u32_of(&input["inflight"]),
            u32_of(&input["weight"]),
        );
        assert!(close(score, f64_of(expected), 1e-9), "{name}: {score}");
    }
    format!("{} vectors, all equal", cases.len())
}
