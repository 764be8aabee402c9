//! The bench itself: the form of its lines, and how it refuses.

use std::io::BufReader;

use meshsim::policy::ClusterConfig;
use meshsim::replay::{Error, run, setup};
use serde_json::{Value, json};

use super::{config, endpoints_line, output};

fn three() -> String {
    endpoints_line(&[json!({"id": "a:1"}), json!({"id": "b:1"}), json!({"id": "c:1"})])
}

fn fault(policy: &str, script: &str) -> String {
    match run(config(policy, &json!({})), 0, script.as_bytes(), Vec::new()) {
        Err(error @ Error::Script { .. }) => error.to_string(),
        other => panic!("{script} gives {other:?}"),
    }
}

#[test]
fn decisions_have_the_promised_form() {
    let script = r#"{"op": "pick"}
        {"op": "endpoints", "endpoints": [{"id": "say \"a\""}]}

        {"op": "tick", "t": 2.5}
        {"op": "pick", "count": 2, "key": "k"}
        {"op": "done", "t": 3, "endpoint": "say \"a\"", "status": 503, "load": {"rps": 3}}
        {"op": "caller", "zone": "a", "local_hosts": {"a": 3}}
        {"op": "pick", "t": 3.25, "auto_done": true, "source": "10.0.0.1:4000"}
    "#;
    let expected = r#"{"t": 0.0, "pick": null}
{"t": 2.5, "pick": "say \"a\""}
{"t": 2.5, "pick": "say \"a\""}
{"t": 3.25, "pick": "say \"a\""}
"#;
    assert_eq!(output(config("envoy/random", &json!({})), 0, script), expected);
}

#[test]
fn faults_name_the_line_and_a_remedy() {
    let after_three = |line: &str| fault("envoy/random", &format!("{}{line}\n", three()));
    for (line, expected) in [
        ("nonsense", "line 2: expected ident"),
        ("[]", "line 2: "),
        (r#"{"op": "pik"}"#, "did you mean `pick`?"),
        (r#"{"op": "pick", "cout": 3}"#, "did you mean `count`?"),
        (r#"{"op": "tick", "key": "k"}"#, "line 2: unknown field `key`"),
        (r#"{"op": "pick", "hash": "-1"}"#, "a 64-bit value as a decimal text"),
        (
            r#"{"op": "done", "endpoint": "a:1"}"#,
            "line 2: endpoint `a:1` has no open pick",
        ),
        (
            r#"{"op": "done", "endpoint": "a:2"}"#,
            "line 2: endpoint `a:2` is not in the list",
        ),
        (
            r#"{"op": "health", "endpoint": "a:2", "health": "healthy"}"#,
            "did you mean `a:1`?",
        ),
        (
            r#"{"op": "health", "endpoint": "a:1", "health": "ill"}"#,
            "unknown variant `ill`",
        ),
        (r#"{"op": "tick", "t": -1}"#, "line 2: `t` must be"),
        (
            r#"{"op": "endpoints", "endpoints": [{"id": "x"}, {"id": "x"}]}"#,
            "endpoint `x` is listed twice",
        ),
        (
            r#"{"op": "endpoints", "endpoints": [{"id": "x", "weight": 0}]}"#,
            "must be at least 1",
        ),
        (
            r#"{"op": "endpoints", "endpoints": [{"id": "x", "priority": 129}]}"#,
            "must be at most 128",
        ),
        (r#"{"op": "endpoints"}"#, "missing field `endpoints`"),
        (
            r#"{"op": "endpoints", "endpoints": [{"id": "x", "locality_weight": 1}, {"id": "y", "locality_weight": 2}]}"#,
            "endpoint `y` has `locality_weight` 2, and others of its locality and priority have 1",
        ),
        (
            r#"{"op": "endpoints", "endpoints": [{"id": "x", "metadata": {"a": {"b": "c"}}}]}"#,
            "a text, or a list of texts",
        ),
        (r#"{"op": "pick", "metadata_match": "v2"}"#, "a map from metadata keys"),
    ] {
        let message = after_three(line);
        assert!(message.contains(expected), "{line} gives {message}");
    }
    let message = fault("envoy/random", "{\"op\": \"tick\", \"t\": 2}\n{\"op\": \"tick\", \"t\": 1}\n");
    assert_eq!(message, "line 2: `t` goes back from 2.0 to 1.0");
}

#[test]
fn a_pick_is_in_flight_until_its_done() {
    // A full scan avoids whoever has a request; only c has none.
    let script = three()
        + "{\"op\": \"pick\", \"count\": 3}\n{\"op\": \"done\", \"endpoint\": \"c:1\"}\n{\"op\": \"pick\"}\n\
           {\"op\": \"done\", \"endpoint\": \"c:1\"}\n{\"op\": \"pick\"}\n";
    for seed in 0..20 {
        let output = output(
            config("envoy/least_request", &json!({"selection_method": "FULL_SCAN"})),
            seed,
            &script,
        );
        let mut first: Vec<&str> = output.lines().take(3).collect();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 3, "{output}");
        assert!(output.lines().skip(3).all(|line| line.ends_with("\"c:1\"}")), "{output}");
    }
}

#[test]
fn an_endpoint_that_left_can_still_be_done() {
    let script = endpoints_line(&[json!({"id": "a:1"})])
        + "{\"op\": \"pick\", \"count\": 2}\n"
        + &endpoints_line(&[json!({"id": "b:1"})])
        + "{\"op\": \"done\", \"endpoint\": \"a:1\"}\n"
        // It is another endpoint when it comes back, but the script has one name for both.
        + &endpoints_line(&[json!({"id": "a:1"})])
        + "{\"op\": \"done\", \"endpoint\": \"a:1\"}\n";
    assert_eq!(output(config("envoy/random", &json!({})), 0, &script).lines().count(), 2);
    let message = fault("envoy/random", &(script + "{\"op\": \"done\", \"endpoint\": \"a:1\"}\n"));
    assert!(message.contains("no open pick"), "{message}");
}

fn pick_count(count: usize) -> String {
    format!("{}\n", json!({"op": "pick", "count": count, "auto_done": true}))
}

#[test]
fn a_cursor_outlives_changes_of_the_list() {
    // Envoy's cursor is not reset: what is picked depends on how many picks there were, not of which list.
    let four = endpoints_line(&["a:1", "b:1", "c:1", "d:1"].map(|id| json!({"id": id})));
    for seed in 0..10 {
        let last = |script: String| {
            let output = output(config("envoy/round_robin", &json!({})), seed, &script);
            output.lines().last().expect("it picks").to_string()
        };
        assert_eq!(
            last(three() + &pick_count(5) + &four + &pick_count(1)),
            last(four.clone() + &pick_count(6)),
            "seed {seed}"
        );
    }
}

#[test]
fn a_schedule_goes_on_while_its_level_stays_and_begins_anew_when_it_changes() {
    let list = |weights: [u32; 3]| {
        endpoints_line(&[0, 1, 2].map(|i| json!({"id": format!("e:{i}"), "weight": weights[i], "priority": 0})))
    };
    let picks = |script: String| output(config("envoy/round_robin", &json!({})), 5, &script);
    let plain = picks(list([5, 1, 1]) + &pick_count(14));
    assert_eq!(
        picks(list([5, 1, 1]) + &pick_count(3) + &list([5, 1, 1]) + &pick_count(11)),
        plain
    );
    let changed = picks(list([4, 1, 1]) + &pick_count(3) + &list([5, 1, 1]) + &pick_count(14));
    assert!(changed.ends_with(&plain), "{changed}");
}

fn with_mesh(mesh: &str) -> Result<ClusterConfig, String> {
    setup::mesh(config("envoy/random", &json!({})).balancer, mesh)
}

#[test]
fn failures_are_answered_as_retry_says() {
    let mesh = "mesh: {balancer: envoy/maglev, timeout: 2s, retry: {num_retries: 2, retry_on: [5xx]}}";
    let config = with_mesh(mesh).expect("it is right");
    let attempt = "{\"op\": \"pick\"}\n{\"op\": \"done\", \"endpoint\": \"a:1\", \"status\": 503}\n";
    let script = endpoints_line(&[json!({"id": "a:1"})])
        + &attempt.repeat(3)
        + "{\"op\": \"pick\", \"attempt\": 0}\n{\"op\": \"done\", \"endpoint\": \"a:1\"}\n"
        + "{\"op\": \"pick\"}\n{\"op\": \"done\", \"endpoint\": \"a:1\", \"local_origin\": \"reset\"}\n";
    let output = output(config, 3, &script);
    let answers: Vec<Value> = output
        .lines()
        .filter(|line| line.contains("retry"))
        .map(|line| serde_json::from_str(line).expect("it prints JSON"))
        .collect();
    // Envoy's defaults: whole milliseconds below 25, then below 50.
    let pause = |i: usize| answers[i]["retry"].as_f64().expect("a pause");
    assert!(pause(0) < 0.025 && pause(1) < 0.05 && pause(3) < 0.025, "{output}");
    assert_eq!(answers.len(), 4, "{output}");
    assert!(output.contains("{\"retry\": null, \"reason\": \"limit\"}\n"), "{output}");
}

#[test]
fn other_answers_are_not_retried() {
    let config = with_mesh("mesh:\n  retry: {retry_on: 'gateway-error, retriable-4xx'}\n").expect("it is right");
    let script = endpoints_line(&[json!({"id": "a:1"})])
        + &[500, 200, 404, 409]
            .map(|status| {
                format!(
                    "{{\"op\": \"pick\", \"attempt\": 0}}\n{{\"op\": \"done\", \"endpoint\": \"a:1\", \"status\": {status}}}\n"
                )
            })
            .concat();
    let output = output(config, 0, &script);
    let lines: Vec<&str> = output.lines().filter(|line| line.contains("retry")).collect();
    assert_eq!(lines[0], "{\"retry\": null, \"reason\": \"not_retriable\"}");
    assert!(lines.len() == 2 && lines[1].starts_with("{\"retry\": 0."), "{output}");
}

#[test]
fn mesh_files_are_checked() {
    for (mesh, expected) in [
        ("{}", "no `mesh:`"),
        ("a: [", "expected"),
        ("a: &a [b]\nmesh: *a", "aliases"),
        ("mesh: {retri: {}}", "did you mean `retry`?"),
        ("mesh: {retry: {retry_on: 5x}}", "did you mean `5xx`?"),
        (
            "mesh: {retry: {retry_on: [conect-failure]}}",
            "did you mean `connect-failure`?",
        ),
        (
            "mesh: {retry: {back_off: {base_interval: 1s, max_interval: 5ms}}}",
            "`max_interval` 5ms is shorter",
        ),
        ("mesh: {retry: {per_try_timeout: 5}}", "needs a unit"),
        ("mesh: 3", "must be a map"),
        ("mesh: {healthy_panic_threshold: 101}", "from 0% to 100%, not 101%"),
        ("mesh: {overprovisioning_factor: 99}", "at least 100"),
        (
            "mesh: {common_lb_config: {zone_aware_lb_config: {}, locality_weighted_lb_config: {}}}",
            "exclude each other",
        ),
        (
            "mesh: {common_lb_config: {zone_aware_lb_config: {min_clustersize: 1}}}",
            "did you mean `min_cluster_size`?",
        ),
        (
            "mesh: {lb_subset_config: {subset_selectors: [{keys: [a], fallback_policy: KEYS_SUBSET}]}}",
            "`fallback_keys_subset` goes with",
        ),
    ] {
        let message = with_mesh(mesh).expect_err(mesh);
        assert!(message.contains(expected), "{mesh} gives {message}");
    }
}

#[test]
fn options_are_set_by_name() {
    for setting in [
        "hash_function=murmur_hash_2",
        "hash_function=MURMUR_HASH_2",
        "hash_balance_factor=120",
    ] {
        let setting: setup::Setting = setting.parse().expect("it is a setting");
        setup::balancer("envoy/ring_hash", &[setting]).expect("it is an option");
    }
    for (policy, setting, expected) in [
        ("envoy/ring_hsh", "a=1", "did you mean `envoy/ring_hash`?"),
        ("envoy/ring_hash", "minimum_ringsize=5", "did you mean `minimum_ring_size`?"),
        ("envoy/ring_hash", "hash_function=crc32", "unknown variant `crc32`"),
        ("envoy/ring_hash", "minimum_ring_size=many", "invalid type: string \"many\""),
        (
            "envoy/ring_hash",
            "maximum_ring_size=5",
            "`minimum_ring_size` 1024 is above `maximum_ring_size` 5",
        ),
        ("envoy/ring_hash", "hash_balance_factor=99", "at least 100"),
        ("envoy/maglev", "table_size=1024", "prime"),
        ("envoy/maglev", "table_size=5000077", "at most 5000011"),
        ("envoy/least_request", "choice_count=1", "at least 2"),
        ("envoy/least_request", "active_request_bias=-1", "at least 0"),
        ("linkerd/peak_ewma", "decay=0s", "longer than 0"),
        ("research/jsq", "choices=0", "at least 1"),
        ("envoy/random", "seed=1", "unknown field `seed`"),
    ] {
        let setting: setup::Setting = setting.parse().expect("it is a setting");
        let message = setup::balancer(policy, &[setting]).expect_err(policy);
        assert!(message.contains(expected), "{policy} gives {message}");
    }
}

#[test]
fn long_scripts_are_streamed() {
    // Sixteen million bytes through a buffer of 64: what is read is not kept.
    let line = b"{\"op\": \"pick\", \"auto_done\": true}\n";
    let script = std::io::Read::chain(
        &b"{\"op\": \"endpoints\", \"endpoints\": [{\"id\": \"a\"}]}\n"[..],
        Repeat { line, left: 100_000 },
    );
    let mut output = Vec::new();
    run(
        config("envoy/round_robin", &json!({})),
        0,
        BufReader::with_capacity(64, script),
        &mut output,
    )
    .expect("it runs");
    assert_eq!(output.iter().filter(|byte| **byte == b'\n').count(), 100_000);
}

/// One line, so many times.
struct Repeat {
    line: &'static [u8],
    left: usize,
}

impl std::io::Read for Repeat {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let n = self.line.len();
        buffer[..n].copy_from_slice(self.line);
        self.left -= 1;
        Ok(n)
    }
}

/// How many of 1,000 picks each endpoint got when `down` of 4 are.
fn shares_of_four(settings: &[&str], mesh: Option<&str>, endpoints: &[Value]) -> Vec<usize> {
    let settings: Vec<setup::Setting> = settings.iter().map(|text| text.parse().expect("it is a setting")).collect();
    let mesh = mesh.map(|text| ("mesh.yaml", text));
    let config = setup::cluster("envoy/round_robin", &settings, mesh).expect("it is right");
    let output = output(config, 1, &(endpoints_line(endpoints) + &pick_count(1000)));
    let count = |endpoint: &Value| output.matches(&format!("{}}}", endpoint["id"])).count();
    endpoints.iter().map(count).collect()
}

#[test]
fn the_panic_threshold_can_be_set_in_every_spelling() {
    let health = ["unhealthy", "unhealthy", "unhealthy", "healthy"];
    let endpoints: Vec<Value> = (0..)
        .zip(health)
        .map(|(i, health)| json!({"id": format!("e:{i}"), "health": health}))
        .collect();
    let panic = [250; 4];
    let calm = [0, 0, 0, 1000];
    assert_eq!(shares_of_four(&[], None, &endpoints), panic);
    for settings in [
        "healthy_panic_threshold=0",
        "healthy_panic_threshold=\"25%\"",
        "healthy_panic_threshold={\"value\": 10}",
        "common_lb_config.healthy_panic_threshold=0",
        "common_lb_config.healthy_panic_threshold.value=20",
    ] {
        assert_eq!(shares_of_four(&[settings], None, &endpoints), calm, "{settings}");
    }
    for mesh in [
        "mesh: {healthy_panic_threshold: 0}",
        "mesh: {healthy_panic_threshold: 0, common_lb_config: {healthy_panic_threshold: 90}}",
        "mesh:\n  common_lb_config: {healthy_panic_threshold: {value: 0}}\n",
        "mesh: {common_lb_config: {healthy_panic_threshold: {}}}",
    ] {
        assert_eq!(shares_of_four(&[], Some(mesh), &endpoints), calm, "{mesh}");
    }
    let mesh = "mesh: {healthy_panic_threshold: 0}";
    assert_eq!(shares_of_four(&["healthy_panic_threshold=30"], Some(mesh), &endpoints), panic);
}

#[test]
fn what_a_script_says_of_localities_counts_without_a_mesh_file() {
    let endpoints: Vec<Value> = ["a", "b"]
        .iter()
        .flat_map(|zone| {
            let weight = if *zone == "a" { 1 } else { 3 };
            (0..4).map(move |i| json!({"id": format!("{zone}:{i}"), "zone": zone, "locality_weight": weight}))
        })
        .collect();
    let by_weight = shares_of_four(&[], None, &endpoints);
    assert_eq!(by_weight.iter().sum::<usize>(), 1000);
    assert_eq!(by_weight[..4].iter().sum::<usize>(), 250, "{by_weight:?}");
    let plain: Vec<Value> = endpoints
        .iter()
        .map(|endpoint| json!({"id": endpoint["id"], "zone": endpoint["zone"]}))
        .collect();
    let by_zone = |caller: &str| {
        let script = endpoints_line(&plain) + caller + &pick_count(1000);
        let output = output(config("envoy/round_robin", &json!({})), 1, &script);
        output.matches("\"a:").count()
    };
    assert_eq!(by_zone(""), 500);
    let caller = |zone: &str| {
        let line = json!({"op": "caller", "zone": zone, "local_hosts": {"a": 2, "b": 2}});
        format!("{line}\n")
    };
    assert_eq!(by_zone(&caller("a")), 1000);
    assert_eq!(by_zone(&caller("b")), 0);
    // Who moves is told so.
    assert_eq!(by_zone(&(caller("a") + &pick_count(10) + &caller("b"))), 10);
}

#[test]
fn a_pick_says_what_it_demands() {
    let endpoints = [
        json!({"id": "a:1", "metadata": {"version": "1", "stage": ["prod", "test"]}}),
        json!({"id": "b:1", "metadata": {"version": "2", "stage": "prod"}}),
    ];
    let mesh = "mesh: {lb_subset_config: {subset_selectors: [{keys: [version]}]}, metadata_match: {version: 2}}";
    let config = setup::cluster("envoy/random", &[], Some(("mesh.yaml", mesh))).expect("it is right");
    let script = endpoints_line(&endpoints)
        + "{\"op\": \"pick\"}\n{\"op\": \"pick\", \"metadata_match\": {\"version\": 1}}\n"
        + "{\"op\": \"pick\", \"metadata_match\": {\"version\": 3}}\n{\"op\": \"pick\", \"metadata_match\": {}}\n"
        // The subsets follow the list.
        + &endpoints_line(&endpoints[..1])
        + "{\"op\": \"pick\"}\n{\"op\": \"pick\", \"metadata_match\": {\"version\": \"1\"}}\n";
    let output = output(config, 0, &script);
    let picks: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).expect("it prints JSON"))
        .collect();
    let picks: Vec<Option<&str>> = picks.iter().map(|pick| pick["pick"].as_str()).collect();
    assert_eq!(picks, [Some("b:1"), Some("a:1"), None, None, None, Some("a:1")]);
}
