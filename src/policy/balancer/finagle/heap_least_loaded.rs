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

use crate::policy::balancer::common::Status;
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
}

/// The nodes of the candidate set that is picked from: there is but one at a time, the first level that has members.
#[derive(Clone, Debug, Default)]
struct Heap {
    // The node at place i + 1.
    order: Vec<EndpointIndex>,
    // Nodes with a penalty.
    down: Vec<EndpointIndex>,
}

/// One caller's heap.
#[derive(Clone, Debug)]
pub struct Balancer {
    // By `EndpointIndex`.
    nodes: Vec<Node>,
    heap: Heap,
    // The set whose members and statuses the heap has; `None`: they may have changed.
    set: Option<usize>,
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

    fn insert(&mut self, nodes: &mut [Node], endpoint: EndpointIndex) {
        self.order.push(endpoint);
        let place = self.len();
        nodes[endpoint.at()].place = place;
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

    /// Follows the members of `set`: those that left go, new ones come in random order, who is open again loses the penalty.
    #[cold]
    fn follow(&mut self, nodes: &mut [Node], set: CandidateSet<'_>, rng: &mut Rng) {
        let gone: Vec<EndpointIndex> = self
            .order
            .iter()
            .copied()
            .filter(|&endpoint| !set.contains(endpoint))
            .collect();
        for endpoint in gone {
            self.remove(nodes, endpoint);
        }
        let is_new = |endpoint: &EndpointIndex| nodes[endpoint.at()].place == NOWHERE;
        let mut fresh: Vec<EndpointIndex> = set.iter().filter(is_new).collect();
        // Finagle takes them from a hash set of objects, which has no order that anybody could know.
        for last in (1..fresh.len()).rev() {
            fresh.swap(last, rng.below(last as u64 + 1) as usize);
        }
        for endpoint in fresh {
            self.insert(nodes, endpoint);
        }
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

impl Balance for Balancer {
    type Options = Options;
    const ABOUT: &'static str = "The fewest requests in flight of all endpoints, by a heap; idle ones in random order";
    const SOURCE: &'static str =
        "twitter/finagle finagle-core/src/main/scala/com/twitter/finagle/loadbalancer/heap/{Heap,HeapLeastLoaded}.scala";
    const CHECKED: &'static str =
        "Loads that Finagle's own tests expect; The stationary distribution of two servers; The least load of all";
    const DIFFERENCES: &'static str = "Weights are ignored: Finagle's TrafficDistributor, which balances endpoints of one weight \
        apart from others, is not here";
    const RULES: Rules = Rules::Any;

    fn new(_: &Options, _: usize) -> Balancer {
        Balancer {
            nodes: Vec::new(),
            heap: Heap::default(),
            set: None,
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
        };
        if endpoint.at() >= self.nodes.len() {
            self.nodes.resize(endpoint.at() + 1, fresh);
        }
        // Another endpoint of this index may still be in the heap.
        if self.nodes[endpoint.at()].place != NOWHERE {
            self.heap.remove(&mut self.nodes, endpoint);
        }
        self.nodes[endpoint.at()] = fresh;
        self.set = None;
    }

    fn update(&mut self, _: &Endpoints<'_>, _: CandidateSet<'_>, _: Time) {
        self.set = None;
    }

    fn pick(&mut self, _: &Endpoints<'_>, set: CandidateSet<'_>, _: &Hints<'_>, _: Time, _: &mut Rng) -> Option<EndpointIndex> {
        if self.set != Some(set.number()) {
            self.heap.follow(&mut self.nodes, set, &mut self.rng);
            self.set = Some(set.number());
        }
        Some(self.heap.root(&mut self.nodes, set))
    }

    fn on_started(&mut self, endpoint: EndpointIndex, _: Time) {
        let node = &mut self.nodes[endpoint.at()];
        node.load += 1;
        let (place, last) = (node.place, self.heap.len());
        self.heap.fix_down(&mut self.nodes, place, last);
    }

    fn on_finished(&mut self, endpoint: EndpointIndex, _: &Outcome, _: Time) {
        let node = &mut self.nodes[endpoint.at()];
        node.load -= 1;
        let place = node.place;
        if place != NOWHERE {
            self.heap.release(&mut self.nodes, place, &mut self.rng);
        }
    }
}
