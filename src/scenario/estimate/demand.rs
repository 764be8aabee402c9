//! What one run of a variant demands: expected requests, calls and work along the graph of calls, and the sizes of its tables.
//! Traffic spikes and health checks are counted; retries, hedges, failures and what a crash prevents are left out.

use super::{checks, keys};
use std::collections::BTreeMap;

use crate::random::{ArrivalConfig, DistributionConfig, Unit};
use crate::scenario::compile::program::{repeat, weight, width};
use crate::scenario::compile::replacements;
use crate::scenario::decode::Field;
use crate::scenario::diagnostic::Diagnostics;
use crate::scenario::files::Files;
use crate::scenario::names::Index;
use crate::scenario::schema::Document;
use crate::scenario::schema::client::Client;
use crate::scenario::schema::fault::Fault;
use crate::scenario::schema::fault::target::Names;
use crate::scenario::schema::topology::{Branch, Service, Step};
use crate::scenario::source::Span;
use crate::time::{Duration, Time};

/// What one run demands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Demand {
    pub(crate) requests: f64,
    pub(crate) calls: f64,
    pub(crate) works: f64,
    /// Events of health checks.
    pub(crate) check_events: f64,
    pub(crate) endpoints: u64,
    /// Endpoints in the views of all callers that come to make a call.
    pub(crate) views: f64,
    pub(crate) keys: u64,
    pub(crate) users: u64,
    pub(crate) instructions: u64,
    /// Clients, services and edges.
    pub(crate) scopes: u64,
}

/// What one run of an operation does, on average.
#[derive(Default)]
struct Operation {
    service: usize,
    works: f64,
    /// Operations called, and how often.
    calls: Vec<(usize, f64)>,
    /// Seconds, if nothing waits.
    seconds: f64,
}

/// The graph of calls, and what is needed to read durations.
struct Graph<'a, 'd> {
    index: &'a Index<'a>,
    files: &'d mut Files,
    /// The number of the first operation of each service.
    first: Vec<usize>,
    operations: Vec<Operation>,
    /// Seconds that a call spends in the network within a zone.
    hops: f64,
}

/// What one run of `document`, which has passed all checks, demands.
pub(crate) fn demand(document: &Document, index: &Index<'_>, files: &mut Files, diagnostics: &mut Diagnostics) -> Demand {
    let mut graph = Graph::new(document, index, files);
    let order = graph.callees_first(document);
    let duration = *document.duration.checked();
    let services: Vec<&Service> = (document.topology.checked().services.checked().iter())
        .map(|(_, field)| field.checked())
        .collect();
    let mut demand = Demand {
        endpoints: services.iter().map(|service| endpoint_count(service, duration)).sum(),
        instructions: instructions(document).0,
        scopes: services.len() as u64,
        ..Demand::default()
    };
    let mut calls = vec![0.0; graph.operations.len()];
    // Callers of each service, by who they are.
    let mut callers_of: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for (number, (name, field)) in document.clients.checked().iter().enumerate() {
        let client = field.checked();
        let root = graph.number(client.call.checked());
        let requests = graph.requests(document, client, root, diagnostics) * graph.pace(document, &name.text);
        demand.requests += requests;
        calls[root] += requests;
        let callers = f64::from(client.callers.as_ref().map_or(1, |callers| *callers.checked()));
        callers_of.insert((services.len() + number, graph.operations[root].service), callers);
        demand.views += callers.min(requests) * endpoint_count(services[graph.operations[root].service], duration) as f64;
        demand.users += u64::from(users(client));
        demand.keys += client.key.as_ref().map_or(0, |key| keys(key.checked()));
        demand.scopes += 2;
    }
    for &caller in order.iter().rev() {
        let operation = &graph.operations[caller];
        let callers = endpoint_count(services[operation.service], duration) as f64;
        for &(callee, times) in &operation.calls {
            callers_of.insert((operation.service, graph.operations[callee].service), callers);
            calls[callee] += calls[caller] * times;
            demand.views +=
                callers.min(calls[caller] * times) * endpoint_count(services[graph.operations[callee].service], duration) as f64;
        }
        demand.scopes += operation.calls.len() as u64;
        demand.works += calls[caller] * operation.works;
    }
    demand.calls = calls.iter().sum();
    for (&(_, callee), &callers) in &callers_of {
        let endpoints = endpoint_count(services[callee], duration) as f64;
        demand.check_events += callers * endpoints * checks::events(document, services[callee]);
    }
    demand
}

/// How many endpoints a service has in all, those that replace others included.
pub(super) fn endpoint_count(service: &Service, duration: Duration) -> u64 {
    let replaced = service
        .churn
        .as_ref()
        .map_or(0, |churn| replacements(churn.checked(), duration));
    match (&service.endpoints, &service.replicas) {
        (Some(endpoints), _) => endpoints.checked().len() as u64,
        (None, Some(replicas)) => u64::from(*replicas.checked()) + replaced,
        (None, None) => 0,
    }
}

/// How many users a client's closed loop has.
pub(super) fn users(client: &Client) -> u32 {
    match client.arrivals.checked() {
        ArrivalConfig::Closed(closed) => closed.users,
        _ => 0,
    }
}

/// The instructions of all operations, `repeat` written out, and the place of the operation with most of them.
pub(super) fn instructions(document: &Document) -> (u64, Option<Span>) {
    let (mut total, mut most) = (0_u64, (0, None));
    for (_, service) in document.topology.checked().services.checked().iter() {
        for (_, field) in service.checked().operations.checked().iter() {
            let length = length(field.checked());
            total = total.saturating_add(length);
            most = most.max((length, Some(field.span)));
        }
    }
    (total, most.1)
}

/// The instructions of `steps` with an end. Never less than `compile` writes.
fn length(steps: &[Field<Step>]) -> u64 {
    let each = steps
        .iter()
        .map(|field| once(field.checked()).saturating_mul(u64::from(repeat(field.checked()))));
    each.fold(1, u64::saturating_add)
}

fn once(step: &Step) -> u64 {
    let mut total = 3_u64;
    for branch in step.parallel.iter().flat_map(|field| field.checked()) {
        let one = match branch.checked() {
            Branch::Step(step) => once(step).saturating_add(1),
            Branch::Steps(steps) => length(steps),
        };
        total = total.saturating_add(one.saturating_mul(u64::from(width(branch.checked()))));
    }
    for arm in step.choose.iter().flat_map(|field| field.checked()) {
        total = total.saturating_add(length(arm.checked().steps.checked()));
    }
    if let Some(group) = &step.steps {
        total = total.saturating_add(length(group.checked()));
    }
    total
}

impl<'a, 'd> Graph<'a, 'd> {
    fn new(document: &'a Document, index: &'a Index<'a>, files: &'d mut Files) -> Graph<'a, 'd> {
        let mut graph = Graph {
            index,
            files,
            first: Vec::new(),
            operations: Vec::new(),
            hops: 0.0,
        };
        let topology = document.topology.checked();
        let network = topology
            .network
            .as_ref()
            .and_then(|network| network.checked().same_zone.as_ref());
        graph.hops = 2.0 * network.map_or(0.0, |latency| graph.seconds(latency.checked()));
        for (service, (_, field)) in topology.services.checked().iter().enumerate() {
            graph.first.push(graph.operations.len());
            for _ in field.checked().operations.checked().iter() {
                graph.operations.push(Operation {
                    service,
                    ..Operation::default()
                });
            }
        }
        let mut number = 0;
        for (_, field) in topology.services.checked().iter() {
            for (_, steps) in field.checked().operations.checked().iter() {
                graph.count(number, steps.checked(), 1.0);
                number += 1;
            }
        }
        graph
    }

    fn number(&self, path: &str) -> usize {
        let operation = self.index.operation(path).expect("the call's target exists");
        self.first[operation.service] + operation.operation
    }

    fn seconds(&mut self, config: &DistributionConfig) -> f64 {
        let files = &mut *self.files;
        // A file that cannot be used is reported where the plan is made.
        let built = config.build(Unit::Duration, &mut |name| files.read(name));
        built.map_or(0.0, |distribution| distribution.mean() / 1e9)
    }

    /// Adds what `steps`, run `times` times, do in operation `number`.
    fn count(&mut self, number: usize, steps: &[Field<Step>], times: f64) {
        for field in steps {
            let step = field.checked();
            self.count_step(number, step, times * f64::from(repeat(step)));
        }
    }

    fn count_step(&mut self, number: usize, step: &Step, times: f64) {
        let times = times * probability(step);
        if step.work.is_some() {
            self.operations[number].works += times;
        }
        if let Some(call) = &step.call {
            let callee = self.number(call.checked());
            self.operations[number].calls.push((callee, times));
        }
        for branch in step.parallel.iter().flat_map(|field| field.checked()) {
            let times = times * f64::from(width(branch.checked()));
            match branch.checked() {
                Branch::Step(step) => self.count_step(number, step, times),
                Branch::Steps(steps) => self.count(number, steps, times),
            }
        }
        let arms = step.choose.iter().flat_map(|field| field.checked());
        let total: f64 = arms.clone().map(|arm| weight(arm.checked())).sum();
        for arm in arms {
            let arm = arm.checked();
            self.count(number, arm.steps.checked(), times * weight(arm) / total);
        }
        if let Some(group) = &step.steps {
            self.count(number, group.checked(), times);
        }
    }

    /// The operations, each behind those that it calls. Their times are filled in on the way.
    fn callees_first(&mut self, document: &Document) -> Vec<usize> {
        let bodies: Vec<&[Field<Step>]> = (document.topology.checked().services.checked().iter())
            .flat_map(|(_, field)| field.checked().operations.checked().iter())
            .map(|(_, steps)| steps.checked().as_slice())
            .collect();
        let mut order = Vec::with_capacity(bodies.len());
        let mut seen = vec![false; bodies.len()];
        for root in 0..bodies.len() {
            let mut path = Vec::new();
            if !std::mem::replace(&mut seen[root], true) {
                path.push((root, 0));
            }
            while let Some((number, next)) = path.last_mut() {
                let Some(&(callee, _)) = self.operations[*number].calls.get(*next) else {
                    let number = *number;
                    self.operations[number].seconds = self.time(bodies[number]);
                    order.push(number);
                    path.pop();
                    continue;
                };
                *next += 1;
                if !std::mem::replace(&mut seen[callee], true) {
                    path.push((callee, 0));
                }
            }
        }
        order
    }

    /// Seconds that `steps` take on average if nothing waits.
    fn time(&mut self, steps: &[Field<Step>]) -> f64 {
        let mut sum = 0.0;
        for field in steps {
            let step = field.checked();
            sum += f64::from(repeat(step)) * self.time_once(step);
        }
        sum
    }

    fn time_once(&mut self, step: &Step) -> f64 {
        let mut sum = 0.0;
        if let Some(work) = &step.work {
            sum += self.seconds(work.checked());
        }
        if let Some(call) = &step.call {
            sum += self.hops + self.operations[self.number(call.checked())].seconds;
        }
        let mut longest = 0.0_f64;
        for branch in step.parallel.iter().flat_map(|field| field.checked()) {
            longest = longest.max(match branch.checked() {
                Branch::Step(step) => self.time_once(step),
                Branch::Steps(steps) => self.time(steps),
            });
        }
        let arms = step.choose.iter().flat_map(|field| field.checked());
        let total: f64 = arms.clone().map(|arm| weight(arm.checked())).sum();
        for arm in arms {
            sum += self.time(arm.checked().steps.checked()) * weight(arm.checked()) / total;
        }
        if let Some(group) = &step.steps {
            sum += self.time(group.checked());
        }
        (sum + longest) * probability(step)
    }

    /// How many times as many requests a client sends because of traffic spikes.
    fn pace(&mut self, document: &Document, client: &str) -> f64 {
        let duration = document.duration.checked().as_secs_f64();
        let mut pace = 1.0;
        for field in document.faults.iter().flat_map(|field| field.checked()) {
            let fault = field.checked();
            let Some(spike) = fault.spike.as_ref().map(|spike| spike.checked()) else {
                continue;
            };
            let is_meant = |names: &Field<Names>| names.checked().0.iter().any(|name| name.checked() == client);
            if spike.client.as_ref().is_none_or(is_meant) {
                let factor = spike.factor.as_ref().map_or(1.0, |factor| *factor.checked());
                pace += (factor - 1.0) * self.seconds_of(fault, duration) / duration;
            }
        }
        pace
    }

    /// How many seconds of the run a fault is active, about.
    fn seconds_of(&mut self, fault: &Fault, duration: f64) -> f64 {
        let seconds = |field: &Option<Field<Duration>>| field.as_ref().map(|field| field.checked().as_secs_f64());
        let until = seconds(&fault.until).unwrap_or(duration).min(duration);
        // One that comes after another begins at some time: half of the run is left then on average.
        let at = seconds(&fault.at).unwrap_or(if fault.after.is_some() { duration / 2.0 } else { 0.0 });
        let left = (until - at).max(0.0);
        let lasts = seconds(&fault.lasts).unwrap_or(left).min(left);
        if let Some(random) = fault.random.as_ref().map(|random| random.checked()) {
            let (mttf, mttr) = (self.seconds(random.mttf.checked()), self.seconds(random.mttr.checked()));
            return left * mttr / (mttf + mttr).max(f64::MIN_POSITIVE);
        }
        match &fault.every {
            Some(every) => left * (lasts / self.seconds(every.checked()).max(f64::MIN_POSITIVE)).min(1.0),
            None => lasts,
        }
    }

    /// How many requests a client sends in one run.
    fn requests(&mut self, document: &Document, client: &Client, root: usize, diagnostics: &mut Diagnostics) -> f64 {
        let duration = *document.duration.checked();
        let rate = match client.arrivals.checked() {
            ArrivalConfig::Closed(closed) => {
                let cycle = self.seconds(&closed.think) + self.hops + self.operations[root].seconds;
                if cycle == 0.0 {
                    diagnostics.timeless_loop(client.arrivals.span);
                    return 0.0;
                }
                f64::from(closed.users) / cycle
            }
            open => {
                let files = &mut *self.files;
                let arrival = open.build(&mut |name| files.read(name));
                arrival.map_or(0.0, |arrival| arrival.mean_rate(Time::ZERO + duration))
            }
        };
        rate * duration.as_secs_f64()
    }
}

fn probability(step: &Step) -> f64 {
    step.probability.as_ref().map_or(1.0, |share| share.checked().value())
}
