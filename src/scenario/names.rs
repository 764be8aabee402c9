//! Names and the numbers they stand for. Names of replicas are never made for this: there may be very many.

use std::collections::BTreeMap;

use super::decode::Field;
use super::schema::Document;
use super::schema::topology::{Endpoint, Service};

/// Where a `service/operation` leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OperationRef {
    /// The service's number.
    pub(crate) service: usize,
    /// The operation's number within its service.
    pub(crate) operation: usize,
}

/// The numbers of everything with a name, in the order of the file. The first of two equal names counts.
pub(crate) struct Index<'a> {
    pub(crate) zones: BTreeMap<&'a str, u32>,
    services: BTreeMap<&'a str, usize>,
    operations: Vec<BTreeMap<&'a str, usize>>,
    endpoints: Vec<EndpointNames<'a>>,
}

/// The names of one service's endpoints.
enum EndpointNames<'a> {
    /// `NAME-0` and so on, so many of them.
    Replicas(&'a str, u32),
    /// One by one.
    Listed(BTreeMap<String, u32>),
    /// They could not be read.
    Unknown,
}

impl<'a> Index<'a> {
    /// The index of `document`.
    pub(crate) fn new(document: &'a Document) -> Index<'a> {
        let mut index = Index {
            zones: BTreeMap::new(),
            services: BTreeMap::new(),
            operations: Vec::new(),
            endpoints: Vec::new(),
        };
        let Some(topology) = document.topology.get() else {
            return index;
        };
        let zones = topology.zones.as_ref().and_then(Field::get).map_or(&[][..], Vec::as_slice);
        for (number, zone) in (0..).zip(zones) {
            if let Some(zone) = zone.get() {
                index.zones.entry(zone).or_insert(number);
            }
        }
        for (name, service) in topology.services.get().into_iter().flat_map(|services| services.iter()) {
            index.services.entry(&name.text).or_insert(index.operations.len());
            let operations = service.get().and_then(|service| service.operations.get());
            let names = operations.into_iter().flat_map(|operations| operations.names());
            index.operations.push(names.zip(0..).collect());
            index.endpoints.push(EndpointNames::new(&name.text, service.get()));
        }
        index
    }

    /// The number of a service.
    pub(crate) fn service(&self, name: &str) -> Option<usize> {
        self.services.get(name).copied()
    }

    /// The names of all services.
    pub(crate) fn services(&self) -> impl Iterator<Item = &'a str> {
        self.services.keys().copied()
    }

    /// The names of all zones.
    pub(crate) fn zones(&self) -> impl Iterator<Item = &'a str> {
        self.zones.keys().copied()
    }

    /// The names of a service's operations.
    pub(crate) fn operations(&self, service: usize) -> impl Iterator<Item = &'a str> {
        self.operations[service].keys().copied()
    }

    /// The operation that `service/operation` names.
    pub(crate) fn operation(&self, path: &str) -> Option<OperationRef> {
        let (service, operation) = path.split_once('/')?;
        let service = self.service(service)?;
        let operation = *self.operations[service].get(operation)?;
        Some(OperationRef { service, operation })
    }

    /// The number of an endpoint within its service; `None` if there is none of this name.
    pub(crate) fn endpoint(&self, service: usize, name: &str) -> Option<u32> {
        match &self.endpoints[service] {
            EndpointNames::Listed(names) => names.get(name).copied(),
            EndpointNames::Replicas(prefix, count) => {
                let digits = name.strip_prefix(prefix)?.strip_prefix('-')?;
                let number: u32 = digits.parse().ok()?;
                (number < *count && number.to_string() == digits).then_some(number)
            }
            EndpointNames::Unknown => None,
        }
    }

    /// The names of a service's endpoints, the first few of replicas; `None` if they could not be read.
    pub(crate) fn endpoints(&self, service: usize) -> Option<Vec<String>> {
        match &self.endpoints[service] {
            EndpointNames::Listed(names) => Some(names.keys().cloned().collect()),
            EndpointNames::Replicas(prefix, count) => {
                Some((0..*count.min(&100)).map(|number| format!("{prefix}-{number}")).collect())
            }
            EndpointNames::Unknown => None,
        }
    }
}

impl<'a> EndpointNames<'a> {
    fn new(name: &'a str, service: Option<&'a Service>) -> EndpointNames<'a> {
        let Some(service) = service else {
            return EndpointNames::Unknown;
        };
        match (&service.replicas, &service.endpoints) {
            (Some(Field { value: Some(count), .. }), None) => EndpointNames::Replicas(name, **count),
            (
                None,
                Some(Field {
                    value: Some(endpoints), ..
                }),
            ) => {
                let mut names = BTreeMap::new();
                for (number, endpoint) in (0..).zip(endpoints.iter()) {
                    if let Some(own) = endpoint_name(name, number, endpoint.get()) {
                        names.entry(own).or_insert(number);
                    }
                }
                EndpointNames::Listed(names)
            }
            _ => EndpointNames::Unknown,
        }
    }
}

/// What endpoint `number` of a service is called; `None` if its name could not be read.
pub(crate) fn endpoint_name(service: &str, number: u32, endpoint: Option<&Endpoint>) -> Option<String> {
    match &endpoint?.name {
        Some(name) => name.get().cloned(),
        None => Some(replica_name(service, number)),
    }
}

/// What replica `number` of a service is called.
pub(crate) fn replica_name(service: &str, number: u32) -> String {
    format!("{service}-{number}")
}
