//! Known answers of single stations. Rates and times are in any unit that fits together; a function gives `None` where there is no steady
//! state.
//!
//! Sources: Kleinrock, Queueing Systems I (1975) and II (1976); Harchol-Balter, Performance Modeling and Design of Computer Systems
//! (2013), "HB" below; Asmussen, Applied Probability and Queues (2nd ed. 2003).

use crate::math::{bisect, exp, ln, pow};

/// The probability that an arrival finds all of `servers` busy and is lost, at an offered load of `load` Erlang. It depends on the service
/// time by its mean alone (Sevastyanov 1957; HB 16.4).
pub fn erlang_b(servers: u32, load: f64) -> f64 {
    (1..=servers).fold(1.0, |blocked, k| load * blocked / (f64::from(k) + load * blocked))
}

/// The probability that an arrival has to wait: Erlang's C (HB 14.2).
pub fn erlang_c(servers: u32, load: f64) -> Option<f64> {
    let c = f64::from(servers);
    (load < c).then(|| {
        let blocked = erlang_b(servers, load);
        c * blocked / (c - load * (1.0 - blocked))
    })
}

/// A station with Poisson arrivals, exponential service and as many waiting as may come: M/M/c.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mmc {
    /// Arrivals in a unit of time.
    pub rate: f64,
    /// The mean service time.
    pub service: f64,
    /// How many are served at once.
    pub servers: u32,
}

impl Mmc {
    /// The share of its capacity that is wanted.
    pub fn utilization(&self) -> f64 {
        self.rate * self.service / f64::from(self.servers)
    }

    /// The probability of having to wait.
    pub fn waits(&self) -> Option<f64> {
        erlang_c(self.servers, self.rate * self.service)
    }

    /// The mean wait, those that do not wait included.
    pub fn wait(&self) -> Option<f64> {
        let spare = f64::from(self.servers) / self.service - self.rate;
        self.waits().map(|waits| waits / spare)
    }

    /// The mean time from arrival to departure.
    pub fn sojourn(&self) -> Option<f64> {
        self.wait().map(|wait| wait + self.service)
    }

    /// The mean number there (Little's law).
    pub fn in_system(&self) -> Option<f64> {
        self.sojourn().map(|sojourn| self.rate * sojourn)
    }

    /// The probability that the wait is longer than `t`.
    pub fn wait_exceeds(&self, t: f64) -> Option<f64> {
        let spare = f64::from(self.servers) / self.service - self.rate;
        self.waits().map(|waits| waits * exp(-spare * t))
    }

    /// The probability that a sojourn is longer than `t`: first come, first served (Adan and Resing, Queueing Systems, 5.5).
    pub fn sojourn_exceeds(&self, t: f64) -> Option<f64> {
        let waits = self.waits()?;
        let (mu, spare) = (1.0 / self.service, f64::from(self.servers) / self.service - self.rate);
        // The wait is `waits` times an exponential of rate `spare`, the service one of rate `mu`.
        let together = match ((spare - mu) / mu).abs() < 1e-9 {
            true => exp(-mu * t) * (1.0 + mu * t),
            false => (spare * exp(-mu * t) - mu * exp(-spare * t)) / (spare - mu),
        };
        Some((1.0 - waits) * exp(-mu * t) + waits * together)
    }

    /// The sojourn time that a share `p` does not exceed.
    pub fn sojourn_quantile(&self, p: f64) -> Option<f64> {
        let spare = f64::from(self.servers) / self.service - self.rate;
        self.waits()?;
        // Both parts have decayed by then.
        let far = (self.service + 1.0 / spare) * (4.0 - 2.0 * ln(1.0 - p));
        Some(bisect(0.0, far, |t| {
            let exceeds = self.sojourn_exceeds(t).expect("there is a steady state");
            (1.0 - p) - exceeds
        }))
    }
}

/// The probabilities of 0, 1, … requests at a station with Poisson arrivals, exponential service, `servers` and room for `waiting` more:
/// M/M/c/K with K = `servers` + `waiting` (Kleinrock I, 3.5 to 3.7).
pub fn mmck(load: f64, servers: u32, waiting: u32) -> Vec<f64> {
    let mut weights = vec![1.0];
    for n in 1..=servers + waiting {
        let last = weights[n as usize - 1];
        weights.push(last * load / f64::from(n.min(servers)));
        // A large load would overflow.
        if weights[n as usize] > 1e200 {
            weights.iter_mut().for_each(|weight| *weight *= 1e-200);
        }
    }
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// The mean wait of those that are let in at an M/M/c/K station with these probabilities, in units of the mean service time.
pub fn mmck_wait(probabilities: &[f64], load: f64, servers: u32) -> f64 {
    let lost = probabilities.last().copied().unwrap_or(0.0);
    let waiting: f64 = probabilities
        .iter()
        .zip(0_u32..)
        .map(|(probability, n)| probability * f64::from(n.saturating_sub(servers)))
        .sum();
    waiting / (load * (1.0 - lost))
}

/// A station with Poisson arrivals and exponential service, first come, first served, where whoever has waited for `patience` leaves:
/// M/M/c+D (Baccelli and Hebuterne 1981; Zeltyn and Mandelbaum, Queueing Systems 51, 2005, section 3). It is stable at any load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impatient {
    /// Arrivals, service and servers.
    pub station: Mmc,
    /// How long somebody waits at most.
    pub patience: f64,
}

/// What is known of an [`Impatient`] station.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// The probability of leaving without being served.
    pub abandons: f64,
    /// The probability of having to wait at all.
    pub waits: f64,
    /// The mean time in the queue, of those who leave too.
    pub wait: f64,
}

impl Impatient {
    /// What is known.
    pub fn answer(&self) -> Patience {
        let Mmc { rate, service, servers } = self.station;
        let (drain, tau) = (f64::from(servers) / service, self.patience);
        let drift = rate - drain;
        // The density of the wait that an arrival would have is exp(drift x) up to the patience and falls by exp(-drain x) behind it, as
        // nobody joins there who stays. All is divided by its largest value, so that nothing overflows.
        let x = drift * tau;
        let (begin, end) = (exp(-x.max(0.0)), exp(x.min(0.0)));
        // The integrals of exp(drift x) and of x exp(drift x) up to the patience.
        let (area, moment) = match x.abs() < 1e-4 {
            true => (begin * tau * (1.0 + x / 2.0), begin * tau * tau * (0.5 + x / 3.0)),
            false => ((end - begin) / drift, (end * (x - 1.0) + begin) / (drift * drift)),
        };
        let beyond = end / drain;
        let idle = begin / erlang_b(servers - 1, rate * service);
        let all = idle + rate * (area + beyond);
        Patience {
            abandons: rate * beyond / all,
            waits: rate * (area + beyond) / all,
            wait: rate * (moment + tau * beyond) / all,
        }
    }
}

/// The mean wait of an M/G/1 station by Pollaczek and Khinchine (HB 23.5), from the mean and the second moment of the service time: the
/// same for every order of service that looks at no one's work and breaks nothing off.
pub fn mg1_wait(rate: f64, mean: f64, second_moment: f64) -> Option<f64> {
    let utilization = rate * mean;
    (utilization < 1.0).then(|| rate * second_moment / (2.0 * (1.0 - utilization)))
}

/// The mean sojourn of an M/G/1 station with processor sharing: it depends on the service time by its mean alone (Kleinrock II, 4.4).
pub fn mg1_ps_sojourn(rate: f64, mean: f64) -> Option<f64> {
    let utilization = rate * mean;
    (utilization < 1.0).then(|| mean / (1.0 - utilization))
}

/// How the time between arrivals is distributed, where each is independent of the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gap {
    /// Always the same.
    Constant(f64),
    /// A sum of so many exponentials, with this mean in all.
    Erlang(u32, f64),
}

impl Gap {
    /// The mean.
    pub fn mean(self) -> f64 {
        match self {
            Gap::Constant(mean) | Gap::Erlang(_, mean) => mean,
        }
    }

    /// The Laplace transform at `s`.
    fn transform(self, s: f64) -> f64 {
        match self {
            Gap::Constant(gap) => exp(-s * gap),
            Gap::Erlang(stages, mean) => {
                let stages = f64::from(stages);
                pow(stages / (stages + s * mean), stages)
            }
        }
    }
}

/// What an arrival finds at a GI/M/1 station: busy with this probability, and then the number there is geometric with it (Kleinrock I, 6.4).
/// A sojourn is exponential with the mean `service / (1 - sigma)`.
pub fn gim1_sigma(gap: Gap, service: f64) -> Option<f64> {
    if service >= gap.mean() {
        return None;
    }
    let mu = 1.0 / service;
    // Below the root the transform is above the diagonal; 1 is the other root.
    let excess = |sigma: f64| sigma - gap.transform(mu * (1.0 - sigma));
    Some(bisect(0.0, 1.0 - 1e-9, excess))
}

/// The mean sojourn, in units of the mean service time, at one of very many M/M/1 stations each of whose arrivals joins the shortest of
/// `choices` random queues, at this load of each: the limit for many stations (Mitzenmacher, IEEE TPDS 12 (10), 2001, section 3).
pub fn supermarket_sojourn(load: f64, choices: u32) -> Option<f64> {
    if load >= 1.0 {
        return None;
    }
    if choices == 1 {
        return Some(1.0 / (1.0 - load));
    }
    // The share of queues with at least i is load^((d^i - 1)/(d - 1)); the sojourn is the sum of load^((d^i - d)/(d - 1)).
    let d = f64::from(choices);
    let (mut sum, mut power) = (0.0, d);
    for _ in 0..200 {
        let term = pow(load, (power - d) / (d - 1.0));
        sum += term;
        power *= d;
        if term < 1e-17 {
            break;
        }
    }
    Some(sum)
}

/// The most in each of two queues that [`jsq2_sojourn`] looks at.
const JSQ_MAX: usize = 80;

/// The mean sojourn, in units of the mean service time, at two M/M/1 stations where each arrival joins the shorter queue (either, if they are
/// equal): the stationary solution of the chain of both lengths, each cut off at 80. `load` is that of each station, at most 0.95.
/// (The model: Haight 1958; its solution: Flatto and McKean 1977.)
pub fn jsq2_sojourn(load: f64) -> Option<f64> {
    if !(load > 0.0 && load <= 0.95) {
        return None;
    }
    // By the shorter and the longer queue. Gauss and Seidel's iteration on the balance of each state.
    let rate = 2.0 * load;
    let n = JSQ_MAX + 1;
    let at = |short: usize, long: usize| short * n + long;
    let mut p = vec![0.0; n * n];
    for short in 0..n {
        for long in short..n {
            p[at(short, long)] = pow(load, (short + long) as f64);
        }
    }
    let mut last = f64::INFINITY;
    for _ in 0..20_000 {
        for short in 0..n {
            for long in short..n {
                p[at(short, long)] = inflow(&p, n, rate, short, long) / outflow(n, rate, short, long);
            }
        }
        let total: f64 = p.iter().sum();
        p.iter_mut().for_each(|p| *p /= total);
        let there: f64 = (0..n * n).map(|state| p[state] * (state / n + state % n) as f64).sum();
        let sojourn = there / rate;
        if (sojourn - last).abs() < 1e-10 * sojourn {
            return Some(sojourn);
        }
        last = sojourn;
    }
    None
}

fn outflow(n: usize, rate: f64, short: usize, long: usize) -> f64 {
    let arrivals = if short + 1 < n { rate } else { 0.0 };
    arrivals + f64::from(u8::from(short > 0)) + f64::from(u8::from(long > 0))
}

/// What flows into a state from the others, under the present weights.
fn inflow(p: &[f64], n: usize, rate: f64, short: usize, long: usize) -> f64 {
    let at = |short: usize, long: usize| p[short * n + long];
    let mut flow = 0.0;
    // An arrival joins the shorter queue, which may be as long as the other thereafter.
    if short > 0 {
        flow += rate * at(short - 1, long);
    }
    if long == short + 1 {
        flow += rate * at(short, short);
    }
    // A departure from the longer queue, which stays the longer.
    if long + 1 < n {
        flow += at(short, long + 1);
    }
    // One from the shorter queue; of two equal ones either is the shorter thereafter.
    if short < long {
        flow += at(short + 1, long);
        if short + 1 == long {
            flow += at(long, long);
        }
    }
    flow
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, expected: f64) {
        assert!((value / expected - 1.0).abs() < 1e-6, "{value}, not {expected}");
    }

    /// Values of `tests/theory/cases.json`, each with its source there.
    #[test]
    fn stations_have_their_known_answers() {
        let mm1 = Mmc {
            rate: 0.7,
            service: 1.0,
            servers: 1,
        };
        near(mm1.sojourn().expect("it is stable"), 3.333_333_333_333_333);
        near(mm1.in_system().expect("it is stable"), 2.333_333_333_333_333);
        near(mm1.sojourn_quantile(0.5).expect("it is stable"), 2.310_490_601_866_484);
        near(mm1.sojourn_quantile(0.999).expect("it is stable"), 23.025_850_929_940_45);
        let mmc = Mmc {
            rate: 3.2,
            service: 1.0,
            servers: 4,
        };
        near(mmc.waits().expect("it is stable"), 0.596_432_471_787_404_6);
        near(mmc.wait().expect("it is stable"), 0.745_540_589_734_255_9);
        near(mmc.sojourn_quantile(0.9).expect("it is stable"), 3.775_960_249_767_209_6);
        near(mmc.sojourn_quantile(0.999).expect("it is stable"), 9.879_666_902_275_504);
        near(mmc.wait_exceeds(3.098_678_777_879_883).expect("it is stable"), 0.05);
        let p = mmck(3.8, 4, 6);
        near(p[10], 0.086_793_933_269_663_78);
        near(mmck_wait(&p, 3.8, 4), 0.573_814_546_667_021_3);
        near(erlang_b(10, 8.0), 0.121_661_064_252_951_5);
        near(mg1_wait(0.8, 1.0, 1.0).expect("it is stable"), 2.0);
        near(mg1_ps_sojourn(0.75, 1.0).expect("it is stable"), 4.0);
        let sigma = gim1_sigma(Gap::Constant(1.25), 1.0).expect("it is stable");
        near(sigma, 0.628_629_796_496_931_3);
        near(1.0 / (1.0 - sigma), 2.692_730_839_919_786);
    }

    /// No patience is a loss system, a very long one M/M/c; one server by hand: with `rate` = `service` = `patience` = 1 the density is
    /// flat up to 1, so that idle, waiting and leaving are as 1 to 1 to 1.
    #[test]
    fn impatience_is_between_loss_and_waiting() {
        let station = Mmc {
            rate: 3.2,
            service: 1.0,
            servers: 4,
        };
        let with = |station, patience| Impatient { station, patience }.answer();
        near(with(station, 1e-12).abandons, erlang_b(4, 3.2));
        let patient = with(station, 200.0);
        near(patient.wait, station.wait().expect("it is stable"));
        near(patient.waits, station.waits().expect("it is stable"));
        assert!(patient.abandons < 1e-12);
        let one = |rate: f64| Mmc {
            rate,
            service: 1.0,
            servers: 1,
        };
        let even = with(one(1.0), 1.0);
        near(even.abandons, 1.0 / 3.0);
        near(even.waits, 2.0 / 3.0);
        near(even.wait, 0.5);
        // Near the removable singularity the series and the closed form are one.
        let (series, closed) = (with(one(1.0 + 0.9e-4), 1.0).wait, with(one(1.0 + 1.1e-4), 1.0).wait);
        assert!(series < closed && closed / series < 1.0 + 2e-5, "{series} {closed}");
        // Far beyond what it can serve: the wait comes to the patience, and what is too much leaves.
        let flooded = with(one(5.0), 400.0);
        near(flooded.abandons, 0.8);
        assert!((flooded.wait / 400.0 - 1.0).abs() < 0.01 && flooded.waits > 0.999_999);
    }

    #[test]
    fn an_erlang_gap_of_one_stage_is_poissons() {
        near(gim1_sigma(Gap::Erlang(1, 1.25), 1.0).expect("it is stable"), 0.8);
    }

    #[test]
    fn no_steady_state_has_no_answer() {
        assert_eq!(erlang_c(4, 4.0), None);
        assert_eq!(mg1_wait(1.0, 1.0, 2.0), None);
        assert_eq!(gim1_sigma(Gap::Constant(1.0), 1.0), None);
        assert_eq!(supermarket_sojourn(1.0, 2), None);
    }

    /// Mitzenmacher's table 1 (2001): two choices at loads of 0.7 and 0.9; one choice is M/M/1. The case Q35 has 1.62658 for 100 stations,
    /// which the limit misses by about 1/100.
    #[test]
    fn two_choices_are_the_supermarket_model() {
        near(supermarket_sojourn(0.9, 1).expect("it is stable"), 10.0);
        let two = supermarket_sojourn(0.9, 2).expect("it is stable");
        assert!((two - 2.6141).abs() < 1e-3, "{two}");
        let many = supermarket_sojourn(0.7, 2).expect("it is stable");
        assert!((many / 1.626_583_278 - 1.0).abs() < 0.01, "{many}");
    }

    /// The shorter of two queues is between one queue for both servers and a random choice, and in light traffic nobody waits.
    #[test]
    fn the_shorter_of_two_queues_is_between_its_bounds() {
        for load in [0.3, 0.5, 0.8, 0.9] {
            let sojourn = jsq2_sojourn(load).expect("it converges");
            let one_queue = Mmc {
                rate: 2.0 * load,
                service: 1.0,
                servers: 2,
            };
            assert!(one_queue.sojourn().expect("it is stable") < sojourn, "{load}");
            assert!(sojourn < 1.0 / (1.0 - load), "{load}");
        }
        near(jsq2_sojourn(1e-6).expect("it converges"), 1.0);
    }
}
