//! What endpoints say of themselves: with each answer, and when they are probed.
//!
//! An endpoint measures itself as an application with an ORCA library does: rates and utilization over the last full second and what
//! has passed of the present one, and the latency of recent requests by how many others they met on arrival (the estimate of
//! Wydrowski et al., NSDI 2024, section 4). Only endpoints whose callers' policies ask are measured.

use crate::model::plan::Discipline;
use crate::model::trace::Trace;
use crate::model::world::{NIL, World};
use crate::policy::{Answer, LoadReport};
use crate::time::{Duration, Time};

/// How long a window is.
const WINDOW: Duration = Duration::from_secs(1);

/// Latencies that an endpoint remembers for each class of loads met on arrival.
const SAMPLES: usize = 9;

/// Loads of 0, 1, 2 and 3 have a class each, then every power of two has two: the last one begins at 768.
const CLASSES: usize = 20;

/// The class of a load.
fn class(in_flight: u32) -> usize {
    if in_flight < 4 {
        return in_flight as usize;
    }
    let power = in_flight.ilog2();
    let upper_half = (in_flight >> (power - 1)) & 1;
    (4 + 2 * (power - 2) + upper_half).min(CLASSES as u32 - 1) as usize
}

/// What is measured, and what is on its way to those who asked.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    /// By endpoint, from the service's base on; made when the first request comes.
    meters: Vec<Meter>,
    /// By task.
    marks: Vec<Mark>,
    /// By call: the generation that the report is for, and the report.
    reports: Vec<(u32, LoadReport)>,
}

/// What is remembered of a task until it ends.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// Requests it met at its endpoint.
    met: u32,
    /// When its first service began.
    started: Time,
}

/// What happened in one window.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    answers: u32,
    errors: u32,
    /// Nanoseconds in which a slot (or core) was busy, summed over slots.
    busy: u64,
}

/// One endpoint's measures of itself.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    /// When the present window began; a multiple of [`WINDOW`].
    since: Time,
    last: Window,
    present: Window,
    /// Microseconds of latency, by the class of the load met; the place that is written next goes round.
    samples: [[u32; SAMPLES]; CLASSES],
    sample_counts: [u32; CLASSES],
}

impl Default for Meter {
    fn default() -> Meter {
        Meter {
            since: Time::ZERO,
            last: Window::default(),
            present: Window::default(),
            samples: [[0; SAMPLES]; CLASSES],
            sample_counts: [0; CLASSES],
        }
    }
}

impl Meter {
    /// `slots` were busy from `from` to `to`; to be called in the order of time.
    pub fn busy(&mut self, slots: u32, from: Time, to: Time) {
        let mut from = from.max(self.since);
        loop {
            let end = self.since + WINDOW;
            let until = to.min(end);
            self.present.busy += u64::from(slots) * until.since(from).0;
            if to < end {
                return;
            }
            self.last = std::mem::take(&mut self.present);
            self.since = end;
            from = end;
            let whole = to.since(end).0 / WINDOW.0;
            if whole > 1 {
                // All that matters of a long time is its last full window.
                self.since = end + Duration((whole - 1) * WINDOW.0);
                from = self.since;
            }
        }
    }

    /// An answer was given; its busy time has been told.
    pub fn answered(&mut self, is_error: bool) {
        self.present.answers += 1;
        self.present.errors += u32::from(is_error);
    }

    /// A request that met `in_flight` others took `latency`.
    pub fn served(&mut self, in_flight: u32, latency: Duration) {
        let micros = u32::try_from(latency.0 / 1000).unwrap_or(u32::MAX);
        let class = class(in_flight);
        let count = &mut self.sample_counts[class];
        self.samples[class][*count as usize % SAMPLES] = micros;
        // It need not be exact: whether the class is full, and which place is next.
        *count = if *count as usize == 2 * SAMPLES - 1 {
            SAMPLES as u32
        } else {
            *count + 1
        };
    }

    /// What the endpoint says now, when `in_flight` requests are there and `slots` could be busy.
    pub fn report(&self, in_flight: u32, slots: u32, now: Time) -> LoadReport {
        let before = if self.since == Time::ZERO { Duration::ZERO } else { WINDOW };
        let seconds = (before + now.since(self.since)).as_secs_f64();
        let per_second = |count: u32| if seconds > 0.0 { f64::from(count) / seconds } else { 0.0 };
        let busy = (self.last.busy + self.present.busy) as f64 / 1e9 / f64::from(slots.max(1));
        LoadReport {
            rps_fractional: per_second(self.last.answers + self.present.answers),
            eps: per_second(self.last.errors + self.present.errors),
            application_utilization: 0.0,
            cpu_utilization: if seconds > 0.0 { busy / seconds } else { 0.0 },
            in_flight,
            service_time: Duration::ZERO,
            latency: self.latency_at(in_flight),
        }
    }

    /// The median of the last latencies of requests that met such a load, or the most similar one that is known; zero before the first.
    fn latency_at(&self, in_flight: u32) -> Duration {
        let wanted = class(in_flight);
        let known = (0..CLASSES).filter(|&class| self.sample_counts[class] > 0);
        let Some(class) = known.min_by_key(|&class| class.abs_diff(wanted)) else {
            return Duration::ZERO;
        };
        let mut samples = self.samples[class];
        let samples = &mut samples[..SAMPLES.min(self.sample_counts[class] as usize)];
        samples.sort_unstable();
        Duration::from_micros(u64::from(samples[samples.len() / 2]))
    }
}

impl<T: Trace> World<'_, T> {
    /// The meter of an endpoint, if its service has any.
    fn meter(&mut self, endpoint: u32) -> Option<&mut Meter> {
        let service = self.endpoints[endpoint as usize].service as usize;
        let base = self.services[service].meter_base;
        if base == NIL {
            return None;
        }
        let at = (base + endpoint - self.plan.services[service].first_endpoint) as usize;
        let meters = &mut self.meters.meters;
        if at >= meters.len() {
            meters.resize_with(at + 1, Meter::default);
        }
        Some(&mut meters[at])
    }

    /// `slots` of an endpoint were busy from `from` to `to`.
    #[inline]
    pub(super) fn meter_busy(&mut self, endpoint: u32, slots: u32, from: Time, to: Time) {
        if let Some(meter) = self.meter(endpoint) {
            meter.busy(slots, from, to);
        }
    }

    /// A task has been accepted at its endpoint, where it is counted already.
    pub(super) fn meter_arrived(&mut self, task: u32, now: Time) {
        let endpoint = self.tasks[task].endpoint;
        if self.services_of(endpoint).meter_base == NIL {
            return;
        }
        let marks = &mut self.meters.marks;
        if marks.len() <= task as usize {
            marks.resize(task as usize + 1, Mark::default());
        }
        marks[task as usize] = Mark {
            met: self.load[endpoint as usize] - 1,
            started: now,
        };
    }

    /// A task's first service begins.
    pub(super) fn meter_started(&mut self, task: u32, now: Time) {
        if self.services_of(self.tasks[task].endpoint).meter_base != NIL {
            self.meters.marks[task as usize].started = now;
        }
    }

    /// A task has ended and is no longer counted at its endpoint; its report goes with its answer.
    pub(super) fn meter_served(&mut self, task: u32, now: Time) {
        let row = self.tasks[task];
        let mark = self.meters.marks[task as usize];
        self.bring_meter_up(row.endpoint, now);
        let Some(meter) = self.meter(row.endpoint) else { return };
        meter.answered(row.status >= 500);
        meter.served(mark.met, now.since(row.arrived));
        let report = LoadReport {
            service_time: now.since(mark.started),
            ..self.report_of(row.endpoint, now)
        };
        let reports = &mut self.meters.reports;
        if reports.len() <= row.call as usize {
            // No call has the last generation yet: generations begin at 0.
            reports.resize(row.call as usize + 1, (u32::MAX, LoadReport::default()));
        }
        // Somebody else may use the call's row by now; what waits there for its own report must not be overwritten.
        if self.calls[row.call].generation == row.generation {
            reports[row.call as usize] = (row.generation, report);
        }
    }

    /// An endpoint answered an error without serving.
    pub(super) fn meter_turned_away(&mut self, endpoint: u32, now: Time) {
        if self.services_of(endpoint).meter_base != NIL {
            self.bring_meter_up(endpoint, now);
            if let Some(meter) = self.meter(endpoint) {
                meter.answered(true);
            }
        }
    }

    /// Tells an endpoint's meter what was busy up to now.
    fn bring_meter_up(&mut self, endpoint: u32, now: Time) {
        if self.services_of(endpoint).discipline == Discipline::ProcessorSharing {
            self.count_shared_work(endpoint, now);
        } else {
            self.count_busy(endpoint, now);
        }
    }

    /// What an endpoint says now.
    pub(super) fn report_of(&mut self, endpoint: u32, now: Time) -> LoadReport {
        self.bring_meter_up(endpoint, now);
        let plan = &self.plan.services[self.endpoints[endpoint as usize].service as usize];
        let slots = match plan.discipline {
            Discipline::ProcessorSharing => plan.cores,
            // Without a limit there is nothing to be used up: the report is of how many are served at once.
            _ if plan.concurrency == crate::model::plan::UNLIMITED => 1,
            _ => plan.concurrency,
        };
        let in_flight = self.load[endpoint as usize];
        let meter = self.meter(endpoint).expect("only endpoints with meters are asked");
        meter.report(in_flight, slots, now)
    }

    /// What came with the answer to a call's present attempt.
    #[inline]
    pub(super) fn load_report(&self, call: u32, answer: Answer) -> Option<LoadReport> {
        let row = &self.calls[call];
        if !self.callers[row.cluster as usize].wants.load_reports || !matches!(answer, Answer::Status(_)) {
            return None;
        }
        let &(generation, report) = self.meters.reports.get(call as usize)?;
        (generation == row.generation).then_some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Time = |ms| Time(ms * 1_000_000);

    #[test]
    fn rates_are_of_the_last_full_second_and_the_present() {
        let mut meter = Meter::default();
        // Busy half of the time for 2.5 s, an answer each 10 ms, each fifth an error.
        for i in 0..250 {
            meter.busy(1, MS(10 * i), MS(10 * i + 5));
            meter.busy(0, MS(10 * i + 5), MS(10 * i + 10));
            meter.answered(i % 5 == 0);
        }
        let report = meter.report(3, 1, MS(2500));
        assert!((report.rps_fractional - 100.0).abs() < 1.0, "{report:?}");
        assert!((report.eps - 20.0).abs() < 1.0, "{report:?}");
        assert!((report.cpu_utilization - 0.5).abs() < 0.01, "{report:?}");
    }

    #[test]
    fn a_long_idle_time_leaves_nothing() {
        let mut meter = Meter::default();
        meter.busy(4, MS(0), MS(700));
        meter.answered(false);
        meter.busy(0, MS(700), MS(60_300));
        let report = meter.report(0, 4, MS(60_300));
        assert_eq!((report.rps_fractional, report.cpu_utilization), (0.0, 0.0));
        meter.busy(4, MS(60_300), MS(61_300));
        let report = meter.report(0, 4, MS(61_300));
        // Four slots for 1 s of the 1.3 s from the start of the last window.
        assert!((report.cpu_utilization - 1.0 / 1.3).abs() < 1e-9, "{report:?}");
    }

    #[test]
    fn latency_is_that_of_a_similar_load() {
        let mut meter = Meter::default();
        assert_eq!(meter.report(0, 1, MS(1)).latency, Duration::ZERO);
        for i in 0..12 {
            meter.served(0, Duration::from_millis(10 + i % 3));
            meter.served(8, Duration::from_millis(80 + i % 3));
        }
        assert_eq!(meter.report(1, 1, MS(1)).latency, Duration::from_millis(11));
        assert_eq!(meter.report(9, 1, MS(1)).latency, Duration::from_millis(81));
    }
}
