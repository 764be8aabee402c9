//! Numbers with units: `250ms`, `1m30s`, `99.9%`, `500/s`, `1e6`.

use super::{Number, Problem};

/// Reads the number that begins at `at`, and moves `at` behind it.
pub(super) fn number(at: &mut usize, text: &str) -> Result<Number, Problem> {
    let start = *at;
    let (mut value, mut unit) = part(at, text)?;
    // A duration may have several parts: `1m30s`.
    while unit == Some(1) && text[*at..].starts_with(|c: char| c.is_ascii_digit()) {
        let (next, of) = part(at, text)?;
        if of != Some(1) {
            return Err(Problem::new(
                start..*at,
                "a time has units in all of its parts, as in `1m30s`",
            ));
        }
        value += next;
    }
    let mut chars = text[*at..].chars();
    if unit.is_none() && chars.next() == Some('/') {
        let per = chars.next();
        let is_word = chars.next().is_some_and(|c| c.is_alphanumeric() || "_.(%".contains(c));
        let seconds = match per {
            Some('s') => 1.0,
            Some('m') => 60.0,
            Some('h') => 3600.0,
            _ => 0.0,
        };
        if seconds > 0.0 && !is_word {
            *at += 2;
            (value, unit) = (value / seconds, Some(-1));
        }
    }
    Ok(Number {
        value,
        unit,
        at: start..*at,
    })
}

/// Digits and the letters behind them, and of which power of a second that is.
fn part(at: &mut usize, text: &str) -> Result<(f64, Option<i32>), Problem> {
    let (start, rest) = (*at, &text[*at..]);
    let mut end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let mantissa = &rest[..end];
    let mut exponent = 0;
    if let Some(power) = rest[end..].strip_prefix(['e', 'E']) {
        let sign = usize::from(power.starts_with(['+', '-']));
        let digits = power[sign..]
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(power.len() - sign);
        if let Ok(number) = power[..sign + digits].parse::<i32>() {
            exponent = number.clamp(-400, 400);
            end += 1 + sign + digits;
        }
    }
    *at += end;
    // Tables write `5 %`, so that may be copied.
    *at += usize::from(text[*at..].starts_with(" %"));
    let letters = &text[*at..];
    let length = letters
        .find(|c: char| !c.is_alphabetic() && c != '%')
        .unwrap_or(letters.len());
    let (power, factor, unit) = match &letters[..length] {
        "" => (0, 1.0, None),
        "%" => (-2, 1.0, Some(0)),
        "ns" => (-9, 1.0, Some(1)),
        "us" | "µs" | "μs" => (-6, 1.0, Some(1)),
        "ms" => (-3, 1.0, Some(1)),
        "s" => (0, 1.0, Some(1)),
        "m" => (0, 60.0, Some(1)),
        "h" => (0, 3600.0, Some(1)),
        other => {
            let problem = Problem::new(*at..*at + length, format!("`{other}` is no unit"));
            return Err(problem.help("there are `%`, `ns`, `us`, `ms`, `s`, `m`, `h` and `/s`"));
        }
    };
    *at += length;
    // Read with its unit as one decimal number, so that `99.9%` is the number nearest to 0.999.
    let value: Option<f64> = format!("{mantissa}e{}", exponent + power).parse().ok();
    match value.filter(|value| value.is_finite()) {
        Some(value) => Ok((value * factor, unit)),
        None => Err(Problem::new(start..start + end, format!("`{}` is no number", &rest[..end]))),
    }
}
