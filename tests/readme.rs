//! The README's commands: every line of its `sh` blocks is run, in one folder, in order.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The lines of all blocks of a language, in order.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let blocks = text.split(opening.as_str()).skip(1);
    blocks
        .map(|rest| rest.split("```").next().expect("a split has a first part").to_string())
        .collect()
}

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("the README is part of the package")
}

/// In place of the program: the same, with fewer replications, and less traffic on the large scenario.
const SHELL: &str = r#"
meshsim() {
    case "$*" in
    run*online-boutique*) "$MESHSIM" "$@" --quiet --replications 2 --set clients.shoppers.arrivals.poisson.rate=10/s ;;
    run*--replications*) "$MESHSIM" "$@" --quiet ;;
    run*) "$MESHSIM" "$@" --quiet --replications 2 ;;
    *) "$MESHSIM" "$@" ;;
    esac
}
"#;

#[test]
#[cfg(unix)]
fn its_commands_work() {
    let folder = tempfile::tempdir().expect("a folder for scratch files");
    let scenarios = folder.path().join("scenarios");
    fs::create_dir(&scenarios).expect("a fresh folder");
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")).expect("part of the package") {
        let path = entry.expect("a readable entry").path();
        fs::copy(&path, scenarios.join(path.file_name().expect("a file has a name"))).expect("a readable file");
    }
    let commands = blocks(&readme(), "sh").concat();
    assert!(commands.contains("cargo run --release -- run scenarios/online-boutique.yaml\ncargo test\n"));
    // The tests are running already.
    let commands = commands
        .replace("cargo run --release -- ", "meshsim ")
        .replace("\ncargo test\n", "\n");
    assert!(!commands.contains("cargo"), "a command that is not tried: {commands}");
    let output = Command::new("sh")
        .args(["-euc", &format!("{SHELL}{commands}")])
        .env("MESHSIM", env!("CARGO_BIN_EXE_meshsim"))
        .env_remove("GITHUB_ACTIONS")
        .current_dir(folder.path())
        .output()
        .expect("a shell");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    for file in [
        "results/online-boutique/report.html",
        "results/quickstart/summary.json",
        "results/sweep/sweep.csv",
        "my-mesh.yaml",
        "meshsim.schema.json",
    ] {
        assert!(folder.path().join(file).is_file(), "{file} is missing");
    }
}

#[test]
fn its_scenario_is_valid() {
    for text in blocks(&readme(), "yaml") {
        let source = meshsim::scenario::Source::from_text("README.md", text);
        let (_, diagnostics) = meshsim::scenario::load(&source, &meshsim::scenario::Overrides::default());
        assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    }
}

#[test]
fn its_links_lead_to_files() {
    let text = readme();
    let mut links = 0;
    for link in text.split("](").skip(1) {
        let target = link.split(')').next().expect("a split has a first part");
        if !target.starts_with("http") {
            links += 1;
            assert!(
                Path::new(env!("CARGO_MANIFEST_DIR")).join(target).is_file(),
                "{target} is missing"
            );
        }
    }
    assert!(links >= 7);
}
