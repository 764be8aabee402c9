//! Tables and figures of the page.

use std::fmt::Write;

use crate::report::Named;
use crate::report::chart::escape;
use crate::report::format;
use crate::report::summary::Value;

/// Where there is no figure.
pub const NOTHING: &str = "n/a";
/// A time that was not reached.
pub const NEVER: &str = "never";
/// Where there is nothing to list.
const NONE: &str = "none";

/// A cell of a table: its words, and what is told of them on asking.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    text: String,
    title: String,
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell {
            text,
            title: String::new(),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::from(text.to_string())
    }
}

impl Cell {
    /// A figure, with its interval and how that was made on asking.
    pub fn of(value: &Value, show: impl Fn(&Value) -> String) -> Cell {
        Cell {
            text: show(value),
            title: provenance(value, &show),
        }
    }

    /// Whether it is words, not a figure or the lack of one.
    fn is_text(&self) -> bool {
        let is_figure = [NOTHING, NEVER, NONE].iter().any(|word| self.text.starts_with(word));
        !is_figure && self.text.starts_with(char::is_alphabetic)
    }

    /// Whether nothing is known, or nothing happened.
    fn is_nothing(&self) -> bool {
        [NOTHING, NONE, "0", "0 %", ""].contains(&self.text.as_str())
    }

    /// A whole number.
    pub fn count(value: &Value) -> Cell {
        Cell::of(value, |value| value.value.map_or_else(|| NOTHING.to_string(), format::count))
    }

    /// A duration of several, by its name.
    pub fn latency(figures: &Named<Value>, name: &str) -> Cell {
        figures
            .get(name)
            .map_or_else(|| Cell::from(NOTHING), |value| Cell::of(value, format::latency))
    }
}

/// Where a figure's interval comes from; why there is no figure.
fn provenance(value: &Value, show: impl Fn(&Value) -> String) -> String {
    if let Some(reason) = &value.reason {
        return reason.clone();
    }
    let (Some([low, high]), Some(n)) = (value.ci95, value.n) else {
        return String::new();
    };
    // One digit more than the figure has; told without the error that asks for it.
    let fine = (high - low) / 20.0;
    let end = |end: f64| {
        let text = show(&Value {
            value: Some(end),
            ci95: Some([end - fine, end + fine]),
            ..Value::default()
        });
        match text.split_once(" ± ") {
            Some((end, error)) => [end, error.split_once(' ').map_or("", |(_, unit)| unit)]
                .join(" ")
                .trim_end()
                .to_string(),
            None => text,
        }
    };
    let method = value.method.as_deref();
    let method = method
        .map(|method| format!(", {}", method.replace('_', " ")))
        .unwrap_or_default();
    format!("95 % interval {} to {}, n = {n}{method}", end(low), end(high))
}

/// Reasons below a table why figures are missing: the first ones.
const REASONS_MAX: usize = 4;

/// A table that may be wider than the screen and then scrolls, by keyboard too. The first cell of a row names it. Below it stands why figures
/// are missing.
pub fn table(out: &mut String, caption: &str, header: &[&str], rows: impl Iterator<Item = Vec<Cell>>) {
    let rows: Vec<Vec<Cell>> = rows.collect();
    let caption = escape(caption);
    let is_text = |column: usize| rows.iter().filter_map(|row| row.get(column)).any(Cell::is_text);
    let classes: Vec<&str> = (0..header.len())
        .map(|column| {
            if column > 0 && is_text(column) {
                " class=\"text\""
            } else {
                ""
            }
        })
        .collect();
    let _ = write!(
        out,
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table><caption>{caption}</caption><thead><tr>"
    );
    for (cell, class) in header.iter().zip(&classes) {
        let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", escape(cell));
    }
    out.push_str("</tr></thead><tbody>");
    for row in &rows {
        out.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let (tag, scope) = if column == 0 { ("th", " scope=\"row\"") } else { ("td", "") };
            let class = classes.get(column).copied().unwrap_or_default();
            let title = match &cell.title[..] {
                "" => String::new(),
                title => format!(" title=\"{}\"", escape(title)),
            };
            let _ = write!(out, "<{tag}{scope}{class}{title}>{}</{tag}>", escape(&cell.text));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>\n");
    let mut reasons: Vec<&str> = Vec::new();
    for cell in rows
        .iter()
        .flatten()
        .filter(|cell| cell.text == NOTHING && !cell.title.is_empty())
    {
        if !reasons.contains(&cell.title.as_str()) && reasons.len() < REASONS_MAX {
            reasons.push(&cell.title);
        }
    }
    if !reasons.is_empty() {
        let _ = writeln!(out, "<p class=\"note under\">n/a: {}.</p>", escape(&reasons.join("; ")));
    }
}

/// A table without the columns in which no row has anything, but for the first.
pub fn table_of_known(out: &mut String, caption: &str, header: &[&str], rows: Vec<Vec<Cell>>) {
    let is_known = |column: usize| column == 0 || rows.iter().any(|row| !row[column].is_nothing());
    let columns: Vec<usize> = (0..header.len()).filter(|&column| is_known(column)).collect();
    if columns.len() < 2 {
        return;
    }
    let header: Vec<&str> = columns.iter().map(|&column| header[column]).collect();
    let rows = rows
        .iter()
        .map(|row| columns.iter().map(|&column| row[column].clone()).collect());
    table(out, caption, &header, rows);
}

/// Failures by cause, in words.
pub fn causes(failures: &Named<u64>) -> Cell {
    if failures.is_empty() {
        return Cell::from(NONE);
    }
    let causes = failures
        .iter()
        .map(|(cause, &number)| format!("{cause}: {}", format::count(number as f64)));
    Cell::from(causes.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(value: f64, low: f64, high: f64) -> Value {
        Value {
            value: Some(value),
            ci95: Some([low, high]),
            n: Some(10),
            method: Some("t".into()),
            ..Value::default()
        }
    }

    #[test]
    fn ends_of_intervals_have_a_digit_more_than_their_figures() {
        let cell = Cell::of(&value(0.8905, 0.8896, 0.8914), format::share);
        assert_eq!(
            (cell.text.as_str(), cell.title.as_str()),
            ("89.05 ± 0.09 %", "95 % interval 88.960 % to 89.140 %, n = 10, t")
        );
        let cell = Cell::of(&value(0.0123, 0.0119, 0.0127), format::latency);
        assert_eq!(cell.title, "95 % interval 11.90 ms to 12.70 ms, n = 10, t");
        let cell = Cell::of(&value(1.0, 0.9997, 1.0), format::share);
        assert_eq!(
            (cell.text.as_str(), cell.title.as_str()),
            ("100 %", "95 % interval 99.9700 % to 100 %, n = 10, t")
        );
    }

    #[test]
    fn words_stand_to_the_left_and_reasons_below() {
        let mut out = String::new();
        let rows = vec![
            vec![
                "a".into(),
                "b".into(),
                Cell::of(&Value::missing("it never came"), format::latency),
            ],
            vec!["c".into(), "n/a".into(), Cell::from("1 s")],
        ];
        table(&mut out, "words", &["", "who", "when"], rows.into_iter());
        assert!(
            out.contains("<th scope=\"col\" class=\"text\">who</th><th scope=\"col\">when</th>"),
            "{out}"
        );
        assert!(out.contains("<p class=\"note under\">n/a: it never came.</p>"), "{out}");
    }

    #[test]
    fn columns_in_which_nothing_is_known_are_left_out() {
        let mut out = String::new();
        let rows = vec![
            vec!["a".into(), "0".into(), "7".into()],
            vec!["b".into(), "n/a".into(), "0".into()],
        ];
        table_of_known(&mut out, "known", &["", "none", "some"], rows);
        assert!(out.contains("some") && !out.contains("none"), "{out}");
    }
}
