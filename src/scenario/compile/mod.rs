//! From a document that has passed all checks to a [`Plan`]: every name becomes an index, every default a value.

mod clients;
mod faults;
pub(super) mod program;
mod sites;
mod topology;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decode::Field;
use super::diagnostic::Diagnostics;
use super::files::Files;
use super::names::Index;
use super::schema::Document;
use super::schema::topology::Topology;
use super::schema::values;
use super::{FaultLabel, Names};
use crate::model::Plan;
use crate::model::plan::{self, Warmup};
use crate::random::{Distribution, DistributionConfig, Unit};
use crate::time::Duration;

pub(crate) use faults::{nodes, times_of_faults};
pub(crate) use topology::{replacements, zone_of};

/// What `drain` is if it is absent.
const DRAIN: Duration = Duration::from_secs(60);

/// What the variants of one scenario share.
pub(crate) struct Shared {
    /// The files read so far.
    pub(crate) files: Files,
    /// The hashes of the first keys, as many as any variant needs.
    key_hashes: BTreeMap<u32, Arc<[u64]>>,
}

impl Shared {
    /// With the files beside the scenario.
    pub(crate) fn new(files: Files) -> Shared {
        Shared {
            files,
            key_hashes: BTreeMap::new(),
        }
    }
}

/// What a variant compiles to.
pub(crate) struct Compiled {
    pub(crate) plan: Plan,
    pub(crate) names: Names,
    pub(crate) faults: Vec<FaultLabel>,
}

/// A plan that grows.
struct Compiler<'a, 'd> {
    document: &'a Document,
    index: &'a Index<'a>,
    shared: &'d mut Shared,
    diagnostics: &'d mut Diagnostics,
    plan: Plan,
    names: Names,
    sites: sites::Sites,
}

/// Compiles a document without errors. What can still be wrong is what is in the files that it names: the diagnostics say.
pub(crate) fn compile(document: &Document, index: &Index<'_>, shared: &mut Shared, diagnostics: &mut Diagnostics) -> Compiled {
    let duration = *document.duration.checked();
    let mut compiler = Compiler {
        document,
        index,
        shared,
        diagnostics,
        plan: empty_plan(document, duration),
        names: Names::default(),
        sites: sites::Sites::default(),
    };
    compiler.network();
    compiler.services();
    compiler.clients();
    compiler.operations();
    let faults = compiler.faults();
    compiler.plan.add_checks();
    Compiled {
        plan: compiler.plan,
        names: compiler.names,
        faults,
    }
}

fn empty_plan(document: &Document, duration: Duration) -> Plan {
    Plan {
        duration,
        warmup: match value(&document.warmup) {
            None => Warmup::Fixed(Duration::ZERO),
            Some(values::Warmup::Fixed(warmup)) => Warmup::Fixed(*warmup),
            Some(values::Warmup::Auto) => Warmup::Auto,
        },
        drain: value(&document.drain).copied().unwrap_or(DRAIN),
        interval: Plan::series_interval(duration),
        network: plan::NetworkPlan {
            zones: 1,
            zone_names: vec![String::new()],
            zone_regions: vec![String::new()],
            links: Vec::new(),
        },
        services: Vec::new(),
        endpoints: Vec::new(),
        operations: Vec::new(),
        program: Vec::new(),
        distributions: Vec::new(),
        branches: Vec::new(),
        arms: Vec::new(),
        sites: Vec::new(),
        edges: Vec::new(),
        clusters: Vec::new(),
        discoveries: Vec::new(),
        clients: Vec::new(),
        faults: Vec::new(),
        windows: Vec::new(),
        named_endpoints: Vec::new(),
    }
}

/// The value of a key that may be absent.
fn value<T>(field: &Option<Field<T>>) -> Option<&T> {
    field.as_ref().map(Field::checked)
}

impl<'a> Compiler<'a, '_> {
    fn topology(&self) -> &'a Topology {
        self.document.topology.checked()
    }

    /// Makes the sampler. A constant stands for one whose file cannot be used.
    fn distribution(&mut self, field: &Field<DistributionConfig>, unit: Unit) -> Distribution {
        let files = &mut self.shared.files;
        field
            .checked()
            .build(unit, &mut |name| files.read(name))
            .unwrap_or_else(|problem| {
                self.diagnostics.cannot_use_file(field.span, &problem);
                Distribution::Constant(0.0)
            })
    }

    /// Adds a sampler to the plan's.
    fn add_distribution(&mut self, distribution: Distribution) -> u32 {
        self.plan.distributions.push(distribution);
        self.plan.distributions.len() as u32 - 1
    }

    /// Adds the sampler of a payload's size.
    fn size(&mut self, field: &Option<Field<DistributionConfig>>) -> u32 {
        match field {
            None => plan::NO_SIZE,
            Some(field) => {
                let distribution = self.distribution(field, Unit::Size);
                self.add_distribution(distribution)
            }
        }
    }
}
