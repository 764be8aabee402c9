//! Active health checks: scripts with known answers, and recordings of real proxies whose hosts fail, simulated.
//!
//! A recording is of a check at one phase of its interval; the simulated ones are at all of them. So a recorded detection must lie in the range of the
//! simulated ones, widened by 100 ms (flags were polled every 30 ms, and the processes needed time to die), and each simulated number of errors within
//! the recording's own tolerance: what a quarter of the rate makes in one interval.

use meshsim::model::{Elision, RunOptions};
use meshsim::scenario::{self, Overrides, Source};
use meshsim::time::Duration;
use serde_json::{Value, json};

use super::evidence::Evidence;
use super::{data, output, read};
use meshsim::replay::setup;

const SCRIPTS: &str = "Scripts of the state machine in the upstream source";
const RECORDED: &str = "Recordings of the real proxy with a host that fails and comes back";

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "nginx/round_robin",
        against: "a recorded failover of nginx 1.22.1",
        check: || recorded(&["s3-kill-nginx-passive"]),
    },
    Evidence {
        policy: "envoy/health_check",
        against: SCRIPTS,
        check: envoy_scripts,
    },
    Evidence {
        policy: "envoy/health_check",
        against: RECORDED,
        check: || {
            recorded(&[
                "s3-kill-rr",
                "s3-kill-lr-retry1",
                "s3-health503-rr",
                "s3-hang-rr-pertry-retry",
            ])
        },
    },
    Evidence {
        policy: "haproxy/check",
        against: SCRIPTS,
        check: haproxy_scripts,
    },
    Evidence {
        policy: "haproxy/check",
        against: RECORDED,
        check: || recorded(&["s3-kill-haproxy-rr-redispatch"]),
    },
];

/// What a script prints around round robin, line by line, with these health checks.
fn decisions(options: &Value, script: &[Value]) -> Vec<Value> {
    let document = json!({"mesh": {"health_check": options}}).to_string();
    let config =
        setup::cluster("envoy/round_robin", &[], Some(("mesh", &document))).unwrap_or_else(|message| panic!("{message}"));
    let text: String = script.iter().map(|line| format!("{line}\n")).collect();
    let lines = output(config, 1, &text);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("it prints JSON"))
        .collect()
}

/// When a single endpoint is checked, and when it turns, if every check is answered as `answer` says by its beginning (`None`: never).
fn course(options: &Value, until: f64, answer: impl Fn(f64) -> Option<Value>) -> (Vec<f64>, Vec<(f64, String)>) {
    let mut script = vec![
        json!({"op": "endpoints", "endpoints": [{"id": "a"}]}),
        json!({"op": "pick", "auto_done": true}),
    ];
    // Each run tells when the next check comes.
    loop {
        let mut tried = script.clone();
        tried.push(json!({"op": "tick", "t": until}));
        let lines = decisions(options, &tried);
        let checks: Vec<f64> = lines
            .iter()
            .filter(|line| !line["check"].is_null())
            .filter_map(|line| line["t"].as_f64())
            .collect();
        let answered = script
            .iter()
            .filter_map(|line| line["t"].as_f64())
            .next_back()
            .unwrap_or(-1.0);
        let next = checks.iter().copied().find(|&at| at > answered && answer(at).is_some());
        let Some(next) = next else {
            let turns = lines.iter().filter(|line| !line["health"].is_null());
            let turn = |line: &Value| Some((line["t"].as_f64()?, line["to"].as_str()?.to_string()));
            return (checks, turns.filter_map(turn).collect());
        };
        let mut line = answer(next).expect("it is one that is answered");
        line["op"] = "check".into();
        line["t"] = next.into();
        line["endpoint"] = "a".into();
        script.push(line);
    }
}

fn turns(course: &(Vec<f64>, Vec<(f64, String)>)) -> Vec<(f64, &str)> {
    course.1.iter().map(|(at, to)| (*at, to.as_str())).collect()
}

fn envoy_scripts() -> String {
    let ok = || Some(json!({"status": 200}));
    // The worked example: a host that hangs just after a check. Checks begin at 5, 11 and 17 and fail at 6, 12 and 18.
    let options = json!({"interval": "5s", "timeout": "1s", "unhealthy_threshold": 3, "healthy_threshold": 2});
    let hangs = course(&options, 30.0, |_| None);
    assert_eq!(hangs.0[..4], [5.0, 11.0, 17.0, 23.0]);
    assert_eq!(turns(&hangs), [(18.0, "unhealthy")]);
    // A status that is not expected fails at once; two successes bring the host back.
    let answers_500 = course(&options, 30.0, |at| Some(json!({"status": if at < 7.0 { 500 } else { 200 }})));
    assert_eq!(turns(&answers_500), [(5.0, "unhealthy"), (15.0, "healthy")]);
    // One that is retriable counts.
    let mut retriable = options.clone();
    retriable["http_health_check"] = json!({"path": "/", "retriable_statuses": [{"start": 500, "end": 501}]});
    let counted = course(&retriable, 30.0, |at| {
        Some(json!({"status": if at < 16.0 { 500 } else { 200 }}))
    });
    assert_eq!(turns(&counted), [(15.0, "unhealthy"), (25.0, "healthy")]);
    // A failure between two does not: the count begins again.
    let on_and_off = course(&options, 40.0, |at| if at == 17.0 { ok() } else { None });
    assert_eq!(turns(&on_and_off), [(35.0, "unhealthy")], "{on_and_off:?}");
    // Each situation has its interval.
    let edges = json!({
        "interval": "10s", "timeout": "1s", "unhealthy_threshold": 2, "healthy_threshold": 2,
        "unhealthy_edge_interval": "2s", "unhealthy_interval": "4s", "healthy_edge_interval": "1s"
    });
    let refused = |at: f64| {
        if at < 17.0 {
            Some(json!({"local_origin": "connect_failure"}))
        } else {
            ok()
        }
    };
    let course_of_edges = course(&edges, 35.0, refused);
    assert_eq!(course_of_edges.0, [10.0, 12.0, 16.0, 20.0, 21.0, 31.0]);
    assert_eq!(turns(&course_of_edges), [(12.0, "unhealthy"), (21.0, "healthy")]);
    // Without traffic there are other intervals; a new host is out until its first success, for which one is enough.
    let lines = decisions(
        &json!({"interval": "1s", "no_traffic_interval": "7s", "no_traffic_healthy_interval": "3s"}),
        &[
            json!({"op": "endpoints", "endpoints": [{"id": "a"}]}),
            json!({"op": "check", "t": 1.0, "endpoint": "a"}),
            json!({"op": "check", "t": 4.0, "endpoint": "a", "status": 500}),
            json!({"op": "endpoints", "t": 5.0, "endpoints": [{"id": "b"}]}),
            json!({"op": "pick", "auto_done": true}),
            json!({"op": "check", "endpoint": "b"}),
            json!({"op": "pick", "auto_done": true}),
            json!({"op": "tick", "t": 6.0}),
        ],
    );
    let expected = [
        json!({"t": 1.0, "check": "a"}),
        json!({"t": 4.0, "check": "a"}),
        json!({"t": 4.0, "health": "a", "to": "unhealthy"}),
        json!({"t": 5.0, "check": "b"}),
        json!({"t": 5.0, "pick": "b"}),
        json!({"t": 5.0, "health": "b", "to": "healthy"}),
        json!({"t": 5.0, "pick": "b"}),
        json!({"t": 6.0, "check": "b"}),
    ];
    assert_eq!(lines, expected);
    // A request's answer may say that the host has failed; then it is not even counted, so nothing is in panic.
    let lines = decisions(
        &json!({"interval": "1s"}),
        &[
            json!({"op": "endpoints", "endpoints": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}),
            json!({"op": "pick", "count": 3}),
            json!({"op": "done", "endpoint": "a", "immediate_health_check_fail": true}),
            json!({"op": "done", "endpoint": "b", "immediate_health_check_fail": true}),
            json!({"op": "pick", "count": 3}),
        ],
    );
    let to_c = json!({"t": 0.0, "pick": "c"});
    assert_eq!(lines[5..], [to_c.clone(), to_c.clone(), to_c], "{lines:?}");
    "8 of 8 courses as the source has them".to_string()
}

fn haproxy_scripts() -> String {
    let options =
        json!({"haproxy/check": {"inter": "10s", "fastinter": "1s", "downinter": "5s", "rise": 2, "fall": 3, "timeout": "2s"}});
    let refused = |at: f64| Some(json!({"status": if at < 14.0 { 503 } else { 302 }}));
    let course_of_one = course(&options, 30.0, refused);
    // Full at 10; 11 and 12 are fast; down at 12; checked again after 5, then fast, then up and surely so.
    assert_eq!(course_of_one.0, [10.0, 11.0, 12.0, 17.0, 18.0, 28.0]);
    assert_eq!(turns(&course_of_one), [(12.0, "unhealthy"), (18.0, "healthy")]);
    let defaults = course(&json!({"haproxy/check": {}}), 20.0, |at| (at > 12.0).then(|| json!({})));
    // A check waits for as long as `inter`: 2 to 4, 6 to 8, 10 to 12.
    assert_eq!(turns(&defaults), [(12.0, "unhealthy"), (16.0, "healthy")]);
    // A new server is up, and falls at its first failure.
    let lines = decisions(
        &json!({"haproxy/check": {}}),
        &[
            json!({"op": "endpoints", "endpoints": []}),
            json!({"op": "endpoints", "t": 1.0, "endpoints": [{"id": "a"}]}),
            json!({"op": "pick", "auto_done": true}),
            json!({"op": "check", "endpoint": "a", "local_origin": "connect_failure"}),
        ],
    );
    assert_eq!(
        lines[1..],
        [
            json!({"t": 1.0, "pick": "a"}),
            json!({"t": 1.0, "health": "a", "to": "unhealthy"})
        ]
    );
    "3 of 3 courses as the source has them".to_string()
}

/// The scenario of a recording.
fn scenario_of(case: &str) -> Value {
    let checks = json!({
        "interval": "1s", "timeout": "0.5s", "unhealthy_threshold": 2, "healthy_threshold": 2, "no_traffic_interval": "1s",
        "http_health_check": {"path": "/healthz"}
    });
    let mut mesh = json!({"timeout": "1s", "balancer": "envoy/round_robin", "health_check": checks});
    let mut fault = json!({"at": "5s", "for": "5s", "crash": {"endpoint": "node/e-1"}});
    let mut endpoints: Vec<Value> = (0..4).map(|host| json!({"name": format!("e-{host}")})).collect();
    match case {
        "s3-kill-rr" => {}
        "s3-kill-lr-retry1" => {
            mesh["balancer"] = "envoy/least_request".into();
            mesh["retry"] = json!({"retry_on": "connect-failure,refused-stream,reset", "num_retries": 1});
        }
        "s3-hang-rr-pertry-retry" => {
            mesh["retry"] = json!({"retry_on": "5xx", "num_retries": 2, "per_try_timeout": "0.2s"});
            fault["crash"]["mode"] = "hang".into();
        }
        // It fails from the start instead: what answers 503 from some moment on.
        "s3-health503-rr" => {
            endpoints[1]["fail"] = "100%".into();
            fault = json!({"at": "14s", "for": "1s", "slow": {"endpoint": "node/e-1", "factor": 1}});
        }
        "s3-kill-haproxy-rr-redispatch" => {
            mesh["balancer"] = "haproxy/roundrobin".into();
            mesh["health_check"] = json!({"haproxy/check": {"inter": "1s", "fall": 2, "rise": 2}});
            mesh["timeout"] = Value::Null;
            // Its retries go to the same server but for the last, which is sent on; here only the latter is made.
            mesh["retry"] = json!({"retry_on": "connect-failure,reset", "num_retries": 3, "back_off": {"base_interval": "1ms", "max_interval": "1ms"}});
        }
        // No checks: `max_fails=1 fail_timeout=10s`, and `proxy_next_upstream error timeout`, which tries each other server at once.
        "s3-kill-nginx-passive" => {
            mesh["balancer"] = "nginx/round_robin".into();
            mesh["health_check"] = Value::Null;
            mesh["timeout"] = Value::Null;
            mesh["retry"] = json!({"retry_on": "connect-failure,reset", "num_retries": 3, "back_off": {"base_interval": "1ns", "max_interval": "1ns"}});
        }
        _ => panic!("an unknown recording, {case}"),
    }
    // nginx comes back to the host after the end of the others' runs.
    let duration = if case == "s3-kill-nginx-passive" { "17s" } else { "15s" };
    json!({
        "apiVersion": "meshsim/v1", "seed": 11, "duration": duration, "replications": 1,
        "topology": {"services": {"node": {"endpoints": endpoints, "operations": {"get": [{"work": {"exponential": {"mean": "5ms"}}}]}}}},
        "clients": {"client": {"call": "node/get", "arrivals": {"poisson": {"rate": "400/s"}}}},
        "mesh": mesh, "faults": [fault]
    })
}

/// Of each of many runs: errors, seconds from the failure to the last error, and from the revival to the host's first answer.
fn simulated(case: &str) -> Vec<(u64, f64, f64)> {
    let source = Source::from_text("checks.yaml", scenario_of(case).to_string());
    let (loaded, diagnostics) = scenario::load(&source, &Overrides::default());
    let scenario = loaded.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    let plan = &scenario.variants[0].plan;
    let bucket = plan.interval.as_secs_f64();
    let fails_at = if case == "s3-health503-rr" { 0.0 } else { 5.0 };
    let run = |replication: u32| {
        // nginx counts whole seconds of its clock, and nobody knows which part of one the host was killed in.
        let mut plan = meshsim::model::Plan::clone(plan);
        let late = match case {
            "s3-kill-nginx-passive" => Duration::from_millis(u64::from(replication) * 16),
            _ => Duration::ZERO,
        };
        plan.faults[0].at += late;
        let late = late.as_secs_f64();
        let result = meshsim::model::run(
            &plan,
            RunOptions {
                seed: 11,
                replication,
                warmup: Duration::ZERO,
                elision: Elision::On,
                pilot: false,
            },
        );
        let client = &result.clients[0];
        let failures = client.failures_over_time.sums();
        let last = failures
            .iter()
            .rposition(|&count| count > 0)
            .map_or(0.0, |at| (at as f64 + 1.0) * bucket - fails_at);
        let attempts = result.endpoints[1].attempts_over_time.sums();
        let revived = attempts
            .iter()
            .enumerate()
            .position(|(at, &count)| at as f64 * bucket >= 10.0 + late && count > 0);
        (
            client.failures.total(),
            last,
            revived.map_or(f64::NAN, |at| at as f64 * bucket - 5.0 - late),
        )
    };
    (0..60).map(run).collect()
}

fn recorded(cases: &[&str]) -> String {
    let recordings = read(&data("health_checks/recordings.json"));
    let mut found = Vec::new();
    for &case in cases {
        let runs = simulated(case);
        let range = |values: Vec<f64>| {
            values
                .iter()
                .fold((f64::MAX, f64::MIN), |(low, high), &value| (low.min(value), high.max(value)))
        };
        let detected = range(runs.iter().map(|run| run.1).collect());
        let revived = range(runs.iter().map(|run| run.2).collect());
        let errors = runs.iter().map(|run| run.0 as f64).sum::<f64>() / runs.len() as f64;
        let repetitions = recordings["cases"][case]["repetitions"].as_array().expect("it is a list");
        for repetition in repetitions {
            let seconds = |key: &str| repetition[key].as_f64().map(|millis| millis / 1e3);
            let recorded_errors = repetition["errors"].as_f64().expect("a number");
            // A quarter of 400 requests per second, for one interval of 1 s.
            assert!(
                (errors - recorded_errors).abs() <= 100.0,
                "{case}: {errors} errors, recorded {recorded_errors}"
            );
            // Where calls are tried again the last error says little of when the host was taken out.
            if let Some(at) = seconds("failed_at_ms")
                && case != "s3-hang-rr-pertry-retry"
            {
                assert!(
                    at > detected.0 - 0.15 && at < detected.1 + 0.15,
                    "{case}: {at} is not in {detected:?}"
                );
            }
            if let Some(at) = seconds("first_answer_of_revived_host_ms")
                && case != "s3-health503-rr"
            {
                assert!(
                    at > revived.0 - 0.15 && at < revived.1 + 0.15,
                    "{case}: {at} is not in {revived:?}"
                );
            }
        }
        // And none is detected later than one interval after the earliest can be.
        assert!(
            detected.1 - detected.0 <= 1.2 || case == "s3-hang-rr-pertry-retry",
            "{case}: {detected:?}"
        );
        found.push(format!("{case} {errors:.0} errors"));
    }
    format!("{} of {}: {}", cases.len(), cases.len(), found.join(", "))
}

#[test]
fn checks_are_those_of_envoy() {
    println!("{}", envoy_scripts());
}

#[test]
fn checks_are_those_of_haproxy() {
    println!("{}", haproxy_scripts());
}

#[test]
fn failures_are_found_when_the_recorded_ones_were() {
    for row in EVIDENCE.iter().filter(|row| row.against == RECORDED) {
        println!("{}", (row.check)());
    }
}

/// A probe is a request like any other: a full queue makes it wait, and slowness slows it; but it is nobody's request.
#[test]
fn checks_meet_what_requests_meet_and_count_as_none() {
    let scenario = |slots: u32, extra: Value| {
        let mut scenario = json!({
            "apiVersion": "meshsim/v1", "seed": 3, "duration": "20s", "replications": 1,
            "topology": {"services": {"node": {
                "replicas": 2, "concurrency": slots, "operations": {"get": [{"work": "4s"}]}
            }}},
            "clients": {"client": {"call": "node/get", "arrivals": {"constant": {"rate": "1/s"}}}},
            "mesh": {
                "balancer": "envoy/round_robin", "common_lb_config": {"healthy_panic_threshold": 0},
                "health_check": {"interval": "1s", "timeout": "500ms", "unhealthy_threshold": 2}
            }
        });
        for (key, value) in extra.as_object().into_iter().flatten() {
            scenario[key] = value.clone();
        }
        let source = Source::from_text("checks.yaml", scenario.to_string());
        let (loaded, diagnostics) = scenario::load(&source, &Overrides::default());
        let scenario = loaded.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
        let options = RunOptions {
            seed: 3,
            replication: 0,
            warmup: Duration::ZERO,
            elision: Elision::On,
            pilot: false,
        };
        meshsim::model::run(&scenario.variants[0].plan, options)
    };
    // With room for all, the checks pass, and 19 requests make 19 attempts.
    let idle = scenario(100, json!({}));
    assert_eq!(
        (
            idle.clients[0].requests,
            idle.services[0].attempts,
            idle.services[0].ejections
        ),
        (19, 19, 0)
    );
    // With one slot each they wait behind requests of 4 s and time out.
    assert!(scenario(1, json!({})).services[0].ejections > 0);
    // What is slowed by longer than they wait is taken out.
    let slow = json!({"faults": [{"at": "5s", "for": "10s", "slow": {"endpoint": "node/node-0", "add": "1s"}}]});
    assert_eq!(scenario(100, slow).services[0].ejections, 1);
}

/// Envoy's `successful_active_health_check_uneject_host` (reference/failover.md, section 2), through a script.
#[test]
fn a_check_that_passes_brings_an_ejected_endpoint_back() {
    let ejections = |unejects: bool| -> Vec<(f64, String)> {
        let document = json!({"mesh": {
            "health_check": {"interval": "1s", "timeout": "500ms"},
            "outlier_detection": {
                "consecutive_5xx": 2, "max_ejection_percent": 100, "successful_active_health_check_uneject_host": unejects
            }
        }});
        let config = setup::cluster("envoy/round_robin", &[], Some(("mesh", &document.to_string())))
            .unwrap_or_else(|message| panic!("{message}"));
        let script = [
            json!({"op": "endpoints", "endpoints": [{"id": "a"}, {"id": "b"}]}),
            json!({"op": "pick", "count": 4}),
            json!({"op": "done", "endpoint": "a", "status": 503}),
            json!({"op": "done", "endpoint": "a", "status": 503}),
            // A check that fails does not help, one of another endpoint neither.
            json!({"op": "check", "t": 1.0, "endpoint": "b", "status": 200}),
            json!({"op": "tick", "t": 1.5}),
            json!({"op": "check", "t": 2.5, "endpoint": "a", "status": 200}),
            json!({"op": "tick", "t": 2.6}),
        ];
        let text: String = script.iter().map(|line| format!("{line}\n")).collect();
        let lines = output(config, 1, &text);
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("it prints JSON"));
        let turn = |line: Value| {
            let name = ["eject", "uneject"].into_iter().find(|name| !line[*name].is_null())?;
            Some((line["t"].as_f64()?, format!("{name} {}", line[name].as_str()?)))
        };
        lines.filter_map(turn).collect()
    };
    assert_eq!(
        ejections(true),
        [(0.0, "eject a".to_string()), (2.5, "uneject a".to_string())]
    );
    assert_eq!(ejections(false), [(0.0, "eject a".to_string())]);
}

/// The same in a simulation: requests fail, connections do not, so each check brings the endpoint back.
#[test]
fn checks_by_connection_bring_endpoints_back_whose_requests_fail() {
    let ejections = |unejects: bool| {
        let scenario = json!({
            "apiVersion": "meshsim/v1",
            "duration": "30s",
            "topology": {"services": {"node": {"replicas": 2, "operations": {"get": [{"work": "1ms"}]}}}},
            "clients": {"client": {"call": "node/get", "arrivals": {"constant": {"rate": "100/s"}}}},
            "faults": [{"at": "5s", "for": "20s", "errors": {"endpoint": "node/node-0", "share": "100%"}}],
            "mesh": {
                "balancer": "envoy/round_robin",
                "health_check": {"interval": "1s", "timeout": "500ms", "tcp_health_check": {}},
                "outlier_detection": {
                    "consecutive_5xx": 5, "base_ejection_time": "60s", "max_ejection_percent": 50,
                    "successful_active_health_check_uneject_host": unejects
                }
            }
        });
        let source = Source::from_text("checks.yaml", scenario.to_string());
        let (loaded, diagnostics) = scenario::load(&source, &Overrides::default());
        let scenario = loaded.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
        let options = |elision| RunOptions {
            seed: 3,
            replication: 0,
            warmup: Duration::ZERO,
            elision,
            pilot: false,
        };
        let [on, off] = [Elision::On, Elision::Off].map(|elision| {
            let result = meshsim::model::run(&scenario.variants[0].plan, options(elision));
            (result.services[0].ejections, result.clients[0].failures.total())
        });
        assert_eq!(on, off);
        on
    };
    // One more or less by the moment of the checks: five failures take a tenth of a second, and a check comes each second.
    let (back, failures) = ejections(true);
    assert!(
        (20..=21).contains(&back) && (5 * back..5 * back + 5).contains(&failures),
        "{back} ejections, {failures} failures"
    );
    assert_eq!(ejections(false), (1, 5));
}
