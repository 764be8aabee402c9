//! Arrivals at recorded times.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::time::{Duration, Time};

/// Arrivals at the times of a file: one a line, or a column of a CSV file. A number without a unit is in seconds since the start.
/// The times need not be sorted.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Replay")]
pub struct Options {
    /// The file, beside the scenario.
    pub file: String,
    /// The column with the times: its name in the first line, or its number from 1; the first one by default.
    pub column: Option<Column>,
}

/// A column of a CSV file.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(untagged)]
pub enum Column {
    /// By its number, from 1.
    Number(u32),
    /// By its name in the first line.
    Name(String),
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Column, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl serde::de::Visitor<'_> for Visitor {
    type Value = Column;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name of a column, or its number from 1")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Column, E> {
        Ok(Column::Name(text.to_string()))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Column, E> {
        match u32::try_from(number) {
            Ok(number @ 1..) => Ok(Column::Number(number)),
            _ => Err(E::custom("columns are numbered from 1")),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Column, E> {
        self.visit_u64(number.try_into().unwrap_or(0))
    }
}

/// Arrivals at recorded times.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Nanoseconds since the start, ascending.
    times: Arc<[u64]>,
    next: usize,
}

impl Options {
    pub(super) fn build<F>(&self, read_file: &mut F) -> Result<Replay, String>
    where
        F: FnMut(&str) -> Result<String, String>,
    {
        let text = read_file(&self.file)?;
        let in_file = |problem| format!("`{}`: {problem}", self.file);
        let mut times = self.parse(&text).map_err(in_file)?;
        if times.is_empty() {
            return Err(in_file("there are no times in it".to_string()));
        }
        times.sort_unstable();
        Ok(Replay {
            times: times.into(),
            next: 0,
        })
    }

    fn parse(&self, text: &str) -> Result<Vec<u64>, String> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let mut column = match &self.column {
            None => Some(0),
            Some(Column::Number(number)) => Some(*number as usize - 1),
            Some(Column::Name(_)) => None,
        };
        let mut times = Vec::new();
        for (index, record) in reader.records().enumerate() {
            let record = record.map_err(|error| error.to_string())?;
            let line = record.position().map_or(0, csv::Position::line);
            let Some(column) = column else {
                column = Some(self.find_column(&record)?);
                continue;
            };
            let field = record
                .get(column)
                .ok_or_else(|| format!("line {line} has no column {}", column + 1))?;
            match parse_time(field) {
                Ok(time) => times.push(time),
                // A first line that is no time is the header.
                Err(_) if index == 0 => {}
                Err(problem) => return Err(format!("line {line}: {problem}")),
            }
        }
        Ok(times)
    }

    fn find_column(&self, header: &csv::StringRecord) -> Result<usize, String> {
        let Some(Column::Name(name)) = &self.column else {
            unreachable!("a column is looked for by name only");
        };
        header.iter().position(|field| field == name).ok_or_else(|| {
            let names: Vec<&str> = header.iter().collect();
            format!("there is no column `{name}`; the first line has `{}`", names.join("`, `"))
        })
    }
}

fn parse_time(text: &str) -> Result<u64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..1e9).contains(&seconds) => Ok(Duration::from_secs_f64(seconds).0),
        Ok(_) => Err(format!("`{text}` is not a time in seconds since the start")),
        Err(_) => Duration::parse(text).map(|duration| duration.0),
    }
}

impl Replay {
    pub(super) fn next(&mut self) -> Option<(Time, u32)> {
        let rest = &self.times[self.next..];
        let time = *rest.first()?;
        let count = rest.iter().take_while(|&&other| other == time).count();
        self.next += count;
        Some((Time(time), count as u32))
    }

    pub(super) fn mean_rate(&self, until: Time) -> f64 {
        self.times.partition_point(|&time| time < until.0) as f64 / until.as_secs_f64()
    }
}
