//! The figures of a station: from what arrives at an endpoint and how it is served to the known answers.

use crate::math::ln;
use crate::model::plan::{Discipline, ServicePlan, UNLIMITED};
use crate::theory::Claim;
use crate::theory::queues::{self, Gap, Impatient, Mmc};
use crate::theory::walk::Work;
use crate::time::Duration;

/// What of a run is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Figure {
    /// Seconds from arrival to the end of the answer, at a service.
    Sojourn(u32),
    /// One of the quantiles that are kept, by its place.
    SojournQuantile(u32, usize),
    /// Seconds in the queue.
    Wait(u32),
    /// The share of attempts that wait at all.
    Waits(u32),
    /// Requests at the service.
    InSystem(u32),
    /// Busy slots of all there are.
    Utilization(u32),
    /// The share of attempts that are turned away.
    Loss(u32),
    /// A client's latency.
    Latency(u32),
    /// One of its quantiles.
    LatencyQuantile(u32, usize),
    /// Attempts per request of a client.
    Attempts(u32),
    /// The share of a client's requests that succeed.
    Availability(u32),
    /// A client's requests per second.
    Throughput(u32),
}

/// A figure that is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub subject: String,
    pub model: String,
    pub figure: Figure,
    pub claim: Claim,
    pub value: f64,
    pub source: &'static str,
}

/// What arrives at each endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stream {
    /// Poisson, so many a second.
    Poisson(f64),
    /// Independent gaps, in seconds.
    Gaps(Gap),
}

impl Stream {
    pub fn rate(self) -> f64 {
        match self {
            Stream::Poisson(rate) => rate,
            Stream::Gaps(gap) => 1.0 / gap.mean(),
        }
    }
}

/// One of a service's endpoints, all of which are alike.
pub(super) struct Station<'a> {
    pub service: u32,
    pub subject: String,
    pub plan: &'a ServicePlan,
    pub endpoints: u32,
    pub stream: Stream,
    /// Of a visit, at this endpoint's speed.
    pub work: Work,
    /// Whether a visit makes calls, so that its time there is not that of the queue alone.
    pub calls: bool,
}

/// The model, its figures, and about how long it takes to forget how it began, in seconds.
pub(super) type Answer = (Vec<Known>, f64);

const ERLANG: &str = "Erlang 1917; Harchol-Balter 2013, ch. 14 to 16";
const KLEINROCK: &str = "Kleinrock, Queueing Systems I, 1975, ch. 3";
const POLLACZEK: &str = "Pollaczek and Khinchine; Kleinrock, Queueing Systems I, 1975, ch. 5";
const INSENSITIVE: &str = "Kleinrock, Queueing Systems II, 1976, 4.4; Kelly 1979";
const GIM1: &str = "Kleinrock, Queueing Systems I, 1975, ch. 6";
const PATIENCE: &str = "Baccelli and Hebuterne 1981; Zeltyn and Mandelbaum, Queueing Systems 51, 2005";
const LITTLE: &str = "Takacs 1962; Kleinrock, Queueing Systems I, 1975, 3.4";

/// The quantiles that are compared: their places in `experiment::fold::QUANTILES`, and themselves.
pub(super) const COMPARED: [(usize, f64); 3] = [(0, 0.5), (2, 0.9), (4, 0.99)];

impl Station<'_> {
    fn known(&self, model: &str, figure: Figure, value: f64, source: &'static str) -> Known {
        Known {
            subject: self.subject.clone(),
            model: model.to_string(),
            figure,
            claim: Claim::Exact,
            value,
            source,
        }
    }

    fn utilization(&self) -> f64 {
        self.stream.rate() * self.work.mean / f64::from(self.servers())
    }

    fn servers(&self) -> u32 {
        match self.plan.discipline {
            Discipline::ProcessorSharing => self.plan.cores,
            _ => self.plan.concurrency,
        }
    }

    /// Where one slot serves, how long the past is remembered: the time constant of the slowest mode (Kleinrock I, 2.5).
    fn relaxation(&self) -> f64 {
        let root = 1.0 - self.utilization().min(0.999_999).sqrt();
        self.work.mean / (root * root)
    }

    /// The known answers.
    ///
    /// # Errors
    /// Why there are none.
    pub fn answer(&self) -> Result<Answer, String> {
        let is_lossy = self.plan.queue_limit != UNLIMITED && self.plan.concurrency != UNLIMITED;
        if self.plan.queue_timeout != Duration::MAX && self.plan.concurrency != UNLIMITED {
            return Ok((self.without_calls(self.impatient(is_lossy)?), self.relaxation()));
        }
        let is_bounded = self.plan.concurrency != UNLIMITED || self.plan.discipline == Discipline::ProcessorSharing;
        if is_bounded && !is_lossy && self.utilization() >= 1.0 {
            let offered = self.utilization();
            return Err(format!(
                "it is offered {offered:.3} of what it can serve, so that its queue grows without bound"
            ));
        }
        let known = match (self.plan.discipline, self.stream) {
            (Discipline::ProcessorSharing, Stream::Poisson(rate)) if self.plan.concurrency == UNLIMITED => self.shared(rate)?,
            (Discipline::ProcessorSharing, _) => {
                return Err("processor sharing with such arrivals or a limit has no closed form".to_string());
            }
            (_, Stream::Poisson(rate)) if self.plan.concurrency == UNLIMITED => self.unlimited(rate),
            (_, Stream::Gaps(_)) if self.plan.concurrency == UNLIMITED || is_lossy => {
                return Err("the arrivals are not Poisson".to_string());
            }
            (_, Stream::Poisson(rate)) if is_lossy => self.lossy(rate)?,
            (_, Stream::Poisson(rate)) => self.queue(rate)?,
            (_, Stream::Gaps(gap)) => self.gaps(gap)?,
        };
        Ok((self.without_calls(known), self.relaxation()))
    }

    /// Leaves out what the time of its calls is part of: the time at an endpoint that waits for others is not that of its queue alone.
    fn without_calls(&self, mut known: Vec<Known>) -> Vec<Known> {
        let is_whole = |figure: Figure| matches!(figure, Figure::Sojourn(_) | Figure::SojournQuantile(..) | Figure::InSystem(_));
        known.retain(|known| !self.calls || !is_whole(known.figure));
        known
    }

    /// A queue timeout turns away who has waited for so long.
    fn impatient(&self, is_lossy: bool) -> Result<Vec<Known>, String> {
        let (Stream::Poisson(rate), Discipline::Fifo, true, false) =
            (self.stream, self.plan.discipline, self.work.exponential, is_lossy)
        else {
            return Err(
                "a queue timeout has a closed form only with Poisson arrivals, exponential work and a queue in the order of arrival \
                 without a limit"
                    .to_string(),
            );
        };
        let (servers, number) = (self.plan.concurrency, self.service);
        let patience = self.plan.queue_timeout.as_secs_f64();
        let station = self.mmc(rate, servers);
        let all = Impatient { station, patience }.answer();
        let served = 1.0 - all.abandons;
        // Of those who are served; the others have waited for as long as they may.
        let wait = (all.wait - patience * all.abandons) / served;
        let there = rate * (all.wait + served * self.work.mean) * f64::from(self.endpoints);
        let model = format!("M/M/{servers}+D (queue timeout)");
        let known = |figure, value| self.known(&model, figure, value, PATIENCE);
        Ok(vec![
            known(Figure::Loss(number), all.abandons),
            known(Figure::Wait(number), wait),
            known(Figure::Waits(number), (all.waits - all.abandons) / served),
            known(Figure::Sojourn(number), wait + self.work.mean),
            known(Figure::InSystem(number), there),
            known(Figure::Utilization(number), station.utilization() * served),
        ])
    }

    /// Everybody is served at once: M/G/∞.
    fn unlimited(&self, rate: f64) -> Vec<Known> {
        let model = if self.work.exponential { "M/M/∞" } else { "M/G/∞" };
        let there = rate * self.work.mean * f64::from(self.endpoints);
        vec![
            self.known(model, Figure::Sojourn(self.service), self.work.mean, LITTLE),
            self.known(model, Figure::InSystem(self.service), there, LITTLE),
        ]
    }

    /// All share the cores.
    fn shared(&self, rate: f64) -> Result<Vec<Known>, String> {
        let cores = self.plan.cores;
        let (model, sojourn) = match cores {
            1 => ("M/G/1-PS".to_string(), queues::mg1_ps_sojourn(rate, self.work.mean)),
            _ if self.work.exponential => (format!("M/M/{cores}-PS"), self.mmc(rate, cores).sojourn()),
            _ => return Err("processor sharing of several cores has no closed form unless the work is exponential".to_string()),
        };
        let sojourn = sojourn.expect("it was seen to be stable");
        let there = rate * sojourn * f64::from(self.endpoints);
        Ok(vec![
            self.known(&model, Figure::Sojourn(self.service), sojourn, INSENSITIVE),
            self.known(&model, Figure::InSystem(self.service), there, INSENSITIVE),
            self.known(&model, Figure::Utilization(self.service), self.utilization(), INSENSITIVE),
        ])
    }

    fn mmc(&self, rate: f64, servers: u32) -> Mmc {
        Mmc {
            rate,
            service: self.work.mean,
            servers,
        }
    }

    /// A queue without a limit.
    fn queue(&self, rate: f64) -> Result<Vec<Known>, String> {
        let servers = self.plan.concurrency;
        let number = self.service;
        if !self.work.exponential {
            return self.general(rate);
        }
        let station = self.mmc(rate, servers);
        let (model, source) = match servers {
            1 => ("M/M/1".to_string(), KLEINROCK),
            _ => (format!("M/M/{servers}"), ERLANG),
        };
        let stable = |value: Option<f64>| value.expect("it was seen to be stable");
        let there = stable(station.in_system()) * f64::from(self.endpoints);
        let mut known = vec![
            self.known(&model, Figure::Sojourn(number), stable(station.sojourn()), source),
            self.known(&model, Figure::Wait(number), stable(station.wait()), source),
            self.known(&model, Figure::Waits(number), stable(station.waits()), source),
            self.known(&model, Figure::InSystem(number), there, source),
            self.known(&model, Figure::Utilization(number), station.utilization(), source),
        ];
        if self.plan.discipline == Discipline::Fifo {
            for (place, p) in COMPARED {
                let value = stable(station.sojourn_quantile(p));
                known.push(self.known(&model, Figure::SojournQuantile(number, place), value, source));
            }
        }
        Ok(known)
    }

    /// M/G/1 without a limit.
    fn general(&self, rate: f64) -> Result<Vec<Known>, String> {
        if self.plan.concurrency > 1 {
            let servers = self.plan.concurrency;
            return Err(format!(
                "M/G/{servers}: several servers have no closed form unless the work is exponential"
            ));
        }
        if !self.work.second_moment.is_finite() {
            return Err("the variance of the work is infinite, and so is the mean wait".to_string());
        }
        let model = if self.work.constant { "M/D/1" } else { "M/G/1" };
        let wait = queues::mg1_wait(rate, self.work.mean, self.work.second_moment).expect("it was seen to be stable");
        let sojourn = wait + self.work.mean;
        let there = rate * sojourn * f64::from(self.endpoints);
        let number = self.service;
        let mut known = vec![
            self.known(model, Figure::Sojourn(number), sojourn, POLLACZEK),
            self.known(model, Figure::Wait(number), wait, POLLACZEK),
            self.known(model, Figure::InSystem(number), there, POLLACZEK),
            self.known(model, Figure::Utilization(number), self.utilization(), POLLACZEK),
        ];
        // With work that may take no time at all, who finds somebody there need not wait.
        known.push(self.known(model, Figure::Waits(number), self.utilization(), POLLACZEK));
        Ok(known)
    }

    /// Room for so many and no more.
    fn lossy(&self, rate: f64) -> Result<Vec<Known>, String> {
        let (servers, waiting) = (self.plan.concurrency, self.plan.queue_limit);
        let load = rate * self.work.mean;
        let number = self.service;
        let each = |busy: f64| busy / f64::from(servers);
        if waiting == 0 {
            let lost = queues::erlang_b(servers, load);
            let model = if self.work.exponential {
                format!("M/M/{servers}/{servers}")
            } else {
                format!("M/G/{servers}/{servers}")
            };
            let model = format!("{model} (Erlang B)");
            return Ok(vec![
                self.known(&model, Figure::Loss(number), lost, ERLANG),
                self.known(&model, Figure::Utilization(number), each(load * (1.0 - lost)), ERLANG),
                self.known(&model, Figure::Sojourn(number), self.work.mean, ERLANG),
            ]);
        }
        if !self.work.exponential {
            return Err("a queue with a limit has no closed form unless the work is exponential".to_string());
        }
        if servers.saturating_add(waiting) > 100_000 {
            return Err("its queue is too long for the chain of its states".to_string());
        }
        let probabilities = queues::mmck(load, servers, waiting);
        let lost = probabilities.last().copied().unwrap_or(0.0);
        let wait = queues::mmck_wait(&probabilities, load, servers) * self.work.mean;
        let model = format!("M/M/{servers}/{}", servers + waiting);
        Ok(vec![
            self.known(&model, Figure::Loss(number), lost, KLEINROCK),
            self.known(&model, Figure::Wait(number), wait, KLEINROCK),
            self.known(&model, Figure::Sojourn(number), wait + self.work.mean, KLEINROCK),
            self.known(&model, Figure::Utilization(number), each(load * (1.0 - lost)), KLEINROCK),
        ])
    }

    /// Gaps that are not exponential, one slot, exponential work.
    fn gaps(&self, gap: Gap) -> Result<Vec<Known>, String> {
        let number = self.service;
        let letter = match gap {
            Gap::Constant(_) => "D".to_string(),
            Gap::Erlang(stages, _) => format!("E{stages}"),
        };
        if self.plan.concurrency > 1 || self.plan.discipline != Discipline::Fifo {
            return Err("only one server, first come, first served, has a closed form under such arrivals".to_string());
        }
        if let (Gap::Constant(_), true) = (gap, self.work.constant) {
            return Ok(vec![
                self.known("D/D/1", Figure::Sojourn(number), self.work.mean, "arithmetic"),
                self.known("D/D/1", Figure::Wait(number), 0.0, "arithmetic"),
                self.known("D/D/1", Figure::Utilization(number), self.utilization(), "arithmetic"),
            ]);
        }
        if !self.work.exponential {
            return Err(format!("{letter}/G/1 has no closed form"));
        }
        let model = format!("{letter}/M/1");
        let sigma = queues::gim1_sigma(gap, self.work.mean).expect("it was seen to be stable");
        let sojourn = self.work.mean / (1.0 - sigma);
        let there = self.stream.rate() * sojourn * f64::from(self.endpoints);
        let mut known = vec![
            self.known(&model, Figure::Sojourn(number), sojourn, GIM1),
            self.known(&model, Figure::Wait(number), sigma * sojourn, GIM1),
            self.known(&model, Figure::Waits(number), sigma, GIM1),
            self.known(&model, Figure::InSystem(number), there, GIM1),
            self.known(&model, Figure::Utilization(number), self.utilization(), GIM1),
        ];
        for (place, p) in COMPARED {
            let value = -sojourn * ln(1.0 - p);
            known.push(self.known(&model, Figure::SojournQuantile(number, place), value, GIM1));
        }
        Ok(known)
    }
}
