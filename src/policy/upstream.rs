//! What callers share of an upstream: its configuration, and each view of it that somebody has.

use std::sync::{Arc, OnceLock, Weak};

use xxhash_rust::xxh64::xxh64;

use crate::policy::balancer::Balancer;
use crate::policy::candidates::subset::Subsets;
use crate::policy::candidates::{Candidates, Context, LocalityMode, Rules};
use crate::policy::listing::{Listing, Shape};
use crate::policy::timeline::Moment;
use crate::policy::{CallerInfo, ClusterConfig, EndpointIndex, EndpointInfo, Health, MetadataMatch};

/// An upstream, for all its callers.
#[derive(Debug)]
pub struct Upstream {
    first: Arc<View>,
    start: Arc<Moment<View>>,
}

impl Upstream {
    /// An upstream with these endpoints.
    ///
    /// # Panics
    /// If a priority is above [`PRIORITY_MAX`](crate::policy::PRIORITY_MAX).
    pub fn new(config: ClusterConfig, endpoints: Vec<EndpointInfo>) -> Upstream {
        let first = Arc::new(View::first(config, &endpoints));
        first
            .common
            .first
            .set(Arc::downgrade(&first))
            .expect("it has not been set before");
        Upstream {
            start: Moment::first(first.fingerprint(), &first),
            first,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &ClusterConfig {
        self.first.config()
    }

    /// The view of a new caller, and its place in the timeline.
    pub(crate) fn view_of(&self, caller: &CallerInfo) -> (Arc<View>, Arc<Moment<View>>) {
        let mut place = Arc::clone(&self.start);
        (self.first.seen_by(caller, &mut place), place)
    }
}

/// An upstream as some of its callers know it: the endpoints that discovery has told them, and their health.
#[derive(Debug)]
pub struct View {
    common: Arc<Common>,
    // In boxes: what is left of a view that nobody has is to be small.
    identity: Box<Identity>,
    candidates: Candidates,
    // What a balancer of a caller with this view is a copy of; what all copies can use is behind an `Arc` in it.
    prototype: Box<Balancer>,
    // What the first came to who was told another list: most are told the same, and need not find out by themselves what follows.
    next: OnceLock<Weak<View>>,
}

/// What all views of an upstream have in common.
#[derive(Debug)]
struct Common {
    config: ClusterConfig,
    shape: Shape,
    first: OnceLock<Weak<View>>,
}

impl Common {
    fn context<'a>(&'a self, caller: &'a CallerInfo) -> Context<'a> {
        Context {
            rules: self.shape.rules,
            options: &self.config.candidates,
            subsets: self.shape.subsets.as_ref(),
            caller,
        }
    }

    /// As much of a caller as makes a difference to what it sees.
    fn relevant(&self, caller: &CallerInfo) -> CallerInfo {
        let locality = &self.config.candidates.locality;
        let zone_matters = self.shape.rules.are_envoys() && *locality != LocalityMode::Ignored;
        let peers_matter = self.context(caller).zone_aware().is_some();
        let nobody = CallerInfo::default();
        CallerInfo {
            zone: if zone_matters { caller.zone.clone() } else { nobody.zone },
            local_hosts: if peers_matter {
                Arc::clone(&caller.local_hosts)
            } else {
                nobody.local_hosts
            },
            ..nobody
        }
    }
}

fn shape(config: &ClusterConfig) -> Shape {
    let rules = config.balancer.rules();
    let options = &config.candidates;
    let by_locality = rules.are_envoys() && options.locality != LocalityMode::Ignored;
    Shape {
        rules,
        by_locality: by_locality || config.balancer.wants().localities,
        subsets: options.subsets.as_ref().filter(|_| rules.are_envoys()).map(Subsets::new),
    }
}

/// What tells views apart.
#[derive(Clone, Debug)]
struct Identity {
    listing: Arc<Listing>,
    // By endpoint; it says nothing of those that are no longer in the list.
    health: Arc<[Health]>,
    caller: CallerInfo,
    // Hashes of the three: equal ones have equal hashes.
    hashes: [u64; 3],
}

impl Identity {
    fn new(listing: Listing, caller: CallerInfo) -> Identity {
        let mut health = vec![Health::Unhealthy; listing.infos.len()];
        for &endpoint in &listing.order {
            health[endpoint.at()] = listing.infos[endpoint.at()].health;
        }
        let each = (0..).map(EndpointIndex).zip(&health);
        Identity {
            hashes: [
                listing.hash(),
                each.fold(0, |sum, (endpoint, &health)| sum ^ hash_of_health(endpoint, health)),
                hash_of_caller(&caller),
            ],
            health: health.into(),
            listing: Arc::new(listing),
            caller,
        }
    }

    fn with_health(&self, endpoint: EndpointIndex, health: Health) -> Identity {
        let mut identity = self.clone();
        let mut by_endpoint = self.health.to_vec();
        let last = std::mem::replace(&mut by_endpoint[endpoint.at()], health);
        identity.health = by_endpoint.into();
        identity.hashes[1] ^= hash_of_health(endpoint, last) ^ hash_of_health(endpoint, health);
        identity
    }

    fn with_caller(&self, caller: CallerInfo) -> Identity {
        let mut identity = self.clone();
        identity.hashes[2] = hash_of_caller(&caller);
        identity.caller = caller;
        identity
    }

    fn is(&self, other: &Identity) -> bool {
        let same_listing = || Arc::ptr_eq(&self.listing, &other.listing) || self.listing == other.listing;
        self.hashes == other.hashes && self.health == other.health && self.caller == other.caller && same_listing()
    }

    fn fingerprint(&self) -> u64 {
        self.hashes.iter().fold(0, |sum, hash| sum ^ hash)
    }
}

fn hash_of_health(endpoint: EndpointIndex, health: Health) -> u64 {
    let [a, b, c, d] = endpoint.0.to_le_bytes();
    xxh64(&[a, b, c, d, health as u8], 1)
}

fn hash_of_caller(caller: &CallerInfo) -> u64 {
    let peers = caller.local_hosts.iter().map(|(zone, count)| format!("{zone} {count}\n"));
    xxh64(peers.chain([caller.zone.clone()]).collect::<String>().as_bytes(), 2)
}

impl View {
    fn first(config: ClusterConfig, endpoints: &[EndpointInfo]) -> View {
        let shape = shape(&config);
        let listing = Listing::default().successor(&shape, endpoints, |_| false);
        let common = Arc::new(Common {
            config,
            shape,
            first: OnceLock::new(),
        });
        let identity = Identity::new(listing, CallerInfo::default());
        let candidates = identity.candidates(&common);
        View {
            prototype: Box::new(Balancer::new(&common.config.balancer, identity.listing.sets().len())),
            candidates,
            identity: Box::new(identity),
            common,
            next: OnceLock::new(),
        }
    }

    /// The configuration.
    pub fn config(&self) -> &ClusterConfig {
        &self.common.config
    }

    /// What discovery says of an endpoint.
    pub fn info(&self, endpoint: EndpointIndex) -> &EndpointInfo {
        &self.identity.listing.infos[endpoint.at()]
    }

    /// The endpoints in the order of the list.
    pub fn endpoints(&self) -> &[EndpointIndex] {
        &self.identity.listing.order
    }

    /// What this view takes the health of an endpoint of the list to be.
    pub fn health(&self, endpoint: EndpointIndex) -> Health {
        self.identity.health[endpoint.at()]
    }

    pub(crate) fn listing(&self) -> &Listing {
        &self.identity.listing
    }

    #[inline]
    pub(crate) fn candidates(&self) -> &Candidates {
        &self.candidates
    }

    pub(crate) fn prototype(&self) -> &Balancer {
        &self.prototype
    }

    fn fingerprint(&self) -> u64 {
        self.identity.fingerprint()
    }

    /// The groups that a call with this demand is offered; `None`: there are no subsets, so it is offered everybody.
    pub(crate) fn offered(&self, demand: &MetadataMatch) -> Option<Vec<u32>> {
        let subsets = self.common.shape.subsets.as_ref()?;
        Some(subsets.offered(demand, |key| self.listing().group(key)))
    }

    /// This view once an endpoint is in another health.
    pub(crate) fn with_health(
        self: &Arc<View>,
        endpoint: EndpointIndex,
        health: Health,
        place: &mut Arc<Moment<View>>,
    ) -> Arc<View> {
        self.come_to(self.identity.with_health(endpoint, health), place, |identity| {
            let context = self.common.context(&identity.caller);
            self.candidates.with_health(endpoint, Arc::clone(&identity.health), context)
        })
    }

    /// This view once discovery has given another whole list. A new endpoint takes no index that `is_busy`.
    pub(crate) fn resolved(
        self: &Arc<View>,
        answer: &[EndpointInfo],
        is_busy: impl Fn(EndpointIndex) -> bool,
        place: &mut Arc<Moment<View>>,
    ) -> Arc<View> {
        let known = self.next.get().and_then(Weak::upgrade);
        if let Some(next) = known.filter(|next| next.says(answer)) {
            return next;
        }
        let listing = self.listing().successor(&self.common.shape, answer, is_busy);
        let identity = Identity::new(listing, self.identity.caller.clone());
        let next = self.come_to(identity, place, |identity| identity.candidates(&self.common));
        if next.has_indices_of(self) {
            self.next.get_or_init(|| Arc::downgrade(&next));
        }
        next
    }

    /// Whether it is what follows from an answer, where its indices are given.
    fn says(&self, answer: &[EndpointInfo]) -> bool {
        let listed = self.endpoints().iter().zip(answer);
        self.endpoints().len() == answer.len()
            && listed
                .into_iter()
                .all(|(&endpoint, info)| self.info(endpoint) == info && self.health(endpoint) == info.health)
    }

    /// Whether each of its endpoints had its index before: then that did not depend on who was told.
    fn has_indices_of(&self, before: &View) -> bool {
        let known = &before.listing().infos;
        let had = |&endpoint: &EndpointIndex| {
            known
                .get(endpoint.at())
                .is_some_and(|info| info.address == self.info(endpoint).address)
        };
        self.endpoints().iter().all(had)
    }

    /// This view as another caller has it.
    pub(crate) fn seen_by(self: &Arc<View>, caller: &CallerInfo, place: &mut Arc<Moment<View>>) -> Arc<View> {
        let identity = self.identity.with_caller(self.common.relevant(caller));
        self.come_to(identity, place, |identity| identity.candidates(&self.common))
    }

    fn come_to(
        self: &Arc<View>,
        identity: Identity,
        place: &mut Arc<Moment<View>>,
        candidates: impl FnOnce(&Identity) -> Candidates,
    ) -> Arc<View> {
        let first = self.common.first.get().and_then(Weak::upgrade);
        if let Some(view) = [Some(self), first.as_ref()]
            .into_iter()
            .flatten()
            .find(|view| view.identity.is(&identity))
        {
            return Arc::clone(view);
        }
        let make = || {
            let mut view = View {
                candidates: candidates(&identity),
                identity: Box::new(identity.clone()),
                prototype: self.prototype.clone(),
                common: Arc::clone(&self.common),
                next: OnceLock::new(),
            };
            let stale: Vec<usize> = match view.order_of_localities_matters() && view.identity.caller != self.identity.caller {
                true => (0..view.listing().level_count()).collect(),
                false => self.changed_levels(&view),
            };
            view.prototype.renew(&view.set_numbers(&stale), view.listing().sets().len());
            view
        };
        Moment::find_or_add(place, identity.fingerprint(), |view| view.identity.is(&identity), make)
    }

    /// Whether what a balancer makes of a set depends on which locality is the caller's own.
    fn order_of_localities_matters(&self) -> bool {
        self.common.shape.rules == Rules::EnvoyHash && self.common.shape.by_locality
    }

    /// The levels of which something is not the same in `next`.
    pub(crate) fn changed_levels(&self, next: &View) -> Vec<usize> {
        let (was, is) = (&self.identity, &next.identity);
        let count = was.listing.level_count().max(is.listing.level_count());
        let mut changed = vec![false; count];
        if !Arc::ptr_eq(&was.listing, &is.listing) {
            was.listing.mark_changed_levels(&is.listing, &mut changed);
        }
        for &endpoint in &is.listing.order {
            if was.health.get(endpoint.at()) != Some(&is.health[endpoint.at()]) {
                changed[is.listing.level_of(endpoint)] = true;
            }
        }
        (0..count).filter(|&level| changed[level]).collect()
    }

    fn set_numbers(&self, levels: &[usize]) -> Vec<usize> {
        let sets = self.listing().sets().iter().enumerate();
        let stale = sets.filter(|(_, key)| levels.contains(&usize::from(key.level)));
        stale.map(|(number, _)| number).collect()
    }
}

impl Identity {
    fn candidates(&self, common: &Common) -> Candidates {
        Candidates::new(
            Arc::clone(&self.listing),
            Arc::clone(&self.health),
            common.context(&self.caller),
        )
    }
}
