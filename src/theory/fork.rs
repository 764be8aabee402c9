//! What is known of a client's requests that fork and wait for all.

use crate::model::plan::{Discipline, Threading, UNLIMITED};
use crate::theory::recognise::{alike, from_client};
use crate::theory::station::{COMPARED, Figure, Known, Stream};
use crate::theory::walk::View;
use crate::theory::{Claim, networks};

const ORDER: &str = "the largest of n exponentials: Harchol-Balter 2013; Dean and Barroso 2013";
const FLATTO: &str = "Flatto and Hahn 1984; Nelson and Tantawi, IEEE TC 37 (6), 1988";

/// A request that forks and waits for all.
pub(super) fn fork_join(view: &View<'_>, client: u32) -> Vec<Known> {
    let site = view.plan.clients[client as usize].site;
    let operation = view.plan.sites[site as usize].operation;
    let Some(branches) = view.fork(operation) else {
        return Vec::new();
    };
    if view.operation(operation).work.mean > 0.0 {
        return Vec::new();
    }
    let service = view.plan.operations[operation as usize].service;
    let plain = |site: u32, service: u32| {
        let several = view.plan.services[service as usize].endpoint_count > 1;
        view.trouble(site, several).is_ok() && view.service_trouble(service).is_ok()
    };
    let target = |site: u32| view.plan.operations[view.plan.sites[site as usize].operation as usize].service;
    if !plain(site, service)
        || view.constant_network() != Some(0.0)
        || !branches.iter().all(|&branch| plain(branch, target(branch)))
    {
        return Vec::new();
    }
    let row = &view.plan.services[service as usize];
    if row.concurrency != UNLIMITED && row.threading == Threading::Sync || row.queue_limit == 0 {
        return Vec::new();
    }
    let works: Vec<Option<f64>> = branches.iter().map(|&branch| exponential_leaf(view, branch)).collect();
    let Some(Some(mean)) = works.first().copied() else {
        return Vec::new();
    };
    if works.iter().any(|&work| work != Some(mean)) {
        return Vec::new();
    }
    let n = branches.len() as u32;
    let subject = format!("client {}", view.names.clients[client as usize]);
    let known = |model: String, figure, claim, value, source| Known {
        subject: subject.clone(),
        model,
        figure,
        claim,
        value,
        source,
    };
    let services: Vec<u32> = branches.iter().map(|&branch| target(branch)).collect();
    let is_free = |&service: &u32| {
        view.plan.services[service as usize].concurrency == UNLIMITED
            && view.plan.services[service as usize].discipline == Discipline::Fifo
    };
    if services.iter().all(is_free) {
        let model = format!("fork-join of {n}, everybody served at once");
        let mut all = vec![known(
            model.clone(),
            Figure::Latency(client),
            Claim::Exact,
            networks::largest_of(n, mean),
            ORDER,
        )];
        for (place, p) in COMPARED {
            let value = networks::largest_quantile(n, mean, p);
            all.push(known(
                model.clone(),
                Figure::LatencyQuantile(client, place),
                Claim::Exact,
                value,
                ORDER,
            ));
        }
        return all;
    }
    let is_single = |&service: &u32| {
        let row = &view.plan.services[service as usize];
        row.concurrency == 1 && row.endpoint_count == 1 && row.discipline == Discipline::Fifo && row.queue_limit == UNLIMITED
    };
    let mut distinct = services.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let (true, true, Ok(Stream::Poisson(rate))) = (
        services.iter().all(is_single) && distinct.len() == services.len(),
        services.iter().all(|&service| view.sites_into(service).len() == 1),
        from_client(view, client),
    ) else {
        return Vec::new();
    };
    if view.sites_into(service).len() != 1 {
        return Vec::new();
    }
    let load = rate * mean;
    if load >= 1.0 {
        return Vec::new();
    }
    let alone = mean / (1.0 - load);
    let model = format!("fork-join of {n} M/M/1");
    if n == 2 {
        return vec![known(
            model,
            Figure::Latency(client),
            Claim::Exact,
            (12.0 - load) / 8.0 * alone,
            FLATTO,
        )];
    }
    vec![
        known(
            model.clone(),
            Figure::Latency(client),
            Claim::AtLeast,
            mean * networks::harmonic(n),
            FLATTO,
        ),
        known(
            model,
            Figure::Latency(client),
            Claim::AtMost,
            alone * networks::harmonic(n),
            FLATTO,
        ),
    ]
}

/// The mean of the exponential work, in seconds, of an operation that does nothing else, where all its endpoints are alike.
fn exponential_leaf(view: &View<'_>, site: u32) -> Option<f64> {
    let operation = view.plan.sites[site as usize].operation;
    let facts = view.operation(operation);
    let service = view.plan.operations[operation as usize].service;
    let row = &view.plan.services[service as usize];
    let speed = view.plan.endpoints[row.first_endpoint as usize].speed;
    let is_leaf = facts.sites.is_empty() && !facts.fails && facts.work.exponential && alike(view, service);
    is_leaf.then_some(facts.work.mean / speed)
}
