//! Servers in the order of a key, those with equal keys in the order in which they came: what an ebtree is to HAProxy.
//!
//! A binary heap that knows where each server is, so that any can be taken out.

use crate::policy::EndpointIndex;

/// Where a server is in a heap that it is not in.
const NOWHERE: u32 = u32::MAX;

/// The servers by key and arrival.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    heap: Vec<Entry>,
    // By server.
    places: Vec<u32>,
}

/// A server in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// What the servers are sorted by.
    pub key: u32,
    /// Its number in the order of all arrivals.
    pub arrival: u64,
    /// Who.
    pub server: EndpointIndex,
}

impl Tree {
    /// The first server.
    #[inline]
    pub fn first(&self) -> Option<Entry> {
        self.heap.first().copied()
    }

    /// The key of a server that is in it.
    #[inline]
    pub fn key(&self, server: EndpointIndex) -> Option<u32> {
        let place = self.places.get(server.at()).copied().unwrap_or(NOWHERE);
        self.heap.get(place as usize).map(|entry| entry.key)
    }

    /// Puts in a server that is not in it.
    #[inline]
    pub fn insert(&mut self, entry: Entry) {
        if entry.server.at() >= self.places.len() {
            self.places.resize(entry.server.at() + 1, NOWHERE);
        }
        debug_assert_eq!(self.places[entry.server.at()], NOWHERE);
        self.heap.push(entry);
        self.rise(self.heap.len() - 1, entry);
    }

    /// Takes out a server; whether it was in it.
    #[inline]
    pub fn remove(&mut self, server: EndpointIndex) -> bool {
        let place = self.places.get(server.at()).copied().unwrap_or(NOWHERE) as usize;
        if place >= self.heap.len() {
            return false;
        }
        self.places[server.at()] = NOWHERE;
        let last = self.heap.pop().expect("the server is in it");
        if place < self.heap.len() {
            // Whichever way the last one has to go from here, the other call does nothing.
            self.rise(place, last);
            let place = self.places[last.server.at()] as usize;
            self.sink(place, last);
        }
        true
    }

    /// Puts `entry` at `place` or above it.
    fn rise(&mut self, mut place: usize, entry: Entry) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent] < entry {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, entry);
    }

    /// Puts `entry` at `place` or below it.
    fn sink(&mut self, mut place: usize, entry: Entry) {
        loop {
            let mut child = 2 * place + 1;
            if child >= self.heap.len() {
                break;
            }
            if child + 1 < self.heap.len() && self.heap[child + 1] < self.heap[child] {
                child += 1;
            }
            if entry < self.heap[child] {
                break;
            }
            self.put(place, self.heap[child]);
            place = child;
        }
        self.put(place, entry);
    }

    fn put(&mut self, place: usize, entry: Entry) {
        self.heap[place] = entry;
        self.places[entry.server.at()] = place as u32;
    }
}
