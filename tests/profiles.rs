//! Profiles: each loads, sets what it says, and gives way to what is written beside it.

use meshsim::model::Plan;
use meshsim::scenario::profile::PROFILES;
use meshsim::scenario::{Overrides, Scenario, Source, load};
use meshsim::time::Duration;

fn text(mesh: &str, service_mesh: &str) -> String {
    format!(
        "
apiVersion: meshsim/v1
duration: 2s
replications: 1
topology:
  services:
    s:
      replicas: 3
      operations: {{get: [{{work: 1ms}}]}}
      mesh: {service_mesh}
clients:
  c: {{call: s/get, arrivals: {{constant: {{rate: 100/s}}}}}}
mesh: {mesh}
"
    )
}

fn scenario(mesh: &str, service_mesh: &str) -> Scenario {
    let source = Source::from_text("test.yaml", text(mesh, service_mesh));
    let (scenario, diagnostics) = load(&source, &Overrides::default());
    scenario.unwrap_or_else(|| panic!("{mesh}: {}", diagnostics.render(false)))
}

fn plan(mesh: &str, service_mesh: &str) -> Plan {
    Plan::clone(&scenario(mesh, service_mesh).variants[0].plan)
}

/// The balancer's name and the discovery's, as they are written.
fn of(plan: &Plan) -> (String, String) {
    let balancer = format!("{:?}", plan.clusters[0].config.balancer);
    let discovery = plan.discoveries.first().map(|discovery| format!("{:?}", discovery.config));
    let word = |text: String| text.split(['(', ' ', '{']).next().unwrap_or_default().to_string();
    (word(balancer), discovery.map_or("Static".to_string(), word))
}

#[test]
fn each_profile_is_what_its_system_ships() {
    for (name, balancer, discovery, timeout, retries) in [
        ("istio", "EnvoyLeastRequest", "Xds", Duration::MAX, Some(2)),
        ("envoy", "EnvoyRoundRobin", "Static", Duration::from_secs(15), None),
        ("linkerd", "LinkerdPeakEwma", "Linkerd", Duration::MAX, None),
        ("grpc", "GrpcPickFirst", "Dns", Duration::MAX, None),
        ("kube_proxy", "KubeProxyIptables", "Kubernetes", Duration::MAX, None),
        ("nginx", "NginxRoundRobin", "Dns", Duration::from_secs(60), None),
        ("haproxy", "HaproxyRoundrobin", "Static", Duration::MAX, Some(3)),
        ("finagle", "FinagleP2cLeastLoaded", "Dns", Duration::MAX, Some(1)),
    ] {
        let plan = plan(&format!("{{profile: {name}}}"), "{}");
        assert_eq!(of(&plan), (balancer.to_string(), discovery.to_string()), "{name}");
        assert_eq!(plan.sites[0].timeout, timeout, "{name}");
        assert_eq!(
            plan.clusters[0].config.retry.as_ref().map(|retry| retry.num_retries),
            retries,
            "{name}"
        );
        assert!(PROFILES.iter().any(|profile| profile.name == name));
    }
    assert_eq!(PROFILES.len(), 8);
}

#[test]
fn what_is_written_beside_a_profile_wins() {
    let beside = "{profile: istio, balancer: envoy/random, discovery: {dns: {ttl: 7s}}, timeout: 3s, retry: {num_retries: 5}}";
    let changed = plan(beside, "{}");
    assert_eq!(of(&changed), ("EnvoyRandom".to_string(), "Dns".to_string()));
    assert_eq!(changed.sites[0].timeout, Duration::from_secs(3));
    let retry = changed.clusters[0].config.retry.as_ref().expect("there are retries");
    assert_eq!(retry.num_retries, 5);
    let shipped = plan("{profile: istio}", "{}");
    let shipped = shipped.clusters[0].config.retry.as_ref().expect("there are retries");
    assert_eq!(retry.retry_on, shipped.retry_on, "the rest of a map stays");
    assert!(plan("{profile: istio, retry: null}", "{}").clusters[0].config.retry.is_none());
    // A service's own profile wins over what is around it, and may switch things off.
    let inner = plan("{profile: istio}", "{profile: haproxy, retry: null}");
    assert_eq!(of(&inner).0, "HaproxyRoundrobin");
    assert!(inner.clusters[0].config.retry.is_none());
}

#[test]
fn a_variant_may_be_a_profile() {
    let text = text("{timeout: 1s}", "{}") + "variants: {a: {mesh: {profile: linkerd}}, b: {}}\n";
    let (scenario, diagnostics) = load(&Source::from_text("test.yaml", text), &Overrides::default());
    let scenario = scenario.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    assert_eq!(of(&scenario.variants[0].plan).1, "Linkerd");
    assert_eq!(scenario.variants[0].plan.sites[0].timeout, Duration::from_secs(1));
    assert_eq!(of(&scenario.variants[1].plan).1, "Static");
}

#[test]
fn errors_beside_a_profile_point_there() {
    for (mesh, expected) in [
        ("{profile: istoi}", "`istio`"),
        ("{profile: istio, retry: {num_retrys: 1}}", "unknown key `num_retrys`"),
    ] {
        let (scenario, diagnostics) = load(&Source::from_text("test.yaml", text(mesh, "{}")), &Overrides::default());
        let message = diagnostics.render(false);
        assert!(
            scenario.is_none() && message.contains(expected) && message.contains("test.yaml:13"),
            "{message}"
        );
    }
}

/// Its sources stand beside each setting, and its first line says which version it is of.
#[test]
fn profiles_name_their_sources() {
    for profile in PROFILES {
        assert!(
            profile.about().contains(|c: char| c.is_ascii_digit()),
            "{}: {}",
            profile.name,
            profile.about()
        );
        assert!(profile.text.matches('#').count() >= 3, "{}", profile.name);
    }
}
