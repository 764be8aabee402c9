//! Scenarios from text to plan: wrong ones against the diagnostics beside them, right ones against the plan they must make, and any
//! bytes at all against panics, hangs and memory.

mod candidates;
mod compile;
mod fuzz;
mod patch;
mod surface;

use std::fs;
use std::path::{Path, PathBuf};

use meshsim::scenario::{Overrides, Scenario, Source, load};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenario/bad")
}

/// Loads a text that must be valid.
fn valid(text: &str) -> Scenario {
    valid_with(text, &Overrides::default())
}

fn valid_with(text: &str, overrides: &Overrides) -> Scenario {
    let (scenario, diagnostics) = load(&Source::from_text("test.yaml", text), overrides);
    scenario.unwrap_or_else(|| panic!("{}", diagnostics.render(false)))
}

/// The diagnostics of a text that must not be valid.
fn problems(text: &str, overrides: &Overrides) -> String {
    let (scenario, diagnostics) = load(&Source::from_text("test.yaml", text), overrides);
    assert!(scenario.is_none(), "this is valid");
    assert!(diagnostics.has_errors());
    diagnostics.render(false)
}

/// Each `bad/NAME.yaml` gives the text of `bad/NAME.txt`. `UPDATE_EXPECTED=1` writes those anew; read the difference before it is
/// committed.
#[test]
fn wrong_scenarios_give_the_diagnostics_beside_them() {
    let mut names: Vec<PathBuf> = fs::read_dir(directory())
        .expect("the folder is there")
        .map(|entry| entry.expect("a folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    names.sort();
    assert!(names.len() > 30, "the folder has lost its files");
    let mut wrong = Vec::new();
    for path in names {
        let text = fs::read_to_string(&path).expect("a file can be read");
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let (_, diagnostics) = load(&Source::from_text(&name, text), &Overrides::default());
        let found = diagnostics.render(false);
        let expected_path = path.with_extension("txt");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected_path, &found).expect("a file can be written");
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if found.is_empty() || found != expected {
            wrong.push(format!("{name}: expected\n{expected}\nfound\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// No two errors share a code, and every code is met by a wrong scenario or by a test of files, patches or sizes.
#[test]
fn codes_are_stable_and_each_is_shown_by_a_test() {
    let messages = include_str!("../src/scenario/diagnostic/messages.rs");
    let tests = [
        include_str!("scenario/surface.rs"),
        include_str!("scenario/patch.rs"),
        include_str!("scenario/fuzz.rs"),
    ];
    let mut shown: String = tests.concat();
    for entry in fs::read_dir(directory()).expect("the folder is there") {
        let path = entry.expect("a folder can be listed").path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            shown.push_str(&fs::read_to_string(path).expect("a file can be read"));
        }
    }
    let mut codes: Vec<&str> = messages
        .split("\"MS")
        .skip(1)
        .map(|rest| rest.split('"').next().expect("a code ends"))
        .collect();
    codes.sort_unstable();
    codes.dedup();
    assert!(codes.len() > 40, "{codes:?}");
    let unseen: Vec<&&str> = codes.iter().filter(|code| !shown.contains(&format!("MS{code}"))).collect();
    assert!(unseen.is_empty(), "no test shows {unseen:?}");
}
