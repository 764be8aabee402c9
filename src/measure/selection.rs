//! Which of several systems is best: Kim and Nelson's sequential procedure KN (ACM TOMACS 11, 2001).
//!
//! It finds the system with the largest mean with a given probability if that is better than every other by at least the zone of
//! indifference, and one within the zone of the best otherwise. It needs neither equal variances nor independent systems, so it works under
//! common random numbers, and gains by them: only variances of paired differences count.

/// Whether the best is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Best {
    /// Not yet.
    Open,
    /// It is this one.
    Found(usize),
}

/// The procedure between two replications.
#[derive(Clone, Debug, PartialEq)]
pub struct Kn {
    /// Systems that may be the best.
    surviving: Vec<bool>,
    /// h^2 S_il^2 / zone^2 of each pair.
    bound: Vec<Vec<f64>>,
    zone: f64,
    best: Best,
}

impl Kn {
    /// Begins when each of `systems` (at least two, the better the larger) has `first` replications, at least two; `zone` is above 0 and
    /// `error` within (0, 1): the probability of a wrong choice.
    pub fn new(systems: &[Vec<f64>], first: usize, zone: f64, error: f64) -> Kn {
        let count = systems.len();
        assert!(count >= 2 && first >= 2 && zone > 0.0);
        let degrees = (first - 1) as f64;
        // (2a / (k-1))^(-2/(n-1)) by the portable pow.
        let eta = (crate::math::pow(2.0 * error / (count - 1) as f64, -2.0 / degrees) - 1.0) / 2.0;
        let h2 = 2.0 * eta * degrees;
        let bound = |i: usize, l: usize| h2 * variance(&systems[i][..first], &systems[l][..first]) / (zone * zone);
        Kn {
            surviving: vec![true; count],
            bound: (0..count).map(|i| (0..count).map(|l| bound(i, l)).collect()).collect(),
            zone,
            best: Best::Open,
        }
    }

    /// Looks at the replications so far, of which all systems have the same number: to be called after the first stage and after each
    /// further replication.
    pub fn step(&mut self, systems: &[Vec<f64>]) -> Best {
        if self.best != Best::Open {
            return self.best;
        }
        let r = systems[0].len() as f64;
        let means: Vec<f64> = systems.iter().map(|each| each.iter().sum::<f64>() / r).collect();
        let before = self.surviving.clone();
        let rivals = |i: usize| (0..means.len()).filter(move |&l| l != i);
        for i in 0..means.len() {
            let is_beaten = |l: usize| {
                let slack = (self.zone / (2.0 * r) * (self.bound[i][l] - r)).max(0.0);
                before[l] && means[i] < means[l] - slack
            };
            self.surviving[i] = before[i] && !rivals(i).any(is_beaten);
        }
        let left: Vec<usize> = (0..means.len()).filter(|&i| self.surviving[i]).collect();
        // Past the last bound nobody has any slack left, so the best mean is it; of equal ones the first.
        let last = left
            .iter()
            .flat_map(|&i| left.iter().map(move |&l| (i, l)))
            .filter(|(i, l)| i != l)
            .all(|(i, l)| r > self.bound[i][l].floor());
        if left.len() == 1 || last {
            let best = left
                .iter()
                .copied()
                .reduce(|best, other| if means[other] > means[best] { other } else { best });
            self.best = best.map_or(Best::Open, Best::Found);
        }
        self.best
    }

    /// What is known so far.
    pub fn best(&self) -> Best {
        self.best
    }

    /// Whether a system may still be the best.
    pub fn survives(&self, system: usize) -> bool {
        self.surviving[system]
    }
}

/// The sample variance of paired differences.
fn variance(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let mean = a.iter().zip(b).map(|(a, b)| a - b).sum::<f64>() / n;
    let squares: f64 = a.iter().zip(b).map(|(a, b)| (a - b - mean) * (a - b - mean)).sum();
    squares / (n - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::normal_quantile;
    use crate::random::{Purpose, Streams};

    /// Chooses among normal systems with these means and unit variance, the first stage of ten; with a part of the variance that all share.
    /// Gives the choice and how many replications it took.
    fn choose(means: &[f64], zone: f64, shared: f64, experiment: u64) -> (usize, usize) {
        let draw = |replication: u32, owner: u64| {
            normal_quantile(Streams::new(experiment, replication).key(Purpose::Work, owner).unit())
        };
        let mut systems: Vec<Vec<f64>> = vec![Vec::new(); means.len()];
        let mut kn = None;
        for replication in 0..100_000 {
            let common = shared.sqrt() * draw(replication, 0);
            for (owner, (each, mean)) in (1..).zip(systems.iter_mut().zip(means)) {
                each.push(mean + common + (1.0 - shared).sqrt() * draw(replication, owner));
            }
            if replication + 1 < 10 {
                continue;
            }
            let kn = kn.get_or_insert_with(|| Kn::new(&systems, 10, zone, 0.05));
            if let Best::Found(best) = kn.step(&systems) {
                return (best, replication as usize + 1);
            }
        }
        panic!("it ends when the slack is used up");
    }

    #[test]
    fn the_best_is_found_as_often_as_said() {
        // The slippage configuration: one is better than all others by just the zone, which is as hard as it may be.
        let means = [0.0, 0.0, 0.0, 0.5, 0.0];
        let (mut right, mut total) = (0, 0);
        let experiments = 400;
        for experiment in 0..experiments {
            let (best, replications) = choose(&means, 0.5, 0.0, experiment);
            right += usize::from(best == 3);
            total += replications;
        }
        let share = right as f64 / experiments as f64;
        assert!(share >= 0.95, "{share}");
        // Kim and Nelson (2001), table II, has savings by positive correlation: common random numbers need fewer.
        let paired: usize = (0..experiments)
            .map(|experiment| choose(&means, 0.5, 0.8, experiment).1)
            .sum();
        assert!(paired * 2 < total, "{paired} of {total}");
    }

    #[test]
    fn equal_systems_come_to_an_end() {
        for experiment in 0..20 {
            let (_, replications) = choose(&[1.0, 1.0, 1.0], 0.5, 0.0, experiment);
            assert!(replications < 2_000, "{replications}");
        }
    }

    #[test]
    fn the_constants_are_those_of_the_procedure() {
        // k = 4, a = 0.05, n = 10: eta = ((0.1 / 3)^(-2/9) - 1) / 2 = 0.564680, h^2 = 18 eta = 10.164243.
        let a: Vec<f64> = (0..10).map(|i| f64::from(i % 2)).collect();
        let systems = vec![a.clone(), vec![0.0; 10], a.iter().map(|x| 2.0 * x).collect(), vec![0.0; 10]];
        let kn = Kn::new(&systems, 10, 1.0, 0.05);
        // The variance of five zeros and five ones is 2.5 / 9.
        let expected = 10.164_243 * 2.5 / 9.0;
        assert!((kn.bound[0][1] - expected).abs() < 1e-4, "{}", kn.bound[0][1]);
        assert!((kn.bound[2][3] - 4.0 * kn.bound[0][1]).abs() < 1e-9);
        assert_eq!(kn.bound[1][3], 0.0);
    }
}
