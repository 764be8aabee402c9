//! Drawing from a list of weights in O(1): the alias method (Walker 1977) with Vose's tables (1991), filled as Finagle fills them.
//!
//! `finagle-core/src/main/scala/com/twitter/finagle/util/Drv.scala`.

use std::collections::VecDeque;

use crate::random::Rng;

/// The tables.
#[derive(Clone, Debug, Default)]
pub struct Alias {
    cells: Vec<(f64, u32)>,
}

impl Alias {
    /// The tables of weights that are not negative; all equal if they are all 0.
    pub fn new(weights: impl ExactSizeIterator<Item = f64> + Clone) -> Alias {
        let n = weights.len();
        let sum: f64 = weights.clone().sum();
        let share = |weight: f64| if sum == 0.0 { 1.0 / n as f64 } else { weight / sum };
        let mut left: Vec<f64> = weights.map(|weight| share(weight) * n as f64).collect();
        let mut cells = vec![(1.0, 0); n];
        let (mut small, mut large): (VecDeque<usize>, VecDeque<usize>) = (0..n).partition(|&i| left[i] < 1.0);
        while let (Some(&poor), Some(&rich)) = (small.front(), large.front()) {
            small.pop_front();
            large.pop_front();
            cells[poor] = (left[poor], rich as u32);
            left[rich] = left[poor] + left[rich] - 1.0;
            if left[rich] < 1.0 { &mut small } else { &mut large }.push_back(rich);
        }
        Alias { cells }
    }

    /// The place of a weight, with a probability in proportion to it. There must be one.
    #[inline]
    pub fn draw(&self, rng: &mut Rng) -> u32 {
        let cell = rng.below(self.cells.len() as u64) as u32;
        let (probability, alias) = self.cells[cell as usize];
        if probability == 1.0 || rng.unit() < probability {
            cell
        } else {
            alias
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_add_up_to_the_weights() {
        let weights = [5.0, 0.0, 1.0, 3.0, 1.0, 0.25];
        let alias = Alias::new(weights.into_iter());
        let mut found = [0.0; 6];
        for (cell, &(probability, other)) in alias.cells.iter().enumerate() {
            found[cell] += probability / 6.0;
            found[other as usize] += (1.0 - probability) / 6.0;
        }
        for (found, weight) in found.iter().zip(weights) {
            assert!((found - weight / 10.25).abs() < 1e-12, "{found} for {weight}");
        }
    }

    #[test]
    fn no_weights_are_equal_weights() {
        let alias = Alias::new([0.0; 4].into_iter());
        let mut rng = Rng::new(1);
        let mut counts = [0_u32; 4];
        (0..40_000).for_each(|_| counts[alias.draw(&mut rng) as usize] += 1);
        // Five deviations of a share of a quarter: 5 * sqrt(40000 * 3 / 16) = 433.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 433), "{counts:?}");
    }
}
