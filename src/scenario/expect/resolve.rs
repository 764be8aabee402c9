//! What the names in an expectation mean: variants, clients, services, edges, endpoints, faults, causes.

use super::metric::{self, ScopeKind};
use super::window::Window;
use super::{Argument, Expectation, MetricOf, Problem};
use crate::model::Plan;
use crate::scenario::diagnostic::nearest;
use crate::scenario::{Names, Variant};

/// More names than this are not listed in an error.
const LISTED_MAX: usize = 8;

/// What the arguments of a metric mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// Of which variant; `None` where none is named: the only one, or each of several.
    pub variant: Option<String>,
    /// Of what in it; the only client if absent.
    pub scope: Option<Scope>,
    /// Failures of this cause only.
    pub cause: Option<String>,
    /// When; the whole measured run if absent.
    pub window: Option<Window>,
}

/// Of what a metric is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// What kind of thing; `None`: whatever has the name.
    pub kind: Option<ScopeKind>,
    /// Its name.
    pub name: String,
}

impl Scope {
    /// A name, perhaps with the kind of thing before it.
    pub fn parse(text: &str) -> Scope {
        let kinds = [
            ("client ", ScopeKind::Client),
            ("service ", ScopeKind::Service),
            ("edge ", ScopeKind::Edge),
            ("endpoint ", ScopeKind::Endpoint),
        ];
        let found = kinds
            .iter()
            .find_map(|(word, kind)| text.strip_prefix(word).map(|name| (Some(*kind), name)));
        let (kind, name) = found.unwrap_or((None, text));
        Scope {
            kind,
            name: name.trim().to_string(),
        }
    }
}

impl MetricOf {
    /// Whether an argument can only be a cause of failures.
    fn is_cause(&self, argument: &str) -> bool {
        self.metric.takes_cause() && metric::is_cause(argument)
    }

    /// What its arguments mean where the variants have these names: first a variant, then a client, service, edge or endpoint (or,
    /// where the metric is of a fault, a fault), and a cause of failures; each of them may be left out.
    ///
    /// # Errors
    /// That there is an argument too many, for the user.
    pub fn meaning(&self, variants: &[&str]) -> Result<Meaning, Problem> {
        let mut meaning = Meaning {
            window: self.window.clone(),
            ..Meaning::default()
        };
        for (index, argument) in self.arguments.iter().enumerate() {
            let text = argument.text.as_str();
            let named = text.strip_prefix("variant ").map(str::trim);
            if index == 0 && (named.is_some() || variants.contains(&text)) {
                meaning.variant = Some(named.unwrap_or(text).to_string());
            } else if meaning.cause.is_none() && self.is_cause(text) {
                meaning.cause = Some(text.to_string());
            } else if self.metric.is_of_faults() && meaning.window.is_none() {
                meaning.window = Some(Window::During(text.to_string()));
            } else if meaning.scope.is_none() && !self.metric.is_of_faults() {
                meaning.scope = Some(Scope::parse(text));
            } else {
                let message = format!("`{}` has an argument too many: `{text}`", self.metric.name());
                return Err(Problem::new(argument.at.clone(), message));
            }
        }
        Ok(meaning)
    }
}

/// What a scope means where things have these names; without a scope it is the only client.
///
/// # Errors
/// That nothing has the name, or several things have it, for the user.
pub fn find(names: &Names, plan: &Plan, scope: Option<&Scope>) -> Result<(ScopeKind, usize), String> {
    let Some(scope) = scope else {
        return match names.clients.len() {
            1 => Ok((ScopeKind::Client, 0)),
            _ => Err("there are several clients, so a metric must name one, as in `p99(VARIANT, CLIENT)`".to_string()),
        };
    };
    let lists = [
        (ScopeKind::Client, &names.clients),
        (ScopeKind::Service, &names.services),
        (ScopeKind::Edge, &names.edges),
    ];
    let is_asked = |kind: &ScopeKind| scope.kind.is_none_or(|wanted| wanted == *kind);
    let listed = lists.iter().filter(|(kind, _)| is_asked(kind));
    let listed = listed.filter_map(|(kind, list)| Some((*kind, list.iter().position(|name| *name == scope.name)?)));
    let endpoint = endpoint(names, plan, &scope.name).filter(|_| is_asked(&ScopeKind::Endpoint));
    let mut found = listed.chain(endpoint.map(|at| (ScopeKind::Endpoint, at)));
    match (found.next(), found.next()) {
        (Some(found), None) => Ok(found),
        (Some(_), Some(_)) => Err(format!(
            "`{0}` is the name of several things: write `client {0}`, `service {0}` or `edge {0}`",
            scope.name
        )),
        (None, _) => Err(match scope.kind {
            Some(ScopeKind::Client) => format!("no client is called `{}`", scope.name),
            Some(ScopeKind::Service) => format!("no service is called `{}`", scope.name),
            Some(ScopeKind::Edge) => format!("no edge is called `{}`", scope.name),
            Some(ScopeKind::Endpoint) => format!("no endpoint is called `{}`", scope.name),
            None => format!("no client, service, edge or endpoint is called `{}`", scope.name),
        }),
    }
}

/// The index of `service/endpoint`.
fn endpoint(names: &Names, plan: &Plan, path: &str) -> Option<usize> {
    let (service, endpoint) = path.split_once('/')?;
    let service = names.services.iter().position(|name| name == service)?;
    let plan = plan.services.get(service)?;
    let first = plan.first_endpoint as usize;
    let names = names.endpoints.get(first..first + plan.endpoint_count as usize)?;
    names.iter().position(|name| name == endpoint).map(|at| first + at)
}

/// What is probably meant by a name that nothing has, or what there is.
fn similar(written: &str, variant: &Variant, others: &[&str]) -> Option<String> {
    let names = &variant.names;
    let things = || {
        names
            .clients
            .iter()
            .chain(&names.services)
            .chain(&names.edges)
            .map(String::as_str)
    };
    let service = written.split('/').next().unwrap_or_default();
    let endpoints = names.services.iter().position(|name| name == service).map(|at| {
        let plan = &variant.plan.services[at];
        let first = plan.first_endpoint as usize;
        let paths = names.endpoints[first..first + plan.endpoint_count as usize].iter().take(1000);
        paths.map(|name| format!("{service}/{name}")).collect::<Vec<_>>()
    });
    let endpoints = endpoints.unwrap_or_default();
    let candidates: Vec<&str> = (others.iter().copied())
        .chain(things())
        .chain(endpoints.iter().map(String::as_str))
        .collect();
    if let Some(meant) = nearest(written, candidates.iter().copied()) {
        return Some(format!("did you mean `{meant}`?"));
    }
    let mut listed: Vec<String> = candidates.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
    if candidates.len() > LISTED_MAX {
        listed.push(format!("… ({} in all)", candidates.len()));
    }
    Some(format!("there are {}", listed.join(", ")))
}

/// What is wrong with an expectation of these variants. `all` are the names of all variants of the file; of those that are not loaded
/// nothing can be said but that they exist.
pub(crate) fn check(expectation: &Expectation, variants: &[Variant], all: &[&str]) -> Vec<Problem> {
    let metrics: Vec<&MetricOf> = expectation.metrics().collect();
    let named = |of: &&MetricOf| of.meaning(all).is_ok_and(|meaning| meaning.variant.is_some());
    let one_names = metrics.iter().any(named);
    let mut problems = Vec::new();
    for of in metrics {
        if let Some(problem) = unknown_first(of, variants, all) {
            problems.push(problem);
            continue;
        }
        let is_unnamed = of.meaning(all).is_ok_and(|meaning| meaning.variant.is_none());
        if is_unnamed && one_names && all.len() > 1 {
            let message = format!("there are several variants, so `{}` must name one too", of.metric.name());
            problems.push(Problem::new(of.at.clone(), message));
            continue;
        }
        problems.extend(check_metric(of, variants, all));
    }
    problems
}

/// The first argument is no variant, and nothing else either.
fn unknown_first(of: &MetricOf, variants: &[Variant], all: &[&str]) -> Option<Problem> {
    let Argument { text, at } = of.arguments.first()?;
    let named = text.strip_prefix("variant ").map(str::trim);
    let is_variant = all.contains(&named.unwrap_or(text));
    if is_variant || (all.len() == 1 && named.is_none()) || of.is_cause(text) {
        return None;
    }
    let is_thing = |variant: &Variant| match of.metric.is_of_faults() {
        true => Window::During(text.clone()).faults(&variant.faults).is_ok(),
        false => {
            !matches!(find(&variant.names, &variant.plan, Some(&Scope::parse(text))), Err(problem) if problem.starts_with("no "))
        }
    };
    if named.is_none() && variants.iter().any(is_thing) {
        return None;
    }
    // With more arguments behind it, it stands where a variant does.
    let is_alone = named.is_none() && of.arguments.len() == 1;
    let message = match is_alone {
        true => format!("there is neither a variant nor anything else called `{text}`"),
        false => format!("there is no variant `{}`", named.unwrap_or(text)),
    };
    let problem = Problem::new(at.clone(), message);
    let help = match variants.first() {
        Some(variant) if is_alone => similar(text, variant, all),
        _ => nearest(text, all.iter().copied())
            .map(|meant| format!("did you mean `{meant}`?"))
            .or_else(|| {
                let listed: Vec<String> = all.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
                Some(format!("the variants are {}", listed.join(", ")))
            }),
    };
    Some(match help {
        Some(help) => problem.help(help),
        None => problem,
    })
}

/// Reads a metric that is compared with earlier results, of every variant.
///
/// # Errors
/// What is wrong with it, for the user.
pub(crate) fn baseline_metric(text: &str, variants: &[Variant], all: &[&str]) -> Result<MetricOf, Problem> {
    let of = MetricOf::parse(text)?;
    let is_named = of.meaning(all).is_ok_and(|meaning| meaning.variant.is_some());
    if is_named && all.len() > 1 {
        return Err(Problem::new(
            of.arguments[0].at.clone(),
            "it is compared of every variant, so it names none",
        ));
    }
    match check_metric(&of, variants, all) {
        Some(problem) => Err(problem),
        None => Ok(of),
    }
}

/// What is wrong with a metric of these variants, of each of those it is meant of.
pub(crate) fn check_metric(of: &MetricOf, variants: &[Variant], all: &[&str]) -> Option<Problem> {
    let meaning = match of.meaning(all) {
        Ok(meaning) => meaning,
        Err(problem) => return Some(problem),
    };
    let is_meant = |variant: &&Variant| meaning.variant.as_ref().is_none_or(|name| variant.name == *name);
    variants
        .iter()
        .filter(is_meant)
        .find_map(|variant| check_meaning(of, &meaning, variant).err())
}

/// Whether a variant has what an expectation is about.
fn check_meaning(of: &MetricOf, meaning: &Meaning, variant: &Variant) -> Result<(), Problem> {
    let (metric, name) = (of.metric, of.metric.name());
    let whole = |message: String| Problem::new(of.at.clone(), message);
    if metric.is_of_faults() {
        return match &meaning.window {
            None if variant.faults.is_empty() => Err(whole(format!("`{name}` is measured of faults, and there are none"))),
            None => Ok(()),
            Some(window) => window.faults(&variant.faults).map(|_| ()).map_err(whole),
        };
    }
    let (kind, _) = find(&variant.names, &variant.plan, meaning.scope.as_ref()).map_err(|message| {
        let Some(scope) = &meaning.scope else { return whole(message) };
        let argument = of.arguments.iter().find(|argument| argument.text.ends_with(&scope.name));
        let problem = Problem::new(argument.map_or(of.at.clone(), |argument| argument.at.clone()), message);
        match problem
            .message
            .starts_with("no ")
            .then(|| similar(&scope.name, variant, &[]))
            .flatten()
        {
            Some(help) => problem.help(help),
            None => problem,
        }
    })?;
    if !metric.is_of(kind) {
        let problem = whole(format!("{kind} has no `{name}`"));
        let kinds = [ScopeKind::Client, ScopeKind::Service, ScopeKind::Edge, ScopeKind::Endpoint];
        let owners: Vec<String> = kinds
            .iter()
            .filter(|kind| metric.is_of(**kind))
            .map(ToString::to_string)
            .collect();
        return Err(problem.help(format!("it is a metric of {}", owners.join(" or "))));
    }
    if meaning.cause.is_some() && kind == ScopeKind::Endpoint {
        return Err(whole("failures of an endpoint are not counted by cause".to_string()));
    }
    match &meaning.window {
        None => Ok(()),
        Some(_) if !metric.has_windows() => Err(whole(format!("`{name}` is known of the whole run only"))),
        Some(window) => window.plan(&variant.faults, variant.plan.duration).map(|_| ()).map_err(whole),
    }
}
