//! What is known of a client's success where attempts fail by chance, whatever the load: steps and endpoints that fail with some
//! probability, and endpoints that are up and down at random.

use std::collections::BTreeMap;

use crate::model::plan::{FaultKind, Instr, Membership, OnError, RepeatPlan, STATIC, TargetPlan, UNLIMITED, UnitPlan, Warmup};
use crate::policy::{Answer, ClusterConfig, candidates};
use crate::random::Distribution;
use crate::report::format;
use crate::theory::recognise::{alike, is_random, is_rotation};
use crate::theory::station::{Figure, Known};
use crate::theory::walk::View;
use crate::theory::{Claim, networks};
use crate::time::{Duration, Time};

const TRIALS: &str = "geometric trials";
const SERIES: &str = "independent events: the product of all";
const RENEWAL: &str = "alternating renewal: Ross, Stochastic Processes, 1996, 3.4; binomial, k of n";

/// The status of an operation one of whose calls has failed.
const STEP_FAILED: u16 = 500;

/// With retries, an endpoint may come back between two attempts.
const PAUSES: Claim = Claim::Limit {
    error: "the pauses between attempts over the time that endpoints stay as they are",
};

/// Endpoints that are up and down at random, and answer a share of what comes with an error while they are down.
#[derive(Clone, Debug, PartialEq)]
struct Flaky {
    label: String,
    /// The share of the time that each is up.
    up: f64,
    /// The share of requests that fail at one that is down.
    fails: f64,
    status: u16,
    /// Whether each has times of its own; else all are up and down together.
    apart: bool,
    /// About how long it takes to forget that all are up at first, in seconds.
    memory: f64,
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq)]
struct Chance {
    succeeds: f64,
    attempts: f64,
    model: String,
    claim: Claim,
    source: &'static str,
    /// Services that are flaky, on the way.
    flaky: Vec<u32>,
}

/// How an operation may end.
#[derive(Default)]
struct Ends {
    fails: f64,
    statuses: Vec<u16>,
    /// The calls that must succeed.
    calls: u32,
    claim: Option<Claim>,
    flaky: Vec<u32>,
}

/// What is known, and about how long the begin of the run is felt: of whom, and seconds.
pub(super) fn chances(view: &View<'_>, client: u32) -> (Vec<Known>, Vec<(String, f64)>) {
    let site = view.plan.clients[client as usize].site;
    let Some(flaky) = flaky(view) else {
        return (Vec::new(), Vec::new());
    };
    let Some(chance) = of_site(view, &flaky, site, 0).filter(|chance| chance.succeeds < 1.0) else {
        return (Vec::new(), Vec::new());
    };
    let subject = format!("client {}", view.names.clients[client as usize]);
    let known = |figure, value| Known {
        subject: subject.clone(),
        model: chance.model.clone(),
        figure,
        claim: chance.claim,
        value,
        source: chance.source,
    };
    let all = vec![
        known(Figure::Attempts(client), chance.attempts),
        known(Figure::Availability(client), chance.succeeds),
    ];
    let of = chance.flaky.iter().map(|service| &flaky[service]);
    (
        all,
        of.map(|flaky| (format!("fault {}", flaky.label), flaky.memory)).collect(),
    )
}

/// The services that are flaky; `None`: some fault does something else.
fn flaky(view: &View<'_>) -> Option<BTreeMap<u32, Flaky>> {
    let plan = view.plan;
    let mut all = BTreeMap::new();
    let Warmup::Fixed(warmup) = plan.warmup else {
        return plan.faults.is_empty().then_some(all);
    };
    for fault in &plan.faults {
        let (FaultKind::Errors { share, status }, RepeatPlan::Random { mttf, mttr, by, until }, TargetPlan::Endpoints(targets)) =
            (&fault.kind, &fault.repeat, &fault.target)
        else {
            return None;
        };
        let first = *targets.first()?;
        let service = plan.endpoints[first as usize].service;
        let row = &plan.services[service as usize];
        let is_whole = targets
            .iter()
            .copied()
            .eq(row.first_endpoint..row.first_endpoint + row.endpoint_count);
        let (mttf, mttr) = (&plan.distributions[*mttf as usize], &plan.distributions[*mttr as usize]);
        let (up, down) = (mttf.mean() * 1e-9, mttr.mean() * 1e-9);
        // Constant times come round in step with the measured time.
        let is_steady = !matches!(mttf, Distribution::Constant(_))
            && (up + down).is_finite()
            && fault.at <= Time::ZERO + warmup
            && *until >= Time::ZERO + plan.duration;
        let apart = match by {
            UnitPlan::Endpoint => true,
            UnitPlan::All => false,
            UnitPlan::Zone => return None,
        };
        if !(is_whole && is_steady) {
            return None;
        }
        let flaky = Flaky {
            label: fault.label.clone(),
            up: up / (up + down),
            fails: share.share(),
            status: *status,
            apart,
            memory: up * down / (up + down),
        };
        if all.insert(service, flaky).is_some() {
            return None;
        }
    }
    Some(all)
}

/// What becomes of a call from a site; `None`: that is not known.
fn of_site(view: &View<'_>, flaky: &BTreeMap<u32, Flaky>, site: u32, depth: u32) -> Option<Chance> {
    if depth > 16 || !is_plain(view, site) {
        return None;
    }
    let operation = view.plan.sites[site as usize].operation;
    let service = view.plan.operations[operation as usize].service;
    let ends = of_operation(view, flaky, operation, depth)?;
    let target = &view.plan.services[service as usize];
    let endpoints = &view.plan.endpoints[target.first_endpoint as usize..][..target.endpoint_count as usize];
    let n = target.endpoint_count;
    let one = endpoints.iter().map(|endpoint| endpoint.fail.share()).sum::<f64>() / f64::from(n);
    let own = flaky.get(&service);
    let mut statuses = ends.statuses.clone();
    statuses.extend(
        endpoints
            .iter()
            .filter(|endpoint| endpoint.fail.share() > 0.0)
            .map(|endpoint| endpoint.fail_status),
    );
    statuses.extend(own.map(|own| own.status));
    let retries = retries(view, site, &statuses)?;
    // Who is asked must not depend on who fails.
    let is_even = endpoints.iter().all(|endpoint| endpoint.fail == endpoints[0].fail) && own.is_none_or(|own| !own.apart);
    let is_spread = n == 1 || alike(view, service) && (is_random(view, site) || retries == 0 && is_rotation(view, site));
    if !(is_even || is_spread) {
        return None;
    }
    let each = 1.0 - (1.0 - one) * (1.0 - ends.fails);
    let claim = ends.claim.unwrap_or(Claim::Exact);
    let Some(own) = own else {
        // What is flaky below stays so for all tries.
        if retries > 0 && !ends.flaky.is_empty() {
            return None;
        }
        let several = ends.calls > 0;
        return Some(Chance {
            succeeds: 1.0 - networks::all_fail(each, retries),
            attempts: networks::attempts_per_call(each, retries),
            model: match several {
                true => format!("all of its calls must succeed, up to {retries} retries of it"),
                false => format!(
                    "independent failures of {} %, up to {retries} retries",
                    format::trimmed(each * 100.0, 6)
                ),
            },
            claim,
            source: if several { SERIES } else { TRIALS },
            flaky: ends.flaky,
        });
    };
    if each > 0.0 || !ends.flaky.is_empty() {
        return None;
    }
    let fails = |tries: u32| match own.apart {
        true => 1.0 - networks::found_up(n, own.up, own.fails, tries),
        false => (1.0 - own.up) * networks::all_fail(own.fails, tries - 1),
    };
    let attempts = 1.0 + (1..=retries).map(fails).sum::<f64>();
    let together = if own.apart { "" } else { " together" };
    Some(Chance {
        succeeds: 1.0 - fails(retries + 1),
        attempts,
        model: format!(
            "{n} endpoints{together} up {} % of the time, up to {retries} retries",
            format::trimmed(own.up * 100.0, 3)
        ),
        claim: if retries > 0 { PAUSES } else { claim },
        source: RENEWAL,
        flaky: vec![service],
    })
}

/// Whether nothing but chance decides what becomes of calls from a site.
fn is_plain(view: &View<'_>, site: u32) -> bool {
    let row = &view.plan.sites[site as usize];
    let cluster = &view.plan.clusters[row.cluster as usize];
    let target = &view.plan.services[view.plan.operations[row.operation as usize].service as usize];
    let endpoints = &view.plan.endpoints[target.first_endpoint as usize..][..target.endpoint_count as usize];
    let plain = ClusterConfig {
        retry: None,
        candidates: candidates::Options::default(),
        ..(*cluster.config).clone()
    };
    plain == ClusterConfig::from(cluster.config.balancer.clone())
        && row.timeout == Duration::MAX
        && row.per_try_timeout == Duration::MAX
        && !row.deadline_propagation
        && (target.queue_limit == UNLIMITED || target.concurrency == UNLIMITED)
        && target.queue_timeout == Duration::MAX
        && target.shield.is_empty()
        && target.codel.is_none()
        && target.shed.is_none()
        && cluster.discovery == STATIC
        && endpoints.iter().all(|endpoint| endpoint.membership == Membership::ALWAYS)
}

/// How many retries follow answers of these statuses; `None`: that is not known.
fn retries(view: &View<'_>, site: u32, statuses: &[u16]) -> Option<u32> {
    let Some(retry) = &view.config(site).retry else {
        return Some(0);
    };
    let is_simple = retry.grpc.is_none() && retry.linkerd.is_none() && retry.finagle.is_none() && retry.aws.is_none();
    if !is_simple || retry.retry_budget.is_some() {
        return None;
    }
    let mut retried = statuses.iter().map(|&status| retry.is_retriable(Answer::Status(status)));
    let first = retried.next().unwrap_or(false);
    retried
        .all(|other| other == first)
        .then_some(if first { retry.num_retries } else { 0 })
}

/// How an operation ends by itself and by its calls; `None`: that is not known.
fn of_operation(view: &View<'_>, flaky: &BTreeMap<u32, Flaky>, operation: u32, depth: u32) -> Option<Ends> {
    let mut ends = Ends::default();
    let succeeds = of_steps(view, flaky, view.plan.operations[operation as usize].start, depth, &mut ends)?;
    ends.fails = 1.0 - succeeds;
    Some(ends)
}

/// The probability that the steps from `start` to the end succeed.
fn of_steps(view: &View<'_>, flaky: &BTreeMap<u32, Flaky>, start: u32, depth: u32, ends: &mut Ends) -> Option<f64> {
    let mut succeeds = 0.0;
    // Jumps lead forward, so that all who come to a place have come before anybody leaves it.
    let mut weights = BTreeMap::from([(start, 1.0)]);
    while let Some((pc, weight)) = weights.pop_first() {
        let mut go = |pc: u32, share: f64| *weights.entry(pc).or_insert(0.0) += weight * share;
        match view.plan.program[pc as usize] {
            Instr::Work { .. } => go(pc + 1, 1.0),
            Instr::Call { on_error, .. } | Instr::Parallel { on_error, .. } if on_error == OnError::Ignore => go(pc + 1, 1.0),
            Instr::Call { site, .. } => {
                let chance = of_site(view, flaky, site, depth + 1)?;
                if chance.succeeds < 1.0 {
                    ends.statuses.push(STEP_FAILED);
                }
                ends.calls += 1;
                if chance.claim != Claim::Exact {
                    ends.claim = Some(chance.claim);
                }
                // The same endpoints twice are no independent events.
                if chance.flaky.iter().any(|service| ends.flaky.contains(service)) {
                    return None;
                }
                ends.flaky.extend(chance.flaky);
                go(pc + 1, chance.succeeds);
            }
            Instr::Parallel { first, count, .. } => {
                let mut all = 1.0;
                for &branch in &view.plan.branches[first as usize..(first + count) as usize] {
                    all *= of_steps(view, flaky, branch, depth, ends)?;
                }
                go(pc + 1, all);
            }
            Instr::Maybe { probability, to } => {
                go(pc + 1, probability.share());
                go(to, 1.0 - probability.share());
            }
            Instr::Choose { first, count } => {
                let mut below = 0.0;
                for arm in &view.plan.arms[first as usize..(first + count) as usize] {
                    go(arm.start, arm.up_to.share() - below);
                    below = arm.up_to.share();
                }
            }
            Instr::Jump { to } => go(to, 1.0),
            Instr::Fail { probability, status } => {
                if probability.share() > 0.0 {
                    ends.statuses.push(status);
                }
                go(pc + 1, 1.0 - probability.share());
            }
            Instr::End => succeeds += weight,
        }
    }
    Some(succeeds)
}
