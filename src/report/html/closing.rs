//! What the figures rest on: what was modelled and what was not, how intervals were made, what was run.

use std::fmt::Write;

use crate::report::chart::escape;
use crate::report::html::parts::{Cell, table};
use crate::report::summary::Summary;
use crate::report::{csv, format};

/// Bytes of the scenario's text shown.
const SOURCE_MAX: usize = 200_000;

/// What was modelled, and what was not.
pub fn model(out: &mut String, summary: &Summary) {
    out.push_str("<section id=\"model\"><h2>What was modelled</h2>");
    effects(out, summary);
    out.push_str(
        "<ul>\
         <li>Every caller (a client's proxy, or an endpoint as a client) has its own balancer, its own view of the endpoints, and its \
         own connections, as sidecars have.</li>\
         <li>A call is placed, sent over the network, queued, served step by step (its own calls nest), and answered over the network. \
         A timeout abandons it; the server may work on.</li>\
         <li>Latency counts from the moment at which a request was meant to be sent, so slow answers hide no requests. A figure over \
         replications is a mean; a total is a sum.</li>\
         <li>Variants share every random draw that is not theirs: the same arrivals, the same work, the same network.</li></ul>\
         <p><strong>Not modelled:</strong> the CPU that proxies take, TLS handshakes, packet-level congestion, HTTP semantics beyond status \
         codes, garbage collection and noisy neighbours, unless the scenario puts them into its distributions and faults. The figures \
         compare policies under this scenario's assumptions; they forecast no system.</p></section>\n",
    );
}

/// Which parts of the model are on, by variant, and which are off in all of them.
fn effects(out: &mut String, summary: &Summary) {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in summary.variants.iter().flat_map(|variant| variant.effects.iter()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return;
    }
    let how = |name: &str| -> Vec<Option<&str>> {
        let variants = summary.variants.iter();
        variants
            .map(|variant| variant.effects.get(name).and_then(|how| how.as_deref()))
            .collect()
    };
    let (on, off): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| how(name).iter().any(Option::is_some));
    let is_alike = |name: &&str| how(name).windows(2).all(|pair| pair[0] == pair[1]);
    let (alike, different): (Vec<&str>, Vec<&str>) = on.into_iter().partition(is_alike);
    let words = |how: Option<&str>| Cell::from(how.unwrap_or("off"));
    if !different.is_empty() {
        let mut header = vec!["part of the model"];
        header.extend(summary.variants.iter().map(|variant| variant.name.as_str()));
        let rows = different.iter().map(|name| {
            [Cell::from(*name)]
                .into_iter()
                .chain(how(name).into_iter().map(words))
                .collect()
        });
        table(out, "In what the variants differ", &header, rows);
    }
    if !alike.is_empty() {
        let header = [
            "part of the model",
            if summary.variants.len() > 1 {
                "in every variant"
            } else {
                "how"
            },
        ];
        let rows = alike.iter().map(|name| vec![Cell::from(*name), words(how(name)[0])]);
        table(out, "What is on", &header, rows);
    }
    if !off.is_empty() {
        let _ = write!(
            out,
            "<p><strong>Off in this scenario:</strong> {}.</p>",
            escape(&off.join(", "))
        );
    }
}

/// What the names of methods mean.
const METHODS: [(&str, &str); 10] = [
    ("t", "Student's t over the replications"),
    ("ratio", "a ratio of sums over the replications, by the delta method"),
    ("jackknife", "a ratio over the replications, by the jackknife"),
    (
        "sectioning",
        "a quantile of all values together, its spread from the same quantile of each replication",
    ),
    ("order_statistics", "a quantile between two order statistics"),
    ("bootstrap_t", "replications drawn again with replacement, studentised"),
    ("wilson", "Wilson's interval of a share"),
    ("rule_of_three", "nothing was seen in n trials: at most 3/n at 95 %"),
    ("paired_t", "Student's t over differences of the same replication"),
    (
        "paired_log_ratio",
        "Student's t over logarithms of ratios of the same replication",
    ),
];

/// How intervals were made.
pub fn methods(out: &mut String, summary: &Summary) {
    let _ = write!(
        out,
        "<section id=\"methods\"><h2>Methods</h2><ul><li>Intervals hold with {} % confidence each, over replications with independent \
         random numbers.</li><li>A quantile is shown only where at least a hundred values lie beyond it; else the table says how many \
         it needs.</li><li>Comparisons are of the same replication under both variants, which saw the same traffic (common random \
         numbers).</li></ul>",
        format::trimmed(summary.confidence.level * 100.0, 2)
    );
    let counts = counted(summary);
    if !counts.is_empty() {
        let rows = counts.iter().map(|(name, count)| {
            let meaning = METHODS
                .iter()
                .find(|(known, _)| known == name)
                .map_or("", |(_, meaning)| *meaning);
            vec![
                Cell::from(name.replace('_', " ")),
                Cell::from(format::count(*count as f64)),
                Cell::from(meaning),
            ]
        });
        table(
            out,
            "How the intervals of the summary were made",
            &["method", "figures", "what it is"],
            rows,
        );
    }
    out.push_str("</section>\n");
}

/// The methods that figures of the summary name, with how many do, the most frequent first.
fn counted(summary: &Summary) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    csv::for_each_value(summary, &mut |_, _, value| {
        let Some(method) = value.method.as_deref() else { return };
        match counts.iter_mut().find(|(known, _)| known == method) {
            Some((_, count)) => *count += 1,
            None => counts.push((method.to_string(), 1)),
        }
    });
    counts.sort_by(|(a, many), (b, more)| more.cmp(many).then(a.cmp(b)));
    counts
}

/// The scenario's text, and the runs.
pub fn scenario(out: &mut String, summary: &Summary) {
    let mut end = summary.source.text.len().min(SOURCE_MAX);
    while !summary.source.text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = if end < summary.source.text.len() {
        "\n… (cut; the whole is in summary.json)"
    } else {
        ""
    };
    let _ = write!(
        out,
        "<section id=\"scenario\"><h2>Scenario</h2><details><summary>{}</summary><pre tabindex=\"0\"><code>{}{cut}</code></pre></details>",
        escape(&summary.source.name),
        escape(&summary.source.text[..end]),
    );
    let rows = summary.variants.iter().map(|variant| {
        vec![
            variant.name.as_str().into(),
            format::seconds_short(variant.duration_seconds).into(),
            format::seconds_short(variant.warmup_seconds).into(),
            format::seconds_short(variant.measured_seconds).into(),
            variant.digest.as_str().into(),
        ]
    });
    let header = ["variant", "duration", "warm-up", "measured", "digest of all events"];
    table(out, "Runs", &header, rows);
    out.push_str("</section>\n");
}

/// Seed, digest and version.
pub fn footer(out: &mut String, summary: &Summary) {
    let _ = writeln!(
        out,
        "</main><footer><dl><div><dt>seed</dt><dd>{}</dd></div><div><dt>replications</dt><dd>{}</dd></div><div><dt>scenario \
         digest</dt><dd>{}</dd></div><div><dt>meshsim</dt><dd>{}</dd></div><div><dt>events</dt><dd>{}</dd></div><div><dt>simulated</dt>\
         <dd>{}</dd></div></dl><p>The same scenario, seed and version give the same bytes. Charts by uPlot (MIT) and plotters.</p></footer>",
        summary.seed,
        summary.replications,
        escape(&summary.scenario_digest),
        escape(&summary.version),
        format::count(summary.engine.events_total as f64),
        format::seconds_short(summary.engine.simulated_seconds),
    );
}
