//! Localities of a level: how much traffic their weights bring them, and whose turn it is.
//!
//! As Envoy's locality scheduler does it (`source/extensions/load_balancing_policies/common/locality_wrr.cc`).

use crate::policy::Health;
use crate::policy::balancer::common::{PerSet, Schedule, pre_picks};
use crate::policy::candidates::{Context, Counts};
use crate::policy::listing::{Kind, LevelLocality};
use crate::random::Rng;

/// One locality of one level and group.
#[derive(Clone, Debug)]
pub(super) struct LocalityState {
    pub listed: LevelLocality,
    /// Its weight in this group; 0 if nobody gave it one.
    pub weight: u32,
    pub counts: Counts,
    /// The sum of the weights of its healthy endpoints.
    pub healthy_weight: u64,
    /// The numbers of its sets: healthy and degraded.
    pub sets: [Option<u32>; 2],
    /// What its weight comes to: for healthy and for degraded endpoints.
    pub effective: [f64; 2],
}

impl LocalityState {
    /// Counts an endpoint.
    pub fn add(&mut self, health: Health, weight: u32) {
        self.counts.add(health, 1);
        if health == Health::Healthy {
            self.healthy_weight += u64::from(weight);
        }
    }

    /// The set with its endpoints of that kind.
    pub fn set(&self, kind: Kind) -> Option<u32> {
        self.sets[place(kind)]
    }

    /// What its weight comes to for endpoints of that kind.
    pub fn effective(&self, kind: Kind) -> f64 {
        self.effective[place(kind)]
    }

    /// Computes what its weight comes to.
    pub fn weigh(&mut self, context: Context<'_>) {
        let weight = self.listed.weight.unwrap_or(0);
        self.weight = match context.subsets {
            Some(subsets) => subsets.scaled(weight, self.counts.total, self.listed.total),
            None => weight,
        };
        let overprovisioning_factor = context.options.overprovisioning_factor;
        let of = |eligible| effective_locality_weight(self.weight, eligible, self.counts.eligible(), overprovisioning_factor);
        self.effective = [of(self.counts.healthy), of(self.counts.degraded)];
    }
}

fn place(kind: Kind) -> usize {
    usize::from(kind == Kind::Degraded)
}

/// What a locality's weight comes to when `eligible` of its `total` endpoints (those excluded left out) can be picked: all of it
/// while as many can as the overprovisioning factor, in per cent, asks for.
pub fn effective_locality_weight(weight: u32, eligible: u32, total: u32, overprovisioning_factor: u32) -> f64 {
    if total == 0 {
        return 0.0;
    }
    let availability = f64::from(eligible) / f64::from(total);
    f64::from(weight) * (f64::from(overprovisioning_factor) / 100.0 * availability).min(1.0)
}

/// One caller's turns among localities, by the number of the set that they divide.
#[derive(Clone, Debug, Default)]
pub(crate) struct LocalitySchedules {
    by_set: PerSet<Option<Box<Schedule<u32>>>>,
}

impl LocalitySchedules {
    /// The localities of this set are no longer what they were: their turns begin anew at a random place.
    pub fn forget(&mut self, set: usize) {
        self.by_set.reset(set);
    }

    /// The place of the next of `count` localities, of which some have an effective weight above 0.
    pub fn pick(&mut self, set: u32, rng: &mut Rng, count: usize, effective: impl Fn(usize) -> f64) -> usize {
        let weight = |place: u32| effective(place as usize);
        let schedule = self.by_set.of(set as usize).get_or_insert_with(|| {
            let weighted: Vec<u32> = (0..count as u32).filter(|&place| weight(place) > 0.0).collect();
            let picks = pre_picks(rng.next_u64());
            Box::new(Schedule::with_picks(weighted.into_iter(), picks, weight))
        });
        schedule.pick(weight) as usize
    }
}
