//! Units of both sides: a time is compared with a time, a share with a share.

use super::{Comparison, Expr, Function, Operator, Problem};

/// What a value is: the power of a second, or anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Zero, which is the same in all units.
    Zero,
    /// A number without a unit.
    Bare,
    /// 1: seconds; -1: by the second; 0: a share, a count.
    Of(i32),
}

/// The power of a second of both sides.
pub(super) fn of(comparison: &Comparison) -> i32 {
    let power = |expr: &Expr| match kind(expr, &mut Vec::new()) {
        Ok(Kind::Of(power)) => Some(power),
        _ => None,
    };
    power(&comparison.left).or_else(|| power(&comparison.right)).unwrap_or(0)
}

/// Whether the two sides can be compared. A number without a unit beside a time is taken for seconds, with a remark.
pub(super) fn check(comparison: &Comparison, remarks: &mut Vec<Problem>) -> Result<(), Problem> {
    let left = kind(&comparison.left, remarks)?;
    let right = kind(&comparison.right, remarks)?;
    same((left, &comparison.left), (right, &comparison.right), "compares", remarks).map(|_| ())
}

fn kind(expr: &Expr, remarks: &mut Vec<Problem>) -> Result<Kind, Problem> {
    match expr {
        Expr::Number(number) if number.value == 0.0 && number.unit.is_none() => Ok(Kind::Zero),
        Expr::Number(number) => Ok(number.unit.map_or(Kind::Bare, Kind::Of)),
        Expr::Metric(metric) => Ok(Kind::Of(metric.metric.unit())),
        Expr::Negative(inner) => kind(inner, remarks),
        Expr::Binary(operator, left, right) => {
            let kinds = (kind(left, remarks)?, kind(right, remarks)?);
            match operator {
                Operator::Plus => same((kinds.0, left), (kinds.1, right), "adds", remarks),
                Operator::Minus => same((kinds.0, left), (kinds.1, right), "subtracts", remarks),
                Operator::Times => Ok(product(kinds, |a, b| a + b)),
                Operator::Over if kinds.1 == Kind::Zero => Err(Problem::new(right.at(), "nothing can be divided by zero")),
                Operator::Over => Ok(product(kinds, |a, b| a - b)),
            }
        }
        Expr::Call(Function::Abs | Function::Min | Function::Max, values) => {
            let first = values.first().expect("a function has values");
            let mut all = kind(first, remarks)?;
            for value in &values[1..] {
                let next = kind(value, remarks)?;
                all = same((all, first), (next, value), "compares", remarks)?;
            }
            Ok(all)
        }
    }
}

fn product(kinds: (Kind, Kind), power: impl Fn(i32, i32) -> i32) -> Kind {
    let of = |kind| match kind {
        Kind::Of(power) => power,
        Kind::Zero | Kind::Bare => 0,
    };
    match kinds {
        (Kind::Of(_), _) | (_, Kind::Of(_)) => Kind::Of(power(of(kinds.0), of(kinds.1))),
        _ => Kind::Bare,
    }
}

/// The kind of both, where they are of one.
fn same(left: (Kind, &Expr), right: (Kind, &Expr), does: &str, remarks: &mut Vec<Problem>) -> Result<Kind, Problem> {
    match (left.0, right.0) {
        (Kind::Of(a), Kind::Of(b)) if a != b => {
            let at = left.1.at().start..right.1.at().end;
            let message = format!("it {does} {} and {}", called(a), called(b));
            Err(Problem::new(at, message).help("times have units such as `250ms`, rates such as `500/s`, shares such as `99.9%`"))
        }
        (Kind::Of(a), Kind::Of(_)) => Ok(Kind::Of(a)),
        (Kind::Of(a), bare @ (Kind::Bare | Kind::Zero)) => Ok(fitted(a, bare, right.1, remarks)),
        (bare @ (Kind::Bare | Kind::Zero), Kind::Of(a)) => Ok(fitted(a, bare, left.1, remarks)),
        (Kind::Zero, other) | (other, Kind::Zero) => Ok(other),
        (Kind::Bare, Kind::Bare) => Ok(Kind::Bare),
    }
}

fn fitted(power: i32, kind: Kind, expr: &Expr, remarks: &mut Vec<Problem>) -> Kind {
    if power != 0 && kind == Kind::Bare {
        let unit = if power == 1 { "seconds" } else { "by the second" };
        let remark = Problem::new(
            expr.at(),
            format!("a number without a unit beside {}: it is taken as {unit}", called(power)),
        );
        let help = if power == 1 {
            "write the unit, as in `250ms`"
        } else {
            "write the unit, as in `500/s`"
        };
        remarks.push(remark.help(help));
    }
    Kind::Of(power)
}

fn called(power: i32) -> String {
    match power {
        1 => "a time".to_string(),
        0 => "a plain number".to_string(),
        -1 => "a rate".to_string(),
        other => format!("something in seconds to the power of {other}"),
    }
}
