//! Whom faults strike.

use std::collections::BTreeMap;

use super::super::{Compiler, value};
use crate::model::plan::{PartyPlan, TargetPlan};
use crate::scenario::decode::Field;
use crate::scenario::names::Index;
use crate::scenario::schema::Document;
use crate::scenario::schema::fault::network::{Ends, Party};
use crate::scenario::schema::fault::target::Names;
use crate::scenario::schema::fault::{Fault, Target};

/// The endpoints on each node that has a name, by service and number.
pub(crate) fn nodes<'d>(document: &'d Document, index: &Index<'_>) -> BTreeMap<&'d str, Vec<(usize, u32)>> {
    let mut nodes: BTreeMap<&str, Vec<(usize, u32)>> = BTreeMap::new();
    let services = document.topology.get().and_then(|topology| topology.services.get());
    for (name, field) in services.into_iter().flat_map(|services| services.iter()) {
        let Some(service) = index.service(&name.text) else { continue };
        let endpoints = field.get().and_then(|service| service.endpoints.as_ref()?.get());
        for (number, endpoint) in (0..).zip(endpoints.into_iter().flatten()) {
            let node = endpoint.get().and_then(|endpoint| endpoint.node.as_ref()?.get());
            if let Some(node) = node {
                nodes.entry(node).or_default().push((service, number));
            }
        }
    }
    nodes
}

fn texts(names: Option<&Field<Names>>) -> impl Iterator<Item = &String> {
    names.into_iter().flat_map(|names| &names.checked().0).map(Field::checked)
}

/// A few names, for a label.
fn listed<'n>(names: impl Iterator<Item = &'n String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    match names.len() {
        0..=3 => names.join(", "),
        n => format!("{} and {} more", names[..2].join(", "), n - 2),
    }
}

impl Compiler<'_, '_> {
    /// Which endpoints a fault strikes, and what a chart calls them (or the parties or clients that it strikes instead).
    pub(super) fn target(&mut self, fault: &Fault) -> (TargetPlan, String) {
        let nobody = TargetPlan::Endpoints(Vec::new());
        if let Some((target, _)) = fault.target() {
            return self.endpoints_struck(target);
        }
        if let Some((ends, _)) = fault.link() {
            return (nobody, Self::ends_label(ends));
        }
        if let Some((injection, _)) = fault.injection() {
            let to = match injection.to {
                None => "all calls".to_string(),
                to => format!("calls to {}", listed(texts(to))),
            };
            return (nobody, to);
        }
        if let Some(wrong) = fault.wrong_endpoints.as_ref().map(Field::checked) {
            let to = wrong.to.as_ref().map(|to| listed(texts(Some(to))));
            return (nobody, to.unwrap_or("all services".to_string()));
        }
        let client = fault.spike.as_ref().and_then(|spike| spike.checked().client.as_ref());
        let client = client.or(fault.hot_key.as_ref().and_then(|hot_key| hot_key.checked().client.as_ref()));
        let whom = client.map_or("all clients".to_string(), |names| listed(texts(Some(names))));
        (nobody, whom)
    }

    fn ends_label(ends: Ends<'_>) -> String {
        if let Some(zone) = ends.zone {
            return format!("zone {}", listed(texts(Some(zone))));
        }
        let side = |party: Option<&Field<Party>>| {
            let Some(party) = party.map(Field::checked) else {
                return "all".to_string();
            };
            let names = [&party.zone, &party.service, &party.client, &party.endpoint, &party.node];
            listed(names.into_iter().flat_map(|names| texts(names.as_ref())))
        };
        let arrow = if ends.one_way { "->" } else { "-" };
        format!("{} {arrow} {}", side(ends.from), side(ends.to))
    }

    fn endpoints_struck(&mut self, target: Target<'_>) -> (TargetPlan, String) {
        if let Some(names) = target.endpoint {
            let endpoints = texts(Some(names)).map(|path| self.endpoint_named(path)).collect();
            return (in_order(endpoints), listed(texts(Some(names))));
        }
        if let Some(names) = target.zone {
            let mut struck = Vec::new();
            for field in &names.checked().0 {
                let zone = self.index.zones[field.checked().as_str()];
                let before = struck.len();
                let endpoints = (0..).zip(&self.plan.endpoints).filter(|(_, endpoint)| endpoint.zone == zone);
                struck.extend(endpoints.map(|(number, _)| number));
                if struck.len() == before {
                    self.diagnostics.nobody_struck(field.span, field.checked());
                }
            }
            return (in_order(struck), format!("zone {}", listed(texts(Some(names)))));
        }
        if let Some(names) = target.node {
            let struck = texts(Some(names)).flat_map(|name| self.endpoints_on(name)).collect();
            return (in_order(struck), format!("node {}", listed(texts(Some(names)))));
        }
        if target.all.is_some() {
            let all = 0..self.plan.endpoints.len() as u32;
            return (TargetPlan::Endpoints(all.collect()), "all endpoints".to_string());
        }
        let parts = texts(target.service).map(|name| self.service_struck(name, target));
        let (mut targets, labels): (Vec<TargetPlan>, Vec<String>) = parts.unzip();
        let label = listed(labels.iter());
        match targets.len() {
            1 => (targets.remove(0), label),
            _ => (TargetPlan::Several(targets), label),
        }
    }

    fn service_struck(&self, name: &str, target: Target<'_>) -> (TargetPlan, String) {
        let service = self.index.service(name).expect("the service exists") as u32;
        let plan = &self.plan.services[service as usize];
        let (first, all) = (plan.first_endpoint, plan.endpoint_count);
        let share = target.share.map_or(1.0, |share| share.0.checked().value());
        // Halves go up; at least one is struck, or it would be no fault.
        let of_share = (f64::from(all) * share + 0.5) as u32;
        let count = target.count.map_or(of_share, |count| *count.checked()).clamp(1, all);
        if count == all {
            return (TargetPlan::Endpoints((first..first + all).collect()), name.to_string());
        }
        (TargetPlan::Some { service, count }, format!("{count} of {all} of {name}"))
    }

    fn endpoint_named(&self, path: &str) -> u32 {
        let (service, name) = path.split_once('/').expect("the path of an endpoint");
        let service = self.index.service(service).expect("the service exists");
        let endpoint = self.index.endpoint(service, name).expect("the endpoint exists");
        self.plan.services[service].first_endpoint + endpoint
    }

    fn endpoints_on(&self, node: &str) -> Vec<u32> {
        let nodes = nodes(self.document, self.index);
        let there = nodes.get(node).into_iter().flatten();
        there
            .map(|&(service, number)| self.plan.services[service].first_endpoint + number)
            .collect()
    }

    /// The two parties of a fault of the network.
    pub(super) fn ends(&self, ends: Ends<'_>) -> (PartyPlan, PartyPlan) {
        if let Some(zone) = ends.zone {
            let inside: Vec<u32> = texts(Some(zone)).map(|name| self.index.zones[name.as_str()]).collect();
            let outside = (0..self.plan.network.zones).filter(|zone| !inside.contains(zone)).collect();
            let party = |zones| PartyPlan {
                zones,
                ..PartyPlan::default()
            };
            return (party(inside), party(outside));
        }
        (self.party(ends.from), self.party(ends.to))
    }

    /// One party; everybody if it is absent.
    pub(super) fn party(&self, party: Option<&Field<Party>>) -> PartyPlan {
        let Some(party) = party.map(Field::checked) else {
            return PartyPlan {
                everybody: true,
                ..PartyPlan::default()
            };
        };
        let on_nodes = texts(party.node.as_ref()).flat_map(|name| self.endpoints_on(name));
        let named = texts(party.endpoint.as_ref()).map(|path| self.endpoint_named(path));
        let mut endpoints: Vec<u32> = on_nodes.chain(named).collect();
        endpoints.sort_unstable();
        PartyPlan {
            everybody: false,
            zones: texts(party.zone.as_ref())
                .map(|name| self.index.zones[name.as_str()])
                .collect(),
            services: self.services_named(party.service.as_ref()),
            clients: self.clients_named(party.client.as_ref()),
            endpoints,
            registry: value(&party.registry).copied().unwrap_or(false),
        }
    }

    pub(super) fn services_named(&self, names: Option<&Field<Names>>) -> Vec<u32> {
        let service = |name: &String| self.index.service(name).expect("the service exists") as u32;
        texts(names).map(service).collect()
    }

    pub(super) fn clients_named(&self, names: Option<&Field<Names>>) -> Vec<u32> {
        let client = |name: &String| self.names.clients.iter().position(|other| other == name);
        texts(names)
            .map(|name| client(name).expect("the client exists") as u32)
            .collect()
    }
}

fn in_order(mut endpoints: Vec<u32>) -> TargetPlan {
    endpoints.sort_unstable();
    endpoints.dedup();
    TargetPlan::Endpoints(endpoints)
}
