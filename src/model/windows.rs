//! Spans of time that are measured by themselves, besides the whole.
//!
//! Windows may overlap. So time is cut at all of their borders, each piece is measured once, together with all others that belong to
//! the same windows, and a window is the sum of its pieces.

use crate::measure::Histogram;
use crate::model::plan::{Plan, WindowPlan};
use crate::model::result::{ClientResult, EdgeResult, ServiceResult, WindowResult};
use crate::time::Time;

/// One occurrence of a fault: which, from when, up to when.
pub(crate) type Occurrence = (u32, Time, Time);

/// No window.
const NOBODY: u32 = u32::MAX;

/// The windows of one run.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    /// Where a piece of time begins, and the class of pieces that it belongs to; ascending.
    pieces: Vec<(u64, u32)>,
    classes: Vec<Class>,
    count: usize,
}

/// The pieces of time that belong to the same windows.
#[derive(Debug)]
struct Class {
    windows: Vec<u32>,
    sums: WindowResult,
}

impl Windows {
    /// The windows of `plan`, given when its faults occur.
    pub fn new(plan: &Plan, occurrences: &[Occurrence]) -> Windows {
        let end = plan.duration.0;
        let spans: Vec<Vec<(u64, u64)>> = plan.windows.iter().map(|window| spans_of(window, occurrences, end)).collect();
        let mut borders: Vec<u64> = spans.iter().flatten().flat_map(|&(from, to)| [from, to]).collect();
        borders.sort_unstable();
        borders.dedup();
        let mut windows = Windows {
            count: plan.windows.len(),
            ..Windows::default()
        };
        for at in borders {
            let members = (0..).zip(&spans).filter(|(_, spans)| {
                let next = spans.partition_point(|&(from, _)| from <= at);
                next > 0 && at < spans[next - 1].1
            });
            let class = windows.class_of(members.map(|(window, _)| window).collect(), plan);
            windows.pieces.push((at, class));
        }
        windows
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
        let mut results: Vec<WindowResult> = (0..self.count).map(|_| empty(plan)).collect();
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
    }
}

/// The spans of a window, ascending, none of them touching another.
fn spans_of(window: &WindowPlan, occurrences: &[Occurrence], end: u64) -> Vec<(u64, u64)> {
    let of = |faults: &[u32]| {
        let spans = occurrences.iter().filter(|(fault, ..)| faults.contains(fault));
        let mut spans: Vec<(u64, u64)> = spans.map(|&(_, from, to)| (from.0, to.0.min(end))).collect();
        spans.sort_unstable();
        spans
    };
    let mut spans = match window {
        WindowPlan::Between(from, to) => vec![(from.0, to.0.min(end))],
        WindowPlan::During(faults) => of(faults),
        WindowPlan::Before(faults) => of(faults).first().map(|first| vec![(0, first.0)]).unwrap_or_default(),
        WindowPlan::After(faults) => {
            let last = of(faults).iter().map(|span| span.1).max();
            last.map(|last| vec![(last, end)]).unwrap_or_default()
        }
    };
    spans.retain(|(from, to)| from < to);
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(spans.len());
    for (from, to) in spans {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(window: WindowPlan) -> Vec<(u64, u64)> {
        let occurrences = [
            (0, Time(10), Time(20)),
            (1, Time(15), Time(30)),
            (0, Time(50), Time(u64::MAX)),
            (2, Time(40), Time(40)),
        ];
        spans_of(&window, &occurrences, 100)
    }

    #[test]
    fn windows_follow_their_faults() {
        assert_eq!(spans(WindowPlan::During(vec![0])), [(10, 20), (50, 100)]);
        assert_eq!(spans(WindowPlan::During(vec![0, 1])), [(10, 30), (50, 100)]);
        assert_eq!(spans(WindowPlan::Before(vec![1])), [(0, 15)]);
        assert_eq!(spans(WindowPlan::After(vec![1])), [(30, 100)]);
        // The last of the first fault lasts to the end, and the third is over as soon as it begins.
        assert_eq!(spans(WindowPlan::After(vec![0])), []);
        assert_eq!(spans(WindowPlan::During(vec![2])), []);
        assert_eq!(spans(WindowPlan::Between(Time(90), Time(200))), [(90, 100)]);
    }
}
