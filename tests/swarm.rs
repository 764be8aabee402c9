//! Random worlds from a seed: every feature of the model switched on or off at random, and what must hold in each.
//!
//! A failure prints the seed; `SWARM_SEED=n SWARM_WORLDS=1 cargo test swarm` runs that world alone.

use std::sync::Arc;

use meshsim::model::plan::*;
use meshsim::model::result::WindowResult;
use meshsim::model::{Elision, RunOptions, RunResult, run, run_audited};
use meshsim::policy::balancer;
use meshsim::policy::connection_pool::{self, Protocol};
use meshsim::policy::overload::{Criticality, GuardOptions, ShieldOptions};
use meshsim::policy::{ClusterConfig, EndpointInfo, RoutingPriority, discovery};
use meshsim::random::{ArrivalConfig, Distribution, Rng, Unit};
use meshsim::time::{Duration, Time};

const BALANCERS: [&str; 9] = [
    r#""envoy/round_robin""#,
    r#""envoy/random""#,
    r#""envoy/least_request""#,
    r#"{"envoy/least_request": {"selection_method": "FULL_SCAN"}}"#,
    r#"{"envoy/ring_hash": {"minimum_ring_size": 64}}"#,
    r#"{"envoy/maglev": {"table_size": 251}}"#,
    r#""linkerd/peak_ewma""#,
    r#""research/jsq""#,
    r#""research/jiq""#,
];

const HEALTH_CHECKS: [&str; 9] = [
    r#"{"interval": "10ms", "timeout": "4ms", "no_traffic_interval": "20ms", "work": "1ms"}"#,
    r#"{"interval": "7ms", "timeout": "7ms", "unhealthy_threshold": 1, "healthy_threshold": 1, "interval_jitter": "3ms"}"#,
    r#"{"interval": "10ms", "timeout": "2ms", "retriable_statuses": [503], "tcp_health_check": {}}"#,
    r#"{"haproxy/check": {"inter": "10ms", "fastinter": "2ms", "timeout": "5ms"}}"#,
    // Without work, so that checks that pass may be left out.
    r#"{"interval": "5ms", "timeout": "3ms"}"#,
    r#"{"interval": "8ms", "timeout": "2ms", "unhealthy_threshold": 1}"#,
    r#"{"interval": "6ms", "timeout": "5ms", "interval_jitter": "2ms", "interval_jitter_percent": 20, "retriable_statuses": [503]}"#,
    r#"{"interval": "9ms", "timeout": "4ms", "interval_jitter": "1ms", "tcp_health_check": {}}"#,
    r#"{"haproxy/check": {"inter": "5ms", "httpchk": false}}"#,
];

const OUTLIER_DETECTIONS: [&str; 2] = [
    r#"{"consecutive_5xx": 2, "interval": "10ms", "base_ejection_time": "20ms", "max_ejection_percent": 50}"#,
    r#"{"consecutive_5xx": 2, "interval": "20ms", "base_ejection_time": "100ms", "max_ejection_percent": 100, "successful_active_health_check_uneject_host": false}"#,
];

const LOCAL_RATE_LIMIT: &str = r#"{"token_bucket": {"max_tokens": 20, "tokens_per_fill": 10, "fill_interval": "50ms"}}"#;
const ADMISSION_CONTROL: &str = r#"{"sampling_window": "1s"}"#;
const ADAPTIVE_CONCURRENCY: &str = r#"{"gradient_controller_config": {
    "concurrency_limit_params": {"concurrency_update_interval": "10ms"},
    "min_rtt_calc_params": {"interval": "100ms", "request_count": 5}
}}"#;

fn options_of<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("these options are valid")
}

/// Ways of learning of endpoints, all much faster than real ones.
const DISCOVERIES: [&str; 6] = [
    r#"{"dns": {"ttl": "40ms", "records": "instant"}}"#,
    r#"{"dns": {"client": "grpc", "records": "instant", "min_resolution_interval": "30ms"}}"#,
    r#"{"dns": {"dns_refresh_rate": "10ms", "cache": "node", "ttl": "1s", "records": "planned"}}"#,
    r#"{"poll": {"interval": "20ms", "jitter": "5ms", "latency": "1ms"}}"#,
    r#"{"xds": {"debounce_after": "10ms", "kubernetes": {"readiness_probe": {"period": "10ms", "timeout": "2ms"}}}}"#,
    r#"{"kubernetes": {"pleg_relist_period": "5ms", "kube_proxy": {"min_sync_period": "10ms"}}}"#,
];

fn discoveries() -> Vec<DiscoveryPlan> {
    let plan = |text: &&str| {
        let config: discovery::Config = serde_json::from_str(text).expect("these options are valid");
        let no_file = &mut |_: &str| unreachable!("no file is named");
        let delays = config
            .stages()
            .map(|delay| delay.build(Unit::Duration, no_file).expect("these delays are valid"));
        DiscoveryPlan { config, delays }
    };
    DISCOVERIES.iter().map(plan).collect()
}

/// Draws a world.
struct Dice(Rng);

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.0.below(u64::from(n)) as u32
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    fn one<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }
}

/// Few different times, most of them whole milliseconds: many events fall on the same nanosecond.
fn distributions() -> Vec<Distribution> {
    vec![
        Distribution::Constant(1e6),
        Distribution::Constant(3e6),
        Distribution::Constant(0.0),
        Distribution::Exponential { mean: 2e6 },
        Distribution::Constant(1500.0),
    ]
}

struct Builder {
    dice: Dice,
    plan: Plan,
}

impl Builder {
    fn new(seed: u64) -> Builder {
        let mut dice = Dice(Rng::new(seed));
        let duration = Duration::from_millis(400);
        let zones = 1 + dice.below(3);
        let latencies = [
            Distribution::Constant(0.0),
            Distribution::Constant(1e6),
            Distribution::Exponential { mean: 5e5 },
        ];
        let link = |dice: &mut Dice| LinkPlan {
            latency: latencies[dice.below(3) as usize].clone(),
            loss: if dice.chance(20) { 0.05 } else { 0.0 },
            retransmission_timeout: Duration::from_millis(5),
            bandwidth: if dice.chance(20) { 1e6 } else { f64::INFINITY },
        };
        let uniform = dice.chance(50).then(|| link(&mut dice));
        let links = (0..zones * zones)
            .map(|_| uniform.clone().unwrap_or_else(|| link(&mut dice)))
            .collect();
        let plan = Plan {
            duration,
            warmup: Warmup::Fixed(Duration::ZERO),
            drain: Duration::from_millis(150),
            interval: Plan::series_interval(duration),
            network: NetworkPlan {
                zones,
                zone_names: (0..zones).map(|zone| format!("z{zone}")).collect(),
                zone_regions: vec![String::new(); zones as usize],
                links,
            },
            services: vec![],
            endpoints: vec![],
            operations: vec![],
            program: vec![],
            distributions: distributions(),
            branches: vec![],
            arms: vec![],
            sites: vec![],
            edges: vec![],
            clusters: vec![],
            discoveries: discoveries(),
            clients: vec![],
            faults: vec![],
            windows: vec![],
            named_endpoints: vec![],
        };
        Builder { dice, plan }
    }

    fn build(mut self) -> Plan {
        let services = 1 + self.dice.below(4);
        let clients = 1 + self.dice.below(2);
        for service in 0..services {
            self.service(service);
        }
        for client in 0..clients {
            let site = self.site(Owner::Client(client), self.dice.0.clone().below(u64::from(services)) as u32);
            self.client(site);
        }
        // A service calls only services before it, so there are no cycles.
        for service in 0..services {
            let start = self.plan.program.len() as u32;
            self.plan.operations.push(OperationPlan { service, start });
            self.steps(service, 3);
            self.plan.program.push(Instr::End);
        }
        if self.dice.chance(50) {
            // Users who do not think at all and meet refusals at once send a request each microsecond, as long as a fault lasts.
            for client in &mut self.plan.clients {
                if let Load::Closed { think, .. } = &mut client.load {
                    *think = if *think == 2 { 3 } else { *think };
                }
            }
            for _ in 0..1 + self.dice.below(3) {
                self.fault();
            }
        }
        let faults: Vec<u32> = (0..self.plan.faults.len() as u32).collect();
        self.plan.windows = vec![
            WindowPlan::Between(Time(0), Time(400_000_000)),
            WindowPlan::Between(Time(100_000_000), Time(233_333_333)),
        ];
        if !faults.is_empty() {
            self.plan.windows.extend([
                WindowPlan::Before(faults.clone()),
                WindowPlan::During(faults.clone()),
                WindowPlan::After(faults),
            ]);
        }
        self.plan.add_checks();
        self.plan
    }

    fn service(&mut self, index: u32) {
        let dice = &mut self.dice;
        let first_endpoint = self.plan.endpoints.len() as u32;
        let endpoint_count = 1 + dice.below(4);
        for endpoint in 0..endpoint_count {
            self.plan.endpoints.push(EndpointPlan {
                service: index,
                zone: endpoint % self.plan.network.zones,
                speed: dice.one(&[1.0, 1.0, 0.5, 2.0]),
                fail: Probability::new(dice.one(&[0.0, 0.0, 0.0, 0.1])),
                fail_status: 503,
                info: EndpointInfo {
                    address: format!("10.{index}.0.{}:8080", endpoint + 1),
                    weight: dice.one(&[1, 1, 1, 3]),
                    ..EndpointInfo::default()
                },
                membership: Membership {
                    joins: Time(if dice.chance(10) { 50_000_000 } else { 0 }),
                    leaves: if dice.chance(10) { Time(150_000_000) } else { Time::MAX },
                    drain: dice.one(&[Duration::ZERO, Duration::from_millis(10)]),
                },
            });
        }
        // Half of the services are plain ones, whose visits can be computed on arrival.
        let plain = dice.chance(50);
        let fancy = |value: bool| value && !plain;
        self.plan.services.push(ServicePlan {
            first_endpoint,
            endpoint_count,
            concurrency: dice.one(&[1, 1, 2, 5, UNLIMITED]),
            queue_limit: dice.one(&[UNLIMITED, UNLIMITED, 0, 3]),
            discipline: if fancy(dice.chance(60)) {
                dice.one(&[Discipline::Lifo, Discipline::ProcessorSharing, Discipline::AdaptiveLifo(1)])
            } else {
                Discipline::Fifo
            },
            cores: dice.one(&[1, 2]),
            queue_timeout: if fancy(dice.chance(30)) {
                Duration::from_millis(4)
            } else {
                Duration::MAX
            },
            threading: dice.one(&[Threading::Async, Threading::Sync]),
            shield: if fancy(dice.chance(30)) {
                let shield = dice.one(&[0, 1, 2]);
                ShieldOptions {
                    local_rate_limit: (shield == 0).then(|| options_of(LOCAL_RATE_LIMIT)),
                    admission_control: (shield == 1).then(|| options_of(ADMISSION_CONTROL)),
                    adaptive_concurrency: (shield == 2).then(|| options_of(ADAPTIVE_CONCURRENCY)),
                }
            } else {
                ShieldOptions::default()
            },
            codel: fancy(dice.chance(20)).then(|| options_of(r#"{"target": "1ms", "interval": "5ms"}"#)),
            shed: fancy(dice.chance(20)).then_some([1, 2, 4, 6]),
            retry_after: if dice.chance(30) {
                vec![(503, Duration::from_millis(3))]
            } else {
                Vec::new()
            },
            on_cancel: if fancy(dice.chance(40)) {
                dice.one(&[OnCancel::DropQueued, OnCancel::Stop])
            } else {
                OnCancel::Continue
            },
            first_operation: index,
            operation_count: 1,
        });
    }

    fn site(&mut self, owner: Owner, service: u32) -> u32 {
        let dice = &mut self.dice;
        let retry = dice.chance(50).then(|| {
            let retry = r#"{"num_retries": 2, "retry_on": "5xx,connect-failure,reset", "back_off": {"base_interval": "2ms"}}"#;
            serde_json::from_str(retry).expect("these options are valid")
        });
        let balancer = dice.one(&BALANCERS);
        let balancer: balancer::Config = serde_json::from_str(balancer).expect("these options are valid");
        let connections = if dice.chance(30) {
            let protocol = dice.one(&[Protocol::Http1, Protocol::Http2]);
            ConnectionPlan::Pooled(connection_pool::Options {
                protocol,
                idle_timeout: Duration::from_millis(20),
                ..connection_pool::Options::default()
            })
        } else {
            ConnectionPlan::Warm
        };
        let health_check = dice.chance(70).then(|| options_of(dice.one(&HEALTH_CHECKS)));
        let outlier_detection = dice.chance(25).then(|| options_of(dice.one(&OUTLIER_DETECTIONS)));
        let discovery = match dice.chance(40) {
            true => dice.below(DISCOVERIES.len() as u32),
            false => STATIC,
        };
        let cluster = self.plan.clusters.len() as u32;
        let circuit_breaker = dice.chance(30).then(|| {
            let breakers = [
                r#"{"max_connections": 2, "max_pending_requests": 3, "max_requests": 6, "max_retries": 1}"#,
                r#"{"max_requests": 6, "thresholds": [{"priority": "HIGH", "max_connections": 1, "max_connection_pools": 2}]}"#,
                r#"{"max_requests": 4, "retry_budget": {"budget_percent": "20%", "min_retry_concurrency": 1}}"#,
                r#"{"library/circuit_breaker": {"resilience4j": {"sliding_window_size": 10, "wait_duration_in_open_state": "20ms"}}}"#,
            ];
            serde_json::from_str(dice.one(&breakers)).expect("these options are valid")
        });
        let pool = match connections {
            ConnectionPlan::Pooled(mut options) if circuit_breaker.is_some() || dice.chance(20) => {
                options.connect_timeout = dice.one(&[Duration::MAX, Duration::from_millis(5)]);
                Some(options)
            }
            _ => None,
        };
        let hedging = dice.chance(15).then(|| {
            let hedging = r#"{"max_attempts": 3, "hedging_delay": "2ms", "non_fatal_status_codes": ["UNAVAILABLE"]}"#;
            serde_json::from_str(hedging).expect("these options are valid")
        });
        let hedge_policy = dice
            .chance(30)
            .then(|| serde_json::from_str(r#"{"hedge_on_per_try_timeout": true}"#).expect("these options are valid"));
        let config = Arc::new(ClusterConfig {
            retry: retry.filter(|_| hedging.is_none()),
            health_check,
            outlier_detection,
            guard: GuardOptions {
                local_rate_limit: dice.chance(10).then(|| options_of(LOCAL_RATE_LIMIT)),
                admission_control: dice.chance(10).then(|| options_of(ADMISSION_CONTROL)),
                ..GuardOptions::default()
            },
            circuit_breaker,
            pool,
            hedging,
            hedge_policy,
            ..ClusterConfig::from(balancer)
        });
        self.plan.clusters.push(ClusterPlan {
            owner,
            service,
            config,
            connections,
            demands: Vec::new(),
            discovery,
        });
        let edge = self.plan.edges.len() as u32;
        self.plan.edges.push(EdgePlan {
            from: owner,
            operation: service,
        });
        self.plan.sites.push(SitePlan {
            operation: service,
            edge,
            cluster,
            demand: NO_DEMAND,
            priority: dice.one(&[RoutingPriority::Default, RoutingPriority::Default, RoutingPriority::High]),
            timeout: dice.one(&[Duration::MAX, Duration::from_millis(20), Duration::from_millis(40)]),
            per_try_timeout: dice.one(&[Duration::MAX, Duration::from_millis(7), Duration::from_millis(10)]),
            deadline_propagation: dice.chance(15),
            criticality: dice.one(&[None, None, Some(Criticality::Sheddable), Some(Criticality::CriticalPlus)]),
            request_size: dice.one(&[NO_SIZE, 4]),
            response_size: dice.one(&[NO_SIZE, 4]),
        });
        self.plan.sites.len() as u32 - 1
    }

    fn client(&mut self, site: u32) {
        let dice = &mut self.dice;
        let load = if dice.chance(25) {
            Load::Closed {
                users: 1 + dice.below(20),
                think: dice.below(4),
            }
        } else {
            let arrivals = [
                r#"{"poisson": {"rate": "500/s"}}"#,
                r#"{"constant": {"rate": "1000/s"}}"#,
                r#"{"batch": {"rate": "100/s", "size": 5}}"#,
            ];
            let arrivals: ArrivalConfig = serde_json::from_str(dice.one(&arrivals)).expect("these options are valid");
            Load::Open(
                arrivals
                    .build(&mut |_: &str| unreachable!("no file is named"))
                    .expect("these options are valid"),
            )
        };
        let hashes: Arc<[u64]> = (0..50).map(|key: u64| key.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        let zones = self.plan.network.zones;
        self.plan.clients.push(ClientPlan {
            site,
            load,
            keys: if dice.chance(50) {
                KeyPlan::Uniform { hashes }
            } else {
                KeyPlan::None
            },
            caller_zones: (0..1 + dice.below(3)).map(|caller| caller % zones).collect(),
            objective: 0.999,
        });
    }

    /// Appends steps for an operation of `service`.
    fn steps(&mut self, service: u32, depth: u32) {
        for _ in 0..self.dice.below(3) + u32::from(depth == 3) {
            let on_error = self.dice.one(&[OnError::Fail, OnError::Ignore]);
            match self.dice.below(if depth == 0 { 3 } else { 7 }) {
                0 | 1 => {
                    let distribution = self.dice.below(4);
                    self.plan.program.push(Instr::Work { distribution });
                }
                2 => {
                    let probability = Probability::new(0.05);
                    self.plan.program.push(Instr::Fail {
                        probability,
                        status: 502,
                    });
                }
                3 | 4 if service > 0 => {
                    let called = self.dice.below(service);
                    let site = self.site(Owner::Service(service), called);
                    self.plan.program.push(Instr::Call { site, on_error });
                }
                5 => {
                    let at = self.plan.program.len();
                    self.plan.program.push(Instr::End);
                    self.steps(service, depth - 1);
                    let to = self.plan.program.len() as u32;
                    self.plan.program[at] = Instr::Maybe {
                        probability: Probability::new(0.4),
                        to,
                    };
                }
                6 if service > 0 => self.parallel(service, depth, on_error),
                _ => {}
            }
        }
    }

    fn parallel(&mut self, service: u32, depth: u32, on_error: OnError) {
        let skip = self.plan.program.len();
        self.plan.program.push(Instr::End);
        let count = 1 + self.dice.below(3);
        let mut starts = Vec::new();
        for _ in 0..count {
            starts.push(self.plan.program.len() as u32);
            self.steps(service, depth - 1);
            self.plan.program.push(Instr::End);
        }
        let to = self.plan.program.len() as u32;
        self.plan.program[skip] = Instr::Jump { to };
        let first = self.plan.branches.len() as u32;
        self.plan.branches.extend(starts);
        self.plan.program.push(Instr::Parallel { first, count, on_error });
    }

    fn fault(&mut self) {
        let dice = &mut self.dice;
        let service = dice.below(self.plan.services.len() as u32);
        let endpoint = dice.below(self.plan.endpoints.len() as u32);
        let repeat = match dice.below(6) {
            // Distribution 1 is 3 ms, 3 is exponential with a mean of 2 ms.
            0 => RepeatPlan::Every {
                gap: 3,
                until: dice.one(&[Time::MAX, Time(250_000_000)]),
            },
            1 => RepeatPlan::Random {
                mttf: 3,
                mttr: dice.one(&[1, 3]),
                by: dice.one(&[UnitPlan::Endpoint, UnitPlan::Zone, UnitPlan::All]),
                until: dice.one(&[Time::MAX, Time(250_000_000)]),
            },
            _ => RepeatPlan::Once,
        };
        let lasts = match repeat {
            RepeatPlan::Once => dice.one(&[Duration::MAX, Duration::from_millis(30), Duration::from_millis(80)]),
            _ => Duration::from_millis(7),
        };
        let target = match dice.below(3) {
            0 => TargetPlan::Endpoints(vec![endpoint]),
            1 => TargetPlan::Some { service, count: 1 },
            _ => TargetPlan::Several(vec![
                TargetPlan::Some { service, count: 2 },
                TargetPlan::Endpoints(vec![endpoint]),
            ]),
        };
        let at = Time(u64::from(dice.below(300)) * 1_000_000);
        let kind = self.fault_kind();
        self.plan.faults.push(FaultPlan {
            label: "fault".to_string(),
            what: "fault".to_string(),
            at,
            lasts,
            repeat,
            target,
            kind,
        });
    }

    fn fault_kind(&mut self) -> FaultKind {
        let dice = &mut self.dice;
        let cold_start = ColdStartPlan {
            factor: 4.0,
            lasts: dice.one(&[Duration::ZERO, Duration::from_millis(20)]),
            requests: dice.one(&[0, 10]),
        };
        let cold_start = dice.chance(50).then_some(cold_start);
        let share = Probability::new(dice.one(&[0.1, 0.5, 1.0]));
        match dice.below(20) {
            0..=2 => FaultKind::Crash {
                mode: dice.one(&[CrashMode::Refuse, CrashMode::Hang, CrashMode::Reset]),
                cold_start,
                is_node: dice.chance(20),
            },
            3 => FaultKind::SlowFactor(dice.one(&[3.0, 0.5])),
            4 => FaultKind::SlowAdd(0),
            5 | 6 => FaultKind::Throttle {
                quota: dice.one(&[Duration::from_millis(2), Duration::from_micros(500)]),
                period: Duration::from_millis(5),
                phase: dice.one(&[Duration::ZERO, Duration::MAX]),
            },
            7 | 8 => FaultKind::Pause {
                again: dice.chance(50).then_some((1, dice.one(&[0, 3]))),
            },
            9 => FaultKind::Errors { share, status: 500 },
            10 => FaultKind::Hang { share },
            11 => FaultKind::Leak(LeakPlan {
                per_request: dice.one(&[0.0, 10.0]),
                per_second: dice.one(&[1000.0, 20_000.0]),
                limit: 300.0,
                restart: Duration::from_millis(3),
                back_off: Duration::from_millis(5),
                back_off_max: Duration::from_millis(20),
                back_off_reset: Duration::from_millis(100),
                cold_start,
            }),
            12..=14 => FaultKind::Link(self.link_fault()),
            15 => FaultKind::Inject(InjectPlan {
                from: self.party(),
                to: Vec::new(),
                callers: share,
                delay: self.dice.chance(60).then_some((share, 1)),
                abort: self.dice.chance(30).then_some((share, 503)),
                timeout: self.dice.one(&[Duration::MAX, Duration::from_millis(2)]),
            }),
            16 => FaultKind::Spike {
                clients: vec![0],
                factor: self.dice.one(&[0.5, 1.5, 3.0]),
            },
            17 => FaultKind::SlowControlPlane {
                factor: dice.one(&[1.0, 5.0]),
                add: dice.chance(50).then_some(1),
            },
            18 => FaultKind::Wrong(WrongPlan {
                from: self.party(),
                to: Vec::new(),
                callers: share,
                astray: self.dice.one(&[
                    Astray::Nobody(CrashMode::Refuse),
                    Astray::Nobody(CrashMode::Hang),
                    Astray::Nobody(CrashMode::Reset),
                    Astray::Other(404),
                ]),
            }),
            _ => FaultKind::HotKey {
                clients: vec![0],
                share,
                key: 3,
            },
        }
    }

    fn link_fault(&mut self) -> LinkFaultPlan {
        let effect = match self.dice.below(4) {
            0 => LinkEffect::Loss(0.3),
            1 => LinkEffect::Latency(vec![1, 3]),
            2 => LinkEffect::Bandwidth(1e5),
            _ => LinkEffect::Cut,
        };
        LinkFaultPlan {
            from: self.party(),
            to: self.party(),
            one_way: self.dice.chance(50),
            effect,
        }
    }

    fn party(&mut self) -> PartyPlan {
        let mut party = PartyPlan::default();
        match self.dice.below(5) {
            0 => party.everybody = true,
            1 => party.zones = vec![self.dice.below(self.plan.network.zones)],
            2 => party.services = vec![self.dice.below(self.plan.services.len() as u32)],
            3 => party.clients = vec![0],
            _ => party.endpoints = vec![self.dice.below(self.plan.endpoints.len() as u32)],
        }
        party
    }
}

fn options(seed: u64, elision: Elision) -> RunOptions {
    RunOptions {
        seed,
        replication: 0,
        warmup: Duration::from_millis(50),
        elision,
        pilot: true,
    }
}

/// A window over the whole run holds what the run holds; each other one no more than that.
fn check_windows(result: &RunResult) {
    let whole = &result.windows[0];
    assert_eq!(whole.measured_nanos, result.measured_nanos);
    for (client, all) in whole.clients.iter().zip(&result.clients) {
        assert_eq!(
            (client.requests, client.attempts, &client.failures),
            (all.requests, all.attempts, &all.failures)
        );
        assert!(client.latency == all.latency && client.failed_latency == all.failed_latency);
    }
    assert_eq!(whole.edges, result.edges);
    for (service, all) in whole.services.iter().zip(&result.services) {
        assert!(service.latency == all.latency && service.queue_wait == all.queue_wait);
        assert_eq!((service.attempts, service.waited), (all.attempts, all.waited));
        assert_eq!((service.work_nanos, service.wasted_nanos), (all.work_nanos, all.wasted_nanos));
        assert!(service.wasted_nanos <= service.work_nanos, "more is wasted than done");
        assert_eq!(service.in_flight_nanos, all.in_flight_nanos);
        assert!(service.connections <= all.connections);
    }
    for (endpoint, all) in whole.endpoints.iter().zip(&result.endpoints) {
        assert_eq!(endpoint.busy_nanos, all.busy_nanos);
        assert!(endpoint.attempts <= all.attempts);
    }
    for window in &result.windows[1..] {
        assert!(window.measured_nanos <= whole.measured_nanos);
        let requests = |window: &WindowResult| window.clients.iter().map(|client| client.requests).sum::<u64>();
        assert!(requests(window) <= requests(whole));
    }
}

/// What must hold of any result.
fn check(plan: &Plan, result: &RunResult) {
    check_windows(result);
    for (client, result) in result.clients.iter().enumerate() {
        assert_eq!(
            result.requests,
            result.latency.count() + result.failures.total(),
            "requests of client {client}"
        );
        let over_time: u64 = result.requests_over_time.sums().iter().sum();
        assert!(over_time >= result.requests, "requests over time of client {client}");
    }
    for (edge, result) in result.edges.iter().enumerate() {
        assert_eq!(
            result.calls,
            result.latency.count() + result.failures.total(),
            "calls of edge {edge}"
        );
        assert!(result.attempts >= result.latency.count(), "attempts of edge {edge}");
    }
    for (index, service) in result.services.iter().enumerate() {
        let plan_of = &plan.services[index];
        let endpoints = &result.endpoints[plan_of.first_endpoint as usize..][..plan_of.endpoint_count as usize];
        let sum = |field: fn(&meshsim::model::result::EndpointResult) -> u64| endpoints.iter().map(field).sum::<u64>();
        assert_eq!(
            service.attempts,
            sum(|endpoint| endpoint.attempts),
            "attempts of service {index}"
        );
        assert_eq!(
            service.failures.total(),
            sum(|endpoint| endpoint.failures),
            "failures of service {index}"
        );
        assert_eq!(
            service.queue_wait.count(),
            sum(|endpoint| endpoint.served),
            "served by service {index}"
        );
        assert_eq!(
            service.attempts,
            service.latency.count() + service.failures.total(),
            "answers of service {index}"
        );
        let in_flight: u64 = service.in_flight_over_time.sums().iter().sum();
        assert!(
            u128::from(in_flight) >= service.in_flight_nanos,
            "requests at service {index}"
        );
        if plan_of.concurrency != UNLIMITED {
            let slots = match plan_of.discipline {
                Discipline::ProcessorSharing => plan_of.cores,
                _ => plan_of.concurrency,
            };
            for endpoint in endpoints {
                let most = u128::from(result.measured_nanos) * u128::from(slots);
                assert!(
                    endpoint.busy_nanos <= most,
                    "an endpoint of service {index} is busier than it can be"
                );
            }
        }
    }
}

#[test]
fn leaving_events_out_changes_no_result() {
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let first = number("SWARM_SEED", 1);
    let (mut requests, mut left_out) = (0, 0_i64);
    for seed in first..first + number("SWARM_WORLDS", 400) {
        println!("SWARM_SEED={seed}");
        let plan = Builder::new(seed).build();
        let mut on = run(&plan, options(seed, Elision::On));
        let mut off = run(&plan, options(seed, Elision::Off));
        check(&plan, &on);
        requests += on.clients.iter().map(|client| client.requests).sum::<u64>();
        // A look ahead at checks of which the next one fails is an event for nothing; over all worlds it pays.
        left_out += off.events_total as i64 - on.events_total as i64;
        for result in [&mut on, &mut off] {
            result.digest = 0;
            result.events_total = 0;
        }
        assert_eq!(on, off, "seed {seed}");
    }
    assert!(
        requests > 0 && left_out > 0,
        "the worlds do something, and elision is at work in them"
    );
}

#[test]
fn a_world_repeats_itself() {
    let mut differ = 0;
    for seed in 1..40 {
        let plan = Builder::new(seed).build();
        let first = run(&plan, options(seed, Elision::On));
        assert_eq!(first, run(&plan, options(seed, Elision::On)), "seed {seed}");
        let other = run(&plan, options(seed + 1, Elision::On));
        differ += u32::from(first.digest != other.digest);
    }
    // Some worlds leave nothing to chance.
    assert!(differ > 20, "the seed does not count");
}

/// The same world, in which nothing gets through for two milliseconds again and again: each time there are packets on their way.
fn with_cuts(mut plan: Plan) -> Plan {
    let gap = plan.distributions.len() as u32;
    plan.distributions.push(Distribution::Constant(11e6));
    let everybody = || PartyPlan {
        everybody: true,
        ..PartyPlan::default()
    };
    plan.faults.push(FaultPlan {
        label: "cut".to_string(),
        what: "cut".to_string(),
        at: Time(10_300_000),
        lasts: Duration::from_millis(2),
        repeat: RepeatPlan::Every { gap, until: Time::MAX },
        target: TargetPlan::Endpoints(Vec::new()),
        kind: FaultKind::Link(LinkFaultPlan {
            from: everybody(),
            to: everybody(),
            one_way: false,
            effect: LinkEffect::Cut,
        }),
    });
    plan
}

#[test]
fn what_must_hold_holds_after_every_event() {
    for seed in 1000..1120 {
        println!("SWARM_SEED={seed}");
        let plan = Builder::new(seed).build();
        let plan = if seed % 2 == 0 { plan } else { with_cuts(plan) };
        for elision in [Elision::On, Elision::Off] {
            let options = options(seed, elision);
            assert_eq!(run_audited(&plan, options), run(&plan, options), "seed {seed}");
        }
    }
}
