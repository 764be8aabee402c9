//! The story of single requests: which attempts were made, what the caller saw, why it chose that endpoint, and what came of it.
//!
//! One cell is run again with a tracer (`model/trace.rs`), which collects numbers; here they become spans, sentences and trace files.

mod chrome;
mod otlp;
mod reason;
mod spans;
mod story;
mod text;

use serde::Serialize;

use crate::model::plan::Warmup;
use crate::model::trace::{Found, RequestId, Search};
use crate::model::{self, Elision, RunOptions};
use crate::scenario::{Scenario, Variant};
use crate::time::{Duration, Time};

pub use chrome::chrome;
pub use otlp::otlp;
pub use story::{Attempt, Call, FaultSpan, Story};
pub use text::text;

/// Which requests of a cell are told about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one with this number, from 1, among those that the client sends, in the order of the intended start.
    Number {
        /// The client's name; `None`: the scenario's only one.
        client: Option<String>,
        /// Its request.
        number: u64,
    },
    /// Those that stand out, among the requests that are measured.
    Search {
        /// Only those of this client; `None`: of any.
        client: Option<String>,
        /// So many of the slowest that succeeded.
        slowest: usize,
        /// So many of those that failed, of different causes as far as there are such.
        failed: usize,
    },
}

/// What was found out about the requests of one cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The scenario's name.
    pub scenario: String,
    /// The variant's name.
    pub variant: String,
    /// Which replication, from 1.
    pub replication: u32,
    /// The seed.
    pub seed: u64,
    /// The digest of the run, which is that of the same cell without a tracer.
    pub digest: String,
    /// The stories, in the order in which they were asked for.
    pub stories: Vec<Story>,
}

/// Why a request cannot be told about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The scenario has several clients, these, and none was named.
    WhichClient(Vec<String>),
    /// There is no client of this name; there are those.
    NoClient(String, Vec<String>),
    /// The client sends only so many requests.
    NoRequest(String, u64),
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unknown::WhichClient(names) => write!(f, "say which client's request with --client: {}", names.join(", ")),
            Unknown::NoClient(name, names) => write!(f, "there is no client `{name}`; there are: {}", names.join(", ")),
            Unknown::NoRequest(client, 0) => write!(f, "client `{client}` sends no request in this run"),
            Unknown::NoRequest(client, sent) => {
                write!(f, "client `{client}` sends requests 1 to {sent} in this run")
            }
        }
    }
}

/// Tells about requests of one cell of a scenario: of a variant and a replication, which counts from 1.
///
/// # Errors
/// If there is no such request, or more than one could be meant.
pub fn explain(scenario: &Scenario, variant: &Variant, replication: u32, which: &Which) -> Result<Explanation, Unknown> {
    assert!(replication >= 1, "replications count from 1");
    let names = &variant.names.clients;
    let number_of = |name: &Option<String>| match name {
        None => Ok(None),
        Some(name) => match names.iter().position(|known| known == name) {
            Some(client) => Ok(Some(client as u32)),
            None => Err(Unknown::NoClient(name.clone(), names.clone())),
        },
    };
    // A warm-up that a pilot run would find is taken for none: it changes what is measured, not what happens.
    let warmup = match variant.plan.warmup {
        Warmup::Fixed(warmup) => warmup,
        Warmup::Auto => Duration::ZERO,
    };
    let options = RunOptions {
        seed: scenario.seed,
        replication: replication - 1,
        warmup,
        elision: Elision::On,
        pilot: false,
    };
    let found: Vec<Found>;
    let ids: Vec<RequestId> = match which {
        Which::Number { client, number } => {
            let client = match number_of(client)? {
                Some(client) => client,
                None if names.len() == 1 => 0,
                None => return Err(Unknown::WhichClient(names.clone())),
            };
            vec![RequestId { client, number: *number }]
        }
        Which::Search { client, slowest, failed } => {
            let search = Search {
                client: number_of(client)?,
                slowest: *slowest,
                failed: *failed,
                from: Time::ZERO + warmup,
                to: Time::ZERO + variant.plan.duration,
            };
            found = model::run_searched(&variant.plan, options, search).1.found;
            found.iter().map(|found| found.id).collect()
        }
    };
    let (result, log) = model::run_followed(&variant.plan, options, &ids);
    let mut stories = Vec::new();
    for (story, id) in story::tell(variant, &log, &result, &ids).into_iter().zip(&ids) {
        let sent = log.sent[id.client as usize];
        stories.push(story.ok_or_else(|| Unknown::NoRequest(names[id.client as usize].clone(), sent))?);
    }
    Ok(Explanation {
        scenario: scenario.name.clone(),
        variant: variant.name.clone(),
        replication,
        seed: scenario.seed,
        digest: format!("{:016x}", result.digest),
        stories,
    })
}
