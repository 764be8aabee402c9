//! How priority levels share the traffic: by their health, with a spill to the next one, and by their size in panic.
//!
//! The arithmetic is Envoy's, in integers, because its rounding decides which level gets the odd per cent
//! (`source/extensions/load_balancing_policies/common/load_balancer_impl.cc`: `recalculatePerPriorityState`).

use crate::policy::Health;

/// How many endpoints of a level are in which health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub total: u32,
    /// Those healthy.
    pub healthy: u32,
    /// Those degraded.
    pub degraded: u32,
    /// Those left out of the denominator.
    pub excluded: u32,
}

impl Counts {
    /// Counts an endpoint in this health, `amount` times.
    pub(crate) fn add(&mut self, health: Health, amount: u32) {
        let count = match health {
            Health::Healthy => &mut self.healthy,
            Health::Degraded => &mut self.degraded,
            Health::Excluded => &mut self.excluded,
            Health::Unhealthy => &mut 0,
        };
        *count = count.saturating_add(amount);
        self.total = self.total.saturating_add(amount);
    }

    /// Those that count in the denominator.
    pub(crate) fn eligible(&self) -> u32 {
        self.total.saturating_sub(self.excluded)
    }
}

/// The share of traffic that a level gets, in per cent of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// For its healthy endpoints.
    pub healthy: u32,
    /// For its degraded ones.
    pub degraded: u32,
    /// Whether all its endpoints are used, whatever their health.
    pub panic: bool,
}

/// What a level could serve by its healthy and by its degraded endpoints, in per cent, at most 100 each.
pub fn availability(counts: Counts, overprovisioning_factor: u32) -> (u32, u32) {
    let eligible = counts.eligible();
    if eligible == 0 {
        return (0, 0);
    }
    let share = |n: u32| (u64::from(overprovisioning_factor) * u64::from(n) / u64::from(eligible)).min(100) as u32;
    (share(counts.healthy), share(counts.degraded))
}

/// Spreads the traffic over the levels by their availability (see [`availability`]), and says which ones panic.
pub fn distribute(counts: &[Counts], available: &[(u32, u32)], panic_threshold: u32) -> Vec<Load> {
    let mut loads = vec![Load::default(); counts.len()];
    if loads.is_empty() {
        return loads;
    }
    let norm = available
        .iter()
        .map(|&(healthy, degraded)| healthy + degraded)
        .sum::<u32>()
        .min(100);
    if norm > 0 {
        spread(&mut loads, available, norm);
    } else if panic_threshold == 0 {
        loads[0].healthy = 100;
        return loads;
    }
    for (load, counts) in loads.iter_mut().zip(counts) {
        load.panic = norm < 100 && in_panic(*counts, panic_threshold);
    }
    if loads.iter().all(|load| load.panic) {
        spread_by_size(&mut loads, counts);
    }
    loads
}

/// Spreads the traffic over what is available, if anything is; no level panics.
pub(super) fn share(available: &[(u32, u32)]) -> Option<Vec<Load>> {
    let norm = available.iter().map(|&(healthy, degraded)| healthy + degraded).sum::<u32>();
    let mut loads = vec![Load::default(); available.len()];
    if norm == 0 {
        return None;
    }
    spread(&mut loads, available, norm.min(100));
    Some(loads)
}

fn spread(loads: &mut [Load], available: &[(u32, u32)], norm: u32) {
    let mut left = 100;
    for (load, &(healthy, _)) in loads.iter_mut().zip(available) {
        load.healthy = left.min(healthy * 100 / norm);
        left -= load.healthy;
    }
    for (load, &(_, degraded)) in loads.iter_mut().zip(available) {
        load.degraded = left.min(degraded * 100 / norm);
        left -= load.degraded;
    }
    if let Some(first) = available.iter().position(|&(healthy, _)| healthy > 0) {
        loads[first].healthy += left;
    } else if let Some(first) = available.iter().position(|&(_, degraded)| degraded > 0) {
        loads[first].degraded += left;
    }
}

fn in_panic(counts: Counts, panic_threshold: u32) -> bool {
    let eligible = f64::from(counts.eligible());
    let percentage = |n: u32| {
        if eligible == 0.0 {
            0.0
        } else {
            100.0 * f64::from(n) / eligible
        }
    };
    percentage(counts.healthy) + percentage(counts.degraded) < f64::from(panic_threshold)
}

/// Total panic: health says nothing any more, so the levels share by size, excluded endpoints included.
fn spread_by_size(loads: &mut [Load], counts: &[Counts]) {
    let sum: u64 = counts.iter().map(|counts| u64::from(counts.total)).sum();
    if sum == 0 {
        loads[0].healthy = 100;
        return;
    }
    let mut left = 100;
    for (load, counts) in loads.iter_mut().zip(counts) {
        load.healthy = (100 * u64::from(counts.total) / sum) as u32;
        load.degraded = 0;
        left -= load.healthy;
    }
    let first = counts.iter().position(|counts| counts.total > 0).expect("the sum is not 0");
    loads[first].healthy += left;
}
