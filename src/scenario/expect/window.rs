//! When a metric is looked at: by the clock, or by the faults.

use std::fmt;

use crate::model::plan::WindowPlan;
use crate::scenario::FaultLabel;
use crate::time::{Duration, Time};

/// A span of time, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// From one moment up to another.
    Between(Time, Time),
    /// While faults of this name are on.
    During(String),
    /// Until the first of them begins.
    Before(String),
    /// When one of them has ended and none is on.
    After(String),
}

/// What a window begins with.
pub(super) const WORDS: [&str; 4] = ["during", "before", "after", "between"];

/// Names that mean any fault, where none is called so.
const ANY: [&str; 7] = ["outage", "fault", "faults", "failure", "failures", "incident", "recovery"];

impl Window {
    /// The window of a plan whose faults are called so.
    ///
    /// # Errors
    /// That there is no such fault, or that nothing is left of the window, for the user.
    pub fn plan(&self, faults: &[FaultLabel], duration: Duration) -> Result<WindowPlan, String> {
        match self {
            Window::Between(from, to) if from >= to => Err(format!("`{self}` is no span of time: it ends where it begins")),
            Window::Between(from, _) if from.0 >= duration.0 => {
                Err(format!("`{self}` begins when the run of {duration} is over"))
            }
            Window::Between(from, to) => Ok(WindowPlan::Between(*from, *to)),
            Window::During(name) => faults_named(name, faults).map(WindowPlan::During),
            Window::Before(name) => faults_named(name, faults).map(WindowPlan::Before),
            Window::After(name) => faults_named(name, faults).map(WindowPlan::After),
        }
    }

    /// The faults that it is about.
    ///
    /// # Errors
    /// That there are none, for the user.
    pub fn faults(&self, faults: &[FaultLabel]) -> Result<Vec<u32>, String> {
        match self {
            Window::During(name) => faults_named(name, faults),
            other => Err(format!("what is measured of a fault needs `during FAULT`, not `{other}`")),
        }
    }
}

/// The faults that a name means: their own name, the first word of it (`crash`), or a word for all of them.
fn faults_named(name: &str, faults: &[FaultLabel]) -> Result<Vec<u32>, String> {
    let which = |is_meant: &dyn Fn(&str) -> bool| -> Vec<u32> {
        let numbered = (0..).zip(faults).filter(|(_, fault)| is_meant(&fault.label));
        numbered.map(|(number, _)| number).collect()
    };
    let exact = which(&|label| label == name);
    let found = match exact.is_empty() {
        false => exact,
        true => which(&|label| label.split([' ', ':']).next() == Some(name)),
    };
    if !found.is_empty() {
        return Ok(found);
    }
    if faults.is_empty() {
        return Err(format!("there is no fault `{name}`; the scenario has none"));
    }
    if ANY.contains(&name) {
        return Ok((0..faults.len() as u32).collect());
    }
    let known: Vec<String> = faults.iter().map(|fault| format!("`{}`", fault.label)).collect();
    Err(format!(
        "there is no fault `{name}`; there are {} (name them in quotes, by their first word, or all of them by `outage`)",
        known.join(", ")
    ))
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |time: &Time| Duration(time.0);
        match self {
            Window::Between(Time::ZERO, to) => write!(f, "before {}", span(to)),
            Window::Between(from, Time::MAX) => write!(f, "after {}", span(from)),
            Window::Between(from, to) => write!(f, "between {} and {}", span(from), span(to)),
            Window::During(name) => write!(f, "during {name}"),
            Window::Before(name) => write!(f, "before {name}"),
            Window::After(name) => write!(f, "after {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(label: &str) -> FaultLabel {
        FaultLabel {
            at: Time(1),
            until: Time(2),
            label: label.to_string(),
        }
    }

    #[test]
    fn names_find_their_faults() {
        let faults = [label("crash zone b"), label("slow api/0 3 times"), label("crash api/1")];
        let found = |name: &str| faults_named(name, &faults);
        assert_eq!(found("crash"), Ok(vec![0, 2]));
        assert_eq!(found("crash api/1"), Ok(vec![2]));
        assert_eq!(found("outage"), Ok(vec![0, 1, 2]));
        assert!(found("hang").is_err_and(|problem| problem.contains("`crash zone b`")));
        assert!(faults_named("outage", &[]).is_err());
        // A fault that is called so is the one that is meant.
        assert_eq!(faults_named("outage", &[label("slow x"), label("outage")]), Ok(vec![1]));
    }
}
