//! What a scenario says of how its results are judged, with metrics resolved: `precision:` and `statistics:`.

use super::Variant;
use super::decode::Field;
use super::diagnostic::Diagnostics;
use super::expect::{Argument, MetricOf, Problem, baseline_metric, check_metric};
use super::schema::Document;
use super::schema::statistics::IntervalKind;
use super::source::Span;

/// The most replications that are run in search of a precision, where the scenario does not say.
const MAX_REPLICATIONS: u32 = 200;

/// How results are judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Whether intervals are made by resampling replications.
    pub bootstrap: bool,
    /// The share of a figure up to which a difference does not matter.
    pub indifference: Option<f64>,
    /// The most replications to run.
    pub max_replications: u32,
    /// What is to be known how well.
    pub precision: Vec<Target>,
    /// By what the best variant is to be found: a metric that names no variant.
    pub select: Option<MetricOf>,
}

impl Default for Statistics {
    fn default() -> Statistics {
        Statistics {
            bootstrap: false,
            indifference: None,
            max_replications: MAX_REPLICATIONS,
            precision: Vec::new(),
            select: None,
        }
    }
}

/// A figure of one variant that is to be known well.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The figure: it names its variant where there are several.
    pub metric: MetricOf,
    /// How it is called: `p99(least_request)`.
    pub text: String,
    /// Half the width of its interval, as a share of it, is to be at most this.
    pub relative: f64,
}

/// What stands in the document, before variants are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    bootstrap: bool,
    indifference: Option<f64>,
    max_replications: Option<u32>,
    precision: Vec<(String, f64, Span)>,
    select: Option<(String, Span)>,
}

impl Wanted {
    /// What a document without errors says.
    pub fn of(document: &Document) -> Wanted {
        let statistics = document.statistics.as_ref().map(Field::checked);
        let precision = document.precision.iter().flat_map(|field| field.checked().iter());
        Wanted {
            bootstrap: statistics
                .and_then(|statistics| statistics.interval.as_ref())
                .is_some_and(|kind| *kind.checked() == IntervalKind::Bootstrap),
            indifference: statistics.and_then(|statistics| statistics.indifference.as_ref().map(|share| share.checked().value())),
            max_replications: statistics.and_then(|statistics| statistics.max_replications.as_ref().map(|max| *max.checked())),
            precision: precision
                .map(|(name, share)| (name.text.clone(), share.checked().value(), name.span))
                .collect(),
            select: statistics.and_then(|statistics| {
                let select = statistics.select.as_ref()?;
                Some((select.checked().clone(), select.span))
            }),
        }
    }

    /// The metrics that are named, as far as they can be read.
    pub fn metrics(&self) -> impl Iterator<Item = MetricOf> {
        let precision = self.precision.iter().map(|(text, ..)| text);
        let select = self.select.iter().map(|(text, _)| text);
        precision.chain(select).filter_map(|text| MetricOf::parse(text).ok())
    }

    /// With every metric looked up in the variants loaded. `all` are the names of those of the file.
    pub fn resolve(self, replications: u32, variants: &[Variant], all: &[String], diagnostics: &mut Diagnostics) -> Statistics {
        let mut precision = Vec::new();
        for (text, relative, span) in &self.precision {
            match targets(text, *relative, variants, all) {
                Ok(found) => precision.extend(found),
                Err(problem) => diagnostics.wrong_figure(*span, problem),
            }
        }
        let select = self.select.as_ref().and_then(|(text, span)| {
            let found = selected(text, variants, all);
            if self.indifference.is_none() {
                diagnostics.select_without_indifference(*span);
            }
            found.map_err(|problem| diagnostics.wrong_figure(*span, problem)).ok()
        });
        Statistics {
            bootstrap: self.bootstrap,
            indifference: self.indifference.filter(|share| *share > 0.0),
            max_replications: self.max_replications.unwrap_or(MAX_REPLICATIONS).max(replications),
            precision,
            select,
        }
    }
}

/// The targets that a line of `precision` means: one for the variant it names, else one for each.
fn targets(text: &str, relative: f64, variants: &[Variant], all: &[String]) -> Result<Vec<Target>, Problem> {
    let of = MetricOf::parse(text)?;
    let known: Vec<&str> = all.iter().map(String::as_str).collect();
    if let Some(problem) = check_metric(&of, variants, &known) {
        return Err(problem);
    }
    let named = of.meaning(&known)?.variant;
    let chosen = variants
        .iter()
        .filter(|variant| named.as_ref().is_none_or(|name| variant.name == *name));
    let target = |variant: &Variant| {
        let metric = with_variant(&of, &variant.name, named.is_some() || all.len() < 2);
        Target {
            text: written(&metric),
            metric,
            relative,
        }
    };
    Ok(chosen.map(target).collect())
}

fn selected(text: &str, variants: &[Variant], all: &[String]) -> Result<MetricOf, Problem> {
    let known: Vec<&str> = all.iter().map(String::as_str).collect();
    let of = MetricOf::parse(text)?;
    if of.meaning(&known).is_ok_and(|meaning| meaning.variant.is_some()) {
        let problem = "the best of all variants is looked for, so the metric must name none";
        return Err(Problem::new(of.at, problem));
    }
    baseline_metric(text, variants, &known)
}

/// The same metric of a variant.
pub fn with_variant(of: &MetricOf, variant: &str, is_said: bool) -> MetricOf {
    let mut of = of.clone();
    if !is_said {
        let argument = Argument {
            text: variant.to_string(),
            at: of.at.clone(),
        };
        of.arguments.insert(0, argument);
    }
    of
}

fn written(of: &MetricOf) -> String {
    let window = of.window.as_ref().map_or_else(String::new, |window| format!(" {window}"));
    match &of.arguments[..] {
        [] => format!("{}{window}", of.metric.name()),
        arguments => {
            let arguments: Vec<&str> = arguments.iter().map(|argument| argument.text.as_str()).collect();
            format!("{}({}){window}", of.metric.name(), arguments.join(", "))
        }
    }
}
