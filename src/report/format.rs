//! Numbers for people: a few digits and the unit that fits. Files get all digits; this is for tables, charts and prose.

use crate::report::summary::Value;

/// A duration in the unit that leaves one to three digits before the point: `12.3 ms`.
pub fn seconds(seconds: f64) -> String {
    let (scaled, unit) = scale(seconds, seconds.abs());
    format!("{} {unit}", digits(scaled, 3))
}

/// A round duration for an axis: `10 ms`, `1.5 s`, `2 min`.
pub fn seconds_short(seconds: f64) -> String {
    if seconds >= 120.0 && seconds % 60.0 == 0.0 {
        return format!("{} min", seconds / 60.0);
    }
    let (scaled, unit) = scale(seconds, seconds.abs() * (1.0 + 1e-9));
    format!("{} {unit}", trimmed(scaled, 3))
}

/// A duration in the unit that fits `like`.
fn scale(seconds: f64, like: f64) -> (f64, &'static str) {
    match like {
        0.0 => (seconds, "s"),
        like if like < 1e-6 => (seconds * 1e9, "ns"),
        like if like < 1e-3 => (seconds * 1e6, "µs"),
        like if like < 1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    }
}

/// Where there is no figure: `n/a`, and how many values it would need.
fn missing(value: &Value) -> String {
    match value.needs {
        Some(needed) => format!("n/a (needs {})", count(needed as f64)),
        None => "n/a".to_string(),
    }
}

/// A duration with its interval: `12.3 ± 0.4 ms`; `n/a` where there is none.
pub fn latency(value: &Value) -> String {
    let Some(figure) = value.value else { return missing(value) };
    let Some(half) = half_width(value) else {
        return seconds(figure);
    };
    let (scaled, unit) = scale(figure, figure.abs());
    let (half, _) = scale(half, figure.abs());
    format!("{} {unit}", with_error(scaled, half))
}

/// A plain figure with its interval: `12.3 ± 0.4`.
pub fn figure(value: &Value) -> String {
    let Some(figure) = value.value else { return "n/a".to_string() };
    match half_width(value) {
        Some(half) => with_error(figure, half),
        None => digits(figure, 3),
    }
}

/// A share as a percentage with its interval. The nearer to 100 %, the more decimals.
pub fn share(value: &Value) -> String {
    let Some(share) = value.value else { return "n/a".to_string() };
    let percent = share * 100.0;
    if share == 0.0 || share == 1.0 {
        // There its interval has one side only, which `±` cannot say.
        return format!("{percent} %");
    }
    match half_width(value) {
        Some(half) if half > 0.0 => format!("{} %", with_error(percent, half * 100.0)),
        _ => format!("{} %", trimmed(percent, share_decimals(share))),
    }
}

/// Decimals of a percentage that show its distance from 0 and 100 % with two digits.
fn share_decimals(share: f64) -> usize {
    let distance = (share.min(1.0 - share)).abs() * 100.0;
    if distance == 0.0 {
        0
    } else {
        decimals_for(distance, 2).min(5)
    }
}

/// A whole number with thin groups: `2 160 000`.
pub fn count(value: f64) -> String {
    let plain = format!("{value:.0}");
    let (sign, plain) = plain.strip_prefix('-').map_or(("", plain.as_str()), |rest| ("-", rest));
    let groups = plain
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits"));
    format!("{sign}{}", groups.collect::<Vec<_>>().join("\u{202f}"))
}

/// `figure ± half`, both with as many decimals as show the error with two digits at most.
pub fn with_error(figure: f64, half: f64) -> String {
    if half.is_nan() || half <= 0.0 {
        return digits(figure, 3);
    }
    let decimals = decimals_for(half, if leading_digit(half) == 1 { 2 } else { 1 }).min(6);
    format!("{} ± {half:.decimals$}", without_sign_of_zero(format!("{figure:.decimals$}")))
}

/// A client's figure as comparisons name it, in words: `web.latency_seconds.p99` is `web p99`.
pub fn metric(metric: &str) -> String {
    let words = metric.replace(".latency_seconds.", " ");
    words
        .strip_suffix(".availability_ratio")
        .map_or(words.clone(), |client| format!("{client} availability"))
}

/// A difference of a client's figure: of shares in percentage points.
pub fn difference(metric: &str, value: &Value) -> String {
    if !metric.ends_with("_ratio") {
        return latency(value);
    }
    let points = Value {
        value: value.value.map(|share| share * 100.0),
        ci95: value.ci95.map(|ends| ends.map(|share| share * 100.0)),
        ..value.clone()
    };
    match points.value {
        Some(_) => format!("{} points", figure(&points)),
        None => missing(value),
    }
}

/// How likely something would be by chance: two digits, and below a ten-thousandth only that.
pub fn p_value(value: &Value) -> String {
    match value.value {
        Some(p) if p < 1e-4 => "< 0.0001".to_string(),
        Some(p) => trimmed(rounded(p, 2), 4),
        None => "n/a".to_string(),
    }
}

/// A factor with its interval: `1.47 ± 0.08`, or `21 (12 to 37)` where the interval is far from even, as those of ratios are when they are wide.
pub fn factor(figure: f64, [low, high]: [f64; 2]) -> String {
    const EVEN_MAX: f64 = 1.5;
    if !(low > 0.0 && high > low * EVEN_MAX) {
        return with_error(figure, (high - low) / 2.0);
    }
    let short = |figure: f64| match figure {
        figure if figure >= 1000.0 => count(rounded(figure, 2)),
        figure => trimmed(rounded(figure, 2), 9),
    };
    format!("{} ({} to {})", short(figure), short(low), short(high))
}

/// The nearest number of so many significant digits.
pub fn rounded(figure: f64, significant: usize) -> f64 {
    if figure == 0.0 || !figure.is_finite() {
        return 0.0;
    }
    exponential(figure, significant).parse().expect("a number")
}

/// `figure` with `significant` digits, without an exponent.
pub fn digits(figure: f64, significant: usize) -> String {
    if figure == 0.0 || !figure.is_finite() {
        return format!("{figure}");
    }
    format!("{figure:.*}", decimals_for(figure, significant).min(9))
}

/// `-0.00` is zero.
fn without_sign_of_zero(text: String) -> String {
    match text.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|b| b == b'0' || b == b'.') => rest.to_string(),
        _ => text,
    }
}

/// `figure` with `significant` digits and an exponent.
pub fn exponential(figure: f64, significant: usize) -> String {
    format!("{figure:.*e}", significant.saturating_sub(1))
}

/// `figure` with at most `decimals` decimals.
pub fn trimmed(figure: f64, decimals: usize) -> String {
    let text = format!("{figure:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        text
    }
}

/// Decimals that show `significant` digits of `figure`.
fn decimals_for(figure: f64, significant: usize) -> usize {
    let mut decimals = significant as i32 - 1;
    let mut power = 1.0;
    let figure = figure.abs();
    while figure >= power * 10.0 && decimals > 0 {
        power *= 10.0;
        decimals -= 1;
    }
    if decimals == significant as i32 - 1 {
        while figure < power && decimals < 12 {
            power /= 10.0;
            decimals += 1;
        }
    }
    decimals.max(0) as usize
}

fn leading_digit(figure: f64) -> u32 {
    format!("{figure:e}")
        .chars()
        .next()
        .and_then(|digit| digit.to_digit(10))
        .unwrap_or(0)
}

/// Half the width of the interval.
pub fn half_width(value: &Value) -> Option<f64> {
    value.ci95.map(|[low, high]| (high - low) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(value: f64, low: f64, high: f64) -> Value {
        Value {
            value: Some(value),
            ci95: Some([low, high]),
            n: Some(10),
            ..Value::default()
        }
    }

    #[test]
    fn factors_have_even_intervals_only_where_these_are_even() {
        assert_eq!(factor(1.468, [1.39, 1.55]), "1.47 ± 0.08");
        assert_eq!(factor(20.9, [11.9, 36.7]), "21 (12 to 37)");
        assert_eq!(
            factor(12_454.0, [6_789.0, 22_840.0]),
            "12\u{202f}000 (6\u{202f}800 to 23\u{202f}000)"
        );
        assert_eq!(factor(1.0, [1.0, 1.0]), "1.00");
    }

    #[test]
    fn metrics_and_chances_are_told_in_words() {
        assert_eq!(metric("a.b.latency_seconds.p99"), "a.b p99");
        assert_eq!(metric("web.availability_ratio"), "web availability");
        let p = |p: f64| p_value(&Value::exact(p));
        assert_eq!([p(0.000_03), p(0.0312), p(1.0)], ["< 0.0001", "0.031", "1"]);
    }

    #[test]
    fn figures_have_the_digits_that_their_errors_leave() {
        assert_eq!(latency(&value(0.0123, 0.0119, 0.0127)), "12.3 ± 0.4 ms");
        assert_eq!(latency(&value(1.5, 1.36, 1.64)), "1.50 ± 0.14 s");
        assert_eq!(latency(&value(0.000_25, 0.000_249, 0.000_251)), "250.0 ± 1.0 µs");
        assert_eq!(figure(&value(1234.0, 1200.0, 1268.0)), "1234 ± 34");
        assert_eq!(figure(&value(1.42, 1.39, 1.45)), "1.42 ± 0.03");
        assert_eq!(figure(&value(-0.001, -2.0, 2.0)), "0 ± 2", "zero has no sign");
        assert_eq!(share(&value(0.99962, 0.9995, 0.99974)), "99.962 ± 0.012 %");
        assert_eq!(share(&value(1.0, 0.9999, 1.0)), "100 %");
        assert_eq!(share(&Value::exact(0.99987)), "99.987 %");
        assert_eq!(latency(&Value::missing("why")), "n/a");
        assert_eq!(latency(&Value::too_few(10_000, 950)), "n/a (needs 10\u{202f}000)");
    }

    #[test]
    fn plain_figures_have_three_digits() {
        for (number, text) in [
            (0.0, "0"),
            (1234.5, "1234"),
            (123.45, "123"),
            (12.345, "12.3"),
            (1.2345, "1.23"),
            (0.012345, "0.0123"),
            (-12.345, "-12.3"),
        ] {
            assert_eq!(digits(number, 3), text);
        }
        assert_eq!(seconds(0.0), "0 s");
        assert_eq!(seconds(0.0123456), "12.3 ms");
        assert_eq!(seconds(4.2e-8), "42.0 ns");
        assert_eq!(count(2_160_000.0), "2\u{202f}160\u{202f}000");
        assert_eq!(count(12.0), "12");
    }
}
