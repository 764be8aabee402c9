//! Exporters against results that are known beforehand.

use std::fs;
use std::path::Path;

use meshsim::report::{Results, chart, csv, json};

use crate::synthetic::{self, THREE};

fn results(endpoints: u32, replications: u32) -> Results {
    let scenario = synthetic::scenario(&THREE, endpoints, replications);
    Results::new(&scenario, &synthetic::outcome(&scenario, &THREE, 100))
}

#[test]
fn look_at_them() {
    for (endpoints, name) in [(3, "few"), (100, "many")] {
        let results = results(endpoints, 10);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).expect("a folder");
        for chart in chart::draw_all(&results) {
            fs::write(folder.join(format!("{}.svg", chart.name)), chart.svg).expect("a file");
        }
        fs::write(folder.join("summary.json"), json::summary(&results.summary)).expect("a file");
        fs::write(folder.join("summary.csv"), csv::summary(&results.summary)).expect("a file");
        println!(
            "{}",
            meshsim::report::table::render(&results.summary, meshsim::report::table::Style::Terminal { color: false })
        );
    }
}
