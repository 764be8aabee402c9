//! Nothing that a file may hold makes the loader panic, hang or eat memory.

use meshsim::scenario::{Diagnostics, Overrides, Source, TEXT_MAX, load};
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("example.yaml");

/// Loads and renders everything, whatever it is; a scenario comes if and only if there are no errors.
fn survive(text: &str) -> Diagnostics {
    let (scenario, diagnostics) = load(&Source::from_text("fuzz.yaml", text), &Overrides::default());
    assert_eq!(scenario.is_none(), diagnostics.has_errors());
    let rendered = diagnostics.render(true);
    assert_eq!(rendered.is_empty(), diagnostics.items().is_empty());
    assert!(rendered.len() < 4 << 20, "{} bytes of diagnostics", rendered.len());
    let _ = diagnostics.render_github();
    let _ = diagnostics.to_json();
    diagnostics
}

fn refused(text: &str, code: &str) {
    let diagnostics = survive(text);
    let rendered = diagnostics.render(false);
    let start: String = rendered.chars().take(2000).collect();
    assert!(rendered.contains(code), "expected {code}: {start}");
}

/// Pieces that YAML and the schema take notice of.
const PIECES: &[&str] = &[
    "a",
    "b: ",
    "- ",
    "? ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "\n",
    "\n  ",
    "\n    ",
    "\t",
    "\r\n",
    "#",
    "'",
    "\"",
    "|\n",
    ">-\n",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "!x ",
    "%YAML 1.2\n",
    "---\n",
    "...\n",
    "~",
    "null",
    "true",
    ".nan",
    ".inf",
    "1e308",
    "-1",
    "1e999",
    "0x7fffffffffffffffff",
    "5ms",
    "10/s",
    "1%",
    "120%",
    "unlimited",
    "auto",
    "services: ",
    "topology: ",
    "s/get",
    "repeat: 99999999",
    "mesh: ",
    "variants: ",
    "envoy/ring_hash",
    "é",
    "世",
    "\u{85}",
    "\u{feff}",
    "\u{2028}",
    "\u{1F600}",
    "\0",
    "@",
    "`",
    "\\",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        survive(&text);
    }

    #[test]
    fn any_bytes_that_are_text(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survive(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_pieces_of_yaml(picks in prop::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = picks.into_iter().map(|pick| PIECES[pick]).collect();
        survive(&text);
    }

    /// A valid document with a few pieces put in, taken out or doubled.
    #[test]
    fn mutations_of_a_valid_document(
        edits in prop::collection::vec((0..EXAMPLE.len(), 0..40_usize, 0..PIECES.len(), 0..4_u8), 1..6),
    ) {
        let mut text = EXAMPLE.to_string();
        for (at, length, piece, how) in edits {
            let floor = |at: usize| (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            let (from, to) = (floor(at), floor(at + length));
            let new = match how {
                0 => PIECES[piece].to_string(),
                1 => String::new(),
                2 => text[from..to].repeat(2),
                _ => format!("{}{}", PIECES[piece], &text[from..to]),
            };
            text.replace_range(from..to, &new);
        }
        survive(&text);
    }

    #[test]
    fn any_value_set_anywhere(
        path in "[a-z.\\[\\]0-9\"]{0,20}|mesh\\.[a-z_]{0,8}|topology\\.services\\.ads\\.[a-z]{1,8}",
        value in "\\PC{0,20}|[-0-9.e]{1,10}|[{}\\[\\], a-z:]{0,20}",
    ) {
        let overrides = Overrides { set: vec![(path, value)], ..Overrides::default() };
        let (_, diagnostics) = load(&Source::from_text("fuzz.yaml", EXAMPLE), &overrides);
        let _ = diagnostics.render(false);
    }

    /// Numbers at every scale in every place for a number.
    #[test]
    fn any_number_anywhere(
        number in prop_oneof![
            any::<f64>().prop_map(|n| format!("{n:e}")),
            any::<u64>().prop_map(|n| n.to_string()),
            any::<i64>().prop_map(|n| n.to_string()),
        ],
        unit in prop::sample::select(vec!["", "ms", "h", "/s", "/ns", "%", "KiB", "Gbps"]),
        place in prop::sample::select(vec![
            "duration", "warmup", "replications", "seed", "drain", "topology.network.same_zone", "topology.network.loss",
            "topology.network.bandwidth", "topology.services.frontend.concurrency", "topology.services.frontend.queue.limit",
            "topology.services.frontend.cores", "topology.services.catalog.endpoints[0].speed",
            "topology.services.catalog.endpoints[0].weight", "topology.services.catalog.endpoints[0].fail",
            "topology.services.ads.operations.get[0].work.bimodal.share", "topology.services.ads.operations.get[0].repeat",
            "topology.services.ads.operations.get[0].probability", "topology.services.ads.operations.get[0].work.bimodal.slow",
            "clients.web.arrivals.poisson.rate", "clients.web.key.zipf.s", "mesh.timeout", "mesh.retry.num_retries",
            "mesh.balancer.envoy/ring_hash.minimum_ring_size", "faults[0].at", "faults[0].for", "faults[1].slow.factor",
        ]),
    ) {
        let overrides = Overrides { set: vec![(place.to_string(), format!("{number}{unit}"))], ..Overrides::default() };
        let (scenario, diagnostics) = load(&Source::from_text("fuzz.yaml", EXAMPLE), &overrides);
        prop_assert_eq!(scenario.is_none(), diagnostics.has_errors());
    }
}

#[test]
fn deep_nesting_is_refused() {
    refused(&format!("a: {}1{}", "[".repeat(200), "]".repeat(200)), "MS0013");
    refused(&format!("a: {}", "[".repeat(100_000)), "MS0013");
    let block: String = (0..5000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    refused(&block, "MS0013");
    refused(&format!("a: {}", "{a: ".repeat(5000)), "MS0013");
    refused(&format!("a:\n  {}", "- ".repeat(5000)), "MS0013");
    // By aliases: each level is as deep as the parser allows, and stands in the next.
    let mut text = String::from("a0: &a0 [x]\n");
    for level in 1..50 {
        text.push_str(&format!(
            "a{level}: &a{level} {}*a{}{}\n",
            "[".repeat(100),
            level - 1,
            "]".repeat(100)
        ));
    }
    refused(&text, "MS0013");
}

#[test]
fn steps_may_be_nested_as_deep_as_the_tree() {
    // A step in a group is two levels; the document around it is six.
    let levels = 58;
    let steps = format!("{}[{{work: 1ms}}]{}", "[{steps: ".repeat(levels), "}]".repeat(levels));
    let text = EXAMPLE.replace("[{work: {lognormal: {p50: 5ms, p99: 60ms}}}]", &steps);
    assert!(!survive(&text).has_errors(), "{}", survive(&text).render(false));
    let branches = format!("{}[{{work: 1ms}}]{}", "[{parallel: ".repeat(levels), "}]".repeat(levels));
    let text = EXAMPLE.replace("[{work: {lognormal: {p50: 5ms, p99: 60ms}}}]", &branches);
    assert!(!survive(&text).has_errors(), "{}", survive(&text).render(false));
}

#[test]
fn alias_bombs_are_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    refused(&text, "MS0014");
    let mut text = String::from("a0: &a0 {k: v}\n");
    for level in 1..40 {
        let before = level - 1;
        text.push_str(&format!("a{level}: &a{level} {{x: *a{before}, y: *a{before}}}\n"));
    }
    refused(&text, "MS0014");
}

#[test]
fn a_hundred_megabytes_end_in_a_short_error() {
    let path = std::env::temp_dir().join(format!("meshsim-large-{}.yaml", std::process::id()));
    std::fs::write(&path, "a: b\n".repeat(20 << 20)).expect("written");
    let problems = Source::read(&path).expect_err("it is too large");
    std::fs::remove_file(&path).expect("removed");
    assert!(problems.render(false).contains("MS0002"));
    assert!(problems.render(false).len() < 1000);
}

/// The largest texts that are read at all, in the shapes that cost most.
#[test]
fn the_largest_texts_end_soon() {
    let fill = |piece: &str| piece.repeat(TEXT_MAX / piece.len() - 1);
    refused(&format!("a: [{}]", fill("b,")), "MS0014");
    refused(&fill("a: b\n"), "MS0015");
    refused(&fill("- a\n"), "MS0014");
    survive(&fill("x"));
    survive(&fill("# x\n"));
    survive(&format!("'{}", fill("x ")));
    survive(&format!("a: |\n  {}", fill("x\n  ")));
    survive(&format!("a: \"{}\"", fill("\\n")));
    survive(&fill("\n"));
    survive(&fill(" "));
}

#[test]
fn many_variants_are_refused() {
    let variants: String = (0..1001).map(|n| format!("  v{n}: {{}}\n")).collect();
    let (head, _) = EXAMPLE.split_once("variants:").expect("the example has variants");
    refused(&format!("{head}variants:\n{variants}"), "MS0065");
}

#[test]
fn many_errors_are_counted_and_few_are_shown() {
    let services: String = (0..20_000)
        .map(|n| format!("    s{n}: {{replicas: 0, operations: {{get: [{{call: t{n}/x}}]}}}}\n"))
        .collect();
    let text = format!("apiVersion: meshsim/v1\nduration: 1s\ntopology:\n  services:\n{services}clients: {{}}\n");
    let rendered = survive(&text).render(false);
    assert!(rendered.contains("more"), "{}", &rendered[rendered.len() - 200..]);
    assert!(rendered.len() < 100_000);
}

#[test]
fn long_chains_and_rings_of_calls_need_no_stack() {
    let chain = |count: usize, last: &str| {
        let mut text = String::from(
            "apiVersion: meshsim/v1\nduration: 1s\nreplications: 1\ntopology:\n  services:\n    s:\n      replicas: 1\n      operations:\n",
        );
        for n in 0..count - 1 {
            text.push_str(&format!("        o{n}: [{{call: s/o{}}}]\n", n + 1));
        }
        text.push_str(&format!("        o{}: [{last}]\n", count - 1));
        text + "clients: {c: {call: s/o0, arrivals: {poisson: {rate: 1/s}}}}\n"
    };
    let diagnostics = survive(&chain(50_000, "{work: 1ms}"));
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    refused(&chain(50_000, "{call: s/o0}"), "MS0048");
}

#[test]
fn a_large_mesh_loads_quickly() {
    let mut text =
        String::from("apiVersion: meshsim/v1\nduration: 1s\nreplications: 1\ntopology:\n  zones: [a, b, c]\n  services:\n");
    for n in 0..1000 {
        let call = if n < 999 {
            format!("{{call: s{}/get}}", n + 1)
        } else {
            "{work: 1ms}".to_string()
        };
        text.push_str(&format!(
            "    s{n}: {{replicas: 100, operations: {{get: [{{work: 1ms}}, {call}]}}}}\n"
        ));
    }
    text.push_str("clients: {c: {call: s0/get, arrivals: {poisson: {rate: 1/s}}}}\n");
    let (scenario, diagnostics) = load(&Source::from_text("large.yaml", text), &Overrides::default());
    let scenario = scenario.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    assert_eq!(scenario.variants[0].plan.endpoints.len(), 100_000);
}
