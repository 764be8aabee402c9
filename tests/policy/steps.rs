//! Recordings of nginx, HAProxy and Traefik: keys and whom they led to, or a run of requests, ends and changes.
//!
//! A run is a text of marks, in which a server is a digit (or letter) by its place in `endpoints`, `-` none: `p3` a request that
//! server 3 got, `q3` one that is done at once, `r3` the last request's retry, `d3` an end with 200 at server 3, `s3503` one with
//! 503, `f3` one without a connection, `l3:4.5` one after 4.5 ms, `!3` and `+3` server 3 down and up, `w3=7` its new weight, `@2.5`
//! the time in seconds. Requests carry the step's `key` or `source`, with their number for `{}`.

use meshsim::policy::ClusterConfig;
use meshsim::replay::setup;
use serde_json::{Value, json};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::{config, data, endpoints_line, output, recordings};

/// Plays all recordings of a policy in `folder` and returns how many there are, and picks in them.
pub fn check_recordings(policy: &str, folder: &str) -> String {
    let (mut played, mut picks) = (0, 0);
    for (name, recording) in recordings(folder) {
        assert_eq!(recording["policy"], policy, "{name}");
        assert!(recording["source"].is_string(), "{name}: where is it from?");
        let alone = [recording.clone()];
        let cases = recording["cases"].as_array().map_or(alone.as_slice(), Vec::as_slice);
        for case in cases {
            let (script, expected) = script(&recording, case);
            let found = output(cluster(&recording, case), 0, &script);
            let found = places(&found, recording["endpoints"].as_array().expect("a list"));
            assert!(!expected.is_empty(), "{name} expects nothing");
            let first = found
                .chars()
                .zip(expected.chars())
                .position(|(found, expected)| found != expected);
            assert!(
                found == expected,
                "{name}, {}: pick {first:?} differs\nfound    {found}\nexpected {expected}",
                case["options"]
            );
            played += 1;
            picks += expected.len();
        }
    }
    let (s, picks) = (if played == 1 { "" } else { "s" }, thousands(picks));
    format!("{played} recording{s}, {picks} picks, all equal")
}

fn thousands(n: usize) -> String {
    match n {
        0..1000 => n.to_string(),
        _ => format!("{},{:03}", thousands(n / 1000), n % 1000),
    }
}

fn cluster(recording: &Value, case: &Value) -> ClusterConfig {
    let policy = recording["policy"].as_str().expect("a name");
    let cluster = config(policy, &case["options"]);
    match recording.get("mesh") {
        Some(mesh) => setup::mesh(cluster.balancer, &json!({ "mesh": mesh }).to_string()).expect("the block is right"),
        None => cluster,
    }
}

/// The picks of a replay, as places in `endpoints`.
pub fn places(output: &str, endpoints: &[Value]) -> String {
    let lines = output.lines().filter(|line| line.contains("\"pick\""));
    let place = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("it prints JSON");
        match endpoints.iter().position(|endpoint| endpoint["id"] == line["pick"]) {
            Some(place) => char::from_digit(place as u32, 36).expect("there are at most 36"),
            None => '-',
        }
    };
    lines.map(place).collect()
}

/// The lines of a case, and the picks that it expects.
fn script(recording: &Value, case: &Value) -> (String, String) {
    let endpoints = recording["endpoints"].as_array().expect("a list");
    let mut script = endpoints_line(endpoints);
    let mut expected = String::new();
    let alone = [case.clone()];
    for step in case["steps"].as_array().map_or(alone.as_slice(), Vec::as_slice) {
        if let Some(run) = step["run"].as_str() {
            let mut player = Player::new(endpoints, step);
            run.split_whitespace().for_each(|mark| player.mark(mark));
            script += &player.script;
            expected += &player.expected;
            continue;
        }
        let picks = step["picks"].as_str().expect("a text");
        let requests = requests(recording, step, picks.len());
        assert_eq!(requests.len(), picks.len(), "as many requests as picks");
        for mut request in requests {
            request["op"] = json!("pick");
            request["auto_done"] = json!(true);
            script += &format!("{request}\n");
        }
        expected += picks;
    }
    (script, expected)
}

/// What each request of a step carries.
fn requests(recording: &Value, step: &Value, count: usize) -> Vec<Value> {
    let of = |name: &str| step.get(name).or(recording.get(name));
    if let Some(Value::Array(keys)) = of("key_list") {
        return keys.iter().map(|key| json!({ "key": key })).collect();
    }
    if let Some(Value::Array(sources)) = of("source_list") {
        return sources.iter().map(|source| json!({ "source": source })).collect();
    }
    match step["keys"].as_str() {
        None => vec![json!({}); count],
        Some("users") => (0..count).map(|i| json!({"key": format!("user-{i}")})).collect(),
        Some(file) => {
            let text = std::fs::read_to_string(data(&format!("{file}.txt"))).expect("the keys are part of the tests");
            text.lines().map(|key| json!({ "key": key })).collect()
        }
    }
}

/// Writes a script by marks.
struct Player<'a> {
    endpoints: Vec<Value>,
    step: &'a Value,
    requests: usize,
    time: Option<f64>,
    script: String,
    expected: String,
}

impl<'a> Player<'a> {
    fn new(endpoints: &[Value], step: &'a Value) -> Player<'a> {
        Player {
            endpoints: endpoints.to_vec(),
            step,
            requests: 0,
            time: None,
            script: String::new(),
            expected: String::new(),
        }
    }

    fn mark(&mut self, mark: &str) {
        let (kind, rest) = mark.split_at(1);
        if kind == "@" {
            self.time = Some(rest.parse().expect("a time"));
            return;
        }
        let (server, rest) = rest.split_at(1);
        let place = server.chars().next().and_then(|digit| digit.to_digit(36));
        let mut line = match kind {
            "p" | "q" | "r" => self.request(kind, server),
            "d" => json!({"op": "done"}),
            "f" => json!({"op": "done", "local_origin": "connect_failure"}),
            "s" => json!({"op": "done", "status": rest.parse::<u16>().expect("a status")}),
            "l" => json!({"op": "done", "latency": rest[1..].parse::<f64>().expect("a latency") / 1e3}),
            "!" | "+" => json!({"op": "health", "health": if kind == "+" { "healthy" } else { "unhealthy" }}),
            "w" => json!({"op": "endpoints"}),
            _ => panic!("unknown mark `{mark}`"),
        };
        if line["op"] != "pick" {
            let endpoint = &mut self.endpoints[place.expect("a server") as usize];
            match kind {
                "w" => endpoint["weight"] = json!(rest[1..].parse::<u32>().expect("a weight")),
                "!" | "+" => endpoint["health"] = line["health"].clone(),
                _ => {}
            }
            match kind {
                "w" => line["endpoints"] = json!(self.endpoints),
                _ => line["endpoint"] = endpoint["id"].clone(),
            }
        }
        if let Some(time) = self.time {
            line["t"] = json!(time);
        }
        self.script += &format!("{line}\n");
    }

    fn request(&mut self, kind: &str, server: &str) -> Value {
        self.requests += usize::from(kind != "r");
        self.expected += server;
        let mut line = json!({"op": "pick"});
        if kind == "q" {
            line["auto_done"] = json!(true);
        }
        for name in ["key", "source"] {
            if let Some(pattern) = self.step[name].as_str() {
                line[name] = json!(pattern.replace("{}", &(self.requests - 1).to_string()));
            }
        }
        line
    }
}

/// Holds the shares of a policy that draws against recorded ones, and returns how many there are. Each pair of counts must be such
/// as to be expected once in a thousand times from equal shares: a two-sample test with the chi-square distribution.
pub fn check_shares(policy: &str, folder: &str) -> String {
    const PICKS: usize = 100_000;
    let (mut shares, mut requests) = (0, 0);
    for (name, recording) in recordings(folder) {
        for case in recording["cases"].as_array().expect("a list") {
            let weights = case["weights"].as_array().expect("a list");
            let down: Vec<u64> = case["down"]
                .as_array()
                .map_or(Vec::new(), |down| down.iter().filter_map(Value::as_u64).collect());
            let health = |i: usize| if down.contains(&(i as u64)) { "unhealthy" } else { "healthy" };
            let endpoint =
                |i: usize| json!({"id": format!("127.0.0.1:{}", 20001 + i), "weight": weights[i], "health": health(i)});
            let endpoints: Vec<Value> = (0..weights.len()).map(endpoint).collect();
            let script = endpoints_line(&endpoints) + &format!("{}\n", json!({"op": "pick", "count": PICKS, "auto_done": true}));
            let picks = places(&output(config(policy, &case["options"]), 1, &script), &endpoints);
            let recorded: Vec<f64> = case["counts"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|count| count.as_f64().expect("a count"))
                .collect();
            let found: Vec<f64> = (0..weights.len())
                .map(|i| {
                    picks
                        .matches(char::from_digit(i as u32, 36).expect("there are at most 36"))
                        .count() as f64
                })
                .collect();
            let distance = chi_square(&found, &recorded);
            assert!(distance < 0.999, "{name}, {case}: {found:?} of {PICKS}");
            shares += weights.len() - down.len();
            requests += recorded.iter().sum::<f64>() as usize;
        }
    }
    let requests = thousands(requests);
    format!("{shares} shares of {requests} requests, none significantly different")
}

/// How far two samples are apart, as the probability that samples of equal shares are nearer.
fn chi_square(a: &[f64], b: &[f64]) -> f64 {
    let (sum_a, sum_b): (f64, f64) = (a.iter().sum(), b.iter().sum());
    let ratio = (sum_b / sum_a).sqrt();
    let seen: Vec<(f64, f64)> = a
        .iter()
        .copied()
        .zip(b.iter().copied())
        .filter(|(a, b)| a + b > 0.0)
        .collect();
    let square = |x: f64| x * x;
    let sum: f64 = seen.iter().map(|(a, b)| square(a * ratio - b / ratio) / (a + b)).sum();
    let distribution = ChiSquared::new((seen.len() - 1) as f64).expect("there are at least two");
    distribution.cdf(sum)
}
