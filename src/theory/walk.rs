//! Reading a plan: who calls whom, what work a visit brings, and what may disturb either.

use std::collections::BTreeMap;

use crate::model::plan::{ConnectionPlan, Instr, Membership, NO_EDGE, NO_SIZE, Owner, Plan, Probability, STATIC, UNLIMITED};
use crate::policy::ClusterConfig;
use crate::random::Distribution;
use crate::scenario::Names;
use crate::time::Duration;

/// A plan with its names.
pub(super) struct View<'a> {
    pub plan: &'a Plan,
    pub names: &'a Names,
}

/// The work of a visit up to its first call or its end, in seconds at speed 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Work {
    pub mean: f64,
    pub second_moment: f64,
    /// Whether it is exponential.
    pub exponential: bool,
    /// Whether it is always the same.
    pub constant: bool,
}

/// What an operation does, as far as theory cares.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operation {
    pub work: Work,
    /// Whether it works after a call.
    pub works_later: bool,
    /// Whether it may end by a `fail` step.
    pub fails: bool,
    /// The calls it makes one after the other, with the probability of each; `None`: some are made side by side.
    pub calls: Option<Vec<(u32, f64)>>,
    /// All sites that it calls from, however.
    pub sites: Vec<u32>,
    /// Whether it takes another course by chance.
    pub branches: bool,
}

fn share(probability: Probability) -> f64 {
    probability.share()
}

impl<'a> View<'a> {
    pub fn new(plan: &'a Plan, names: &'a Names) -> View<'a> {
        View { plan, names }
    }

    /// What calls a service, health checks left out.
    pub fn sites_into(&self, service: u32) -> Vec<u32> {
        let sites = self.plan.sites.iter().zip(0..);
        sites
            .filter(|(site, _)| site.edge != NO_EDGE && self.plan.operations[site.operation as usize].service == service)
            .map(|(_, number)| number)
            .collect()
    }

    pub fn owner(&self, site: u32) -> Owner {
        self.plan.clusters[self.plan.sites[site as usize].cluster as usize].owner
    }

    pub fn config(&self, site: u32) -> &ClusterConfig {
        &self.plan.clusters[self.plan.sites[site as usize].cluster as usize].config
    }

    /// The operations of a service from which a site is called.
    pub fn callers_of(&self, site: u32, service: u32) -> Vec<u32> {
        let row = &self.plan.services[service as usize];
        let operations = row.first_operation..row.first_operation + row.operation_count;
        operations
            .filter(|&operation| self.operation(operation).sites.contains(&site))
            .collect()
    }

    /// What an operation does.
    pub fn operation(&self, operation: u32) -> Operation {
        let start = self.plan.operations[operation as usize].start;
        let mut sites = Vec::new();
        let mut facts = (false, false, false);
        self.reach(start, &mut Vec::new(), &mut sites, &mut facts);
        let (fails, is_parallel, branches) = facts;
        let mut memo = BTreeMap::new();
        let (mean, second_moment) = self.moments(start, &mut memo);
        let mut calls = BTreeMap::new();
        self.visits(start, &mut calls);
        let (exponential, constant) = self.shape(start);
        Operation {
            work: Work {
                mean: mean * 1e-9,
                second_moment: second_moment * 1e-18,
                exponential,
                constant,
            },
            works_later: self.works_after_a_call(start),
            fails,
            calls: (!is_parallel).then(|| calls.into_iter().collect()),
            sites,
            branches,
        }
    }

    /// All instructions from `pc` on: the sites, and whether there is a `fail`, a `parallel`, or a choice.
    fn reach(&self, pc: u32, seen: &mut Vec<u32>, sites: &mut Vec<u32>, facts: &mut (bool, bool, bool)) {
        let mut next = vec![pc];
        while let Some(pc) = next.pop() {
            if seen.contains(&pc) {
                continue;
            }
            seen.push(pc);
            match self.plan.program[pc as usize] {
                Instr::Work { .. } => next.push(pc + 1),
                Instr::Call { site, .. } => {
                    if !sites.contains(&site) {
                        sites.push(site);
                    }
                    next.push(pc + 1);
                }
                Instr::Parallel { first, count, .. } => {
                    facts.1 = true;
                    next.extend(&self.plan.branches[first as usize..(first + count) as usize]);
                    next.push(pc + 1);
                }
                Instr::Maybe { to, .. } => {
                    facts.2 = true;
                    next.extend([pc + 1, to]);
                }
                Instr::Choose { first, count } => {
                    facts.2 = true;
                    next.extend(
                        self.plan.arms[first as usize..(first + count) as usize]
                            .iter()
                            .map(|arm| arm.start),
                    );
                }
                Instr::Jump { to } => next.push(to),
                Instr::Fail { .. } => {
                    facts.0 = true;
                    next.push(pc + 1);
                }
                Instr::End => {}
            }
        }
    }

    /// The first two moments of the work from `pc` up to a call or the end; draws of steps are independent.
    fn moments(&self, pc: u32, memo: &mut BTreeMap<u32, (f64, f64)>) -> (f64, f64) {
        if let Some(&known) = memo.get(&pc) {
            return known;
        }
        let moments = match self.plan.program[pc as usize] {
            Instr::Work { distribution } => {
                let distribution = &self.plan.distributions[distribution as usize];
                let (mean, variance) = (distribution.mean(), distribution.variance());
                let rest = self.moments(pc + 1, memo);
                (mean + rest.0, variance + mean * mean + 2.0 * mean * rest.0 + rest.1)
            }
            Instr::Maybe { probability, to } => {
                let (there, past) = (self.moments(pc + 1, memo), self.moments(to, memo));
                mix(&[(share(probability), there), (1.0 - share(probability), past)])
            }
            Instr::Choose { first, count } => {
                let arms = &self.plan.arms[first as usize..(first + count) as usize];
                let mut below = 0.0;
                let mut parts = Vec::new();
                for arm in arms {
                    let up_to = share(arm.up_to);
                    parts.push((up_to - below, self.moments(arm.start, memo)));
                    below = up_to;
                }
                mix(&parts)
            }
            Instr::Jump { to } => self.moments(to, memo),
            Instr::Fail { probability, .. } => {
                let rest = self.moments(pc + 1, memo);
                mix(&[(1.0 - share(probability), rest), (share(probability), (0.0, 0.0))])
            }
            Instr::Call { .. } | Instr::Parallel { .. } | Instr::End => (0.0, 0.0),
        };
        memo.insert(pc, moments);
        moments
    }

    /// Whether the work up to a call or the end is one exponential, or always the same.
    fn shape(&self, start: u32) -> (bool, bool) {
        let (mut exponentials, mut others, mut constants) = (0, 0, 0);
        let mut pc = start;
        loop {
            match self.plan.program[pc as usize] {
                Instr::Work { distribution } => {
                    match self.plan.distributions[distribution as usize] {
                        Distribution::Exponential { .. } => exponentials += 1,
                        // No work at all changes nothing.
                        Distribution::Constant(0.0) => {}
                        Distribution::Constant(_) => constants += 1,
                        _ => others += 1,
                    }
                    pc += 1;
                }
                // What comes after all work may go as it likes.
                Instr::Fail { .. } if self.ends_without_work(pc + 1) => break,
                Instr::Maybe { .. } | Instr::Choose { .. } if self.first_work(pc).is_none() => break,
                Instr::Jump { to } => pc = to,
                Instr::Call { .. } | Instr::Parallel { .. } | Instr::End => break,
                _ => return (false, false),
            }
        }
        let is_one = exponentials == 1 && constants == 0 && others == 0;
        (is_one, exponentials == 0 && others == 0)
    }

    fn ends_without_work(&self, pc: u32) -> bool {
        self.first_work(pc).is_none()
    }

    /// An instruction that works, from `pc` on, before any call.
    fn first_work(&self, pc: u32) -> Option<u32> {
        let mut next = vec![pc];
        let mut seen = Vec::new();
        while let Some(pc) = next.pop() {
            if seen.contains(&pc) {
                continue;
            }
            seen.push(pc);
            match self.plan.program[pc as usize] {
                Instr::Work { .. } => return Some(pc),
                Instr::Maybe { to, .. } => next.extend([pc + 1, to]),
                Instr::Choose { first, count } => {
                    next.extend(
                        self.plan.arms[first as usize..(first + count) as usize]
                            .iter()
                            .map(|arm| arm.start),
                    );
                }
                Instr::Jump { to } => next.push(to),
                Instr::Fail { .. } => next.push(pc + 1),
                Instr::Call { .. } | Instr::Parallel { .. } | Instr::End => {}
            }
        }
        None
    }

    fn works_after_a_call(&self, start: u32) -> bool {
        let (mut seen, mut sites) = (Vec::new(), Vec::new());
        self.reach(start, &mut seen, &mut sites, &mut (false, false, false));
        let calls = seen
            .iter()
            .filter(|&&pc| matches!(self.plan.program[pc as usize], Instr::Call { .. } | Instr::Parallel { .. }));
        let mut after = calls.map(|&pc| {
            let (mut seen, mut sites) = (Vec::new(), Vec::new());
            self.reach(pc + 1, &mut seen, &mut sites, &mut (false, false, false));
            seen
        });
        // Branches work on their own.
        let in_branches = seen.iter().any(|&pc| match self.plan.program[pc as usize] {
            Instr::Parallel { first, count, .. } => {
                let mut branches = self.plan.branches[first as usize..(first + count) as usize].iter();
                branches.any(|&branch| self.first_work(branch).is_some())
            }
            _ => false,
        });
        in_branches
            || after.any(|seen| {
                seen.iter()
                    .any(|&pc| matches!(self.plan.program[pc as usize], Instr::Work { .. }))
            })
    }

    /// Adds the probability of each call from `pc` on, calls side by side left out. A call whose failure ends the operation is taken to
    /// succeed.
    fn visits(&self, start: u32, calls: &mut BTreeMap<u32, f64>) {
        // Jumps lead forward, so that all who come to a place have come before anybody leaves it.
        let mut weights = BTreeMap::from([(start, 1.0)]);
        while let Some((pc, weight)) = weights.pop_first() {
            let mut go = |pc: u32, share: f64| *weights.entry(pc).or_insert(0.0) += weight * share;
            match self.plan.program[pc as usize] {
                Instr::Work { .. } | Instr::Parallel { .. } => go(pc + 1, 1.0),
                Instr::Call { site, .. } => {
                    *calls.entry(site).or_insert(0.0) += weight;
                    go(pc + 1, 1.0);
                }
                Instr::Maybe { probability, to } => {
                    go(pc + 1, share(probability));
                    go(to, 1.0 - share(probability));
                }
                Instr::Choose { first, count } => {
                    let mut below = 0.0;
                    for arm in &self.plan.arms[first as usize..(first + count) as usize] {
                        go(arm.start, share(arm.up_to) - below);
                        below = share(arm.up_to);
                    }
                }
                Instr::Jump { to } => go(to, 1.0),
                Instr::Fail { probability, .. } => go(pc + 1, 1.0 - share(probability)),
                Instr::End => {}
            }
        }
        calls.retain(|_, probability| *probability > 0.0);
    }

    /// Where a jump leads.
    fn landing(&self, mut pc: u32) -> u32 {
        while let Instr::Jump { to } = self.plan.program[pc as usize] {
            pc = to;
        }
        pc
    }

    /// The sites of an operation that only makes calls side by side, one a branch, after what it works first; `None`: it does anything else.
    pub fn fork(&self, operation: u32) -> Option<Vec<u32>> {
        let mut pc = self.landing(self.plan.operations[operation as usize].start);
        while let Instr::Work { .. } = self.plan.program[pc as usize] {
            pc = self.landing(pc + 1);
        }
        let Instr::Parallel { first, count, .. } = self.plan.program[pc as usize] else {
            return None;
        };
        if self.plan.program[self.landing(pc + 1) as usize] != Instr::End {
            return None;
        }
        let branches = &self.plan.branches[first as usize..(first + count) as usize];
        let site = |&branch: &u32| {
            let call = self.landing(branch);
            match (
                self.plan.program[call as usize],
                self.plan.program[self.landing(call + 1) as usize],
            ) {
                (Instr::Call { site, .. }, Instr::End) => Some(site),
                _ => None,
            }
        };
        branches.iter().map(site).collect()
    }

    /// Whether nothing stands in the way of a plain call from a site; `several`: its service has several endpoints.
    pub fn trouble(&self, site: u32, several: bool) -> Result<(), String> {
        none_of(&self.troubles(site, several))
    }

    /// All that stands in the way of a plain call from a site.
    pub fn troubles(&self, site: u32, several: bool) -> Vec<&'static str> {
        let row = &self.plan.sites[site as usize];
        let cluster = &self.plan.clusters[row.cluster as usize];
        let config = &cluster.config;
        let problems = [
            (
                row.timeout != Duration::MAX || row.per_try_timeout != Duration::MAX,
                "a timeout breaks requests off",
            ),
            (config.retry.is_some(), "retries make the arrivals depend on what fails"),
            (
                config.hedging.is_some() || config.hedge_policy.is_some(),
                "hedging makes the arrivals depend on what is slow",
            ),
            (config.circuit_breaker.is_some(), "a circuit breaker holds requests back"),
            (!config.guard.is_empty(), "callers hold requests back"),
            (config.pool.is_some(), "requests wait for connections"),
            (cluster.connections != ConnectionPlan::Warm, "connections have to be set up"),
            (config.outlier_detection.is_some(), "outlier detection takes endpoints out"),
            (config.failure_accrual.is_some(), "failure accrual takes endpoints out"),
            (
                config.health_check.is_some(),
                "health checks are work, and take endpoints out",
            ),
            (cluster.discovery != STATIC, "endpoints come and go"),
            (row.deadline_propagation, "deadlines break requests off"),
            (
                several && self.plan.network.zones > 1,
                "there are several zones, which routing may tell apart",
            ),
            (several && config.candidates.subsets.is_some(), "subsets divide the endpoints"),
        ];
        those(problems)
    }

    /// Whether a service itself is within the theory of queues.
    pub fn service_trouble(&self, service: u32) -> Result<(), String> {
        let mut troubles = self.service_troubles(service);
        let row = &self.plan.services[service as usize];
        if row.queue_timeout != Duration::MAX && row.concurrency != UNLIMITED {
            troubles.push("a queue timeout turns requests away");
        }
        none_of(&troubles)
    }

    /// What of a service itself is beyond the theory of queues, but for a queue timeout.
    pub fn service_troubles(&self, service: u32) -> Vec<&'static str> {
        let row = &self.plan.services[service as usize];
        let endpoints = &self.plan.endpoints[row.first_endpoint as usize..][..row.endpoint_count as usize];
        let problems = [
            (!self.plan.faults.is_empty(), "faults change it over time"),
            (!row.shield.is_empty(), "its proxy sheds load"),
            (row.codel.is_some(), "controlled delay drops requests"),
            (row.shed.is_some(), "load shedding turns requests away"),
            (
                endpoints.iter().any(|endpoint| endpoint.membership != Membership::ALWAYS),
                "endpoints come and go",
            ),
            (
                endpoints.iter().any(|endpoint| endpoint.fail != Probability::NEVER),
                "endpoints fail at random",
            ),
        ];
        those(problems)
    }

    /// What all links take on average, in seconds, where it is the same for all.
    pub fn mean_network(&self) -> Option<f64> {
        let links = &self.plan.network.links;
        let first = links.first()?.latency.mean();
        let is_same = links.iter().all(|link| link.latency.mean() == first && link.loss == 0.0);
        (is_same && !self.has_sizes()).then_some(first * 1e-9)
    }

    fn has_sizes(&self) -> bool {
        let mut sites = self.plan.sites.iter();
        sites.any(|site| site.request_size != NO_SIZE || site.response_size != NO_SIZE)
    }

    /// Whether all links take the same constant time, so that the gaps between requests stay what they are; and that time in seconds.
    pub fn constant_network(&self) -> Option<f64> {
        let links = &self.plan.network.links;
        let constant = |distribution: &Distribution| match distribution {
            Distribution::Constant(nanos) => Some(nanos * 1e-9),
            _ => None,
        };
        let first = constant(&links.first()?.latency)?;
        let same = links
            .iter()
            .all(|link| constant(&link.latency) == Some(first) && link.loss == 0.0);
        (same && !self.has_sizes()).then_some(first)
    }
}

/// The reasons that hold.
fn those<const N: usize>(problems: [(bool, &'static str); N]) -> Vec<&'static str> {
    problems
        .into_iter()
        .filter(|problem| problem.0)
        .map(|problem| problem.1)
        .collect()
}

/// All reasons as one.
pub(super) fn none_of(troubles: &[&str]) -> Result<(), String> {
    if troubles.is_empty() {
        Ok(())
    } else {
        Err(troubles.join("; "))
    }
}

fn mix(parts: &[(f64, (f64, f64))]) -> (f64, f64) {
    parts
        .iter()
        // A part that never happens may be infinite.
        .filter(|part| part.0 > 0.0)
        .fold((0.0, 0.0), |sum, (share, moments)| {
            (sum.0 + share * moments.0, sum.1 + share * moments.1)
        })
}
