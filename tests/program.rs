//! The program as a user starts it.

use std::path::Path;
use std::process::Command;

use assert_cmd::cargo::cargo_bin;

/// The program in `folder`, wherever these tests run: it is not told that it is in a CI.
pub fn meshsim_in(folder: &Path) -> Command {
    let mut command = Command::new(cargo_bin("meshsim"));
    command
        .current_dir(folder)
        .env_remove("GITHUB_ACTIONS")
        .env_remove("GITHUB_STEP_SUMMARY");
    command
}

/// What it has said.
pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}
