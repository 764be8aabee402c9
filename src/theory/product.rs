//! Networks of queues in product form: each station is as if it were alone, whatever ways requests take between them.
//!
//! Requests may visit stations in any order, more than once, and by chance. What it takes: Poisson arrivals or one closed loop, no failures,
//! no calls side by side, and stations that serve exponential work in the order of arrival (of the same mean whoever asks for it), that
//! serve everybody at once, or that share their cores (BCMP: Baskett, Chandy, Muntz and Palacios, J. ACM 22 (2), 1975; Kelly 1979).

use std::collections::{BTreeMap, BTreeSet};

use crate::model::plan::{Discipline, Instr, Load, Owner, ServicePlan, Threading, UNLIMITED};
use crate::random::Distribution;
use crate::theory::Claim;
use crate::theory::networks::{self, Center};
use crate::theory::queues::{self, Mmc};
use crate::theory::recognise::{Answered, alike, from_client, is_random};
use crate::theory::station::{COMPARED, Figure, Known, Stream};
use crate::theory::walk::View;

const JACKSON: &str = "Jackson, Management Science 10 (1), 1963; Baskett, Chandy, Muntz and Palacios 1975; Kelly 1979";
const GORDON: &str = "Gordon and Newell 1967; Baskett, Chandy, Muntz and Palacios 1975; Buzen, CACM 16 (9), 1973";

/// A closed network that asks for more multiplications than this has no answer here.
const STEPS_MAX: f64 = 1e9;

/// What is known of networks.
#[derive(Default)]
pub(super) struct Networks {
    /// By service.
    pub services: BTreeMap<u32, Answered>,
    /// Of clients, each with its number.
    pub clients: Vec<Known>,
}

/// All of a plan's networks: clients whose requests meet at some service are one.
pub(super) fn networks(view: &View<'_>) -> Networks {
    let mut networks = Networks::default();
    for clients in apart(view) {
        // What is wrong with a network is told for each station, in its own words.
        let _ = solve(view, &clients, &mut networks);
    }
    networks
}

/// Clients by the services that their requests may come to.
fn apart(view: &View<'_>) -> Vec<Vec<u32>> {
    let mut groups: Vec<(BTreeSet<u32>, Vec<u32>)> = Vec::new();
    for client in 0..view.plan.clients.len() as u32 {
        let mut services = BTreeSet::new();
        let mut sites = vec![view.plan.clients[client as usize].site];
        let mut seen = BTreeSet::new();
        while let Some(site) = sites.pop() {
            let operation = view.plan.sites[site as usize].operation;
            if seen.insert(operation) {
                services.insert(view.plan.operations[operation as usize].service);
                sites.extend(view.operation(operation).sites);
            }
        }
        let mut clients = vec![client];
        let (joined, others): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group| !group.0.is_disjoint(&services));
        groups = others;
        for (more, others) in joined {
            services.extend(more);
            clients.extend(others);
        }
        clients.sort_unstable();
        groups.push((services, clients));
    }
    groups.into_iter().map(|group| group.1).collect()
}

/// How the endpoints of a service serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Everybody at once.
    Free,
    /// So many at once, the others in the order of arrival.
    Queue(u32),
    /// All share so many cores.
    Shared(u32),
}

/// What one request asks for on average.
#[derive(Clone, Debug, Default)]
struct Route {
    /// Seconds of work at speed 1, and in how many pieces, by service.
    work: BTreeMap<u32, (f64, f64)>,
    /// Calls to each service.
    calls: BTreeMap<u32, f64>,
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
struct Reader<'a> {
    view: &'a View<'a>,
    routes: BTreeMap<u32, Route>,
    under_way: BTreeSet<u32>,
    /// The mean of a piece of exponential work, by service with a queue or several cores.
    pieces: BTreeMap<u32, f64>,
    /// Services that some request asks for no work when it arrives.
    idle: BTreeSet<u32>,
    /// Services that make calls.
    callers: BTreeSet<u32>,
}

type Read<T> = Result<T, String>;

impl<'a> Reader<'a> {
    fn name(&self, service: u32) -> &'a str {
        &self.view.names.services[service as usize]
    }

    fn row(&self, service: u32) -> &'a ServicePlan {
        &self.view.plan.services[service as usize]
    }

    fn kind(&self, service: u32) -> Read<Kind> {
        let row = self.row(service);
        match (row.discipline, row.concurrency) {
            (Discipline::ProcessorSharing, UNLIMITED) => Ok(Kind::Shared(row.cores)),
            (Discipline::Fifo | Discipline::Lifo, UNLIMITED) => Ok(Kind::Free),
            (Discipline::Fifo, slots) if row.queue_limit == UNLIMITED => Ok(Kind::Queue(slots)),
            _ => Err(format!("{} has a limit, or another order of service", self.name(service))),
        }
    }

    /// A call from a site, with all that follows from it.
    fn of_site(&mut self, site: u32) -> Read<Route> {
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
    fn check(&self, services: &BTreeSet<u32>, works: impl Fn(u32) -> bool) -> Read<()> {
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

/// A network: its routes by client, and its services.
struct Network<'a> {
    view: &'a View<'a>,
    reader: Reader<'a>,
    routes: Vec<(u32, Route)>,
    services: BTreeSet<u32>,
    /// Seconds on the way, there or back.
    network: f64,
}

fn solve(view: &View<'_>, clients: &[u32], networks: &mut Networks) -> Read<()> {
    let mut reader = Reader {
        view,
        routes: BTreeMap::new(),
        under_way: BTreeSet::new(),
        pieces: BTreeMap::new(),
        idle: BTreeSet::new(),
        callers: BTreeSet::new(),
    };
    let mut routes = Vec::new();
    let mut services = BTreeSet::new();
    for &client in clients {
        let site = view.plan.clients[client as usize].site;
        debug_assert!(matches!(view.owner(site), Owner::Client(_)));
        let route = reader.of_site(site)?;
        services.extend(route.calls.keys());
        routes.push((client, route));
    }
    reader.check(&services, |service| {
        routes
            .iter()
            .any(|(_, route)| route.work.get(&service).is_some_and(|work| work.1 > 0.0))
    })?;
    let network = view.mean_network().ok_or("the network's latency differs from link to link")?;
    let network = Network {
        view,
        reader,
        routes,
        services,
        network,
    };
    match (&view.plan.clients[clients[0] as usize].load, clients.len()) {
        (&Load::Closed { users, think }, 1) => {
            let think = view.plan.distributions[think as usize].mean() * 1e-9;
            network.closed(users, think, networks)
        }
        _ => network.open(networks),
    }
}

impl Network<'_> {
    fn endpoints(&self, service: u32) -> f64 {
        f64::from(self.reader.row(service).endpoint_count)
    }

    fn speed(&self, service: u32) -> f64 {
        self.view.plan.endpoints[self.reader.row(service).first_endpoint as usize].speed
    }

    fn is_leaf(&self, service: u32) -> bool {
        !self.reader.callers.contains(&service)
    }

    fn known(&self, service: u32, model: &str, source: &'static str) -> impl Fn(Figure, f64) -> Known {
        let subject = format!("service {}", self.view.names.services[service as usize]);
        let times = match self.reader.row(service).endpoint_count {
            1 => String::new(),
            n => format!("{n} times "),
        };
        let model = format!("{times}{model}");
        move |figure, value| Known {
            subject: subject.clone(),
            model: model.clone(),
            figure,
            claim: Claim::Exact,
            value,
            source,
        }
    }

    fn of_client(&self, client: u32, model: &str, source: &'static str) -> impl Fn(Figure, f64) -> Known {
        let subject = format!("client {}", self.view.names.clients[client as usize]);
        let model = model.to_string();
        move |figure, value| Known {
            subject: subject.clone(),
            model: model.clone(),
            figure,
            claim: Claim::Exact,
            value,
            source,
        }
    }

    /// Poisson arrivals: Jackson's networks.
    fn open(&self, networks: &mut Networks) -> Read<()> {
        let mut rates = Vec::new();
        for (client, route) in &self.routes {
            match from_client(self.view, *client)? {
                Stream::Poisson(rate) => rates.push((rate, *client, route)),
                Stream::Gaps(_) => return Err("the arrivals are not Poisson".to_string()),
            }
        }
        // Seconds that a piece takes beyond its work at speed 1, and how much longer the work takes, by service.
        let mut takes: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
        let mut services = BTreeMap::new();
        for &service in &self.services {
            let asked = rates.iter().fold((0.0, 0.0), |sum, (rate, _, route)| {
                let work = route.work.get(&service).copied().unwrap_or_default();
                (sum.0 + rate * work.0, sum.1 + rate * work.1)
            });
            let (speed, n) = (self.speed(service), self.endpoints(service));
            let (load, rate) = (asked.0 / speed / n, asked.1 / n);
            let kind = self.reader.kind(service)?;
            if let Kind::Queue(servers) | Kind::Shared(servers) = kind
                && load >= f64::from(servers)
            {
                return Err(format!("{} is offered more than it can serve", self.reader.name(service)));
            }
            let (wait, stretch) = match kind {
                _ if load == 0.0 => (0.0, 1.0),
                Kind::Free => {
                    services.extend(
                        self.plain(service, "M/G/∞ in a network", load, rate)
                            .map(|answer| (service, answer)),
                    );
                    (0.0, 1.0)
                }
                Kind::Shared(1) => {
                    let stretch = queues::mg1_ps_sojourn(load, 1.0).ok_or("it is overloaded")?;
                    let answer = self.plain(service, "M/G/1-PS in a network", load * stretch, rate);
                    services.extend(answer.map(|answer| (service, answer)));
                    (0.0, stretch)
                }
                Kind::Queue(servers) | Kind::Shared(servers) => {
                    let station = Mmc {
                        rate,
                        service: load / rate,
                        servers,
                    };
                    services.insert(service, self.station(service, kind, station));
                    (station.wait().ok_or("it is overloaded")?, 1.0)
                }
            };
            takes.insert(service, (wait, stretch / speed));
        }
        networks.services.extend(services);
        let model = open_model(self.services.len());
        for (_, client, route) in &rates {
            let calls: f64 = route.calls.values().sum();
            let stations: f64 = route
                .work
                .iter()
                .map(|(service, &(work, pieces))| takes[service].0 * pieces + takes[service].1 * work)
                .sum();
            let known = self.of_client(*client, &model, JACKSON);
            networks
                .clients
                .push(known(Figure::Latency(*client), stations + 2.0 * self.network * calls));
        }
        Ok(())
    }

    /// The figures of an endpoint without a queue where on average `there` are, of which `rate` arrive; `None`: it waits for others.
    fn plain(&self, service: u32, model: &str, there: f64, rate: f64) -> Option<Answered> {
        let known = self.known(service, model, JACKSON);
        let all = vec![
            known(Figure::Sojourn(service), there / rate),
            known(Figure::InSystem(service), there * self.endpoints(service)),
        ];
        (self.is_leaf(service) && !self.reader.idle.contains(&service)).then_some((all, there / rate))
    }

    /// The figures of a station whose arrivals see it as if they came at random.
    fn station(&self, service: u32, kind: Kind, station: Mmc) -> Answered {
        let servers = station.servers;
        let (model, is_queue) = match kind {
            Kind::Shared(_) => (format!("M/M/{servers}-PS in a network"), false),
            _ => (format!("M/M/{servers} in a network"), true),
        };
        let known = self.known(service, &model, JACKSON);
        let stable = |value: Option<f64>| value.expect("it was seen to be stable");
        let mut all = vec![known(Figure::Utilization(service), station.utilization())];
        if is_queue {
            all.push(known(Figure::Wait(service), stable(station.wait())));
            all.push(known(Figure::Waits(service), stable(station.waits())));
        }
        if self.is_leaf(service) {
            all.push(known(Figure::Sojourn(service), stable(station.sojourn())));
            all.push(known(
                Figure::InSystem(service),
                stable(station.in_system()) * self.endpoints(service),
            ));
            if is_queue {
                for (place, p) in COMPARED {
                    all.push(known(
                        Figure::SojournQuantile(service, place),
                        stable(station.sojourn_quantile(p)),
                    ));
                }
            }
        }
        let root = 1.0 - station.utilization().sqrt();
        (all, station.service / (root * root))
    }

    /// Users who wait for their answers.
    fn closed(&self, users: u32, think: f64, networks: &mut Networks) -> Read<()> {
        let (client, route) = &self.routes[0];
        let calls: f64 = route.calls.values().sum();
        let mut delay = think + 2.0 * self.network * calls;
        let (mut centers, mut of) = (Vec::new(), Vec::new());
        for (&service, &(work, _)) in &route.work {
            let asked = work / self.speed(service);
            match self.reader.kind(service)? {
                Kind::Free => delay += asked,
                Kind::Queue(servers) | Kind::Shared(servers) => {
                    let copies = self.reader.row(service).endpoint_count;
                    centers.push(Center {
                        demand: asked / f64::from(copies),
                        servers,
                        copies,
                    });
                    of.push(service);
                }
            }
        }
        let copies: f64 = centers.iter().map(|center| f64::from(center.copies)).sum();
        let steps = f64::from(users) * f64::from(users) * (copies + 1.0) * (centers.len() as f64 + 3.0);
        if steps > STEPS_MAX {
            return Err("there are too many users and endpoints for the sum over all states".to_string());
        }
        let asked: f64 = centers.iter().map(|center| center.demand * f64::from(center.copies)).sum();
        if users == 0 || delay + asked <= 0.0 {
            return Err("users who do nothing".to_string());
        }
        let closed = networks::closed_network(users, delay, &centers);
        let throughput = closed.throughput;
        let model = format!("closed network of {users} users");
        for ((&service, center), &there) in of.iter().zip(&centers).zip(&closed.there) {
            let known = self.known(service, &model, GORDON);
            let busy = throughput * center.demand / f64::from(center.servers);
            let mut all = vec![known(Figure::Utilization(service), busy)];
            if self.is_leaf(service) {
                let visits = throughput * route.work[&service].1 / f64::from(center.copies);
                let sojourn = there / visits;
                all.push(known(Figure::Sojourn(service), sojourn));
                all.push(known(Figure::InSystem(service), there * self.endpoints(service)));
                if matches!(self.reader.kind(service)?, Kind::Queue(_)) {
                    let wait = sojourn - center.demand * throughput / visits;
                    all.push(known(Figure::Wait(service), wait));
                }
            }
            networks.services.insert(service, (all, f64::from(users) * (delay + asked)));
        }
        let known = self.of_client(*client, &model, GORDON);
        networks.clients.push(known(Figure::Throughput(*client), throughput));
        networks
            .clients
            .push(known(Figure::Latency(*client), f64::from(users) / throughput - think));
        Ok(())
    }
}

fn open_model(services: usize) -> String {
    match services {
        1 => "its station and the way there and back".to_string(),
        n => format!("open network of {n} services"),
    }
}
