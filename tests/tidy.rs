//! House rules that the compiler does not check: who may use whom, what is absent from which layer, and that files, modules
//! and registries agree. `ARCHITECTURE.md` holds the reasons.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module of the library may use beside `time` and `math`, which all may; a longer path allows only that part.
const LAYERS: [(&str, &[&str]); 14] = [
    ("time", &[]),
    ("math", &[]),
    ("random", &[]),
    ("policy", &["random"]),
    ("engine", &["random"]),
    ("measure", &["random"]),
    ("model", &["engine", "policy", "measure", "random"]),
    // Descriptions, nothing that runs.
    ("scenario", &["policy", "model::plan", "model::Plan", "random"]),
    ("experiment", &["scenario", "model", "engine", "measure", "random"]),
    ("report", &["experiment", "measure", "model::result"]),
    ("explain", &["scenario", "model", "policy", "report::format"]),
    (
        "theory",
        &[
            "scenario",
            "model",
            "policy",
            "experiment",
            "measure",
            "random",
            "report::format",
        ],
    ),
    ("replay", &["policy", "scenario", "random"]),
    (
        "sweep",
        &[
            "experiment",
            "scenario",
            "model::result",
            "model::RunResult",
            "measure",
            "report",
            "random",
        ],
    ),
];

/// Layers, by name, and words that they must not contain, each with the reason. `*` is all layers.
const ABSENT: [(&str, &[&str], &str); 7] = [
    (
        "policy engine model measure random",
        &["dyn ", "Rc<", "RefCell<", "Mutex<", "HashMap", "HashSet"],
        "a simulation is plain data with one owner",
    ),
    (
        "time math random policy engine measure model",
        &["std::fs", "std::net", "std::env", "std::io"],
        "no IO below `scenario`, which reads files",
    ),
    (
        "time math random policy engine measure model scenario",
        &["std::thread", "rayon", "println!"],
        "no threads below `experiment`, and nothing is printed",
    ),
    (
        "engine",
        &["request", "endpoint", "latency", "format!"],
        "the engine has never heard of a mesh",
    ),
    (
        "report replay experiment explain theory sweep",
        &["std::time::Instant", "SystemTime"],
        "results know no time of day",
    ),
    ("model measure", &["serde", "schemars"], "the model has no documents"),
    (
        "*",
        &["todo!", "unimplemented!", "TODO", "FIXME", "dbg!", "/work/", "/tmp/"],
        "nothing is left for later, and no path of one machine",
    ),
];

/// Lines of a file, its tests left out, past which there is a second idea in it.
const LINES_MAX: usize = 500;

struct Source {
    /// Relative to `src`.
    path: String,
    /// Without unit tests and comments.
    code: String,
    text: String,
}

impl Source {
    /// The layer: the first part of the path.
    fn layer(&self) -> &str {
        self.path.split(['/', '.']).next().expect("a path has a first part")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is part of the package") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn sources() -> Vec<Source> {
    let folder = root().join("src");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source is readable text");
        let relative = path.strip_prefix(&folder).expect("found below it");
        Source {
            path: relative.to_str().expect("a path in ASCII").replace('\\', "/"),
            code: without_tests_and_comments(&text),
            text,
        }
    };
    let files = rust_files(&folder).into_iter().map(read);
    files.filter(|source| !source.path.ends_with("/tests.rs")).collect()
}

/// The unit tests are the end of a file: rustfmt and custom put them there.
fn without_tests_and_comments(text: &str) -> String {
    let code = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .expect("a split has a first part");
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The first two parts of every path that begins with `crate::`.
fn uses(code: &str) -> BTreeSet<String> {
    let mut uses = BTreeSet::new();
    for (at, prefix) in code.match_indices("crate::") {
        let path = &code[at + prefix.len()..];
        match path.strip_prefix('{') {
            Some(group) => uses.extend(members(group).iter().map(|member| two_parts(member))),
            None => {
                let first = identifier(path);
                match path[first.len()..].strip_prefix("::{") {
                    Some(group) => uses.extend(members(group).iter().map(|member| format!("{first}::{}", identifier(member)))),
                    None => {
                        uses.insert(two_parts(path));
                    }
                }
            }
        }
    }
    uses
}

/// The members of a brace group, up to its closing brace.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut members) = (0, vec![String::new()]);
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(String::new());
                continue;
            }
            _ => {}
        }
        members.last_mut().expect("never empty").push(character);
    }
    members
        .iter()
        .map(|member| member.trim().to_string())
        .filter(|member| !member.is_empty())
        .collect()
}

fn identifier(path: &str) -> &str {
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    &path[..end]
}

fn two_parts(path: &str) -> String {
    let first = identifier(path);
    match path[first.len()..].strip_prefix("::") {
        Some(rest) if !identifier(rest).is_empty() => format!("{first}::{}", identifier(rest)),
        _ => first.to_string(),
    }
}

#[test]
fn uses_are_found() {
    let code = "use crate::{math, time::{Time, Duration}}; use crate::model::{plan::Plan, World}; crate::a::b::c(); crate::x;";
    let found: Vec<String> = uses(code).into_iter().collect();
    assert_eq!(
        found,
        ["a::b", "math", "model::World", "model::plan", "time", "x"]
            .map(String::from)
            .as_slice()
    );
}

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for source in sources() {
        let layer = source.layer();
        // The crate's roots and the command line may use everything.
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
            assert!(
                ["lib", "main", "cli"].contains(&layer),
                "`{}` is in no layer of `LAYERS`",
                source.path
            );
            continue;
        };
        for used in uses(&source.code) {
            let first = identifier(&used);
            let lawful = [layer, "time", "math"].contains(&first) || allowed.contains(&first) || allowed.contains(&used.as_str());
            if !lawful {
                wrong.push(format!("{}: `{layer}` may not use `{used}`", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn layers_lack_what_they_must_lack() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (layers, words, reason) in ABSENT {
            if layers != "*" && !layers.split(' ').any(|layer| layer == source.layer()) {
                continue;
            }
            let here = words.iter().filter(|word| source.code.contains(**word));
            wrong.extend(here.map(|word| format!("{}: `{word}`: {reason}", source.path)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_say_what_they_are_and_hold_one_idea() {
    for source in sources() {
        assert!(
            source.text.starts_with("//! "),
            "{} does not open with a `//!` paragraph",
            source.path
        );
        let lines = source.code.lines().count();
        assert!(
            lines <= LINES_MAX,
            "{} has {lines} lines: look for the second idea in it",
            source.path
        );
    }
    for folder in ["tests", "benches"] {
        for path in rust_files(&root().join(folder)) {
            let text = fs::read_to_string(&path).expect("a source is readable text");
            assert!(
                text.starts_with("//! "),
                "{} does not open with a `//!` paragraph",
                path.display()
            );
        }
    }
}

#[test]
fn every_file_is_a_module() {
    let sources = sources();
    for source in &sources {
        let stem = source.path.strip_suffix(".rs").expect("a source");
        let stem = stem.strip_suffix("/mod").unwrap_or(stem);
        if ["lib", "main"].contains(&stem) {
            continue;
        }
        let (parent, name) = stem.rsplit_once('/').unwrap_or(("", stem));
        let parents: &[String] = match parent {
            "" => &["lib.rs".to_string(), "main.rs".to_string()],
            _ => &[format!("{parent}/mod.rs"), format!("{parent}.rs")],
        };
        let declared = sources.iter().filter(|other| parents.contains(&other.path)).any(|other| {
            let mut lines = other.text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
            lines.any(|line| line == format!("mod {name};") || line.ends_with(&format!(" mod {name};")))
        });
        assert!(declared, "{} is declared by no module", source.path);
    }
}

/// The names of the files of a folder, those that all its members share left out.
fn names(folder: &str, shared: &[&str]) -> BTreeSet<String> {
    let files = rust_files(&root().join("src").join(folder));
    let names = files.iter().map(|path| {
        path.file_stem()
            .expect("a file has a name")
            .to_str()
            .expect("ASCII")
            .to_string()
    });
    names
        .filter(|name| name != "mod" && name != "tests" && !shared.contains(&name.as_str()))
        .collect()
}

/// The names that a schema's list of variants allows.
fn variants(schema: &serde_json::Value) -> BTreeSet<String> {
    let variants = schema["oneOf"].as_array().expect("an enum's schema is a list");
    let name = |variant: &serde_json::Value| {
        variant["required"][0]
            .as_str()
            .expect("a variant is a map with one key")
            .to_string()
    };
    variants.iter().map(name).collect()
}

#[test]
fn distributions_and_arrivals_have_a_file_each() {
    let schema = schemars::schema_for!(meshsim::random::distribution::Named).to_value();
    let mut registered = variants(&schema);
    // A constant is the bare value too.
    assert!(registered.remove("constant"));
    assert_eq!(registered, names("random/distribution", &["parameters"]));

    let schema = schemars::schema_for!(meshsim::random::ArrivalConfig).to_value();
    let mut registered = variants(&schema);
    // Near relatives live in one file: batches in that of Poisson arrivals, the Erlang in that of renewals.
    assert!(registered.remove("batch") && registered.remove("erlang"));
    assert_eq!(registered, names("random/arrival", &[]));
}

#[test]
fn balancers_have_a_file_each() {
    let registered: BTreeSet<String> = meshsim::policy::balancer::NAMES.iter().map(|name| name.to_string()).collect();
    let folder = root().join("src/policy/balancer");
    let mut files = BTreeSet::new();
    for family in fs::read_dir(folder).expect("the folder is part of the package") {
        let family = family.expect("a readable entry").file_name().into_string().expect("ASCII");
        if family != "common" && !family.ends_with(".rs") {
            let module = root().join(format!("src/policy/balancer/{family}/mod.rs"));
            let module = fs::read_to_string(module).expect("a family is a module");
            let members = names(&format!("policy/balancer/{family}"), &[]);
            // What a family's balancers share is in modules that nobody else sees.
            let is_public = |name: &&String| module.contains(&format!("pub mod {name};"));
            files.extend(members.iter().filter(is_public).map(|name| format!("{family}/{name}")));
        }
    }
    assert_eq!(registered, files);
}
