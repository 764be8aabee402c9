//! The language as users write it.

use super::*;
use crate::time::Time;

fn parse(text: &str) -> Expectation {
    Expectation::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem:?}"))
}

/// A tree with all its parentheses, numbers in seconds.
fn shown(expr: &Expr) -> String {
    match expr {
        Expr::Number(number) => format!("{}", number.value),
        Expr::Metric(of) => {
            let arguments: Vec<&str> = of.arguments.iter().map(|argument| argument.text.as_str()).collect();
            let window = of.window.as_ref().map(|window| format!(" {window}")).unwrap_or_default();
            format!("{}({}){window}", of.metric.name(), arguments.join(", "))
        }
        Expr::Negative(inner) => format!("-{}", shown(inner)),
        Expr::Binary(operator, left, right) => {
            let sign = match operator {
                Operator::Plus => "+",
                Operator::Minus => "-",
                Operator::Times => "*",
                Operator::Over => "/",
            };
            format!("({} {sign} {})", shown(left), shown(right))
        }
        Expr::Call(function, values) => {
            let values: Vec<String> = values.iter().map(shown).collect();
            format!("{function:?}[{}]", values.join(", "))
        }
    }
}

fn tree(text: &str) -> String {
    let links = parse(text).comparisons.into_iter().map(|link| {
        let within = link.tolerance.map(|tolerance| format!(" {tolerance:?}")).unwrap_or_default();
        format!("{} {} {}{within}", shown(&link.left), link.relation, shown(&link.right))
    });
    links.collect::<Vec<_>>().join(" and ")
}

#[test]
fn comparisons_are_read() {
    for (text, expected) in [
        (
            "p99(peak_ewma) < 0.9 * p99(round_robin)",
            "p99(peak_ewma) < (0.9 * p99(round_robin))",
        ),
        ("availability(a) >= 99.9%", "availability(a) >= 0.999"),
        ("p99.9-p50() <= 1.5ms", "(p99.9() - p50()) <= 0.0015"),
        ("p50(a)+p50(b)*2-1s/4 > 0", "((p50(a) + (p50(b) * 2)) - (1 / 4)) > 0"),
        ("((p50 - (p90))) != -(-1ms)", "(p50() - p90()) != --0.001"),
        ("- -p50 > -+2s", "--p50() > -2"),
        ("p50(a) - -p50(b) > 0", "(p50(a) - -p50(b)) > 0"),
        ("8 / 4 / 2 * p50 < 1h", "(((8 / 4) / 2) * p50()) < 3600"),
        ("10ms < p99 <= 50ms", "0.01 < p99() and p99() <= 0.05"),
        ("p99 == 250ms within 10ms", "p99() == 0.25 Absolute(0.01)"),
        ("p99(a) == p99(b) ± 5%", "p99(a) == p99(b) Relative(0.05)"),
        (
            "p99(a) ≠ p99(b) within 2.5% during crash",
            "p99(a) during crash != p99(b) during crash Relative(0.025)",
        ),
        (
            "max(p99(a), p99(b), 1ms) ≤ min(1s, 2 * p50)",
            "Max[p99(a), p99(b), 0.001] <= Min[1, (2 * p50())]",
        ),
        (
            "abs(p99(a) - p99(b)) < 5 % * p99(a)",
            "Abs[(p99(a) - p99(b))] < (0.05 * p99(a))",
        ),
        ("p99 < 1m30s", "p99() < 90"),
        ("p99 < 1m 30s", ""),
        ("rate > 500/s", "rate() > 500"),
        ("goodput(a) >= 30000/m", "goodput(a) >= 500"),
        ("requests(a) / 60s >= 1e2/s", "(requests(a) / 60) >= 100"),
        ("requests > 1.5e3", "requests() > 1500"),
        ("mean < 120us", "mean() < 0.00012"),
        ("mean < .5 µs", ""),
        ("mean < .5µs", "mean() < 0.0000005"),
    ] {
        match expected {
            "" => assert!(Expectation::parse(text).is_err(), "{text}"),
            expected => assert_eq!(tree(text), expected, "{text}"),
        }
    }
}

#[test]
fn names_may_hold_whatever_names_may_hold() {
    for (text, expected) in [
        (
            "p99(d=3, frontend->catalog/list) < 1s",
            "p99(d=3, frontend->catalog/list) < 1",
        ),
        (
            "requests(a+b-c.d, catalog/c-0.zone) > 0",
            "requests(a+b-c.d, catalog/c-0.zone) > 0",
        ),
        ("mean(v, a->b/GET:/items/{id}) < 1s", "mean(v, a->b/GET:/items/{id}) < 1"),
        ("mean( v ,edge a->b/x ) < 1s", "mean(v, edge a->b/x) < 1"),
        (
            "time_to_recover(v, 'crash (zone b), twice') < 1s",
            "time_to_recover(v, crash (zone b), twice) < 1",
        ),
        ("mean(größe) < 1s during 'größer 2'", "mean(größe) during größer 2 < 1"),
    ] {
        assert_eq!(tree(text), expected, "{text}");
    }
}

fn windows(text: &str) -> Vec<Option<Window>> {
    let read = parse(text);
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
    assert_eq!(windows("p99(a) < 250ms between 1m and 1m30s"), [between(60, 90)]);
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
    assert_eq!(
        windows("10ms < p99(a) < p99(b) after 90s"),
        [90, 90].map(|from| Some(Window::Between(Time(from * 1_000_000_000), Time::MAX)))
    );
    assert_eq!(windows("p99(a) < 1s during 'crash zone b'"), [during("crash zone b")]);
    assert_eq!(
        windows("max(p99(a) during crash, p99(b)) < 1s before crash"),
        [during("crash"), Some(Window::Before("crash".to_string()))]
    );
    assert_eq!(
        windows("mean(a) < 1s after recovery"),
        [Some(Window::After("recovery".to_string()))]
    );
}

#[test]
fn arguments_find_their_meaning() {
    let meaning = |text: &str, variants: &[&str]| {
        let read = parse(text);
        read.metrics().next().expect("a metric").meaning(variants)
    };
    let found = meaning("failures(a, web, timeout) < 5", &["a", "b"]).expect("it is right");
    assert_eq!(
        (found.variant.as_deref(), found.cause.as_deref()),
        (Some("a"), Some("timeout"))
    );
    assert_eq!(found.scope.map(|scope| scope.name).as_deref(), Some("web"));
    let found = meaning("error_rate(503) < 5%", &["default"]).expect("it is right");
    assert_eq!((found.variant, found.cause.as_deref()), (None, Some("503")));
    let found = meaning("attempts_per_request(checkout) < 1.3", &["default"]).expect("it is right");
    assert_eq!(found.scope.map(|scope| scope.name).as_deref(), Some("checkout"));
    let found = meaning("time_to_recover(a, crash) < 20s", &["a", "b"]).expect("it is right");
    assert_eq!(found.window, Some(Window::During("crash".to_string())));
    let found = meaning("utilization(variant web, service web) > 50%", &["web"]).expect("it is right");
    let scope = Scope {
        kind: Some(ScopeKind::Service),
        name: "web".to_string(),
    };
    assert_eq!((found.variant.as_deref(), found.scope), (Some("web"), Some(scope)));
    let problem = meaning("p99(a, b, c) < 1s", &["a"]).expect_err("too many");
    assert!(problem.message.contains("`c`") && problem.at == (10..11), "{problem:?}");
}

#[test]
fn what_is_wrong_is_said_where_it_is() {
    // The text, what is marked in it, and words of the message and the help.
    for (text, marked, words) in [
        ("", "", "a number or a metric"),
        ("p99(a)", "", "one of `<`"),
        ("p99(a) <", "", "at the end"),
        ("1 < 2", "1 < 2", "no metric"),
        ("p98(a) < 1s", "p98", "`p99.9`"),
        ("p999(a) < 1s", "p999", "did you mean `p99.9`?"),
        ("availabilty(a) > 1%", "availabilty", "did you mean `availability`?"),
        ("throughput(a) > 1/s", "throughput", "did you mean `rate`?"),
        ("foo(a) > 1/s", "foo", "there are `p50`, "),
        ("p99(a < 1s", "", "`)` is expected"),
        ("p99(a)) < 1s", ")", "one of `<`"),
        ("(p99(a) < 1s", "<", "`)` is expected"),
        ("p99(a) < 1 parsec", "parsec", "nothing is expected after"),
        ("p99(a) < 1parsec", "parsec", "`parsec` is no unit"),
        ("p99(a) < 1.2.3s", "1.2.3", "is no number"),
        ("p99(a) < 1e999s", "1e999", "is no number"),
        ("p99(a, b, c, d) < 1s", "d", "at most"),
        ("p99(a) during < 1s", "<", "the name of a fault"),
        ("p99(a) < 1s between 5s", "between", "nothing is expected after"),
        ("p99(a) between 5s or 9s < 1s", "or", "needs two times"),
        ("p99(a) before 5% < 1s", "5%", "is no time"),
        ("p99(,b) < 1s", "(", "a name is missing"),
        ("p99(a,) < 1s", ",", "a name is missing"),
        ("p99(a) = 1s", "=", "equal is `==`"),
        ("p99(a) => 1s", "=>", "at least `>=`"),
        ("p99(a) <> 1s", "<>", "compares nothing"),
        ("p99(a) < 1s and p50(a) < 1s", "and", "a line of its own"),
        ("p99(a) < 1s && p50(a) < 1s", "&&", "a line of its own"),
        ("p99(a) during crash zone b > p50(a)", "zone", "one of `<`"),
        ("p99(a) < 1s during crash zone b", "zone", "in quotes"),
        ("p99(a) < 1s within 5%", "p99(a) < 1s within 5%", "by `==` or `!=`"),
        ("p99(a) == 1s within x", "x", "a share such as"),
        ("p99(a) < 50%", "p99(a) < 50%", "compares a time and a plain number"),
        (
            "p99(a) + requests(a) < 1s",
            "p99(a) + requests(a)",
            "adds a time and a plain number",
        ),
        ("requests(a) > 500/s", "requests(a) > 500/s", "a plain number and a rate"),
        ("p99(a) / 0 > 1", "0", "divided by zero"),
        ("min() < 1s", ")", "a number or a metric"),
        ("1s < p99 < 2s < 3s", "<", "nothing is expected after"),
    ] {
        let problem = Expectation::parse(text).expect_err(text);
        let all = format!("{} {}", problem.message, problem.help.clone().unwrap_or_default());
        assert!(all.contains(words), "{text}: {problem:?}");
        if !marked.is_empty() {
            assert_eq!(text.get(problem.at.clone()), Some(marked), "{text}: {problem:?}");
        }
    }
    for deep in [
        "(".repeat(10_000),
        "-".repeat(10_000),
        format!("p50 < {}1", "1+".repeat(10_000)),
    ] {
        assert!(Expectation::parse(&deep).is_err());
    }
}

#[test]
fn numbers_without_units_beside_times_are_remarked() {
    let remarks = |text: &str| Expectation::parse_with_remarks(text).expect("it is right").1;
    let found = remarks("p99(a) < 250");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].at.clone(), found[0].message.contains("seconds")), (9..12, true));
    for text in [
        "p99(a) < 250ms",
        "p99(a) > 0",
        "p99(a) < 2 * p50(a)",
        "requests(a) > 10",
        "p99(a) / p50(a) < 3",
    ] {
        assert_eq!(remarks(text), [], "{text}");
    }
}

#[test]
fn any_text_is_read_or_refused() {
    let pieces = [
        "p99", "(", ")", "a", ",", " ", "<", "==", "within", "5%", "ms", "1", ".", "e", "-", "+", "/", "s", "during", "between",
        "and", "'", "µ", "max", "\u{0}", "\n",
    ];
    let mut state = 1_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        if let Err(problem) = Expectation::parse(&text) {
            assert!(
                problem.at.end <= text.len() && text.is_char_boundary(problem.at.start),
                "{text}: {problem:?}"
            );
        }
    }
}
