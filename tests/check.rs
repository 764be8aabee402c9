//! `check`: what it decides, what it compares with, and how it tells a CI.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::program::{meshsim_in, text};

/// Its expectations come behind it.
const TINY: &str = "\
apiVersion: meshsim/v1
name: tiny
description: Which one?
seed: 3
duration: 20s
replications: 5
topology:
  services:
    s:
      endpoints: [{name: a-0}, {name: a-1, speed: 0.5}]
      concurrency: 1
      operations:
        get: [{work: {exponential: {mean: 4ms}}}]
clients:
  web:
    call: s/get
    arrivals: {poisson: {rate: 100/s}}
mesh: {balancer: envoy/random}
variants:
  random: {}
  least_request: {mesh: {balancer: envoy/least_request}}
expect:
";

const HOLDS: &str = "  - p90(least_request) < p90(random)\n";

fn command(folder: &Path, expect: &str, arguments: &[&str]) -> Command {
    fs::write(folder.join("tiny.yaml"), format!("{TINY}{expect}")).expect("a file");
    let mut command = meshsim_in(folder);
    command.args(arguments);
    command
}

fn check(folder: &Path, expect: &str, arguments: &[&str]) -> Output {
    let all = [&["check", "tiny.yaml", "--quiet", "--no-report"], arguments].concat();
    command(folder, expect, &all).output().expect("meshsim starts")
}

/// The document of `--format json`.
fn document(folder: &Path, expect: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = check(folder, expect, &[&["--format", "json"], arguments].concat());
    let document = serde_json::from_slice(&output.stdout);
    let document = document.unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    (output.status.code(), document)
}

#[test]
fn exit_codes_are_those_of_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::write(folder.join("file"), "").expect("a file");
    for (expect, arguments, code, word) in [
        (HOLDS, &[][..], 0, "holds  p90(least_request) < p90(random)"),
        ("  - p90(random) < 1ms\n", &[], 1, "FAILS  p90(random) < 1ms"),
        ("  - p99.99(random) < 1s\n", &[], 1, "undecided  p99.99(random) < 1s"),
        (HOLDS, &["--replications", "1"], 1, "about 9 more replications would tell"),
        ("  - p90(ranodm) < 1ms\n", &[], 2, "did you mean `random`?"),
        (HOLDS, &["--tolerance", "5%"], 2, "--baseline"),
        (HOLDS, &["--baseline", "b", "--tolerance", "p98=5%"], 2, "p99.9"),
        (HOLDS, &["--baseline", "b", "--tolerance", "500%"], 2, "from 0% to 100%"),
        (HOLDS, &["--update-baseline"], 2, "--baseline"),
        (HOLDS, &["--baseline", "results"], 2, "overwrite"),
        (HOLDS, &["--junit", "file/below.xml"], 3, "file/below.xml"),
        (HOLDS, &["--baseline", "nowhere"], 3, "--update-baseline"),
        (HOLDS, &["-o", "file"], 3, "file"),
        // What was left out on purpose is no failure.
        (
            HOLDS,
            &["--variant", "random"],
            0,
            "skipped  p90(least_request) < p90(random)",
        ),
    ] {
        let output = check(folder, expect, arguments);
        let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{expect}{arguments:?}: {all}");
        assert!(all.contains(word), "{arguments:?}: {all}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_it_with_130_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = [
        "check",
        "tiny.yaml",
        "--duration",
        "2h",
        "--replications",
        "50",
        "--junit",
        "junit.xml",
    ];
    let child = command(folder.path(), HOLDS, &arguments)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("meshsim starts");
    // It runs for minutes if nobody interrupts it. A signal before it listens would end it as well, but not with 130.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(status.expect("kill is there").success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("interrupted"));
    assert!(!folder.path().join("results").exists() && !folder.path().join("junit.xml").exists());
}

#[test]
fn the_document_says_what_was_decided_and_where_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let expect = "  - p90(least_request) < p90(random)\n  - \"availability >= 100%\"\n  - requests(random, s/a-0) > 1e6\n";
    let (code, document) = document(folder.path(), expect, &[]);
    assert_eq!(code, Some(1));
    assert_eq!(
        (&document["schema"], &document["verdict"]),
        (&"meshsim/check/v1".into(), &"failed".into())
    );
    let scenario = &document["scenarios"][0];
    assert_eq!(
        (&scenario["scenario"], &scenario["file"]),
        (&"tiny".into(), &"tiny.yaml".into())
    );
    let lines = scenario["expectations"].as_array().expect("a list");
    let verdicts: Vec<&Value> = lines.iter().map(|line| &line["verdict"]).collect();
    assert_eq!(verdicts, ["holds", "holds", "holds", "fails"]);
    // A line that names no variant is meant of each.
    assert_eq!(
        (&lines[1]["variant"], &lines[2]["variant"]),
        (&"random".into(), &"least_request".into())
    );
    let place = |line: &Value| [&line["line"], &line["column"], &line["end_column"]].map(|number| number.as_u64());
    assert_eq!(place(&lines[0]), [Some(23), Some(5), Some(37)]);
    assert_eq!(place(&lines[3]), [Some(25), Some(5), Some(34)]);
    assert_eq!((&lines[0]["unit"], &lines[1]["unit"]), (&"seconds".into(), &"ratio".into()));
    let ends = lines[0]["left"]["ci95"].as_array().expect("an interval");
    assert!(ends[0].as_f64() < lines[0]["left"]["value"].as_f64() && lines[0]["left"]["value"].as_f64() < ends[1].as_f64());
    // An endpoint's requests are those of the summary, which adds them up.
    let summary = fs::read(folder.path().join("results/tiny/summary.json")).expect("a summary");
    let summary: Value = serde_json::from_slice(&summary).expect("JSON");
    let total = &summary["variants"][0]["services"]["s"]["endpoints"]["a-0"]["requests_total"]["value"];
    let mean = lines[3]["left"]["value"].as_f64().expect("a number");
    assert!(
        (mean * 5.0 - total.as_f64().expect("a number")).abs() < 1e-6,
        "{mean} and {total}"
    );

    let csv = check(folder.path(), expect, &["--format", "csv"]).stdout;
    let csv = text(&csv);
    assert_eq!(csv.lines().count(), 5, "{csv}");
    assert!(
        csv.contains("tiny,expectation,,\"requests(random, s/a-0) > 1e6\",fails,"),
        "{csv}"
    );
    let markdown = check(folder.path(), expect, &["--format", "markdown"]).stdout;
    assert!(
        text(&markdown).contains("| ❌ fails | requests(random, s/a-0) > 1e6 |"),
        "{}",
        text(&markdown)
    );
}

#[test]
fn what_is_expected_of_the_same_thing_agrees() {
    let folder = tempfile::tempdir().expect("a folder");
    // Identities, so that each line checks one metric by others.
    let lines = [
        "error_rate(random) == 1 - availability(random)",
        "rate(random) * 20s == requests(random)",
        "goodput(random) == rate(random) within 0.001%",
        "requests(random, s/a-0) + requests(random, s/a-1) == requests(random, s)",
        "requests(random, web->s/get) == requests(random, web)",
        "max(p90(random), p50(random)) == p90(random)",
        "abs(p50(random) - p90(random)) == p90(random) - p50(random)",
        "utilization(random, service s) * 2 == utilization(random, s/a-0) + utilization(random, s/a-1) within 1e-9",
        "2 * rate(random) between 5s and 10s > 100/s",
        "rate(random) after 10s == requests(random) after 10s / 10s within 0.001%",
        "p50(random) != p50(least_request)",
        "(p90(random) - p90(least_request)) / p90(least_request) > 5 %",
    ];
    let expect: String = lines.iter().map(|line| format!("  - {line}\n")).collect();
    let (code, document) = document(folder.path(), &expect, &[]);
    for line in document["scenarios"][0]["expectations"].as_array().expect("a list") {
        assert_eq!(line["verdict"], "holds", "{line}");
    }
    assert_eq!(code, Some(0));
    let output = check(folder.path(), "  - mean(least_request, s/a-0) < 1s\n", &[]);
    assert_eq!(output.status.code(), Some(2), "an endpoint has no latency");
    let (code, document) = self::document(folder.path(), "  - requests(random) / failures(random) > 1\n", &[]);
    assert_eq!(code, Some(1));
    let line = &document["scenarios"][0]["expectations"][0];
    assert_eq!(
        (&line["verdict"], &line["reason"]),
        (&"undecided".into(), &"it divides by zero in some replication".into())
    );
}

#[test]
fn too_few_requests_do_not_show_that_none_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    // 10,000 requests without a failure: Wilson's lower bound is 1 - z²/(n + z²) = 99.96 %.
    let (_, document) = document(
        folder.path(),
        "  - availability(random) > 99.9%\n  - availability(random) > 99.99%\n  - availability(random) >= 100%\n",
        &[],
    );
    let lines = document["scenarios"][0]["expectations"].as_array().expect("a list");
    assert_eq!(lines[0]["verdict"], "holds");
    assert_eq!(lines[1]["verdict"], "undecided");
    // 99.99 % needs n = z² (1/0.0001 - 1) = 38,411 requests: 19.2 replications of 2,000, and there are 5 of about 1,990.
    let more = lines[1]["more_replications"].as_u64().expect("a number");
    assert!((14..=16).contains(&more), "{more}");
    assert_eq!(lines[2]["verdict"], "holds", "no failure was seen in any replication");
}

#[test]
fn junit_has_a_case_for_each_line_and_the_same_bytes_whatever_the_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let expect = "  - p90(least_request) < p90(random)\n  - p90(random) < 1ms\n  - p99.99(random) < 1s\n";
    let junit = |threads: &str| {
        let output = check(folder.path(), expect, &["--junit", "deep/junit.xml", "--threads", threads]);
        assert_eq!(output.status.code(), Some(1));
        fs::read_to_string(folder.path().join("deep/junit.xml")).expect("a report")
    };
    let xml = junit("1");
    for part in [
        "<testsuite name=\"tiny\" tests=\"3\"",
        "failures=\"2\"",
        "<testcase name=\"p90(least_request) &lt; p90(random)\" classname=\"tiny\"/>",
        "type=\"failed\">tiny.yaml:24:5: p90(random) &lt; 1ms (",
        "type=\"undecided\">tiny.yaml:25:5: p99.99(random) &lt; 1s (",
    ] {
        assert!(xml.contains(part), "{part} is not in {xml}");
    }
    assert_eq!(xml, junit("2"));
}

#[test]
fn actions_get_annotations_and_a_step_summary() {
    let folder = tempfile::tempdir().expect("a folder");
    let summary = folder.path().join("summary.md");
    let arguments = ["check", "tiny.yaml", "--quiet", "--no-report"];
    let output = command(folder.path(), "  - p90(random) < 0.1%*1s\n", &arguments)
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .expect("meshsim starts");
    assert_eq!(output.status.code(), Some(1));
    let talk = text(&output.stderr);
    let annotation =
        "::error file=tiny.yaml,title=tiny%3A expectation fails,line=23,col=5,endColumn=26::p90(random) < 0.1%25*1s (";
    assert!(talk.contains(annotation), "{talk}");
    let markdown = fs::read_to_string(&summary).expect("a summary");
    assert!(
        markdown.contains("| least_request") && markdown.contains("| ❌ fails | p90(random) < 0.1%*1s |"),
        "{markdown}"
    );
    // What ends the program is one, too.
    let output = command(
        folder.path(),
        HOLDS,
        &["check", "tiny.yaml", "--quiet", "--baseline", "no,where"],
    )
    .env("GITHUB_ACTIONS", "true")
    .output()
    .expect("meshsim starts");
    assert_eq!(output.status.code(), Some(3));
    assert!(
        text(&output.stderr).contains("\n::error title=meshsim::cannot read the baseline"),
        "{}",
        text(&output.stderr)
    );
    // Elsewhere there are none.
    assert!(!text(&check(folder.path(), "  - p90(random) < 1ms\n", &[]).stderr).contains("::error"));
}

#[test]
fn a_baseline_tells_what_is_worse() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let with = |arguments: &[&str]| document(folder, HOLDS, &[&["--baseline", "base"], arguments].concat());
    assert_eq!(with(&["--update-baseline"]).0, Some(0));
    let mut names: Vec<_> = fs::read_dir(folder.join("base/tiny"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["replications.csv", "summary.json"]);

    // The same again is the same, and no figure is looked at.
    let (code, same) = with(&["--threads", "2"]);
    let baseline = &same["scenarios"][0]["baseline"];
    assert_eq!(code, Some(0));
    assert_eq!(baseline["identical"], serde_json::json!(["random", "least_request"]));
    assert_eq!(baseline["comparisons"], serde_json::json!([]));

    // Twice the work is worse; in pairs, as the traffic is the same.
    let slower = ["--set", "topology.services.s.operations.get[0].work.exponential.mean=5ms"];
    let (code, worse) = with(&slower);
    assert_eq!((code, &worse["verdict"]), (Some(1), &"failed".into()));
    let lines = worse["scenarios"][0]["baseline"]["comparisons"]
        .as_array()
        .expect("a list")
        .clone();
    let of = |metric: &str| {
        lines
            .iter()
            .find(|line| line["metric"] == metric && line["variant"] == "random")
            .expect(metric)
    };
    assert_eq!(
        (&of("mean(web)")["verdict"], &of("mean(web)")["paired"]),
        (&"regressed".into(), &true.into())
    );
    assert_eq!(of("availability(web)")["verdict"], "unchanged");
    let notes = worse["scenarios"][0]["baseline"]["notes"].to_string();
    assert!(notes.contains("not what it was"), "{notes}");
    // Unless that is allowed.
    let (code, _) = with(&[&slower[..], &["--tolerance", "100%"]].concat());
    assert_eq!(code, Some(0));
    let (code, _) = with(
        &[
            &slower[..],
            &[
                "--tolerance",
                "mean=100%",
                "--tolerance",
                "p50=100%",
                "--tolerance",
                "p99=100%",
            ],
        ]
        .concat(),
    );
    assert_eq!(code, Some(0));
    // What is better is told and does not fail.
    let (code, better) = with(&["--set", "topology.services.s.operations.get[0].work.exponential.mean=3ms"]);
    assert_eq!(code, Some(0));
    assert_eq!(better["scenarios"][0]["baseline"]["comparisons"][1]["verdict"], "improved");
    // Another seed is other traffic, and one variant less is said.
    let (_, other) = with(&["--seed", "4", "--variant", "random"]);
    let baseline = &other["scenarios"][0]["baseline"];
    assert_eq!(baseline["comparisons"][1]["paired"], false);
    let notes = baseline["notes"].to_string();
    assert!(
        notes.contains("seed was 3, now 4") && notes.contains("not run this time: `least_request`"),
        "{notes}"
    );

    // A regression is a case of JUnit, and while the baseline is written no failure.
    let output = check(
        folder,
        HOLDS,
        &[&["--baseline", "base", "--junit", "j.xml"], &slower[..]].concat(),
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).contains("REGRESSED  mean(web) of random (was "),
        "{}",
        text(&output.stdout)
    );
    let xml = fs::read_to_string(folder.join("j.xml")).expect("a report");
    assert!(
        xml.contains("<testcase name=\"baseline: mean(web) of random\"") && xml.contains("type=\"regressed\""),
        "{xml}"
    );
    assert_eq!(with(&[&slower[..], &["--update-baseline"]].concat()).0, Some(0));
    assert_eq!(with(&slower).0, Some(0), "it is the new one");
}

#[test]
fn a_scenario_says_what_is_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let baseline = "\
baseline:
  tolerance: 50%
  tolerances: {mean: 1%}
  metrics: [mean(s), utilization(s), requests(s/a-1), p50 between 5s and 10s, p90(web->s/get)]
";
    let expect = format!("{HOLDS}{baseline}");
    let with = |arguments: &[&str]| document(folder.path(), &expect, &[&["--baseline", "base"], arguments].concat());
    assert_eq!(with(&["--update-baseline"]).0, Some(0));
    let (code, document) = with(&[
        "--set",
        "topology.services.s.operations.get[0].work.exponential.mean=4.2ms",
        "--variant",
        "random",
    ]);
    assert_eq!(code, Some(1));
    let lines = document["scenarios"][0]["baseline"]["comparisons"]
        .as_array()
        .expect("a list")
        .clone();
    let of = |field: &str| lines.iter().map(|line| line[field].clone()).collect::<Vec<_>>();
    assert_eq!(
        of("metric"),
        [
            "mean(s)",
            "utilization(s)",
            "requests(s/a-1)",
            "p50(web) between 5s and 10s",
            "p90(web->s/get)"
        ]
    );
    assert_eq!(of("tolerance"), [0.01, 0.001, 0.5, 0.5, 0.5]);
    assert_eq!(
        of("verdict"),
        ["regressed", "regressed", "unchanged", "unchanged", "unchanged"]
    );
    for (wrong, word) in [
        ("{metrics: [p98]}", "p99.9"),
        ("{metrics: [p99(random)]}", "names none"),
        ("{metrics: ['p99 < 1s']}", "nothing is expected"),
        ("{tolerances: {availabilty: 1%}}", "availability"),
        ("{tolerance: 200}", "from 0% to 100%"),
    ] {
        let output = check(folder.path(), &format!("{HOLDS}baseline: {wrong}\n"), &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(word), "{wrong}: {}", text(&output.stderr));
    }
}

#[test]
fn a_baseline_of_something_else_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    assert_eq!(
        check(folder, HOLDS, &["--baseline", "base", "--update-baseline"])
            .status
            .code(),
        Some(0)
    );
    let summary = folder.join("base/tiny/summary.json");
    let original = fs::read_to_string(&summary).expect("a summary");
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    for (from, to, code, words) in [
        (version.as_str(), "\"version\": \"0.0.9\"", 0, "written by meshsim 0.0.9"),
        ("meshsim/summary/v1", "meshsim/summary/v0", 3, "`meshsim/summary/v0`"),
        (
            "\"scenario\": \"tiny\"",
            "\"scenario\": \"huge\"",
            3,
            "of the scenario `huge`, not of `tiny`",
        ),
        ("{", "", 3, "summary.json"),
    ] {
        assert!(original.contains(from), "{from}");
        fs::write(&summary, original.replacen(from, to, 1)).expect("a file");
        let output = check(folder, HOLDS, &["--baseline", "base"]);
        let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{all}");
        assert!(all.contains(words), "{words}: {all}");
    }
    // Another scenario's is not overwritten either; what nobody can read is.
    fs::write(
        &summary,
        original.replacen("\"scenario\": \"tiny\"", "\"scenario\": \"huge\"", 1),
    )
    .expect("a file");
    assert_eq!(
        check(folder, HOLDS, &["--baseline", "base", "--update-baseline"])
            .status
            .code(),
        Some(3)
    );
    fs::write(&summary, "{").expect("a file");
    assert_eq!(
        check(folder, HOLDS, &["--baseline", "base", "--update-baseline"])
            .status
            .code(),
        Some(0)
    );
    assert_eq!(fs::read_to_string(&summary).expect("a summary"), original);
    // A results folder is one as it is.
    assert_eq!(check(folder, HOLDS, &["--baseline", "base/tiny"]).status.code(), Some(0));
    fs::write(folder.join("base/tiny/replications.csv"), "variant\n").expect("a file");
    let output = check(folder, HOLDS, &["--baseline", "base"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("replications.csv"), "{}", text(&output.stderr));
}

#[test]
fn the_page_on_expectations_lists_all_metrics_and_is_right() {
    use meshsim::scenario::expect::{Expectation, MetricOf, metric_names};

    let page = include_str!("../docs/expectations.md");
    let table: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    for name in metric_names() {
        assert!(
            table.iter().any(|line| line.contains(&format!("`{name}`"))),
            "{name} is not in the table"
        );
    }
    let block = page
        .split("```yaml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("an example");
    let lines = block.lines().filter_map(|line| line.trim().strip_prefix("- "));
    let lines: Vec<&str> = lines.map(|line| line.split(" #").next().unwrap_or(line).trim()).collect();
    assert!(lines.len() > 8);
    for line in lines {
        assert!(Expectation::parse(line).is_ok(), "{line}: {:?}", Expectation::parse(line));
    }
    let metrics = page
        .split("  metrics: [")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .expect("an example");
    for metric in metrics.split(", ") {
        assert!(MetricOf::parse(metric).is_ok(), "{metric}");
    }
}

#[cfg(unix)]
#[test]
fn watching_runs_again_and_says_what_changed() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["check", "tiny.yaml", "--no-report", "--watch"];
    let mut child = command(folder.path(), HOLDS, &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("meshsim starts");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let mut until = |end: &str| {
        let mut seen = String::new();
        for line in lines.by_ref() {
            let line = line.expect("text");
            seen.push_str(&format!("{line}\n"));
            if line.contains(end) {
                return seen;
            }
        }
        panic!("it ended without `{end}`: {seen}");
    };
    until("watching 1 file");
    let path = folder.path().join("tiny.yaml");
    let slower = format!("{TINY}{HOLDS}")
        .replace("mean: 4ms", "mean: 5ms")
        .replace("p90(least_request) <", "p90(least_request) >");
    fs::write(&path, &slower).expect("a file");
    let seen = until("watching 1 file");
    assert!(seen.contains("tiny, compared with the run before:"), "{seen}");
    assert!(seen.contains("random: mean of web was "), "{seen}");
    assert!(seen.contains("p90(least_request) > p90(random) is new: fails"), "{seen}");
    // What is wrong is said, and the next change waited for.
    fs::write(&path, slower.replace("seed: 3", "sed: 3")).expect("a file");
    let seen = until("watching 1 file");
    assert!(seen.contains("did you mean `seed`?"), "{seen}");
    fs::write(&path, format!("# The same.\n{slower}")).expect("a file");
    let seen = until("watching 1 file");
    assert!(seen.contains("nothing has changed"), "{seen}");
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(status.expect("kill is there").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
}
