//! What shows that the balancers of `finagle` are the real ones.

use std::collections::{BTreeSet, VecDeque};

use meshsim::policy::balancer::finagle::deterministic_aperture::{Coordinate, adjusted_weights};
use meshsim::policy::balancer::finagle::p2c_peak_ewma::Metric;
use meshsim::policy::{CallerInfo, EndpointIndex, Health};
use meshsim::random::Rng;
use meshsim::time::{Duration, Time};
use serde_json::{Value, json};

use super::crowd::{self, Crowd, Oracle, check_shares, endpoint};
use super::evidence::Evidence;
use super::vectors::{cases, close, f64_of, list, u32_of, u64_of};
use super::{config, output};

pub const EVIDENCE: &[Evidence] = &[
    Evidence {
        policy: "finagle/p2c_least_loaded",
        against: "The stationary distribution of two servers",
        check: || crowd::check_two_servers("finagle/p2c_least_loaded", &json!({}), crowd::shorter),
    },
    Evidence {
        policy: "finagle/p2c_least_loaded",
        against: "The share that theory gives",
        check: || crowd::never_the_busy_one("finagle/p2c_least_loaded"),
    },
    Evidence {
        policy: "finagle/p2c_least_loaded",
        against: "Panics as often as Finagle's test expects",
        check: panics,
    },
    Evidence {
        policy: "finagle/p2c_least_loaded",
        against: "Shares of weighted endpoints",
        check: || weight_classes("finagle/p2c_least_loaded"),
    },
    Evidence {
        policy: "finagle/p2c_peak_ewma",
        against: "Vectors computed from Finagle's source",
        check: peak_ewma_vectors,
    },
    Evidence {
        policy: "finagle/p2c_peak_ewma",
        against: "Loads computed from its formula",
        check: || crowd::duel("finagle/p2c_peak_ewma", &json!({}), || Box::new(MetricByFormula::default())),
    },
    Evidence {
        policy: "finagle/p2c_peak_ewma",
        against: "Requests of Finagle's own test",
        check: slow_nodes_are_tried_once,
    },
    Evidence {
        policy: "finagle/p2c_peak_ewma",
        against: "Shares of weighted endpoints",
        check: || weight_classes("finagle/p2c_peak_ewma"),
    },
    Evidence {
        policy: "finagle/heap_least_loaded",
        against: "Loads that Finagle's own tests expect",
        check: heap_loads,
    },
    Evidence {
        policy: "finagle/heap_least_loaded",
        against: "The stationary distribution of two servers",
        check: || crowd::check_two_servers("finagle/heap_least_loaded", &json!({}), crowd::shorter),
    },
    Evidence {
        policy: "finagle/heap_least_loaded",
        against: "The least load of all",
        check: heap_is_nearly_exact,
    },
    Evidence {
        policy: "finagle/heap_least_loaded",
        against: "Shares of weighted endpoints",
        check: || weight_classes("finagle/heap_least_loaded"),
    },
    Evidence {
        policy: "finagle/aperture",
        against: "The size that Finagle's own test expects",
        check: aperture_follows_concurrency,
    },
    Evidence {
        policy: "finagle/aperture",
        against: "The size that the load band allows",
        check: aperture_settles_within_its_band,
    },
    Evidence {
        policy: "finagle/aperture",
        against: "Shares of weighted endpoints",
        check: aperture_weights,
    },
    Evidence {
        policy: "finagle/aperture",
        against: "What Finagle's own tests expect of unhealthy endpoints",
        check: aperture_prefers_the_healthy,
    },
    Evidence {
        policy: "finagle/deterministic_aperture",
        against: "Vectors of Finagle's weighted aperture test",
        check: aperture_vectors,
    },
    Evidence {
        policy: "finagle/deterministic_aperture",
        against: "Who is picked in Finagle's own tests",
        check: aperture_members,
    },
    Evidence {
        policy: "finagle/deterministic_aperture",
        against: "Equal shares of all servers",
        check: arcs_cover_servers_evenly,
    },
    Evidence {
        policy: "finagle/deterministic_aperture",
        against: "Connections of each server",
        check: connections_are_even,
    },
];

fn set_health(crowd: &mut Crowd, endpoint: usize, health: Health) {
    let now = crowd.now;
    crowd.cluster.on_health(EndpointIndex(endpoint as u32), health, now);
}

/// `P2CPanicModeTest.scala`: of requests a share of (share unhealthy)^(2 efforts) panic; so many and one more pair hit two that are
/// unhealthy where one gets a request. Without replacement the share of bad pairs is k (k - 1) / n (n - 1).
fn panics() -> String {
    let modes = ["ten_percent", "thirty_percent", "forty_percent", "fifty_percent", "majority"];
    let (n, requests) = (100, 20_000);
    let mut worst = 0.0_f64;
    for (effort, mode) in (1..).zip(modes) {
        for unhealthy in (10..=100).step_by(10) {
            let options = json!({"panic_mode": format!("{mode}_unhealthy")});
            let mut crowd = Crowd::new("finagle/p2c_least_loaded", &options, &[1; 100], 5);
            (0..unhealthy).for_each(|i| set_health(&mut crowd, i, Health::Unhealthy));
            let hit: u64 = crowd.counts(requests, 0)[..unhealthy].iter().sum();
            let bad_pair = (unhealthy * (unhealthy - 1)) as f64 / (n * (n - 1)) as f64;
            let expected = libm::pow(bad_pair, f64::from(effort + 1)) * requests as f64;
            let off = (hit as f64 - expected).abs() / (expected * (1.0 - expected / requests as f64)).max(1.0).sqrt();
            assert!(off < 5.0, "{mode}, {unhealthy} unhealthy: {hit} for {expected}");
            worst = worst.max(off);
        }
    }
    format!("5 modes, 10 shares of unhealthy endpoints, {requests} picks each, within {worst:.1} standard deviations")
}

fn peak_ewma_vectors() -> String {
    let mut compared = 0;
    let cases = cases("finagle/p2c_peak_ewma/vectors.json");
    for (name, input, expected) in &cases {
        let decay = f64_of(&input["tau_ns"]);
        let mut metric = Metric::new(Time::ZERO);
        let mut started = std::collections::BTreeMap::new();
        let mut expected = list(expected).iter();
        for event in list(&input["events"]) {
            let now = Time(u64_of(&event[0]));
            match event[1].as_str() {
                Some("start") => drop(started.insert(event[2].to_string(), now)),
                Some("end") => {
                    let start = started.remove(&event[2].to_string()).expect("it was started");
                    metric.observe(now.since(start), decay, now);
                }
                _ => {
                    let expected = f64_of(&expected.next().expect("a load for each")["load"]);
                    let load = metric.load(started.len() as u32, decay, now);
                    assert!(
                        close(load, expected, 1e-9) || load == expected,
                        "{name}: {load} for {expected}"
                    );
                    compared += 1;
                }
            }
        }
    }
    format!("{} case, {compared} loads, equal to 1e-9", cases.len())
}

/// Costs in nanoseconds: nothing for a node of which nothing is known and that has no request, 2^47 and more if it has.
#[derive(Default)]
struct MetricByFormula {
    cost: [f64; 2],
    stamp: [Time; 2],
}

impl MetricByFormula {
    fn observe(&mut self, i: usize, latency: f64, now: Time) {
        let weight = libm::exp(-(now.since(self.stamp[i]).0 as f64) / 1e10);
        self.cost[i] = if latency > self.cost[i] {
            latency
        } else {
            self.cost[i] * weight + latency * (1.0 - weight)
        };
        self.stamp[i] = now;
    }
}

impl Oracle for MetricByFormula {
    fn load(&mut self, endpoint: usize, pending: u32, now: Time) -> f64 {
        self.observe(endpoint, 0.0, now);
        match self.cost[endpoint] {
            0.0 if pending > 0 => 140_737_488_355_327.0 + f64::from(pending),
            cost => cost * f64::from(pending + 1),
        }
    }

    fn ended(&mut self, endpoint: usize, _: u16, latency: Duration, now: Time) {
        self.observe(endpoint, latency.0 as f64, now);
    }
}

/// `P2CPeakEwmaTest.scala`, "Probe a node without latency history at most once": a request each nanosecond to nodes that take one,
/// and to one that never answers.
fn slow_nodes_are_tried_once() -> String {
    let steps = 100_000;
    let mut counts = vec![0_u64; 101];
    let mut crowd = Crowd::new("finagle/p2c_peak_ewma", &json!({"decay_time": "150ns"}), &[1; 101], 3);
    let mut open = None;
    for _ in 0..steps {
        let picked = crowd.pick();
        counts[picked] += 1;
        crowd.pass(Duration(1));
        if let Some(last) = open.replace(picked).filter(|&last| last != 100) {
            crowd.done(last, 200, Duration(1));
        }
    }
    assert_eq!(counts[100], 1, "the node that never answers");
    format!("{steps} requests, 1 of them to the node that does not answer")
}

/// `HeapLeastLoadedTest.scala`: loads after requests that do not end, with and without nodes that are closed.
fn heap_loads() -> String {
    let loads = |crowd: &Crowd| -> Vec<u32> {
        let n = crowd.cluster.upstream().endpoints().len() as u32;
        (0..n).map(|i| crowd.cluster.active(EndpointIndex(i))).collect()
    };
    let mut compared = 0;
    let mut check = |crowd: &Crowd, expected: &[u32], what: &str| {
        compared += expected.len();
        assert_eq!(loads(crowd), expected, "{what}");
    };
    let heap = |n| Crowd::new("finagle/heap_least_loaded", &json!({}), &vec![1; n], 7);
    let picks = |crowd: &mut Crowd, n: usize| (0..n).map(|_| crowd.pick()).collect::<Vec<_>>();

    let mut crowd = heap(10);
    picks(&mut crowd, 10);
    check(&crowd, &[1; 10], "least-loaded balancing, first round");
    let first = picks(&mut crowd, 10)[0];
    check(&crowd, &[2; 10], "least-loaded balancing, second round");
    crowd.done(first, 200, Duration::ZERO);
    assert_eq!(crowd.pick(), first, "least-loaded balancing, a release");

    let mut crowd = heap(10);
    picks(&mut crowd, 10);
    (0..2).for_each(|i| set_health(&mut crowd, i, Health::Unhealthy));
    picks(&mut crowd, 16);
    check(&crowd, &[1, 1, 3, 3, 3, 3, 3, 3, 3, 3], "pick only healthy services");

    let mut crowd = heap(10);
    picks(&mut crowd, 10);
    (0..10).for_each(|i| set_health(&mut crowd, i, Health::Unhealthy));
    picks(&mut crowd, 1000);
    check(&crowd, &[101; 10], "balance evenly between nonhealthy services");
    set_health(&mut crowd, 0, Health::Healthy);
    assert!(picks(&mut crowd, 100).iter().all(|&picked| picked == 0));
    let mut expected = [101; 10];
    expected[0] = 201;
    check(
        &crowd,
        &expected,
        "recover nonhealthy services when they become available again",
    );

    let mut crowd = heap(10);
    picks(&mut crowd, 20);
    let now = crowd.now;
    crowd
        .cluster
        .on_resolved(&(0..11).map(|i| endpoint(i, 1)).collect::<Vec<_>>(), now);
    assert_eq!(picks(&mut crowd, 2), [10, 10], "handle dynamic groups");
    crowd
        .cluster
        .on_resolved(&(0..10).map(|i| endpoint(i, 1)).collect::<Vec<_>>(), now);
    picks(&mut crowd, 10);
    check(&crowd, &[3; 10], "handle dynamic groups");

    let mut crowd = heap(2);
    picks(&mut crowd, 4);
    (0..2).for_each(|i| set_health(&mut crowd, i, Health::Unhealthy));
    picks(&mut crowd, 1000);
    check(&crowd, &[502; 2], "balance evenly between 2 unhealthy services");
    set_health(&mut crowd, 1, Health::Healthy);
    picks(&mut crowd, 1000);
    check(
        &crowd,
        &[502, 1502],
        "balance evenly between 2 unhealthy services, one revived",
    );
    let now = crowd.now;
    crowd.cluster.on_resolved(&[endpoint(0, 1)], now);
    picks(&mut crowd, 1000);
    check(&crowd, &[1502], "balance evenly between 2 unhealthy services, one removed");
    format!("6 tests, {compared} loads, all equal")
}

/// The picked node is one of the least loaded, but for a quirk: the node that fills the hole of one that became idle may belong
/// higher up, and Finagle leaves it where it is. Idle ones all get their share.
fn heap_is_nearly_exact() -> String {
    let mut rng = Rng::new(17);
    let mut crowd = Crowd::new("finagle/heap_least_loaded", &json!({}), &[1; 50], 9);
    let mut open: Vec<usize> = Vec::new();
    let mut above = [0_u32; 3];
    for step in 0..40_000 {
        // The number in flight swings between none and many.
        if rng.below(100) < if step % 2000 < 1000 { 60 } else { 40 } {
            let loads: Vec<u32> = (0..50).map(|i| crowd.cluster.active(EndpointIndex(i))).collect();
            let least = *loads.iter().min().expect("there are endpoints");
            let picked = crowd.pick();
            above[(loads[picked] - least) as usize] += 1;
            open.push(picked);
        } else if !open.is_empty() {
            let ended = open.swap_remove(rng.below(open.len() as u64) as usize);
            crowd.done(ended, 200, Duration::ZERO);
        }
    }
    let [exact, one, more] = above;
    assert!(more == 0 && one * 20 < exact, "{above:?}");
    let counts = Crowd::new("finagle/heap_least_loaded", &json!({}), &[1; 10], 9).counts(100_000, 0);
    format!(
        "{exact} picks of the least load, {one} of one more; idle: {}",
        check_shares(&counts, &[1.0; 10])
    )
}

/// `TrafficDistributor.scala`: a class of one weight gets the sum of its weights, and its members the same each; a class in which
/// nobody is open leaves its calls to the next heavier one.
fn weight_classes(policy: &str) -> String {
    let weights = [1, 3, 1, 2, 3, 1];
    let mut crowd = Crowd::new(policy, &json!({}), &weights, 29);
    let all = check_shares(&crowd.counts(60_000, 0), &weights.map(f64::from));
    set_health(&mut crowd, 3, Health::Unhealthy);
    let left = check_shares(&crowd.counts(60_000, 0), &[1.0, 4.0, 1.0, 0.0, 4.0, 1.0]);
    format!("3 classes: {all}; one of them closed: {left}")
}

/// The endpoints that get requests while `c` are in flight and the oldest ends first.
fn aperture_at(crowd: &mut Crowd, open: &mut VecDeque<usize>, c: usize, picks: usize, gap: Duration) -> usize {
    let mut seen = BTreeSet::new();
    for _ in 0..picks {
        while open.len() >= c {
            let ended = open.pop_front().expect("it is not empty");
            crowd.done(ended, 200, Duration::ZERO);
        }
        crowd.pass(gap);
        let picked = crowd.pick();
        open.push_back(picked);
        seen.insert(picked);
    }
    seen.len()
}

/// `LoadBandTest.scala`, "Aperture tracks concurrency", without smoothing: c requests at once, then none, a hundred times.
fn aperture_follows_concurrency() -> String {
    let n = 60;
    let mut crowd = Crowd::new("finagle/aperture", &json!({"smooth_win": "0"}), &vec![1; n], 13);
    let mut worst = 0.0_f64;
    for c in (2..=n).chain((2..n).rev()) {
        let (mut open, mut used) = (Vec::new(), 0);
        for _ in 0..100 {
            open.extend((0..c).map(|_| crowd.pick()));
            used += open.iter().collect::<BTreeSet<_>>().len();
            open.drain(..).for_each(|endpoint| crowd.done(endpoint, 200, Duration::ZERO));
        }
        // The mean load of the endpoints that have any is near the upper end of the band: Finagle's test allows 1.
        let load = (100 * c) as f64 / used as f64;
        assert!((load - 1.125).abs() <= 1.0, "{c} requests: {load} at each");
        worst = worst.max((load - 1.125).abs());
    }
    format!("concurrency 2 to {n} and back: load within {worst:.2} of 1.125, where 1 is allowed")
}

/// With a constant number of requests in flight the aperture is one at which the controller rests.
fn aperture_settles_within_its_band() -> String {
    let mut sizes = Vec::new();
    for c in [1, 2, 5, 10, 20, 40] {
        let mut crowd = Crowd::new("finagle/aperture", &json!({"smooth_win": "100ms"}), &[1; 100], 19);
        let mut open = VecDeque::new();
        // Fifty windows, then what is in it: draws that miss one of 40 for 4000 picks have probability e^-100.
        aperture_at(&mut crowd, &mut open, c, 5000, Duration::from_millis(1));
        let size = aperture_at(&mut crowd, &mut open, c, 4000, Duration::from_millis(1)) as f64;
        // The load falls to c - 1 for no time at all, so the average is c.
        let load = c as f64 / size;
        assert!(
            size == 1.0 || load > 0.875 && load < 1.125,
            "{c} requests at {size} endpoints"
        );
        sizes.push(format!("{c} at {size}"));
    }
    format!("requests at endpoints: {}; load from 0.875 to 1.125", sizes.join(", "))
}

fn aperture_weights() -> String {
    // All are in it, and none has a load, so the first draw wins: shares are those of the weights.
    let weights = [1, 2, 3, 4, 5, 6];
    let mut crowd = Crowd::new("finagle/aperture", &json!({"min_aperture": 6}), &weights, 23);
    check_shares(&crowd.counts(100_000, 0), &weights.map(f64::from))
}

/// `ApertureTest.scala`: "Nonavailable vectors" and "status, respects vector order in random aperture".
fn aperture_prefers_the_healthy() -> String {
    let used = |crowd: &mut Crowd, n| -> Vec<usize> {
        let counts = crowd.counts(n, 0);
        (0..counts.len()).filter(|&i| counts[i] > 0).collect()
    };
    for seed in 0..20 {
        let mut crowd = Crowd::new("finagle/aperture", &json!({}), &[1; 10], seed);
        (0..10).for_each(|i| set_health(&mut crowd, i, Health::Unhealthy));
        assert_eq!(used(&mut crowd, 1000).len(), 1, "all are closed: the head of the order");
        set_health(&mut crowd, 0, Health::Healthy);
        assert_eq!(used(&mut crowd, 1000), [0], "only one is open");

        let mut crowd = Crowd::new("finagle/aperture", &json!({}), &[1; 2], seed);
        let head = used(&mut crowd, 10)[0];
        set_health(&mut crowd, head, Health::Degraded);
        assert_eq!(used(&mut crowd, 10), [1 - head], "the head is busy");
        set_health(&mut crowd, head, Health::Healthy);
        // The pick that sees it open still follows the old order.
        used(&mut crowd, 1);
        assert_eq!(used(&mut crowd, 10), [head], "the head is open again");
    }
    "2 tests, 20 seeds, all as expected".to_string()
}

fn aperture_vectors() -> String {
    let cases = cases("finagle/deterministic_aperture/vectors.json");
    for (name, input, expected) in &cases {
        let weights: Vec<f64> = list(&input["weights"]).iter().map(f64_of).collect();
        let (adjusted, expected) = if input["op"] == "normalize" {
            (adjusted_weights(&weights, 0.0, 1.0), expected)
        } else {
            let n = weights.len() as u32;
            let coordinate = Coordinate::new(u32_of(&input["instance_id"]), u32_of(&input["total_instances"]));
            let width = coordinate.width(u32_of(&input["min_deterministic_aperture"]).min(n), n);
            assert!(
                (coordinate.offset - f64_of(&expected["offset"])).abs() < 1e-12,
                "{name}: offset"
            );
            assert!((width - f64_of(&expected["width"])).abs() < 1e-12, "{name}: width {width}");
            let adjusted = adjusted_weights(&weights, coordinate.offset, width);
            let members: Vec<u64> = (0..n).filter(|&i| adjusted[i as usize] > 0.0).map(u64::from).collect();
            let wanted: Vec<u64> = list(&expected["indices"]).iter().map(u64_of).collect();
            assert_eq!(members, wanted, "{name}");
            (adjusted, &expected["adjusted_weights"])
        };
        for (found, wanted) in adjusted.iter().zip(list(expected)) {
            assert!((found - f64_of(wanted)).abs() < 1e-9, "{name}: {found} for {wanted}");
        }
    }
    format!("{} cases, equal to 1e-9", cases.len())
}

/// `ApertureTest.scala`: which of the servers are picked how often, through replay.
fn aperture_members() -> String {
    let counts = |instance: u32, instances: u32, servers: usize, picks: u32| -> Vec<u64> {
        let endpoints: Vec<Value> = (0..servers).map(|i| json!({"id": format!("s{i}:1")})).collect();
        let script = format!(
            "{}\n{}\n",
            json!({"op": "endpoints", "endpoints": endpoints}),
            json!({"op": "pick", "count": picks, "auto_done": true})
        );
        let options = json!({"instance_id": instance, "total_instances": instances});
        let output = output(config("finagle/deterministic_aperture", &options), 1, &script);
        (0..servers)
            .map(|i| output.matches(&format!("\"s{i}:1\"")).count() as u64)
            .collect()
    };
    let used = |counts: &[u64]| (0..counts.len()).filter(|&i| counts[i] > 0).collect::<Vec<_>>();
    assert_eq!(
        used(&counts(0, 12, 24, 2000)),
        (0..12).collect::<Vec<_>>(),
        "clients evenly divide servers"
    );
    // Server 4 is half in the arc, which begins at 4.5 of 18.
    let uneven = counts(1, 4, 18, 100_000);
    assert_eq!(used(&uneven), (4..18).collect::<Vec<_>>(), "clients unevenly divide servers");
    let shares: Vec<f64> = (0..18)
        .map(|i| [0.0, 0.5, 1.0][usize::from(i > 3) + usize::from(i > 4)])
        .collect();
    let uneven = check_shares(&uneven, &shares);
    let even = check_shares(&counts(0, 1, 3, 30_000), &[1.0; 3]);
    format!("3 tests, members all equal; {uneven}; {even}")
}

/// Every point of the ring is in as many arcs as every other.
fn arcs_cover_servers_evenly() -> String {
    let mut compared = 0;
    for servers in [1, 2, 5, 12, 13, 40, 100, 333] {
        for clients in [1_u32, 2, 3, 7, 10, 60, 100] {
            for weighted in [false, true] {
                let weights: Vec<f64> = (0..servers)
                    .map(|i| if weighted { f64::from(i % 5 + 1) } else { 1.0 })
                    .collect();
                let sum: f64 = weights.iter().sum();
                let mut loads = vec![0.0; weights.len()];
                for client in 0..clients {
                    let coordinate = Coordinate::new(client, clients);
                    let width = coordinate.width(12.min(servers as u32), servers as u32);
                    for (load, part) in loads.iter_mut().zip(adjusted_weights(&weights, coordinate.offset, width)) {
                        *load += part / width / f64::from(clients);
                    }
                }
                for (load, weight) in loads.iter().zip(&weights) {
                    assert!(
                        (load - weight / sum).abs() < 1e-9,
                        "{clients} clients, {servers} servers: {loads:?}"
                    );
                    compared += 1;
                }
            }
        }
    }
    format!("8 numbers of servers, 7 of clients: {compared} shares, equal to 1e-9")
}

/// Who has how many clients, by real picks: the same number where clients divide servers, else at most one more or less.
fn connections_are_even() -> String {
    let mut said = Vec::new();
    for (clients, servers) in [(12_u32, 24_usize), (20, 100), (10, 30), (7, 40), (30, 25)] {
        let mut connections = vec![0; servers];
        for instance in 0..clients {
            let caller = CallerInfo {
                instance,
                instances: clients,
                ..CallerInfo::default()
            };
            let mut crowd = Crowd::of("finagle/deterministic_aperture", &json!({}), &vec![1; servers], &caller, 40);
            for (count, picks) in connections.iter_mut().zip(crowd.counts(20_000, 3)) {
                *count += usize::from(picks > 0);
            }
        }
        let (least, most) = (connections.iter().min(), connections.iter().max());
        let (&least, &most) = (least.expect("servers"), most.expect("servers"));
        let allowed = usize::from(servers % clients as usize != 0);
        assert!(
            most - least <= allowed,
            "{clients} clients, {servers} servers: {connections:?}"
        );
        said.push(format!("{clients} clients of {servers} servers: {least} to {most}"));
    }
    said.join("; ")
}
