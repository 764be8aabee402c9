//! Zones and links, services and endpoints.

use super::{Compiler, value};
use crate::model::plan::{self, EndpointPlan, LinkPlan, Membership, Probability, ServicePlan, UNLIMITED};
use crate::policy::overload::ShieldOptions;
use crate::policy::{EndpointInfo, Health};
use crate::random::{Distribution, Share, Unit};
use crate::scenario::decode::{Field, Named};
use crate::scenario::names::{Index, replica_name};
use crate::scenario::schema::Document;
use crate::scenario::schema::topology::{Churn, Discipline, Endpoint, Link, OnCancel, Service, Threading};
use crate::scenario::schema::values::{Bandwidth, Limit};
use crate::time::{Duration, Time};

/// How long an endpoint serves on that was told to go: Istio's `terminationDrainDuration` (istio/istio pkg/config/mesh/mesh.go).
const DRAIN: Duration = Duration::from_secs(5);
/// What Linux waits at least before it sends a lost segment again (`TCP_RTO_MIN` in include/net/tcp.h).
const RETRANSMISSION_TIMEOUT: Duration = Duration::from_millis(200);

/// The zone of an endpoint: its own, or the zones in order. `None` if it could not be read.
pub(crate) fn zone_of(document: &Document, index: &Index<'_>, service: usize, endpoint: u32) -> Option<u32> {
    let (_, body) = document.topology.get()?.services.get()?.0.get(service)?;
    let listed = body.get()?.endpoints.as_ref().and_then(Field::get);
    match listed.and_then(|endpoints| endpoints.get(endpoint as usize)?.get()?.zone.as_ref()) {
        Some(zone) => index.zones.get(zone.get()?.as_str()).copied(),
        None => Some(spread(endpoint, index.zones.len())),
    }
}

/// The zone of the `number`th of what is spread over `zones` zones in order.
pub(super) fn spread(number: u32, zones: usize) -> u32 {
    number % zones.max(1) as u32
}

/// The address of an endpoint: `10.S.H.L:8080` as in a pod network, by the number of the service and that of the endpoint from 1. What
/// does not fit in there has an IPv6 address of its own.
fn address(service: usize, endpoint: u32) -> String {
    let number = endpoint + 1;
    match (u8::try_from(service), u16::try_from(number)) {
        (Ok(service), Ok(number)) => format!("10.{service}.{}.{}:8080", number >> 8, number & 0xFF),
        _ => {
            let (service_high, service_low) = (service >> 16, service & 0xFFFF);
            let (high, low) = (number >> 16, number & 0xFFFF);
            format!("[fd00::{service_high:x}:{service_low:x}:{high:x}:{low:x}]:8080")
        }
    }
}

fn limit(field: &Option<Field<Limit>>) -> u32 {
    match value(field) {
        Some(Limit::Number(number)) => *number,
        Some(Limit::Unlimited) | None => UNLIMITED,
    }
}

fn bytes_per_second(bandwidth: Option<&Bandwidth>) -> f64 {
    bandwidth.map_or(f64::INFINITY, |bandwidth| bandwidth.bits_per_second / 8.0)
}

impl Compiler<'_, '_> {
    pub(super) fn network(&mut self) {
        let topology = self.topology();
        self.names.zones = match value(&topology.zones) {
            Some(zones) if !zones.is_empty() => zones.iter().map(|zone| zone.checked().clone()).collect(),
            _ => vec![String::new()],
        };
        let zones = self.names.zones.len();
        let network = value(&topology.network);
        let (mut same, mut cross) = (Distribution::Constant(0.0), None);
        if let Some(field) = network.and_then(|network| network.same_zone.as_ref()) {
            same = self.distribution(field, Unit::Duration);
        }
        if let Some(field) = network.and_then(|network| network.cross_zone.as_ref()) {
            cross = Some(self.distribution(field, Unit::Duration));
        }
        let cross = cross.unwrap_or_else(|| same.clone());
        let usual = LinkPlan {
            latency: same.clone(),
            loss: network
                .and_then(|network| value(&network.loss))
                .map_or(0.0, |loss| loss.value()),
            retransmission_timeout: network
                .and_then(|network| value(&network.retransmission_timeout))
                .map_or(RETRANSMISSION_TIMEOUT, |&timeout| timeout),
            bandwidth: bytes_per_second(network.and_then(|network| value(&network.bandwidth))),
        };
        self.plan.network.zones = zones as u32;
        self.plan.network.zone_names.clone_from(&self.names.zones);
        self.plan.network.zone_regions = vec![String::new(); zones];
        for (region, members) in value(&topology.regions).into_iter().flat_map(Named::iter) {
            for zone in members.checked() {
                let zone = self.index.zones[zone.checked().as_str()];
                self.plan.network.zone_regions[zone as usize].clone_from(&region.text);
            }
        }
        for pair in 0..zones * zones {
            let latency = if pair / zones == pair % zones { &same } else { &cross };
            self.plan.network.links.push(LinkPlan {
                latency: latency.clone(),
                ..usual.clone()
            });
        }
        for link in network.and_then(|network| value(&network.links)).into_iter().flatten() {
            self.link(link.checked());
        }
    }

    fn link(&mut self, link: &Link) {
        let zone = |name: &Field<String>| self.index.zones[name.checked().as_str()] as usize;
        let (from, to) = (zone(&link.from), zone(&link.to));
        let zones = self.names.zones.len();
        let mut pairs = vec![from * zones + to];
        if value(&link.one_way) != Some(&true) {
            pairs.push(to * zones + from);
        }
        let latency = link.latency.as_ref().map(|field| self.distribution(field, Unit::Duration));
        for pair in pairs {
            let plan = &mut self.plan.network.links[pair];
            if let Some(latency) = &latency {
                plan.latency = latency.clone();
            }
            if let Some(loss) = value(&link.loss) {
                plan.loss = loss.value();
            }
            if let Some(bandwidth) = value(&link.bandwidth) {
                plan.bandwidth = bytes_per_second(Some(bandwidth));
            }
        }
    }

    pub(super) fn services(&mut self) {
        let mut first_operation = 0;
        for (number, (name, field)) in self.topology().services.checked().iter().enumerate() {
            let service = field.checked();
            let first_endpoint = self.plan.endpoints.len() as u32;
            self.endpoints(number, &name.text, service);
            let operation_count = service.operations.checked().0.len() as u32;
            self.names.services.push(name.text.clone());
            self.plan.services.push(ServicePlan {
                first_endpoint,
                endpoint_count: self.plan.endpoints.len() as u32 - first_endpoint,
                first_operation,
                operation_count,
                ..service_plan(service)
            });
            first_operation += operation_count;
        }
    }

    fn endpoints(&mut self, number: usize, name: &str, service: &Service) {
        match value(&service.endpoints) {
            Some(endpoints) => {
                for (index, endpoint) in (0..).zip(endpoints) {
                    self.endpoint(number, index, (name, service), Some(endpoint.checked()));
                }
            }
            None => {
                let replicas = *value(&service.replicas).expect("there are replicas or endpoints");
                for index in 0..replicas {
                    self.endpoint(number, index, (name, service), None);
                }
                if let Some(churn) = value(&service.churn) {
                    self.churn(number, (name, service), churn);
                }
            }
        }
    }

    /// Replaces the replicas of the last service one after the other.
    fn churn(&mut self, number: usize, (name, service): (&str, &Service), churn: &Churn) {
        let first = self
            .plan
            .endpoints
            .iter()
            .position(|endpoint| endpoint.service == number as u32);
        let first = first.expect("a service has endpoints");
        let replicas = (self.plan.endpoints.len() - first) as u32;
        let drain = value(&churn.drain).copied().unwrap_or(DRAIN);
        let (from, _) = churn_window(churn, self.plan.duration);
        for place in 0..replacements(churn, self.plan.duration) as u32 {
            let at = Time::ZERO + from + Duration(churn.every.checked().0 * u64::from(place));
            self.plan.endpoints[first + place as usize].membership.leaves = at;
            self.plan.endpoints[first + place as usize].membership.drain = drain;
            self.endpoint(number, replicas + place, (name, service), None);
            let zone = self.plan.endpoints[first + place as usize].zone;
            let new = self.plan.endpoints.last_mut().expect("it has just been added");
            new.membership.joins = at;
            new.zone = zone;
            new.info.zone.clone_from(&self.names.zones[zone as usize]);
            new.info.region.clone_from(&self.plan.network.zone_regions[zone as usize]);
        }
    }

    fn endpoint(&mut self, number: usize, index: u32, (service_name, service): (&str, &Service), endpoint: Option<&Endpoint>) {
        let zone = match endpoint.and_then(|endpoint| value(&endpoint.zone)) {
            Some(zone) => self.index.zones[zone.as_str()],
            None => spread(index, self.index.zones.len()),
        };
        let name = endpoint.and_then(|endpoint| value(&endpoint.name)).cloned();
        let name = name.unwrap_or_else(|| replica_name(service_name, index));
        let own_address = endpoint.and_then(|endpoint| value(&endpoint.address)).cloned();
        let fail = endpoint.and_then(|endpoint| value(&endpoint.fail));
        self.plan.endpoints.push(EndpointPlan {
            service: number as u32,
            zone,
            speed: endpoint
                .and_then(|endpoint| value(&endpoint.speed))
                .map_or(1.0, |&speed| speed),
            fail: Probability::new(fail.map_or(Share::ZERO, |fail| fail.probability).value()),
            fail_status: fail.map_or(503, |fail| fail.status),
            info: EndpointInfo {
                address: own_address.unwrap_or_else(|| address(number, index)),
                hostname: Some(name.clone()),
                zone: self.names.zones[zone as usize].clone(),
                ..endpoint_info(service, endpoint, &self.names.zones[zone as usize])
            },
            membership: membership(endpoint),
        });
        let of_zone = &self.plan.network.zone_regions[zone as usize];
        let info = &mut self.plan.endpoints.last_mut().expect("it has just been added").info;
        if info.region.is_empty() {
            info.region.clone_from(of_zone);
        }
        self.names.endpoints.push(name);
    }
}

/// How many replicas are replaced.
pub(crate) fn replacements(churn: &Churn, duration: Duration) -> u64 {
    let (from, until) = churn_window(churn, duration);
    until.0.saturating_sub(from.0).div_ceil(churn.every.checked().0)
}

/// From when on and until when replicas are replaced.
fn churn_window(churn: &Churn, duration: Duration) -> (Duration, Duration) {
    let from = value(&churn.from).unwrap_or(churn.every.checked());
    (*from, value(&churn.until).map_or(duration, |&until| until.min(duration)))
}

/// When an endpoint is there.
fn membership(endpoint: Option<&Endpoint>) -> Membership {
    let Some(endpoint) = endpoint else {
        return Membership::ALWAYS;
    };
    let Some(&leaves) = value(&endpoint.leaves) else {
        return Membership {
            joins: Time::ZERO + value(&endpoint.joins).copied().unwrap_or(Duration::ZERO),
            ..Membership::ALWAYS
        };
    };
    Membership {
        joins: Time::ZERO + value(&endpoint.joins).copied().unwrap_or(Duration::ZERO),
        leaves: Time::ZERO + leaves,
        drain: value(&endpoint.drain).copied().unwrap_or(DRAIN),
    }
}

/// What discovery says of an endpoint, without its names and its zone, which is `zone`.
fn endpoint_info(service: &Service, endpoint: Option<&Endpoint>, zone: &str) -> EndpointInfo {
    fn own<'e, T>(endpoint: Option<&'e Endpoint>, key: impl Fn(&'e Endpoint) -> &'e Option<Field<T>>) -> Option<&'e T> {
        value(key(endpoint?))
    }
    let of_service = value(&service.metadata).cloned().unwrap_or_default();
    let metadata = match own(endpoint, |endpoint| &endpoint.metadata) {
        Some(metadata) => of_service.merged(metadata),
        None => of_service,
    };
    let mut by_zone = value(&service.locality_weights).into_iter().flat_map(Named::iter);
    let of_zone = || {
        by_zone
            .find(|(name, _)| name.text == zone)
            .map(|(_, weight)| weight.checked())
    };
    let hash_key = own(endpoint, |endpoint| &endpoint.hash_key).map(String::as_str);
    EndpointInfo {
        hash_key: hash_key.or(metadata.text("hash_key")).map(str::to_string),
        weight: own(endpoint, |endpoint| &endpoint.weight).copied().unwrap_or(1),
        region: own(endpoint, |endpoint| &endpoint.region).cloned().unwrap_or_default(),
        sub_zone: own(endpoint, |endpoint| &endpoint.sub_zone).cloned().unwrap_or_default(),
        locality_weight: own(endpoint, |endpoint| &endpoint.locality_weight).or_else(of_zone).copied(),
        metadata,
        priority: own(endpoint, |endpoint| &endpoint.priority).copied().unwrap_or(0),
        health: Health::Healthy,
        ..EndpointInfo::default()
    }
}

/// A service without its places in the plan.
fn service_plan(service: &Service) -> ServicePlan {
    let queue = value(&service.queue);
    let concurrency = limit(&service.concurrency);
    let queue_limit = queue.map_or(UNLIMITED, |queue| limit(&queue.limit));
    ServicePlan {
        first_endpoint: 0,
        endpoint_count: 0,
        concurrency,
        queue_limit,
        discipline: match queue.and_then(|queue| value(&queue.discipline)) {
            None | Some(Discipline::Fifo) => plan::Discipline::Fifo,
            Some(Discipline::Lifo) => plan::Discipline::Lifo,
            Some(Discipline::AdaptiveLifo) => plan::Discipline::AdaptiveLifo(
                queue
                    .and_then(|queue| value(&queue.lifo_switch_threshold))
                    .map_or(concurrency, |&threshold| threshold),
            ),
            Some(Discipline::Ps) => plan::Discipline::ProcessorSharing,
        },
        cores: value(&service.cores).map_or(1, |&cores| cores),
        queue_timeout: queue
            .and_then(|queue| value(&queue.timeout))
            .map_or(Duration::MAX, |&timeout| timeout),
        threading: match value(&service.threading) {
            None | Some(Threading::Async) => plan::Threading::Async,
            Some(Threading::Sync) => plan::Threading::Sync,
        },
        on_cancel: match value(&service.on_cancel) {
            None | Some(OnCancel::Continue) => plan::OnCancel::Continue,
            Some(OnCancel::DropQueued) => plan::OnCancel::DropQueued,
            Some(OnCancel::Stop) => plan::OnCancel::Stop,
        },
        shield: ShieldOptions {
            local_rate_limit: value(&service.local_rate_limit).cloned(),
            admission_control: value(&service.admission_control).cloned(),
            adaptive_concurrency: value(&service.adaptive_concurrency).cloned(),
        },
        codel: queue.and_then(|queue| value(&queue.codel)).cloned(),
        shed: value(&service.load_shedding).map(|shedding| shedding.limits(concurrency.saturating_add(queue_limit))),
        retry_after: (value(&service.retry_after).into_iter().flat_map(Named::iter))
            .filter_map(|(status, after)| Some((status.text.parse().ok()?, *after.checked())))
            .collect(),
        first_operation: 0,
        operation_count: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::address;

    #[test]
    fn addresses_are_those_of_a_pod_network_and_unique_beyond_it() {
        assert_eq!(address(0, 0), "10.0.0.1:8080");
        assert_eq!(address(3, 255), "10.3.1.0:8080");
        assert_eq!(address(255, 65_534), "10.255.255.255:8080");
        let numbers = [0, 1, 254, 255, 256, 65_534, 65_535, 65_536, 1 << 24];
        let all: Vec<String> = numbers
            .iter()
            .flat_map(|&service| numbers.iter().map(move |&endpoint| address(service, endpoint as u32)))
            .collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
}
