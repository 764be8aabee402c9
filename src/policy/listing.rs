//! What discovery says of an upstream, and what follows from it for whatever health: levels, localities, subsets, and the numbers
//! of candidate sets.
//!
//! Immutable, so that all callers that were told the same share one. Whatever has a number (endpoints, localities, groups, sets)
//! keeps it from one listing to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use xxhash_rust::xxh64::Xxh64;

use crate::policy::candidates::Rules;
use crate::policy::candidates::subset::{GroupKey, Subsets};
use crate::policy::{EndpointIndex, EndpointInfo, PRIORITY_MAX};

/// What a listing is to tell apart.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// How a family makes candidates.
    pub rules: Rules,
    /// Whether localities have sets of their own.
    pub by_locality: bool,
    /// The subsets, where there are any.
    pub subsets: Option<Subsets>,
}

/// Which endpoints of a level and group a set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    All = 0,
    Healthy = 1,
    Degraded = 2,
}

/// What a set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SetKey {
    pub group: u32,
    pub level: u8,
    /// `None`: all localities.
    pub locality: Option<u32>,
    pub kind: Kind,
}

impl SetKey {
    /// All localities of a level and group.
    pub fn whole(group: u32, level: u8, kind: Kind) -> SetKey {
        SetKey {
            group,
            level,
            locality: None,
            kind,
        }
    }
}

/// Endpoints that are balanced by themselves.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(crate) struct Group {
    pub key: GroupKey,
    /// Its endpoints in the order of the list.
    pub members: Vec<EndpointIndex>,
    // By endpoint; `None`: it holds everybody.
    holds: Option<Vec<bool>>,
    /// Whether it is one endpoint, which is used whatever its health.
    pub single: bool,
}

impl Group {
    pub fn holds(&self, endpoint: EndpointIndex) -> bool {
        let listed = |holds: &Vec<bool>| holds.get(endpoint.at()).copied().unwrap_or(false);
        self.holds.as_ref().is_none_or(listed)
    }
}

/// Where an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seat {
    level: u8,
    pub locality: u32,
}

/// The level of an endpoint that is no longer in the list.
const RETIRED: u8 = u8::MAX;

/// Region, zone, sub-zone.
type Locality = (String, String, String);

/// What discovery says.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub(crate) struct Listing {
    pub infos: Vec<EndpointInfo>,
    pub weights: Vec<u32>,
    pub order: Vec<EndpointIndex>,
    // The longest gone first.
    retired: Vec<EndpointIndex>,
    seats: Vec<Seat>,
    localities: Vec<Locality>,
    pub groups: Vec<Group>,
    // The places in `groups`.
    places: BTreeMap<GroupKey, u32>,
    sets: Vec<SetKey>,
    numbers: BTreeMap<SetKey, u32>,
    levels: Vec<Vec<LevelLocality>>,
}

/// A locality within a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LevelLocality {
    pub locality: u32,
    /// `None`: nobody gave it one.
    pub weight: Option<u32>,
    /// Its endpoints of any health.
    pub total: u32,
}

impl Listing {
    /// The list that follows `self` (the empty one at the start). An endpoint that was in it keeps its index, and one that comes back
    /// has the index that it had, unless another has taken it; a new one takes the index of the endpoint that is gone for longest and not busy, if more are gone than there were, or the next one: in that
    /// way callers with different calls in flight still give the same indices.
    pub fn successor(&self, shape: &Shape, answer: &[EndpointInfo], is_busy: impl Fn(EndpointIndex) -> bool) -> Listing {
        let mut next = Listing {
            infos: self.infos.clone(),
            localities: self.localities.clone(),
            sets: self.sets.clone(),
            numbers: self.numbers.clone(),
            ..Listing::default()
        };
        next.seat(self, answer, is_busy);
        next.weights = next.infos.iter().map(|info| info.weight.max(1)).collect();
        next.locate(shape);
        next.make_groups(shape, &self.groups);
        next.number_sets(shape);
        next
    }

    /// Gives every endpoint of the answer its index.
    fn seat(&mut self, before: &Listing, answer: &[EndpointInfo], is_busy: impl Fn(EndpointIndex) -> bool) {
        let address = |endpoint: EndpointIndex| before.infos[endpoint.at()].address.as_str();
        let known: BTreeMap<&str, EndpointIndex> = before.order.iter().map(|&endpoint| (address(endpoint), endpoint)).collect();
        let came_back: BTreeMap<&str, EndpointIndex> =
            before.retired.iter().map(|&endpoint| (address(endpoint), endpoint)).collect();
        let mut taken: BTreeSet<EndpointIndex> = BTreeSet::new();
        for info in answer {
            taken.extend(came_back.get(info.address.as_str()));
        }
        let spare = before.retired.len().saturating_sub(before.order.len());
        let free = before.retired[..spare].iter().copied();
        let mut free = free.filter(|&endpoint| !is_busy(endpoint) && !taken.contains(&endpoint));
        for info in answer {
            assert!(info.priority <= PRIORITY_MAX, "priorities end at {PRIORITY_MAX}");
            let address = info.address.as_str();
            let known = known.get(address).or_else(|| came_back.get(address)).copied();
            let endpoint = known.or_else(|| free.next());
            let endpoint = endpoint.unwrap_or(EndpointIndex(self.infos.len() as u32));
            if endpoint.at() == self.infos.len() {
                self.infos.push(info.clone());
            } else {
                self.infos[endpoint.at()].clone_from(info);
            }
            self.order.push(endpoint);
        }
        let listed: BTreeSet<EndpointIndex> = self.order.iter().copied().collect();
        let gone = before.retired.iter().chain(&before.order).copied();
        self.retired = gone.filter(|endpoint| !listed.contains(endpoint)).collect();
    }

    /// Finds the level and the locality of every endpoint.
    fn locate(&mut self, shape: &Shape) {
        let retired = Seat {
            level: RETIRED,
            locality: 0,
        };
        self.seats = vec![retired; self.infos.len()];
        let mut numbers: BTreeMap<Locality, u32> = self.localities.iter().cloned().zip(0..).collect();
        let mut places: BTreeMap<(usize, u32), usize> = BTreeMap::new();
        for &endpoint in &self.order {
            let info = &self.infos[endpoint.at()];
            let locality = match shape.by_locality {
                true => (info.region.clone(), info.zone.clone(), info.sub_zone.clone()),
                false => Locality::default(),
            };
            let next = self.localities.len() as u32;
            let number = *numbers.entry(locality.clone()).or_insert(next);
            if number == next {
                self.localities.push(locality);
            }
            let level = info.priority as usize;
            self.seats[endpoint.at()] = Seat {
                level: level as u8,
                locality: number,
            };
            if self.levels.len() <= level {
                self.levels.resize_with(level + 1, Vec::new);
            }
            let localities = &mut self.levels[level];
            let place = *places.entry((level, number)).or_insert(localities.len());
            if place == localities.len() {
                localities.push(LevelLocality {
                    locality: number,
                    weight: None,
                    total: 0,
                });
            }
            localities[place].total += 1;
            localities[place].weight = localities[place].weight.or(info.locality_weight);
        }
        for localities in &mut self.levels {
            localities.sort_by_key(|locality| &self.localities[locality.locality as usize]);
        }
    }

    /// Makes the groups; those that were there keep their places.
    fn make_groups(&mut self, shape: &Shape, before: &[Group]) {
        let fixed = match &shape.subsets {
            Some(subsets) => subsets.fixed_groups(),
            None => vec![GroupKey::Everybody],
        };
        for group in before {
            self.group_of(&group.key, group.single);
        }
        for key in &fixed {
            self.group_of(key, false);
        }
        let Some(subsets) = &shape.subsets else {
            self.groups[0].members.clone_from(&self.order);
            return;
        };
        let default = self.places.get(&GroupKey::Default).copied();
        for at in 0..self.order.len() {
            let endpoint = self.order[at];
            let metadata = self.infos[endpoint.at()].metadata.clone();
            self.groups[0].members.push(endpoint);
            if let Some(default) = default.filter(|_| subsets.is_default(&metadata)) {
                self.join(default, endpoint);
            }
            for (key, single) in subsets.of(&metadata) {
                let group = self.group_of(&key, single);
                self.join(group, endpoint);
            }
        }
    }

    fn group_of(&mut self, key: &GroupKey, single: bool) -> u32 {
        if let Some(&number) = self.places.get(key) {
            return number;
        }
        let number = self.groups.len() as u32;
        self.groups.push(Group {
            key: key.clone(),
            members: Vec::new(),
            holds: (*key != GroupKey::Everybody).then(Vec::new),
            single,
        });
        self.places.insert(key.clone(), number);
        number
    }

    fn join(&mut self, group: u32, endpoint: EndpointIndex) {
        let group = &mut self.groups[group as usize];
        let holds = group.holds.get_or_insert_default();
        holds.resize(self.infos.len(), false);
        let priority = |endpoint: EndpointIndex| self.infos[endpoint.at()].priority;
        if let Some(&first) = group.members.first().filter(|_| group.single) {
            // The first of the most preferred level stands for all.
            if priority(endpoint) < priority(first) {
                holds[first.at()] = false;
                holds[endpoint.at()] = true;
                group.members[0] = endpoint;
            }
        } else if !std::mem::replace(&mut holds[endpoint.at()], true) {
            group.members.push(endpoint);
        }
    }

    /// Gives every set its number.
    fn number_sets(&mut self, shape: &Shape) {
        let by_locality: &[Kind] = match shape.rules {
            _ if !shape.by_locality => &[],
            Rules::Envoy => &[Kind::Healthy, Kind::Degraded],
            Rules::EnvoyHash => &[],
            Rules::Ready | Rules::Any => &[Kind::Healthy],
        };
        for group in 0..self.groups.len() as u32 {
            for level in 0..self.levels.len() {
                let localities = self.levels[level].clone();
                let key = |locality, kind| SetKey {
                    group,
                    level: level as u8,
                    locality,
                    kind,
                };
                for kind in [Kind::All, Kind::Healthy, Kind::Degraded] {
                    self.number_of(key(None, kind));
                }
                for locality in localities {
                    for &kind in by_locality {
                        self.number_of(key(Some(locality.locality), kind));
                    }
                }
            }
        }
    }

    fn number_of(&mut self, key: SetKey) {
        let next = self.sets.len() as u32;
        if *self.numbers.entry(key).or_insert(next) == next {
            self.sets.push(key);
        }
    }

    /// What the sets hold, by number.
    pub fn sets(&self) -> &[SetKey] {
        &self.sets
    }

    /// The sets of a level and group with their numbers.
    pub fn sets_of(&self, group: u32, level: u8) -> impl Iterator<Item = (SetKey, u32)> {
        let first = SetKey::whole(group, level, Kind::All);
        let last = SetKey {
            locality: Some(u32::MAX),
            ..SetKey::whole(group, level, Kind::Degraded)
        };
        self.numbers.range(first..=last).map(|(&key, &number)| (key, number))
    }

    /// The number of a set, if there is such a one.
    pub fn set(&self, key: SetKey) -> Option<u32> {
        self.numbers.get(&key).copied()
    }

    pub fn is_retired(&self, endpoint: EndpointIndex) -> bool {
        self.seats.get(endpoint.at()).is_none_or(|seat| seat.level == RETIRED)
    }

    /// The level of an endpoint of the list.
    pub fn level_of(&self, endpoint: EndpointIndex) -> usize {
        usize::from(self.seats[endpoint.at()].level)
    }

    /// The locality of an endpoint of the list.
    pub fn locality_of(&self, endpoint: EndpointIndex) -> u32 {
        self.seats[endpoint.at()].locality
    }

    pub fn level_count(&self) -> usize {
        self.levels.len()
    }

    /// The localities of a level, in the order of their names.
    pub fn localities(&self, level: usize) -> &[LevelLocality] {
        &self.levels[level]
    }

    /// The number of a group that has endpoints.
    pub fn group(&self, key: &GroupKey) -> Option<u32> {
        let number = *self.places.get(key)?;
        (!self.groups[number as usize].members.is_empty()).then_some(number)
    }

    /// The zone of a locality.
    pub fn zone(&self, locality: u32) -> &str {
        &self.localities[locality as usize].1
    }

    /// Marks the levels that do not have the same endpoints in the same order in both listings, with all that is said of them.
    pub fn mark_changed_levels(&self, other: &Listing, changed: &mut [bool]) {
        let of = |listing: &Listing| {
            let mut levels = vec![Vec::new(); changed.len()];
            for &endpoint in &listing.order {
                levels[listing.level_of(endpoint)].push(endpoint);
            }
            levels
        };
        let same = |endpoint: &EndpointIndex| self.infos[endpoint.at()] == other.infos[endpoint.at()];
        let (mine, others) = (of(self), of(other));
        for ((mine, others), changed) in mine.iter().zip(&others).zip(changed) {
            *changed |= mine != others || !mine.iter().all(same);
        }
    }

    /// A hash of all of it.
    pub fn hash(&self) -> u64 {
        let mut hasher = Xxh64::new(0);
        Hash::hash(self, &mut hasher);
        hasher.finish()
    }
}
