//! The world: its tables, and the one `match` over events.

use std::sync::Arc;

use crate::engine::{self, Agenda, Sequence};
use crate::model::baggage::{self, Baggage};
use crate::model::call::Call;
use crate::model::caller::Caller;
use crate::model::check::Checks;
use crate::model::client::{Client, User};
use crate::model::discovery::Discovery;
use crate::model::endpoint::{Endpoint, Station};
use crate::model::event::Event;
use crate::model::fault::{self, Faults};
use crate::model::hedge::Group;
use crate::model::load::Meters;
use crate::model::network::Link;
use crate::model::observe::Observe;
use crate::model::plan::{
    Discipline, EndpointPlan, Instr, Membership, NO_EDGE, OnCancel, OperationPlan, Owner, Plan, ServicePlan, SitePlan, Threading,
    UNLIMITED,
};
use crate::model::pool::Opening;
use crate::model::probe::Probe;
use crate::model::processor_sharing::Shared;
use crate::model::table::Table;
use crate::model::task::{Join, Task};
use crate::model::timers::{Timer, Timers};
use crate::model::trace::Trace;
use crate::model::visit::{Lanes, moment};
use crate::model::{Elision, RunOptions};
use crate::policy::hedging::Way;
use crate::policy::overload::Shield;
use crate::policy::overload::codel::Codel;
use crate::policy::{CallerInfo, EndpointIndex, Upstream, balancer};
use crate::random::{Key, Purpose, Rng, Streams};
use crate::time::{Duration, Time};

/// No index.
pub(crate) const NIL: u32 = u32::MAX;

/// What the event loop reads of a site: its plan, with what follows from it.
#[derive(Debug)]
pub(crate) struct SiteState {
    /// Its edge, as in the plan.
    pub edge: u32,
    /// Where its callers begin in [`World::cluster_of`].
    pub cluster_base: u32,
    /// The first instruction of the operation called.
    pub start: u32,
    /// As in the plan.
    pub request_size: u32,
    /// As in the plan.
    pub response_size: u32,
    /// The list of its overall timeouts; `NIL`: none.
    pub timeout_list: u32,
    /// The list of its per-try timeouts; `NIL`: none.
    pub attempt_list: u32,
    /// The client that it belongs to; `NIL`: a service.
    pub client: u32,
    /// Whether and how its calls have several attempts at a time.
    pub hedges: Option<Way>,
}

/// What the event loop reads of a service: its plan, with what follows from it.
#[derive(Debug)]
pub(crate) struct ServiceState {
    /// As in the plan.
    pub concurrency: u32,
    /// As in the plan.
    pub queue_limit: u32,
    /// As in the plan.
    pub discipline: Discipline,
    /// As in the plan.
    pub threading: Threading,
    /// As in the plan.
    pub on_cancel: OnCancel,
    /// A visit could be computed on arrival.
    pub could_settle_visits: bool,
    /// And it is.
    pub settles_visits: bool,
    /// The hop of a request could be folded into the visit.
    pub could_fold_request_hop: bool,
    /// And it is.
    pub folds_request_hop: bool,
    /// Policies look at the servers' own load.
    pub load_is_known: bool,
    /// Where the meters of its endpoints begin in [`World::meters`]; `NIL`: nobody asks for them.
    pub meter_base: u32,
    /// Callers that want to know of idle endpoints.
    pub idle_listeners: Vec<u32>,
    /// Draws one of them.
    pub idle_rng: Rng,
}

/// The tables of one run.
#[derive(Debug)]
pub(crate) struct World<'p, T = ()> {
    pub(super) plan: &'p Plan,
    /// Who writes down what happens; nobody in a plain run.
    pub(super) trace: T,
    pub(super) streams: Streams,
    pub(super) horizon: Time,
    /// No client sends after this.
    pub(super) sends_end: Time,
    /// The number of the event being handled.
    pub(super) current: Sequence,
    pub(super) next_generation: u32,
    pub(super) last_completion: Time,
    /// Calls opened so far.
    pub(super) opened: u64,
    /// Calls that have ended.
    pub(super) completed: u64,
    pub(super) observe: Observe,
    pub(super) timers: Timers,
    pub(super) links: Vec<Link<'p>>,
    pub(super) sites: Vec<SiteState>,
    pub(super) services: Vec<ServiceState>,
    pub(super) clients: Vec<Client>,
    pub(super) users: Vec<User>,
    pub(super) calls: Table<Call>,
    /// What each call carries along, if any carries anything.
    pub(super) baggage: Vec<Baggage>,
    pub(super) carries_baggage: bool,
    /// Health checks.
    pub(super) checks: Checks,
    pub(super) tasks: Table<Task>,
    pub(super) joins: Table<Join>,
    /// Cancellations on their way: the task, its attempt, and who gives up.
    pub(super) cancels: Table<(u32, Key, u32)>,
    /// The task of each call's last attempt; kept only where cancellations reach endpoints.
    pub(super) task_of_call: Vec<u32>,
    remembers_tasks: bool,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) stations: Vec<Station>,
    /// By endpoint; those of services without any are never asked. Empty where no service has any.
    pub(super) shields: Vec<Option<Shield>>,
    /// By endpoint; empty where no service has any.
    pub(super) codels: Vec<Codel>,
    /// Requests at each endpoint, where events tell.
    pub(super) load: Vec<u32>,
    pub(super) lanes: Lanes,
    pub(super) shared: Vec<Shared>,
    pub(super) meters: Meters,
    pub(super) probes: Table<Probe>,
    pub(super) upstreams: Vec<Arc<Upstream>>,
    pub(super) callers: Vec<Caller>,
    /// What is known of the callers of each cluster of the plan, once one of them calls.
    pub(super) peers: Vec<Option<CallerInfo>>,
    /// Where each call with several attempts has been.
    pub(super) tried: Vec<Vec<EndpointIndex>>,
    /// The attempts of calls that hedge.
    pub(super) groups: Table<Group>,
    /// The group of each call, where calls hedge.
    pub(super) group_of_call: Vec<u32>,
    /// Connections that policies want and that are being set up.
    pub(super) openings: Table<Opening>,
    /// Which wait of its caller each call is in, where calls wait for connections.
    pub(super) wait_of_call: Vec<u32>,
    /// Where the callers of each cluster of the plan begin in `cluster_of`.
    pub(super) cluster_base: Vec<u32>,
    /// The row in `callers`; `NIL`: not made yet.
    pub(super) cluster_of: Vec<u32>,
    pub(super) faults: Faults,
    pub(super) discovery: Discovery,
}

impl<'p, T: Trace> World<'p, T> {
    pub(super) fn new(plan: &'p Plan, options: RunOptions, trace: T) -> World<'p, T> {
        let streams = Streams::new(options.seed, options.replication);
        let mut timers = Timers::new(options.elision);
        let services = service_states(plan, &streams, options.elision);
        let lanes = Lanes::new(plan.endpoints.len(), &services);
        let any_shared = plan
            .services
            .iter()
            .any(|service| service.discipline == Discipline::ProcessorSharing);
        let mut cluster_base = Vec::with_capacity(plan.clusters.len());
        let mut clusters = 0;
        for cluster in &plan.clusters {
            cluster_base.push(clusters);
            clusters += match cluster.owner {
                Owner::Client(client) => plan.clients[client as usize].caller_zones.len() as u32,
                Owner::Service(service) => plan.services[service as usize].endpoint_count,
            };
        }
        World {
            trace,
            horizon: Time::ZERO + plan.duration + plan.drain,
            sends_end: Time::ZERO + plan.duration,
            current: Sequence(0),
            next_generation: 0,
            last_completion: Time::ZERO,
            opened: 0,
            completed: 0,
            observe: Observe::new(plan, options.warmup, options.pilot),
            links: Link::all(&plan.network),
            sites: site_states(plan, &cluster_base, &mut timers),
            timers,
            services,
            clients: Vec::new(),
            users: Vec::new(),
            calls: Table::default(),
            baggage: Vec::new(),
            carries_baggage: baggage::is_carried(plan),
            checks: Checks::new(plan, options.elision),
            tasks: Table::default(),
            joins: Table::default(),
            cancels: Table::default(),
            task_of_call: Vec::new(),
            remembers_tasks: plan.services.iter().any(|service| service.on_cancel != OnCancel::Continue),
            endpoints: plan.endpoints.iter().map(Endpoint::new).collect(),
            stations: vec![Station::default(); plan.endpoints.len()],
            shields: shields(plan, &streams),
            codels: codels(plan),
            streams,
            load: vec![0; plan.endpoints.len()],
            lanes,
            shared: (0..if any_shared { plan.endpoints.len() } else { 0 })
                .map(|_| Shared::default())
                .collect(),
            meters: Meters::default(),
            probes: Table::default(),
            upstreams: plan.clusters.iter().map(|cluster| upstream(plan, cluster)).collect(),
            callers: Vec::new(),
            peers: vec![None; plan.clusters.len()],
            tried: Vec::new(),
            groups: Table::default(),
            group_of_call: Vec::new(),
            openings: Table::default(),
            wait_of_call: Vec::new(),
            cluster_base,
            cluster_of: vec![NIL; clusters as usize],
            faults: Faults::new(plan),
            discovery: Discovery::new(plan, &streams),
            plan,
        }
    }

    #[inline]
    pub(super) fn services_of(&self, endpoint: u32) -> &ServiceState {
        &self.services[self.endpoints[endpoint as usize].service as usize]
    }

    #[inline]
    pub(super) fn free_task(&mut self, task: u32) {
        let row = &mut self.tasks[task];
        row.endpoint = NIL;
        row.wake = Sequence::NONE;
        self.tasks.release(task);
    }

    /// Remembers which task serves a call, where a cancellation may ask.
    #[inline]
    pub(super) fn remember_task(&mut self, call: u32, task: u32) {
        if self.carries_baggage {
            let Baggage {
                deadline, criticality, ..
            } = self.baggage[call as usize];
            let row = &mut self.tasks[task];
            row.deadline = deadline;
            row.criticality = criticality;
        }
        if self.remembers_tasks {
            if self.task_of_call.len() <= call as usize {
                self.task_of_call.resize(call as usize + 1, NIL);
            }
            self.task_of_call[call as usize] = task;
        }
    }
}

fn shields(plan: &Plan, streams: &Streams) -> Vec<Option<Shield>> {
    if plan.services.iter().all(|service| service.shield.is_empty()) {
        return Vec::new();
    }
    let shield = |(number, endpoint): (u64, &EndpointPlan)| {
        let options = &plan.services[endpoint.service as usize].shield;
        (!options.is_empty()).then(|| Shield::new(options, streams.rng(Purpose::Shield, number), Time::ZERO))
    };
    (0..).zip(&plan.endpoints).map(shield).collect()
}

fn codels(plan: &Plan) -> Vec<Codel> {
    let any = plan.services.iter().any(|service| service.codel.is_some());
    vec![Codel::default(); if any { plan.endpoints.len() } else { 0 }]
}

fn upstream(plan: &Plan, cluster: &crate::model::plan::ClusterPlan) -> Arc<Upstream> {
    let service = &plan.services[cluster.service as usize];
    let endpoints = &plan.endpoints[service.first_endpoint as usize..][..service.endpoint_count as usize];
    let infos = endpoints.iter().map(|endpoint| endpoint.info.clone()).collect();
    Arc::new(Upstream::new((*cluster.config).clone(), infos))
}

fn site_states(plan: &Plan, cluster_base: &[u32], timers: &mut Timers) -> Vec<SiteState> {
    let mut states: Vec<SiteState> = plan
        .sites
        .iter()
        .map(|site| SiteState {
            edge: site.edge,
            cluster_base: cluster_base[site.cluster as usize],
            start: plan.operations[site.operation as usize].start,
            request_size: site.request_size,
            response_size: site.response_size,
            timeout_list: timers.list(Timer::Call, site.timeout),
            attempt_list: match site.edge {
                // Health checks have timers of their own.
                NO_EDGE => NIL,
                _ => timers.list(Timer::Attempt, site.per_try_timeout),
            },
            client: NIL,
            // A health check is asked once.
            hedges: Way::of(&plan.clusters[site.cluster as usize].config).filter(|_| site.edge != NO_EDGE),
        })
        .collect();
    for (index, client) in plan.clients.iter().enumerate() {
        states[client.site as usize].client = index as u32;
    }
    states
}

fn service_states(plan: &Plan, streams: &Streams, elision: Elision) -> Vec<ServiceState> {
    let leaves = leaves(plan);
    let mut balancers = vec![Vec::new(); plan.services.len()];
    for cluster in &plan.clusters {
        balancers[cluster.service as usize].push(&cluster.config.balancer);
    }
    let state = |(index, balancers): (usize, &Vec<&balancer::Config>)| {
        service_state(plan, index as u32, balancers, &leaves, (streams, elision))
    };
    let mut states: Vec<ServiceState> = balancers.iter().enumerate().map(state).collect();
    let mut meters = 0;
    for (state, service) in states.iter_mut().zip(&plan.services) {
        if state.meter_base != NIL {
            state.meter_base = meters;
            meters += service.endpoint_count;
        }
    }
    states
}

fn service_state(
    plan: &Plan,
    index: u32,
    balancers: &[&balancer::Config],
    leaves: &[bool],
    (streams, elision): (&Streams, Elision),
) -> ServiceState {
    let service = &plan.services[index as usize];
    let load_is_known = balancers.iter().any(|balancer| balancer.wants().server_load);
    let is_metered = balancers.iter().any(|balancer| {
        let wants = balancer.wants();
        wants.load_reports || wants.probes
    });
    let observed = load_is_known || is_metered || balancers.iter().any(|balancer| balancer.wants().idle_reports);
    let operations = service.first_operation as usize..(service.first_operation + service.operation_count) as usize;
    let could_settle_visits = !observed
        && service.discipline == Discipline::Fifo
        && service.queue_timeout == Duration::MAX
        && service.on_cancel == OnCancel::Continue
        && service.shield.is_empty()
        && service.codel.is_none()
        && service.shed.is_none()
        && !knows_deadlines(plan, index)
        && !is_struck(plan, index, service)
        && !comes_or_goes(plan, service)
        && leaves[operations].iter().all(|&is_leaf| is_leaf);
    let could_fold_request_hop = could_settle_visits && service.concurrency == UNLIMITED;
    let on = elision == Elision::On;
    ServiceState {
        concurrency: service.concurrency,
        queue_limit: service.queue_limit,
        discipline: service.discipline,
        threading: service.threading,
        on_cancel: service.on_cancel,
        could_settle_visits,
        settles_visits: could_settle_visits && on,
        could_fold_request_hop,
        folds_request_hop: could_fold_request_hop && on,
        load_is_known,
        meter_base: if is_metered { 0 } else { NIL },
        idle_listeners: Vec::new(),
        idle_rng: streams.rng(Purpose::Idle, u64::from(index)),
    }
}

/// Whether calls to a service say until when their answer is wanted.
fn knows_deadlines(plan: &Plan, service: u32) -> bool {
    let calls = |site: &SitePlan| plan.clusters[site.cluster as usize].service == service;
    plan.sites.iter().any(|site| site.deadline_propagation && calls(site))
}

/// Whether any fault can strike an endpoint of a service, or what goes to and from it.
fn is_struck(plan: &Plan, index: u32, service: &ServicePlan) -> bool {
    let endpoints = service.first_endpoint..service.first_endpoint + service.endpoint_count;
    let mut faults = plan.faults.iter().filter(|fault| fault.strikes_endpoints());
    faults.any(|fault| fault.target.can_strike(index, &endpoints)) || fault::link::can_touch(plan, index)
}

/// Whether any endpoint of a service is not there for the whole run.
fn comes_or_goes(plan: &Plan, service: &ServicePlan) -> bool {
    let endpoints = &plan.endpoints[service.first_endpoint as usize..][..service.endpoint_count as usize];
    endpoints.iter().any(|endpoint| endpoint.membership != Membership::ALWAYS)
}

/// Of each operation, whether it makes no call. Its instructions end where the next operation's begin.
fn leaves(plan: &Plan) -> Vec<bool> {
    let mut starts: Vec<u32> = plan.operations.iter().map(|operation| operation.start).collect();
    starts.sort_unstable();
    let is_leaf = |operation: &OperationPlan| {
        let next = starts.partition_point(|&start| start <= operation.start);
        let end = starts.get(next).map_or(plan.program.len(), |&end| end as usize);
        let program = &plan.program[operation.start as usize..end];
        !program
            .iter()
            .any(|instr| matches!(instr, Instr::Call { .. } | Instr::Parallel { .. }))
    };
    plan.operations.iter().map(is_leaf).collect()
}

impl<T: Trace> engine::World for World<'_, T> {
    type Event = Event;

    #[inline]
    fn touch(&self, event: Event) -> u64 {
        match event {
            Event::ResponseDelivered { call } => self.calls[call].wake.0 ^ self.timers.touch(call),
            Event::RequestDelivered { task } => {
                let row = &self.tasks[task];
                let endpoint = &self.endpoints[row.endpoint as usize];
                u64::from(endpoint.zone) ^ endpoint.sums.touch() ^ self.calls[row.call].wake.0
            }
            Event::WorkDone { task } => u64::from(self.tasks[task].call),
            _ => 0,
        }
    }

    #[inline]
    fn handle(&mut self, event: Event, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        self.current = sequence;
        self.observe.now = now;
        if sequence.is_own() {
            self.checks.latest = moment(now, sequence);
        }
        match event {
            Event::Arrival { client } => self.arrive(client, now, agenda),
            Event::UserSends { user } => self.user_sends(user, now, agenda),
            Event::RequestDelivered { task } => self.request_delivered(task, now, agenda),
            Event::WorkDone { task } => self.work_done(task, sequence, now, agenda),
            Event::SharedWorkDone { endpoint } => self.shared_work_done(endpoint, sequence, now, agenda),
            Event::QueueTimeout { task } => self.queue_timeout(task, sequence, now, agenda),
            Event::ResponseDelivered { call } => self.response_delivered(call, sequence, now, agenda),
            Event::RetryDue { call } => self.retry_due(call, sequence, now, agenda),
            Event::TimerFires { list } => {
                if let Some((call, timer)) = self.timers.fire(list, sequence, &self.calls, agenda) {
                    self.timer_expired(call, timer, now, agenda);
                }
            }
            Event::CallTimeout { call } => self.own_timer_fires(call, Timer::Call, sequence, now, agenda),
            Event::AttemptTimeout { call } => self.own_timer_fires(call, Timer::Attempt, sequence, now, agenda),
            Event::CancelDelivered { cancel } => self.cancel_delivered(cancel, now, agenda),
            Event::ProbeDelivered { probe } => self.probe_delivered(probe, now, agenda),
            Event::ProbeAnswered { probe } => self.probe_answered(probe, now),
            Event::FaultBegins { fault } => self.fault_begins(fault, now, agenda),
            Event::FaultEnds { fault } => self.fault_ends(fault, now, agenda),
            Event::FaultTick { fault } => self.fault_tick(fault, sequence, now, agenda),
            Event::ExtraArrival { extra } => self.extra_arrival(extra, sequence, now, agenda),
            Event::DeadlinePasses { deadline } => self.deadline_passes(deadline, now, agenda),
            Event::PolicyTimer { caller } => self.policy_timer(caller, sequence, now, agenda),
            Event::CheckDue { caller } => self.check_due(caller, sequence, now, agenda),
            Event::SteadyCheck { series } => self.steady_check(series, sequence, now, agenda),
            Event::Discovery { item } => self.discover(item, now, agenda),
            Event::ConnectDelivered { opening } => self.connect_delivered(opening, sequence, now, agenda),
            Event::ConnectAnswered { opening } | Event::ConnectTimeout { opening } => {
                self.connect_ended(opening, sequence, now, agenda);
            }
            Event::PoolReady { caller } => self.pool_ready(caller, now, agenda),
            Event::HedgeDue { group } => self.hedge_due(group, sequence, now, agenda),
            Event::InheritedDeadline { call } => self.inherited_deadline(call, sequence, now, agenda),
        }
    }
}

impl<T: Trace> World<'_, T> {
    /// The event of a timer that has one of its own.
    fn own_timer_fires(&mut self, call: u32, timer: Timer, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        if self.timers.take(timer, call, sequence) {
            self.timer_expired(call, timer, now, agenda);
        }
    }
}
