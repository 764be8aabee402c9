//! `report.html`: one self-contained page. The question and the answer first, then who won by how much, how latency and
//! availability went, what happened during faults, where the load went, who called whom; then every figure in tables, what was
//! modelled, how the intervals were made, and what was run.
//!
//! It loads nothing and reads without a script: the pictures are in it. With one, the same figures can be zoomed and compared.
//! It follows the reader's preference for light or dark, and prints in the light.

mod clients;
mod closing;
mod data;
mod details;
mod failures;
mod parts;
mod policy;

use std::fmt::Write;

use crate::report::Results;
use crate::report::chart::{self, Chart, THEME, escape};
use crate::report::format;
use crate::report::summary::Summary;
use crate::report::table::known_well;

/// uPlot 1.6.32, MIT licence: `vendor/README.md`.
const PLOTTER: &str = include_str!("../vendor/uplot/uPlot.iife.min.js");
const PLOTTER_STYLE: &str = include_str!("../vendor/uplot/uPlot.min.css");
const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");

/// The page.
pub fn page(results: &Results, charts: &[Chart]) -> Vec<u8> {
    let summary = &results.summary;
    let clients = chart::clients_by_requests(summary);
    let mut out = String::with_capacity(600_000);
    head(&mut out, summary);
    opening(&mut out, summary);
    let figures = Figures { charts };
    clients::ranking(&mut out, summary, &clients, &figures);
    clients::latency(&mut out, summary, &clients, &figures);
    clients::availability(&mut out, summary, &clients, &figures);
    failures::faults(&mut out, summary, &figures);
    load(&mut out, &figures);
    details::mesh(&mut out, summary, &figures);
    clients::differences(&mut out, summary);
    failures::windows(&mut out, summary);
    details::services(&mut out, summary);
    closing::model(&mut out, summary);
    closing::methods(&mut out, summary);
    closing::scenario(&mut out, summary);
    closing::footer(&mut out, summary);
    let data = data::data(results, &clients);
    let _ = write!(
        out,
        "<script type=\"application/json\" id=\"data\">{data}</script>\n<script>{PLOTTER}</script>\n<script>{SCRIPT}</script>\n</body></html>\n"
    );
    out.into_bytes()
}

/// The charts, to be put where they belong.
struct Figures<'a> {
    charts: &'a [Chart],
}

impl Figures<'_> {
    /// Writes the charts of this kind, of this client, service or fault (`None`: of any).
    fn put(&self, out: &mut String, kind: &str, of: Option<&str>) {
        let chosen = |chart: &&Chart| chart.kind == kind && (of.is_none() || chart.of.as_deref() == of);
        for chart in self.charts.iter().filter(chosen) {
            let (title, name) = (escape(&chart.title), escape(&chart.name));
            let of = escape(chart.of.as_deref().unwrap_or(""));
            let _ = writeln!(
                out,
                "<figure id=\"chart-{name}\" data-chart=\"{kind}\" data-of=\"{of}\"><figcaption><span class=\"title\">{title}</span> <span class=\"files\">\
                 <a href=\"charts/{name}.svg\" aria-label=\"{title}, as SVG\">SVG</a> \
                 <a href=\"charts/{name}.png\" aria-label=\"{title}, as PNG\">PNG</a></span></figcaption>\
                 <div class=\"static\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">{}</div></figure>",
                without_style(&chart.picture.svg)
            );
        }
    }

    fn has(&self, kind: &str) -> bool {
        self.charts.iter().any(|chart| chart.kind == kind)
    }
}

fn head(out: &mut String, summary: &Summary) {
    let style = style();
    let policy = escape(&policy::policy(&[PLOTTER, SCRIPT], &[&style])).replace("&#39;", "'");
    let title = escape(&summary.scenario);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"no-referrer\">\
         <title>{title} · meshsim</title><style>{style}</style></head><body>\n"
    );
}

/// The style sheet, with the colours of pictures on dark grounds. Paper is white.
fn style() -> String {
    let preferred = THEME.dark_rules(":root:not([data-theme=light]) figure svg");
    let chosen = THEME.dark_rules(":root[data-theme=dark] figure svg");
    format!("{PLOTTER_STYLE}{STYLE}@media screen and (prefers-color-scheme:dark){{{preferred}}}@media screen{{{chosen}}}")
}

fn opening(out: &mut String, summary: &Summary) {
    let (name, version) = (escape(&summary.scenario), escape(&summary.version));
    let _ = write!(
        out,
        "<a class=\"skip\" href=\"#main\">Skip to the answer</a><header><div class=\"top\"><p class=\"kind\">meshsim {version}</p>\
         <div class=\"choice\" id=\"view\" role=\"group\" aria-label=\"View\" hidden>\
         <button type=\"button\" id=\"intervals\" aria-pressed=\"false\">Intervals</button>\
         <button type=\"button\" id=\"theme\" aria-pressed=\"false\">Dark</button></div></div><h1>{name}</h1>"
    );
    let paragraphs = summary
        .description
        .split("\n\n")
        .filter(|paragraph| !paragraph.trim().is_empty());
    for paragraph in paragraphs {
        let _ = write!(out, "<p class=\"question\">{}</p>", escape(paragraph.trim()));
    }
    out.push_str("</header><main id=\"main\" tabindex=\"-1\">");
    let _ = write!(out, "<p class=\"answer\"><strong>{}</strong></p>", escape(&summary.answer));
    for warning in &summary.warnings {
        let _ = write!(out, "<p class=\"warning\">Warning: {}</p>", escape(warning));
    }
    for line in known_well(summary) {
        let _ = write!(out, "<p class=\"known\">{}</p>", escape(&line));
    }
    facts(out, summary);
    let mut links = vec![
        ("ranking", "Ranking"),
        ("latency", "Latency"),
        ("availability", "Availability"),
    ];
    if summary.variants.iter().any(|variant| !variant.faults.is_empty()) {
        links.push(("faults", "Faults"));
    }
    links.extend([("load", "Load"), ("mesh", "Mesh")]);
    if !summary.comparisons.is_empty() {
        links.push(("differences", "Differences"));
    }
    links.extend([
        ("services", "Tables"),
        ("model", "Model"),
        ("methods", "Methods"),
        ("scenario", "Scenario"),
    ]);
    out.push_str("<nav aria-label=\"Sections\">");
    for (id, word) in links {
        let _ = write!(out, "<a href=\"#{id}\">{word}</a>");
    }
    out.push_str("</nav><fieldset id=\"variants\" hidden><legend>Variants in the charts</legend></fieldset>\n");
}

/// What was run, in one line.
fn facts(out: &mut String, summary: &Summary) {
    let first = summary.variants.first();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let mut facts = vec![
        plural(summary.variants.len(), "variant"),
        plural(summary.replications as usize, "replication"),
    ];
    if let Some(variant) = first {
        facts.push(format!("{} each", format::seconds_short(variant.duration_seconds)));
        if variant.warmup_seconds > 0.0 {
            facts.push(format!("{} warm-up", format::seconds_short(variant.warmup_seconds)));
        }
        let requests: f64 = variant
            .clients
            .iter()
            .filter_map(|(_, client)| client.requests_total.value)
            .sum();
        facts.push(format!("{} requests a variant", format::count(requests)));
    }
    facts.push(format!("seed {}", summary.seed));
    let _ = write!(out, "<ul class=\"facts\">");
    for fact in facts {
        let _ = write!(out, "<li>{}</li>", escape(&fact));
    }
    out.push_str("</ul>");
}

fn load(out: &mut String, figures: &Figures<'_>) {
    out.push_str("<section id=\"load\"><h2>Load per endpoint</h2>");
    if figures.has("load_over_time") || figures.has("load_per_endpoint") {
        figures.put(out, "load_over_time", None);
        figures.put(out, "load_per_endpoint", None);
        out.push_str("<p class=\"note\">Each endpoint with its figures is in the <a href=\"#services\">tables</a>.</p>");
    } else {
        out.push_str("<p class=\"note\">No service has several endpoints that are known one by one.</p>");
    }
    figures.put(out, "ejected_over_time", None);
    out.push_str("</section>\n");
}

/// The picture without its own rules for dark grounds: the page has them.
fn without_style(svg: &str) -> String {
    match (svg.find("<style>"), svg.find("</style>")) {
        (Some(from), Some(to)) => format!("{}{}", &svg[..from], &svg[to + "</style>".len()..]),
        _ => svg.to_string(),
    }
}
