//! `docs/fidelity.md`: what shows that the policies are the real ones, written by the checks themselves.
//!
//! `UPDATE_DOCS=1 cargo test fidelity` writes the page anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use meshsim::policy::balancer::{ENTRIES, Entry};
use meshsim::policy::catalog::PARTS;
use rayon::prelude::*;

use crate::policy::EVIDENCE;
use crate::policy::evidence::Evidence;

const HEAD: &str = "\
# Fidelity: what each policy was checked against

Written by `tests/fidelity.rs` from the checks themselves (`UPDATE_DOCS=1 cargo test fidelity`); the test fails when this page says
anything else than they do. The checks are in `tests/policy/`, with their recordings and vectors, each with its source.

*Recordings* are of real proxies on loopback; *vectors* are inputs with expected results from an upstream project's own tests or computed
from its published formulas; *theory* is a formula with a known answer. Where a result is a share or a latency, the tolerance is that of
its sampling, stated beside the check.

| policy | checked against | result | known differences |
| --- | --- | --- | --- |
";

/// Whatever has a name: balancers, and the parts around them.
fn entries() -> impl Iterator<Item = &'static Entry> {
    ENTRIES.iter().chain(PARTS)
}

fn page() -> String {
    let rows: Vec<&Evidence> = EVIDENCE.iter().copied().flatten().collect();
    let results: Vec<String> = rows.par_iter().map(|row| (row.check)()).collect();
    let mut page = HEAD.to_string();
    for (row, result) in rows.iter().zip(results) {
        let entry = entries().find(|entry| entry.name == row.policy);
        let differences = entry.map_or("", |entry| entry.differences);
        page += &format!("| `{}` | {} | {result} | {differences} |\n", row.policy, row.against);
    }
    page
}

#[test]
fn the_page_says_what_the_checks_found() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fidelity.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).expect("the page can be written");
    }
    let written = fs::read_to_string(&path).expect("the page is there");
    let difference = page.lines().zip(written.lines()).find(|(new, old)| new != old);
    assert!(
        page == written,
        "docs/fidelity.md is not what the checks found (UPDATE_DOCS=1 writes it anew), first here: {difference:?}"
    );
}

/// What `meshsim policies` says a policy was checked against is what checks it, no more and no less.
#[test]
fn every_claim_has_its_check_and_every_check_its_claim() {
    for entry in entries() {
        let claims: BTreeSet<&str> = entry.checked.split("; ").collect();
        let rows = EVIDENCE.iter().copied().flatten().filter(|row| row.policy == entry.name);
        let checks: BTreeSet<&str> = rows.map(|row| row.against).collect();
        assert_eq!(claims, checks, "{}", entry.name);
    }
}

#[test]
fn every_check_is_of_something_that_exists() {
    for row in EVIDENCE.iter().copied().flatten() {
        let (name, part) = row.policy.split_once(": ").unwrap_or((row.policy, ""));
        let known = entries().any(|entry| entry.name == name) || (name.ends_with("/candidates") && !part.is_empty());
        assert!(known, "{}", row.policy);
    }
}
