//! What a caller sees when it places an attempt, for whoever explains the choice. Nothing here changes anything: the choice is made on
//! copies, once as it will be made, and once more for each candidate as if that one had nothing to do and the others very much. Who is
//! chosen then is among those that were compared.

use super::Cluster;
use crate::policy::balancer::{Balancer, Hints};
use crate::policy::candidates::{CandidateSet, LocalitySchedules, Rules};
use crate::policy::endpoints::Endpoints;
use crate::policy::{CallInfo, EndpointIndex, Health, MatchId};
use crate::random::Rng;
use crate::time::Time;

/// What a caller sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The endpoints that it knows of, in the order of its list.
    pub endpoints: Vec<Seen>,
    /// Attempts of this caller under way at any of them.
    pub requests: u64,
    /// Who is chosen and why; `None`: nobody, or what is to decide cannot be told beforehand.
    pub choice: Option<Choice>,
}

/// An endpoint as a caller sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Which one.
    pub endpoint: EndpointIndex,
    /// What the caller believes of its health.
    pub health: Health,
    /// Attempts of this caller there that have not ended; where the balancer chooses for each connection, its connections.
    pub active: u32,
    /// Requests there, where the balancer knows the servers' own state.
    pub server_load: Option<u32>,
    /// Its weight.
    pub weight: u32,
    /// Its priority level; 0 is preferred.
    pub level: u32,
    /// By what the balancer compares it, the lower the better, where that is more than a count of requests.
    pub score: Option<f64>,
}

/// Who is chosen and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The endpoint.
    pub endpoint: EndpointIndex,
    /// Those whom priority, health, locality and panic leave.
    pub candidates: Vec<EndpointIndex>,
    /// Their priority level.
    pub level: u32,
    /// Whether they are all of the level whatever their health.
    pub whole_level: bool,
    /// Those among the candidates whose load was compared, the chosen one among them; only that one where load does not matter. Empty:
    /// there are too many candidates to find out.
    pub compared: Vec<EndpointIndex>,
    /// Endpoints that were chosen before it for this attempt and rejected since the call had been there.
    pub rejected: Vec<EndpointIndex>,
}

/// With more candidates than these it is not found out whom the balancer compared.
const COMPARED_MAX: u32 = 256;
/// Requests of those that have very much to do.
const VERY_MUCH: u32 = 1_000_000;

/// Copies of all that a choice changes.
struct Copies {
    balancer: Balancer,
    schedules: LocalitySchedules,
    rng: Rng,
}

/// What endpoints have to do, as the balancer is told.
#[derive(Clone, Copy)]
struct Loads<'a> {
    active: &'a [u32],
    server_load: &'a [u32],
}

/// A choice made on copies.
struct Trial<'a> {
    endpoint: EndpointIndex,
    set: CandidateSet<'a>,
    rejected: Vec<EndpointIndex>,
}

impl Cluster {
    /// What the caller sees when it is about to place this attempt.
    pub fn look(&self, call: &CallInfo<'_>, now: Time) -> Look {
        let active = self.pinned.as_ref().map_or(&*self.active, |pinned| pinned.counts());
        let loads = Loads {
            active,
            server_load: call.server_load,
        };
        let mut scorer = self.balancer.clone();
        let endpoints = self.columns(loads);
        let see = |&endpoint: &EndpointIndex| Seen {
            endpoint,
            health: self.view.health(endpoint),
            active: active[endpoint.at()],
            server_load: call.server_load.get(endpoint.at()).copied(),
            weight: self.view.listing().weights[endpoint.at()],
            level: self.view.listing().level_of(endpoint) as u32,
            score: scorer.score(&endpoints, endpoint, now),
        };
        Look {
            endpoints: self.view.endpoints().iter().map(see).collect(),
            requests: self.active_total,
            choice: self
                .try_out(call, loads, now)
                .map(|trial| self.choice(&trial, call, loads, now)),
        }
    }

    fn columns<'a>(&'a self, loads: Loads<'a>) -> Endpoints<'a> {
        Endpoints {
            infos: &self.view.listing().infos,
            weights: &self.view.listing().weights,
            active: loads.active,
            active_total: self.active_total,
        }
    }

    fn choice(&self, trial: &Trial<'_>, call: &CallInfo<'_>, loads: Loads<'_>, now: Time) -> Choice {
        let mut compared = Vec::new();
        if trial.set.len() <= COMPARED_MAX {
            let busy = |loads: &[u32]| -> Vec<u32> { loads.iter().map(|load| load.saturating_add(VERY_MUCH)).collect() };
            let (mut active, mut server_load) = (busy(loads.active), busy(loads.server_load));
            for endpoint in trial.set.iter() {
                active[endpoint.at()] = 0;
                server_load.get_mut(endpoint.at()).into_iter().for_each(|load| *load = 0);
                let other = Loads {
                    active: &active,
                    server_load: &server_load,
                };
                let is_chosen = self.try_out(call, other, now).is_some_and(|other| other.endpoint == endpoint);
                if is_chosen || endpoint == trial.endpoint {
                    compared.push(endpoint);
                }
                active[endpoint.at()] = VERY_MUCH + loads.active[endpoint.at()];
                if let Some(load) = server_load.get_mut(endpoint.at()) {
                    *load = VERY_MUCH + loads.server_load[endpoint.at()];
                }
            }
        }
        Choice {
            endpoint: trial.endpoint,
            candidates: trial.set.iter().collect(),
            level: trial.set.level() as u32,
            whole_level: trial.set.is_whole_level(),
            compared,
            rejected: trial.rejected.clone(),
        }
    }

    /// Who would be chosen under these loads, by the same draws as in earnest. `None`: nobody, or a connection decides, or the shares of
    /// levels that a retry leaves out.
    fn try_out(&self, call: &CallInfo<'_>, loads: Loads<'_>, now: Time) -> Option<Trial<'_>> {
        let config = self.view.config();
        let retries = config.retry.as_ref().filter(|_| call.attempt > 0);
        if retries.is_some_and(|options| options.priority_update_frequency() > 0) {
            return None;
        }
        let mut copies = Copies {
            balancer: self.balancer.clone(),
            schedules: self.schedules.clone(),
            rng: self.rng.clone(),
        };
        let demand = call.metadata_match.map_or(0, |MatchId(number)| number as usize);
        let groups = self.demands.get(demand).map_or(super::EVERYBODY, |demand| &demand.groups);
        let rejections = retries.map_or(0, |options| options.rejections());
        groups
            .iter()
            .find_map(|&group| self.try_group(group, rejections, call, (loads, now), &mut copies))
    }

    fn try_group(
        &self,
        group: u32,
        rejections: u32,
        call: &CallInfo<'_>,
        (loads, now): (Loads<'_>, Time),
        copies: &mut Copies,
    ) -> Option<Trial<'_>> {
        let candidates = self.view.candidates();
        let is_hashed = candidates.rules() == Rules::EnvoyHash;
        let hash = is_hashed.then(|| call.hash.unwrap_or_else(|| copies.rng.next_u64()));
        let told = CallInfo {
            server_load: loads.server_load,
            ..*call
        };
        let mut rejected = Vec::new();
        loop {
            let number = candidates.choose(group, hash, &mut copies.schedules, &mut copies.rng)?;
            let mut set = candidates.set(number);
            let hints = Hints {
                hash: hash.unwrap_or(0),
                reselection: rejected.len() as u32,
                call: &told,
            };
            let endpoint = loop {
                let balancer = &mut copies.balancer;
                if !set.is_empty()
                    && let Some(endpoint) = balancer.pick(&self.columns(loads), set, &hints, now, &mut copies.rng)
                {
                    break endpoint;
                }
                set = candidates.level_after(set)?;
            };
            if rejected.len() as u32 == rejections || !call.tried.contains(&endpoint) {
                return Some(Trial { endpoint, set, rejected });
            }
            rejected.push(endpoint);
        }
    }
}
