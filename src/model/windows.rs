//! Spans of time that are measured by themselves, besides the whole.
//!
//! Windows may overlap. So time is cut at all of their borders, each piece is measured once, together with all others that belong to
//! the same windows, and a window is the sum of its pieces.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::measure::Histogram;
use crate::model::plan::{Plan, WindowPlan};
use crate::model::result::{ClientResult, EdgeResult, EndpointResult, ServiceResult, WindowResult};
use crate::time::Time;

/// No window.
const NOBODY: u32 = u32::MAX;

/// The windows of one run. Those of faults become known as the run goes on, so nothing may be asked of the future.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    /// Where a piece of time begins, and the class of pieces that it belongs to; ascending.
    pieces: Vec<(u64, u32)>,
    classes: Vec<Class>,
    /// As in the plan.
    windows: Vec<WindowPlan>,
    /// The borders of those at fixed times, ascending.
    fixed: Vec<u64>,
    /// By fault: how often it is on, and how often it has ended.
    faults: Vec<(u32, u32)>,
    /// What was said of times to come, the earliest end first: visits that were settled on arrival.
    ahead: BinaryHeap<Reverse<(Time, Stretch)>>,
    /// By caller and endpoint: the windows in which there was an attempt between the two, a bit each.
    contacts: Vec<u64>,
}

/// A time with so many of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stretch {
    pub from: Time,
    pub to: Time,
    pub what: Held,
    pub count: u32,
}

/// What is held for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Held {
    /// Slots of an endpoint.
    Slots { endpoint: u32 },
    /// Requests at a service.
    Requests { service: u32 },
}

impl Held {
    /// Where its time is added up.
    fn sum(self, window: &mut WindowResult) -> &mut u128 {
        match self {
            Held::Slots { endpoint } => &mut window.endpoints[endpoint as usize].busy_nanos,
            Held::Requests { service } => &mut window.services[service as usize].in_flight_nanos,
        }
    }
}

/// The pieces of time that belong to the same windows.
#[derive(Debug)]
struct Class {
    windows: Vec<u32>,
    sums: WindowResult,
}

impl Windows {
    /// The windows of `plan` before any of its faults has begun.
    pub fn new(plan: &Plan) -> Windows {
        let mut fixed = Vec::new();
        for window in &plan.windows {
            if let WindowPlan::Between(from, to) = window {
                fixed.extend([from.0, to.0]);
            }
        }
        fixed.sort_unstable();
        fixed.dedup();
        let mut windows = Windows {
            windows: plan.windows.clone(),
            faults: vec![(0, 0); plan.faults.len()],
            fixed,
            ..Windows::default()
        };
        if !windows.windows.is_empty() {
            windows.cut_from(0, plan);
        }
        windows
    }

    /// A fault begins or ends. Its events come first among those of an instant, so what happens at this very instant is after it.
    pub fn fault_turned(&mut self, fault: u32, on: bool, now: Time, plan: &Plan) {
        let (active, ended) = &mut self.faults[fault as usize];
        match on {
            true => *active += 1,
            false => {
                *active -= 1;
                *ended += 1;
            }
        }
        if !self.is_empty() {
            // What was said of times to come belongs to the new pieces.
            self.pass(now);
            let ahead = std::mem::take(&mut self.ahead);
            self.move_ahead(&ahead, now, |sum, nanos| *sum -= nanos);
            self.cut_from(now.0, plan);
            self.move_ahead(&ahead, now, |sum, nanos| *sum += nanos);
            self.ahead = ahead;
        }
    }

    fn move_ahead(&mut self, ahead: &BinaryHeap<Reverse<(Time, Stretch)>>, now: Time, act: impl Fn(&mut u128, u128)) {
        for &Reverse((_, stretch)) in ahead {
            self.spread(stretch.from.max(now), stretch.to, |window, nanos| {
                act(stretch.what.sum(window), u128::from(nanos) * u128::from(stretch.count));
            });
        }
    }

    /// Forgets what is no longer ahead.
    fn pass(&mut self, now: Time) {
        while self.ahead.peek().is_some_and(|first| first.0.0 <= now) {
            self.ahead.pop();
        }
    }

    /// Adds a stretch, of which what comes after `now` may still be cut.
    #[inline(never)]
    pub fn hold(&mut self, stretch: Stretch, now: Time) {
        let Stretch { from, to, what, count } = stretch;
        if from >= to || count == 0 {
            return;
        }
        self.spread(from, to, |window, nanos| {
            *what.sum(window) += u128::from(nanos) * u128::from(count);
        });
        self.pass(now);
        if to > now && !self.faults.is_empty() {
            self.ahead.push(Reverse((to, stretch)));
        }
    }

    /// An attempt is sent between a caller and an endpoint; `pair` is the number of the two, those of a caller one after the other.
    #[inline(never)]
    pub fn contacted(&mut self, pair: usize, at: Time) {
        let words = self.windows.len().div_ceil(64);
        let Some((_, class)) = self.piece(at).map(|piece| self.pieces[piece]) else {
            return;
        };
        let Some(class) = self.classes.get(class as usize) else {
            return;
        };
        if self.contacts.len() < (pair + 1) * words {
            self.contacts.resize((pair + 1) * words, 0);
        }
        for &window in &class.windows {
            self.contacts[pair * words + window as usize / 64] |= 1 << (window % 64);
        }
    }

    /// Of the pairs from `first` on, `count` in all, how many there was an attempt between in each window.
    pub fn connections(&self, first: usize, count: usize) -> Vec<u64> {
        let words = self.windows.len().div_ceil(64);
        let is_set = |pair: usize, window: usize| {
            let word = self.contacts.get(pair * words + window / 64);
            word.is_some_and(|word| (word >> (window % 64)) & 1 == 1)
        };
        let pairs = |window| (first..first + count).filter(|&pair| is_set(pair, window)).count() as u64;
        (0..self.windows.len()).map(pairs).collect()
    }

    /// Cuts time from `at` on as it will be if no fault begins or ends any more.
    fn cut_from(&mut self, at: u64, plan: &Plan) {
        self.pieces.retain(|&(from, _)| from < at);
        let later = self.fixed.partition_point(|&border| border <= at);
        for begin in [at].into_iter().chain(self.fixed[later..].to_vec()) {
            let members = (0..).zip(&self.windows).filter(|(_, window)| self.holds(window, begin));
            let class = self.class_of(members.map(|(number, _)| number).collect(), plan);
            self.pieces.push((begin, class));
        }
    }

    /// Whether a window holds the piece of time that begins at `begin`, the faults being as they are.
    fn holds(&self, window: &WindowPlan, begin: u64) -> bool {
        let is_on = |faults: &[u32]| faults.iter().any(|&fault| self.faults[fault as usize].0 > 0);
        let has_ended = |faults: &[u32]| faults.iter().any(|&fault| self.faults[fault as usize].1 > 0);
        match window {
            WindowPlan::Between(from, to) => (from.0..to.0).contains(&begin),
            WindowPlan::During(faults) => is_on(faults),
            WindowPlan::Before(faults) => !is_on(faults) && !has_ended(faults),
            WindowPlan::After(faults) => !is_on(faults) && has_ended(faults),
        }
    }

    fn class_of(&mut self, windows: Vec<u32>, plan: &Plan) -> u32 {
        if windows.is_empty() {
            return NOBODY;
        }
        let known = self.classes.iter().position(|class| class.windows == windows);
        known.unwrap_or_else(|| {
            let sums = empty(plan);
            self.classes.push(Class { windows, sums });
            self.classes.len() - 1
        }) as u32
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    fn piece(&self, at: Time) -> Option<usize> {
        self.pieces.partition_point(|&(from, _)| from <= at.0).checked_sub(1)
    }

    /// Where what happens at `at` is counted, if it belongs to a window.
    #[inline]
    pub fn at(&mut self, at: Time) -> Option<&mut WindowResult> {
        if self.is_empty() {
            return None;
        }
        let (_, class) = self.pieces[self.piece(at)?];
        self.classes.get_mut(class as usize).map(|class| &mut class.sums)
    }

    /// Gives each piece of `from..to` that belongs to a window, with its length in nanoseconds.
    pub fn spread(&mut self, from: Time, to: Time, mut add: impl FnMut(&mut WindowResult, u64)) {
        let mut piece = self.piece(from).unwrap_or(0);
        while let Some(&(begin, class)) = self.pieces.get(piece) {
            if begin >= to.0 {
                return;
            }
            let end = self.pieces.get(piece + 1).map_or(u64::MAX, |next| next.0);
            let length = to.0.min(end).saturating_sub(from.0.max(begin));
            if let Some(class) = self.classes.get_mut(class as usize)
                && length > 0
            {
                add(&mut class.sums, length);
            }
            piece += 1;
        }
    }

    /// The sums of each window; `from..to` is what was measured.
    pub fn finish(mut self, plan: &Plan, from: Time, to: Time) -> Vec<WindowResult> {
        self.spread(from, to, |sums, nanos| sums.measured_nanos += nanos);
        let mut results: Vec<WindowResult> = (0..self.windows.len()).map(|_| empty(plan)).collect();
        for class in &self.classes {
            for &window in &class.windows {
                results[window as usize].merge(&class.sums);
            }
        }
        for result in &mut results {
            for service in &mut result.services {
                service.waited = service.queue_wait.count() - service.queue_wait.zeros();
            }
            for (client, figures) in plan.clients.iter().zip(&result.clients) {
                let edge = plan.sites[client.site as usize].edge;
                result.edges[edge as usize] = figures.as_edge();
            }
        }
        results
    }
}

impl ClientResult {
    /// The client seen as a caller.
    pub(crate) fn as_edge(&self) -> EdgeResult {
        EdgeResult {
            calls: self.requests,
            attempts: self.attempts,
            failures: self.failures.clone(),
            latency: Histogram::clone(&self.latency),
        }
    }
}

fn empty(plan: &Plan) -> WindowResult {
    WindowResult {
        measured_nanos: 0,
        clients: vec![ClientResult::default(); plan.clients.len()],
        edges: vec![EdgeResult::default(); plan.edges.len()],
        services: vec![ServiceResult::default(); plan.services.len()],
        endpoints: vec![EndpointResult::default(); plan.endpoints.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_the_faults() {
        let windows = |faults: Vec<(u32, u32)>| Windows {
            faults,
            ..Windows::default()
        };
        let held = |windows: &Windows| {
            [
                WindowPlan::Before(vec![0, 1]),
                WindowPlan::During(vec![0, 1]),
                WindowPlan::After(vec![0, 1]),
            ]
            .map(|window| windows.holds(&window, 7))
        };
        assert_eq!(held(&windows(vec![(0, 0), (0, 0), (1, 1)])), [true, false, false]);
        assert_eq!(held(&windows(vec![(0, 0), (2, 0), (0, 0)])), [false, true, false]);
        assert_eq!(held(&windows(vec![(0, 1), (1, 0), (0, 0)])), [false, true, false]);
        assert_eq!(held(&windows(vec![(0, 1), (0, 2), (0, 0)])), [false, false, true]);
        let none = windows(Vec::new());
        let between = WindowPlan::Between(Time(5), Time(9));
        assert_eq!([4, 5, 8, 9].map(|at| none.holds(&between, at)), [false, true, true, false]);
    }
}
