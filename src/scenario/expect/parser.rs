//! The grammar of `expect:`, by recursive descent over the text.
//!
//! ```text
//! line       = sum relation sum ["within" number] [relation sum] [window]
//! sum        = product {("+" | "-") product}
//! product    = factor {("*" | "/") factor}
//! factor     = "-" factor | "(" sum ")" | number | function "(" sum {"," sum} ")" | metric
//! metric     = name ["(" [argument {"," argument}] ")"] [window]
//! window     = ("during" | "before" | "after") (fault | time) | "between" time "and" time
//! ```

use super::metric::{self, Metric, metric_names};
use super::number;
use super::window::{self, Window};
use super::{Argument, Comparison, Expr, Function, MetricOf, Operator, Problem, Relation, Tolerance};
use crate::scenario::diagnostic::nearest;
use crate::time::Time;

/// Parentheses and signs may be nested so deeply.
const DEPTH_MAX: u32 = 50;
/// More than any line needs: each is a branch of a tree that is walked again and again.
const TERMS_MAX: u32 = 200;

const FUNCTIONS: [(&str, Function); 3] = [("abs", Function::Abs), ("min", Function::Min), ("max", Function::Max)];

/// What people write, and what it is called here.
const SYNONYMS: [(&str, &str); 14] = [
    ("average", "mean"),
    ("avg", "mean"),
    ("median", "p50"),
    ("latency", "mean"),
    ("p999", "p99.9"),
    ("p9999", "p99.99"),
    ("errors", "failures"),
    ("error_ratio", "error_rate"),
    ("failure_rate", "error_rate"),
    ("success_rate", "availability"),
    ("throughput", "rate"),
    ("rps", "rate"),
    ("retries", "attempts_per_request"),
    ("amplification_factor", "amplification"),
];

/// Reads a line.
pub(super) fn comparisons(whole: &str) -> Result<Vec<Comparison>, Problem> {
    let (text, window) = last_window(whole);
    let mut parser = Parser::new(text);
    let mut sides = vec![parser.sum()?];
    let mut relations = Vec::new();
    loop {
        relations.push(parser.relation()?);
        sides.push(parser.sum()?);
        parser.space();
        let is_end = parser.rest().is_empty() || parser.word_ahead() == "within" || parser.rest().starts_with('±');
        if is_end || relations.len() == 2 {
            break;
        }
        if parser.relation_ahead().is_none() {
            return Err(parser.beyond());
        }
    }
    let tolerance = parser.tolerance()?;
    parser.space();
    if !parser.rest().is_empty() {
        return Err(parser.beyond());
    }
    if let Some(window) = window {
        sides.iter_mut().for_each(|side| side.fill_window(&window));
    }
    let may_be_equal = |relation: &Relation| matches!(relation, Relation::Equal | Relation::NotEqual);
    if tolerance.is_some() && !relations.iter().any(may_be_equal) {
        let problem = Problem::new(
            0..text.len(),
            "`within` says how near is equal, and nothing here is compared by `==` or `!=`",
        );
        return Err(problem);
    }
    let pairs = sides.windows(2).zip(relations);
    let comparison = |(pair, relation): (&[Expr], Relation)| Comparison {
        left: pair[0].clone(),
        relation,
        right: pair[1].clone(),
        tolerance: tolerance.filter(|_| may_be_equal(&relation)),
    };
    Ok(pairs.map(comparison).collect())
}

/// Reads a metric that stands alone.
pub(super) fn metric(text: &str) -> Result<MetricOf, Problem> {
    let mut parser = Parser::new(text);
    let Expr::Metric(metric) = parser.metric()? else {
        return Err(Problem::new(0..text.len(), "a metric is expected, and no function of some"));
    };
    parser.space();
    match parser.rest().is_empty() {
        true => Ok(metric),
        false => Err(parser.beyond()),
    }
}

/// The metric of a name.
///
/// # Errors
/// That there is none, for the user.
pub fn metric_named(name: &str) -> Result<Metric, Problem> {
    Metric::from_name(name).ok_or_else(|| unknown_metric(0, name))
}

/// A line without the window at its end, and that window.
fn last_window(text: &str) -> (&str, Option<Window>) {
    for word in window::WORDS {
        let Some(at) = text.rfind(&format!(" {word} ")) else {
            continue;
        };
        let is_outside = text[..at].matches('(').count() == text[..at].matches(')').count();
        let mut parser = Parser { at, ..Parser::new(text) };
        if is_outside
            && let Ok(Some(window)) = parser.window()
            && parser.rest().trim().is_empty()
        {
            return (&text[..at], Some(window));
        }
    }
    (text, None)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    terms: u32,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parser<'a> {
        Parser {
            text,
            at: 0,
            depth: 0,
            terms: 0,
        }
    }

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

    /// A problem with what begins here, up to the next space.
    fn here(&self, message: impl Into<String>) -> Problem {
        let rest = self.rest();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        Problem::new(self.at..self.at + end, message)
    }

    fn wanted(&mut self, what: &str) -> Problem {
        self.space();
        match self.rest() {
            "" => self.here(format!("{what} is expected at the end")),
            rest => self.here(format!("{what} is expected before `{rest}`")),
        }
    }

    /// There is something behind the end.
    fn beyond(&mut self) -> Problem {
        let start = self.at;
        // A window that is not the end: the rest of a fault's name, mostly.
        if let Ok(Some(_)) = self.window() {
            self.space();
            if !self.rest().is_empty() {
                let problem = self.here(format!("nothing is expected after the window, and here is `{}`", self.rest()));
                return problem.help("the name of a fault that has spaces is written in quotes, as in `during 'crash zone b'`");
            }
        }
        self.at = start;
        let rest = self.rest();
        let problem = self.here(format!("nothing is expected after the comparison, and here is `{rest}`"));
        let first = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let is_another = matches!(first, "and" | "or") || rest.starts_with("&&") || rest.starts_with("||");
        match is_another {
            true => problem.help("each comparison is a line of its own"),
            false => problem,
        }
    }

    /// The relation that comes next, and how long it is written.
    fn relation_ahead(&self) -> Option<(Relation, usize)> {
        // The longer ones first.
        let all = [
            ("<=", Relation::AtMost),
            ("≤", Relation::AtMost),
            (">=", Relation::AtLeast),
            ("≥", Relation::AtLeast),
            ("==", Relation::Equal),
            ("!=", Relation::NotEqual),
            ("≠", Relation::NotEqual),
            ("<", Relation::Less),
            (">", Relation::Greater),
        ];
        let rest = self.rest().trim_start();
        let found = all.iter().find(|(token, _)| rest.starts_with(token));
        found.map(|(token, relation)| (*relation, token.len()))
    }

    fn relation(&mut self) -> Result<Relation, Problem> {
        self.space();
        if let Some((relation, length)) = self.relation_ahead() {
            let wrong = ["<>", "===", "!=="].iter().find(|wrong| self.rest().starts_with(**wrong));
            if let Some(wrong) = wrong {
                return Err(self.here(format!("`{wrong}` compares nothing")).help(RELATIONS));
            }
            self.at += length;
            return Ok(relation);
        }
        if self.rest().starts_with('=') {
            let problem = self.here("`=` compares nothing");
            return Err(problem.help("equal is `==`, as in `p99(a) == p99(b) within 5%`; at most is `<=`, at least `>=`"));
        }
        Err(self.wanted("one of `<`, `<=`, `>`, `>=`, `==`, `!=`"))
    }

    /// `within 5%`, if that comes next.
    fn tolerance(&mut self) -> Result<Option<Tolerance>, Problem> {
        self.space();
        if self.word_ahead() == "within" {
            self.word();
        } else if !self.take("±") {
            return Ok(None);
        }
        self.space();
        if !self.rest().starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return Err(self.wanted("a share such as `5%` or a number such as `10ms`"));
        }
        let number = number::number(&mut self.at, self.text)?;
        Ok(Some(match self.text[number.at.clone()].ends_with('%') {
            true => Tolerance::Relative(number.value),
            false => Tolerance::Absolute(number.value),
        }))
    }

    fn sum(&mut self) -> Result<Expr, Problem> {
        let mut left = self.product()?;
        loop {
            let operator = match () {
                () if self.take("+") => Operator::Plus,
                () if self.take("-") || self.take("−") => Operator::Minus,
                () => return Ok(left),
            };
            left = Expr::Binary(operator, left.into(), self.product()?.into());
        }
    }

    fn product(&mut self) -> Result<Expr, Problem> {
        let mut left = self.factor()?;
        loop {
            let operator = match () {
                () if self.take("*") || self.take("×") || self.take("·") => Operator::Times,
                () if self.take("/") => Operator::Over,
                () => return Ok(left),
            };
            left = Expr::Binary(operator, left.into(), self.factor()?.into());
        }
    }

    fn factor(&mut self) -> Result<Expr, Problem> {
        self.depth += 1;
        self.terms += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.here("it is nested too deeply"));
        }
        if self.terms > TERMS_MAX {
            return Err(self.here(format!("it has more than {TERMS_MAX} terms")));
        }
        let expr = if self.take("-") || self.take("−") {
            Expr::Negative(self.factor()?.into())
        } else if self.take("+") {
            self.factor()?
        } else if self.take("(") {
            let inner = self.sum()?;
            if !self.take(")") {
                return Err(self.wanted("`)`"));
            }
            inner
        } else if self.rest().starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            Expr::Number(number::number(&mut self.at, self.text)?)
        } else {
            self.metric()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn metric(&mut self) -> Result<Expr, Problem> {
        self.space();
        let start = self.at;
        let name = self.word();
        if name.is_empty() {
            return Err(self.wanted("a number or a metric such as `p99(VARIANT)`"));
        }
        let Some(metric) = Metric::from_name(name) else {
            if let Some((_, function)) = FUNCTIONS.iter().find(|(other, _)| *other == name) {
                return self.call(name, *function);
            }
            return Err(unknown_metric(start, name));
        };
        let mut arguments = Vec::new();
        if self.take("(") {
            arguments = self.arguments(name)?;
        }
        Ok(Expr::Metric(MetricOf {
            metric,
            arguments,
            at: start..self.at,
            window: self.window()?,
        }))
    }

    /// The values of a function.
    fn call(&mut self, name: &str, function: Function) -> Result<Expr, Problem> {
        if !self.take("(") {
            return Err(self.wanted("`(`"));
        }
        let mut values = vec![self.sum()?];
        while self.take(",") {
            values.push(self.sum()?);
        }
        if !self.take(")") {
            return Err(self.wanted("`)`"));
        }
        if function == Function::Abs && values.len() != 1 {
            return Err(self.here(format!("`{name}` is of one value")));
        }
        Ok(Expr::Call(function, values))
    }

    /// Names up to the closing parenthesis. They may hold anything but commas and parentheses, or anything within quotes.
    fn arguments(&mut self, name: &str) -> Result<Vec<Argument>, Problem> {
        let mut arguments = Vec::new();
        if self.take(")") {
            return Ok(arguments);
        }
        loop {
            self.space();
            let (start, rest) = (self.at, self.rest());
            let quote = rest.chars().next().filter(|c| *c == '\'' || *c == '"');
            let (text, length) = match quote.and_then(|quote| Some((quote, rest[1..].find(quote)?))) {
                Some((_, end)) => (&rest[1..=end], end + 2),
                None => {
                    let end = rest.find([',', '(', ')']).unwrap_or(rest.len());
                    (rest[..end].trim(), end)
                }
            };
            self.at += length;
            if text.is_empty() {
                let message = format!("a name is missing in the arguments of `{name}`");
                return Err(Problem::new(start.saturating_sub(1)..self.at.max(start), message));
            }
            arguments.push(Argument {
                text: text.to_string(),
                at: start..start + rest[..length].trim_end().len(),
            });
            if self.take(",") {
                continue;
            }
            if !self.take(")") {
                return Err(self.wanted("`)`"));
            }
            if let Some(fourth) = arguments.get(3) {
                let message = format!("`{name}` takes a variant, a client, service, edge or endpoint, and a cause at most");
                return Err(Problem::new(fourth.at.clone(), message));
            }
            return Ok(arguments);
        }
    }

    /// When, if that comes next.
    fn window(&mut self) -> Result<Option<Window>, Problem> {
        let word = self.word_ahead();
        if !window::WORDS.contains(&word) {
            return Ok(None);
        }
        self.word();
        if word == "between" {
            let from = self.moment()?;
            self.space();
            if self.word_ahead() != "and" {
                return Err(self.here("`between` needs two times, as in `between 60s and 90s`"));
            }
            self.word();
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

    fn moment(&mut self) -> Result<Time, Problem> {
        self.space();
        if !self.rest().starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return Err(self.wanted("a time such as `60s`"));
        }
        let number = number::number(&mut self.at, self.text)?;
        match number.unit {
            None | Some(1) if number.value < 1e9 => Ok(Time((number.value * 1e9).round() as u64)),
            None | Some(1) => Err(Problem::new(number.at, "a time is beyond all runs")),
            Some(_) => {
                let message = format!("`{}` is no time such as `60s`", &self.text[number.at.clone()]);
                Err(Problem::new(number.at, message))
            }
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

    /// Letters, digits, `_` and `.` that come next, left where they are.
    fn word_ahead(&self) -> &'a str {
        let rest = self.rest().trim_start();
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.')
            .unwrap_or(rest.len());
        &rest[..end]
    }

    /// The same, taken.
    fn word(&mut self) -> &'a str {
        self.space();
        let word = self.word_ahead();
        self.at += word.len();
        word
    }
}

const RELATIONS: &str = "there are `<`, `<=`, `>`, `>=`, `==` and `!=`";

fn unknown_metric(start: usize, name: &str) -> Problem {
    let problem = Problem::new(start..start + name.len(), format!("there is no metric `{name}`"));
    let known = || metric_names().chain(FUNCTIONS.map(|(name, _)| name));
    let synonym = SYNONYMS.iter().find(|(other, _)| *other == name.to_lowercase());
    // Of a quantile another one is meant, though its digits look alike.
    let is_quantile = metric::is_quantile(name);
    if is_quantile && synonym.is_none() {
        return problem.help(format!(
            "the quantiles kept of each replication are {}",
            listed(super::QUANTILE_NAMES)
        ));
    }
    let meant = synonym.map(|(_, meant)| *meant).or_else(|| nearest(name, known()));
    match meant {
        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
        None => problem.help(format!("there are {}", listed(known()))),
    }
}

fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
