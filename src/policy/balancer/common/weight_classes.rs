//! Endpoints of one weight balanced apart from others, as Finagle does it for balancers that know no weights.
//!
//! A call goes to a class with a probability in proportion to the sum of its weights; if nobody is open there, to the next class
//! where somebody is (`finagle-core/src/main/scala/com/twitter/finagle/loadbalancer/TrafficDistributor.scala`).

use crate::policy::balancer::common::{Alias, PanicMode, Status, two_places};
use crate::policy::{CandidateSet, EndpointIndex, Endpoints};
use crate::random::Rng;

/// The classes of the set in use, the lightest first.
#[derive(Clone, Debug, Default)]
pub struct WeightClasses {
    // `None`: the set may have changed.
    set: Option<usize>,
    // Class after class, each in the order of the list.
    members: Vec<EndpointIndex>,
    // Where each class ends in `members`.
    ends: Vec<u32>,
    alias: Alias,
}

impl WeightClasses {
    /// Members, weights or order may have changed.
    pub fn forget(&mut self) {
        self.set = None;
    }

    /// Whether [`WeightClasses::follow`] has been called since [`WeightClasses::forget`].
    #[inline]
    pub fn is_current(&self, set: CandidateSet<'_>) -> bool {
        self.set == Some(set.number())
    }

    /// Sorts the members of `set`.
    #[cold]
    pub fn follow(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>) {
        let weight = |endpoint: EndpointIndex| endpoints.weights[endpoint.at()];
        self.members.clear();
        self.members.extend(set.iter());
        self.members.sort_by_key(|&endpoint| weight(endpoint));
        self.ends.clear();
        let classes = self.members.chunk_by(|&a, &b| weight(a) == weight(b));
        let sums: Vec<f64> = classes
            .clone()
            .map(|class| f64::from(weight(class[0])) * class.len() as f64)
            .collect();
        self.ends.extend(classes.scan(0, |end, class| {
            *end += class.len() as u32;
            Some(*end)
        }));
        self.alias = Alias::new(sums.into_iter());
        self.set = Some(set.number());
    }

    /// How many classes there are.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// The endpoints of a class.
    #[inline]
    pub fn members(&self, class: usize) -> &[EndpointIndex] {
        let start = if class == 0 { 0 } else { self.ends[class - 1] };
        &self.members[start as usize..self.ends[class] as usize]
    }

    /// The class of a call. Draws nothing where there is but one.
    #[inline]
    pub fn draw(&self, set: CandidateSet<'_>, rng: &mut Rng) -> usize {
        if self.count() == 1 {
            return 0;
        }
        let drawn = self.alias.draw(rng) as usize;
        let is_open = |class: usize| {
            let mut members = self.members(class).iter();
            members.any(|&endpoint| Status::of(set, endpoint) == Status::Open)
        };
        // Once around: where nobody is open the last one asked has it, which is the one drawn.
        let mut class = drawn;
        while !is_open(class) {
            class = (class + 1) % self.count();
            if class == drawn {
                break;
            }
        }
        class
    }

    /// Finagle's two choices: pairs of one class, of each the one that `better` names, until that is open or it panics.
    #[inline]
    pub fn two_choices(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        panic_mode: PanicMode,
        rng: &mut Rng,
        better: impl FnMut(EndpointIndex, EndpointIndex) -> EndpointIndex,
    ) -> EndpointIndex {
        if set.has_equal_weights() {
            return two_of(set, panic_mode, set.len(), |place| set.get(place), rng, better);
        }
        if !self.is_current(set) {
            self.follow(endpoints, set);
        }
        let members = self.members(self.draw(set, rng));
        two_of(
            set,
            panic_mode,
            members.len() as u32,
            |place| members[place as usize],
            rng,
            better,
        )
    }
}

#[inline]
fn two_of(
    set: CandidateSet<'_>,
    panic_mode: PanicMode,
    n: u32,
    member: impl Fn(u32) -> EndpointIndex,
    rng: &mut Rng,
    mut better: impl FnMut(EndpointIndex, EndpointIndex) -> EndpointIndex,
) -> EndpointIndex {
    if n == 1 {
        return member(0);
    }
    let mut pick = || {
        let (first, second) = two_places(n, rng);
        better(member(first), member(second))
    };
    panic_mode.search(set, &mut pick).unwrap_or_else(pick)
}
