//! Sweeps: whatever the shards, the engine and the order, the results are those of one machine; and what is not whole is refused.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::program::{meshsim_in, text};

const TINY: &str = "\
apiVersion: meshsim/v1
name: tiny
description: Which one?
seed: 3
duration: 3s
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
faults:
  - {at: 1s, for: 500ms, crash: {service: s, share: 34%}}
expect:
  - availability(random) > 10% during crash
sweep:
  clients.web.arrivals.poisson.rate: [100/s, 300/s]
  warmup: [200ms, auto]
";

/// What tells a process that it is a task of an array.
const ENGINES: [&str; 8] = [
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_MIN",
    "SLURM_ARRAY_TASK_MAX",
    "SLURM_ARRAY_TASK_COUNT",
    "JOB_COMPLETION_INDEX",
    "AWS_BATCH_JOB_ARRAY_INDEX",
    "BATCH_TASK_INDEX",
    "BATCH_TASK_COUNT",
];

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let file = folder.join("tiny.yaml");
    if !file.exists() {
        fs::write(&file, TINY).expect("a file");
    }
    let mut command = meshsim_in(folder);
    command.args(arguments);
    ENGINES.iter().for_each(|name| {
        command.env_remove(name);
    });
    command
}

fn meshsim(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("meshsim starts")
}

/// Runs it, and expects that all is well.
fn well(folder: &Path, arguments: &[&str]) -> String {
    let output = meshsim(folder, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).to_string()
}

/// Runs it, expects this exit code, and gives what it says.
fn ill(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = meshsim(folder, arguments);
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

/// All files below a folder, with their bytes.
fn tree(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").display().to_string();
                files.push((name, fs::read(&path).expect("a file")));
            }
        }
    }
    files.sort();
    files
}

fn assert_same(a: &Path, b: &Path) {
    let (ours, theirs) = (tree(a), tree(b));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs));
    for ((name, bytes), (_, others)) in ours.iter().zip(&theirs) {
        assert!(bytes == others, "{name} differs");
    }
}

#[test]
fn any_cut_and_order_gives_the_bytes_of_one_machine() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    well(
        folder.path(),
        &["sweep", "run", "tiny.yaml", "-o", "whole", "--shards", "1", "--quiet"],
    );
    well(
        folder.path(),
        &["sweep", "merge", "whole", "-o", "results/whole", "--threads", "1"],
    );
    // Seven shards of 24 runs: their ends lie within points, also within those whose warm-up pilots look for.
    for (turn, shard) in [6, 2, 0, 5, 1, 4, 3].into_iter().enumerate() {
        let threads = if turn % 2 == 0 { "1" } else { "3" };
        let shard = format!("{shard}/7");
        well(
            folder.path(),
            &[
                "sweep",
                "run",
                "tiny.yaml",
                "--shard",
                &shard,
                "-o",
                "cut",
                "--threads",
                threads,
                "--quiet",
            ],
        );
    }
    well(
        folder.path(),
        &["sweep", "merge", "cut", "-o", "results/cut", "--threads", "3"],
    );
    assert_same(&at("results/whole"), &at("results/cut"));

    // A point's folder is what `run` makes of the same values.
    let point = ["--set", "clients.web.arrivals.poisson.rate=300/s", "--set", "warmup=auto"];
    well(
        folder.path(),
        &[&["run", "tiny.yaml", "-o", "alone", "--quiet"], &point[..]].concat(),
    );
    assert_same(
        &at("alone"),
        &at("results/cut/points/clients.web.arrivals.poisson.rate=300-s,warmup=auto"),
    );

    let csv = fs::read_to_string(at("results/cut/sweep.csv")).expect("a file");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header: Vec<&str> = reader
        .headers()
        .expect("a header")
        .iter()
        .take(6)
        .collect::<Vec<_>>()
        .to_vec();
    assert_eq!(
        header,
        [
            "point",
            "clients.web.arrivals.poisson.rate",
            "warmup",
            "variant",
            "scope",
            "name"
        ]
    );
    let rates: std::collections::BTreeSet<String> = reader.records().map(|row| row.expect("a row")[1].to_string()).collect();
    assert_eq!(rates.into_iter().collect::<Vec<_>>(), ["100/s", "300/s"]);
    let page = fs::read_to_string(at("results/cut/report.html")).expect("a file");
    assert_eq!(
        page.matches("<tr>").count(),
        1 + 4 * 2,
        "a head, and a row for each variant of each point"
    );
}

#[test]
fn a_plan_is_the_same_anywhere_and_says_what_there_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = |file: &str, output: &str| {
        well(folder.path(), &["sweep", "plan", file, "--shards", "5", "-o", output]);
        fs::read(folder.path().join(output)).expect("a plan")
    };
    let here = plan("tiny.yaml", "a.json");
    fs::create_dir(folder.path().join("sub")).expect("a folder");
    fs::copy(folder.path().join("tiny.yaml"), folder.path().join("sub/tiny.yaml")).expect("a copy");
    assert_eq!(plan("sub/tiny.yaml", "b.json"), here);
    let document: serde_json::Value = serde_json::from_slice(&here).expect("JSON");
    assert_eq!(document["runs_total"], 24);
    assert_eq!(document["points"].as_array().map(Vec::len), Some(4));
    assert_eq!(
        document["points"][3]["name"],
        "clients.web.arrivals.poisson.rate=300/s,warmup=auto"
    );
    let shards = document["shards"].as_array().expect("a list");
    assert_eq!(shards.len(), 5);
    assert_eq!(
        shards
            .iter()
            .map(|shard| shard["runs_total"].as_u64().expect("a number"))
            .sum::<u64>(),
        24
    );
    // Another grid, another seed, another cut: another plan.
    let others: [&[&str]; 3] = [
        &["--shards", "5", "--grid", "seed=1..2"],
        &["--shards", "5", "--seed", "4"],
        &["--shards", "6"],
    ];
    for arguments in others {
        well(
            folder.path(),
            &[&["sweep", "plan", "tiny.yaml", "-o", "c.json"], arguments].concat(),
        );
        let other: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.path().join("c.json")).expect("a plan")).expect("JSON");
        assert_ne!(other["digest"], document["digest"], "{arguments:?}");
    }
    // A comment changes nothing that is run.
    fs::write(folder.path().join("tiny.yaml"), format!("# Why?\n{TINY}")).expect("a file");
    let commented: serde_json::Value = serde_json::from_slice(&plan("tiny.yaml", "d.json")).expect("JSON");
    assert_eq!(commented["digest"], document["digest"]);
    let said = well(folder.path(), &["sweep", "plan", "tiny.yaml", "--target-seconds", "0.05"]);
    assert!(said.contains("24 runs at 4 points"), "{said}");
}

#[test]
fn what_is_not_whole_is_named_refused_and_run_again() {
    let folder = tempfile::tempdir().expect("a folder");
    fn run(shard: &str) -> Vec<&str> {
        let shards = [
            "sweep",
            "run",
            "tiny.yaml",
            "--shards",
            "6",
            "--shard",
            shard,
            "-o",
            "d",
            "--quiet",
        ];
        let grid = [
            "--grid",
            "warmup=200ms",
            "--grid",
            "clients.web.arrivals.poisson.rate=100/s,200/s",
        ];
        [&shards[..], &grid[..]].concat()
    }
    let path = |shard: u32| folder.path().join(format!("d/shard-{shard:05}.bin"));
    for shard in ["0", "1", "2", "4", "5"] {
        well(folder.path(), &run(shard));
    }
    let said = ill(folder.path(), &["sweep", "merge", "d", "-o", "r"], 3);
    assert!(
        said.contains("missing: shards 3") && said.contains("run the shards 3 again"),
        "{said}"
    );
    well(folder.path(), &run("3"));
    let kept = well(folder.path(), &run("3"));
    assert!(kept.contains("shard 3 of 6: kept"), "{kept}");
    well(folder.path(), &["sweep", "merge", "d", "-o", "good"]);

    // One is cut short, one has a bit turned over, one is of another place, and one is gone.
    let whole: Vec<Vec<u8>> = (0..6).map(|shard| fs::read(path(shard)).expect("a shard")).collect();
    fs::write(path(1), &whole[1][..whole[1].len() / 2]).expect("it can be written");
    let mut flipped = whole[2].clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 4;
    fs::write(path(2), flipped).expect("it can be written");
    fs::remove_file(path(4)).expect("it was there");
    let status = ill(folder.path(), &["sweep", "status", "d", "--format", "json"], 3);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["complete"], serde_json::json!([0, 3, 5]));
    assert_eq!(status["missing"], serde_json::json!([4]));
    assert_eq!(status["corrupt"][0]["file"], "shard-00001.bin");
    assert_eq!(status["corrupt"][1]["shard"], 2);
    assert_eq!(status["array"], "1-2,4");
    let said = ill(folder.path(), &["sweep", "merge", "d", "-o", "r"], 3);
    for word in [
        "shard-00001.bin: it has been cut short",
        "shard-00002.bin: its checksum is wrong",
        "missing: shards 4",
    ] {
        assert!(said.contains(word), "{said}");
    }
    assert!(!folder.path().join("r").exists(), "nothing has been written");
    for shard in ["1", "2", "4"] {
        well(folder.path(), &run(shard));
    }
    assert!(well(folder.path(), &["sweep", "status", "d"]).contains("6 of 6 shards are complete"));
    let again: Vec<Vec<u8>> = (0..6).map(|shard| fs::read(path(shard)).expect("a shard")).collect();
    assert!(again == whole, "a shard has the same bytes whenever it is run");
    well(folder.path(), &["sweep", "merge", "d", "-o", "r"]);
    assert_same(&folder.path().join("good"), &folder.path().join("r"));

    // Files of another plan, and of nothing at all.
    fs::copy(path(0), path(5)).expect("a copy");
    fs::write(folder.path().join("d/shard-00077.bin"), "x").expect("it can be written");
    let said = ill(folder.path(), &["sweep", "merge", "d", "-o", "r2"], 3);
    assert!(
        said.contains("foreign: shard-00005.bin: it is shard 0 of 6") && said.contains("foreign: shard-00077.bin"),
        "{said}"
    );
    let said = ill(folder.path(), &run("5"), 3);
    assert!(said.contains("is in the way"), "{said}");
    let mut other = run("0");
    other[4] = "7";
    let said = ill(folder.path(), &other, 3);
    assert!(said.contains("holds shards of another plan"), "{said}");
    // Results of another sweep are not mixed with these.
    well(
        folder.path(),
        &[
            "sweep",
            "run",
            "tiny.yaml",
            "--duration",
            "1s",
            "--set",
            "sweep=null",
            "--set",
            "faults=[]",
            "--set",
            "expect=[]",
            "-o",
            "e",
            "--quiet",
        ],
    );
    let said = ill(folder.path(), &["sweep", "merge", "e", "-o", "r"], 3);
    assert!(said.contains("results of another sweep"), "{said}");
}

/// The names of all files below a folder.
fn names(folder: &Path) -> Vec<String> {
    tree(folder).into_iter().map(|(name, _)| name).collect()
}

#[test]
#[cfg(unix)]
fn an_interrupt_leaves_whole_shards_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    // Twelve shards of one run, each of some tenths of a second: nobody is done before the interrupt comes.
    let of = |output| {
        let grid = ["--grid", "warmup=200ms", "--grid", "clients.web.arrivals.poisson.rate=300/s"];
        let cut = ["--replications", "6", "--duration", "600s", "--threads", "1", "-o", output];
        [&["sweep", "run", "tiny.yaml", "--quiet"][..], &grid, &cut].concat()
    };
    let in_twelve = [&of("cut")[..], &["--shards", "12"]].concat();
    let mut running = command(folder.path(), &in_twelve);
    let running = running
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped());
    let mut child = running.spawn().expect("meshsim starts");
    while !at("cut/shard-00001.bin").exists() {
        assert_eq!(child.try_wait().expect("it can be asked"), None, "it has ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill").success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("interrupted"));

    let status = ill(folder.path(), &["sweep", "status", "cut", "--format", "json"], 3);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let complete = status["complete"].as_array().expect("a list").len();
    assert!((2..12).contains(&complete), "{status}");
    let expected: Vec<String> = (0..complete).map(|shard| format!("shard-{shard:05}.bin")).collect();
    assert_eq!(status["complete"], serde_json::json!((0..complete).collect::<Vec<_>>()));
    assert_eq!(
        (&status["corrupt"], &status["foreign"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
    // Neither a part of a shard nor a file under another name.
    let mut left = names(&at("cut"));
    left.retain(|name| !name.starts_with("provenance/") && name != "plan.json");
    assert_eq!(left, expected);
    assert!(names(&at("cut/provenance")).iter().all(|name| name.ends_with(".json")));
    let said = ill(folder.path(), &["sweep", "merge", "cut", "-o", "r"], 3);
    assert!(
        said.contains(&format!("missing: shards {}", status["array"].as_str().expect("text"))),
        "{said}"
    );
    assert!(!at("r").exists());

    // The same command goes on where it was, and what comes out is what one go gives.
    let said = well(folder.path(), &in_twelve);
    assert_eq!(
        (said.matches(": kept,").count(), said.matches(": done,").count()),
        (complete, 12 - complete)
    );
    well(folder.path(), &of("whole"));
    for from in ["cut", "whole"] {
        well(
            folder.path(),
            &["sweep", "merge", from, "-o", &format!("results/{from}"), "--no-report"],
        );
    }
    assert_same(&at("results/whole"), &at("results/cut"));
}

#[test]
fn an_array_job_finds_its_shard_in_the_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = [
        "sweep",
        "run",
        "tiny.yaml",
        "--grid",
        "warmup=0s",
        "--replications",
        "1",
        "--shards",
        "4",
        "-o",
        "d",
        "--quiet",
    ];
    for (name, shard) in [
        ("SLURM_ARRAY_TASK_ID", "0"),
        ("JOB_COMPLETION_INDEX", "1"),
        ("AWS_BATCH_JOB_ARRAY_INDEX", "2"),
        ("BATCH_TASK_INDEX", "3"),
    ] {
        let output = command(folder.path(), &arguments)
            .env(name, shard)
            .output()
            .expect("meshsim starts");
        assert!(
            text(&output.stdout).contains(&format!("shard {shard} of 4: done")),
            "{name}: {}",
            text(&output.stderr)
        );
    }
    let output = command(folder.path(), &arguments)
        .env("JOB_COMPLETION_INDEX", "4")
        .output()
        .expect("meshsim starts");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    well(folder.path(), &["sweep", "merge", "d", "-o", "r", "--no-report"]);
    // What each was is noted beside the shards, and nowhere in the results.
    assert!(folder.path().join("d/provenance.json").exists());
    assert!(
        tree(&folder.path().join("r"))
            .iter()
            .all(|(name, _)| !name.contains("provenance"))
    );
}

#[test]
fn wrong_grids_are_told_with_their_places() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = |arguments: &[&str]| ill(folder.path(), &[&["sweep", "plan", "tiny.yaml"], arguments].concat(), 2);
    let said = plan(&["--grid", "mesh.timeoutt=1s,2s"]);
    assert!(
        said.contains("MS0020") && said.contains("--grid:1:1") && said.contains("did you mean `timeout`"),
        "{said}"
    );
    assert!(said.contains("at the grid's point"), "{said}");
    let said = plan(&["--grid", "mesh.timeout=1s,x"]);
    assert!(said.contains("--grid:1:18"), "{said}");
    let said = plan(&["--grid", "seed=5..1"]);
    assert!(said.contains("MS0091") && said.contains("upwards"), "{said}");
    let said = plan(&["--grid", "seed=1,1"]);
    assert!(said.contains("MS0092"), "{said}");
    let said = plan(&["--grid", "seed=1..90000", "--grid", "drain=1s..9s"]);
    assert!(said.contains("MS0093"), "{said}");
    fs::write(
        folder.path().join("tiny.yaml"),
        TINY.replace("  warmup: [200ms, auto]", "  warmupp: [200ms]\n  drain: {a: 1}"),
    )
    .expect("a file");
    let said = plan(&[]);
    assert!(
        said.contains("tiny.yaml:29:10") && said.contains("a map is a single value"),
        "{said}"
    );
    fs::write(
        folder.path().join("tiny.yaml"),
        TINY.replace("  warmup: [200ms, auto]", "  warmupp: [200ms]"),
    )
    .expect("a file");
    let said = plan(&[]);
    assert!(
        said.contains("tiny.yaml:28:3") && said.contains("did you mean `warmup`"),
        "{said}"
    );
    // `validate` looks at all points; `run` leaves the sweep aside.
    let said = ill(folder.path(), &["validate", "tiny.yaml"], 2);
    assert!(said.contains("tiny.yaml:28:3"), "{said}");
    well(
        folder.path(),
        &[
            "run",
            "tiny.yaml",
            "--replications",
            "1",
            "--duration",
            "2s",
            "--no-report",
            "--quiet",
        ],
    );
}

#[test]
fn drivers_hold_the_command_as_it_is_to_be_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let emit = |engine: &str| {
        let arguments = [
            "sweep",
            "emit",
            "--engine",
            engine,
            "tiny.yaml",
            "--shards",
            "12",
            "-o",
            "shards",
            "--set",
            "description=it's mine",
            "--interval",
            "bootstrap",
            "--indifference",
            "2%",
        ];
        well(folder.path(), &arguments)
    };
    let slurm = emit("slurm");
    assert!(
        slurm.starts_with("#!/bin/bash\n") && slurm.contains("#SBATCH --array=0-11\n"),
        "{slurm}"
    );
    assert!(
        slurm.contains(r"--set 'description=it'\''s mine' --indifference 2% --interval bootstrap --shards 12 -o shards"),
        "{slurm}"
    );
    let dask = emit("dask");
    assert!(
        dask.contains(r#""--set","description=it's mine","--indifference","2%","--interval","bootstrap","--shards","12""#),
        "{dask}"
    );
    let aws: serde_json::Value = serde_json::from_str(&emit("aws-batch")).expect("JSON");
    assert_eq!(aws["arrayProperties"]["size"], 12);
    let google: serde_json::Value = serde_json::from_str(&emit("gcp-batch")).expect("JSON");
    assert_eq!(google["taskGroups"][0]["taskCount"], "12");
    // The manifest is held against its schema, and its command run, in tests/engines/run_kubernetes.py.
    let kubernetes = emit("kubernetes");
    assert!(
        kubernetes.contains("completions: 12\n") && kubernetes.contains("  \"tiny.yaml\": |\n    apiVersion: meshsim/v1\n"),
        "{kubernetes}"
    );
}
