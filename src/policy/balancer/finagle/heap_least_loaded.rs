//! Finagle's heap: the node with the fewest requests, in O(log n), idle ones in random order.
//!
//! A binary heap by load, whose root is picked. A node that becomes idle goes to a random place, or the same idle nodes would be
//! picked over and over. One that is not open when it comes up is moved behind all others by a penalty on its load, which it loses
//! when it is open again.
//!
//! Where a node leaves a hole the last one fills it and may move down, but not up, which it would have to now and then: that is
//! Finagle's, and why once in a while a node with one request more than the least is picked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::{Status, WeightClasses};
use crate::policy::balancer::{Balance, Hints};
use crate::policy::candidates::{CandidateSet, Rules};
use crate::policy::{EndpointIndex, Endpoints, Outcome};
use crate::random::Rng;
use crate::time::Time;

/// It has no options.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {}

impl Options {
    /// Nothing can be wrong.
    ///
    /// # Errors
    /// None.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// The load of a node without requests. Those of nodes that were found unavailable are 0 and more.
const ZERO: i32 = i32::MIN + 1;

/// What a node's load is raised by while it is unavailable.
const PENALTY: i32 = i32::MAX;

/// The place of a node that is not in the heap.
const NOWHERE: u32 = 0;

/// What is known of an endpoint.
#[derive(Clone, Copy, Debug)]
struct Node {
    load: i32,
    // From 1; the root is at 1.
    place: u32,
    // Which heap it is in, if it is in one.
    class: u32,
}

/// The nodes of one weight.
#[derive(Clone, Debug, Default)]
struct Heap {
    // The node at place i + 1.
    order: Vec<EndpointIndex>,
    // Nodes with a penalty.
    down: Vec<EndpointIndex>,
}

/// One caller's heaps, of the candidate set that is picked from: there is but one at a time, the first level that has members.
#[derive(Clone, Debug)]
pub struct Balancer {
    // By `EndpointIndex`.
    nodes: Vec<Node>,
    // Current if the heaps have the members and statuses of the set.
    classes: WeightClasses,
    // One for each class, and perhaps empty ones.
    heaps: Vec<Heap>,
    rng: Rng,
}

impl Heap {
    fn len(&self) -> u32 {
        self.order.len() as u32
    }

    fn at(&self, place: u32) -> EndpointIndex {
        self.order[place as usize - 1]
    }

    fn swap(&mut self, nodes: &mut [Node], a: u32, b: u32) {
        self.order.swap(a as usize - 1, b as usize - 1);
        nodes[self.at(a).at()].place = a;
        nodes[self.at(b).at()].place = b;
    }

    fn is_less(&self, nodes: &[Node], a: u32, b: u32) -> bool {
        nodes[self.at(a).at()].load < nodes[self.at(b).at()].load
    }

    /// Moves the node at `place` down where it belongs in the heap that ends with place `last`.
    fn fix_down(&mut self, nodes: &mut [Node], mut place: u32, last: u32) {
        while 2 * place <= last {
            let left = 2 * place;
            // Of two children that are equal the right one counts, as in Finagle.
            let child = left + u32::from(left < last && !self.is_less(nodes, left, left + 1));
            if !self.is_less(nodes, child, place) {
                break;
            }
            self.swap(nodes, place, child);
            place = child;
        }
    }

    fn fix_up(&mut self, nodes: &mut [Node], mut place: u32) {
        while place > 1 && self.is_less(nodes, place, place / 2) {
            self.swap(nodes, place, place / 2);
            place /= 2;
        }
    }

    fn insert(&mut self, nodes: &mut [Node], endpoint: EndpointIndex, class: u32) {
        self.order.push(endpoint);
        let place = self.len();
        let node = &mut nodes[endpoint.at()];
        (node.place, node.class) = (place, class);
        self.fix_up(nodes, place);
    }

    fn remove(&mut self, nodes: &mut [Node], endpoint: EndpointIndex) {
        let (place, last) = (nodes[endpoint.at()].place, self.len());
        self.swap(nodes, place, last);
        self.fix_down(nodes, place, last - 1);
        self.order.pop();
        let node = &mut nodes[endpoint.at()];
        node.place = NOWHERE;
        if let Some(i) = self.down.iter().position(|&down| down == endpoint) {
            self.down.remove(i);
            node.load -= PENALTY;
        }
    }

    /// Whoever is open again loses the penalty.
    fn revive(&mut self, nodes: &mut [Node], set: CandidateSet<'_>) {
        for i in (0..self.down.len()).rev() {
            let endpoint = self.down[i];
            if Status::of(set, endpoint) == Status::Open {
                self.down.remove(i);
                let node = &mut nodes[endpoint.at()];
                node.load -= PENALTY;
                let place = node.place;
                self.fix_up(nodes, place);
            }
        }
    }

    /// The root, once those that are not open have been moved away; of penalized ones the least loaded if there are no others.
    fn root(&mut self, nodes: &mut [Node], set: CandidateSet<'_>) -> EndpointIndex {
        loop {
            let endpoint = self.at(1);
            let node = &mut nodes[endpoint.at()];
            if node.load >= 0 || Status::of(set, endpoint) == Status::Open {
                return endpoint;
            }
            node.load += PENALTY;
            self.down.push(endpoint);
            self.fix_down(nodes, 1, self.len());
        }
    }

    /// The node at `place` has one request less.
    fn release(&mut self, nodes: &mut [Node], place: u32, rng: &mut Rng) {
        let last = self.len();
        if nodes[self.at(place).at()].load != ZERO || last == 1 {
            self.fix_up(nodes, place);
            return;
        }
        // Nobody has a lower load, so it may take the place of any other node.
        self.swap(nodes, place, last);
        self.fix_down(nodes, place, last - 1);
        let random = rng.below(u64::from(last)) as u32 + 1;
        self.swap(nodes, random, last);
        self.fix_up(nodes, random);
        self.fix_up(nodes, last);
    }
}

impl Balancer {
    fn remove(&mut self, endpoint: EndpointIndex) {
        let class = self.nodes[endpoint.at()].class;
        self.heaps[class as usize].remove(&mut self.nodes, endpoint);
    }

    /// Follows the members of `set`: those that left go, new ones come in random order, who is open again loses the penalty.
    #[cold]
    fn follow(&mut self, endpoints: &Endpoints<'_>, set: CandidateSet<'_>) {
        self.classes.follow(endpoints, set);
        let mut class_of = vec![None; self.nodes.len()];
        for class in 0..self.classes.count() {
            for endpoint in self.classes.members(class) {
                class_of[endpoint.at()] = Some(class as u32);
            }
        }
        let known: Vec<EndpointIndex> = self.heaps.iter().flat_map(|heap| &heap.order).copied().collect();
        for endpoint in known {
            if class_of[endpoint.at()] != Some(self.nodes[endpoint.at()].class) {
                self.remove(endpoint);
            }
        }
        if self.heaps.len() < self.classes.count() {
            self.heaps.resize_with(self.classes.count(), Heap::default);
        }
        for class in 0..self.classes.count() {
            let is_new = |endpoint: &&EndpointIndex| self.nodes[endpoint.at()].place == NOWHERE;
            let mut fresh: Vec<EndpointIndex> = self.classes.members(class).iter().filter(is_new).copied().collect();
            // Finagle takes them from a hash set of objects, which has no order that anybody could know.
            for last in (1..fresh.len()).rev() {
                fresh.swap(last, self.rng.below(last as u64 + 1) as usize);
            }
            let heap = &mut self.heaps[class];
            for endpoint in fresh {
                heap.insert(&mut self.nodes, endpoint, class as u32);
            }
            heap.revive(&mut self.nodes, set);
        }
    }
}

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "The fewest requests in flight of all endpoints, by a heap; idle ones in random order";
    const SOURCE: &'static str = "twitter/finagle finagle-core/src/main/scala/com/twitter/finagle/loadbalancer/\
        TrafficDistributor.scala, heap/{Heap,HeapLeastLoaded}.scala";
    const CHECKED: &'static str = "Loads that Finagle's own tests expect; The stationary distribution of two servers; The least load of all; \
        Shares of weighted endpoints";
    const RULES: Rules = Rules::Any;

    fn new(_: &Options, _: usize) -> Balancer {
        Balancer {
            nodes: Vec::new(),
            classes: WeightClasses::default(),
            heaps: Vec::new(),
            rng: Rng::new(0),
        }
    }

    fn start(&mut self, rng: &mut Rng) {
        self.rng = Rng::new(rng.next_u64());
    }

    fn on_added(&mut self, endpoint: EndpointIndex, _: Time) {
        let fresh = Node {
            load: ZERO,
            place: NOWHERE,
            class: 0,
        };
        if endpoint.at() >= self.nodes.len() {
            self.nodes.resize(endpoint.at() + 1, fresh);
        }
        // Another endpoint of this index may still be in a heap.
        if self.nodes[endpoint.at()].place != NOWHERE {
            self.remove(endpoint);
        }
        self.nodes[endpoint.at()] = fresh;
        self.classes.forget();
    }

    fn update(&mut self, _: &Endpoints<'_>, _: CandidateSet<'_>, _: Time) {
        self.classes.forget();
    }

    fn pick(
        &mut self,
        endpoints: &Endpoints<'_>,
        set: CandidateSet<'_>,
        _: &Hints<'_>,
        _: Time,
        rng: &mut Rng,
    ) -> Option<EndpointIndex> {
        if !self.classes.is_current(set) {
            self.follow(endpoints, set);
        }
        let class = self.classes.draw(set, rng);
        Some(self.heaps[class].root(&mut self.nodes, set))
    }

    fn on_started(&mut self, endpoint: EndpointIndex, _: Time) {
        let node = &mut self.nodes[endpoint.at()];
        node.load += 1;
        let (place, heap) = (node.place, &mut self.heaps[node.class as usize]);
        heap.fix_down(&mut self.nodes, place, heap.len());
    }

    fn on_finished(&mut self, endpoint: EndpointIndex, _: &Outcome, _: Time) {
        let node = &mut self.nodes[endpoint.at()];
        node.load -= 1;
        let (place, class) = (node.place, node.class);
        if place != NOWHERE {
            self.heaps[class as usize].release(&mut self.nodes, place, &mut self.rng);
        }
    }
}
