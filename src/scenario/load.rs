//! The passes, in order: parse, patch, decode, check, estimate, compile. Each reports all it finds; a pass that needs the one before it
//! to be without errors runs only then.

mod expected;

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::compile::{self, Compiled, Shared};
use super::decode::{self, Field, Keys};
use super::diagnostic::Diagnostics;
use super::estimate;
use super::expect::{self, Expectation, MetricOf, ScopeKind};
use super::files::Files;
use super::grid::{self, Axis};
use super::names::Index;
use super::parse;
use super::patch::{self, Set};
use super::profile;
use super::schema::{self, Document, FUTURE_KEYS, REQUIRED_KEYS};
use super::source::{Source, Span};
use super::statistics::Wanted;
use super::tree::{self, Entry, Node, Resolved, Scalar, Value};
use super::{Estimate, Overrides, Scenario, Variant, check};

const KEYS: Keys<'static> = Keys {
    future: FUTURE_KEYS,
    required: REQUIRED_KEYS,
};
/// What `seed` and `replications` are if they are absent.
const SEED: u64 = 1;
const REPLICATIONS: u32 = 10;
/// The name of the only variant of a scenario without variants.
const DEFAULT_VARIANT: &str = "default";
/// Values of all variants together: each variant is a document of its own while it is read.
const VALUES_MAX: usize = 10 * tree::NODES_MAX;
/// What a variant may change: the rest is what makes variants comparable.
const VARIANT_KEYS: [&str; 7] = ["duration", "warmup", "drain", "topology", "clients", "mesh", "faults"];
/// What only the whole scenario has.
const COMMON_KEYS: [&str; 11] = [
    "apiVersion",
    "name",
    "description",
    "seed",
    "replications",
    "variants",
    "expect",
    "baseline",
    "precision",
    "statistics",
    "sweep",
];

/// Loads a scenario: as much of it as can be, and every problem with it. There is a scenario if and only if there are no errors.
pub fn load(source: &Source, overrides: &Overrides) -> (Option<Scenario>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let scenario = run_passes(source, overrides, &mut diagnostics);
    (scenario.filter(|_| !diagnostics.has_errors()), diagnostics)
}

fn run_passes(source: &Source, overrides: &Overrides, diagnostics: &mut Diagnostics) -> Option<Scenario> {
    let mut opened = Opened::new(source, overrides, diagnostics)?;
    let loaded = opened.load(&[], diagnostics);
    diagnostics.finish(opened.variants);
    Some(loaded?.0)
}

/// A file after the passes that it goes through once: for a scenario, or for one at each point of its grid.
pub(super) struct Opened<'a> {
    source: &'a Source,
    overrides: &'a Overrides,
    base: Node,
    sets: Vec<Set>,
    /// What `sweep` says.
    pub(super) axes: Vec<Axis>,
    files: Files,
    /// Variants of the scenario loaded last.
    pub(super) variants: usize,
}

impl<'a> Opened<'a> {
    /// Reads `source`. `None` if there is nothing in it that could be a scenario.
    pub(super) fn new(source: &'a Source, overrides: &'a Overrides, diagnostics: &mut Diagnostics) -> Option<Opened<'a>> {
        let number = diagnostics.add_source(Arc::new(source.clone()));
        let sets = sets(overrides, diagnostics);
        let mut base = parse::parse(source, number, diagnostics)?;
        if !matches!(base.value, Value::Map(_)) && !base.is_null() {
            diagnostics.mismatch(base.span, "a scenario, which is a map from keys to values", None);
            return None;
        }
        for set in sets.iter().filter(|set| set.is_about("sweep")) {
            set.apply(&mut base, diagnostics);
        }
        let axes = grid::take(&mut base, diagnostics);
        Some(Opened {
            source,
            overrides,
            base,
            sets,
            axes,
            files: Files::new(source.directory(), source.files()),
            variants: 0,
        })
    }

    /// The names and texts of the files that the scenarios loaded so far name.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.texts()
    }

    /// Loads the scenario with `point` set besides, and how many events a run of each variant will have.
    pub(super) fn load(&mut self, point: &[Set], diagnostics: &mut Diagnostics) -> Option<(Scenario, Vec<f64>)> {
        let sets: Vec<&Set> = self.sets.iter().chain(point).collect();
        let mut base = self.base.clone();
        for set in sets.iter().filter(|set| set.is_about("variants")) {
            set.apply(&mut base, diagnostics);
        }
        let patches = take_variants(&mut base, diagnostics);
        let all_variants: Vec<String> = patches.iter().map(|patch| patch.name.clone()).collect();
        let patches = select(patches, self.overrides, diagnostics);
        self.variants = if self.overrides.variants.is_empty() {
            all_variants.len()
        } else {
            patches.len()
        };
        let size = base.count();
        if size.saturating_mul(patches.len()) > VALUES_MAX {
            diagnostics.too_many_nodes(base.span, VALUES_MAX);
            return None;
        }
        let mut loader = Loader {
            overrides: self.overrides,
            all_variants: &all_variants,
            diagnostics,
            shared: Shared::new(std::mem::take(&mut self.files)),
            digest: Xxh3::new(),
            estimate: Estimate::default(),
            common: None,
            variants: Vec::new(),
            events: Vec::new(),
        };
        for patch in &patches {
            let mut tree = base.clone();
            patch::merge(&mut tree, &patch.node);
            loader.variant(patch, tree, &sets);
        }
        loader.diagnostics.leave_variant();
        let scenario = loader.finish(self.source);
        self.files = loader.shared.files;
        Some((scenario?, loader.events))
    }
}

/// Reads `--set` and its kin. An override that is wrong is reported and left out.
fn sets(overrides: &Overrides, diagnostics: &mut Diagnostics) -> Vec<Set> {
    let options = [
        ("seed", overrides.seed.map(|seed| seed.to_string())),
        (
            "replications",
            overrides.replications.map(|replications| replications.to_string()),
        ),
        ("duration", overrides.duration.map(|duration| duration.to_string())),
        (
            "statistics.max_replications",
            overrides.max_replications.map(|replications| replications.to_string()),
        ),
        ("statistics.indifference", overrides.indifference.clone()),
        ("statistics.interval", overrides.interval.clone()),
        ("statistics.select", overrides.select.clone()),
    ];
    let precision: Vec<(String, &str)> = overrides
        .precision
        .iter()
        .map(|(metric, share)| (format!("precision.\"{metric}\""), share.as_str()))
        .collect();
    let set = overrides
        .set
        .iter()
        .map(|(path, value)| ("--set".to_string(), path.as_str(), value.clone()));
    let options = options
        .into_iter()
        .filter_map(|(key, value)| Some((format!("--{}", option_of(key)), key, value?)));
    let precision = precision
        .iter()
        .map(|(path, share)| ("--precision".to_string(), path.as_str(), share.to_string()));
    let all: Vec<(String, &str, String)> = set.chain(options).chain(precision).collect();
    all.iter()
        .filter_map(|(option, path, value)| Set::parse(option, path, value, diagnostics))
        .collect()
}

/// The option that sets a path: its last key.
fn option_of(path: &str) -> String {
    path.rsplit('.').next().unwrap_or(path).replace('_', "-")
}

/// A variant before it is applied.
struct Patch {
    name: String,
    node: Node,
}

/// Takes `variants` out of the document.
fn take_variants(base: &mut Node, diagnostics: &mut Diagnostics) -> Vec<Patch> {
    let default = || {
        vec![Patch {
            name: DEFAULT_VARIANT.to_string(),
            node: empty_map(Span::default()),
        }]
    };
    let Value::Map(entries) = &mut base.value else {
        return default();
    };
    let Some(at) = entries.iter().position(|entry| &*entry.key.text == "variants") else {
        return default();
    };
    let variants = entries.remove(at);
    let patches = match variants.value.value {
        Value::Map(patches) => patches,
        _ if variants.value.is_null() => Vec::new(),
        _ => {
            diagnostics.variants_are_no_map(variants.value.span);
            return default();
        }
    };
    if patches.is_empty() {
        return default();
    }
    if patches.len() > estimate::VARIANTS_LIMIT {
        diagnostics.too_many_variants(variants.key.span, patches.len(), estimate::VARIANTS_LIMIT);
        return default();
    }
    patches.into_iter().map(|entry| variant_patch(entry, diagnostics)).collect()
}

fn variant_patch(entry: Entry, diagnostics: &mut Diagnostics) -> Patch {
    check::names::proper(
        entry.key.span,
        "a variant",
        &entry.key.text,
        check::names::VARIANT,
        diagnostics,
    );
    let name = String::from(entry.key.text);
    let mut node = entry.value;
    match &mut node.value {
        Value::Map(changes) => changes.retain(|change| {
            let key = &*change.key.text;
            if COMMON_KEYS.contains(&key) {
                diagnostics.variant_cannot_change(change.key.span, key);
            } else if !VARIANT_KEYS.contains(&key) {
                diagnostics.unknown_key(change.key.span, key, &VARIANT_KEYS);
            }
            VARIANT_KEYS.contains(&key)
        }),
        _ => {
            if !node.is_null() {
                diagnostics.variant_is_no_map(node.span, &name);
            }
            node = empty_map(node.span);
        }
    }
    Patch { name, node }
}

fn empty_map(span: Span) -> Node {
    Node {
        span,
        value: Value::Map(Vec::new()),
    }
}

/// Keeps the variants that `--variant` names; an unknown one is reported.
fn select(patches: Vec<Patch>, overrides: &Overrides, diagnostics: &mut Diagnostics) -> Vec<Patch> {
    if overrides.variants.is_empty() {
        return patches;
    }
    for name in &overrides.variants {
        if !patches.iter().any(|patch| patch.name == *name) {
            let argument = Arc::new(Source::argument("--variant", name.clone()));
            let end = argument.text().len() as u32;
            let span = Span {
                source: diagnostics.add_source(argument),
                start: 0,
                end,
            };
            let known: Vec<&str> = patches.iter().map(|patch| patch.name.as_str()).collect();
            diagnostics.unknown_variant(span, name, &known);
        }
    }
    patches
        .into_iter()
        .filter(|patch| overrides.variants.contains(&patch.name))
        .collect()
}

/// What all variants have in common.
struct Common {
    name: Option<String>,
    description: String,
    seed: u64,
    replications: u32,
    expect: Vec<(String, Span)>,
    baseline: schema::baseline::Baseline,
    statistics: Wanted,
}

struct Loader<'a> {
    overrides: &'a Overrides,
    /// The names of all variants of the file.
    all_variants: &'a [String],
    diagnostics: &'a mut Diagnostics,
    shared: Shared,
    digest: Xxh3,
    estimate: Estimate,
    common: Option<Common>,
    variants: Vec<Variant>,
    /// Events of one run, by variant.
    events: Vec<f64>,
}

impl Loader<'_> {
    /// Takes one variant through the passes, as far as it gets.
    fn variant(&mut self, patch: &Patch, mut tree: Node, sets: &[&Set]) {
        self.diagnostics.enter_variant(&patch.name);
        for set in sets.iter().filter(|set| !set.is_about("variants") && !set.is_about("sweep")) {
            set.apply(&mut tree, self.diagnostics);
        }
        profile::expand(&mut tree, self.diagnostics);
        absorb_text(&mut self.digest, &patch.name);
        absorb(&mut self.digest, &tree);
        let document: Option<Field<Document>> = decode::decode(&tree, KEYS, self.diagnostics);
        let Some(document) = document.as_ref().and_then(Field::get) else {
            return;
        };
        let index = Index::new(document);
        check::check(document, &index, self.diagnostics);
        if self.diagnostics.has_errors() || !self.is_affordable(document, &index) {
            return;
        }
        let Compiled { plan, names, faults } = compile::compile(document, &index, &mut self.shared, self.diagnostics);
        self.common.get_or_insert_with(|| common(document));
        let mut variant = Variant {
            name: patch.name.clone(),
            plan: Arc::new(plan),
            names,
            faults,
            windows: Vec::new(),
        };
        looked_at(document, self.all_variants, &mut variant);
        self.variants.push(variant);
    }

    /// Estimates the variant, and refuses what is too large.
    fn is_affordable(&mut self, document: &Document, index: &Index<'_>) -> bool {
        if !estimate::refuse_impossible(document, self.diagnostics) {
            return false;
        }
        let demand = estimate::demand(document, index, &mut self.shared.files, self.diagnostics);
        let replications = document.replications.as_ref().map_or(REPLICATIONS, |field| *field.checked());
        let before = self.estimate.events;
        estimate::add(&mut self.estimate, &demand, replications);
        self.events
            .push((self.estimate.events - before) / f64::from(replications.max(1)));
        self.overrides.force || estimate::refuse_large(&self.estimate, &demand, self.diagnostics)
    }

    fn finish(&mut self, source: &Source) -> Option<Scenario> {
        let common = self.common.take()?;
        let expect = self.expectations(&common.expect);
        let baseline = self.baseline(&common.baseline);
        let all_variants = self.all_variants;
        let statistics = common
            .statistics
            .resolve(common.replications, &self.variants, all_variants, self.diagnostics);
        self.shared.files.digest(&mut self.digest);
        Some(Scenario {
            name: common.name.unwrap_or_else(|| name_of_file(source.name())),
            description: common.description,
            seed: common.seed,
            replications: common.replications,
            digest: self.digest.digest(),
            source_text: source.text().to_string(),
            source_name: source.name().to_string(),
            files: self.shared.files.paths(),
            variants: std::mem::take(&mut self.variants),
            all_variants: self.all_variants.to_vec(),
            expect,
            baseline,
            statistics,
            estimate: self.estimate,
        })
    }
}

/// Puts the windows and the endpoints that expectations look at into the plan, and gives the windows. What is wrong is reported when the
/// expectations are checked.
fn looked_at(document: &Document, all_variants: &[String], variant: &mut Variant) {
    let known: Vec<&str> = all_variants.iter().map(String::as_str).collect();
    let lines = document.expect.iter().flat_map(|field| field.checked());
    let lines = lines.filter_map(|field| Expectation::parse(field.checked()).ok());
    let baseline = document.baseline.as_ref().and_then(|field| field.checked().metrics.as_ref());
    let compared = baseline.iter().flat_map(|field| field.checked());
    let compared = compared.filter_map(|field| MetricOf::parse(field.checked()).ok());
    let metrics: Vec<MetricOf> = lines
        .flat_map(|line| line.metrics().cloned().collect::<Vec<_>>())
        .chain(compared)
        .chain(Wanted::of(document).metrics())
        .collect();
    let plan = Arc::make_mut(&mut variant.plan);
    for of in metrics.iter().filter(|of| !of.metric.is_of_faults()) {
        if let Some(window) = &of.window
            && !variant.windows.contains(window)
            && let Ok(planned) = window.plan(&variant.faults, plan.duration)
        {
            variant.windows.push(window.clone());
            plan.windows.push(planned);
        }
        if let Ok(meaning) = of.meaning(&known)
            && meaning.variant.is_none_or(|name| name == variant.name)
            && let Ok((ScopeKind::Endpoint, at)) = expect::find(&variant.names, plan, meaning.scope.as_ref())
            && !plan.named_endpoints.contains(&(at as u32))
        {
            plan.named_endpoints.push(at as u32);
        }
    }
}

fn common(document: &Document) -> Common {
    let text = |field: &Option<Field<String>>| field.as_ref().map(|field| field.checked().clone());
    let expect = document.expect.iter().flat_map(|field| field.checked());
    Common {
        name: text(&document.name),
        description: text(&document.description).unwrap_or_default(),
        seed: document.seed.as_ref().map_or(SEED, |field| *field.checked()),
        replications: document.replications.as_ref().map_or(REPLICATIONS, |field| *field.checked()),
        expect: expect.map(|field| (field.checked().clone(), field.span)).collect(),
        baseline: document
            .baseline
            .as_ref()
            .map(|field| field.checked().clone())
            .unwrap_or_default(),
        statistics: Wanted::of(document),
    }
}

/// A scenario without a name is called like its file; what a name cannot hold becomes `-`.
fn name_of_file(path: &str) -> String {
    let stem = std::path::Path::new(path)
        .file_stem()
        .map(|stem| stem.to_string_lossy())
        .unwrap_or_default();
    let proper = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = stem.chars().map(proper).collect();
    match name.trim_start_matches(['-', '.', '_']) {
        "" => "scenario".to_string(),
        name => name.to_string(),
    }
}

/// Adds a tree to a digest: its values as they are meant, without places, comments and ways of writing.
fn absorb(hasher: &mut Xxh3, node: &Node) {
    match &node.value {
        Value::Scalar(scalar) => absorb_scalar(hasher, scalar),
        Value::List(items) => {
            hasher.update(b"[");
            items.iter().for_each(|item| absorb(hasher, item));
            hasher.update(b"]");
        }
        Value::Map(entries) => {
            hasher.update(b"{");
            for entry in entries {
                absorb_text(hasher, &entry.key.text);
                absorb(hasher, &entry.value);
            }
            hasher.update(b"}");
        }
    }
}

fn absorb_scalar(hasher: &mut Xxh3, scalar: &Scalar) {
    match scalar.resolve() {
        Resolved::Null => hasher.update(b"~"),
        _ => absorb_text(hasher, &scalar.text),
    }
}

fn absorb_text(hasher: &mut Xxh3, text: &str) {
    hasher.update(b"\"");
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}
