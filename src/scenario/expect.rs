//! The language of `expect:`: what a scenario says of its results, one line each.
//!
//! `p99(peak_ewma) < 0.9 * p99(round_robin)`: metrics, numbers with units, `+ - * /`, parentheses, `abs`, `min`, `max`, and one of
//! `< <= > >= == !=` (or two: `10ms < p99 < 50ms`). Equal is what differs by no more than what `within` says: `within 5%` of the right
//! side, or `within 10ms`.
//!
//! A metric's first argument is a variant; where a line names none it is meant of each. Then comes a client, a service, an edge
//! (`frontend->catalog/list`) or an endpoint (`catalog/c-0`), the only client if absent, with `variant`, `client`, `service`, `edge` or
//! `endpoint` before the name where one name means several. Metrics that count failures take a cause, too.
//!
//! Behind a metric may stand when: `during crash`, `before outage`, `after recovery`, `between 60s and 90s`. At the end of a line it
//! stands for all metrics of the line that say nothing else.
//!
//! The grammar is in `parser.rs`, units are compared in `unit.rs`, names find their things in `resolve.rs`.

mod metric;
mod number;
mod parser;
mod resolve;
mod unit;
mod window;

use std::fmt;
use std::ops::Range;

pub use metric::{Better, Metric, QUANTILE_NAMES, ScopeKind, metric_names};
pub use parser::metric_named;
pub use resolve::{Meaning, Scope, find};
pub use window::Window;

pub(crate) use resolve::{baseline_metric, check, check_metric};

/// One line of `expect:`.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// As it was written.
    pub text: String,
    /// What is compared: one comparison, or the links of a chain such as `10ms < p99 < 50ms`.
    pub comparisons: Vec<Comparison>,
    /// Where it is written; `None` if not in the file.
    pub place: Option<Place>,
}

/// Where something is in the scenario's file: line and columns from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The first column.
    pub column: usize,
    /// The column behind the last.
    pub end_column: usize,
}

/// Two values compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What is compared.
    pub left: Expr,
    /// How.
    pub relation: Relation,
    /// With what.
    pub right: Expr,
    /// By how much the two may differ and be called equal; only with [`Relation::Equal`] and [`Relation::NotEqual`].
    pub tolerance: Option<Tolerance>,
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

/// By how much two values may differ and be called equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// This share of the right side.
    Relative(f64),
    /// So much, in the unit of both sides (seconds for times).
    Absolute(f64),
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A number as it was written.
    Number(Number),
    /// A measured one.
    Metric(MetricOf),
    /// The other way round.
    Negative(Box<Expr>),
    /// Two of them.
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// A function of one or more.
    Call(Function, Vec<Expr>),
}

/// A number with its unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// In seconds, by the second, or plain.
    pub value: f64,
    /// The power of a second that it is: 1 for times, -1 for rates, 0 for shares and counts; `None` without a unit.
    pub unit: Option<i32>,
    /// Where in the text it stands.
    pub at: Range<usize>,
}

/// What is done with two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Times,
    /// `/`
    Over,
}

/// What is done with some values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// The distance from zero.
    Abs,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

/// A metric of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricOf {
    /// Which.
    pub metric: Metric,
    /// What stands in its parentheses, in order.
    pub arguments: Vec<Argument>,
    /// When; the whole measured run if absent.
    pub window: Option<Window>,
    /// Where in the text it stands.
    pub at: Range<usize>,
}

/// What stands between the commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// The text.
    pub text: String,
    /// Where in the line it stands.
    pub at: Range<usize>,
}

/// What is wrong with a line, or looks wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the text, in bytes.
    pub at: Range<usize>,
    /// What, as a lowercase fragment.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Problem {
    pub(crate) fn new(at: Range<usize>, message: impl Into<String>) -> Problem {
        Problem {
            at,
            message: message.into(),
            help: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }
}

impl Expectation {
    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong with it, for the user.
    pub fn parse(text: &str) -> Result<Expectation, Problem> {
        Expectation::parse_with_remarks(text).map(|(expectation, _)| expectation)
    }

    /// Reads one line, and gives what is odd about it besides.
    pub(crate) fn parse_with_remarks(text: &str) -> Result<(Expectation, Vec<Problem>), Problem> {
        let comparisons = parser::comparisons(text)?;
        let expectation = Expectation {
            text: text.trim().to_string(),
            comparisons,
            place: None,
        };
        if expectation.metrics().next().is_none() {
            let problem = Problem::new(0..text.len(), "it compares numbers, and no metric such as `p99(VARIANT)`");
            return Err(problem);
        }
        let mut remarks = Vec::new();
        for comparison in &expectation.comparisons {
            unit::check(comparison, &mut remarks)?;
        }
        Ok((expectation, remarks))
    }

    /// All metrics in it, in their order.
    pub fn metrics(&self) -> impl Iterator<Item = &MetricOf> {
        let mut found = Vec::new();
        // The links of a chain share their sides.
        for (index, comparison) in self.comparisons.iter().enumerate() {
            if index == 0 {
                comparison.left.collect_metrics(&mut found);
            }
            comparison.right.collect_metrics(&mut found);
        }
        found.into_iter()
    }
}

impl Comparison {
    /// The power of a second in which both sides are: 1 for times, -1 for rates, 0 for shares and counts.
    pub fn unit(&self) -> i32 {
        unit::of(self)
    }
}

impl Expr {
    fn collect_metrics<'a>(&'a self, found: &mut Vec<&'a MetricOf>) {
        match self {
            Expr::Number(_) => {}
            Expr::Metric(metric) => found.push(metric),
            Expr::Negative(inner) => inner.collect_metrics(found),
            Expr::Binary(_, left, right) => {
                left.collect_metrics(found);
                right.collect_metrics(found);
            }
            Expr::Call(_, arguments) => arguments.iter().for_each(|argument| argument.collect_metrics(found)),
        }
    }

    /// The metrics in it, in their order.
    pub fn metrics(&self) -> Vec<&MetricOf> {
        let mut found = Vec::new();
        self.collect_metrics(&mut found);
        found
    }

    /// Gives every metric that does not say when this window.
    fn fill_window(&mut self, window: &Window) {
        match self {
            Expr::Number(_) => {}
            Expr::Metric(metric) => {
                metric.window.get_or_insert_with(|| window.clone());
            }
            Expr::Negative(inner) => inner.fill_window(window),
            Expr::Binary(_, left, right) => {
                left.fill_window(window);
                right.fill_window(window);
            }
            Expr::Call(_, arguments) => arguments.iter_mut().for_each(|argument| argument.fill_window(window)),
        }
    }

    /// Where it stands.
    fn at(&self) -> Range<usize> {
        match self {
            Expr::Number(number) => number.at.clone(),
            Expr::Metric(metric) => metric.at.clone(),
            Expr::Negative(inner) => inner.at(),
            Expr::Binary(_, left, right) => left.at().start..right.at().end,
            Expr::Call(_, arguments) => {
                let ends = arguments.first().zip(arguments.last());
                ends.map_or(0..0, |(first, last)| first.at().start..last.at().end)
            }
        }
    }
}

impl MetricOf {
    /// Reads a metric alone, such as `p99(web) during crash`.
    ///
    /// # Errors
    /// What is wrong with it, for the user.
    pub fn parse(text: &str) -> Result<MetricOf, Problem> {
        parser::metric(text)
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Relation::Less => "<",
            Relation::AtMost => "<=",
            Relation::Greater => ">",
            Relation::AtLeast => ">=",
            Relation::Equal => "==",
            Relation::NotEqual => "!=",
        })
    }
}

#[cfg(test)]
mod tests;
