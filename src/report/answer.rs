//! The answer in one sentence: which variant won, by how much, how sure that is; or that no difference can be seen.
//!
//! Availability comes first, since a policy that fails fast must not look quick; then the 99th percentile (or the highest
//! figure below it that is known). A winner is named only where a comparison's interval says so.

use crate::report::format;
use crate::report::summary::{Summary, Value, VariantSummary};

/// Variants named one by one in a clause; the rest are counted.
const NAMED_MAX: usize = 4;

/// Figures of the latency that may decide, the preferred one first.
const LATENCIES: [&str; 5] = ["p99", "p95", "p90", "p50", "mean"];

/// The sentence.
pub fn answer(summary: &Summary) -> String {
    let Some(client) = summary.main_client() else {
        return "there are no clients, so there is nothing to compare".to_string();
    };
    if let [only] = &summary.variants[..] {
        return of_one(summary, client, &only.name);
    }
    match contests(summary, client) {
        (None, _) => "there were no requests, so there is nothing to compare".to_string(),
        (Some(availability), None) => availability.sentence(),
        (Some(availability), Some(latency)) => together(&availability, &latency),
    }
}

/// The variants, the best first: by availability where that tells them apart, else by latency.
pub fn ranking(summary: &Summary) -> Vec<usize> {
    let in_order = || (0..summary.variants.len()).collect();
    let Some(client) = summary.main_client() else {
        return in_order();
    };
    let contests = contests(summary, client);
    let decisive = match &contests {
        (Some(availability), _) if availability.decided() => Some(availability),
        (_, latency) => latency.as_ref(),
    };
    let Some(contest) = decisive else { return in_order() };
    let index = |name: &str| summary.variants.iter().position(|variant| variant.name == name);
    contest.figures.iter().filter_map(|(name, _)| index(name)).collect()
}

/// The figures that the answer is given by, each with its name for people and the variant that is best in it: `web.latency_seconds.p99`. Of
/// availability only where it tells variants apart.
pub fn decisive(summary: &Summary) -> Vec<(String, String, String)> {
    let Some(client) = summary.main_client().filter(|_| summary.variants.len() > 1) else {
        return Vec::new();
    };
    let (availability, latency) = contests(summary, client);
    let availability = availability.filter(Contest::decided).map(|contest| {
        (
            format!("{client}.availability_ratio"),
            "availability".to_string(),
            contest.best.to_string(),
        )
    });
    // Latency is of successes: whoever fails less is what the others are held against.
    let champion = availability.as_ref().map(|(.., best)| best.clone());
    let latency = latency.map(|contest| {
        let metric = format!("{client}.latency_seconds.{}", contest.word);
        (
            metric,
            contest.word.to_string(),
            champion.unwrap_or_else(|| contest.best.to_string()),
        )
    });
    availability.into_iter().chain(latency).collect()
}

/// Availability and latency of all variants, as far as they are known.
fn contests<'a>(summary: &'a Summary, client: &str) -> (Option<Contest<'a>>, Option<Contest<'a>>) {
    let availability = Contest::new(summary, client, "availability_ratio", "failures", Better::Higher);
    let latency = LATENCIES.iter().find_map(|name| {
        let metric = format!("latency_seconds.{name}");
        Contest::new(summary, client, &metric, name, Better::Lower)
    });
    (availability, latency)
}

fn together(availability: &Contest<'_>, latency: &Contest<'_>) -> String {
    if availability.undecided() {
        return format!(
            "one replication tells no difference from chance; use --replications 10 ({})",
            latency.ranking()
        );
    }
    match (availability.decided(), latency.decided()) {
        (false, false) => neither(availability, latency),
        (false, true) => latency.sentence(),
        (true, false) => format!("{}; no difference to be seen in {}", availability.sentence(), latency.word),
        (true, true) => both(availability, latency),
    }
}

/// Variants differ in both. Latency is of successes only, so it is told of whoever fails least; and who is quicker is named with the reason.
fn both(availability: &Contest<'_>, latency: &Contest<'_>) -> String {
    let champion = availability.best;
    let latency = latency.around(champion);
    let quicker = latency.others.iter().find(|(_, finding)| matches!(finding, Finding::Better));
    let Some(&(quicker, _)) = quicker else {
        return format!("{}; {}", availability.sentence(), latency.clause());
    };
    let fails_more = availability
        .others
        .iter()
        .any(|(other, finding)| *other == quicker && matches!(finding, Finding::Worse(_)));
    let why = if fails_more { ", which fails more," } else { "" };
    let of = |name: &str| {
        latency
            .figures
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(0.0, |(_, figure)| *figure)
    };
    format!(
        "{}; {quicker}{why} has the lower {} of what succeeds: {} against {}",
        availability.sentence(),
        latency.word,
        format::seconds(of(quicker)),
        format::seconds(of(champion)),
    )
}

/// Nobody is better than anybody.
fn neither(availability: &Contest<'_>, latency: &Contest<'_>) -> String {
    let ranking = latency.ranking();
    match (latency.open(), latency.zone()) {
        (Some(more), _) => format!("undecided{}: {ranking}", about(more)),
        (None, Some(share)) if availability.open().is_none() => format!(
            "no difference above {} %, neither in failures nor in {}: {ranking}",
            format::digits(share * 100.0, 2),
            latency.word
        ),
        _ => format!(
            "no difference to be seen, neither in availability nor in {}: {ranking}",
            latency.word
        ),
    }
}

/// What can be said of a variant that stands alone.
fn of_one(summary: &Summary, client: &str, name: &str) -> String {
    let figures = summary
        .variant(name)
        .and_then(|variant| variant.clients.get(client))
        .expect("the main client exists");
    let known = LATENCIES.iter().find_map(|&word| {
        let value = figures.latency_seconds.get(word)?;
        value.value.map(|_| format!("{word} {}", format::latency(value)))
    });
    let known = known.unwrap_or_else(|| "no latency to be told".to_string());
    format!("{name}: {known}, availability {}", format::share(&figures.availability_ratio))
}

/// Which way a metric is good.
#[derive(Clone, Copy, PartialEq)]
enum Better {
    Lower,
    Higher,
}

/// One metric over all variants: the best by its point estimate, and what the comparisons say of the others against it.
struct Contest<'a> {
    summary: &'a Summary,
    /// As comparisons name it.
    metric: String,
    word: &'a str,
    better: Better,
    best: &'a str,
    /// Each variant with its figure, best first.
    figures: Vec<(&'a str, f64)>,
    /// The others, each with what its comparison says, in the order of `figures`.
    others: Vec<(&'a str, Finding)>,
}

/// What a comparison of the best with another says.
enum Finding {
    /// The other is worse; by this factor, with its interval, where there is one.
    Worse(Option<(f64, [f64; 2])>),
    /// The other is better, which only one that is not the best can be told.
    Better,
    /// They cannot be told apart; or differ by less than matters, which is this share.
    Same(Option<f64>),
    /// The interval says neither, and about so many replications more would tell.
    Open(Option<u64>),
    /// There is no interval.
    Undecided,
}

impl<'a> Contest<'a> {
    /// `None` where a variant has no figure.
    fn new(summary: &'a Summary, client: &str, metric: &str, word: &'a str, better: Better) -> Option<Contest<'a>> {
        let figure = |variant: &'a VariantSummary| {
            let client = variant.clients.get(client)?;
            let value = match metric.strip_prefix("latency_seconds.") {
                Some(quantile) => client.latency_seconds.get(quantile)?,
                None => &client.availability_ratio,
            };
            Some((variant.name.as_str(), value.value?))
        };
        let mut figures: Vec<(&str, f64)> = summary.variants.iter().map(figure).collect::<Option<_>>()?;
        figures.sort_by(|(_, a), (_, b)| {
            if better == Better::Lower {
                a.total_cmp(b)
            } else {
                b.total_cmp(a)
            }
        });
        let best = figures.first()?.0;
        let contest = Contest {
            summary,
            metric: format!("{client}.{metric}"),
            word,
            better,
            best,
            others: Vec::new(),
            figures,
        };
        Some(contest.around(best))
    }

    /// The same with the others held against `best`.
    fn around(&self, best: &'a str) -> Contest<'a> {
        let others = self.figures.iter().filter(|(other, _)| *other != best);
        let others = others.map(|&(other, _)| (other, finding(self.summary, &self.metric, self.better, best, other)));
        Contest {
            metric: self.metric.clone(),
            figures: self.figures.clone(),
            others: others.collect(),
            best,
            ..*self
        }
    }

    fn undecided(&self) -> bool {
        self.others.iter().any(|(_, finding)| matches!(finding, Finding::Undecided))
    }

    /// Whether comparisons are open, and the most replications that these need.
    fn open(&self) -> Option<Option<u64>> {
        let open = self.others.iter().filter_map(|(_, finding)| match finding {
            Finding::Open(more) => Some(*more),
            _ => None,
        });
        open.reduce(|most, more| most.zip(more).map(|(most, more)| most.max(more)))
    }

    /// The share up to which a difference does not matter.
    fn zone(&self) -> Option<f64> {
        self.others.iter().find_map(|(_, finding)| match finding {
            Finding::Same(zone) => *zone,
            _ => None,
        })
    }

    /// Whether the best is better than anybody.
    fn decided(&self) -> bool {
        self.others.iter().any(|(_, finding)| matches!(finding, Finding::Worse(_)))
    }

    fn sentence(&self) -> String {
        format!("{}: {}", self.best, self.clause())
    }

    /// `p99 1.42 ± 0.03 times lower than round_robin, no difference to be seen from random`.
    fn clause(&self) -> String {
        let mut parts = Vec::new();
        let (mut uncertain, mut same, mut open) = (Vec::new(), Vec::new(), Vec::new());
        let (mut within, mut needed) = (None, Some(0));
        for (other, finding) in &self.others {
            match finding {
                Finding::Worse(Some((factor, ends))) => {
                    let direction = if self.better == Better::Lower { "lower" } else { "fewer" };
                    parts.push(format!("{} times {direction} than {other}", format::factor(*factor, *ends)));
                }
                Finding::Worse(None) => uncertain.push(*other),
                Finding::Better => {}
                Finding::Same(zone) => {
                    within = *zone;
                    same.push(*other);
                }
                Finding::Open(more) => {
                    needed = needed.zip(*more).map(|(most, more)| most.max(more));
                    open.push(*other);
                }
                Finding::Undecided => same.push(*other),
            }
        }
        let more = parts.len().saturating_sub(NAMED_MAX);
        parts.truncate(NAMED_MAX);
        if more > 0 {
            parts.push(format!("and lower than {more} more"));
        }
        if !uncertain.is_empty() {
            parts.push(format!("{} than {}", self.without_factor(), list(&uncertain)));
        }
        if !same.is_empty() {
            let difference = match within {
                Some(share) => format!("no difference above {} %", format::digits(share * 100.0, 2)),
                None => "no difference to be seen".to_string(),
            };
            parts.push(format!("{difference} from {}", list(&same)));
        }
        if !open.is_empty() {
            parts.push(format!("undecided against {}{}", list(&open), about(needed)));
        }
        format!("{} {}", self.word, parts.join(", "))
    }

    fn without_factor(&self) -> &'static str {
        if self.better == Better::Lower {
            "lower"
        } else {
            "clearly fewer"
        }
    }

    /// Every variant with its figure, best first.
    fn ranking(&self) -> String {
        let shown = self.figures.iter().take(NAMED_MAX).map(|(name, figure)| match self.better {
            Better::Lower => format!("{name} {}", format::seconds(*figure)),
            Better::Higher => format!("{name} {}", format::share(&Value::exact(*figure))),
        });
        let shown: Vec<String> = shown.collect();
        let more = self.figures.len().saturating_sub(NAMED_MAX);
        let rest = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!("{} {}{rest}", self.word, shown.join(", "))
    }
}

/// How many replications would tell, where that is known.
fn about(more: Option<u64>) -> String {
    more.map_or_else(String::new, |more| format!(" (about {more} more replications would tell)"))
}

/// What the comparison of `best` with `other` says.
fn finding(summary: &Summary, metric: &str, better: Better, best: &str, other: &str) -> Finding {
    let Some(comparison) = summary.comparison(metric, other, best) else {
        return Finding::Same(None);
    };
    let [worse, better] = match better {
        Better::Lower => ["higher", "lower"],
        Better::Higher => ["lower", "higher"],
    };
    match comparison.verdict.as_str() {
        "undecided" if comparison.difference.ci95.is_some() => Finding::Open(comparison.replications_needed),
        "undecided" => Finding::Undecided,
        verdict if verdict == worse => Finding::Worse(factor(&comparison.ratio)),
        verdict if verdict == better => Finding::Better,
        _ => Finding::Same(summary.confidence.indifference),
    }
}

/// How many times the other's figure (of availability its share of failures) is the best's, with the interval. `None` where that does not
/// tell which is the smaller: a difference may be certain of which no factor is.
fn factor(ratio: &Value) -> Option<(f64, [f64; 2])> {
    let (value, [low, high]) = (ratio.value?, ratio.ci95?);
    (low >= 1.0).then_some((value, [low, high]))
}

fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_string(),
        [first @ .., last] if names.len() <= NAMED_MAX => format!("{} and {last}", first.join(", ")),
        _ => format!("{} and {} more", names[..NAMED_MAX].join(", "), names.len() - NAMED_MAX),
    }
}
