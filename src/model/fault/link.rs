//! Faults of the network: partitions, and links that lose, delay or carry less.
//!
//! A packet in a partition is lost for good, whether it is sent or would arrive then: requests, first packets of connections, answers,
//! resets, probes and cancellations alike. So whoever waits for an answer waits until its own timeout, and nothing crosses.

use crate::model::fault::Faults;
use crate::model::network::{Hop, Link};
use crate::model::plan::{FaultKind, LinkEffect, LinkFaultPlan, Owner, PartyPlan, Plan};
use crate::model::trace::Trace;
use crate::model::world::{NIL, World};
use crate::random::{Key, Purpose};
use crate::time::Duration;

/// One end of a packet's way.
#[derive(Clone, Copy, Debug)]
struct Party {
    zone: u32,
    service: u32,
    client: u32,
    endpoint: u32,
}

impl PartyPlan {
    #[inline]
    fn holds(&self, party: Party) -> bool {
        self.everybody
            || self.zones.contains(&party.zone)
            || self.services.contains(&party.service)
            || self.clients.contains(&party.client)
            || self.endpoints.binary_search(&party.endpoint).is_ok()
    }
}

impl LinkFaultPlan {
    /// Whether it keeps an endpoint from telling its registry that it is there. Everybody is the registry too.
    fn keeps_unheard(&self, endpoint: Party) -> bool {
        let is_registry = |party: &PartyPlan| party.registry || party.everybody;
        let from_to = self.from.holds(endpoint) && is_registry(&self.to);
        let back = self.to.holds(endpoint) && is_registry(&self.from);
        self.effect == LinkEffect::Cut && (from_to || (back && !self.one_way))
    }

    /// Whether it keeps a caller from asking its registry: the question and the answer have to get through.
    fn keeps_from_registry(&self, caller: Party) -> bool {
        let is_registry = |party: &PartyPlan| party.registry || party.everybody;
        let is_between = |one: &PartyPlan, other: &PartyPlan| one.holds(caller) && is_registry(other);
        self.effect == LinkEffect::Cut && (is_between(&self.from, &self.to) || is_between(&self.to, &self.from))
    }

    /// Whether it is about packets from a caller to an endpoint (`there`) or back.
    fn is_about(&self, caller: Party, endpoint: Party, there: bool) -> bool {
        let (source, destination) = if there { (caller, endpoint) } else { (endpoint, caller) };
        let holds = |from: Party, to: Party| self.from.holds(from) && self.to.holds(to);
        holds(source, destination) || (!self.one_way && holds(destination, source))
    }
}

fn endpoint_party(plan: &Plan, endpoint: u32) -> Party {
    let row = &plan.endpoints[endpoint as usize];
    Party {
        zone: row.zone,
        service: row.service,
        client: NIL,
        endpoint,
    }
}

/// Caller number `instance` of an owner.
fn caller_party(plan: &Plan, owner: Owner, instance: u32) -> Party {
    match owner {
        Owner::Client(client) => Party {
            zone: plan.clients[client as usize].caller_zones[instance as usize],
            service: NIL,
            client,
            endpoint: NIL,
        },
        Owner::Service(service) => endpoint_party(plan, plan.services[service as usize].first_endpoint + instance),
    }
}

/// Whether a fault of the network can touch what goes to and from a service.
pub(in crate::model) fn can_touch(plan: &Plan, service: u32) -> bool {
    let faults = plan.faults.iter().filter_map(|fault| match &fault.kind {
        FaultKind::Link(link) => Some(link),
        _ => None,
    });
    faults.into_iter().any(|link| {
        let row = &plan.services[service as usize];
        let endpoints = || (row.first_endpoint..row.first_endpoint + row.endpoint_count).map(|at| endpoint_party(plan, at));
        plan.clusters
            .iter()
            .filter(|cluster| cluster.service == service)
            .any(|cluster| {
                let callers = || (0..plan.callers_of(cluster.owner)).map(|at| caller_party(plan, cluster.owner, at));
                let between = |from: &PartyPlan, to: &PartyPlan| {
                    callers().any(|caller| from.holds(caller)) && endpoints().any(|endpoint| to.holds(endpoint))
                };
                between(&link.from, &link.to) || between(&link.to, &link.from)
            })
    })
}

impl Plan {
    /// How many callers an owner has.
    fn callers_of(&self, owner: Owner) -> u32 {
        match owner {
            Owner::Client(client) => self.clients[client as usize].caller_zones.len() as u32,
            Owner::Service(service) => self.services[service as usize].endpoint_count,
        }
    }
}

/// What active faults do to a hop.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Trouble {
    /// The probability that a transmission is not lost by them.
    pub kept: f64,
    /// Nanoseconds more.
    pub delay: f64,
    /// Bytes per second at most.
    pub bandwidth: f64,
}

impl<T: Trace> World<'_, T> {
    /// A fault of the network begins or ends: who is heard by the registry may have changed.
    pub(super) fn hear_endpoints(&mut self) {
        for endpoint in 0..self.plan.endpoints.len() as u32 {
            let party = endpoint_party(self.plan, endpoint);
            let is_unheard = self.faults.links.iter().any(|&strand| {
                let fault = self.faults.strands[strand as usize].fault;
                matches!(&self.plan.faults[fault as usize].kind, FaultKind::Link(link) if link.keeps_unheard(party))
            });
            self.set_unheard(endpoint, is_unheard);
        }
    }
}

impl Faults {
    /// Whether any fault of the network is active.
    #[inline]
    pub fn network_is_troubled(&self) -> bool {
        !self.links.is_empty()
    }
}

impl<T: Trace> World<'_, T> {
    fn parties(&self, caller: u32, endpoint: u32) -> (Party, Party) {
        let row = &self.callers[caller as usize];
        let owner = self.plan.clusters[row.plan as usize].owner;
        (
            caller_party(self.plan, owner, row.instance),
            endpoint_party(self.plan, endpoint),
        )
    }

    /// The active faults of the network that are about packets between a caller and an endpoint.
    fn troubles(&self, caller: u32, endpoint: u32, there: bool) -> impl Iterator<Item = (u32, &LinkEffect)> {
        let (caller, endpoint) = self.parties(caller, endpoint);
        self.faults.links.iter().filter_map(move |&strand| {
            let fault = self.faults.strands[strand as usize].fault;
            match &self.plan.faults[fault as usize].kind {
                FaultKind::Link(link) if link.is_about(caller, endpoint, there) => Some((fault, &link.effect)),
                _ => None,
            }
        })
    }

    /// Whether a caller (a row of [`World::callers`]) is one of a party.
    pub(super) fn is_of(&self, party: &PartyPlan, caller: u32) -> bool {
        let row = &self.callers[caller as usize];
        party.holds(caller_party(
            self.plan,
            self.plan.clusters[row.plan as usize].owner,
            row.instance,
        ))
    }

    /// Whether a caller (a row of [`World::callers`]) cannot ask its registry, or hear its answer.
    pub(in crate::model) fn is_cut_from_registry(&self, caller: u32) -> bool {
        let row = &self.callers[caller as usize];
        let party = caller_party(self.plan, self.plan.clusters[row.plan as usize].owner, row.instance);
        self.faults.links.iter().any(|&strand| {
            let fault = self.faults.strands[strand as usize].fault;
            matches!(&self.plan.faults[fault as usize].kind, FaultKind::Link(link) if link.keeps_from_registry(party))
        })
    }

    /// Whether a packet between a caller (a row of [`World::callers`]) and an endpoint is lost now; `there`: on its way to the endpoint.
    #[inline]
    pub(in crate::model) fn is_cut(&self, caller: u32, endpoint: u32, there: bool) -> bool {
        self.faults.network_is_troubled() && self.is_cut_by(caller, endpoint, there)
    }

    /// Whether any active fault is about packets between a caller (a row of [`World::callers`]) and an endpoint, either way.
    pub(in crate::model) fn is_path_troubled(&self, caller: u32, endpoint: u32) -> bool {
        let is_troubled = |there| self.troubles(caller, endpoint, there).next().is_some();
        self.faults.network_is_troubled() && (is_troubled(true) || is_troubled(false))
    }

    #[cold]
    fn is_cut_by(&self, caller: u32, endpoint: u32, there: bool) -> bool {
        self.troubles(caller, endpoint, there)
            .any(|(_, effect)| *effect == LinkEffect::Cut)
    }

    /// How long a packet of `bytes` takes between a caller and an endpoint.
    #[inline]
    pub(in crate::model) fn hop(&self, link: &Link<'_>, id: Key, hop: Hop, bytes: f64, parties: (u32, u32)) -> Duration {
        if self.faults.network_is_troubled() {
            return self.troubled_hop(link, id, hop, bytes, parties);
        }
        link.latency(id, hop, bytes)
    }

    #[cold]
    fn troubled_hop(&self, link: &Link<'_>, id: Key, hop: Hop, bytes: f64, (caller, endpoint): (u32, u32)) -> Duration {
        let mut trouble = Trouble {
            kept: 1.0,
            delay: 0.0,
            bandwidth: f64::INFINITY,
        };
        let there = !matches!(hop, Hop::Response | Hop::SynAck);
        let mut is_troubled = false;
        for (fault, effect) in self.troubles(caller, endpoint, there) {
            is_troubled = true;
            match effect {
                LinkEffect::Cut => {}
                LinkEffect::Loss(loss) => trouble.kept *= 1.0 - loss,
                LinkEffect::Latency(parts) => {
                    let key = id.with(((Purpose::Fault as u64) << 32) | u64::from(fault)).with(hop as u64);
                    let mut draws = key.draws();
                    for &part in parts {
                        trouble.delay += self.plan.distributions[part as usize].sample(&mut draws);
                    }
                }
                LinkEffect::Bandwidth(bandwidth) => trouble.bandwidth = trouble.bandwidth.min(*bandwidth),
            }
        }
        match is_troubled {
            true => link.troubled_latency(id, hop, bytes, trouble),
            false => link.latency(id, hop, bytes),
        }
    }
}
