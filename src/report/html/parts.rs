//! Tables and figures of the page.

use std::fmt::Write;

use serde::Serialize;

use crate::report::Named;
use crate::report::chart::escape;
use crate::report::format;
use crate::report::summary::Value;

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

    /// A whole number.
    pub fn count(value: &Value) -> Cell {
        Cell::of(value, |value| value.value.map_or_else(|| "n/a".to_string(), format::count))
    }

    /// A duration of several, by its name.
    pub fn latency(figures: &Named<Value>, name: &str) -> Cell {
        figures
            .get(name)
            .map_or_else(|| Cell::from("n/a"), |value| Cell::of(value, format::latency))
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
    let end = |end: f64| show(&Value::exact(end));
    let method = method(value)
        .map(|method| format!(", {}", method.replace('_', " ")))
        .unwrap_or_default();
    format!("95 % interval {} to {}, n = {n}{method}", end(low), end(high))
}

/// How the interval was made, where the summary says so.
pub fn method(value: &Value) -> Option<String> {
    Some(told(value, "method")?.as_str()?.to_string())
}

/// What a part of the summary says under a name that not every version has.
pub fn told(part: &impl Serialize, name: &str) -> Option<serde_json::Value> {
    match serde_json::to_value(part).ok()?.get_mut(name)?.take() {
        serde_json::Value::Null => None,
        told => Some(told),
    }
}

/// A table that may be wider than the screen and then scrolls, by keyboard too. The first cell of a row names it.
pub fn table(out: &mut String, caption: &str, header: &[&str], rows: impl Iterator<Item = Vec<Cell>>) {
    let caption = escape(caption);
    let _ = write!(
        out,
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table><caption>{caption}</caption><thead><tr>"
    );
    for cell in header {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape(cell));
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let (tag, scope) = if column == 0 { ("th", " scope=\"row\"") } else { ("td", "") };
            let title = match &cell.title[..] {
                "" => String::new(),
                title => format!(" title=\"{}\"", escape(title)),
            };
            let _ = write!(out, "<{tag}{scope}{title}>{}</{tag}>", escape(&cell.text));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>\n");
}

/// Failures by cause, in words.
pub fn causes(failures: &Named<u64>) -> Cell {
    if failures.is_empty() {
        return Cell::from("none");
    }
    let causes = failures
        .iter()
        .map(|(cause, &number)| format!("{cause}: {}", format::count(number as f64)));
    Cell::from(causes.collect::<Vec<_>>().join(", "))
}
