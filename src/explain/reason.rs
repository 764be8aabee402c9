//! What a caller saw when it placed an attempt, and why it chose that endpoint, in words.

use serde::Serialize;

use crate::explain::story::{self, Namer};
use crate::model::trace::{CallerId, Log};
use crate::policy::balancer::ENTRIES;
use crate::policy::{Choice, Decision, EndpointIndex, Health, Look, Notice};
use crate::report::format;
use crate::time::{Duration, Time};

/// With more endpoints than these only the first are told one by one.
const TOLD_MAX: usize = 8;

/// Balancers that compare more than requests in flight, and do not say by what number.
const WEIGHS_MORE: [&str; 5] = ["least_time", "least_response_time", "c3", "penalty_peak_ewma", "prequal"];

/// A span of time in the unit that fits.
pub(super) fn span(span: Duration) -> String {
    format::seconds(span.as_secs_f64())
}

/// What a caller saw.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sight {
    /// The endpoints that it knew of.
    pub endpoints: Vec<SeenEndpoint>,
    /// Whether the candidates were all endpoints of their level whatever their health: panic.
    pub panic: bool,
    /// The candidates' priority level; `None`: it is not known who they were.
    pub level: Option<u32>,
    /// Endpoints that were chosen first and rejected, since the call had been there.
    pub rejected: Vec<String>,
    /// Why it chose, in a sentence.
    pub why: String,
    #[serde(skip)]
    choice: Option<Choice>,
}

/// An endpoint as the caller saw it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeenEndpoint {
    /// Its name.
    pub endpoint: String,
    /// What the caller believed of its health.
    pub health: &'static str,
    /// Who took it out and why, if the caller did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,
    /// Attempts of this caller there.
    pub in_flight: u32,
    /// Requests there, where the balancer knows the servers' own state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_load: Option<u32>,
    /// By what the balancer compares it, where that is more than a count of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Its weight.
    pub weight: u32,
    /// Its priority level.
    pub level: u32,
    /// Its zone.
    pub zone: String,
    /// Whether it was a candidate; `None`: that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<bool>,
    /// Whether its load was compared with others'.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compared: bool,
    #[serde(skip)]
    index: EndpointIndex,
}

impl Sight {
    /// What `by` saw at `now`.
    pub(super) fn new(namer: &Namer<'_>, log: &Log, by: CallerId, look: &Look, now: Time) -> Sight {
        let plan = &namer.variant.plan;
        let service = &plan.services[plan.clusters[by.cluster as usize].service as usize];
        let choice = look.choice.as_ref();
        let endpoints = look.endpoints.iter().map(|seen| {
            let number = service.first_endpoint + seen.endpoint.0;
            SeenEndpoint {
                endpoint: namer.endpoint(number),
                health: word(seen.health),
                out: match seen.health {
                    Health::Healthy => None,
                    _ => last_notice(log, by, seen.endpoint, now),
                },
                in_flight: seen.active,
                server_load: seen.server_load,
                score: seen.score,
                weight: seen.weight,
                level: seen.level,
                zone: namer.zone(plan.endpoints[number as usize].zone),
                candidate: choice.map(|choice| choice.candidates.contains(&seen.endpoint)),
                compared: choice.is_some_and(|choice| choice.compared.contains(&seen.endpoint)),
                index: seen.endpoint,
            }
        });
        let rejected = choice.into_iter().flat_map(|choice| &choice.rejected);
        Sight {
            endpoints: endpoints.collect(),
            panic: choice.is_some_and(|choice| choice.whole_level),
            level: choice.map(|choice| choice.level),
            rejected: rejected
                .map(|endpoint| namer.endpoint(service.first_endpoint + endpoint.0))
                .collect(),
            why: String::new(),
            choice: look.choice.clone(),
        }
    }

    /// It went to `endpoint`: says why.
    pub(super) fn decide(&mut self, balancer: &str, endpoint: &str) {
        let foreseen = self.choice.as_ref().filter(|choice| {
            self.endpoints
                .iter()
                .any(|seen| seen.index == choice.endpoint && seen.endpoint == endpoint)
        });
        let why = match foreseen {
            Some(choice) => self.why_this(balancer, endpoint, choice),
            None => {
                // A connection decided, or what went before.
                for seen in &mut self.endpoints {
                    (seen.candidate, seen.compared) = (None, false);
                }
                (self.panic, self.level) = (false, None);
                unforeseen(balancer, endpoint)
            }
        };
        self.why = why;
    }

    fn why_this(&self, balancer: &str, endpoint: &str, choice: &Choice) -> String {
        let candidates = choice.candidates.len();
        let compared: Vec<&SeenEndpoint> = self.endpoints.iter().filter(|seen| seen.compared).collect();
        if candidates == 1 {
            return format!("{endpoint} is the only candidate");
        }
        if compared.len() < 2 {
            let equal_weights = {
                let mut weights = self
                    .endpoints
                    .iter()
                    .filter(|seen| seen.candidate == Some(true))
                    .map(|seen| seen.weight);
                let first = weights.next();
                weights.all(|weight| Some(weight) == first)
            };
            return format!("{balancer}: {}", alone(balancer, endpoint, candidates, equal_weights));
        }
        let name = balancer.rsplit('/').next().unwrap_or(balancer);
        if name == "bounded_load" {
            return format!(
                "{balancer}: the hash of the request's key leads to {endpoint}, past those whose load is beyond the bound"
            );
        }
        if WEIGHS_MORE.contains(&name) && compared.iter().all(|seen| seen.score.is_none()) {
            let whom = match compared.len() == candidates {
                true => format!("all {candidates} candidates"),
                false => and(&compared.iter().map(|seen| seen.endpoint.clone()).collect::<Vec<_>>()),
            };
            return format!("{balancer}: compared {whom}: {endpoint} ({})", about(balancer));
        }
        let chosen = compared.iter().find(|seen| seen.endpoint == endpoint);
        let is_tied = chosen.is_some_and(|chosen| {
            let mut others = compared.iter().filter(|seen| seen.endpoint != endpoint);
            others.any(|other| load(other) <= load(chosen))
        });
        let tie = if is_tied { " (a tie)" } else { "" };
        if compared.len() == candidates && candidates > 2 {
            let measure = chosen.map_or(String::new(), |chosen| measure(chosen));
            return format!("{balancer}: compared all {candidates} candidates, {endpoint} has the least: {measure}{tie}");
        }
        let list: Vec<String> = compared
            .iter()
            .map(|seen| format!("{} ({})", seen.endpoint, measure(seen)))
            .collect();
        format!("{balancer}: compared {}: {endpoint}{tie}", and(&list))
    }

    /// The endpoints in one line: what each has to do, and why some could not be chosen. Of many those come first that were compared.
    pub(super) fn line(&self) -> String {
        let mut told: Vec<&SeenEndpoint> = self.endpoints.iter().collect();
        if told.len() > TOLD_MAX {
            // Stable, so that the others stay in the order of the list.
            told.sort_by_key(|seen| !seen.compared);
        }
        let rest = told.split_off(told.len().min(TOLD_MAX));
        let is_plain = self
            .endpoints
            .iter()
            .all(|seen| seen.server_load.is_none() && seen.score.is_none() && seen.weight == 1);
        let list: Vec<String> = told.iter().map(|seen| self.one(seen, is_plain)).collect();
        let mut line = match is_plain {
            true => format!("in flight: {}", list.join(", ")),
            false => list.join(", "),
        };
        if !rest.is_empty() {
            let out = rest.iter().filter(|seen| seen.health != "healthy").count();
            line += &format!(" and {} more", rest.len());
            if out > 0 {
                line += &format!(", {out} of them not healthy");
            }
        }
        line
    }

    fn one(&self, seen: &SeenEndpoint, is_plain: bool) -> String {
        let mut facts = Vec::new();
        if !is_plain {
            facts.push(measure(seen));
        }
        if seen.health != "healthy" {
            facts.push(match &seen.out {
                Some(out) => out.clone(),
                None => seen.health.to_string(),
            });
        } else if seen.candidate == Some(false) {
            facts.push(match self.level {
                Some(level) if level != seen.level => format!("priority {}", seen.level),
                _ if !seen.zone.is_empty() => format!("zone {}, not a candidate", seen.zone),
                _ => "not a candidate".to_string(),
            });
        }
        let count = if is_plain {
            format!(" {}", seen.in_flight)
        } else {
            String::new()
        };
        match facts.is_empty() {
            true => format!("{}{count}", seen.endpoint),
            false => format!("{}{count} ({})", seen.endpoint, facts.join("; ")),
        }
    }
}

/// What it compares, as far as it is known.
fn load(seen: &SeenEndpoint) -> f64 {
    seen.score
        .unwrap_or_else(|| f64::from(seen.server_load.unwrap_or(seen.in_flight)) / f64::from(seen.weight.max(1)))
}

/// What an endpoint has to do.
fn measure(seen: &SeenEndpoint) -> String {
    let mut text = match seen.server_load {
        Some(there) => format!("{there} there"),
        None => format!("{} in flight", seen.in_flight),
    };
    if let Some(score) = seen.score {
        text += &format!(", cost {}", format::seconds(score * 1e-9));
    }
    if seen.weight != 1 {
        text += &format!(", weight {}", seen.weight);
    }
    text
}

/// How a balancer that compares nobody's load comes to one of several.
fn alone(balancer: &str, endpoint: &str, candidates: usize, equal_weights: bool) -> String {
    let name = balancer.rsplit('/').next().unwrap_or(balancer);
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match name {
        "least_request" if equal_weights => {
            format!("drew only {endpoint} of {candidates} candidates: its draws are with replacement")
        }
        "least_request" => format!("{endpoint} is next on the schedule by weight and load of {candidates} candidates"),
        "pick_first" | "first" => format!("{endpoint} is the first that is ready"),
        _ if has(&["hash", "maglev", "rendezvous", "hrw", "source", "uri", "hdr", "map", "_sh"]) => {
            format!("the hash of the request's key leads to {endpoint} among {candidates} candidates")
        }
        "random" | "iptables" | "nftables" => format!("drew {endpoint} at random of {candidates} candidates"),
        _ if has(&["round_robin", "wrr", "_rr", "static_rr", "roundrobin"]) => {
            let by = if equal_weights { "" } else { " by weight" };
            format!("it is the turn of {endpoint} among {candidates} candidates{by}")
        }
        _ => format!("{endpoint} of {candidates} candidates ({})", about(balancer)),
    }
}

/// A choice that could not be made on copies.
fn unforeseen(balancer: &str, endpoint: &str) -> String {
    format!("{balancer} ({}): {endpoint}", about(balancer))
}

/// What a balancer does, within a sentence.
fn about(balancer: &str) -> String {
    let entry = ENTRIES.iter().find(|entry| entry.name == balancer);
    entry.map_or(String::new(), |entry| lower_first(entry.about))
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_lowercase().collect::<String>());
    first.unwrap_or_default() + characters.as_str()
}

fn and(list: &[String]) -> String {
    match list {
        [.., last] if list.len() > 1 => format!("{} and {last}", list[..list.len() - 1].join(", ")),
        _ => list.concat(),
    }
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Degraded => "degraded",
        Health::Unhealthy => "unhealthy",
        Health::Excluded => "not yet checked",
    }
}

/// The caller's last decision about an endpoint up to now, if it took it out.
fn last_notice(log: &Log, by: CallerId, endpoint: EndpointIndex, now: Time) -> Option<String> {
    let until = log.notices.partition_point(|decided| decided.at <= now);
    let mut notices = log.notices[..until].iter().rev();
    let last = notices.find(|decided| {
        decided.by == by && decided.notice.endpoint == endpoint && !matches!(decided.notice.decision, Decision::Spared { .. })
    })?;
    let Decision::Out { reason, .. } = last.notice.decision else {
        return None;
    };
    Some(format!("out for {}: {}", span(now.since(last.at)), reason.word()))
}

/// What a caller has decided, in words; and whether it is bad news.
pub(super) fn notice(namer: &Namer<'_>, by: CallerId, notice: &Notice, now: Time) -> (String, bool) {
    let plan = &namer.variant.plan;
    let service = &plan.services[plan.clusters[by.cluster as usize].service as usize];
    let endpoint = namer.endpoint(service.first_endpoint + notice.endpoint.0);
    let watcher = story::watcher(notice.watcher);
    match notice.decision {
        Decision::Out { reason, until } => {
            let until = until.filter(|&until| until != Time::MAX && until > now);
            let until = until.map_or(String::new(), |until| format!(" for at least {}", span(until.since(now))));
            (format!("takes {endpoint} out{until} ({watcher}: {})", reason.word()), true)
        }
        Decision::Spared { reason } => (
            format!(
                "would take {endpoint} out ({watcher}: {}), but a limit spares it",
                reason.word()
            ),
            false,
        ),
        Decision::In => (format!("takes {endpoint} back ({watcher})"), false),
    }
}
