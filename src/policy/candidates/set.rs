//! Candidate sets: whom a balancer may pick from.

use std::sync::Arc;

use crate::policy::candidates::Candidates;
use crate::policy::listing::{Kind, SetKey};
use crate::policy::{EndpointIndex, Health};
use crate::random::Rng;

/// Endpoints a balancer may pick from. The number stays the same while members come and go, so a balancer can keep state by it.
#[derive(Clone, Copy, Debug)]
pub struct CandidateSet<'a> {
    candidates: &'a Candidates,
    // Empty where member i is endpoint i.
    members: &'a [EndpointIndex],
    number: u32,
    len: u32,
    equal_weights: bool,
}

/// A locality of a set.
#[derive(Clone, Copy, Debug)]
pub struct Locality<'a> {
    /// Its weight; `None`: nobody gave it one.
    pub weight: Option<u32>,
    /// The members of the set that are in it.
    pub set: CandidateSet<'a>,
}

impl<'a> CandidateSet<'a> {
    #[inline]
    pub(super) fn new(candidates: &'a Candidates, number: u32, members: &'a Members) -> CandidateSet<'a> {
        CandidateSet {
            candidates,
            members: members.list.as_deref().unwrap_or_default(),
            number,
            len: members.len,
            equal_weights: members.equal_weights,
        }
    }

    /// The set's number: small, and the same for the same level, kind of health, locality and subset.
    #[inline]
    pub fn number(&self) -> usize {
        self.number as usize
    }

    /// Its level: 0 is preferred.
    #[inline]
    pub fn level(&self) -> usize {
        usize::from(self.key().level)
    }

    /// Whether it is the one set of its level that is picked from under [`Rules::Ready`](super::Rules::Ready) and
    /// [`Rules::Any`](super::Rules::Any).
    #[inline]
    pub fn is_picked_from(&self) -> bool {
        let key = self.key();
        key == SetKey::whole(0, key.level, Kind::Healthy)
    }

    /// Whether it holds all endpoints of its level, whatever their health.
    pub(crate) fn is_whole_level(&self) -> bool {
        let key = self.key();
        key.kind == Kind::All && key.locality.is_none()
    }

    /// The endpoints of the list, of all levels and in any health.
    pub fn listed(self) -> impl Iterator<Item = EndpointIndex> + 'a {
        self.candidates.listing().order.iter().copied()
    }

    /// How many members.
    #[inline]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is nobody to pick.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Member `i`, in the order of the endpoint list.
    #[inline]
    pub fn get(&self, i: u32) -> EndpointIndex {
        debug_assert!(i < self.len);
        if self.is_prefix() {
            EndpointIndex(i)
        } else {
            self.members[i as usize]
        }
    }

    /// Whether member `i` is endpoint `i`, as it is where all endpoints are in the same standing.
    #[inline]
    pub fn is_prefix(&self) -> bool {
        self.members.is_empty()
    }

    /// All members, in the order of the endpoint list.
    pub fn iter(self) -> impl ExactSizeIterator<Item = EndpointIndex> + Clone + 'a {
        // The range ends at a u32, so its length fits.
        (0..self.len as usize).map(move |i| self.get(i as u32))
    }

    /// Whether `endpoint` is a member.
    pub fn contains(&self, endpoint: EndpointIndex) -> bool {
        let listing = self.candidates.listing();
        let key = self.key();
        let in_kind =
            || key.kind == Kind::All || super::kind_of(self.candidates.rules(), self.health(endpoint)) == Some(key.kind);
        !listing.is_retired(endpoint)
            && listing.level_of(endpoint) == usize::from(key.level)
            && key.locality.is_none_or(|locality| listing.locality_of(endpoint) == locality)
            && listing.groups[key.group as usize].holds(endpoint)
            && in_kind()
    }

    /// The health of an endpoint of the list.
    #[inline]
    pub fn health(&self, endpoint: EndpointIndex) -> Health {
        self.candidates.health()[endpoint.at()]
    }

    /// A member, each with the same probability.
    #[inline]
    pub fn random(&self, rng: &mut Rng) -> EndpointIndex {
        self.get(rng.below(u64::from(self.len)) as u32)
    }

    /// Whether all weights are the same.
    #[inline]
    pub fn has_equal_weights(&self) -> bool {
        self.equal_weights
    }

    /// The localities of the set's level, for balancers with [`Wants::localities`](crate::policy::balancer::Wants::localities).
    pub fn localities(self) -> impl Iterator<Item = Locality<'a>> {
        let key = self.key();
        let localities = self.candidates.listing().localities(usize::from(key.level)).iter();
        localities.filter_map(move |locality| {
            let key = SetKey {
                locality: Some(locality.locality),
                ..key
            };
            let number = self.candidates.listing().set(key)?;
            Some(Locality {
                weight: locality.weight,
                set: self.candidates.set(number),
            })
        })
    }

    /// The set of another number.
    pub(crate) fn other(self, number: usize) -> CandidateSet<'a> {
        self.candidates.set(number as u32)
    }

    /// The members by locality with the weight of each, in the order in which Envoy has them: the caller's own first, the others by
    /// name. `None`: localities have no weights here.
    pub fn by_weighted_locality(self) -> Option<Vec<(u32, Vec<EndpointIndex>)>> {
        let states = self.candidates.weighted_localities(self.key())?;
        let mut localities: Vec<(u32, Vec<EndpointIndex>)> = Vec::with_capacity(states.len());
        let mut ranks = Vec::new();
        for (rank, state) in states.iter().enumerate() {
            localities.push((state.weight, Vec::new()));
            ranks.resize(ranks.len().max(state.listed.locality as usize + 1), None);
            ranks[state.listed.locality as usize] = Some(rank);
        }
        for endpoint in self.iter() {
            let rank = ranks[self.candidates.listing().locality_of(endpoint) as usize];
            localities[rank.expect("every locality of a level is listed")]
                .1
                .push(endpoint);
        }
        Some(localities)
    }

    pub(super) fn key(&self) -> SetKey {
        self.candidates.listing().sets()[self.number as usize]
    }
}

/// The members of a set.
#[derive(Clone, Debug)]
pub(super) struct Members {
    // `None` where member i is endpoint i.
    list: Option<Arc<[EndpointIndex]>>,
    len: u32,
    equal_weights: bool,
}

impl Default for Members {
    fn default() -> Members {
        Members {
            list: None,
            len: 0,
            equal_weights: true,
        }
    }
}

impl Members {
    /// These, in the order of the endpoint list; `weights` is by [`EndpointIndex`].
    pub fn new(list: Vec<EndpointIndex>, weights: &[u32]) -> Members {
        let is_prefix = list.iter().enumerate().all(|(i, endpoint)| endpoint.at() == i);
        Members {
            len: list.len() as u32,
            equal_weights: list.windows(2).all(|pair| weights[pair[0].at()] == weights[pair[1].at()]),
            list: (!is_prefix).then(|| list.into()),
        }
    }
}
