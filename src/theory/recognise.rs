//! Which parts of a plan have a known answer, and why the others have none.

use crate::math::pow;
use crate::model::plan::{Discipline, Instr, Load, Owner, Threading, UNLIMITED};
use crate::policy::balancer::Config;
use crate::policy::balancer::envoy::least_request::SelectionMethod;
use crate::random::{Arrival, Distribution};
use crate::theory::queues::{self, Gap, Mmc};
use crate::theory::station::{Figure, Known, Station, Stream};
use crate::theory::walk::{View, Work, none_of};
use crate::theory::{Claim, Unrecognised, chances, closed, fork, product};
use crate::time::{Duration, Time};

/// What was recognised.
pub(super) struct Recognised {
    pub known: Vec<Known>,
    pub unknown: Vec<Unrecognised>,
    /// About how long stations remember how they began: who, and seconds.
    pub relaxation: Vec<(String, f64)>,
}

const MITZENMACHER: &str = "Mitzenmacher, IEEE TPDS 12 (10), 2001; Vvedenskaya, Dobrushin and Karpelevich 1996";
const JSQ: &str = "Haight 1958; Flatto and McKean 1977; the chain solved numerically";
const BOUND: &str = "one queue for all servers, and a random choice: Winston 1977";

/// Looks at every service and client.
pub(super) fn recognise(view: &View<'_>) -> Recognised {
    let mut recognised = Recognised {
        known: Vec::new(),
        unknown: Vec::new(),
        relaxation: Vec::new(),
    };
    let mut networks = product::networks(view);
    for service in 0..view.plan.services.len() as u32 {
        let subject = format!("service {}", view.names.services[service as usize]);
        if view.sites_into(service).is_empty() {
            continue;
        }
        let alone = at_service(view, service, &subject);
        match alone.or_else(|why| networks.services.remove(&service).ok_or(why)) {
            Ok((known, relaxation)) => {
                recognised.known.extend(known);
                recognised.relaxation.push((subject, relaxation));
            }
            Err(mut why) => {
                let network = networks.unknown.get(&service).map_or("", String::as_str);
                let more: Vec<&str> = network.split("; ").filter(|reason| !why.contains(reason)).collect();
                if !more.is_empty() {
                    why += &format!("; nor is it part of a network in product form: {}", more.join("; "));
                }
                recognised.unknown.push(Unrecognised { subject, why });
            }
        }
    }
    for client in 0..view.plan.clients.len() as u32 {
        recognised.known.extend(fork::fork_join(view, client));
        let (known, relaxation) = chances::chances(view, client);
        recognised.known.extend(known);
        recognised.relaxation.extend(relaxation);
    }
    for known in networks.clients {
        if recognised.known.iter().all(|other| other.figure != known.figure) {
            recognised.known.push(known);
        }
    }
    recognised
}

/// Of how many requests a second a service hears, and in what way.
fn stream_into(view: &View<'_>, service: u32, depth: u32) -> Result<Stream, String> {
    if depth > 16 {
        return Err("calls go round in circles".to_string());
    }
    let sites = view.sites_into(service);
    let several = view.plan.services[service as usize].endpoint_count > 1;
    for &site in &sites {
        view.trouble(site, several)?;
    }
    if let [site] = sites[..] {
        return through(view, site, depth);
    }
    let mut rate = 0.0;
    let mut owners = Vec::new();
    for &site in &sites {
        let Owner::Client(client) = view.owner(site) else {
            return Err("it is called from several places, whose requests may belong together".to_string());
        };
        owners.push(client);
        match through(view, site, depth)? {
            Stream::Poisson(more) => rate += more,
            Stream::Gaps(_) => return Err("the streams of several clients that are not Poisson come together".to_string()),
        }
    }
    Ok(Stream::Poisson(rate))
}

/// What comes from one site.
fn through(view: &View<'_>, site: u32, depth: u32) -> Result<Stream, String> {
    let service = match view.owner(site) {
        Owner::Client(client) => return from_client(view, client),
        Owner::Service(service) => service,
    };
    let name = &view.names.services[service as usize];
    view.service_trouble(service)
        .map_err(|why| format!("what {name} sends is not known: {why}"))?;
    let row = &view.plan.services[service as usize];
    let Stream::Poisson(rate) = stream_into(view, service, depth + 1)? else {
        return Err(format!("what {name} sends is not Poisson"));
    };
    let [operation] = view.callers_of(site, service)[..] else {
        return Err(format!("several operations of {name} call it"));
    };
    let facts = view.operation(operation);
    let into: Vec<u32> = view.sites_into(service);
    if into.iter().any(|&into| view.plan.sites[into as usize].operation != operation) {
        return Err(format!("{name} is asked for other things too"));
    }

    if facts.fails {
        return Err(format!("{name} fails at random before or after it calls"));
    }
    if row.queue_limit != UNLIMITED && row.concurrency != UNLIMITED {
        return Err(format!("{name} turns requests away, so that what it sends is not Poisson"));
    }
    let visits = match &facts.calls {
        Some(calls) => calls.iter().find(|call| call.0 == site).map_or(0.0, |call| call.1),
        // Side by side: each of the branches gets one of each request.
        None if view
            .fork(operation)
            .is_some_and(|sites| sites.iter().filter(|&&other| other == site).count() == 1) =>
        {
            1.0
        }
        None => return Err(format!("{name} calls it several times at once")),
    };
    if visits > 1.0 || repeats(view, operation, site) {
        return Err(format!("one request of {name} calls it several times"));
    }
    if !is_first_call(view, operation, site) {
        return Err(format!(
            "{name} calls others before, and what leaves those is not known to be Poisson"
        ));
    }
    if row.concurrency != UNLIMITED {
        let is_reversible = facts.work.exponential && row.discipline == Discipline::Fifo || facts.work.mean == 0.0;
        if !is_reversible || row.threading == Threading::Sync || facts.works_later {
            return Err(format!("what leaves {name} is not Poisson"));
        }
        if facts.work.mean > 0.0 && rate / f64::from(row.endpoint_count) * facts.work.mean >= f64::from(row.concurrency) {
            return Err(format!("{name} is offered more than it can serve"));
        }
        if row.endpoint_count > 1 && !into.iter().all(|&site| is_random(view, site)) {
            return Err(format!(
                "what leaves the endpoints of {name} is not Poisson unless requests are spread at random"
            ));
        }
        if row.endpoint_count > 1 && !alike(view, service) {
            return Err(format!("the endpoints of {name} are not alike"));
        }
    } else if row.discipline == Discipline::ProcessorSharing {
        return Err(format!("what leaves {name} is not known to be Poisson once it calls"));
    }
    Ok(Stream::Poisson(rate * visits))
}

/// Whether a site is called more than once by one request: more than one instruction with it may run.
fn repeats(view: &View<'_>, operation: u32, site: u32) -> bool {
    let facts = view.operation(operation);
    let calls = view
        .plan
        .program
        .iter()
        .filter(|instr| matches!(instr, Instr::Call { site: other, .. } if *other == site));
    calls.count() > 1 && facts.sites.contains(&site)
}

/// Whether a call is made before all others of its operation.
fn is_first_call(view: &View<'_>, operation: u32, site: u32) -> bool {
    let mut pc = view.plan.operations[operation as usize].start;
    loop {
        match view.plan.program[pc as usize] {
            Instr::Work { .. } | Instr::Maybe { .. } => pc += 1,
            Instr::Call { site: first, .. } => return first == site,
            // Side by side all are first.
            Instr::Parallel { .. } => return true,
            _ => return false,
        }
    }
}

pub(super) fn from_client(view: &View<'_>, client: u32) -> Result<Stream, String> {
    let plan = &view.plan.clients[client as usize];
    let name = &view.names.clients[client as usize];
    match &plan.load {
        Load::Closed { .. } => Err(format!("client {name} is a closed loop")),
        Load::Open(arrival) => {
            let rate = arrival.mean_rate(Time::ZERO + view.plan.duration);
            match arrival {
                Arrival::Poisson(poisson) if poisson.size() == 1 => Ok(Stream::Poisson(rate)),
                Arrival::Poisson(_) => Err(format!("the requests of client {name} come in batches")),
                Arrival::Constant(_) => Ok(Stream::Gaps(Gap::Constant(1.0 / rate))),
                Arrival::Renewal(renewal) => match renewal.gap() {
                    Distribution::Erlang { shape, .. } => Ok(Stream::Gaps(Gap::Erlang(*shape, 1.0 / rate))),
                    Distribution::Exponential { .. } => Ok(Stream::Poisson(rate)),
                    Distribution::Constant(_) => Ok(Stream::Gaps(Gap::Constant(1.0 / rate))),
                    _ => Err(format!("the gaps of client {name} are of a kind without a closed form")),
                },
                Arrival::Mmpp(_) => Err(format!("the requests of client {name} come in bursts (MMPP)")),
                Arrival::Steps(_) | Arrival::Ramp(_) | Arrival::Diurnal(_) => {
                    Err(format!("the rate of client {name} changes over time"))
                }
                Arrival::Replay(_) => Err(format!("client {name} replays a recording")),
            }
        }
    }
}

/// Whether each request goes to an endpoint drawn at random, all alike, whatever happened before.
pub(super) fn is_random(view: &View<'_>, site: u32) -> bool {
    matches!(
        view.config(site).balancer.name(),
        "envoy/random" | "kube_proxy/iptables" | "kube_proxy/nftables"
    )
}

/// Whether requests go to one endpoint after the other.
pub(super) fn is_rotation(view: &View<'_>, site: u32) -> bool {
    matches!(
        view.config(site).balancer.name(),
        "envoy/round_robin" | "grpc/round_robin" | "nginx/round_robin" | "haproxy/static_rr" | "kube_proxy/ipvs_rr"
    )
}

/// How many endpoints a balancer draws to compare the requests in flight; `u32::MAX`: it compares all.
fn choices(view: &View<'_>, site: u32) -> Option<u32> {
    match &view.config(site).balancer {
        Config::EnvoyLeastRequest(options) => Some(match options.selection_method {
            SelectionMethod::NChoices => options.choice_count,
            SelectionMethod::FullScan => u32::MAX,
        }),
        config => match config.name() {
            "tower/pending_requests" | "finagle/p2c_least_loaded" | "traefik/p2c" => Some(2),
            _ => None,
        },
    }
}

/// Whether the endpoints of a service are equally fast and weigh the same.
pub(super) fn alike(view: &View<'_>, service: u32) -> bool {
    let row = &view.plan.services[service as usize];
    let endpoints = &view.plan.endpoints[row.first_endpoint as usize..][..row.endpoint_count as usize];
    let first = &endpoints[0];
    endpoints.iter().all(|endpoint| {
        let (own, other) = (&endpoint.info, &first.info);
        endpoint.speed == first.speed
            && (own.weight, own.priority, own.health) == (other.weight, other.priority, other.health)
            && own.locality_weight == other.locality_weight
    })
}

/// Whether the requests of a site come from one proxy alone.
fn is_one_caller(view: &View<'_>, site: u32) -> bool {
    match view.owner(site) {
        Owner::Client(client) => view.plan.clients[client as usize].caller_zones.len() == 1,
        Owner::Service(service) => view.plan.services[service as usize].endpoint_count == 1,
    }
}

/// What is known, and about how long it takes to forget how the run began, in seconds.
pub(super) type Answered = (Vec<Known>, f64);

fn at_service(view: &View<'_>, service: u32, subject: &str) -> Result<Answered, String> {
    let row = &view.plan.services[service as usize];
    let sites = view.sites_into(service);
    let mut troubles = view.service_troubles(service);
    for &site in &sites {
        let more = view.troubles(site, row.endpoint_count > 1);
        troubles.extend(more.into_iter().filter(|more| !troubles.contains(more)).collect::<Vec<_>>());
    }
    none_of(&troubles)?;
    if let [site] = sites[..]
        && let Some(closed) = closed::closed_loop(view, service, site, subject)
    {
        return closed;
    }
    let stream = stream_into(view, service, 0)?;
    let n = row.endpoint_count;
    let (work, calls) = work_of(view, service, &sites)?;
    let name = &view.names.services[service as usize];
    if n > 1 && !alike(view, service) {
        let balancer = view.config(sites[0]).balancer.name();
        return Err(format!(
            "{n} endpoints of unequal speed or weight under {balancer}: no closed form"
        ));
    }
    let speed = view.plan.endpoints[row.first_endpoint as usize].speed;
    let station = |stream| Station {
        service,
        subject: subject.to_string(),
        plan: row,
        endpoints: n,
        stream,
        work: Work {
            mean: work.mean / speed,
            second_moment: work.second_moment / (speed * speed),
            ..work.clone()
        },
        calls,
    };
    if matches!(stream, Stream::Gaps(_)) && view.constant_network().is_none() {
        return Err("the network changes the gaps between requests".to_string());
    }
    let each = f64::from(n);
    if n == 1 {
        return station(stream).answer();
    }
    if row.concurrency == UNLIMITED && row.discipline != Discipline::ProcessorSharing {
        // Who is served at once does not care where.
        return station(match stream {
            Stream::Poisson(rate) => Stream::Poisson(rate / each),
            Stream::Gaps(_) => return Err("the arrivals are not Poisson".to_string()),
        })
        .answer();
    }
    if sites.iter().all(|&site| is_random(view, site)) {
        return match stream {
            Stream::Poisson(rate) => station(Stream::Poisson(rate / each))
                .answer()
                .map(|answer| renamed(answer, &format!("{n} times "))),
            Stream::Gaps(_) => Err("gaps that are not exponential are not kept by a random choice".to_string()),
        };
    }
    let [site] = sites[..] else {
        return Err(format!("several callers of {name} do not know of each other's requests"));
    };
    if !is_one_caller(view, site) {
        let balancer = view.config(site).balancer.name();
        return Err(format!(
            "{balancer} with several callers, which do not know of each other's requests: no closed form"
        ));
    }
    if is_rotation(view, site) {
        let gap = match stream {
            Stream::Poisson(rate) if view.constant_network().is_some() && matches!(view.owner(site), Owner::Client(_)) => {
                Gap::Erlang(n, each / rate)
            }
            Stream::Poisson(_) => return Err("the network changes the gaps that a rotation makes".to_string()),
            Stream::Gaps(Gap::Constant(gap)) => Gap::Constant(gap * each),
            Stream::Gaps(Gap::Erlang(stages, mean)) => Gap::Erlang(stages * n, mean * each),
        };
        return station(Stream::Gaps(gap))
            .answer()
            .map(|answer| renamed(answer, &format!("{n} times ")));
    }
    match (choices(view, site), stream) {
        (Some(choices), Stream::Poisson(rate)) => compared(view, &station(Stream::Poisson(rate / each)), choices),
        _ => {
            let balancer = view.config(site).balancer.name();
            Err(format!("{n} endpoints under {balancer}: no closed form"))
        }
    }
}

fn renamed((known, relaxation): Answered, times: &str) -> Answered {
    let name = |mut known: Known| {
        known.model = format!("{times}{}", known.model);
        known
    };
    (known.into_iter().map(name).collect(), relaxation)
}

/// The work of a visit to a service, over all that is asked of it; and whether it calls others.
pub(super) fn work_of(view: &View<'_>, service: u32, sites: &[u32]) -> Result<(Work, bool), String> {
    let row = &view.plan.services[service as usize];
    let mut operations: Vec<u32> = sites.iter().map(|&site| view.plan.sites[site as usize].operation).collect();
    operations.sort_unstable();
    operations.dedup();
    let facts: Vec<_> = operations.iter().map(|&operation| view.operation(operation)).collect();
    let first = &facts[0];
    if facts.iter().all(|facts| facts.work.mean == 0.0) {
        return Err("it has no work of its own to do".to_string());
    }
    if facts.iter().any(|other| other.work != first.work) {
        return Err("its operations do not bring the same work".to_string());
    }
    let calls = facts.iter().any(|facts| !facts.sites.is_empty());
    if facts.iter().any(|facts| facts.fails) {
        return Err("a step fails at random".to_string());
    }
    if calls && row.concurrency != UNLIMITED {
        if row.threading == Threading::Sync {
            return Err("its slots are held while it waits for its own calls".to_string());
        }
        if facts.iter().any(|facts| facts.works_later) {
            return Err("it queues again to work after its calls".to_string());
        }
    }
    if calls && row.discipline == Discipline::ProcessorSharing {
        return Err("it shares its cores while it waits for its own calls".to_string());
    }
    if calls && row.concurrency == UNLIMITED {
        return Err("it serves everybody at once, so that its time is that of its calls".to_string());
    }
    Ok((first.work.clone(), calls))
}

/// The shortest of a few queues, or of all.
fn compared(view: &View<'_>, station: &Station<'_>, choices: u32) -> Result<Answered, String> {
    let (n, rate) = (station.endpoints, station.stream.rate());
    if view.constant_network() != Some(0.0) {
        return Err("the caller's counts lag behind the queues, as the network takes time: no closed form".to_string());
    }
    if station.plan.concurrency != 1 || station.plan.queue_limit != UNLIMITED || !station.work.exponential || station.calls {
        return Err("choices among queues are known for single slots, exponential work and no limit".to_string());
    }
    if station.plan.discipline != Discipline::Fifo || station.plan.queue_timeout != Duration::MAX {
        return Err("choices among queues are known for first come, first served, without a queue timeout".to_string());
    }
    let load = rate * station.work.mean;
    if load >= 1.0 {
        return Err(format!(
            "it is offered {load:.3} of what it can serve, so that its queues grow without bound"
        ));
    }
    let figure = Figure::Sojourn(station.service);
    let known = |model: &str, claim: Claim, value: f64, source: &'static str| Known {
        subject: station.subject.clone(),
        model: model.to_string(),
        figure,
        claim,
        value: value * station.work.mean,
        source,
    };
    let one_queue = Mmc {
        rate: load * f64::from(n),
        service: 1.0,
        servers: n,
    };
    let mut all = vec![
        known(
            &format!("M/M/{n}: one queue for all"),
            Claim::AtLeast,
            one_queue.sojourn().unwrap_or(1.0),
            BOUND,
        ),
        known("a random choice: M/M/1 each", Claim::AtMost, 1.0 / (1.0 - load), BOUND),
    ];
    let utilization = Known {
        figure: Figure::Utilization(station.service),
        value: load,
        ..known("any choice", Claim::Exact, load, BOUND)
    };
    all.push(utilization);
    if choices >= n && choices == u32::MAX {
        if let (2, Some(sojourn)) = (n, queues::jsq2_sojourn(load)) {
            all.push(known("the shorter of two queues (JSQ)", Claim::Exact, sojourn, JSQ));
        }
    } else if choices != u32::MAX {
        let sojourn = queues::supermarket_sojourn(load, choices).expect("it was seen to be stable");
        let model = format!("the shortest of {choices} random queues, of very many");
        let limit = known(&model, Claim::Limit { error: "1/n" }, sojourn, MITZENMACHER);
        // Whoever waits has drawn busy ones only.
        all.push(Known {
            figure: Figure::Waits(station.service),
            value: pow(load, f64::from(choices)),
            ..limit.clone()
        });
        all.push(Known {
            figure: Figure::Wait(station.service),
            value: (sojourn - 1.0) * station.work.mean,
            ..limit.clone()
        });
        all.push(limit);
    }
    let root = 1.0 - load.sqrt();
    Ok((all, station.work.mean / (root * root)))
}
