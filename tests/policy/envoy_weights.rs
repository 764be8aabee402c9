//! What shows that Envoy's changing weights are the real ones: slow start, and weights from load reports.

use meshsim::policy::balancer::common::SlowStartConfig;
use meshsim::time::Duration;
use serde_json::{Value, json};

use super::evidence::Evidence;
use super::{config, data, endpoints_line, output, read, recordings};

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "envoy/round_robin",
        against: "slow start of Envoy 1.40 by share",
        check: || slow_start("envoy/round_robin"),
    },
    Evidence {
        policy: "envoy/round_robin",
        against: "weights computed from its slow start formula",
        check: slow_start_weights,
    },
    Evidence {
        policy: "envoy/least_request",
        against: "slow start of Envoy 1.40 by share",
        check: || slow_start("envoy/least_request"),
    },
    Evidence {
        policy: "envoy/least_request",
        against: "weights computed from its slow start formula",
        check: slow_start_weights,
    },
    Evidence {
        policy: "envoy/client_side_weighted_round_robin",
        against: "shares of Envoy 1.40 with reporting endpoints",
        check: reported_weights,
    },
];

fn f64_of(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn slow_start_weights() -> String {
    let file = read(&data("envoy/slow_start/vectors/weight.json"));
    let cases = file["cases"].as_array().expect("a list");
    for case in cases {
        let input = &case["input"];
        let milliseconds = |key: &str| Duration::from_millis(input[key].as_u64().expect("a number"));
        let config = SlowStartConfig {
            slow_start_window: milliseconds("window_ms"),
            aggression: f64_of(&input["aggression"]),
            min_weight_percent: f64_of(&input["min_weight_percent"]),
        };
        let (weight, expected) = (
            config.weight(f64_of(&input["weight"]), milliseconds("in_healthy_ms")),
            f64_of(&case["expected"]),
        );
        assert!((weight - expected).abs() <= 1e-12 * expected, "{}: {weight}", case["name"]);
    }
    format!("{} weights, within a relative 1e-12", cases.len())
}

/// Picks at a constant rate, as (time, place in `endpoints`).
fn picks(output: &str, endpoints: &[Value]) -> Vec<(f64, usize)> {
    let parse = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("it prints JSON");
        let place = endpoints.iter().position(|endpoint| endpoint["id"] == line["pick"]);
        (f64_of(&line["t"]), place.expect("it picks an endpoint"))
    };
    output.lines().map(parse).collect()
}

fn slow_start(policy: &str) -> String {
    let mut worst = (0.0_f64, 0.0_f64);
    let mut bins = 0;
    for (name, case) in recordings("envoy/slow_start") {
        if case["policy"] != policy {
            continue;
        }
        let endpoints = case["endpoints"].as_array().expect("a list");
        let new = case["new"].as_u64().expect("a number") as usize;
        let (first, rate) = (100.0, f64_of(&case["rate"]));
        let recorded: Vec<(f64, f64)> = case["shares"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|bin| (f64_of(&bin[0]) / 1e3, f64_of(&bin[1])))
            .collect();
        let picks_total = (rate * 0.25 * recorded.len() as f64) as usize;
        // The others joined long before.
        let mut script = endpoints_line(&endpoints[..endpoints.len() - new]);
        script += &format!("{}\n", json!({"op": "tick", "t": first}));
        script += &endpoints_line(endpoints);
        for pick in 0..picks_total {
            script += &format!(
                "{}\n",
                json!({"op": "pick", "t": first + pick as f64 / rate, "auto_done": true})
            );
        }
        for seed in 0..5 {
            let picks = picks(&output(config(policy, &case["options"]), seed, &script), endpoints);
            let share = |from: f64, to: f64| {
                let within = picks.iter().filter(|(t, _)| (from..to).contains(&(t - first)));
                let (all, of_new) = within.fold((0, 0), |(all, of_new), (_, place)| {
                    (all + 1, of_new + usize::from(*place >= endpoints.len() - new))
                });
                of_new as f64 / all as f64
            };
            for &(from, recorded) in &recorded {
                let difference = (share(from, from + 0.25) - recorded).abs();
                worst.0 = worst.0.max(difference);
                assert!(
                    difference <= f64_of(&case["tolerance"]),
                    "{name}, seed {seed}, {from} s: {difference}"
                );
                bins += 1;
            }
            let window = f64_of(&case["window"]);
            let within: Vec<f64> = recorded.iter().filter(|bin| bin.0 < window).map(|bin| bin.1).collect();
            let mean = within.iter().sum::<f64>() / within.len() as f64;
            let difference = (share(0.0, window) - mean).abs();
            worst.1 = worst.1.max(difference);
            assert!(
                difference <= f64_of(&case["cumulative_tolerance"]),
                "{name}, seed {seed}: {difference}"
            );
        }
    }
    assert!(bins > 0);
    format!(
        "{bins} shares of 250 ms, off by at most {:.4}; whole windows by at most {:.4}",
        worst.0, worst.1
    )
}

/// A script in which endpoints report every 10 ms what they do in a recording.
fn reporting_script(case: &Value, bins: usize) -> String {
    let list = |key: &str| case[key].as_array().expect("a list").clone();
    let (lists, reports) = (list("lists"), list("reports"));
    let steps_per_second = 100;
    let picks_per_step = f64_of(&case["rate"]) / f64::from(steps_per_second);
    assert!(picks_per_step.fract() == 0.0, "so many picks at a time");
    let since = |t: f64, list: &[Value]| {
        list.iter()
            .rfind(|entry| f64_of(&entry[0]) <= t)
            .map(|entry| entry[1].clone())
    };
    let mut script = String::new();
    let mut listed = Value::Null;
    for step in 0..bins * steps_per_second as usize / 4 {
        let t = step as f64 / f64::from(steps_per_second);
        script += &format!("{}\n", json!({"op": "tick", "t": t}));
        let weights = since(t, &lists).expect("a list at the start");
        let weights = weights.as_array().expect("a list");
        if listed != json!(weights) {
            let of = |(i, weight): (usize, &Value)| json!({"id": i.to_string(), "weight": weight});
            script += &endpoints_line(&weights.iter().enumerate().map(of).collect::<Vec<_>>());
            listed = json!(weights);
        }
        script += &format!(
            "{}\n",
            json!({"op": "pick", "count": picks_per_step as u64, "auto_done": true})
        );
        let loads = since(t, &reports).expect("reports at the start");
        for (i, load) in loads.as_array().expect("a list").iter().enumerate().take(weights.len()) {
            // A report comes with an answer, so not at once.
            if step > 0 && !load.is_null() {
                script += &format!("{}\n", json!({"op": "probe", "endpoint": i.to_string(), "load": load}));
            }
        }
    }
    script
}

fn reported_weights() -> String {
    let policy = "envoy/client_side_weighted_round_robin";
    let (mut bins_total, mut worst) = (0, 0.0_f64);
    let recordings = recordings(&format!("{policy}/"));
    for (name, case) in &recordings {
        let counts = case["counts"].as_array().expect("a list");
        let script = reporting_script(case, counts.len());
        let endpoints: Vec<Value> = (0..4).map(|i| json!({"id": i.to_string()})).collect();
        for seed in 0..3 {
            let picks = picks(&output(config(policy, &case["options"]), seed, &script), &endpoints);
            for (bin, recorded) in counts.iter().enumerate() {
                let recorded: Vec<f64> = recorded.as_array().expect("a list").iter().map(f64_of).collect();
                let all: f64 = recorded.iter().sum();
                let within: Vec<usize> = picks
                    .iter()
                    .filter(|(t, _)| (t * 4.0).floor() as usize == bin)
                    .map(|(_, place)| *place)
                    .collect();
                for (place, count) in recorded.iter().enumerate() {
                    let share = within.iter().filter(|other| **other == place).count() as f64 / within.len() as f64;
                    worst = worst.max((share - count / all).abs());
                    // The real timers come some milliseconds late, of 250.
                    assert!(
                        (share - count / all).abs() <= 0.04,
                        "{name}, seed {seed}, bin {bin}, {place}: {share}"
                    );
                }
                bins_total += 1;
            }
        }
    }
    format!(
        "{} recordings, {bins_total} times 250 ms, shares off by at most {worst:.3}",
        recordings.len()
    )
}

#[test]
fn equal_weights_are_scheduled_from_a_new_endpoint_to_the_next_change() {
    // Envoy decides at each change of the list: without slow start an idle least_request of equal weights is random, and within a
    // window its schedule makes every endpoint's turn come.
    let list = |n: usize| endpoints_line(&(0..n).map(|i| json!({"id": i.to_string()})).collect::<Vec<_>>());
    let pick = |t: f64| format!("{}\n", json!({"op": "pick", "t": t, "count": 300, "auto_done": true}));
    let options = json!({"slow_start_config.slow_start_window": "10s"});
    let is_cyclic = |script: String| {
        let picks = output(config("envoy/least_request", &options), 1, &script);
        let lines: Vec<&str> = picks.lines().map(|line| line.rsplit(' ').next().expect("a pick")).collect();
        // The deadlines of a new schedule are those of slow start, ten times as far away as the next ones.
        let last = &lines[lines.len() - 200..];
        let n = last.iter().collect::<std::collections::BTreeSet<_>>().len();
        last.windows(n + 1).all(|window| window[0] == window[n])
    };
    let tick = |t: f64| format!("{}\n", json!({"op": "tick", "t": t}));
    assert!(is_cyclic(list(3) + &pick(60.0)), "the list has not changed since the start");
    assert!(!is_cyclic(list(3) + &tick(20.0) + &list(2) + &pick(20.0)), "nobody is new");
    assert!(
        is_cyclic(list(2) + &tick(20.0) + &list(3) + &pick(60.0)),
        "the schedule stays"
    );
    assert!(!is_cyclic(
        list(2) + &tick(20.0) + &list(3) + &tick(31.0) + &list(2) + &pick(32.0)
    ));
}

#[test]
fn both_forms_of_envoys_numbers_are_read() {
    use meshsim::replay::setup;
    let read = |settings: &[&str]| {
        let settings: Vec<setup::Setting> = settings.iter().map(|text| text.parse().expect("it is a setting")).collect();
        setup::balancer("envoy/least_request", &settings)
    };
    let plain = [
        "slow_start_config.aggression=2",
        "slow_start_config.min_weight_percent=20",
        "active_request_bias=0.5",
    ];
    let wrapped = [
        r#"slow_start_config.aggression={"default_value": 2.0, "runtime_key": "k"}"#,
        r#"slow_start_config.min_weight_percent={"value": 20}"#,
        r#"active_request_bias={"default_value": 0.5}"#,
    ];
    assert_eq!(read(&plain), read(&wrapped));
    assert!(read(&plain).is_ok());
    for (setting, expected) in [
        ("slow_start_config.aggression=0", "must be above 0"),
        ("slow_start_config.min_weight_percent=101", "from 0 to 100"),
        (r#"active_request_bias={"value": 1}"#, "unknown field `value`"),
        ("slow_start_config.slow_start_window=5", "needs a unit"),
    ] {
        let message = read(&[setting]).expect_err(setting);
        assert!(message.contains(expected), "{setting} gives {message}");
    }
}
