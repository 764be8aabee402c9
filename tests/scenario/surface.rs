//! What users and programs meet: files, JSON, annotations, the schema, and the commands.

use std::fs;

use assert_cmd::Command;
use meshsim::scenario::{Overrides, Source, TEXT_MAX, load};

const GOOD: &str = "apiVersion: meshsim/v1
duration: 10s
topology: {services: {s: {replicas: 2, operations: {get: [{work: 1ms}]}}}}
clients: {c: {call: s/get, arrivals: {poisson: {rate: 10/s}}}}
";
const BAD: &str = "apiVersion: meshsim/v1
duration: 10s
topology: {services: {s: {replicas: 2, operations: {get: [{work: 1ms}]}}}}
clients: {c: {call: s/gte, arrivals: {poisson: {rate: 10/s}}}}
mesh: {timeout: -1s}
";

fn meshsim() -> Command {
    let mut command = Command::cargo_bin("meshsim").expect("the binary is built");
    command.env_remove("GITHUB_ACTIONS");
    command
}

/// Exit code, stdout and stderr.
fn output(command: &mut Command) -> (i32, String, String) {
    let output = command.output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("output is text");
    (
        output.status.code().expect("it exits"),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn validate_reports_every_problem_of_every_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("good.yaml"), GOOD).expect("written");
    fs::write(path("bad.yaml"), BAD).expect("written");

    let (code, stdout, stderr) = output(meshsim().arg("validate").arg(path("good.yaml")));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        stdout.contains("good.yaml: valid; variants: default; estimate: 10 runs, 1000 requests"),
        "{stdout}"
    );

    let all = [path("bad.yaml"), path("missing.yaml"), path("good.yaml")];
    let (code, stdout, stderr) = output(meshsim().arg("validate").args(&all));
    assert_eq!(code, 2);
    assert_eq!(stdout.lines().count(), 1, "only the result: {stdout}");
    for part in [
        "MS0044",
        "did you mean `get`?",
        "MS0026",
        "bad.yaml:5:17",
        "MS0001",
        "missing.yaml",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }

    let (code, stdout, _) = output(meshsim().arg("validate").arg("--format=json").args(&all));
    assert_eq!(code, 2);
    let json: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(json["valid"], false);
    assert_eq!(json["files"][0]["problems"][0]["code"], "MS0044");
    assert_eq!(json["files"][0]["problems"][0]["line"], 4);
    assert_eq!(json["files"][0]["problems"][0]["column"], 21);
    assert_eq!(json["files"][1]["problems"][0]["code"], "MS0001");
    assert_eq!(json["files"][2]["scenario"]["estimate"]["requests_total"], 1000.0);

    let (_, _, stderr) = output(meshsim().env("GITHUB_ACTIONS", "true").arg("validate").arg(path("bad.yaml")));
    assert!(stderr.contains("::error file="), "{stderr}");
    assert!(stderr.contains(",title=MS0044,line=4,col=21,endColumn=26::"), "{stderr}");

    let (code, _, stderr) = output(meshsim().args(["validate", "--set", "mesh.timeout=x"]).arg(path("good.yaml")));
    assert_eq!(code, 2);
    assert!(stderr.contains("--set:1:14"), "{stderr}");
    let (code, ..) = output(meshsim().arg("validate").arg("-").write_stdin(GOOD));
    assert_eq!(code, 0);
    let (code, ..) = output(meshsim().arg("validate"));
    assert_eq!(code, 2, "bad usage");
}

#[test]
fn init_writes_a_valid_scenario_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, stdout, _) = output(meshsim().current_dir(folder.path()).args(["init", "mine"]));
    assert_eq!(code, 0);
    assert!(stdout.contains("mine.yaml"), "{stdout}");
    let path = folder.path().join("mine.yaml");
    let written = fs::read_to_string(&path).expect("a file");
    assert!(written.contains("name: mine\n"), "{written}");
    let (scenario, diagnostics) = load(&Source::from_text("mine.yaml", written.as_str()), &Overrides::default());
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    assert_eq!(scenario.expect("it is valid").variants.len(), 3);

    let (code, _, stderr) = output(meshsim().current_dir(folder.path()).args(["init", "mine"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("is there already"), "{stderr}");
    assert_eq!(fs::read_to_string(&path).expect("a file"), written);
    let (code, ..) = output(meshsim().current_dir(folder.path()).args(["init", "no name"]));
    assert_eq!(code, 2);
}

#[test]
fn files_that_are_none_are_refused_quickly() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    // Sparse: nothing of it is ever read beyond the limit.
    let large = fs::File::create(path("large.yaml")).expect("created");
    large.set_len(100 << 20).expect("sized");
    let latin = path("latin.yaml");
    fs::write(&latin, b"name: caf\xe9\n").expect("written");
    let (code, _, stderr) = output(
        meshsim()
            .arg("validate")
            .arg(path("large.yaml"))
            .arg(&latin)
            .arg(folder.path()),
    );
    assert_eq!(code, 2);
    for part in ["MS0002", &format!("{} MiB", TEXT_MAX >> 20), "MS0003", "offset 9", "MS0001"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

#[test]
fn files_of_values_are_read_from_beside_the_scenario() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("work.csv"), "0.001\n0.002\n").expect("written");
    let path = folder.path().join("s.yaml");
    fs::write(&path, GOOD.replace("work: 1ms", "work: {empirical: {file: work.csv}}")).expect("written");
    let digest = || {
        let (scenario, diagnostics) = load(&Source::read(&path).expect("readable"), &Overrides::default());
        scenario.unwrap_or_else(|| panic!("{}", diagnostics.render(false))).digest
    };
    let first = digest();
    assert_eq!(first, digest());
    fs::write(folder.path().join("work.csv"), "0.001\n0.003\n").expect("written");
    assert_ne!(first, digest(), "the digest is of the values too");
    fs::write(folder.path().join("work.csv"), "quickly\n").expect("written");
    let (scenario, diagnostics) = load(&Source::read(&path).expect("readable"), &Overrides::default());
    assert!(scenario.is_none());
    assert!(diagnostics.render(false).contains("MS0080"), "{}", diagnostics.render(false));
}

/// The schema itself is JSON Schema; here: that it says what the loader does.
#[test]
fn the_schema_describes_the_document() {
    let (code, stdout, _) = output(meshsim().arg("schema"));
    assert_eq!(code, 0);
    let schema: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let keys: Vec<&String> = schema["properties"].as_object().expect("a map").keys().collect();
    let expected = "apiVersion name description seed duration warmup replications drain topology clients mesh faults variants \
                    sweep expect baseline precision statistics";
    assert_eq!(keys, expected.split(' ').collect::<Vec<_>>());
    assert_eq!(schema["additionalProperties"], false);
    for (name, keys) in [
        (
            "Service",
            "replicas endpoints concurrency queue locality_weights metadata cores threading on_cancel operations mesh",
        ),
        (
            "Endpoint",
            "name zone node weight speed address fail priority region sub_zone locality_weight hash_key metadata",
        ),
        (
            "Step",
            "work call parallel choose fail steps repeat probability on_error mesh request_size response_size",
        ),
        ("Client", "call arrivals key callers zone timeout request_size response_size"),
        (
            "Mesh",
            "profile balancer discovery timeout retry common_lb_config healthy_panic_threshold overprovisioning_factor \
             weighted_priority_health lb_subset_config metadata_match connection_pool",
        ),
        ("Fault", "at for crash slow errors partition random"),
        ("Network", "same_zone cross_zone links loss retransmission_timeout bandwidth"),
    ] {
        let properties = schema["$defs"][name]["properties"]
            .as_object()
            .unwrap_or_else(|| panic!("no {name}"));
        for key in keys.split(' ') {
            assert!(properties.contains_key(key), "{name}: {key}");
        }
        for (key, property) in properties {
            assert!(property.get("description").is_some(), "{name}.{key} is not explained");
        }
    }
}

/// The keys that the loader reports as missing together are those that the schema requires.
#[test]
fn required_keys_are_those_of_the_schema() {
    let schema = meshsim::scenario::schema::json_schema();
    let schema = schema.as_value();
    let required = |of: &serde_json::Value| of["required"].as_array().map_or(0, Vec::len);
    let definitions = ["Topology", "Link", "Service", "Arm", "Client", "Random"];
    let count = required(schema) + definitions.iter().map(|name| required(&schema["$defs"][name])).sum::<usize>();
    assert_eq!(count, 13);
    let text = "topology: {network: {links: [{}]}, services: {s: {operations: {a: [{choose: [{}]}]}}, t: {}}}
clients: {c: {}}
faults: [{random: {}}]
";
    let (_, diagnostics) = load(&Source::from_text("x.yaml", text), &Overrides::default());
    let missing: Vec<&str> = (diagnostics.items().iter())
        .filter(|item| item.code == "MS0021")
        .map(|item| item.message.split('`').nth(1).expect("a key in backticks"))
        .collect();
    let mut sorted = missing.clone();
    sorted.sort_unstable();
    let expected = [
        "apiVersion",
        "arrivals",
        "call",
        "duration",
        "from",
        "mttf",
        "mttr",
        "operations",
        "steps",
        "to",
    ];
    assert_eq!(sorted, expected, "{}", diagnostics.render(false));
}

/// Whether `value` fits `schema`: the part of JSON Schema that ours uses.
fn fits(value: &serde_json::Value, schema: &serde_json::Value, root: &serde_json::Value) -> Result<(), String> {
    let Some(rules) = schema.as_object() else {
        return if schema == &serde_json::Value::Bool(false) {
            Err("nothing fits `false`".to_string())
        } else {
            Ok(())
        };
    };
    for (rule, of) in rules {
        match rule.as_str() {
            "$ref" => {
                let path = of
                    .as_str()
                    .and_then(|path| path.strip_prefix('#'))
                    .ok_or("a reference elsewhere")?;
                fits(value, root.pointer(path).ok_or(format!("no {path}"))?, root)?;
            }
            "anyOf" | "oneOf" => {
                let choices = of.as_array().ok_or("choices are a list")?;
                let results: Vec<String> = choices.iter().filter_map(|choice| fits(value, choice, root).err()).collect();
                if results.len() == choices.len() {
                    return Err(format!("{value} fits none of {}: {}", choices.len(), results.join("; ")));
                }
            }
            "type" => is_of_type(value, of)?,
            "const" if value != of => return Err(format!("{value} is not {of}")),
            "enum" if !of.as_array().is_some_and(|all| all.contains(value)) => return Err(format!("{value} is not in {of}")),
            "required" => {
                for key in of.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str) {
                    if value.is_object() && value.get(key).is_none() {
                        return Err(format!("{value} lacks {key}"));
                    }
                }
            }
            "properties" | "additionalProperties" if rule == "properties" || !rules.contains_key("properties") => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    let named = rules.get("properties").and_then(|all| all.get(key));
                    let patterns = rules.contains_key("patternProperties");
                    let rule = named.or_else(|| rules.get("additionalProperties").filter(|_| !patterns));
                    if let Some(schema) = rule {
                        fits(inner, schema, root).map_err(|problem| format!("{key}: {problem}"))?;
                    }
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    fits(item, of, root)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_of_type(value: &serde_json::Value, types: &serde_json::Value) -> Result<(), String> {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    };
    let any = match types {
        serde_json::Value::String(name) => is(name),
        serde_json::Value::Array(names) => names.iter().filter_map(serde_json::Value::as_str).any(is),
        _ => false,
    };
    if any { Ok(()) } else { Err(format!("{value} is no {types}")) }
}

/// YAML that is also written in JSON's types, by the crate that `replay` reads its files with.
fn as_json(node: &saphyr::Yaml<'_>) -> serde_json::Value {
    if let Some(map) = node.as_mapping() {
        let entries = map
            .iter()
            .map(|(key, value)| (key.as_str().unwrap_or_default().to_string(), as_json(value)));
        return serde_json::Value::Object(entries.collect());
    }
    if let Some(items) = node.as_vec() {
        return items.iter().map(as_json).collect();
    }
    if let Some(number) = node.as_integer() {
        return number.into();
    }
    if let Some(number) = node.as_floating_point() {
        return number.into();
    }
    if let Some(value) = node.as_bool() {
        return value.into();
    }
    node.as_str().map_or(serde_json::Value::Null, Into::into)
}

#[test]
fn valid_scenarios_fit_the_schema_and_wrong_shapes_do_not() {
    use saphyr::LoadableYamlNode;
    let schema = meshsim::scenario::schema::json_schema();
    let schema = schema.as_value();
    let read = |text: &str| as_json(&saphyr::Yaml::load_from_str(text).expect("YAML")[0]);
    let starter = include_str!("../../src/cli/starter.yaml");
    for text in [include_str!("example.yaml"), include_str!("candidates.yaml"), starter, GOOD] {
        fits(&read(text), schema, schema).unwrap_or_else(|problem| panic!("{problem}"));
    }
    for (from, to) in [
        ("duration: 10s", "duraton: 10s"),
        ("duration: 10s", "duration: [10s]"),
        ("replicas: 2", "replicas: two"),
        ("work: 1ms", "wrk: 1ms"),
        ("poisson", "poison"),
        ("apiVersion: meshsim/v1\n", ""),
        ("meshsim/v1", "meshsim/v2"),
        ("call: s/get, ", ""),
    ] {
        assert!(GOOD.contains(from));
        assert!(fits(&read(&GOOD.replace(from, to)), schema, schema).is_err(), "{to}");
    }
}
