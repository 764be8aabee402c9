//! Results without a simulation: a small mesh whose latencies, failures and loads are drawn by a formula, so that what
//! reports make of them is known beforehand.

use std::sync::Arc;

use meshsim::experiment::{FaultLabel, Names, Outcome, Scenario, Variant, VariantResult};
use meshsim::measure::{Histogram, Series, SeriesHistogram};
use meshsim::model::plan::{
    Discipline, EdgePlan, EndpointPlan, Membership, NetworkPlan, OnCancel, OperationPlan, Owner, Plan, Probability, ServicePlan,
    Threading, UNLIMITED, Warmup,
};
use meshsim::model::result::{ClientResult, EdgeResult, EndpointResult, Failures, RunResult, ServiceResult};
use meshsim::time::{Duration, Time};

/// Seconds that arrivals last, and that the warm-up takes.
pub const DURATION: u64 = 300;
pub const WARMUP: u64 = 30;
/// The fault, in seconds.
pub const FAULT: (u64, u64) = (120, 180);

/// How one variant behaves.
#[derive(Clone, Copy)]
pub struct Behaviour {
    pub name: &'static str,
    /// Median latency in milliseconds.
    pub median: f64,
    /// Requests in ten thousand that fail during the fault.
    pub failing: u64,
}

pub const THREE: [Behaviour; 3] = [
    Behaviour {
        name: "round_robin",
        median: 6.0,
        failing: 3_300,
    },
    Behaviour {
        name: "least_request",
        median: 5.0,
        failing: 900,
    },
    Behaviour {
        name: "peak_ewma",
        median: 4.0,
        failing: 300,
    },
];

/// A scenario with these variants and `endpoints` endpoints of its second service.
pub fn scenario(variants: &[Behaviour], endpoints: u32, replications: u32) -> Scenario {
    let variants = variants.iter().map(|behaviour| Variant {
        name: behaviour.name.to_string(),
        plan: Arc::new(plan(endpoints)),
        names: names(endpoints),
        faults: vec![FaultLabel {
            at: Time(FAULT.0 * 1_000_000_000),
            until: Time(FAULT.1 * 1_000_000_000),
            label: "crash zone b".to_string(),
        }],
        windows: Vec::new(),
    });
    let variants: Vec<Variant> = variants.collect();
    Scenario {
        statistics: Default::default(),
        name: "zone-outage".to_string(),
        description: "One of three zones dies for a minute; which balancer hides it <best>?".to_string(),
        seed: 42,
        replications,
        digest: 0x0123_4567_89ab_cdef,
        source_text: "apiVersion: meshsim/v1\nname: zone-outage # <&>\n".to_string(),
        source_name: "scenarios/zone-outage.yaml".to_string(),
        files: Vec::new(),
        all_variants: variants.iter().map(|variant| variant.name.clone()).collect(),
        variants,
        expect: Vec::new(),
        baseline: Default::default(),
        estimate: Default::default(),
    }
}

/// What a run of it might have given.
pub fn outcome(scenario: &Scenario, behaviours: &[Behaviour], requests_per_second: u64) -> Outcome {
    let variants = scenario.variants.iter().zip(behaviours).map(|(variant, behaviour)| {
        let mut fold = VariantResult::new(&variant.plan, Duration::from_secs(WARMUP));
        for replication in 0..scenario.replications {
            fold.add(&result(&variant.plan, behaviour, replication, requests_per_second));
        }
        fold
    });
    Outcome {
        reached: None,
        variants: variants.collect(),
        warnings: Vec::new(),
    }
}

fn names(endpoints: u32) -> Names {
    let cart = (0..endpoints).map(|i| format!("cart-{i}"));
    Names {
        zones: vec!["a".into(), "b".into()],
        services: vec!["frontend".into(), "cart".into()],
        endpoints: ["frontend-0".to_string(), "frontend-1".to_string()]
            .into_iter()
            .chain(cart)
            .collect(),
        operations: vec!["home".into(), "get".into()],
        clients: vec!["web".into()],
        edges: vec!["web->frontend/home".into(), "frontend->cart/get".into()],
    }
}

fn plan(endpoints: u32) -> Plan {
    let service = |first_endpoint, endpoint_count, concurrency, first_operation| ServicePlan {
        first_endpoint,
        endpoint_count,
        concurrency,
        queue_limit: UNLIMITED,
        discipline: Discipline::Fifo,
        cores: 1,
        queue_timeout: Duration::MAX,
        threading: Threading::Async,
        on_cancel: OnCancel::Continue,
        shield: Default::default(),
        codel: None,
        shed: None,
        retry_after: Vec::new(),
        first_operation,
        operation_count: 1,
    };
    let endpoint = |service| EndpointPlan {
        service,
        zone: 0,
        speed: 1.0,
        fail: Probability::NEVER,
        fail_status: 503,
        info: Default::default(),
        membership: Membership::ALWAYS,
    };
    let edge = |from, operation| EdgePlan { from, operation };
    Plan {
        duration: Duration::from_secs(DURATION),
        warmup: Warmup::Fixed(Duration::from_secs(WARMUP)),
        drain: Duration::from_secs(60),
        interval: Duration::from_secs(1),
        network: NetworkPlan {
            zones: 1,
            zone_names: vec![String::new()],
            zone_regions: vec![String::new()],
            links: Vec::new(),
        },
        services: vec![service(0, 2, UNLIMITED, 0), service(2, endpoints, 8, 1)],
        endpoints: (0..2 + endpoints).map(|index| endpoint(u32::from(index >= 2))).collect(),
        operations: vec![OperationPlan { service: 0, start: 0 }, OperationPlan { service: 1, start: 1 }],
        program: Vec::new(),
        distributions: Vec::new(),
        branches: Vec::new(),
        arms: Vec::new(),
        sites: Vec::new(),
        edges: vec![edge(Owner::Client(0), 0), edge(Owner::Service(0), 1)],
        clusters: Vec::new(),
        discoveries: Vec::new(),
        clients: vec![client()],
        faults: Vec::new(),
        windows: Vec::new(),
        named_endpoints: Vec::new(),
    }
}

fn client() -> meshsim::model::plan::ClientPlan {
    meshsim::model::plan::ClientPlan {
        site: 0,
        load: meshsim::model::plan::Load::Closed { users: 1, think: 0 },
        keys: meshsim::model::plan::KeyPlan::None,
        caller_zones: vec![0],
        objective: 0.999,
    }
}

/// SplitMix64 (Steele, Lea & Flood 2014): enough for a picture.
struct Mix(u64);

impl Mix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }

    /// About standard normal: the sum of twelve uniform draws less six.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

fn result(plan: &Plan, behaviour: &Behaviour, replication: u32, requests_per_second: u64) -> RunResult {
    let (duration, interval) = (plan.duration, plan.interval);
    // The same requests in every variant, as under common random numbers.
    let mut mix = Mix(u64::from(replication) + 1);
    let mut client = ClientResult {
        latency_over_time: SeriesHistogram::new(duration, interval),
        requests_over_time: Series::new(duration, interval),
        failures_over_time: Series::new(duration, interval),
        ..ClientResult::default()
    };
    let endpoints = plan.endpoints.len();
    let mut loads = vec![0_u64; endpoints];
    for i in 0..DURATION * requests_per_second {
        let at = Time(i * 1_000_000_000 / requests_per_second);
        let second = at.0 / 1_000_000_000;
        let broken = (FAULT.0..FAULT.1).contains(&second);
        let slow = if broken { 1.8 } else { 1.0 };
        let nanos = behaviour.median * slow * 1e6 * meshsim::math::exp(0.6 * mix.normal());
        let failed = broken && mix.next() % 10_000 < behaviour.failing;
        let measured = second >= WARMUP;
        client.requests_over_time.add(at, 1);
        if failed {
            client.failures_over_time.add(at, 1);
        } else {
            client.latency_over_time.record(at, nanos as u64);
        }
        if measured {
            client.requests += 1;
            client.attempts += 1 + u64::from(failed);
            match failed {
                true if i % 3 == 0 => client.failures.timeout += 1,
                true => client.failures.add_status(503),
                false => {}
            }
            let histogram = if failed {
                &mut client.failed_latency
            } else {
                &mut client.latency
            };
            histogram.record(nanos as u64);
            let skew = mix.unit() * mix.unit();
            loads[2 + (skew * (endpoints - 2) as f64) as usize] += 1;
            loads[(i % 2) as usize] += 1;
        }
    }
    assemble(plan, client, &loads)
}

fn assemble(plan: &Plan, client: ClientResult, loads: &[u64]) -> RunResult {
    let window = plan.duration.0 - WARMUP * 1_000_000_000;
    let endpoints = loads.iter().map(|&attempts| EndpointResult {
        attempts,
        failures: attempts / 100,
        served: attempts,
        queue_wait_nanos: u128::from(attempts) * 2_000_000,
        busy_nanos: u128::from(attempts) * 5_000_000,
        attempts_over_time: Series::new(plan.duration, plan.interval),
    });
    let services = plan.services.iter().map(|service| {
        let range = service.first_endpoint as usize..(service.first_endpoint + service.endpoint_count) as usize;
        let attempts: u64 = loads[range].iter().sum();
        let mut queue_wait = Histogram::new();
        (0..attempts).for_each(|i| queue_wait.record(if i % 4 == 0 { 8_000_000 } else { 0 }));
        ServiceResult {
            ejections: 0,
            attempts,
            failures: Failures::default(),
            latency: client.latency.clone(),
            queue_wait,
            waited: attempts.div_ceil(4),
            in_flight_nanos: u128::from(window) * 3,
            connections: u64::from(service.endpoint_count) * 2,
            attempts_over_time: client.requests_over_time.clone(),
            failures_over_time: client.failures_over_time.clone(),
            in_flight_over_time: Series::new(plan.duration, plan.interval),
            ..ServiceResult::default()
        }
    });
    let edge = EdgeResult {
        calls: client.requests,
        attempts: client.attempts,
        failures: client.failures.clone(),
        latency: client.latency.clone(),
    };
    RunResult {
        fault_windows: Vec::new(),
        digest: client.latency.sum() as u64,
        events_total: client.requests * 7,
        simulated_nanos: plan.duration.0,
        measured_nanos: window,
        services: services.collect(),
        endpoints: endpoints.collect(),
        edges: vec![edge.clone(), edge],
        clients: vec![client],
        ..RunResult::default()
    }
}
