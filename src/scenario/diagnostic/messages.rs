//! The wording: one constructor per error, so that a code is met once here and a call site states only the fact.
//!
//! Codes are grouped by pass: MS000x files, MS001x YAML, MS002x decoding, MS003x patches, MS004x and MS005x names, MS006x values
//! and times, MS007x size, MS009x sweeps. A code keeps its meaning for ever; a new error takes a new one.

use super::{Diagnostic, Diagnostics, nearest};
use crate::scenario::source::Span;

/// Longer values are cut in messages.
const SHOWN_MAX: usize = 60;

/// Longer paths of calls are cut.
const PATH_MAX: usize = 12;

/// `text` in backticks, cut to a length that one can read.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("`{}…`", &text[..at]),
        None => format!("`{text}`"),
    }
}

/// The name that was probably meant, if there is one.
fn similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|meant| format!("did you mean `{meant}`?"))
}

/// The nearest name, or all there are: `what` introduces them.
pub(super) fn similar_or_list<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, what: &str) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    similar(name, known.iter().copied()).or_else(|| Some(format!("{what}: {}", list(&known))))
}

/// All of a few names in one line.
fn list(names: &[&str]) -> String {
    const LISTED_MAX: usize = 40;
    let listed: Vec<String> = names.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "none".to_string(),
        n if n > LISTED_MAX => format!("{}, … ({n} in all)", listed.join(", ")),
        _ => listed.join(", "),
    }
}

/// Files.
impl Diagnostics {
    pub(crate) fn cannot_read(&mut self, name: &str, error: &std::io::Error) {
        let problem = Diagnostic::error("MS0001", format!("cannot read {}: {error}", quote(name)));
        self.push(problem);
    }

    pub(crate) fn text_too_large(&mut self, name: &str, limit: usize) {
        let message = format!("{} is larger than {} MiB", quote(name), limit >> 20);
        let problem = Diagnostic::error("MS0002", message);
        self.push(
            problem.help("`replicas: N` makes many endpoints of one line; long lists of values go into files of their own"),
        );
    }

    pub(crate) fn not_utf8(&mut self, name: &str, valid: usize) {
        let message = format!("{} is not UTF-8: the byte at offset {valid} begins no character", quote(name));
        self.push(Diagnostic::error("MS0003", message));
    }

    pub(crate) fn control_character(&mut self, span: Span, character: char) {
        let message = format!("a control character (U+{:04X}) is not allowed in YAML", u32::from(character));
        self.push(Diagnostic::error("MS0004", message).at(span, "here"));
    }
}

/// YAML.
impl Diagnostics {
    pub(crate) fn syntax(&mut self, span: Span, info: &str) {
        let source = self.source(span);
        let line = source.line_of(span.start as usize);
        let text = &source.text()[source.line_start(line)..source.line_start(line + 1)];
        let indented_by_tab = text.trim_start_matches(' ').starts_with('\t');
        let problem = Diagnostic::error("MS0010", format!("this is not YAML: {info}")).at(span, "here");
        self.push_with(problem, || {
            indented_by_tab.then(|| "indent by spaces: YAML allows no tabs there".to_string())
        });
    }

    pub(crate) fn several_documents(&mut self, span: Span) {
        let problem = Diagnostic::error("MS0011", "a file holds one scenario, but a second YAML document begins");
        self.push(
            problem
                .at(span, "here")
                .help("put it into a file of its own, or make it a variant"),
        );
    }

    pub(crate) fn too_deep(&mut self, span: Span, limit: usize) {
        let message = format!("nested too deeply: more than {limit} levels");
        self.push(Diagnostic::error("MS0013", message).at(span, "this is one level too many"));
    }

    pub(crate) fn too_many_nodes(&mut self, span: Span, limit: usize) {
        let message = format!("too large: more than {limit} values, aliases written out");
        self.push(Diagnostic::error("MS0014", message).at(span, "reading stopped here"));
    }

    pub(crate) fn duplicate_key(&mut self, span: Span, first: Span, key: &str) {
        let problem = Diagnostic::error("MS0015", format!("the key {} is there twice", quote(key)));
        self.push(problem.at(span, "again here").at(first, "first here"));
    }

    pub(crate) fn complex_key(&mut self, span: Span) {
        let problem = Diagnostic::error("MS0016", "a key must be plain text, not a list or a map");
        self.push(problem.at(span, "this is used as a key"));
    }

    pub(crate) fn foreign_tag(&mut self, span: Span, tag: &str) {
        let problem = Diagnostic::error("MS0017", format!("the tag {} means nothing here", quote(tag)));
        self.push(problem.at(span, "").help("remove the tag"));
    }

    pub(crate) fn recursive_alias(&mut self, span: Span) {
        let problem = Diagnostic::error("MS0018", "an alias within the value that it stands for");
        self.push(problem.at(span, "this would go on for ever"));
    }

    pub(crate) fn merge_needs_map(&mut self, span: Span) {
        let problem = Diagnostic::error("MS0019", "`<<` merges maps, and this is none");
        self.push(problem.at(span, "expected a map, or an alias of one"));
    }
}

/// Names of other things than policies that it names.
const FUTURE_NAMES: [&str; 2] = ["push", "envoy"];
/// Families of policies that the contract names and this version does not have.
const FUTURE_FAMILIES: [&str; 5] = ["grpc/", "finagle/", "nginx/", "haproxy/", "kube_proxy/"];

/// Decoding.
impl Diagnostics {
    pub(crate) fn unknown_key(&mut self, span: Span, key: &str, known: &[&str]) {
        let problem = Diagnostic::error("MS0020", format!("unknown key {}", quote(key)));
        self.push_with(problem.at(span, "nothing has this name here"), || {
            similar_or_list(key, known.iter().copied(), "the keys here are")
        });
    }

    pub(crate) fn missing_key(&mut self, span: Span, key: &str) {
        let problem = Diagnostic::error("MS0021", format!("the key `{key}` is missing"));
        let help = || (key == "apiVersion").then(|| "begin the file with `apiVersion: meshsim/v1`".to_string());
        self.push_with(problem.at(span, format!("needs `{key}`")), help);
    }

    /// An unknown policy, distribution, arrival process or word of a list.
    pub(crate) fn unknown_choice(&mut self, span: Span, name: &str, known: &[&str]) {
        let is_policy = known.iter().all(|known| known.contains('/'));
        let help = || similar_or_list(name, known.iter().copied(), "there are");
        let problem = match is_policy {
            false if FUTURE_NAMES.contains(&name) => {
                Diagnostic::error("MS0024", format!("{} is not supported by this version yet", quote(name)))
            }
            true if FUTURE_FAMILIES.iter().any(|family| name.starts_with(family)) => Diagnostic::error(
                "MS0024",
                format!("the policy {} is not supported by this version yet", quote(name)),
            ),
            true => Diagnostic::error("MS0022", format!("unknown policy {}", quote(name))),
            false => Diagnostic::error("MS0023", format!("unknown name {}", quote(name))),
        };
        self.push_with(problem.at(span, ""), help);
    }

    pub(crate) fn not_supported_yet(&mut self, span: Span, key: &str) {
        let problem = Diagnostic::error("MS0024", format!("`{key}` is not supported by this version yet"));
        self.push(
            problem
                .at(span, "")
                .help("remove it, or run the scenario with a version that has it"),
        );
    }

    pub(crate) fn mismatch(&mut self, span: Span, expected: &str, found: Option<&str>) {
        let message = match found {
            Some(found) => format!("expected {expected}, found {found}"),
            None => format!("expected {expected}"),
        };
        self.push(Diagnostic::error("MS0025", message).at(span, ""));
    }

    /// What the type of a value says against it.
    pub(crate) fn bad_value(&mut self, span: Span, message: &str) {
        self.push(Diagnostic::error("MS0026", message).at(span, ""));
    }

    pub(crate) fn not_finite(&mut self, span: Span, text: &str) {
        let problem = Diagnostic::error("MS0027", format!("{} is no finite number", quote(text)));
        self.push(problem.at(span, ""));
    }

    pub(crate) fn wrong_version(&mut self, span: Span, found: &str, known: &str) {
        let problem = Diagnostic::error("MS0028", format!("this program reads `{known}`, not {}", quote(found)));
        self.push(problem.at(span, "").help(format!("write `apiVersion: {known}`")));
    }
}

/// Patches.
impl Diagnostics {
    pub(crate) fn bad_path(&mut self, span: Span, problem: &str) {
        let problem = Diagnostic::error("MS0030", format!("this is no path: {problem}"));
        let help = "a path is like `mesh.timeout`, `faults[0].at` or `topology.services.\"a.b\".replicas`";
        self.push(problem.at(span, "").help(help));
    }

    pub(crate) fn path_enters_scalar(&mut self, span: Span, segment: &str, value: &str) {
        let message = format!("there is no {} here: the value is {}", quote(segment), quote(value));
        self.push(Diagnostic::error("MS0031", message).at(span, "this goes into a value that holds nothing"));
    }

    pub(crate) fn no_such_item(&mut self, span: Span, item: &str, names: &[&str], length: usize) {
        let problem = Diagnostic::error("MS0032", format!("the list has no item {}", quote(item)));
        let help = match similar(item, names.iter().copied()) {
            Some(help) => help,
            None => format!("it has {length}, counted from 0"),
        };
        self.push(problem.at(span, "").help(help));
    }

    pub(crate) fn variant_is_no_map(&mut self, span: Span, name: &str) {
        let problem = Diagnostic::error(
            "MS0033",
            format!("the variant {} must be a map, a part of the scenario", quote(name)),
        );
        self.push(
            problem
                .at(span, "")
                .help(format!("write `{name}: {{}}` for the scenario as it is")),
        );
    }

    pub(crate) fn variant_cannot_change(&mut self, span: Span, key: &str) {
        let problem = Diagnostic::error("MS0034", format!("a variant cannot change `{key}`"));
        self.push(
            problem
                .at(span, "all variants have it in common")
                .help("change it for all: at the top, or by `--set`"),
        );
    }

    pub(crate) fn unknown_variant(&mut self, span: Span, name: &str, known: &[&str]) {
        let problem = Diagnostic::error("MS0035", format!("there is no variant {}", quote(name)));
        self.push_with(problem.at(span, ""), || {
            similar_or_list(name, known.iter().copied(), "the variants are")
        });
    }

    pub(crate) fn variants_are_no_map(&mut self, span: Span) {
        let problem = Diagnostic::error("MS0036", "`variants` must be a map from names to parts of the scenario");
        self.push(
            problem
                .at(span, "")
                .help("for example `variants: {base: {}, slow: {mesh: {timeout: 5s}}}`"),
        );
    }
}

/// Sweeps.
impl Diagnostics {
    pub(crate) fn no_grid(&mut self, span: Span) {
        let problem = Diagnostic::error("MS0090", "`sweep` must be a map from paths to the values that they take");
        self.push(
            problem
                .at(span, "")
                .help("for example `sweep: {mesh.retry.num_retries: [0, 1, 2], seed: 1..5}`"),
        );
    }

    pub(crate) fn wrong_grid_values(&mut self, span: Span, path: &str, problem: &str) {
        let problem = Diagnostic::error(
            "MS0091",
            format!("these are no values for {} to take: {problem}", quote(path)),
        );
        self.push(
            problem
                .at(span, "")
                .help("write a list such as `[1s, 2s]`, or a range such as `1..5` or `10ms..50ms step 10ms`"),
        );
    }

    pub(crate) fn grid_value_twice(&mut self, span: Span, first: Span, value: &str) {
        let problem = Diagnostic::error("MS0092", format!("the value {} is there twice", quote(value)));
        self.push(problem.at(span, "again here").at(first, "first here"));
    }

    pub(crate) fn grid_too_large(&mut self, span: Span, points: &str, limit: usize) {
        let message = format!("the grid has {points} points; the limit is {limit}");
        self.push(Diagnostic::error("MS0093", message).at(span, "with the values of this"));
    }
}

/// Names.
impl Diagnostics {
    pub(crate) fn bad_name(&mut self, span: Span, what: &str, name: &str, allowed: &str) {
        let problem = Diagnostic::error("MS0040", format!("{} cannot be the name of {what}", quote(name)));
        self.push(
            problem
                .at(span, "")
                .help(format!("a name is made of {allowed}, and begins with a letter or digit")),
        );
    }

    pub(crate) fn duplicate_name(&mut self, span: Span, first: Span, what: &str, name: &str) {
        let problem = Diagnostic::error("MS0041", format!("the {what} {} is there twice", quote(name)));
        self.push(problem.at(span, "again here").at(first, "first here"));
    }

    pub(crate) fn not_an_operation(&mut self, span: Span, text: &str) {
        let problem = Diagnostic::error("MS0042", format!("{} names no operation", quote(text)));
        self.push(
            problem
                .at(span, "")
                .help("write it as `service/operation`, such as `catalog/list`"),
        );
    }

    pub(crate) fn unknown_service<'a>(&mut self, span: Span, name: &str, known: impl IntoIterator<Item = &'a str>) {
        let problem = Diagnostic::error("MS0043", format!("there is no service {}", quote(name)));
        self.push_with(problem.at(span, ""), || similar_or_list(name, known, "the services are"));
    }

    pub(crate) fn unknown_operation<'a>(
        &mut self,
        span: Span,
        service: &str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let message = format!("the service {} has no operation {}", quote(service), quote(name));
        self.push_with(Diagnostic::error("MS0044", message).at(span, ""), || {
            similar_or_list(name, known, "its operations are")
        });
    }

    pub(crate) fn unknown_zone<'a>(&mut self, span: Span, name: &str, known: impl IntoIterator<Item = &'a str>) {
        let problem = Diagnostic::error("MS0045", format!("there is no zone {}", quote(name)));
        let mut known = known.into_iter().peekable();
        let help = || match known.peek() {
            None => Some("the scenario has no zones: list them in `topology.zones`".to_string()),
            Some(_) => similar_or_list(name, known, "the zones are"),
        };
        self.push_with(problem.at(span, ""), help);
    }

    pub(crate) fn not_an_endpoint(&mut self, span: Span, text: &str) {
        let problem = Diagnostic::error("MS0046", format!("{} names no endpoint", quote(text)));
        self.push(
            problem
                .at(span, "")
                .help("write it as `service/endpoint`, such as `catalog/catalog-0`"),
        );
    }

    pub(crate) fn unknown_endpoint<'a>(
        &mut self,
        span: Span,
        service: &str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let message = format!("the service {} has no endpoint {}", quote(service), quote(name));
        self.push_with(Diagnostic::error("MS0047", message).at(span, ""), || {
            similar_or_list(name, known, "its endpoints are")
        });
    }

    /// `path` holds the operations and the places of the calls from each to the next, the last calling the first again.
    pub(crate) fn endless_calls(&mut self, path: &[(String, Span)]) {
        let names: Vec<&str> = path.iter().map(|(name, _)| name.as_str()).collect();
        let shown = match names.len() {
            ..=PATH_MAX => names.join(" -> "),
            n => format!("{} -> … ({n} in all)", names[..PATH_MAX].join(" -> ")),
        };
        let message = format!("these calls never end: {shown} -> {}", names[0]);
        let mut problem = Diagnostic::error("MS0048", message);
        // The call that closes the cycle is where it is noticed.
        let (last, before) = path.split_last().expect("a cycle has at least one call");
        problem = problem.at(last.1, format!("calls {} again", quote(names[0])));
        for ((_, span), next) in before.iter().zip(&names[1..]).take(PATH_MAX) {
            problem = problem.at(*span, format!("calls {}", quote(next)));
        }
        self.push(problem.help("a request must come to an end: break the cycle, even where a call is only probable"));
    }
}

/// Shapes: what belongs together.
impl Diagnostics {
    pub(crate) fn nothing_of(&mut self, span: Span, what: &str, needed: &str) {
        let problem = Diagnostic::error("MS0050", format!("{what} needs {needed}"));
        self.push(problem.at(span, ""));
    }

    pub(crate) fn too_many_of(&mut self, spans: &[Span], what: &str, choice: &str) {
        let mut problem = Diagnostic::error("MS0051", format!("{what} takes only one of {choice}"));
        for (index, span) in spans.iter().rev().enumerate() {
            problem = problem.at(*span, if index == 0 { "this is one too many" } else { "besides this" });
        }
        self.push(problem);
    }

    pub(crate) fn no_use_for(&mut self, span: Span, key: &str, needed: &str) {
        let problem = Diagnostic::error("MS0052", format!("`{key}` has no meaning without `{needed}`"));
        self.push(problem.at(span, ""));
    }

    pub(crate) fn nobody_struck(&mut self, span: Span, zone: &str) {
        let problem = Diagnostic::warning("MS0053", format!("no endpoint is in the zone {}", quote(zone)));
        self.push(problem.at(span, "the fault strikes nobody"));
    }
}

/// Values and times.
impl Diagnostics {
    /// A value beyond what it may be; `rule` says what it must be.
    pub(crate) fn out_of_range(&mut self, span: Span, key: &str, rule: &str) {
        let problem = Diagnostic::error("MS0060", format!("`{key}` must be {rule}"));
        self.push(problem.at(span, ""));
    }

    pub(crate) fn warmup_too_long(&mut self, span: Span, warmup: impl std::fmt::Display, duration: impl std::fmt::Display) {
        let message = format!("a warm-up of {warmup} leaves nothing of a duration of {duration} to measure");
        self.push(Diagnostic::error("MS0061", message).at(span, "must be shorter than `duration`"));
    }

    pub(crate) fn fault_after_end(&mut self, span: Span, duration: impl std::fmt::Display) {
        let message = format!("this fault never happens: the run ends after {duration}");
        self.push(Diagnostic::error("MS0062", message).at(span, "must be before the end"));
    }

    pub(crate) fn faults_collide(&mut self, span: Span, first: Span) {
        let message = "two faults of one kind begin at one instant with the same endpoint, so that one would hide the other";
        self.push(Diagnostic::error("MS0063", message).at(span, "this").at(first, "and this"));
    }
}

impl Diagnostics {
    pub(crate) fn timeless_loop(&mut self, span: Span) {
        let message = "time stands still: users who do not think call an operation that takes no time, over and over";
        self.push(
            Diagnostic::error("MS0064", message)
                .at(span, "")
                .help("give `think` or the operation's `work` a duration"),
        );
    }

    pub(crate) fn too_many_variants(&mut self, span: Span, count: usize, limit: usize) {
        let message = format!("there are {count} variants; the limit is {limit}");
        self.push(Diagnostic::error("MS0065", message).at(span, ""));
    }
}

/// What the refusal of a large scenario says about it.
pub(crate) struct Size {
    /// What is too much: `1000000 endpoints`.
    pub(crate) what: String,
    /// The limit: `at most 500000`.
    pub(crate) limit: String,
    /// The whole estimate in one line.
    pub(crate) estimate: String,
}

/// Size.
impl Diagnostics {
    pub(crate) fn too_large(&mut self, size: &Size) {
        let problem = Diagnostic::error(
            "MS0070",
            format!("this scenario is very large: {}; the limit is {}", size.what, size.limit),
        );
        self.push(
            problem
                .note(&size.estimate)
                .help("make it smaller, or run it all the same with `--force`"),
        );
    }

    /// Beyond what can be represented or what any machine holds: `--force` does not help.
    pub(crate) fn impossible_size(&mut self, span: Option<Span>, size: &Size) {
        let mut problem = Diagnostic::error(
            "MS0071",
            format!("this scenario is too large: {}; the limit is {}", size.what, size.limit),
        );
        if let Some(span) = span {
            problem = problem.at(span, "");
        }
        self.push(match size.estimate.is_empty() {
            true => problem,
            false => problem.note(&size.estimate),
        });
    }

    pub(crate) fn cannot_use_file(&mut self, span: Span, message: &str) {
        self.push(Diagnostic::error("MS0080", message).at(span, ""));
    }
}
