//! The command line: exit codes, streams, help, files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::program::{meshsim_in, text};

const TINY: &str = "\
apiVersion: meshsim/v1
name: tiny
description: Which one?
seed: 3
duration: 20s
replications: 3
topology:
  services:
    s:
      replicas: 3
      concurrency: 1
      operations:
        get: [{work: {exponential: {mean: 5ms}}}]
clients:
  web:
    call: s/get
    arrivals: {poisson: {rate: 300/s}}
mesh: {balancer: envoy/random}
variants:
  random: {}
  least_request: {mesh: {balancer: envoy/least_request}}
";

/// Runs meshsim in `folder`, where `tiny.yaml` lies.
fn meshsim(folder: &Path, arguments: &[&str]) -> Output {
    fs::write(folder.join("tiny.yaml"), TINY).expect("a file");
    meshsim_in(folder).args(arguments).output().expect("meshsim starts")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[test]
fn run_prints_the_table_on_stdout_and_writes_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = meshsim(folder.path(), &["run", "tiny.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    for word in [
        "tiny",
        "Which one?",
        "random",
        "least_request",
        "availability",
        "p99",
        "100 %",
    ] {
        assert!(table.contains(word), "{word} is not in {table}");
    }
    assert!(!table.contains("warning"), "{table}");
    let talk = text(&output.stderr);
    assert!(talk.contains("3 replications give wide"), "{talk}");
    assert!(talk.contains("requests/s"), "{talk}");
    let results = folder.path().join("results/tiny");
    let expected = [
        "charts",
        "latency.csv",
        "replications.csv",
        "report.html",
        "summary.csv",
        "summary.json",
        "timeseries.csv",
    ];
    assert_eq!(names(&results), expected);
    let charts = names(&results.join("charts"));
    let pairs = charts
        .chunks(2)
        .all(|pair| pair.len() == 2 && pair[1] == pair[0].replace(".png", ".svg"));
    assert!(charts.contains(&"latency_cdf.svg".to_string()) && pairs, "{charts:?}");
    assert_eq!(names(&folder.path().join("results")), ["tiny"], "nothing is left beside");
}

#[test]
fn formats_are_what_they_say_and_quiet_says_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |format: &str| {
        let output = meshsim(
            folder.path(),
            &["run", "tiny.yaml", "-o", "out", "--format", format, "--quiet"],
        );
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(text(&output.stderr), "");
        output.stdout
    };
    let json = run("json");
    assert_eq!(json, fs::read(folder.path().join("out/summary.json")).expect("a file"));
    let document: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(document["schema"], "meshsim/summary/v1");
    assert_eq!(run("csv"), fs::read(folder.path().join("out/summary.csv")).expect("a file"));
    assert!(text(&run("markdown")).contains("| variant "));
}

#[test]
fn options_change_what_is_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = [
        "run",
        "tiny.yaml",
        "-o",
        "out",
        "--format",
        "json",
        "--no-report",
        "--variant",
        "random",
        "--seed",
        "9",
        "--replications",
        "2",
        "--duration",
        "1s",
        "--set",
        "topology.services.s.replicas=5",
        "--threads",
        "1",
    ];
    let output = meshsim(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["seed"], 9);
    assert_eq!(document["replications"], 2);
    assert_eq!(document["variants"].as_array().map(Vec::len), Some(1));
    assert_eq!(document["variants"][0]["duration_seconds"], 1.0);
    assert_eq!(document["variants"][0]["services"]["s"]["endpoints_total"], 5);
    assert_eq!(
        names(&folder.path().join("out")),
        [
            "latency.csv",
            "replications.csv",
            "summary.csv",
            "summary.json",
            "timeseries.csv"
        ]
    );
}

#[test]
fn report_draws_the_same_bytes_again() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(
        meshsim(folder.path(), &["run", "tiny.yaml", "-o", "out"]).status.code(),
        Some(0)
    );
    let charts = folder.path().join("out/charts");
    let page = folder.path().join("out/report.html");
    let all = || -> Vec<(String, Vec<u8>)> {
        let charts = names(&charts).into_iter().map(|name| (name.clone(), charts.join(name)));
        let files = charts.chain([("report.html".to_string(), page.clone())]);
        files.map(|(name, path)| (name, fs::read(path).expect("a file"))).collect()
    };
    let drawn = all();
    assert!(drawn.len() > 10, "{} files are drawn", drawn.len());
    fs::remove_dir_all(&charts).expect("charts");
    fs::remove_file(&page).expect("a page");
    // Of an earlier run with a client that is no more.
    fs::create_dir(&charts).expect("a folder");
    fs::write(charts.join("latency_cdf.web.png"), "old").expect("a file");
    let output = meshsim(folder.path(), &["report", "out"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for ((name, before), (again, after)) in drawn.iter().zip(&all()) {
        assert_eq!(name, again);
        assert!(before == after, "{name} differs");
    }
    assert_eq!(all().len(), drawn.len());
}

#[test]
fn exit_codes_tell_usage_from_faults() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("broken.yaml"), "apiVersion: meshsim/v1\nname: broken\n").expect("a file");
    fs::write(folder.path().join("file"), "").expect("a file");
    for (arguments, code, word) in [
        (&["run"][..], 2, "SCENARIO"),
        (&["run", "missing.yaml"], 2, "missing.yaml"),
        (&["run", "broken.yaml"], 2, "error[MS"),
        (&["run", "tiny.yaml", "--replications", "0"], 2, "--replications"),
        (&["run", "tiny.yaml", "--duration", "5 parsecs"], 2, "a duration"),
        (&["run", "tiny.yaml", "--set", "seed"], 2, "PATH=VALUE"),
        (&["run", "tiny.yaml", "--variant", "nobody"], 2, "nobody"),
        (&["run", "tiny.yaml", "-o", "file"], 3, "file"),
        (&["run", "tiny.yaml", "-o", "file/below"], 3, "file/below"),
        (&["report", "nowhere"], 3, "summary.json"),
        (&["nonsense"], 2, "nonsense"),
    ] {
        let output = meshsim(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(word), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
}

#[test]
fn help_and_completions_go_to_stdout() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, word) in [
        (&["--help"][..], "run "),
        (&["run", "--help"], "--replications"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["completions", "bash"], "_meshsim"),
    ] {
        let output = meshsim(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(text(&output.stdout).contains(word), "{arguments:?}");
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn the_table_goes_to_the_step_summary_of_an_action() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("tiny.yaml"), TINY).expect("a file");
    let summary = folder.path().join("summary.md");
    let status = meshsim_in(folder.path())
        .args(["run", "tiny.yaml", "--quiet"])
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .expect("meshsim starts")
        .status;
    assert_eq!(status.code(), Some(0));
    assert!(fs::read_to_string(summary).expect("a summary").contains("| least_request"));
}

#[cfg(unix)]
#[test]
fn a_reader_who_leaves_is_no_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = meshsim_in(folder.path())
        .args(["completions", "zsh"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("meshsim starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
}

/// Whether a process has set a handler for SIGINT, as far as the system tells: else it has had time to.
#[cfg(unix)]
fn handles_interrupts(process: u32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{process}/status")) else {
        std::thread::sleep(Duration::from_secs(1));
        return true;
    };
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.expect("Linux tells of signals") & 0b10 != 0
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_with_130_and_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("tiny.yaml"), TINY).expect("a file");
    let mut child = meshsim_in(folder.path())
        .args(["run", "tiny.yaml", "--replications", "1000", "--duration", "1h", "--force"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("meshsim starts");
    // A signal that comes before there is a handler would end the process without a code.
    let attempts = || (0..3000).map(|_| std::thread::sleep(Duration::from_millis(20)));
    assert!(attempts().any(|()| handles_interrupts(child.id())), "it listens");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill starts").success());
    let code = attempts()
        .find_map(|()| child.try_wait().expect("it is ours"))
        .and_then(|status| status.code());
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(code, Some(130));
    assert_eq!(names(folder.path()), ["tiny.yaml"]);
}

#[test]
fn check_says_which_expectations_hold_and_ends_accordingly() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |expect: &str| {
        fs::write(folder.path().join("expecting.yaml"), format!("{TINY}expect:\n{expect}")).expect("a file");
        let output = meshsim(folder.path(), &["check", "expecting.yaml", "--quiet", "--no-report"]);
        (output.status.code(), text(&output.stdout).to_string())
    };
    // 300/s on three endpoints of 200/s: half of all slots are busy, and comparing two endpoints helps.
    let holds = "  - mean(least_request) < mean(random)\n  - availability(random) >= 100%\n";
    let (code, stdout) = check(holds);
    assert_eq!((code, stdout.matches("    holds  ").count()), (Some(0), 2), "{stdout}");
    let (code, stdout) = check("  - mean(least_request) > mean(random)\n");
    assert_eq!((code, stdout.matches("    FAILS  ").count()), (Some(1), 1), "{stdout}");
    let (code, stdout) = check("  - mean(random) < 1.0 * mean(random)\n  - utilization(random, s) < 50%\n");
    // A thing is not less than itself; and no three runs can tell an offered load of a half from a half.
    assert_eq!(code, Some(1));
    assert!(stdout.contains("    FAILS  ") && stdout.contains("undecided  "), "{stdout}");
    assert!(
        folder.path().join("results/tiny/summary.json").exists(),
        "check writes what run writes"
    );
}

/// Whoever writes the script line by line has each decision before the next line: statuses may depend on picks.
#[test]
fn replay_can_be_talked_with() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_meshsim"))
        .args(["replay", "envoy/round_robin"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut script = child.stdin.take().expect("a pipe");
    let mut decisions = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let mut say = |line: &str| std::io::Write::write_all(&mut script, format!("{line}\n").as_bytes()).expect("it listens");
    say(r#"{"op": "endpoints", "endpoints": [{"id": "a"}]}"#);
    for _ in 0..3 {
        say(r#"{"op": "pick"}"#);
        let mut line = String::new();
        std::io::BufRead::read_line(&mut decisions, &mut line).expect("it answers");
        assert_eq!(line, "{\"t\": 0.0, \"pick\": \"a\"}\n");
        say(r#"{"op": "done", "endpoint": "a"}"#);
    }
    drop(script);
    assert!(child.wait().expect("it ends").success());
}
