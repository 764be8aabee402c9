//! The passes, in order: parse, patch, decode, check, estimate, compile. Each reports all it finds; a pass that needs the one before it
//! to be without errors runs only then.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::compile::{self, Compiled, Shared};
use super::decode::{self, Field, Keys};
use super::diagnostic::Diagnostics;
use super::estimate;
use super::expect::{self, Expectation, Meaning, Metric, MetricOf, Window};
use super::files::Files;
use super::grid::{self, Axis};
use super::names::Index;
use super::parse;
use super::patch::{self, Set};
use super::profile;
use super::schema::{Document, FUTURE_KEYS, REQUIRED_KEYS};
use super::source::{Source, Span};
use super::tree::{self, Entry, Node, Resolved, Scalar, Value};
use super::{Estimate, FaultLabel, Overrides, Scenario, Variant, check};
use crate::model::Plan;

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
const COMMON_KEYS: [&str; 8] = [
    "apiVersion",
    "name",
    "description",
    "seed",
    "replications",
    "variants",
    "expect",
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
        let scenario = loader.finish(self.source, &all_variants);
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
    ];
    let set = overrides
        .set
        .iter()
        .map(|(path, value)| ("--set".to_string(), path.as_str(), value.clone()));
    let options = options
        .into_iter()
        .filter_map(|(key, value)| Some((format!("--{key}"), key, value?)));
    let all: Vec<(String, &str, String)> = set.chain(options).collect();
    all.iter()
        .filter_map(|(option, path, value)| Set::parse(option, path, value, diagnostics))
        .collect()
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
}

struct Loader<'a> {
    overrides: &'a Overrides,
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
        let Compiled { mut plan, names, faults } = compile::compile(document, &index, &mut self.shared, self.diagnostics);
        self.common.get_or_insert_with(|| common(document));
        let windows = windows(document, &faults, &mut plan);
        self.variants.push(Variant {
            name: patch.name.clone(),
            plan: Arc::new(plan),
            names,
            faults,
            windows,
        });
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

    /// Reads `expect`. Of a variant that is left out this time nothing can be said but that it exists.
    fn expectations(&mut self, lines: &[(String, Span)], all_variants: &[String]) -> Vec<Expectation> {
        let mut expectations = Vec::new();
        for (text, span) in lines {
            match Expectation::parse(text) {
                Ok(expectation) => {
                    for metric in expectation.metrics() {
                        self.check_metric(metric, *span, all_variants);
                    }
                    expectations.push(expectation);
                }
                Err(problem) => self.diagnostics.wrong_expectation(*span, &problem),
            }
        }
        expectations
    }

    fn check_metric(&mut self, of: &MetricOf, span: Span, all_variants: &[String]) {
        let known: Vec<&str> = all_variants.iter().map(String::as_str).collect();
        let name = of.metric.name();
        if let Some(first) = of.arguments.first()
            && known.len() > 1
            && !known.contains(&first.as_str())
            && !of.is_cause(first)
        {
            return self.diagnostics.unknown_variant(span, first, &known);
        }
        let meaning = match of.meaning(&known) {
            Ok(meaning) => meaning,
            Err(problem) => return self.diagnostics.wrong_expectation(span, &problem),
        };
        let variant = match &meaning.variant {
            Some(variant) => variant,
            None if known.len() == 1 => known[0],
            None => {
                let problem = format!("there are several variants, so `{name}` must name one");
                return self.diagnostics.wrong_expectation(span, &problem);
            }
        };
        let Some(variant) = self.variants.iter().find(|other| other.name == *variant) else {
            return;
        };
        if let Err(problem) = check_meaning(of.metric, &meaning, variant) {
            self.diagnostics.wrong_expectation(span, &problem);
        }
    }

    fn finish(&mut self, source: &Source, all_variants: &[String]) -> Option<Scenario> {
        let common = self.common.take()?;
        let expect = self.expectations(&common.expect, all_variants);
        self.shared.files.digest(&mut self.digest);
        Some(Scenario {
            name: common.name.unwrap_or_else(|| name_of_file(source.name())),
            description: common.description,
            seed: common.seed,
            replications: common.replications,
            digest: self.digest.digest(),
            source_text: source.text().to_string(),
            source_name: source.name().to_string(),
            variants: std::mem::take(&mut self.variants),
            expect,
            estimate: self.estimate,
        })
    }
}

/// Whether a variant has what an expectation is about.
fn check_meaning(metric: Metric, meaning: &Meaning, variant: &Variant) -> Result<(), String> {
    if metric.is_of_faults() {
        return match &meaning.window {
            None if variant.faults.is_empty() => Err(format!("`{}` is measured of faults, and there are none", metric.name())),
            None => Ok(()),
            Some(window) => window.faults(&variant.faults).map(|_| ()),
        };
    }
    let (kind, _) = expect::find(&variant.names, meaning.scope.as_ref())?;
    if !metric.is_of(kind) {
        return Err(format!("{kind} has no `{}`", metric.name()));
    }
    match &meaning.window {
        None => Ok(()),
        Some(_) if !metric.has_windows() => Err(format!("`{}` is known of the whole run only", metric.name())),
        Some(window) => window.plan(&variant.faults, variant.plan.duration).map(|_| ()),
    }
}

/// Puts the windows that expectations look at into the plan. Those that are wrong are reported when the expectations are checked.
fn windows(document: &Document, faults: &[FaultLabel], plan: &mut Plan) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for field in document.expect.iter().flat_map(|field| field.checked()) {
        let Ok(expectation) = Expectation::parse(field.checked()) else {
            continue;
        };
        for metric in expectation.metrics().filter(|metric| !metric.metric.is_of_faults()) {
            if let Some(window) = &metric.window
                && !windows.contains(window)
                && let Ok(planned) = window.plan(faults, plan.duration)
            {
                windows.push(window.clone());
                plan.windows.push(planned);
            }
        }
    }
    windows
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
