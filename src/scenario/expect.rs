//! The language of `expect:`: what a scenario says of its results, one comparison a line.
//!
//! `p99(peak_ewma) < 0.9 * p99(round_robin)`: metrics of variants, numbers with units, `+ - * /`, parentheses, and one of `< <= > >=`.
//! A metric's first argument is a variant; it may be left out where there is but one. Its second is a client, a service or an edge
//! (the only client if absent), with `client`, `service` or `edge` before the name where one name means several. `failures` takes a
//! cause, too.
//!
//! Behind a metric may stand when: `during crash`, `before outage`, `after recovery`, `between 60s and 90s`. At the end of a line it
//! stands for all metrics of the line that say nothing else.

mod metric;
mod window;

use std::fmt;

pub use metric::{Metric, QUANTILE_NAMES, ScopeKind, metric_names};
pub use window::Window;

use crate::scenario::Names;
use crate::time::Time;

/// One line of `expect:`.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// As it was written.
    pub text: String,
    /// What is compared.
    pub left: Expr,
    /// How.
    pub relation: Relation,
    /// With what.
    pub right: Expr,
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
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A number: seconds, a share, a count.
    Number(f64),
    /// A measured one.
    Metric(MetricOf),
    /// The other way round.
    Negative(Box<Expr>),
    /// Two of them.
    Binary(Operator, Box<Expr>, Box<Expr>),
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

/// A metric of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricOf {
    /// Which.
    pub metric: Metric,
    /// What stands in its parentheses, in order.
    pub arguments: Vec<String>,
    /// When; the whole measured run if absent.
    pub window: Option<Window>,
}

/// What the arguments of a metric mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// Of which variant; the only one if absent.
    pub variant: Option<String>,
    /// Of what in it; the only client if absent.
    pub scope: Option<Scope>,
    /// Failures of this cause only.
    pub cause: Option<String>,
    /// When; the whole measured run if absent.
    pub window: Option<Window>,
}

/// Of what a metric is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// What kind of thing; `None`: whatever has the name.
    pub kind: Option<ScopeKind>,
    /// Its name.
    pub name: String,
}

impl MetricOf {
    /// What its arguments mean where the variants have these names: first a variant, then a client, service or edge (or, where the
    /// metric is of a fault, a fault), and a cause of failures; each of them may be left out.
    ///
    /// # Errors
    /// That there is an argument too many, for the user.
    pub fn meaning(&self, variants: &[&str]) -> Result<Meaning, String> {
        let mut meaning = Meaning {
            window: self.window.clone(),
            ..Meaning::default()
        };
        for argument in &self.arguments {
            let is_first = meaning
                == Meaning {
                    window: self.window.clone(),
                    ..Meaning::default()
                };
            if is_first && variants.contains(&argument.as_str()) {
                meaning.variant = Some(argument.clone());
            } else if meaning.cause.is_none() && self.metric.takes_cause() && metric::is_cause(argument) {
                meaning.cause = Some(argument.clone());
            } else if self.metric.is_of_faults() && meaning.window.is_none() {
                meaning.window = Some(Window::During(argument.clone()));
            } else if meaning.scope.is_none() && !self.metric.is_of_faults() {
                meaning.scope = Some(Scope::parse(argument));
            } else {
                return Err(format!("`{}` has an argument too many: `{argument}`", self.metric.name()));
            }
        }
        Ok(meaning)
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Relation::Less => "<",
            Relation::AtMost => "<=",
            Relation::Greater => ">",
            Relation::AtLeast => ">=",
        })
    }
}

impl Expectation {
    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong with it, for the user.
    pub fn parse(whole: &str) -> Result<Expectation, String> {
        let (text, window) = last_window(whole);
        let mut parser = Parser { text, at: 0, depth: 0 };
        let left = parser.sum()?;
        let relation = parser.relation()?;
        let right = parser.sum()?;
        parser.space();
        match parser.rest() {
            "" => {}
            rest => return Err(format!("nothing is expected after the comparison, and here is `{rest}`")),
        }
        let mut expectation = Expectation {
            text: whole.trim().to_string(),
            left,
            relation,
            right,
        };
        if let Some(window) = window {
            expectation.left.fill_window(&window);
            expectation.right.fill_window(&window);
        }
        if expectation.metrics().next().is_none() {
            return Err("it compares numbers, and no metric such as `p99(VARIANT)`".to_string());
        }
        Ok(expectation)
    }

    /// All metrics in it.
    pub fn metrics(&self) -> impl Iterator<Item = &MetricOf> {
        let mut found = Vec::new();
        let mut open = vec![&self.right, &self.left];
        while let Some(expr) = open.pop() {
            match expr {
                Expr::Number(_) => {}
                Expr::Metric(metric) => found.push(metric),
                Expr::Negative(inner) => open.push(inner),
                Expr::Binary(_, left, right) => open.extend([&**right, &**left]),
            }
        }
        found.into_iter()
    }
}

impl Expr {
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
        }
    }
}

/// A line without the window at its end, and that window.
fn last_window(text: &str) -> (&str, Option<Window>) {
    for word in window::WORDS {
        let Some(at) = text.rfind(&format!(" {word} ")) else {
            continue;
        };
        let is_outside = text[..at].matches('(').count() == text[..at].matches(')').count();
        let mut parser = Parser { text, at, depth: 0 };
        if is_outside
            && let Ok(Some(window)) = parser.window()
            && parser.rest().trim().is_empty()
        {
            return (&text[..at], Some(window));
        }
    }
    (text, None)
}

/// What a scope means where things have these names; without a scope it is the only client.
///
/// # Errors
/// That nothing has the name, or several things have it, for the user.
pub fn find(names: &Names, scope: Option<&Scope>) -> Result<(ScopeKind, usize), String> {
    let Some(scope) = scope else {
        return match names.clients.len() {
            1 => Ok((ScopeKind::Client, 0)),
            _ => Err("there are several clients, so a metric must name one, as in `p99(VARIANT, CLIENT)`".to_string()),
        };
    };
    let lists = [
        (ScopeKind::Client, &names.clients),
        (ScopeKind::Service, &names.services),
        (ScopeKind::Edge, &names.edges),
    ];
    let asked = lists
        .iter()
        .filter(|(kind, _)| scope.kind.is_none_or(|wanted| wanted == *kind));
    let mut found = asked.filter_map(|(kind, list)| Some((*kind, list.iter().position(|name| *name == scope.name)?)));
    match (found.next(), found.next()) {
        (Some(found), None) => Ok(found),
        (Some(_), Some(_)) => Err(format!(
            "`{0}` is the name of several things: write `client {0}`, `service {0}` or `edge {0}`",
            scope.name
        )),
        (None, _) => Err(format!("no client, service or edge is called `{}`", scope.name)),
    }
}

/// Parentheses and signs may be nested so deeply.
const DEPTH_MAX: u32 = 50;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes a token if it comes next.
    fn take(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn wanted(&self, what: &str) -> String {
        match self.rest() {
            "" => format!("{what} is expected at the end"),
            rest => format!("{what} is expected before `{rest}`"),
        }
    }

    fn relation(&mut self) -> Result<Relation, String> {
        // The longer ones first.
        let all = [
            ("<=", Relation::AtMost),
            (">=", Relation::AtLeast),
            ("<", Relation::Less),
            (">", Relation::Greater),
        ];
        let found = all.iter().find(|(token, _)| self.take(token));
        found
            .map(|(_, relation)| *relation)
            .ok_or_else(|| self.wanted("one of `<`, `<=`, `>`, `>=`"))
    }

    fn sum(&mut self) -> Result<Expr, String> {
        let mut left = self.product()?;
        loop {
            let operator = match () {
                () if self.take("+") => Operator::Plus,
                () if self.take("-") => Operator::Minus,
                () => return Ok(left),
            };
            left = Expr::Binary(operator, left.into(), self.product()?.into());
        }
    }

    fn product(&mut self) -> Result<Expr, String> {
        let mut left = self.factor()?;
        loop {
            let operator = match () {
                () if self.take("*") => Operator::Times,
                () if self.take("/") => Operator::Over,
                () => return Ok(left),
            };
            left = Expr::Binary(operator, left.into(), self.factor()?.into());
        }
    }

    fn factor(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("it is nested too deeply".to_string());
        }
        let expr = if self.take("-") {
            Expr::Negative(self.factor()?.into())
        } else if self.take("(") {
            let inner = self.sum()?;
            if !self.take(")") {
                return Err(self.wanted("`)`"));
            }
            inner
        } else if self.rest().starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            self.number()?
        } else {
            self.metric()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn number(&mut self) -> Result<Expr, String> {
        let rest = self.rest();
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let value: f64 = rest[..digits]
            .parse()
            .map_err(|_| format!("`{}` is no number", &rest[..digits]))?;
        self.at += digits;
        let rest = self.rest();
        let letters = rest.find(|c: char| !c.is_alphabetic() && c != '%').unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "" => 1.0,
            "%" => 0.01,
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            other => {
                return Err(format!(
                    "`{other}` is no unit; there are `%`, `ns`, `us`, `ms`, `s`, `m` and `h`"
                ));
            }
        };
        self.at += letters;
        Ok(Expr::Number(value * unit))
    }

    fn metric(&mut self) -> Result<Expr, String> {
        let name = self.word();
        if name.is_empty() {
            return Err(self.wanted("a number or a metric such as `p99(VARIANT)`"));
        }
        let Some(metric) = Metric::from_name(name) else {
            let known: Vec<String> = metric_names().map(|name| format!("`{name}`")).collect();
            return Err(format!("there is no metric `{name}`; there are {}", known.join(", ")));
        };
        let mut arguments = Vec::new();
        if self.take("(") {
            let end = self.rest().find(')').ok_or_else(|| self.wanted("`)`"))?;
            let inside = &self.rest()[..end];
            self.at += end + 1;
            if !inside.trim().is_empty() {
                arguments.extend(inside.split(',').map(str::trim));
            }
        }
        if arguments.contains(&"") {
            return Err(format!("a name is missing in the arguments of `{name}`"));
        }
        if arguments.len() > 3 {
            return Err(format!("`{name}` takes a variant and a client, service or edge at most"));
        }
        Ok(Expr::Metric(MetricOf {
            metric,
            arguments: arguments.into_iter().map(str::to_string).collect(),
            window: self.window()?,
        }))
    }

    /// When, if that comes next.
    fn window(&mut self) -> Result<Option<Window>, String> {
        let start = self.at;
        let word = self.word();
        if !window::WORDS.contains(&word) {
            self.at = start;
            return Ok(None);
        }
        if word == "between" {
            let from = self.moment()?;
            if self.word() != "and" {
                return Err("`between` needs two times, as in `between 60s and 90s`".to_string());
            }
            return Ok(Some(Window::Between(from, self.moment()?)));
        }
        self.space();
        if word != "during" && self.rest().starts_with(|c: char| c.is_ascii_digit()) {
            let at = self.moment()?;
            return Ok(Some(match word {
                "before" => Window::Between(Time::ZERO, at),
                _ => Window::Between(at, Time::MAX),
            }));
        }
        let name = self.fault_name().ok_or_else(|| self.wanted("the name of a fault"))?;
        Ok(Some(match word {
            "during" => Window::During(name),
            "before" => Window::Before(name),
            _ => Window::After(name),
        }))
    }

    fn moment(&mut self) -> Result<Time, String> {
        self.space();
        match self.rest().starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            false => Err(self.wanted("a time such as `60s`")),
            true => match self.number()? {
                Expr::Number(seconds) if seconds < 1e9 => Ok(Time((seconds * 1e9).round() as u64)),
                _ => Err("a time is beyond all runs".to_string()),
            },
        }
    }

    /// A name, or anything in quotes.
    fn fault_name(&mut self) -> Option<String> {
        self.space();
        let rest = self.rest();
        if let Some(quote) = rest.chars().next().filter(|c| *c == '\'' || *c == '"') {
            let end = rest[1..].find(quote)?;
            self.at += end + 2;
            return Some(rest[1..=end].to_string());
        }
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && !"_-./".contains(c))
            .unwrap_or(rest.len());
        self.at += end;
        (end > 0).then(|| rest[..end].to_string())
    }

    /// Letters, digits, `_` and `.`.
    fn word(&mut self) -> &'a str {
        self.space();
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.')
            .unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }
}

impl Scope {
    fn parse(text: &str) -> Scope {
        let kinds = [
            ("client ", ScopeKind::Client),
            ("service ", ScopeKind::Service),
            ("edge ", ScopeKind::Edge),
        ];
        let found = kinds
            .iter()
            .find_map(|(word, kind)| text.strip_prefix(word).map(|name| (Some(*kind), name)));
        let (kind, name) = found.unwrap_or((None, text));
        Scope {
            kind,
            name: name.trim().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(metric: Metric, variant: &str) -> Box<Expr> {
        Box::new(Expr::Metric(MetricOf {
            metric,
            arguments: vec![variant.to_string()],
            window: None,
        }))
    }

    #[test]
    fn comparisons_are_read() {
        let read = Expectation::parse("p99(peak_ewma) < 0.9 * p99(round_robin)").expect("it is right");
        assert_eq!(read.left, *metric(Metric::Quantile(4), "peak_ewma"));
        assert_eq!(read.relation, Relation::Less);
        let factor = Box::new(Expr::Number(0.9));
        assert_eq!(
            read.right,
            Expr::Binary(Operator::Times, factor, metric(Metric::Quantile(4), "round_robin"))
        );
        let read = Expectation::parse("availability(a) >= 99.9%").expect("it is right");
        assert!(matches!(read.right, Expr::Number(share) if (share - 0.999).abs() < 1e-12));
        let read = Expectation::parse("p99.9 - p50() <= 1.5ms").expect("it is right");
        assert_eq!(read.metrics().count(), 2);
        let read = Expectation::parse("utilization(a, service api) > 50%").expect("it is right");
        let meaning = read.metrics().next().expect("a metric").meaning(&["a"]).expect("it is right");
        let scope = meaning.scope.expect("it has one");
        assert_eq!((scope.kind, &*scope.name), (Some(ScopeKind::Service), "api"));
    }

    fn windows(text: &str) -> Vec<Option<Window>> {
        let read = Expectation::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
        assert_eq!(read.text, text);
        read.metrics().map(|metric| metric.window.clone()).collect()
    }

    #[test]
    fn windows_are_read() {
        let during = |name: &str| Some(Window::During(name.to_string()));
        assert_eq!(
            windows("attempts_per_request(checkout) < 1.3 during outage"),
            [during("outage")]
        );
        let between = |from: u64, to: u64| Some(Window::Between(Time(from * 1_000_000_000), Time(to * 1_000_000_000)));
        assert_eq!(windows("p99(a) < 250ms between 60s and 1.5m"), [between(60, 90)]);
        assert_eq!(
            windows("availability(a) during crash > 0.9 * availability(a) before 10s"),
            [during("crash"), between(0, 10)]
        );
        // At the end of a line it is for all; in parentheses for one.
        assert_eq!(
            windows("p99(a) < 2 * p99(b) during crash"),
            [during("crash"), during("crash")]
        );
        assert_eq!(windows("p99(a) < 2 * (p99(b) during crash)"), [None, during("crash")]);
        assert_eq!(windows("p99(a) < 1s during 'crash zone b'"), [during("crash zone b")]);
        assert_eq!(
            windows("mean(a) < 1s after recovery"),
            [Some(Window::After("recovery".to_string()))]
        );
    }

    #[test]
    fn arguments_find_their_meaning() {
        let meaning = |text: &str, variants: &[&str]| {
            let read = Expectation::parse(text).expect("it is right");
            read.metrics().next().expect("a metric").meaning(variants)
        };
        let found = meaning("failures(a, web, timeout) < 5", &["a", "b"]).expect("it is right");
        assert_eq!(
            (found.variant.as_deref(), found.cause.as_deref()),
            (Some("a"), Some("timeout"))
        );
        assert_eq!(found.scope.map(|scope| scope.name).as_deref(), Some("web"));
        let found = meaning("failures(503) < 5", &["default"]).expect("it is right");
        assert_eq!((found.variant, found.cause.as_deref()), (None, Some("503")));
        let found = meaning("attempts_per_request(checkout) < 1.3", &["default"]).expect("it is right");
        assert_eq!(found.scope.map(|scope| scope.name).as_deref(), Some("checkout"));
        let found = meaning("time_to_recover(a, crash) < 20s", &["a", "b"]).expect("it is right");
        assert_eq!(found.window, Some(Window::During("crash".to_string())));
        assert!(meaning("p99(a, b, c) < 1s", &["a"]).expect_err("too many").contains("`c`"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = [
            ("", "a number or a metric"),
            ("p99(a)", "one of `<`"),
            ("p99(a) <", "at the end"),
            ("1 < 2", "no metric"),
            ("p98(a) < 1s", "there is no metric `p98`"),
            ("p99(a < 1s", "`)` is expected"),
            ("p99(a) < 1 parsec", "nothing is expected after"),
            ("p99(a) < 1parsec", "`parsec` is no unit"),
            ("p99(a, b, c, d) < 1s", "at most"),
            ("p99(a) during < 1s", "the name of a fault"),
            ("p99(a) < 1s between 5s", "nothing is expected after"),
            ("p99(a) between 5s or 9s < 1s", "needs two times"),
            ("p99(,b) < 1s", "a name is missing"),
        ];
        for (text, part) in wrong {
            let message = Expectation::parse(text).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        }
        let deep = "(".repeat(10_000);
        assert!(Expectation::parse(&deep).is_err());
    }
}
