//! What the command line says of a policy, as the policy library wants it: a name, options set by name, a `mesh:` block.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use saphyr_parser::{Event, Parser};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::policy::balancer::{Config, NAMES, known_name};
use crate::policy::candidates::{
    self, CommonLbConfig, LbSubsetConfig, LocalityLbSetting, LocalityMode, OverprovisioningFactor, Parts, Percent,
};
use crate::policy::overload::{GuardOptions, adaptive_throttling, admission_control, local_rate_limit, nack_admission_filter};
use crate::policy::{
    ClusterConfig, MetadataMatch, RoutingPriority, circuit_breaker, connection_pool, failure_accrual, health_check, hedging,
    outlier_detection, retry,
};
use crate::time::Duration;

/// One `--set`.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The option, with dots where it is inside another one.
    pub path: String,
    /// What it is set to.
    pub value: Value,
}

impl std::str::FromStr for Setting {
    type Err = String;

    /// Reads `path=value`; a value that is no JSON is a text.
    fn from_str(text: &str) -> Result<Setting, String> {
        let (path, value) = text.split_once('=').ok_or("expected `option=value`")?;
        if path.split('.').any(str::is_empty) {
            return Err("expected `option=value`, and here is no option's name".to_string());
        }
        Ok(Setting {
            path: path.to_string(),
            value: serde_json::from_str(value).unwrap_or_else(|_| value.into()),
        })
    }
}

/// What to tell a user who names a policy that is not there.
pub fn unknown_policy(name: &str) -> String {
    suggest(
        format!("there is no policy `{name}`; `meshsim policies` lists them"),
        name,
        NAMES.iter().copied(),
    )
}

/// The balancer of that name with those options.
///
/// # Errors
/// What is wrong with them, for the user.
pub fn balancer(name: &str, settings: &[Setting]) -> Result<Config, String> {
    let Some(name) = known_name(name) else {
        return Err(unknown_policy(name));
    };
    let mut options = Map::new();
    for setting in settings {
        set(&mut options, &setting.path, &setting.value)?;
    }
    let mut balancer = Map::new();
    balancer.insert(name.to_string(), options.into());
    Config::deserialize(Value::from(balancer)).map_err(|error| explain(&error))
}

fn set(options: &mut Map<String, Value>, path: &str, value: &Value) -> Result<(), String> {
    let Some((first, rest)) = path.split_once('.') else {
        options.insert(path.to_string(), value.clone());
        return Ok(());
    };
    match options.entry(first).or_insert_with(|| Map::new().into()) {
        Value::Object(inner) => set(inner, rest, value),
        _ => Err(format!("`{first}` is set both to a value and to options")),
    }
}

/// What replay reads of a `mesh:` block.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Mesh {
    #[serde(rename = "balancer")]
    _balancer: IgnoredAny,
    // A script says itself who is there.
    #[serde(rename = "discovery")]
    _discovery: IgnoredAny,
    retry: Option<retry::Options>,
    hedge_policy: Option<hedging::HedgePolicy>,
    hedging: Option<hedging::Options>,
    circuit_breaker: Option<circuit_breaker::Options>,
    priority: RoutingPriority,
    outlier_detection: Option<outlier_detection::Config>,
    failure_accrual: Option<failure_accrual::Config>,
    health_check: Option<health_check::Options>,
    admission_control: Option<admission_control::Options>,
    local_rate_limit: Option<local_rate_limit::Options>,
    nack_admission_filter: Option<nack_admission_filter::Options>,
    adaptive_throttling: Option<adaptive_throttling::Options>,
    connection_pool: Option<Pool>,
    // A script says itself when a call times out.
    #[serde(rename = "timeout")]
    _timeout: Option<Duration>,
    #[serde(rename = "idle_timeout")]
    _idle_timeout: Option<Duration>,
    common_lb_config: Option<CommonLbConfig>,
    healthy_panic_threshold: Option<Percent>,
    overprovisioning_factor: Option<OverprovisioningFactor>,
    weighted_priority_health: Option<bool>,
    lb_subset_config: Option<LbSubsetConfig>,
    metadata_match: MetadataMatch,
    locality_lb_setting: Option<LocalityLbSetting>,
}

/// How connections are used, which matters to balancers that choose for each of them.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Pool {
    protocol: Option<Protocol>,
    idle_timeout: Option<Duration>,
    max_concurrent_streams: Option<u32>,
    max_requests_per_connection: Option<u32>,
    max_connection_duration: Option<Duration>,
    // A script says itself when there is no connection.
    #[serde(rename = "connect_timeout")]
    _connect_timeout: Option<Duration>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Protocol {
    Http1,
    Http2,
}

impl Pool {
    fn options(&self) -> Result<connection_pool::Options, String> {
        let default = connection_pool::Options::default();
        if self.max_concurrent_streams == Some(0) {
            return Err("in `mesh.connection_pool`: `max_concurrent_streams` must be at least 1".to_string());
        }
        Ok(connection_pool::Options {
            protocol: match self.protocol {
                Some(Protocol::Http1) => connection_pool::Protocol::Http1,
                Some(Protocol::Http2) => connection_pool::Protocol::Http2,
                None => default.protocol,
            },
            idle_timeout: self.idle_timeout.unwrap_or(default.idle_timeout),
            max_concurrent_streams: self.max_concurrent_streams.unwrap_or(default.max_concurrent_streams),
            max_requests_per_connection: connection_pool::requests(self.max_requests_per_connection),
            max_connection_duration: self.max_connection_duration.unwrap_or(default.max_connection_duration),
            connect_timeout: default.connect_timeout,
        })
    }
}
/// Keys of a `mesh:` block that can be set by name, as a balancer's options can.
const MESH_SETTINGS: [&str; 6] = [
    "common_lb_config",
    "healthy_panic_threshold",
    "overprovisioning_factor",
    "weighted_priority_health",
    "lb_subset_config",
    "locality_lb_setting",
];

/// The policies around `balancer` that the `mesh:` block of a YAML or JSON document asks for. The balancer wins over the block's.
///
/// # Errors
/// What is wrong with the document, for the user.
pub fn mesh(balancer: Config, document: &str) -> Result<ClusterConfig, String> {
    around(balancer, &mesh_block(document)?)
}

/// The balancer of that name, with the policies around it that the `mesh:` block of a document asks for, if there is one: its name
/// and its text. Settings are options of the balancer, or of who its candidates are.
///
/// # Errors
/// What is wrong with any of them, for the user.
pub fn cluster(name: &str, settings: &[Setting], document: Option<(&str, &str)>) -> Result<ClusterConfig, String> {
    let is_around = |setting: &&Setting| MESH_SETTINGS.contains(&setting.path.split('.').next().unwrap_or_default());
    let (outer, inner): (Vec<&Setting>, Vec<&Setting>) = settings.iter().partition(is_around);
    let inner: Vec<Setting> = inner.into_iter().cloned().collect();
    let balancer = balancer(name, &inner)?;
    let in_document = |message| match document {
        Some((name, _)) => format!("{name}: {message}"),
        None => message,
    };
    let mut block = match document {
        Some((_, text)) => mesh_block(text).map_err(in_document)?,
        None => Map::new(),
    };
    for setting in outer {
        set(&mut block, &setting.path, &setting.value)?;
    }
    around(balancer, &block).map_err(in_document)
}

fn mesh_block(document: &str) -> Result<Map<String, Value>, String> {
    match parse(document)?.get("mesh") {
        Some(Value::Object(block)) => Ok(block.clone()),
        Some(Value::Null) => Ok(Map::new()),
        Some(_) => Err("`mesh` must be a map".to_string()),
        None => Err("there is no `mesh:` in it".to_string()),
    }
}

fn around(balancer: Config, block: &Map<String, Value>) -> Result<ClusterConfig, String> {
    let mesh = Mesh::deserialize(&Value::from(block.clone())).map_err(|error| format!("in `mesh`: {}", explain(&error)))?;
    if let Some(retry) = &mesh.retry {
        retry.check().map_err(|message| format!("in `mesh.retry`: {message}"))?;
    }
    let checks = [
        mesh.hedging.as_ref().map(hedging::Options::check),
        mesh.circuit_breaker.as_ref().map(circuit_breaker::Options::check),
        mesh.outlier_detection.as_ref().map(outlier_detection::Config::check),
        mesh.failure_accrual.as_ref().map(failure_accrual::Config::check),
        mesh.health_check.as_ref().map(health_check::Options::check),
        mesh.admission_control.as_ref().map(admission_control::Options::check),
        mesh.local_rate_limit.as_ref().map(local_rate_limit::Options::check),
        mesh.nack_admission_filter.as_ref().map(nack_admission_filter::Options::check),
        mesh.adaptive_throttling.as_ref().map(adaptive_throttling::Options::check),
        mesh.common_lb_config.as_ref().map(CommonLbConfig::check),
        mesh.lb_subset_config.as_ref().map(LbSubsetConfig::check),
        mesh.locality_lb_setting.as_ref().map(LocalityLbSetting::check),
    ];
    for check in checks.into_iter().flatten() {
        check.map_err(|message| format!("in `mesh`: {message}"))?;
    }
    let parts = Parts {
        common_lb_config: mesh.common_lb_config.as_ref(),
        healthy_panic_threshold: mesh.healthy_panic_threshold,
        overprovisioning_factor: mesh.overprovisioning_factor,
        weighted_priority_health: mesh.weighted_priority_health,
        lb_subset_config: mesh.lb_subset_config.as_ref(),
        locality_lb_setting: mesh.locality_lb_setting.as_ref(),
    };
    let mut candidates = candidates::Options::new(parts);
    candidates.metadata_match = mesh.metadata_match;
    // What a script says of localities is meant, even if no file does.
    if candidates.locality == LocalityMode::Ignored {
        candidates.locality = LocalityMode::WhereKnown;
    }
    Ok(ClusterConfig {
        connections: mesh.connection_pool.as_ref().map(Pool::options).transpose()?,
        candidates,
        // As in gRPC, a method that hedges is not retried.
        retry: mesh.retry.filter(|_| mesh.hedging.is_none()),
        hedge_policy: mesh.hedge_policy,
        hedging: mesh.hedging,
        circuit_breaker: mesh.circuit_breaker,
        priority: mesh.priority,
        outlier_detection: mesh.outlier_detection,
        failure_accrual: mesh.failure_accrual,
        health_check: mesh.health_check,
        guard: GuardOptions {
            admission_control: mesh.admission_control,
            local_rate_limit: mesh.local_rate_limit,
            nack_admission_filter: mesh.nack_admission_filter,
            adaptive_throttling: mesh.adaptive_throttling,
        },
        locality_lb_setting: mesh.locality_lb_setting,
        ..balancer.into()
    })
}

fn parse(text: &str) -> Result<Value, String> {
    // The loader copies what an alias stands for, and a few lines of aliases of aliases can stand for more than any memory holds.
    let mut events = Parser::new_from_str(text).map_while(Result::ok);
    if events.any(|(event, _)| matches!(event, Event::Alias(_))) {
        return Err("aliases (`*name`) are not supported here".to_string());
    }
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    match documents.as_slice() {
        [document] => value(document),
        documents => Err(format!("one document is wanted, and here are {}", documents.len())),
    }
}

fn value(node: &Yaml<'_>) -> Result<Value, String> {
    Ok(match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
        Yaml::Value(Scalar::Integer(value)) => (*value).into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => value.into_inner().into(),
        Yaml::Value(Scalar::String(value)) => value.as_ref().into(),
        Yaml::Sequence(items) => items.iter().map(value).collect::<Result<Vec<_>, _>>()?.into(),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, entry) in entries {
                let key = key.as_str().ok_or("a key is not a text")?;
                map.insert(key.to_string(), value(entry)?);
            }
            map.into()
        }
        _ => return Err("plain values, lists and maps are wanted; this has a tag".to_string()),
    })
}

/// What serde says, without the line (there is but one), and with the nearest name where one is unknown.
pub(super) fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.split_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let message = match error.column() {
        0 => message.to_string(),
        column => format!("{message} (column {column})"),
    };
    let mut quoted = message.split('`').skip(1).step_by(2).map(str::to_string);
    match quoted.next() {
        Some(unknown) if message.starts_with("unknown ") => {
            let known: Vec<String> = quoted.collect();
            suggest(message, &unknown, known.iter().map(String::as_str))
        }
        _ => message,
    }
}

/// The message, with the known name that `written` is a slip of, if there is one.
pub(super) fn suggest<'a>(message: String, written: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known
        .map(|name| (strsim::jaro_winkler(written, name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((similarity, name)) if similarity > 0.8 => format!("{message}\n  help: did you mean `{name}`?"),
        _ => message,
    }
}
