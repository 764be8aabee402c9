//! Exporters against results that are known beforehand: those of `synthetic.rs`.

use meshsim::report::chart::Picture;
use meshsim::report::summary::{PrecisionSummary, Summary, Value};
use meshsim::report::table::{Style, render};
use meshsim::report::{Extent, Results, chart, csv, format, html, json};

use crate::synthetic::{self, Behaviour, DURATION, FAULT, THREE, WARMUP};

/// Requests a second of one replication.
const RATE: u64 = 100;

fn results_of(behaviours: &[Behaviour], endpoints: u32, replications: u32) -> Results {
    let scenario = synthetic::scenario(behaviours, endpoints, replications);
    Results::new(&scenario, &synthetic::outcome(&scenario, behaviours, RATE))
}

fn results() -> Results {
    results_of(&THREE, 3, 10)
}

fn close(value: &Value, expected: f64) {
    let value = value.value.expect("a figure");
    assert!((value - expected).abs() <= 1e-9 * expected.abs(), "{value} is not {expected}");
}

#[test]
fn summary_holds_the_figures_of_the_contract() {
    let results = results();
    let bytes = json::summary(&results.summary);
    let document: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(document["schema"], "meshsim/summary/v1");
    assert_eq!(document["scenario"], "zone-outage");
    assert_eq!((&document["seed"], &document["replications"]), (&42.into(), &10.into()));
    assert_eq!(document["scenario_digest"], "0123456789abcdef");
    let variant = &document["variants"][1];
    assert_eq!(variant["name"], "least_request");
    assert_eq!(variant["digest"].as_str().map(str::len), Some(16));
    let web = &variant["clients"]["web"];
    // 270 measured seconds, ten replications.
    assert_eq!(web["requests_total"]["value"], 270_000);
    let causes = web["failures_total"].as_object().expect("causes");
    assert_eq!(causes.keys().collect::<Vec<_>>(), ["timeout", "503"]);
    let failed: f64 = causes.values().filter_map(serde_json::Value::as_f64).sum();
    let availability = &web["availability_ratio"];
    let value = availability["value"].as_f64().expect("a figure");
    assert!((value - (1.0 - failed / 270_000.0)).abs() < 1e-12);
    let ends: Vec<f64> = availability["ci95"]
        .as_array()
        .expect("an interval")
        .iter()
        .filter_map(|end| end.as_f64())
        .collect();
    assert!(ends[0] < value && value < ends[1] && ends[1] <= 1.0 && availability["n"] == 10);
    for name in ["mean", "p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "max"] {
        assert!(web["latency_seconds"].get(name).is_some(), "{name}");
    }
    // 270,000 requests leave 27 beyond the 99.99th percentile, a hundred are needed.
    let tail = &web["latency_seconds"]["p99.99"];
    assert!(
        tail["value"].is_null() && tail["reason"].as_str().is_some_and(|reason| reason.contains("needs 1000000")),
        "{tail}"
    );
    assert!(variant["edges"]["frontend->cart/get"]["calls_total"]["value"].is_number());
    let comparison = &document["comparisons"][0];
    assert_eq!(
        (&comparison["a"], &comparison["b"]),
        (&"least_request".into(), &"round_robin".into())
    );
    assert_eq!(comparison["metric"], "web.availability_ratio");
    assert_eq!(comparison["verdict"], "higher");
    assert_eq!(document["engine"]["simulated_seconds"], 9_000.0);
    assert!(json::read(&bytes).expect("its own document") == results.summary);
}

#[test]
fn figures_of_services_and_endpoints_are_those_of_the_formulas() {
    let results = results();
    let cart = results.summary.variants[0].services.get("cart").expect("a service");
    let requests: f64 = cart
        .endpoints
        .iter()
        .filter_map(|(_, endpoint)| endpoint.requests_total.value)
        .sum();
    close(&cart.requests_total, requests);
    // A quarter waits for 8 ms; an endpoint's mean is 2 ms.
    close(cart.queue_wait_seconds.get("mean").expect("a mean"), 0.002);
    let first = cart.endpoints.get("cart-0").expect("an endpoint");
    close(first.queue_wait_seconds.get("mean").expect("a mean"), 0.002);
    let waited = cart.waited_ratio.value.expect("a share");
    assert!((waited - 0.25).abs() < 1e-3, "{waited}");
    close(&cart.in_flight, 3.0);
    // 5 ms of work each over 8 slots of 3 endpoints in 2700 s.
    close(&cart.utilization_ratio, requests * 0.005 / (8.0 * 3.0 * 2_700.0));
    close(
        &first.utilization_ratio,
        first.requests_total.value.expect("a total") * 0.005 / (8.0 * 2_700.0),
    );
    close(
        &cart.load_max_ratio,
        first.requests_total.value.expect("a total") * 3.0 / requests,
    );
    let frontend = results.summary.variants[0].services.get("frontend").expect("a service");
    assert_eq!(frontend.utilization_ratio.reason.as_deref(), Some("concurrency is unlimited"));
}

fn answer(behaviours: &[Behaviour], replications: u32) -> String {
    results_of(behaviours, 3, replications).summary.answer
}

#[test]
fn answer_says_who_won_and_by_how_much() {
    let [slow, middle, fast] = THREE;
    let safe = |behaviour: Behaviour| Behaviour { failing: 0, ..behaviour };
    // Scaling every latency scales the 99th percentile: 6 / 4 = 1.5 and 5 / 4 = 1.25, up to a bucket of the histogram.
    let sentence = answer(&[safe(slow), safe(middle), safe(fast)], 10);
    let mut words = sentence.split(' ');
    assert_eq!((words.next(), words.next()), (Some("peak_ewma:"), Some("p99")));
    let numbers: Vec<f64> = sentence.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(
        (numbers[0] - 1.25).abs() < 0.01 && (numbers[2] - 1.5).abs() < 0.01,
        "{sentence}"
    );
    assert!(
        sentence.contains(" times lower than least_request, ") && sentence.ends_with(" times lower than round_robin"),
        "{sentence}"
    );

    // Both ways better: both are told, availability first.
    let sentence = answer(&THREE, 10);
    assert!(
        sentence.starts_with("peak_ewma: failures ") && sentence.contains(" times fewer than least_request"),
        "{sentence}"
    );
    assert!(sentence.contains("; p99 "), "{sentence}");

    // One fails less, the other is quicker: what it is quicker at is said with it.
    let results = results_of(
        &[Behaviour { failing: 3_000, ..fast }, Behaviour { failing: 300, ..slow }],
        3,
        10,
    );
    let p99 = |variant: usize| {
        let web = results.summary.variants[variant].clients.get("web").expect("a client");
        let p99 = web.latency_seconds.get("p99").and_then(|p99| p99.value);
        format::seconds(p99.expect("a figure"))
    };
    let sentence = &results.summary.answer;
    assert!(sentence.starts_with("round_robin: failures "), "{sentence}");
    let quicker = format!(
        "; peak_ewma, which fails more, has the lower p99 of what succeeds: {} against {}",
        p99(0),
        p99(1)
    );
    assert!(sentence.ends_with(&quicker), "{sentence}");
}

#[test]
fn answer_says_when_nothing_can_be_said() {
    let [slow, _, fast] = THREE;
    let twin = Behaviour { name: "twin", ..slow };
    let sentence = answer(&[slow, twin], 10);
    assert!(
        sentence.starts_with("no difference to be seen, neither in availability nor in p99"),
        "{sentence}"
    );
    let sentence = answer(
        &[
            slow,
            twin,
            Behaviour {
                failing: slow.failing,
                ..fast
            },
        ],
        10,
    );
    assert!(sentence.starts_with("peak_ewma: p99 1.5"), "{sentence}");
    assert!(answer(&[slow, fast], 1).starts_with("one replication tells no difference from chance"));
    let sentence = answer(&[slow], 10);
    assert!(
        sentence.starts_with("round_robin: p99 ") && sentence.contains("availability 92."),
        "{sentence}"
    );
}

#[test]
fn tables_are_tidy_and_read_back() {
    let results = results();
    let (timeseries, latency) = (csv::timeseries(&results.curves), csv::latency(&results.curves));
    assert!(csv::read(&timeseries, &latency).expect("its own tables") == results.curves);

    let text = String::from_utf8(timeseries).expect("text");
    assert_eq!(text.lines().next(), Some("variant,scope,name,t_seconds,metric,value"));
    let share = |second: u64| -> f64 {
        let start = format!("round_robin,client,web,{second},availability_ratio,");
        let line = text.lines().find_map(|line| line.strip_prefix(&start)).expect("a line");
        line.parse().expect("a share")
    };
    assert_eq!((share(0), share(FAULT.1)), (1.0, 1.0));
    assert!((0.5..0.8).contains(&share(FAULT.0)), "a third fails");
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("peak_ewma,client,web,") && line.contains(",latency_p99_seconds,"))
            .count(),
        300
    );
    assert!(text.contains("\npeak_ewma,client,web,299,requests_per_second,100\n"));

    let text = String::from_utf8(latency).expect("text");
    assert_eq!(text.lines().next(), Some("variant,client,outcome,le_seconds,count"));
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let requests: u64 = rows
        .iter()
        .filter(|row| row[0] == "peak_ewma")
        .map(|row| row[4].parse::<u64>().expect("a count"))
        .sum();
    assert_eq!(requests, 10 * RATE * (DURATION - WARMUP));
    let bounds = rows
        .iter()
        .filter(|row| row[0] == "peak_ewma" && row[2] == "success")
        .map(|row| row[3].parse::<f64>().expect("a bound"));
    assert!(bounds.is_sorted());
}

#[test]
fn every_figure_of_the_summary_is_in_its_table() {
    let results = results();
    let text = String::from_utf8(csv::summary(&results.summary)).expect("text");
    assert_eq!(
        text.lines().next(),
        Some("variant,scope,name,metric,value,ci_low,ci_high,n,method")
    );
    let figures = &results.summary.variants[0];
    let p99 = figures
        .clients
        .get("web")
        .and_then(|web| web.latency_seconds.get("p99"))
        .expect("a figure");
    let [low, high] = p99.ci95.expect("an interval");
    let line = format!(
        "round_robin,client,web,latency_seconds.p99,{},{low},{high},10,sectioning\n",
        p99.value.expect("a figure")
    );
    assert!(text.contains(&line), "{line}");
    for start in [
        "round_robin,client,web,latency_seconds.p99.99,,,",
        "round_robin,client,web,failures_total.503,",
        "peak_ewma,service,cart,queue_wait_seconds.p99,",
        "peak_ewma,edge,frontend->cart/get,calls_total,270000,,",
        "peak_ewma,endpoint,cart/cart-2,utilization_ratio,",
    ] {
        assert!(text.lines().any(|line| line.starts_with(start)), "{start}");
    }
    assert!(csv::read(b"a,b\n1,2\n", b"").is_err());
}

#[test]
fn table_has_every_variant_and_ends_with_the_answer() {
    let summary = results().summary;
    for style in [Style::Terminal { color: false }, Style::Markdown] {
        let text = render(&summary, style);
        assert!(
            text.contains("zone-outage") && text.contains("which balancer hides it"),
            "{text}"
        );
        for variant in &summary.variants {
            assert!(text.contains(&variant.name));
        }
        assert!(text.trim_end().trim_end_matches('*').ends_with(&summary.answer), "{text}");
        assert!(!text.contains('\u{1b}'));
    }
    assert!(render(&summary, Style::Terminal { color: true }).contains("\u{1b}[1m"));
}

#[test]
fn charts_show_all_variants_the_fault_and_units() {
    let charts = chart::draw_all(&results());
    let names: Vec<&str> = charts.iter().map(|chart| chart.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "comparison",
            "latency_cdf",
            "latency_over_time",
            "availability_over_time",
            "error_budget_over_time",
            "failures_by_cause",
            "topology",
            "load_per_endpoint"
        ]
    );
    for chart in &charts {
        let Picture { svg, png } = &chart.picture;
        // The mesh is shown under one variant: that with the best figures.
        for variant in THREE.iter().skip(if chart.name == "topology" { 2 } else { 0 }) {
            assert!(svg.contains(variant.name), "{} lacks {}", chart.name, variant.name);
        }
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.len() < 200_000, "{} has {} bytes", chart.name, svg.len());
        assert!(png.len() < 300_000, "{} has {} bytes", chart.name, png.len());
        assert!(chart::is_chart(&format!("{}.png", chart.name)) && !chart::is_chart(&format!("my_{}.png", chart.name)));
    }
    let has = |name: &str, words: &[&str]| {
        let chart = charts.iter().find(|chart| chart.name == name).expect("a chart");
        for word in words {
            assert!(chart.picture.svg.contains(&format!("\n{word}\n")), "{name} lacks `{word}`");
        }
    };
    has("comparison", &["availability", "p50", "p99", "p99.9"]);
    has(
        "latency_cdf",
        &[
            "50 %",
            "99 %",
            "99.9 %",
            "10 ms",
            "share of requests that are at least as fast",
        ],
    );
    has(
        "latency_over_time",
        &["round_robin", "p90", "5 min", "simulated time", "20 ms"],
    );
    has("availability_over_time", &["100 %", "80 %", "simulated time"]);
    has("error_budget_over_time", &["crash zone b", "warm-up", "5 min"]);
    has("failures_by_cause", &["timeout", "503", "peak_ewma"]);
    has("topology", &["web", "frontend", "cart", "home", "100/s"]);
    has("load_per_endpoint", &["frontend", "cart", "even share", "1.00×"]);
}

#[test]
fn a_thousand_endpoints_make_no_larger_a_chart() {
    let charts = chart::draw_all(&results_of(&THREE, 1_000, 2));
    let load = charts
        .iter()
        .find(|chart| chart.name == "load_per_endpoint")
        .expect("a chart");
    let svg = &load.picture.svg;
    assert!(svg.matches("<rect").count() < 3_200);
    assert!(svg.len() < 600_000, "{}", svg.len());
}

#[test]
fn pictures_in_pixels_are_those_in_lines() {
    let charts = chart::draw_all(&results());
    for chart in &charts {
        let Picture { svg, png } = &chart.picture;
        let mut reader = png::Decoder::new(&png[..]).read_info().expect("a PNG");
        let size = reader.info().size();
        let in_svg = |name: &str| -> f64 {
            let (_, rest) = svg.split_once(&format!(" {name}=\"")).expect("an attribute");
            rest.split('"').next().and_then(|text| text.parse().ok()).expect("a number")
        };
        // Two pixels for one, each way.
        assert_eq!(
            (f64::from(size.0), f64::from(size.1)),
            ((in_svg("width") * 2.0).round(), (in_svg("height") * 2.0).floor())
        );
        let mut pixels = vec![0; reader.output_buffer_size()];
        reader.next_frame(&mut pixels).expect("pixels");
        assert_eq!(&pixels[..3], [0xFF, 0xFF, 0xFE], "{}", chart.name);
        // The title is there: ink in the first lines, in letters that the program brings along.
        let lines = &pixels[..size.0 as usize * 3 * 70];
        let ink = lines
            .chunks(3)
            .filter(|pixel| pixel.iter().all(|&channel| channel < 0x60))
            .count();
        assert!(ink > 300, "{} has {ink} pixels of ink above", chart.name);
    }
}

#[test]
fn error_budget_ends_at_the_figure_of_the_summary() {
    let results = results();
    for variant in &results.summary.variants {
        let curve = results
            .curves
            .find(&variant.name, "client", "web", "error_budget_burnt_ratio")
            .expect("a curve");
        let web = variant.clients.get("web").expect("a client");
        // Nothing is told of the warm-up, and nothing fails before the fault.
        let first = usize::try_from(WARMUP).expect("a bucket a second");
        assert_eq!((curve.values[first - 1], curve.values[first]), (None, Some(0.0)));
        assert!(curve.values[first..].iter().flatten().is_sorted());
        close(
            &web.error_budget_burn_ratio,
            curve.values.last().copied().flatten().expect("a value"),
        );
    }
}

fn page_of(results: &Results) -> String {
    String::from_utf8(html::page(results, &chart::draw_all(results))).expect("text")
}

/// What is between two marks, the first time.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("{from} is missing"));
    rest.split_once(to).unwrap_or_else(|| panic!("{to} is missing")).0
}

#[test]
fn page_stands_alone_and_begins_with_question_and_answer() {
    let results = results_of(&THREE, 100, 10);
    let page = page_of(&results);
    assert!(page.len() < 2_000_000, "{}", page.len());
    let place = |word: &str| page.find(word).unwrap_or_else(|| panic!("the page lacks {word}"));
    assert!(place("which balancer hides it &lt;best&gt;?") < place(&results.summary.answer.replace('\'', "&#39;")));
    assert!(place("class=\"answer\"") < place("<figure"));
    assert!(place("<figure") < place("<table"));
    let sections = [
        "ranking",
        "latency",
        "availability",
        "faults",
        "load",
        "mesh",
        "differences",
        "services",
        "model",
        "methods",
        "scenario",
    ];
    let places: Vec<usize> = sections.iter().map(|id| place(&format!("<section id=\"{id}\">"))).collect();
    assert!(places.is_sorted(), "{places:?}");
    for id in sections {
        assert!(page.contains(&format!("<a href=\"#{id}\">")), "nothing leads to {id}");
    }
    for word in [
        "prefers-color-scheme:dark",
        "@media print",
        "name: zone-outage # &lt;&amp;&gt;",
        "0123456789abcdef",
        "crash zone b",
        "Not modelled",
        "Off in this scenario",
        "cart/cart-99",
        "<a class=\"skip\" href=\"#main\">",
    ] {
        place(word);
    }
    let body = page
        .split_once("<body>")
        .expect("a body")
        .1
        .split_once("<script")
        .expect("scripts at the end")
        .0;
    for word in [
        "src=",
        "style=",
        "onclick",
        "javascript:",
        "<link",
        "<best>",
        "<iframe",
        "<form",
    ] {
        assert!(!body.contains(word), "{word}");
    }
    assert_eq!(
        body.matches("http").count(),
        body.matches("xmlns=\"http://www.w3.org/2000/svg\"").count()
    );
    assert!(!between(&page, "<style>", "</style>").contains("url("));
    for tag in ["svg", "details", "table", "section", "figure", "div"] {
        let opened = body.matches(&format!("<{tag} ")).count() + body.matches(&format!("<{tag}>")).count();
        assert_eq!(opened, body.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    assert_eq!(body.matches("<table>").count(), body.matches("<caption>").count());
}

#[test]
fn statistics_are_in_page_table_and_csv_alike() {
    let mut results = results_of(&THREE, 3, 10);
    results.summary.precision.push(PrecisionSummary {
        metric: "p99(peak_ewma)".to_string(),
        wanted_ratio: 0.02,
        reached_ratio: Some(0.013),
        met: true,
        reason: None,
    });
    let summary = &results.summary;
    let (page, text) = (page_of(&results), render(summary, Style::Terminal { color: false }));
    let words = "precision: p99(peak_ewma) ± 1.3 %, wanted 2.0 %: reached";
    assert!(page.contains(words) && text.contains(words), "{text}");
    let differences = between(&page, "<section id=\"differences\">", "</section>");
    let csv = String::from_utf8(csv::summary(summary)).expect("text");
    for comparison in &summary.comparisons {
        assert!(
            differences.contains(&format!(">{}</td>", comparison.statement)),
            "{comparison:?}"
        );
        let p = format::p_value(&comparison.p_value).replace('<', "&lt;");
        assert!(differences.contains(&format!(">{p}</td>")), "{comparison:?}");
        let row = format!("{},comparison,{},{}.p_value,", comparison.a, comparison.b, comparison.metric);
        assert!(csv.contains(&row), "{row}");
    }
    assert!(differences.contains("all 3 pairs at once (Bonferroni), and so do p-values (Holm)"));
    assert!(text.contains("p (Holm)") && text.contains("variance saved"), "{text}");
    for words in ["offered / can serve", "Little's law", "error budget burnt", "objective"] {
        assert!(page.contains(&words.replace('\'', "&#39;")), "{words}");
    }
    // Turned round, a comparison says the same.
    let found = &summary.comparisons[0];
    let turned = summary
        .comparison(&found.metric, &found.b, &found.a)
        .expect("it is known both ways");
    close(&turned.difference, -found.difference.value.expect("a figure"));
    assert_eq!(summary.comparison(&found.metric, &found.a, &found.b).as_ref(), Some(found));
}

#[test]
fn page_runs_nothing_but_its_own_scripts() {
    let page = page_of(&results());
    let policy = between(&page, "<meta http-equiv=\"Content-Security-Policy\" content=\"", "\"");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert_eq!(
        policy.matches("'sha256-").count(),
        3,
        "two scripts and a style sheet: {policy}"
    );
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(page.matches("<script").count(), 3, "data and two scripts");
    assert_eq!(page.matches("</script").count(), 3);
}

#[test]
fn names_and_texts_of_a_scenario_are_text_in_the_page() {
    const EVIL: &str = "</script><script>alert(1)</script><!--\"'><img src=x onerror=alert(2)>";
    let mut results = results();
    let summary = &mut results.summary;
    (summary.scenario, summary.description) = (EVIL.to_string(), EVIL.to_string());
    (summary.source.text, summary.source.name) = (EVIL.to_string(), EVIL.to_string());
    summary.warnings.push(EVIL.to_string());
    summary.answer = EVIL.to_string();
    let old = summary.variants[0].name.clone();
    summary.variants[0].name = EVIL.to_string();
    summary.variants[0].faults[0].label = EVIL.to_string();
    summary.variants[0].services.0[1].0 = EVIL.to_string();
    summary.variants[0].edges.0[1].0 = format!("frontend->{EVIL}/get");
    summary.variants[0].effects.0.push((EVIL.to_string(), Some(EVIL.to_string())));
    results
        .curves
        .over_time
        .iter_mut()
        .filter(|curve| curve.variant == old)
        .for_each(|curve| curve.variant = EVIL.to_string());
    results
        .curves
        .latencies
        .iter_mut()
        .filter(|curve| curve.variant == old)
        .for_each(|curve| curve.variant = EVIL.to_string());
    let page = page_of(&results);
    for tag in ["<script>alert", "<img", "<!--"] {
        assert!(!page.contains(tag), "{tag}");
    }
    assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (3, 3));
    let data = between(&page, "<script type=\"application/json\" id=\"data\">", "</script>");
    let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(data["variants"][0], EVIL);
    assert_eq!(data["spans"][1]["label"], EVIL);
    assert_eq!(data["mesh"]["edges"][1]["name"], format!("frontend->{EVIL}/get"));
    for (name, bytes) in results.drawn() {
        assert!(!name.contains(['<', '>', '"']), "{name}");
        if name.ends_with(".svg") {
            let svg = String::from_utf8(bytes).expect("text");
            assert!(!svg.contains("<script") && !svg.contains("<img"), "{name}");
        }
    }
}

#[test]
fn page_draws_the_figures_of_summary_and_curves() {
    let results = results();
    let page = page_of(&results);
    let data = between(&page, "<script type=\"application/json\" id=\"data\">", "</script>");
    let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(
        data["variants"],
        serde_json::json!(["round_robin", "least_request", "peak_ewma"])
    );
    assert_eq!((&data["best"], &data["duration"]), (&2.into(), &300.0.into()));
    let near = |value: &serde_json::Value, expected: f64, tolerance: f64| {
        let value = value.as_f64().expect("a number");
        assert!(
            (value - expected).abs() <= tolerance * expected.abs(),
            "{value} is not {expected}"
        );
    };
    let web = &data["time"]["web"];
    for (metric, name) in [("p99", "latency_p99_seconds"), ("availability", "availability_ratio")] {
        for (index, variant) in results.summary.variants.iter().enumerate() {
            let curve = results.curves.find(&variant.name, "client", "web", name).expect("a curve");
            let second = usize::try_from(FAULT.0 + 7).expect("a bucket a second");
            near(&web[metric][index][second], curve.values[second].expect("a value"), 6e-3);
        }
    }
    near(&web["at"][100], 100.5, 1e-9);
    // The curve by percentile goes through the percentiles of the table.
    let cdf = &data["cdf"]["web"];
    let shares: Vec<f64> = cdf["shares"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|share| share.as_f64())
        .collect();
    assert!(shares.is_sorted());
    let p99 = shares.iter().position(|&share| share >= 0.99).expect("far enough");
    for (index, variant) in results.summary.variants.iter().enumerate() {
        let latencies = &variant.clients.get("web").expect("a client").latency_seconds;
        near(
            &cdf["seconds"][index][p99],
            latencies.get("p99").and_then(|p99| p99.value).expect("a figure"),
            0.05,
        );
    }
    let edge = &data["mesh"]["edges"][0];
    assert_eq!(edge["name"], "web->frontend/home");
    assert_eq!(edge["words"][2][0], "100/s");
    assert_eq!(edge["trouble"], serde_json::json!([2, 2, 1]));
}

#[test]
fn the_same_results_give_the_same_bytes() {
    let (one, other) = (results().files(Extent::All), results().files(Extent::All));
    assert!(one == other);
    assert_eq!(one.last().map(|(name, _)| name.as_str()), Some("summary.json"));
}

#[test]
fn variants_without_requests_are_reported_without_figures() {
    let scenario = synthetic::scenario(&THREE, 2, 2);
    let results = Results::new(&scenario, &synthetic::outcome(&scenario, &THREE, 0));
    let summary: &Summary = &results.summary;
    let web = summary.variants[0].clients.get("web").expect("a client");
    assert_eq!(web.availability_ratio, Value::missing("no requests"));
    assert!(summary.answer.contains("nothing to compare"), "{}", summary.answer);
    let files = results.files(Extent::All);
    let csv = |name: &str| {
        files
            .iter()
            .find(|(file, _)| file == name)
            .map(|(_, bytes)| bytes.clone())
            .expect("a file")
    };
    assert!(
        String::from_utf8(csv("summary.json"))
            .expect("text")
            .contains("\"value\": null")
    );
    assert!(render(summary, Style::Terminal { color: false }).contains("n/a"));
}
