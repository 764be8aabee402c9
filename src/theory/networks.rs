//! Known answers of several stations together: closed loops, forks, retries.

use crate::math::bisect;
use crate::math::exp;

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
    (0..=retries).fold(1.0, |all, _| all * failure)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // As many servers as users: nobody waits.
        near(machine_repair(7, 3.0, 2.0, 7).0, 2.0);
    }
}
