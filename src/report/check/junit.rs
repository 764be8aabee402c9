//! JUnit's XML: a suite for each scenario, a case for each expectation and each comparison with a baseline.
//!
//! What fails is a `failure` of type `failed` or `regressed`; what nobody can tell is one of type `undecided`. There are no times in it,
//! so that equal results give equal bytes.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::report::check::{Check, ScenarioCheck, lines};

/// The document.
pub fn xml(check: &Check) -> Vec<u8> {
    let mut report = Report::new("meshsim");
    report.add_test_suites(check.scenarios.iter().map(suite));
    let text = report.to_string().expect("a string takes all text");
    // Jenkins' schema (junit-10.xsd of its xunit plugin) knows of skipped cases in a suite, and not of those of all suites.
    let skipped = format!(" skipped=\"{}\"", report.skipped);
    text.replacen(&skipped, "", 1).into_bytes()
}

fn suite(check: &ScenarioCheck) -> TestSuite {
    let mut suite = TestSuite::new(check.scenario.as_str());
    for line in &check.expectations {
        let place = match (line.line, line.column) {
            (Some(line), Some(column)) => format!("{}:{line}:{column}", check.file),
            _ => check.file.clone(),
        };
        let status = status(line.verdict, &lines::expectation(line), &place);
        suite.add_test_case(case(&check.scenario, &lines::named(line), status));
    }
    if let Some(baseline) = &check.baseline {
        for variant in &baseline.identical {
            let name = format!("baseline: {variant}");
            suite.add_test_case(case(&check.scenario, &name, TestCaseStatus::success()));
        }
        for line in &baseline.comparisons {
            let name = format!("baseline: {} of {}", line.metric, line.variant);
            let status = status(line.verdict.word(), &lines::comparison(line), &baseline.folder);
            suite.add_test_case(case(&check.scenario, &name, status));
        }
    }
    suite
}

fn case(scenario: &str, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(scenario);
    case
}

fn status(verdict: &str, message: &str, place: &str) -> TestCaseStatus {
    let kind = match verdict {
        "fails" => "failed",
        "regressed" | "undecided" => verdict,
        "skipped" => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(message);
            return status;
        }
        _ => return TestCaseStatus::success(),
    };
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status
        .set_type(kind)
        .set_message(message)
        .set_description(format!("{place}: {message}"));
    status
}
