//! Networks of queues in product form: each station is as if it were alone, whatever ways requests take between them.
//!
//! Requests may visit stations in any order, more than once, and by chance. What it takes: Poisson arrivals or one closed loop, no failures,
//! no calls side by side, and stations that serve exponential work in the order of arrival (of the same mean whoever asks for it), that
//! serve everybody at once, or that share their cores (BCMP: Baskett, Chandy, Muntz and Palacios, J. ACM 22 (2), 1975; Kelly 1979).

use std::collections::{BTreeMap, BTreeSet};

use crate::model::plan::{Load, Owner};
use crate::theory::Claim;
use crate::theory::networks::{self, Center};
use crate::theory::queues::{self, Mmc};
use crate::theory::recognise::{Answered, from_client};
use crate::theory::routes::{Kind, Read, Reader, Route};
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
    /// Services whose requests go on to others, but in no product form, and why.
    pub unknown: BTreeMap<u32, String>,
    /// Of clients, each with its number.
    pub clients: Vec<Known>,
}

/// All of a plan's networks: clients whose requests meet at some service are one.
pub(super) fn networks(view: &View<'_>) -> Networks {
    let mut networks = Networks::default();
    for (services, clients) in apart(view) {
        if let Err(why) = solve(view, &clients, &mut networks)
            && services.len() > 1
        {
            networks
                .unknown
                .extend(services.into_iter().map(|service| (service, why.clone())));
        }
    }
    networks
}

/// Services that the same requests may come to, and the clients that these are of.
fn apart(view: &View<'_>) -> Vec<(BTreeSet<u32>, Vec<u32>)> {
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
    groups
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
    let mut reader = Reader::new(view);
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
            let mut all = Vec::new();
            // Idle times of one in ten thousand are too rare to be normal.
            if busy < 0.9999 {
                all.push(known(Figure::Utilization(service), busy));
            }
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
