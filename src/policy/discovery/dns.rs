//! Name servers: what is cached where, and when clients ask again.
//!
//! Envoy's clusters are after `source/extensions/clusters/dns` and `strict_dns`, `logical_dns` of envoyproxy/envoy, gRPC's resolver after
//! `internal/resolver/dns/dns_resolver.go` of grpc/grpc-go, caches after RFC 1035 and RFC 2308.

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::seconds;
use super::{Records, at_least_a_millisecond, kubernetes};
use crate::random::{DistributionConfig, Rng};
use crate::time::{Duration, Time};

/// What a user may write.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "DnsDiscovery")]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How long an answer may be kept; 5s if absent, as CoreDNS answers for Kubernetes (kubeadm sets 30s).
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub ttl: Duration,
    /// How long the answer may be kept that there is nobody; 5s if absent.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Duration")]
    pub negative_ttl: Duration,
    /// Who keeps answers between the client and the name server; `caller` if absent.
    pub cache: Cache,
    /// Who asks; `envoy` if absent.
    pub client: Client,
    /// Envoy's kind of cluster; `strict_dns` if absent.
    #[serde(rename = "type", alias = "dns_type")]
    pub kind: Kind,
    /// From an answer to the next question, where the answer's own time does not count: 5s if absent for Envoy, 30s for the JVM, 10s for
    /// HAProxy.
    #[serde(alias = "refresh_rate")]
    pub dns_refresh_rate: Option<Duration>,
    /// Whether Envoy asks again when the answer's time is over, and not by `dns_refresh_rate`; if absent, unless `dns_refresh_rate` is there.
    pub respect_dns_ttl: Option<bool>,
    /// Up to so much is added to each wait of Envoy's at random; nothing if absent.
    pub dns_jitter: Duration,
    /// The back-off after failures; `dns_refresh_rate` if absent.
    #[serde(alias = "failure_refresh_rate")]
    pub dns_failure_refresh_rate: Option<FailureRefreshRate>,
    /// gRPC asks at most so often; 30s if absent.
    pub min_resolution_interval: Duration,
    /// How long an answer takes; no time if absent.
    #[serde(alias = "latency")]
    pub resolver_latency: DistributionConfig,
    /// How long a name server is waited for; 5s if absent.
    #[serde(alias = "timeout")]
    pub query_timeout: Duration,
    /// How often it is asked before that is a failure; 4 if absent.
    #[serde(alias = "tries")]
    pub query_tries: u32,
    /// Who keeps the records; `kubernetes` (a headless service) if absent.
    pub records: Records,
    /// The pods, where Kubernetes keeps the records.
    pub kubernetes: kubernetes::Options,
}

/// Who keeps answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "DnsCache")]
#[serde(rename_all = "snake_case")]
pub enum Cache {
    /// Each caller by itself.
    Caller,
    /// The callers of a zone together, as behind CoreDNS or NodeLocal DNSCache: an answer is handed on with the time that it has left.
    Node,
    /// Nobody.
    None,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "DnsClient")]
#[serde(rename_all = "snake_case")]
pub enum Client {
    /// Envoy, again and again.
    Envoy,
    /// gRPC: when a connection is lost, and then not too often.
    Grpc,
    /// The Java virtual machine: keeps an answer for its own time, whatever that says.
    Jvm,
    /// nginx: once, at its start.
    Nginx,
    /// HAProxy's `resolvers`.
    Haproxy,
}

/// Envoy's kinds of clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "DnsClusterType")]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Every address is an endpoint.
    #[serde(alias = "STRICT_DNS")]
    StrictDns,
    /// The first address of the answer is the only endpoint.
    #[serde(alias = "LOGICAL_DNS")]
    LogicalDns,
}

/// Envoy's back-off after failures: a random wait below a bound that doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailureRefreshRate {
    /// The first bound.
    pub base_interval: Duration,
    /// The last one; ten times the first if absent.
    pub max_interval: Option<Duration>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            ttl: Duration::from_secs(5),
            negative_ttl: Duration::from_secs(5),
            cache: Cache::Caller,
            client: Client::Envoy,
            kind: Kind::StrictDns,
            dns_refresh_rate: None,
            respect_dns_ttl: None,
            dns_jitter: Duration::ZERO,
            dns_failure_refresh_rate: None,
            min_resolution_interval: Duration::from_secs(30),
            resolver_latency: DistributionConfig::constant(Duration::ZERO),
            query_timeout: Duration::from_secs(5),
            query_tries: 4,
            records: Records::Kubernetes,
            kubernetes: kubernetes::Options::default(),
        }
    }
}

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There was an answer, which may be kept for this long.
    Resolved {
        /// What is left of its time.
        ttl: Duration,
    },
    /// There was none.
    Failed,
}

impl Options {
    pub(super) fn check(&self) -> Result<(), String> {
        at_least_a_millisecond(self.refresh_rate(), "dns_refresh_rate")?;
        at_least_a_millisecond(self.min_resolution_interval, "min_resolution_interval")?;
        at_least_a_millisecond(self.query_timeout, "query_timeout")?;
        if let Some(rate) = self.dns_failure_refresh_rate {
            at_least_a_millisecond(rate.base_interval, "base_interval")?;
            if rate.max_interval.is_some_and(|max| max < rate.base_interval) {
                return Err("`max_interval` must not be shorter than `base_interval`".to_string());
            }
        }
        if self.query_tries == 0 {
            return Err("`query_tries` must be at least 1".to_string());
        }
        self.kubernetes.check()
    }

    /// How often a client asks that does not go by the answers.
    pub fn refresh_rate(&self) -> Duration {
        let of_client = match self.client {
            Client::Envoy | Client::Grpc | Client::Nginx => Duration::from_secs(5),
            Client::Jvm => Duration::from_secs(30),
            Client::Haproxy => Duration::from_secs(10),
        };
        self.dns_refresh_rate.unwrap_or(of_client)
    }

    /// Whether the client goes by the time of the answers.
    pub fn respects_ttl(&self) -> bool {
        let is_unsaid = self.dns_refresh_rate.is_none();
        self.client == Client::Envoy && self.respect_dns_ttl.unwrap_or(is_unsaid)
    }

    /// How long a question takes that nobody answers.
    pub fn failure_after(&self) -> Duration {
        Duration(self.query_timeout.0.saturating_mul(u64::from(self.query_tries)))
    }

    /// How long the name server's answer may be kept.
    pub fn ttl_of(&self, is_empty: bool) -> Duration {
        if is_empty { self.negative_ttl } else { self.ttl }
    }

    /// From one question to the next while nothing fails.
    pub fn period(&self) -> Duration {
        match self.respects_ttl() && self.ttl > Duration::ZERO {
            true => self.ttl,
            false => self.refresh_rate(),
        }
    }
}

/// What is left of the time of an answer that is kept until `expires`, as a cache hands it on: in whole seconds.
pub fn remaining(expires: Time, now: Time) -> Duration {
    let left = expires.since(now).0;
    Duration(left.div_ceil(1_000_000_000) * 1_000_000_000)
}

/// When Envoy (or another client that asks again and again) asks next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refresher {
    // Failures in a row.
    failures: u32,
}

impl Refresher {
    /// How long after this answer the next question comes.
    pub fn next(&mut self, options: &Options, answer: Answer, rng: &mut Rng) -> Duration {
        match answer {
            Answer::Resolved { ttl } => {
                self.failures = 0;
                let wait = match options.respects_ttl() && ttl > Duration::ZERO {
                    true => ttl,
                    false => options.refresh_rate(),
                };
                match options.dns_jitter {
                    Duration::ZERO => wait,
                    jitter => wait + Duration(rng.below(jitter.0)),
                }
            }
            Answer::Failed => {
                let Some(rate) = options.dns_failure_refresh_rate else {
                    return options.refresh_rate();
                };
                let max = rate.max_interval.unwrap_or(Duration(rate.base_interval.0.saturating_mul(10)));
                let wait = back_off(rate.base_interval, max, self.failures, rng);
                self.failures = self.failures.saturating_add(1);
                wait.max(Duration::from_millis(1))
            }
        }
    }
}

/// Envoy's jittered exponential back-off: anything below a bound that begins with `base` and doubles up to `max`.
pub fn back_off(base: Duration, max: Duration, failures: u32, rng: &mut Rng) -> Duration {
    let bound = base.0.saturating_mul(1 << failures.min(30)).min(max.0);
    Duration(rng.below(bound.max(1)))
}

/// When gRPC asks: at the start, when it is told that a connection was lost, and after failures.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrpcResolver {
    // When it may ask next; the floor after a success, the back-off after a failure.
    earliest: Time,
    is_running: bool,
    // A question is already due.
    is_due: bool,
    // It was told to ask while it asked.
    is_told: bool,
    failures: u32,
}

impl GrpcResolver {
    /// One that has just asked with success, at `now`.
    pub fn resolved(options: &Options, now: Time) -> GrpcResolver {
        GrpcResolver {
            earliest: now + options.min_resolution_interval,
            ..GrpcResolver::default()
        }
    }

    /// A connection was lost or could not be made: when to ask; `None`: that is settled already.
    pub fn resolve_now(&mut self, now: Time) -> Option<Time> {
        if self.is_running {
            self.is_told = true;
            return None;
        }
        if std::mem::replace(&mut self.is_due, true) {
            return None;
        }
        Some(self.earliest.max(now))
    }

    /// It asks now.
    pub fn begin(&mut self) {
        self.is_due = false;
        self.is_running = true;
    }

    /// There is an answer, or none: when to ask next, if that is settled.
    pub fn on_answer(&mut self, options: &Options, answer: Answer, now: Time, rng: &mut Rng) -> Option<Time> {
        self.is_running = false;
        match answer {
            Answer::Resolved { .. } => {
                self.failures = 0;
                self.earliest = now + options.min_resolution_interval;
            }
            Answer::Failed => {
                // 1 s, 1.6 times as long each time up to 120 s, and a fifth more or less.
                let mut wait: f64 = 1.0;
                for _ in 0..self.failures.min(20) {
                    wait = (wait * 1.6).min(120.0);
                }
                self.failures = self.failures.saturating_add(1);
                self.earliest = now + Duration::from_secs_f64(wait * (0.8 + 0.4 * rng.unit()));
                self.is_told = true;
            }
        }
        if std::mem::take(&mut self.is_told) {
            self.is_due = true;
            return Some(self.earliest);
        }
        None
    }
}
