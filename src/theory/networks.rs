//! Known answers of several stations together: closed loops, forks, retries.

use crate::math::bisect;
use crate::math::{exp, ln};

/// The mean response of a station with `servers` and exponential service that `users` visit, each after a pause of mean `think`: M/M/c//N, the
/// machine repair model (Kleinrock I, 3.8). It depends on the pause by its mean alone (BCMP: Baskett, Chandy, Muntz and Palacios, J. ACM 22
/// (2), 1975). Gives the response and the throughput.
pub fn machine_repair(users: u32, think: f64, service: f64, servers: u32) -> (f64, f64) {
    // The weight of n at the station: think^(N-n)/(N-n)! times service^n over the product of the servers busy.
    let mut weights = vec![1.0];
    for n in 1..=users {
        let last = weights[n as usize - 1];
        let next = last * f64::from(users - n + 1) / think * service / f64::from(n.min(servers));
        weights.push(next);
        if next > 1e200 {
            weights.iter_mut().for_each(|weight| *weight *= 1e-200);
        }
    }
    let sum: f64 = weights.iter().sum();
    let there: f64 = weights.iter().zip(0..).map(|(weight, n)| weight * f64::from(n)).sum::<f64>() / sum;
    let throughput = (f64::from(users) - there) / think;
    (there / throughput, throughput)
}

/// A station of a closed network: `copies` of it that are alike, among which requests are spread at random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Center {
    /// The mean service time that one request asks of each copy: visits times service.
    pub demand: f64,
    /// How many requests one copy serves at once.
    pub servers: u32,
    /// How many copies there are.
    pub copies: u32,
}

/// What is known of a closed network.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedNetwork {
    /// Requests in a unit of time.
    pub throughput: f64,
    /// The mean number at one copy of each station.
    pub there: Vec<f64>,
}

/// A closed network in product form (Gordon and Newell 1967; BCMP 1975) of `users`, who also spend a mean of `delay` where nobody waits,
/// by Buzen's convolution (CACM 16 (9), 1973). It knows what mean value analysis (Reiser and Lavenberg, J. ACM 27 (2), 1980) does, and
/// subtracts nothing, so that it loses no digits where several servers are busy.
pub fn closed_network(users: u32, delay: f64, centers: &[Center]) -> ClosedNetwork {
    let n = users as usize;
    let slowest = centers.iter().map(|center| center.demand / f64::from(center.servers));
    let bottleneck = slowest.fold(0.0, f64::max);
    let total: f64 = centers.iter().map(|center| center.demand * f64::from(center.copies)).sum();
    // Weights are scaled by powers of about the throughput, so that those that matter are near 1.
    let mut scale = (f64::from(users) / (delay + total)).min(1.0 / bottleneck);
    let mut normal = Vec::new();
    for _ in 0..3 {
        normal = (0..centers.len()).fold(weights(n, delay * scale, u32::MAX), |sum, center| {
            with_copies(
                sum,
                &weights(n, centers[center].demand * scale, centers[center].servers),
                centers[center].copies,
            )
        });
        scale *= normal[n - 1] / normal[n];
    }
    let throughput = scale;
    // The weights above are those of the scale before the last correction.
    let scale = throughput * normal[n] / normal[n - 1];
    let there = centers.iter().enumerate().map(|(number, center)| {
        let own = weights(n, center.demand * scale, center.servers);
        let rest = (0..centers.len()).fold(weights(n, delay * scale, u32::MAX), |sum, other| {
            let copies = centers[other].copies - u32::from(other == number);
            with_copies(
                sum,
                &weights(n, centers[other].demand * scale, centers[other].servers),
                copies,
            )
        });
        let weight = |k: usize| own[k] * rest[n - k];
        let all: f64 = (0..=n).map(weight).sum();
        (0..=n).map(|k| weight(k) * k as f64).sum::<f64>() / all
    });
    ClosedNetwork {
        throughput,
        there: there.collect(),
    }
}

/// The weights of 0, 1, … n requests at a station, the largest of them 1.
fn weights(n: usize, demand: f64, servers: u32) -> Vec<f64> {
    let step = |k: usize| ln(demand) - ln((k as f64).min(f64::from(servers)));
    let mut logs = vec![0.0];
    for k in 1..=n {
        logs.push(if demand > 0.0 {
            logs[k - 1] + step(k)
        } else {
            f64::NEG_INFINITY
        });
    }
    let largest = logs.iter().copied().fold(0.0, f64::max);
    logs.iter()
        .map(|log| if *log == f64::NEG_INFINITY { 0.0 } else { exp(log - largest) })
        .collect()
}

/// Joins so many copies of a station to others.
fn with_copies(mut sum: Vec<f64>, own: &[f64], copies: u32) -> Vec<f64> {
    for _ in 0..copies {
        let mut next: Vec<f64> = (0..sum.len()).map(|n| (0..=n).map(|k| own[k] * sum[n - k]).sum()).collect();
        let largest = next.iter().copied().fold(0.0, f64::max);
        next.iter_mut().for_each(|weight| *weight /= largest);
        sum = next;
    }
    sum
}

fn power(x: f64, k: u32) -> f64 {
    (0..k).fold(1.0, |product, _| product * x)
}

/// The probability that exactly `k` of `n` are up, each of them independently with probability `up`.
pub fn up_of(k: u32, n: u32, up: f64) -> f64 {
    let choose = (0..k).fold(1.0, |ways, i| ways * f64::from(n - i) / f64::from(i + 1));
    choose * power(up, k) * power(1.0 - up, n - k)
}

/// The probability that at least `k` of `n` are up.
pub fn at_least(k: u32, n: u32, up: f64) -> f64 {
    (k..=n).map(|k| up_of(k, n, up)).sum()
}

/// The probability that one of `tries` random choices among `n` finds one that answers, where each is up independently with probability
/// `up` and stays as it is meanwhile; one that is down fails a share `fails` of what comes.
pub fn found_up(n: u32, up: f64, fails: f64, tries: u32) -> f64 {
    (0..=n)
        .map(|k| up_of(k, n, up) * (1.0 - all_fail(f64::from(n - k) / f64::from(n) * fails, tries - 1)))
        .sum()
}

/// The H_n of the harmonic series.
pub fn harmonic(n: u32) -> f64 {
    (1..=n).map(|k| 1.0 / f64::from(k)).sum()
}

/// The mean of the largest of `n` independent exponentials of this mean (Harchol-Balter 2013, exercise 11.6; Dean and Barroso, CACM 56 (2),
/// 2013, tell what it does to a page).
pub fn largest_of(n: u32, mean: f64) -> f64 {
    mean * harmonic(n)
}

/// What a share `p` of the largest of `n` independent exponentials of this mean does not exceed.
pub fn largest_quantile(n: u32, mean: f64, p: f64) -> f64 {
    let far = mean * 100.0;
    bisect(0.0, far, |t| {
        let each = 1.0 - exp(-t / mean);
        (0..n).fold(1.0, |all, _| all * each) - p
    })
}

/// Attempts of a call on average, where each fails with probability `failure` independently and up to `retries` follow.
pub fn attempts_per_call(failure: f64, retries: u32) -> f64 {
    (0..=retries)
        .scan(1.0, |reached, _| {
            let now = *reached;
            *reached *= failure;
            Some(now)
        })
        .sum()
}

/// The probability that all of them fail.
pub fn all_fail(failure: f64, retries: u32) -> f64 {
    power(failure, retries + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two of three, by hand; and a choice of one is a share of those that are up.
    #[test]
    fn so_many_of_n_are_up() {
        near(at_least(2, 3, 0.9), 0.972);
        near(at_least(1, 4, 0.5), 0.9375);
        near(at_least(0, 5, 0.3), 1.0);
        near(found_up(5, 0.8, 1.0, 1), 0.8);
        near(found_up(1, 0.8, 1.0, 9), 0.8);
        // One of two is up half of the time: a second try finds it half of the times that it is needed.
        near(found_up(2, 0.5, 1.0, 2), 0.25 + 0.5 * 0.75);
        near(found_up(2, 0.5, 0.5, 1), 0.75);
    }

    fn near(value: f64, expected: f64) {
        assert!((value / expected - 1.0).abs() < 1e-6, "{value}, not {expected}");
    }

    /// Values of `tests/theory/cases.json`.
    #[test]
    fn forks_and_retries_have_their_known_answers() {
        near(largest_of(10, 1.0), 2.928_968_253_968_253_8);
        near(largest_quantile(10, 1.0, 0.5), 2.703_555_191_862_404_3);
        near(largest_quantile(10, 1.0, 0.999), 9.209_890_188_117_356);
        near(attempts_per_call(0.1, 3), 1.111);
        near(all_fail(0.1, 3), 0.0001);
    }

    /// One user never waits; two at one server by hand: with a pause and a service of 1 the weights are 1, 2, 2, so that 1.2 are there and
    /// 0.8 pass in a unit of time.
    #[test]
    fn a_closed_loop_has_its_known_answer() {
        let (response, throughput) = machine_repair(1, 9.0, 1.0, 1);
        near(response, 1.0);
        near(throughput, 0.1);
        let (response, throughput) = machine_repair(2, 1.0, 1.0, 1);
        near(throughput, 0.8);
        near(response, 1.5);
        // A closed network of one station is the same.
        for (users, think, servers) in [(2, 1.0, 1), (10, 5.0, 2), (300, 90.0, 4), (3000, 10.0, 1)] {
            let one = Center {
                demand: 1.0,
                servers,
                copies: 1,
            };
            let closed = closed_network(users, think, &[one]);
            let (response, throughput) = machine_repair(users, think, 1.0, servers);
            near(closed.throughput, throughput);
            near(closed.there[0] / closed.throughput, response);
        }
        // As many servers as users: nobody waits.
        near(machine_repair(7, 3.0, 2.0, 7).0, 2.0);
    }
}
