//! The language of `expect:`: what a scenario says of its results, one comparison a line.
//!
//! `p99(peak_ewma) < 0.9 * p99(round_robin)`: metrics of variants, numbers with units, `+ - * /`, parentheses, and one of `< <= > >=`.
//! A metric's first argument is a variant; it may be left out where there is but one. Its second is a client, a service or an edge
//! (the only client if absent), with `client`, `service` or `edge` before the name where one name means several.

use std::fmt;

use crate::scenario::Names;

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
    /// Of which variant; the only one if absent.
    pub variant: Option<String>,
    /// Of what in it; the only client if absent.
    pub scope: Option<Scope>,
}

/// Of what a metric is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// What kind of thing; `None`: whatever has the name.
    pub kind: Option<ScopeKind>,
    /// Its name.
    pub name: String,
}

/// A kind of thing that has metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeKind {
    /// A client: its requests.
    Client,
    /// A service: the attempts at its endpoints.
    Service,
    /// An edge: the calls from one owner to an operation.
    Edge,
}

/// What is measured in every replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The share of requests, calls or attempts that succeeded.
    Availability,
    /// The mean latency of successes, in seconds.
    Mean,
    /// A quantile of the latency of successes, in seconds: an index into [`QUANTILE_NAMES`].
    Quantile(usize),
    /// How many requests, calls or attempts.
    Requests,
    /// Attempts by request or call.
    AttemptsPerRequest,
    /// The share of a service's slots that is busy.
    Utilization,
    /// The mean number of requests at a service.
    InFlight,
    /// The mean wait before service, in seconds.
    QueueWait,
    /// The share of attempts that waited.
    Waited,
    /// Attempts at the busiest endpoint of a service by those at an average one.
    LoadMax,
    /// Pairs of a caller and an endpoint of a service that had to do with each other.
    Connections,
}

/// The quantiles there are.
pub const QUANTILE_NAMES: [&str; 7] = ["p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99"];

const NAMES: [(&str, Metric); 10] = [
    ("availability", Metric::Availability),
    ("mean", Metric::Mean),
    ("requests", Metric::Requests),
    ("attempts_per_request", Metric::AttemptsPerRequest),
    ("utilization", Metric::Utilization),
    ("in_flight", Metric::InFlight),
    ("queue_wait", Metric::QueueWait),
    ("waited", Metric::Waited),
    ("load_max", Metric::LoadMax),
    ("connections", Metric::Connections),
];

/// The names of all metrics.
pub fn metric_names() -> impl Iterator<Item = &'static str> {
    QUANTILE_NAMES.into_iter().chain(NAMES.iter().map(|(name, _)| *name))
}

impl Metric {
    /// The metric of a name.
    pub fn from_name(name: &str) -> Option<Metric> {
        let quantile = QUANTILE_NAMES.iter().position(|other| *other == name).map(Metric::Quantile);
        quantile.or_else(|| NAMES.iter().find(|(other, _)| *other == name).map(|(_, metric)| *metric))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Quantile(index) => QUANTILE_NAMES[index],
            other => {
                NAMES
                    .iter()
                    .find(|(_, metric)| *metric == other)
                    .expect("every metric has a name")
                    .0
            }
        }
    }

    /// Whether things of a kind have it.
    pub fn is_of(self, kind: ScopeKind) -> bool {
        match self {
            Metric::Availability | Metric::Mean | Metric::Quantile(_) | Metric::Requests => true,
            Metric::AttemptsPerRequest => kind != ScopeKind::Service,
            Metric::Utilization
            | Metric::InFlight
            | Metric::QueueWait
            | Metric::Waited
            | Metric::LoadMax
            | Metric::Connections => kind == ScopeKind::Service,
        }
    }
}

impl fmt::Display for ScopeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScopeKind::Client => "a client",
            ScopeKind::Service => "a service",
            ScopeKind::Edge => "an edge",
        })
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
    pub fn parse(text: &str) -> Result<Expectation, String> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let left = parser.sum()?;
        let relation = parser.relation()?;
        let right = parser.sum()?;
        parser.space();
        match parser.rest() {
            "" => {}
            rest => return Err(format!("nothing is expected after the comparison, and here is `{rest}`")),
        }
        let expectation = Expectation {
            text: text.trim().to_string(),
            left,
            relation,
            right,
        };
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
        let (variant, scope) = match arguments[..] {
            [] => (None, None),
            [variant] => (Some(variant), None),
            [variant, scope] => (Some(variant), Some(scope)),
            _ => return Err(format!("`{name}` takes a variant and a client, service or edge at most")),
        };
        if variant == Some("") || scope == Some("") {
            return Err(format!("a name is missing in the arguments of `{name}`"));
        }
        Ok(Expr::Metric(MetricOf {
            metric,
            variant: variant.map(str::to_string),
            scope: scope.map(Scope::parse),
        }))
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
            variant: Some(variant.to_string()),
            scope: None,
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
        let scope = read.metrics().next().and_then(|metric| metric.scope.as_ref());
        assert_eq!(
            scope.map(|scope| (scope.kind, &*scope.name)),
            Some((Some(ScopeKind::Service), "api"))
        );
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
            ("p99(a, b, c) < 1s", "at most"),
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
