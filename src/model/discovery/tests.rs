//! What happens while those are down who tell callers of endpoints.

use super::{Discovery, Outage};
use crate::engine::{self, Agenda, Digest};
use crate::model::event::Event;
use crate::model::plan::Plan;
use crate::model::world::World;
use crate::model::{Elision, RunOptions};
use crate::scenario::{Overrides, Source, load};
use crate::time::{Duration, Time};

/// Ten endpoints, five callers; an endpoint crashes at 100 s for good.
fn plan(discovery: &str) -> Plan {
    let text = format!(
        "
apiVersion: meshsim/v1
duration: 20m
topology:
  services:
    s: {{replicas: 10, operations: {{get: [{{work: 1ms}}]}}}}
clients:
  c: {{call: s/get, callers: 5, arrivals: {{constant: {{rate: 1/s}}}}}}
mesh: {{discovery: {discovery}}}
faults:
  - {{at: 100s, crash: {{endpoint: s/s-3}}}}
"
    );
    let (scenario, diagnostics) = load(&Source::from_text("test.yaml", text), &Overrides::default());
    let scenario = scenario.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    Plan::clone(&scenario.variants[0].plan)
}

/// How many callers take the crashed endpoint to be there.
fn believers(discovery: &Discovery) -> usize {
    discovery.learners.iter().filter(|learner| learner.believed[3]).count()
}

/// Runs with an outage from 90 s on, until 15 minutes or to the end; the believers then, and `after` it.
fn during(discovery: &str, outage: Outage, after: Duration) -> (usize, usize) {
    let plan = plan(discovery);
    let options = RunOptions {
        seed: 7,
        replication: 0,
        warmup: Duration::ZERO,
        elision: Elision::On,
        pilot: false,
    };
    let mut world = World::new(&plan, options, ());
    let mut agenda: Agenda<Event> = Agenda::default();
    let mut digest = Digest::default();
    world.start_faults(&mut agenda);
    world.start_discovery(&mut agenda);
    world.start_clients(&mut agenda);
    let at = |seconds: u64| Time::ZERO + Duration::from_secs(seconds);
    engine::run(&mut world, &mut agenda, at(90), &mut digest);
    assert_eq!(believers(&world.discovery), 5);
    world.set_discovery_outage(outage, true, at(90), &mut agenda);
    engine::run(&mut world, &mut agenda, at(900), &mut digest);
    let then = believers(&world.discovery);
    world.set_discovery_outage(outage, false, at(900), &mut agenda);
    engine::run(&mut world, &mut agenda, at(900) + after, &mut digest);
    (then, believers(&world.discovery))
}

#[test]
fn callers_go_on_with_what_they_knew_and_catch_up() {
    let seconds = Duration::from_secs;
    for (discovery, outage, after) in [
        ("istio", Outage::ControlPlane, seconds(32)),
        ("linkerd", Outage::ControlPlane, seconds(1)),
        ("kube_proxy", Outage::ControlPlane, seconds(2)),
        ("consul", Outage::Registry, seconds(6)),
        ("{poll: {interval: 10s}}", Outage::Registry, seconds(11)),
        ("{dns: {ttl: 10s}}", Outage::Dns, seconds(31)),
        ("istio", Outage::Stale, seconds(32)),
        ("{dns: {ttl: 10s}}", Outage::Stale, seconds(11)),
    ] {
        assert_eq!(during(discovery, outage, after), (5, 0), "{discovery}, {outage:?}");
    }
}

#[test]
fn what_is_down_does_not_matter_to_others() {
    for (discovery, outage) in [
        ("istio", Outage::Dns),
        ("{dns: {ttl: 10s}}", Outage::ControlPlane),
        ("consul", Outage::ControlPlane),
    ] {
        assert_eq!(during(discovery, outage, Duration::ZERO), (0, 0), "{discovery}, {outage:?}");
    }
}

/// Nobody's heartbeats arrive: the registry takes itself for the one that is cut off, and after it the crashed instance is dropped.
#[test]
fn a_registry_that_hears_nobody_keeps_everybody() {
    let after = Duration::from_secs(400);
    let lenient = "{eureka: {renewal_percent_threshold: 50%}}";
    assert_eq!(during(lenient, Outage::Registry, Duration::ZERO), (5, 5));
    assert_eq!(during(lenient, Outage::Registry, after).1, 0);
}
