//! What is said of results, against answers that are known: intervals cover them as often as they say, replications are added until figures are
//! known well, runs that are not steady are told.

use meshsim::experiment::{Cell, Experiment};
use meshsim::math::ln;
use meshsim::report::summary::{Summary, Value, VariantSummary};
use meshsim::report::{Extent, Results};
use meshsim::scenario::{self, Overrides, Scenario, Source};
use rayon::prelude::*;

fn load(text: &str) -> Scenario {
    let text = format!("apiVersion: meshsim/v1\nname: statistics\n{text}");
    let (scenario, diagnostics) = scenario::load(&Source::from_text("statistics.yaml", text), &Overrides::default());
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    scenario.expect("without diagnostics there is a scenario")
}

fn summary(scenario: &Scenario, threads: usize) -> Summary {
    Results::new(scenario, &Experiment::of(scenario).run(threads, |_| ())).summary
}

/// A station and Poisson arrivals at it; the mean service time is a millisecond.
fn station(run: &str, service: &str, rate: f64, more: &str) -> String {
    format!(
        "{run}
topology: {{services: {{api: {{replicas: 1, {service}, operations: {{get: [{{work: {{exponential: {{mean: 1ms}}}}}}]}}}}}}}}
clients: {{web: {{call: api/get, arrivals: {{poisson: {{rate: {rate}/s}}}}}}}}
{more}
"
    )
}

const UNLIMITED: &str = "concurrency: 1, queue: {limit: unlimited}";

/// How many experiments a coverage is counted over: its standard error is 0.6 points at 95 %, so that 93 to 97 % are 3.3 of them.
const EXPERIMENTS: u64 = 1_300;

/// How often the interval that `of` finds covers `truth`, over independent experiments that find one at all (which is nearly all).
fn coverages<const N: usize>(scenario: &Scenario, truths: [f64; N], of: impl Fn(&Summary) -> [Value; N] + Sync) -> [f64; N] {
    let outcomes: Vec<[Option<bool>; N]> = (0..EXPERIMENTS)
        .into_par_iter()
        .map(|experiment| {
            let scenario = Scenario {
                seed: 1_000_000 + experiment,
                ..scenario.clone()
            };
            let found = of(&summary(&scenario, 1));
            std::array::from_fn(|index| {
                found[index]
                    .ci95
                    .map(|[low, high]| low <= truths[index] && truths[index] <= high)
            })
        })
        .collect();
    std::array::from_fn(|index| {
        let told: Vec<bool> = outcomes.iter().filter_map(|outcome| outcome[index]).collect();
        assert!(told.len() as f64 >= 0.95 * EXPERIMENTS as f64, "{} intervals", told.len());
        told.iter().filter(|&&covers| covers).count() as f64 / told.len() as f64
    })
}

fn assert_calibrated(what: &[&str], coverages: &[f64]) {
    for (what, coverage) in what.iter().zip(coverages) {
        assert!(
            (0.93..=0.97).contains(coverage),
            "95 % intervals of {what} cover it {:.1} % of the time",
            coverage * 100.0
        );
    }
}

fn latency(variant: &VariantSummary, name: &str) -> Value {
    let client = variant.clients.get("web").expect("the client");
    client.latency_seconds.get(name).expect("a figure").clone()
}

#[test]
fn intervals_of_means_and_quantiles_cover_the_truth() {
    // M/M/1 at half load: stays are exponential with rate mu - lambda = 500/s. It settles in 12 ms (relaxation time).
    let run = "duration: 2620ms\nwarmup: 120ms\nreplications: 10";
    let scenario = load(&station(run, UNLIMITED, 500.0, ""));
    let truths = [1.0 / 500.0, ln(2.0) / 500.0, ln(10.0) / 500.0, ln(100.0) / 500.0, 0.5, 1.0];
    let covered = coverages(&scenario, truths, |summary| {
        let variant = &summary.variants[0];
        let api = variant.services.get("api").expect("the service");
        [
            latency(variant, "mean"),
            latency(variant, "p50"),
            latency(variant, "p90"),
            latency(variant, "p99"),
            api.utilization_ratio.clone(),
            api.in_flight.clone(),
        ]
    });
    assert_calibrated(&["mean", "p50", "p90", "p99", "utilization", "in flight"], &covered);
}

#[test]
fn intervals_cover_the_truth_at_high_load() {
    // M/M/4 at 80 % load: Erlang's C(4, 3.2) = 0.5964; the wait is that over 4 mu - lambda = 800/s. It settles in 22 ms.
    let run = "duration: 1100ms\nwarmup: 250ms\nreplications: 10";
    let scenario = load(&station(run, "concurrency: 4, queue: {limit: unlimited}", 3200.0, ""));
    let terms = [1.0, 3.2, 3.2 * 3.2 / 2.0, 3.2 * 3.2 * 3.2 / 6.0];
    let last = 3.2 * 3.2 * 3.2 * 3.2 / 24.0 / (1.0 - 0.8);
    let waits = last / (terms.iter().sum::<f64>() + last);
    let covered = coverages(&scenario, [0.001 + waits / 800.0, waits, waits / 800.0, 0.8], |summary| {
        let variant = &summary.variants[0];
        let api = variant.services.get("api").expect("the service");
        [
            latency(variant, "mean"),
            api.waited_ratio.clone(),
            api.queue_wait_seconds.get("mean").expect("a mean").clone(),
            api.utilization_ratio.clone(),
        ]
    });
    assert_calibrated(&["mean", "share that waits", "mean wait", "utilization"], &covered);
}

#[test]
fn intervals_of_availability_cover_the_truth() {
    // M/M/1/5 at 80 % load loses (1 - rho) rho^5 / (1 - rho^6) of requests: 8.9 %. Erlang's loss of one slot at half load: a third.
    let run = "duration: 1300ms\nwarmup: 300ms\nreplications: 10";
    let power = |rho: f64, places: usize| (0..places).map(|_| rho).product::<f64>();
    let blocking = |rho: f64, places| (1.0 - rho) * power(rho, places) / (1.0 - power(rho, places + 1));
    for (service, rate, lost) in [
        ("concurrency: 1, queue: {limit: 4}", 800.0, blocking(0.8, 5)),
        ("concurrency: 1, queue: {limit: 0}", 500.0, 1.0 / 3.0),
    ] {
        let scenario = load(&station(run, service, rate, ""));
        let covered = coverages(&scenario, [1.0 - lost], |summary| {
            [summary.variants[0]
                .clients
                .get("web")
                .expect("the client")
                .availability_ratio
                .clone()]
        });
        assert_calibrated(&[&format!("availability with {lost:.4} lost")], &covered);
    }
    // Losses so rare that some replications have none, and in bursts: 0.8 %, by Wilson over the effective number of trials. How much losses come
    // together is an estimate from ten replications, and Student's quantile for it errs on the safe side (97.5 % here).
    let scenario = load(&station(run, "concurrency: 1, queue: {limit: 5}", 500.0, ""));
    let covered = coverages(&scenario, [1.0 - blocking(0.5, 6)], |summary| {
        [summary.variants[0]
            .clients
            .get("web")
            .expect("the client")
            .availability_ratio
            .clone()]
    });
    assert!((0.93..=0.99).contains(&covered[0]), "rare bursts of losses: {covered:?}");
}

#[test]
fn intervals_of_paired_differences_cover_the_truth() {
    // Under the same traffic: M/M/1 at half load (2 ms), at 40 % (1 / (1250 - 500)), and M/D/1 (1 ms and a wait of half a millisecond).
    let patch = |work: &str| format!("{{topology: {{services: {{api: {{operations: {{get: [{{work: {work}}}]}}}}}}}}}}");
    let variants = format!(
        "variants:\n  half: {{}}\n  quicker: {}\n",
        patch("{exponential: {mean: 800us}}")
    );
    let run = "duration: 2620ms\nwarmup: 120ms\nreplications: 10";
    let compared = |summary: &Summary, metric: &str| {
        let metric = format!("web.latency_seconds.{metric}");
        let found = summary.comparisons.iter().find(|comparison| comparison.metric == metric);
        found.expect("a comparison").difference.clone()
    };
    let scenario = load(&station(run, UNLIMITED, 500.0, &variants));
    let slower = 1.0 / 500.0 - 1.0 / 750.0;
    let truths = [-slower, -slower * ln(2.0), -slower * ln(10.0)];
    let covered = coverages(&scenario, truths, |summary| {
        ["mean", "p50", "p90"].map(|name| compared(summary, name))
    });
    assert_calibrated(&["difference of means", "of p50", "of p90"], &covered);

    let variants = format!("variants:\n  half: {{}}\n  constant: {}\n", patch("1ms"));
    let scenario = load(&station(run, UNLIMITED, 500.0, &variants));
    let covered = coverages(&scenario, [-0.0005], |summary| [compared(summary, "mean")]);
    assert_calibrated(&["difference of M/D/1 and M/M/1"], &covered);
}

/// Three balancers before four slots at 70 % load, the second of them as good as the third.
const THREE: &str = "
duration: 20s
warmup: 1s
replications: 3
topology: {services: {api: {replicas: 4, concurrency: 1, queue: {limit: unlimited}, operations: {get: [{work: {exponential: {mean: 10ms}}}]}}}}
clients: {web: {call: api/get, arrivals: {poisson: {rate: 280/s}}}}
variants:
  random: {mesh: {balancer: envoy/random}}
  jsq: {mesh: {balancer: research/jsq}}
  full_scan: {mesh: {balancer: {envoy/least_request: {selection_method: full_scan}}}}
";

#[test]
fn replications_are_added_until_figures_are_known() {
    let scenario = load(&format!("{THREE}precision: {{p90: 3%, mean(random): 2.5%}}\n"));
    let outcome = Experiment::of(&scenario).run(2, |_| ());
    let replications = outcome.replications();
    assert!((11..200).contains(&replications), "{replications}");
    // The same with other numbers of threads, which run ahead by other numbers of cells; and with that number asked for.
    for threads in [1, 5] {
        assert_eq!(Experiment::of(&scenario).run(threads, |_| ()), outcome, "{threads} threads");
    }
    let fixed = load(&THREE.replace("replications: 3", &format!("replications: {replications}")));
    assert_eq!(Experiment::of(&fixed).run(2, |_| ()).variants, outcome.variants);
    let results = Results::new(&scenario, &outcome);
    let summary = &results.summary;
    assert_eq!((summary.replications, summary.precision.len()), (replications, 4));
    for precision in &summary.precision {
        let reached = precision.reached_ratio.expect("a precision");
        assert!(
            precision.met && reached <= precision.wanted_ratio / (1.0 + precision.wanted_ratio),
            "{precision:?}"
        );
    }
    // It is the interval of the table that is so narrow.
    let p90 = latency(&summary.variants[0], "p90");
    let [low, high] = p90.ci95.expect("an interval");
    let relative = (high - low) / 2.0 / p90.value.expect("a figure");
    let told = summary
        .precision
        .iter()
        .find(|precision| precision.metric == "p90(random)")
        .expect("told");
    assert!(
        (told.reached_ratio.expect("told") - relative).abs() < 1e-9,
        "{relative} {told:?}"
    );
    // One replication fewer was not enough.
    let fewer = load(&format!(
        "{}precision: {{p90: 3%, mean(random): 2.5%}}\nstatistics: {{max_replications: {}}}\n",
        THREE,
        replications - 1
    ));
    let results = Results::new(&fewer, &Experiment::of(&fewer).run(2, |_| ()));
    assert_eq!(results.summary.replications, replications - 1);
    assert!(
        results
            .summary
            .warnings
            .iter()
            .any(|warning| warning.starts_with("precision not reached: "))
    );
    assert!(results.summary.precision.iter().any(|precision| !precision.met));
}

#[test]
fn the_best_is_selected_and_equals_are_not_told_apart() {
    let scenario = load(&format!("{THREE}statistics: {{select: p90, indifference: 5%}}\n"));
    let summary = summary(&scenario, 2);
    let selection = summary.selection.as_ref().expect("a search");
    assert!(
        selection.found && ["jsq", "full_scan"].contains(&selection.best.as_str()),
        "{selection:?}"
    );
    assert!(selection.left_after_replications.get("random").is_some());
    let comparison = |a: &str, b: &str| {
        let is_it =
            |c: &&meshsim::report::summary::ComparisonSummary| c.a == a && c.b == b && c.metric == "web.latency_seconds.p90";
        summary.comparisons.iter().find(is_it).expect("they are compared")
    };
    let apart = comparison("jsq", "random");
    assert_eq!((apart.verdict.as_str(), apart.statement.as_str()), ("lower", "better"));
    assert!(apart.p_value.value.expect("it varies") < 0.001);
    let saved = apart.variance_saved_ratio.value.expect("it varies");
    let correlation = apart.correlation.value.expect("it varies");
    assert!(
        saved <= correlation && correlation > 0.0,
        "2 cov / (var + var) is at most the correlation: {saved} {correlation}"
    );
    let equal = comparison("full_scan", "jsq");
    assert_eq!(
        (equal.verdict.as_str(), equal.statement.as_str()),
        ("no difference", "no difference above 5.0 %")
    );
    let ranking = summary
        .rankings
        .iter()
        .find(|ranking| ranking.metric == "web.latency_seconds.p90");
    let ranks: Vec<_> = ranking
        .expect("a ranking")
        .variants
        .iter()
        .map(|rank| (rank.rank, rank.group.as_str()))
        .collect();
    assert_eq!(ranks, [([1, 2], "a"), ([1, 2], "a"), ([3, 3], "b")]);
}

#[test]
fn a_zone_of_indifference_says_how_many_replications_would_tell() {
    let scenario = load(&format!("{THREE}statistics: {{indifference: 0.01%}}\n"));
    let summary = summary(&scenario, 2);
    let open: Vec<_> = summary
        .comparisons
        .iter()
        .filter(|comparison| comparison.verdict == "undecided")
        .collect();
    assert!(!open.is_empty());
    for comparison in open {
        assert!(comparison.statement.starts_with("undecided: "), "{}", comparison.statement);
        if let Some(more) = comparison.replications_needed {
            assert!(
                comparison.statement.contains(&format!("about {more} more replication")),
                "{}",
                comparison.statement
            );
        }
    }
}

/// Every figure with an interval in a document.
fn each_figure(value: &serde_json::Value, found: &mut Vec<serde_json::Map<String, serde_json::Value>>) {
    match value {
        serde_json::Value::Object(map) if map.contains_key("ci95") => found.push(map.clone()),
        serde_json::Value::Object(map) => map.values().for_each(|value| each_figure(value, found)),
        serde_json::Value::Array(items) => items.iter().for_each(|value| each_figure(value, found)),
        _ => {}
    }
}

#[test]
fn every_interval_tells_its_method_and_every_missing_quantile_its_need() {
    for (more, usual) in [("", "sectioning"), ("statistics: {interval: bootstrap}\n", "bootstrap_t")] {
        let text = THREE
            .replace("replications: 3", "replications: 10")
            .replace("duration: 20s", "duration: 6s");
        let scenario = load(&format!("{text}expect: [p99(random) between 2s and 4s < 1h]\n{more}"));
        let results = Results::new(&scenario, &Experiment::of(&scenario).run(2, |_| ()));
        let files = results.files(Extent::Data);
        let document: serde_json::Value = serde_json::from_slice(&files.last().expect("files").1).expect("JSON");
        let mut figures = Vec::new();
        each_figure(&document, &mut figures);
        assert!(figures.len() > 100);
        for figure in &figures {
            assert!(
                figure["n"].as_u64().is_some_and(|n| n == 10) && figure["method"].is_string(),
                "{figure:?}"
            );
        }
        let p50 = latency(&results.summary.variants[0], "p50");
        assert_eq!(p50.method.as_deref(), Some(usual));
        // 14,000 requests bear a 99th percentile, and no 99.9th: that needs 100 beyond it. The window of two seconds bears neither.
        let variant = &results.summary.variants[0];
        let short = latency(variant, "p99.9");
        assert_eq!((short.value, short.needs), (None, Some(100_000)));
        assert!(latency(variant, "p99").value.is_some());
        let window = variant.windows.get("between 2s and 4s").expect("the window");
        let p99 = window
            .clients
            .get("web")
            .and_then(|web| web.latency_seconds.get("p99"))
            .expect("a figure");
        assert_eq!((p99.value, p99.needs), (None, Some(10_000)));
        let edge = variant.edges.iter().next().expect("an edge").1;
        assert_eq!(
            edge.latency_seconds.get("p99.99").and_then(|figure| figure.needs),
            Some(1_000_000)
        );
        let csv = String::from_utf8(files[0].1.clone()).expect("text");
        assert!(
            csv.contains("random,client,web,latency_seconds.p99.9,,,,,\n"),
            "an empty value"
        );
        assert!(csv.contains(&format!(",10,{usual}\n")));
    }
}

#[test]
fn services_that_are_offered_too_much_are_told() {
    let warnings = |service: &str, rate: f64, more: &str| {
        let run = "duration: 60s\nwarmup: 5s\nreplications: 10";
        summary(&load(&station(run, service, rate, more)), 2).warnings
    };
    // 1120 a second at a station that serves 1000.
    let found = warnings(UNLIMITED, 1120.0, "");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("api is offered 1.12 of what it can serve; its queue grows without bound"),
        "{found:?}"
    );
    // With a short queue what is beyond is refused, and that is steady.
    let found = warnings("concurrency: 1, queue: {limit: 10}", 1120.0, "");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("api is offered 1.1") && found[0].ends_with(" of what it can serve"),
        "{found:?}"
    );
    // And where the load can be borne there is nothing to tell, at high load either.
    assert_eq!(warnings(UNLIMITED, 800.0, ""), [] as [String; 0]);
    assert_eq!(
        warnings("concurrency: 4, queue: {limit: unlimited}", 3200.0, ""),
        [] as [String; 0]
    );
    // Nor where nothing is limited.
    assert_eq!(warnings("concurrency: unlimited", 3200.0, ""), [] as [String; 0]);
}

#[test]
fn an_endpoint_that_is_too_slow_for_its_share_is_told() {
    let scenario = load(
        "
duration: 60s
warmup: 5s
replications: 10
topology: {services: {api: {concurrency: 1, queue: {limit: unlimited}, endpoints: [{name: quick, speed: 2.0}, {name: slow, speed: 0.5}], operations: {get: [{work: {exponential: {mean: 1ms}}}]}}}}
clients: {web: {call: api/get, arrivals: {poisson: {rate: 1200/s}}}}
mesh: {balancer: envoy/round_robin}
",
    );
    let summary = summary(&scenario, 2);
    let [warning] = &summary.warnings[..] else {
        panic!("one warning: {:?}", summary.warnings);
    };
    assert!(
        warning.starts_with("slow of api is busy all the time: its queue grows without bound"),
        "{warning}"
    );
}

#[test]
fn littles_law_holds_in_a_steady_state() {
    let run = "duration: 60s\nwarmup: 5s\nreplications: 10";
    let scenario = load(&station(run, UNLIMITED, 700.0, ""));
    let summary = summary(&scenario, 2);
    let api = summary.variants[0].services.get("api").expect("the service");
    let ratio = api.little_ratio.value.expect("nothing failed");
    assert!((ratio - 1.0).abs() < 0.01, "{ratio}");
    let offered = api.offered_ratio.clone();
    assert!((offered.value.expect("it has a limit") - 0.7).abs() < 0.01, "{offered:?}");
}

#[test]
fn a_warm_up_that_is_not_over_fails_loudly() {
    let run = "duration: 20s\nwarmup: auto\nreplications: 5";
    let scenario = load(&station(run, UNLIMITED, 1200.0, ""));
    let warnings = summary(&scenario, 2).warnings;
    assert!(
        warnings
            .iter()
            .any(|warning| warning.starts_with("variant `default` had not settled") && warning.contains("twice the --duration")),
        "{warnings:?}"
    );
    let settled = load(&station(
        "duration: 20s\nwarmup: auto\nreplications: 10",
        UNLIMITED,
        500.0,
        "",
    ));
    let found = summary(&settled, 2);
    assert_eq!(found.warnings, [] as [String; 0]);
    assert!(found.variants[0].warmup_seconds < 2.0, "{}", found.variants[0].warmup_seconds);
}

#[test]
fn what_is_wrong_about_precision_is_said() {
    let wrong = [
        ("precision: {p98: 2%}", "there is no metric `p98`"),
        (
            "precision: {p99(random) - p50(random): 2%}",
            "nothing is expected after the comparison",
        ),
        (
            "precision: {'p99(random, client nobody)': 2%}",
            "no client is called `nobody`",
        ),
        ("precision: {p99: 0%}", "above 0 and below 100%"),
        ("precision: {p99: 120%}", "from 0% to 100%"),
        ("precision: {p99 during lunch: 2%}", "there is no fault `lunch`"),
        ("statistics: {select: p99}", "which differences do not matter"),
        ("statistics: {select: p99(random), indifference: 2%}", "must name none"),
        ("statistics: {interval: guess}", "guess"),
        ("statistics: {max_replications: 0}", "at least 1"),
        ("statistics: {indiference: 2%}", "indifference"),
    ];
    for (line, part) in wrong {
        let text = format!("apiVersion: meshsim/v1\n{THREE}{line}\n");
        let (found, diagnostics) = scenario::load(&Source::from_text("wrong.yaml", text), &Overrides::default());
        let shown = diagnostics.render(false);
        assert!(found.is_none() && shown.contains(part), "{line}: {shown}");
    }
}

#[test]
fn the_command_line_says_the_same_as_the_file() {
    let overrides = Overrides {
        precision: vec![
            ("p90".to_string(), "3%".to_string()),
            ("mean(random)".to_string(), "2.5%".to_string()),
        ],
        max_replications: Some(40),
        indifference: Some("2%".to_string()),
        interval: Some("bootstrap".to_string()),
        select: Some("p99".to_string()),
        ..Overrides::default()
    };
    let text = format!("apiVersion: meshsim/v1\nname: statistics\n{THREE}");
    let (said, diagnostics) = scenario::load(&Source::from_text("said.yaml", text), &overrides);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    let written = load(&format!(
        "{THREE}precision: {{p90: 3%, mean(random): 2.5%}}\nstatistics: {{max_replications: 40, indifference: 2%, interval: bootstrap, select: p99}}\n"
    ));
    assert_eq!(said.expect("a scenario").statistics, written.statistics);
    assert_eq!(written.statistics.precision.len(), 4);
    let first = Cell {
        variant: 0,
        replication: 0,
    };
    assert_eq!(Experiment::of(&written).cells()[0], first);
}
