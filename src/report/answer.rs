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
    let latency = latency.map(|contest| {
        let metric = format!("{client}.latency_seconds.{}", contest.word);
        (metric, contest.word.to_string(), contest.best.to_string())
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
        (true, true) if availability.best == latency.best => {
            format!("{}: {}; {}", availability.best, availability.clause(), latency.clause())
        }
        (true, true) => format!("{}; {}", availability.sentence(), latency.sentence()),
    }
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
    /// The other is worse; by this factor where there is one.
    Worse(Option<(f64, f64)>),
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
        let metric = format!("{client}.{metric}");
        let others = figures[1..]
            .iter()
            .map(|&(other, _)| (other, finding(summary, &metric, better, best, other)));
        Some(Contest {
            word,
            better,
            best,
            others: others.collect(),
            figures,
        })
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
        let (mut same, mut open, mut within, mut needed) = (Vec::new(), Vec::new(), None, Some(0));
        for (other, finding) in &self.others {
            match finding {
                Finding::Worse(Some((factor, half))) => {
                    let direction = if self.better == Better::Lower { "lower" } else { "fewer" };
                    parts.push(format!(
                        "{} times {direction} than {other}",
                        format::with_error(*factor, *half)
                    ));
                }
                Finding::Worse(None) => parts.push(format!("{} than {other}", self.without_factor())),
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

/// What the comparison of `best` with `other` says, whichever way round it was made.
fn finding(summary: &Summary, metric: &str, better: Better, best: &str, other: &str) -> Finding {
    let of = |a: &str, b: &str| {
        summary
            .comparisons
            .iter()
            .find(|c| c.metric == metric && c.a == a && c.b == b)
    };
    let zone = summary.confidence.indifference;
    let (comparison, turned) = match (of(best, other), of(other, best)) {
        (Some(comparison), _) => (comparison, false),
        (None, Some(comparison)) => (comparison, true),
        (None, None) => return Finding::Same(None),
    };
    let expected = if (better == Better::Lower) != turned {
        "lower"
    } else {
        "higher"
    };
    match comparison.verdict.as_str() {
        "undecided" if comparison.difference.ci95.is_some() => Finding::Open(comparison.replications_needed),
        "undecided" => Finding::Undecided,
        verdict if verdict == expected => Finding::Worse(factor(&comparison.ratio, turned)),
        _ => Finding::Same(zone),
    }
}

/// How many times the other's figure is the best's, with half the width of its interval. The ratio is `a / b` of
/// latencies or of shares of failures, so the best's is the smaller either way.
fn factor(ratio: &Value, turned: bool) -> Option<(f64, f64)> {
    let (value, [low, high]) = (ratio.value?, ratio.ci95?);
    if turned {
        Some((value, (high - low) / 2.0))
    } else {
        Some((1.0 / value, (1.0 / low - 1.0 / high) / 2.0))
    }
}

fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_string(),
        [first @ .., last] if names.len() <= NAMED_MAX => format!("{} and {last}", first.join(", ")),
        _ => format!("{} and {} more", names[..NAMED_MAX].join(", "), names.len() - NAMED_MAX),
    }
}
