//! `replications.csv`: figures of single replications, which a later run is compared with, pair by pair.
//!
//! They are the usual figures of clients, services and edges, and whatever the scenario's `expect` and `baseline` ask for. Times are in
//! seconds.

use csv::{ReaderBuilder, Writer};

use crate::experiment::expect::values::{Key, Lookup};
use crate::experiment::expect::{Argument, Metric, MetricOf};
use crate::experiment::{Outcome, Scenario};

const HEADER: [&str; 7] = ["variant", "scope", "name", "window", "metric", "replication", "value"];

/// Of more services or edges than this nothing is kept that nobody asks for.
const LISTED_MAX: usize = 1024;

const OF_CLIENTS: [&str; 9] = [
    "requests",
    "failures",
    "availability",
    "mean",
    "p50",
    "p90",
    "p95",
    "p99",
    "p99.9",
];
const OF_OTHERS: [&str; 5] = ["requests", "availability", "mean", "p50", "p99"];

/// Figures by replication.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replications(pub Vec<Row>);

/// A figure of one variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The variant.
    pub variant: String,
    /// `client`, `service`, `edge`, `endpoint` or `fault`.
    pub scope: String,
    /// Its name.
    pub name: String,
    /// When: `during crash`; empty for the whole run.
    pub window: String,
    /// The name of the figure, as in `expect`.
    pub metric: String,
    /// The value in each replication.
    pub values: Vec<f64>,
}

impl Row {
    fn new(variant: &str, key: Key, values: Vec<f64>) -> Row {
        Row {
            variant: variant.to_string(),
            scope: key.scope.to_string(),
            name: key.name,
            window: key.window,
            metric: key.metric,
            values,
        }
    }

    fn is_of(&self, variant: &str, key: &Key) -> bool {
        let names = (self.scope.as_str(), &self.name, &self.window, &self.metric);
        self.variant == variant && names == (key.scope, &key.name, &key.window, &key.metric)
    }
}

impl Replications {
    /// Those of an outcome. What has too few values in some replication is left out.
    pub fn new(scenario: &Scenario, outcome: &Outcome) -> Replications {
        let mut rows: Vec<Row> = Vec::new();
        for (index, variant) in scenario.variants.iter().enumerate() {
            let lookup = Lookup {
                scenario,
                outcome,
                variant: Some(index),
            };
            let known: Vec<&str> = scenario.all_variants.iter().map(String::as_str).collect();
            let is_here = |of: &MetricOf| {
                let meaning = of.meaning(&known);
                meaning.is_ok_and(|meaning| meaning.variant.is_none_or(|name| name == variant.name))
            };
            let usual = usual(&variant.names);
            let expected = scenario.expect.iter().flat_map(|line| line.metrics());
            let asked = expected.filter(|of| is_here(of)).chain(&scenario.baseline.metrics);
            // What is usual is there once; what is asked for may be among it, or be asked for twice.
            for (of, is_usual) in usual.iter().map(|of| (of, true)).chain(asked.map(|of| (of, false))) {
                let (Some(key), Ok(values)) = (lookup.key(of), lookup.each(of)) else {
                    continue;
                };
                if is_usual || !rows.iter().rev().any(|row| row.is_of(&variant.name, &key)) {
                    rows.push(Row::new(&variant.name, key, values));
                }
            }
        }
        Replications(rows)
    }

    /// The values of a figure.
    pub fn get(&self, variant: &str, key: &Key) -> Option<&[f64]> {
        let row = self.0.iter().find(|row| row.is_of(variant, key));
        row.map(|row| row.values.as_slice())
    }

    /// The table, one value a line.
    pub fn csv(&self) -> Vec<u8> {
        let mut out = Writer::from_writer(Vec::new());
        let written = "a vector takes all bytes";
        out.write_record(HEADER).expect(written);
        for row in &self.0 {
            for (replication, value) in row.values.iter().enumerate() {
                let (replication, value) = (replication.to_string(), value.to_string());
                let texts = [&row.variant, &row.scope, &row.name, &row.window, &row.metric];
                let record = texts.into_iter().chain([&replication, &value]);
                out.write_record(record).expect(written);
            }
        }
        out.into_inner().expect(written)
    }

    /// Reads the table back.
    ///
    /// # Errors
    /// Says what `bytes` lacks of being one.
    pub fn read(bytes: &[u8]) -> Result<Replications, String> {
        let mut reader = ReaderBuilder::new().from_reader(bytes);
        let header = reader.headers().map_err(|error| error.to_string())?;
        if header != HEADER.as_slice() {
            return Err(format!("its columns are not {}", HEADER.join(", ")));
        }
        let mut rows: Vec<Row> = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| error.to_string())?;
            let line = record.position().map_or(0, |position| position.line());
            let field = |at: usize| record.get(at).unwrap_or_default().to_string();
            let (Ok(replication), Ok(value)) = (field(5).parse::<usize>(), field(6).parse::<f64>()) else {
                return Err(format!("line {line} has no number where one belongs"));
            };
            let row = Row {
                variant: field(0),
                scope: field(1),
                name: field(2),
                window: field(3),
                metric: field(4),
                values: Vec::new(),
            };
            let is_same = |last: &&mut Row| {
                Row {
                    values: Vec::new(),
                    ..(**last).clone()
                } == row
            };
            let values = match rows.last_mut().filter(is_same) {
                Some(last) => &mut last.values,
                None => {
                    rows.push(row);
                    &mut rows.last_mut().expect("it was just added").values
                }
            };
            if replication != values.len() {
                return Err(format!(
                    "line {line} is of replication {replication}, and {} was to come",
                    values.len()
                ));
            }
            values.push(value);
        }
        Ok(Replications(rows))
    }
}

/// The usual figures of whatever has a name.
fn usual(names: &crate::experiment::Names) -> Vec<MetricOf> {
    let few = |names: &'_ [String]| {
        if names.len() <= LISTED_MAX {
            names.to_vec()
        } else {
            Vec::new()
        }
    };
    let clients = of_all("client", names.clients.clone(), &OF_CLIENTS);
    let services = of_all("service", few(&names.services), &OF_OTHERS);
    let edges = of_all("edge", few(&names.edges), &OF_OTHERS);
    [clients, services, edges].concat()
}

fn of_all(kind: &str, names: Vec<String>, metrics: &[&str]) -> Vec<MetricOf> {
    let of = |name: &String, metric: &&str| metric_of(metric, format!("{kind} {name}"));
    names
        .iter()
        .flat_map(|name| metrics.iter().map(move |metric| of(name, metric)))
        .collect()
}

/// A metric of one thing.
pub(super) fn metric_of(metric: &str, thing: String) -> MetricOf {
    MetricOf {
        metric: Metric::from_name(metric).expect("a name of the language"),
        arguments: vec![Argument { text: thing, at: 0..0 }],
        window: None,
        at: 0..0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let row = |name: &str, values: &[f64]| Row {
            variant: "a=1".to_string(),
            scope: "client".to_string(),
            name: name.to_string(),
            window: "during 'crash, twice'".to_string(),
            metric: "p99".to_string(),
            values: values.to_vec(),
        };
        let rows = Replications(vec![row("web", &[0.1, 1e-9, f64::INFINITY]), row("app", &[0.1 + 0.2])]);
        assert_eq!(Replications::read(&rows.csv()), Ok(rows));
        assert!(Replications::read(b"a,b\n1,2\n").is_err());
        let torn = "variant,scope,name,window,metric,replication,value\nv,client,web,,p99,1,0.5\n";
        assert!(Replications::read(torn.as_bytes()).is_err_and(|problem| problem.contains("line 2")));
    }
}
