//! What clients went through: the ranking, latency, availability, failures, and how variants differ in them.

use std::fmt::Write;
use std::iter;

use crate::report::chart::escape;
use crate::report::html::Figures;
use crate::report::html::parts::{Cell, NOTHING, table};
use crate::report::summary::{ClientSummary, ComparisonSummary, RankSummary, Summary, Value};
use crate::report::{Named, answer, format};

/// Comparisons shown; the rest are in `summary.csv`.
const COMPARISONS_MAX: usize = 400;
/// Figures of the latency in the tables of clients.
const LATENCIES: [&str; 5] = ["mean", "p50", "p90", "p99", "p99.9"];
/// All of them.
const PERCENTILES: [&str; 9] = ["mean", "p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "max"];

/// A name above what belongs to a client, where there are several.
fn heading(out: &mut String, clients: &[&str], client: &str) {
    if clients.len() > 1 {
        let _ = write!(out, "<h3>Client {}</h3>", escape(client));
    }
}

/// The variants with their figures of a client, the best first.
fn ranked<'a>(summary: &'a Summary, client: &'a str) -> impl Iterator<Item = (&'a str, &'a ClientSummary)> {
    let order = answer::ranking(summary).into_iter();
    order.filter_map(move |index| {
        let variant = &summary.variants[index];
        Some((variant.name.as_str(), variant.clients.get(client)?))
    })
}

/// Who won, by how much.
pub fn ranking(out: &mut String, summary: &Summary, clients: &[&str], figures: &Figures<'_>) {
    let words = match summary.replications {
        1 => "One replication: there are no intervals.".to_string(),
        n => format!(
            "± is half of the 95 % confidence interval over {n} replications; “Intervals” at the top of the page writes its ends and how \
             it was made below each figure. Latencies are of successful requests, from the moment at which a request was meant to be sent."
        ),
    };
    let _ = write!(out, "<section id=\"ranking\"><h2>Ranking</h2><p class=\"note\">{words}</p>");
    let decisive = answer::decisive(summary).into_iter().next();
    for &client in clients {
        heading(out, clients, client);
        figures.put(out, "comparison", Some(client));
        let places = decisive.as_ref().and_then(|(metric, ..)| {
            let figure = metric.strip_prefix(summary.main_client()?)?;
            let of_client = format!("{client}{figure}");
            summary.rankings.iter().find(|ranking| ranking.metric == of_client)
        });
        let mut first = vec!["variant"];
        first.extend(places.map(|_| "place"));
        let rows = ranked(summary, client).map(|(name, figures)| {
            let place = places.map(|ranking| {
                let is_it = |rank: &&RankSummary| rank.variant == name;
                ranking
                    .variants
                    .iter()
                    .find(is_it)
                    .map_or_else(|| Cell::from(NOTHING), |rank| Cell::from(place(rank)))
            });
            (iter::once(Cell::from(name)).chain(place).collect(), figures)
        });
        client_table(
            out,
            &format!("Figures of client {client}, best first"),
            &first,
            rows.collect(),
        );
        if let (Some(ranking), Some((_, word, _))) = (places, &decisive) {
            let _ = write!(
                out,
                "<p class=\"note under\">Place: by {word}, as far as the comparisons tell"
            );
            if ranking.variants.iter().any(|rank| rank.rank[0] != rank.rank[1]) {
                out.push_str("; variants that share a letter are not separated");
            }
            out.push_str(".</p>");
        }
    }
    order(out, summary);
    out.push_str("</section>\n");
}

/// The places that a variant may have, and its groups: `2–3 b`.
fn place(rank: &RankSummary) -> String {
    match rank.rank {
        [best, worst] if best == worst => format!("{best} {}", rank.group),
        [best, worst] => format!("{best}–{worst} {}", rank.group),
    }
}

/// The order of the variants by each figure that was compared, as far as it is certain.
fn order(out: &mut String, summary: &Summary) {
    let most = summary
        .rankings
        .iter()
        .map(|ranking| ranking.variants.len())
        .max()
        .unwrap_or(0);
    if most < 2 {
        return;
    }
    let rows = summary.rankings.iter().map(|ranking| {
        let places = ranking
            .variants
            .iter()
            .map(|rank| Cell::from(format!("{} ({})", rank.variant, place(rank))));
        iter::once(Cell::from(format::metric(&ranking.metric)))
            .chain(places)
            .collect()
    });
    out.push_str(
        "<details><summary>Order by each figure</summary><p class=\"note\">In brackets the places that a variant may have, as far as \
         comparisons tell, and its groups: variants that share a letter are not separated.</p>",
    );
    let mut header = vec!["figure".to_string(), "best".to_string()];
    header.extend((2..=most).map(|place| format!("{place}.")));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    table(out, "Order of the variants by each figure", &header, rows);
    out.push_str("</details>");
}

/// Figures of clients, a row each; `first` stands above the cells that a row begins with.
pub fn client_table(out: &mut String, caption: &str, first: &[&str], rows: Vec<(Vec<Cell>, &ClientSummary)>) {
    let retried = rows
        .iter()
        .any(|(_, client)| client.attempts_total.value != client.requests_total.value);
    let mut header = first.to_vec();
    header.extend(["requests", "availability"]);
    header.extend(LATENCIES);
    header.extend(retried.then_some("attempts/request"));
    let rows = rows.into_iter().map(|(mut row, client)| {
        row.push(Cell::count(&client.requests_total));
        row.push(Cell::of(&client.availability_ratio, format::share));
        row.extend(LATENCIES.map(|name| Cell::latency(&client.latency_seconds, name)));
        row.extend(retried.then(|| Cell::of(&client.attempts_per_request_ratio, format::figure)));
        row
    });
    table(out, caption, &header, rows);
}

/// Latency by percentile and over time.
pub fn latency(out: &mut String, summary: &Summary, clients: &[&str], figures: &Figures<'_>) {
    out.push_str("<section id=\"latency\"><h2>Latency</h2>");
    for &client in clients {
        heading(out, clients, client);
        figures.put(out, "latency_cdf", Some(client));
        figures.put(out, "latency_over_time", Some(client));
        let mut header = vec!["variant, outcome"];
        header.extend(PERCENTILES);
        let row = |name: String, latencies: &Named<_>| {
            let figures = PERCENTILES.map(|percentile| Cell::latency(latencies, percentile));
            [Cell::from(name)].into_iter().chain(figures).collect()
        };
        let rows: Vec<Vec<Cell>> = ranked(summary, client)
            .flat_map(|(name, figures)| {
                let failed = figures.failed_latency_seconds.iter().any(|(_, value)| value.value.is_some());
                let success = row(format!("{name}, success"), &figures.latency_seconds);
                let failure = failed.then(|| row(format!("{name}, failure"), &figures.failed_latency_seconds));
                [Some(success), failure].into_iter().flatten()
            })
            .collect();
        table(out, &format!("Latency of {client}"), &header, rows.into_iter());
    }
    out.push_str("</section>\n");
}

/// Availability, the error budget, and failures by cause.
pub fn availability(out: &mut String, summary: &Summary, clients: &[&str], figures: &Figures<'_>) {
    out.push_str(
        "<section id=\"availability\"><h2>Availability and failures</h2><p class=\"note\">By the time at which requests were meant to be \
         sent: those that a fault meets in flight count before it. Error budget: failures over those that the objective allows.</p>",
    );
    for &client in clients {
        heading(out, clients, client);
        for kind in [
            "availability_over_time",
            "error_budget_over_time",
            "failures_by_cause",
            "failures_over_time",
        ] {
            figures.put(out, kind, Some(client));
        }
        budget(out, summary, client);
        failures(out, summary, client);
    }
    out.push_str("</section>\n");
}

/// What of the error budget is gone, and what got through.
fn budget(out: &mut String, summary: &Summary, client: &str) {
    let header = [
        "variant",
        "requests/s",
        "successes/s",
        "availability",
        "objective",
        "error budget burnt",
        "attempts",
        "failures",
    ];
    let rows = ranked(summary, client).map(|(name, figures)| {
        vec![
            name.into(),
            Cell::of(&figures.requests_per_second, format::figure),
            Cell::of(&figures.goodput_per_second, format::figure),
            Cell::of(&figures.availability_ratio, format::share),
            Cell::of(&figures.availability_objective_ratio, format::share),
            Cell::of(&figures.error_budget_burn_ratio, |burnt| match burnt.value {
                Some(0.0) => "0×".to_string(),
                Some(_) => format!("{}×", format::figure(burnt)),
                None => NOTHING.to_string(),
            }),
            Cell::count(&figures.attempts_total),
            Cell::from(format::count(
                figures.failures_total.iter().map(|(_, &number)| number).sum::<u64>() as f64,
            )),
        ]
    });
    table(out, &format!("Availability of {client}"), &header, rows);
}

/// Failures by cause and by who ended the request.
fn failures(out: &mut String, summary: &Summary, client: &str) {
    let mut kinds: Vec<(bool, String)> = Vec::new();
    for (_, figures) in ranked(summary, client) {
        let causes = figures.failures_total.iter().map(|(cause, _)| (false, cause.to_string()));
        let answerers = figures.failures_by_answerer_total.iter().filter(|(_, number)| **number > 0);
        for kind in causes.chain(answerers.map(|(answerer, _)| (true, answerer.to_string()))) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    if kinds.is_empty() {
        out.push_str("<p class=\"note\">No request failed.</p>");
        return;
    }
    kinds.sort_by_key(|(is_answerer, _)| *is_answerer);
    let words: Vec<String> = kinds
        .iter()
        .map(|(is_answerer, kind)| match is_answerer {
            true => format!("ended by {}", kind.replace('_', " ")),
            false => kind.clone(),
        })
        .collect();
    let mut header = vec!["variant"];
    header.extend(words.iter().map(String::as_str));
    let rows = ranked(summary, client).map(|(name, figures)| {
        let number = |(is_answerer, kind): &(bool, String)| {
            let failures = if *is_answerer {
                &figures.failures_by_answerer_total
            } else {
                &figures.failures_total
            };
            Cell::from(format::count(failures.get(kind).copied().unwrap_or(0) as f64))
        };
        [Cell::from(name)].into_iter().chain(kinds.iter().map(number)).collect()
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    table(
        out,
        &format!("Failed requests of {client}: by cause, and by who or what ended them"),
        &header,
        rows.into_iter(),
    );
}

/// How variants differ, replication by replication.
pub fn differences(out: &mut String, summary: &Summary) {
    if summary.comparisons.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "<section id=\"differences\"><h2>Differences</h2><p class=\"note\">{}</p>",
        escape(&method(summary))
    );
    let header = [
        "figure",
        "variant",
        "verdict",
        "against",
        "difference",
        "ratio",
        "p",
        "correlation",
        "variance saved",
    ];
    let against_best: Vec<ComparisonSummary> = answer::decisive(summary)
        .iter()
        .flat_map(|(metric, _, best)| {
            let others = summary.variants.iter().filter(move |variant| variant.name != *best);
            others.filter_map(move |variant| summary.comparison(metric, &variant.name, best))
        })
        .collect();
    if !against_best.is_empty() {
        table(out, "Against the best", &header, against_best.iter().map(difference_row));
    }
    let shown = summary.comparisons.len().min(COMPARISONS_MAX);
    let _ = write!(out, "<details><summary>{shown} comparisons</summary>");
    let rows = summary.comparisons.iter().take(shown).map(difference_row);
    table(out, "Differences between variants", &header, rows);
    if shown < summary.comparisons.len() {
        let more = summary.comparisons.len() - shown;
        let _ = write!(out, "<p class=\"note\">{more} more are in summary.csv.</p>");
    }
    out.push_str("</details></section>\n");
}

/// How differences were found and judged.
fn method(summary: &Summary) -> String {
    let confidence = &summary.confidence;
    let mut words =
        "Replication by replication: every variant saw the same traffic and the same work (common random numbers). ".to_string();
    if confidence.pairs > 1 {
        let _ = write!(
            words,
            "Intervals of one figure hold for all {} pairs at once (Bonferroni), and so do p-values (Holm). ",
            confidence.pairs
        );
    }
    words.push_str(match confidence.indifference {
        Some(_) => "Better and worse: the interval of the difference excludes zero; undecided: it reaches beyond what matters. ",
        None => "Better and worse: the interval of the difference excludes zero; else it says above which size a difference is excluded. ",
    });
    if let Some(zone) = confidence.indifference {
        let _ = write!(
            words,
            "Differences up to {} % of the figure do not matter. ",
            format::digits(zone * 100.0, 2)
        );
    }
    words.push_str(
        "p: how likely so large a difference would be by chance. Correlation: of the two over the replications; variance saved: by what \
         part that makes the variance of the difference smaller than that of independent runs, more where negative. The ratio of \
         availability is that of the shares of failures.",
    );
    words
}

fn difference_row(comparison: &ComparisonSummary) -> Vec<Cell> {
    let ratio = |ratio: &Value| match (ratio.value, ratio.ci95) {
        (Some(value), Some(ends)) => format::factor(value, ends),
        _ => format::figure(ratio),
    };
    let correlation = |value: &Value| value.value.map_or_else(|| NOTHING.to_string(), |c| format!("{c:.2}"));
    vec![
        format::metric(&comparison.metric).into(),
        comparison.a.as_str().into(),
        comparison.statement.as_str().into(),
        comparison.b.as_str().into(),
        Cell::of(&comparison.difference, |value| format::difference(&comparison.metric, value)),
        Cell::of(&comparison.ratio, ratio),
        Cell::of(&comparison.p_value, format::p_value),
        Cell::of(&comparison.correlation, correlation),
        Cell::of(&comparison.variance_saved_ratio, format::share),
    ]
}
