//! Ways of requests through services: how much work they ask of each, in how many pieces, and whether a product form bears it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::plan::{Discipline, Instr, ServicePlan, Threading, UNLIMITED};
use crate::random::Distribution;
use crate::theory::recognise::{alike, is_random};
use crate::theory::walk::View;

/// How the endpoints of a service serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Everybody at once.
    Free,
    /// So many at once, the others in the order of arrival.
    Queue(u32),
    /// All share so many cores.
    Shared(u32),
}

/// What one request asks for on average.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    /// Seconds of work at speed 1, and in how many pieces, by service.
    pub work: BTreeMap<u32, (f64, f64)>,
    /// Calls to each service.
    pub calls: BTreeMap<u32, f64>,
}

impl Route {
    fn add(&mut self, other: &Route, times: f64) {
        for (&service, &(work, pieces)) in &other.work {
            let own = self.work.entry(service).or_default();
            *own = (own.0 + work * times, own.1 + pieces * times);
        }
        for (&service, &calls) in &other.calls {
            *self.calls.entry(service).or_default() += calls * times;
        }
    }
}

/// How far an operation has come since it began or was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// It has not worked yet.
    Arrived,
    /// It has been answered, and has not worked since.
    Answered,
    /// It has worked.
    Worked,
}

/// Reads routes, and what they ask of stations.
pub(super) struct Reader<'a> {
    view: &'a View<'a>,
    routes: BTreeMap<u32, Route>,
    under_way: BTreeSet<u32>,
    /// The mean of a piece of exponential work, by service with a queue or several cores.
    pieces: BTreeMap<u32, f64>,
    /// Services that some request asks for no work when it arrives.
    pub idle: BTreeSet<u32>,
    /// Services that make calls.
    pub callers: BTreeSet<u32>,
}

pub(super) type Read<T> = Result<T, String>;

impl<'a> Reader<'a> {
    pub fn new(view: &'a View<'a>) -> Reader<'a> {
        Reader {
            view,
            routes: BTreeMap::new(),
            under_way: BTreeSet::new(),
            pieces: BTreeMap::new(),
            idle: BTreeSet::new(),
            callers: BTreeSet::new(),
        }
    }

    pub fn name(&self, service: u32) -> &'a str {
        &self.view.names.services[service as usize]
    }

    pub fn row(&self, service: u32) -> &'a ServicePlan {
        &self.view.plan.services[service as usize]
    }

    pub fn kind(&self, service: u32) -> Read<Kind> {
        let row = self.row(service);
        match (row.discipline, row.concurrency) {
            (Discipline::ProcessorSharing, UNLIMITED) => Ok(Kind::Shared(row.cores)),
            (Discipline::Fifo | Discipline::Lifo, UNLIMITED) => Ok(Kind::Free),
            (Discipline::Fifo, slots) if row.queue_limit == UNLIMITED => Ok(Kind::Queue(slots)),
            _ => Err(format!("{} has a limit, or another order of service", self.name(service))),
        }
    }

    /// A call from a site, with all that follows from it.
    pub fn of_site(&mut self, site: u32) -> Read<Route> {
        let operation = self.view.plan.sites[site as usize].operation;
        let service = self.view.plan.operations[operation as usize].service;
        let several = self.row(service).endpoint_count > 1;
        self.view.trouble(site, several)?;
        self.view.service_trouble(service)?;
        let kind = self.kind(service)?;
        if several && !(alike(self.view, service) && (kind == Kind::Free || is_random(self.view, site))) {
            return Err(format!("requests are not spread over {} at random", self.name(service)));
        }
        let mut route = self.of_operation(operation)?;
        *route.calls.entry(service).or_default() += 1.0;
        Ok(route)
    }

    fn of_operation(&mut self, operation: u32) -> Read<Route> {
        if let Some(route) = self.routes.get(&operation) {
            return Ok(route.clone());
        }
        if !self.under_way.insert(operation) {
            return Err("calls go round in circles".to_string());
        }
        let service = self.view.plan.operations[operation as usize].service;
        let mut route = Route::default();
        let mut states = BTreeMap::from([((self.view.plan.operations[operation as usize].start, Phase::Arrived), 1.0)]);
        // Jumps lead forward, so that all who come to a place have come before anybody leaves it.
        while let Some(((pc, phase), weight)) = states.pop_first() {
            let mut go = |pc: u32, phase: Phase, share: f64| {
                if share > 0.0 {
                    *states.entry((pc, phase)).or_insert(0.0) += weight * share;
                }
            };
            match self.view.plan.program[pc as usize] {
                Instr::Work { distribution } => {
                    let distribution = &self.view.plan.distributions[distribution as usize];
                    if *distribution == Distribution::Constant(0.0) {
                        go(pc + 1, phase, 1.0);
                        continue;
                    }
                    self.works(service, distribution, phase)?;
                    let own = route.work.entry(service).or_default();
                    let is_new = phase != Phase::Worked;
                    *own = (
                        own.0 + weight * distribution.mean() * 1e-9,
                        own.1 + weight * f64::from(u8::from(is_new)),
                    );
                    go(pc + 1, Phase::Worked, 1.0);
                }
                Instr::Call { site, .. } => {
                    self.pauses(service, phase);
                    self.callers.insert(service);
                    let called = self.of_site(site)?;
                    route.add(&called, weight);
                    go(pc + 1, Phase::Answered, 1.0);
                }
                Instr::Maybe { probability, to } => {
                    go(pc + 1, phase, probability.share());
                    go(to, phase, 1.0 - probability.share());
                }
                Instr::Choose { first, count } => {
                    let mut below = 0.0;
                    for arm in &self.view.plan.arms[first as usize..(first + count) as usize] {
                        go(arm.start, phase, arm.up_to.share() - below);
                        below = arm.up_to.share();
                    }
                }
                Instr::Jump { to } => go(to, phase, 1.0),
                Instr::End => self.pauses(service, phase),
                Instr::Parallel { .. } => return Err(format!("{} makes calls side by side", self.name(service))),
                Instr::Fail { .. } => return Err(format!("{} fails at random", self.name(service))),
            }
        }
        self.under_way.remove(&operation);
        self.routes.insert(operation, route.clone());
        Ok(route)
    }

    /// A piece of work: whether it is one that a product form bears.
    fn works(&mut self, service: u32, distribution: &Distribution, phase: Phase) -> Read<()> {
        let kind = self.kind(service)?;
        if matches!(kind, Kind::Free | Kind::Shared(1)) {
            return Ok(());
        }
        let is_exponential = matches!(distribution, Distribution::Exponential { .. });
        let mean = distribution.mean() * 1e-9;
        let known = *self.pieces.entry(service).or_insert(mean);
        match is_exponential && phase != Phase::Worked && known == mean {
            true => Ok(()),
            false => Err(format!("the work of {} is not one exponential for all", self.name(service))),
        }
    }

    /// An operation ends or waits for others.
    fn pauses(&mut self, service: u32, phase: Phase) {
        if phase == Phase::Arrived {
            self.idle.insert(service);
        }
    }

    /// What can be said only once all routes are known.
    pub fn check(&self, services: &BTreeSet<u32>, works: impl Fn(u32) -> bool) -> Read<()> {
        for &service in services {
            let row = self.row(service);
            let kind = self.kind(service)?;
            let calls = self.callers.contains(&service);
            if kind != Kind::Free && works(service) && self.idle.contains(&service) {
                return Err(format!("some requests come to {} without work", self.name(service)));
            }
            if kind != Kind::Free && calls && row.threading == Threading::Sync {
                return Err(format!("{} keeps its slots while it waits", self.name(service)));
            }
            if calls && matches!(kind, Kind::Shared(_)) {
                return Err(format!(
                    "{} shares its cores while it waits for its own calls",
                    self.name(service)
                ));
            }
        }
        Ok(())
    }
}
