//! Processor sharing: all jobs of an endpoint share its cores, and each uses at most one.
//!
//! Every job gets the same share at every moment, so one virtual clock per endpoint runs at the speed of a share, a job is done
//! when the clock reaches its tag, and only the first tag needs an event (Kleinrock, Queueing Systems II, section 4.4).

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::engine::{Agenda, Sequence};
use crate::model::event::Event;
use crate::model::plan::Discipline;
use crate::model::trace::Trace;
use crate::model::world::{NIL, World};
use crate::time::{Duration, Time};

/// A job and the virtual time at which it is done. Equal tags are done in the order in which they began.
#[derive(Clone, Copy, Debug)]
struct Job {
    tag: f64,
    began: u64,
    task: u32,
}

impl Ord for Job {
    // The heap yields the largest, so smaller tags are greater.
    fn cmp(&self, other: &Self) -> Ordering {
        other.tag.total_cmp(&self.tag).then(other.began.cmp(&self.began))
    }
}
impl PartialOrd for Job {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Job {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Job {}

/// The jobs of one endpoint.
#[derive(Debug)]
pub(crate) struct Shared {
    jobs: BinaryHeap<Job>,
    clock: f64,
    clock_at: Time,
    began: u64,
    armed: Sequence,
}

impl Default for Shared {
    fn default() -> Self {
        Shared {
            jobs: BinaryHeap::new(),
            clock: 0.0,
            clock_at: Time::ZERO,
            began: 0,
            armed: Sequence::NONE,
        }
    }
}

impl Shared {
    /// Nanoseconds of work that each job gets done in a nanosecond.
    fn share(&self, cores: u32, slowdown: f64) -> f64 {
        (f64::from(cores) / self.jobs.len() as f64).min(1.0) / slowdown
    }

    /// Moves the clock to now; it stops while the endpoint stands still.
    fn settle(&mut self, cores: u32, slowdown: f64, is_still: bool, now: Time) {
        if self.jobs.is_empty() {
            self.clock = 0.0;
        } else if !is_still {
            self.clock += now.since(self.clock_at).0 as f64 * self.share(cores, slowdown);
        }
        self.clock_at = now;
    }
}

impl<T: Trace> World<'_, T> {
    /// The jobs of an endpoint, its cores and its slowdown, with the clock (and what is measured of it) moved to now.
    fn shared(&mut self, endpoint: u32, now: Time) -> (&mut Shared, u32, f64) {
        let service = self.endpoints[endpoint as usize].service;
        let cores = self.plan.services[service as usize].cores;
        let slowdown = self.endpoints[endpoint as usize].slowdown;
        let shared = &self.shared[endpoint as usize];
        let is_still = self.stations[endpoint as usize].stops > 0;
        let busy = if is_still { 0 } else { cores.min(shared.jobs.len() as u32) };
        let since = shared.clock_at;
        self.observe
            .busy(&mut self.endpoints[endpoint as usize].sums, (endpoint, busy), since, now);
        self.meter_busy(endpoint, busy, since, now);
        let shared = &mut self.shared[endpoint as usize];
        shared.settle(cores, slowdown, is_still, now);
        (shared, cores, slowdown)
    }

    /// Arms the event of the job that is done first.
    pub(super) fn arm_shared(&mut self, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        let station = &self.stations[endpoint as usize];
        if station.throttle != NIL {
            self.runs_on(endpoint, self.cores_in_use(endpoint), now, agenda);
        }
        let station = &self.stations[endpoint as usize];
        if station.stops > 0 {
            return self.disarm_shared(endpoint);
        }
        let (shared, cores, slowdown) = self.shared(endpoint, now);
        let Some(first) = shared.jobs.peek() else {
            shared.armed = Sequence::NONE;
            return;
        };
        let left = (first.tag - shared.clock).max(0.0) / shared.share(cores, slowdown);
        shared.armed = agenda.at(now + Duration::from_nanos_f64(left), Event::SharedWorkDone { endpoint });
    }

    /// No event for the first job: the endpoint stands still.
    pub(super) fn disarm_shared(&mut self, endpoint: u32) {
        self.shared[endpoint as usize].armed = Sequence::NONE;
    }

    /// How many cores the jobs of an endpoint use while it does not stand still.
    pub(super) fn cores_in_use(&self, endpoint: u32) -> u64 {
        let service = self.endpoints[endpoint as usize].service;
        let cores = self.plan.services[service as usize].cores;
        u64::from(cores).min(self.shared[endpoint as usize].jobs.len() as u64)
    }

    /// Adds a task's work to its endpoint's jobs.
    pub(super) fn share_work(&mut self, task: u32, work: f64, now: Time, agenda: &mut Agenda<Event>) {
        let endpoint = self.tasks[task].endpoint;
        let (shared, ..) = self.shared(endpoint, now);
        shared.began += 1;
        let job = Job {
            tag: shared.clock + work,
            began: shared.began,
            task,
        };
        shared.jobs.push(job);
        self.arm_shared(endpoint, now, agenda);
    }

    /// The event of the first job that is done: ignored if another has become the first meanwhile.
    pub(super) fn shared_work_done(&mut self, endpoint: u32, sequence: Sequence, now: Time, agenda: &mut Agenda<Event>) {
        if self.shared[endpoint as usize].armed != sequence {
            return;
        }
        let (shared, ..) = self.shared(endpoint, now);
        let job = shared.jobs.pop().expect("an event is armed only for a job");
        // Its tag, not the clock, whose last nanosecond was rounded.
        shared.clock = shared.clock.max(job.tag);
        self.arm_shared(endpoint, now, agenda);
        self.after_work(job.task, now, agenda);
    }

    /// Of the time that a task's work takes where it has a core of its own, what is left.
    pub(super) fn shared_work_left(&self, task: u32, now: Time) -> Duration {
        let endpoint = self.tasks[task].endpoint;
        let cores = self.plan.services[self.endpoints[endpoint as usize].service as usize].cores;
        let slowdown = self.endpoints[endpoint as usize].slowdown;
        let shared = &self.shared[endpoint as usize];
        let Some(job) = shared.jobs.iter().find(|job| job.task == task) else {
            return Duration::ZERO;
        };
        let clock = shared.clock + now.since(shared.clock_at).0 as f64 * shared.share(cores, slowdown);
        Duration::from_nanos_f64((job.tag - clock).max(0.0) * slowdown)
    }

    /// Takes a task's job out.
    pub(super) fn stop_shared_work(&mut self, task: u32, now: Time, agenda: &mut Agenda<Event>) {
        let endpoint = self.tasks[task].endpoint;
        let (shared, ..) = self.shared(endpoint, now);
        shared.jobs.retain(|job| job.task != task);
        self.arm_shared(endpoint, now, agenda);
    }

    /// Takes all jobs out.
    pub(super) fn lose_shared_work(&mut self, endpoint: u32, now: Time) {
        if self.shares(endpoint) {
            let (shared, ..) = self.shared(endpoint, now);
            shared.jobs.clear();
            shared.armed = Sequence::NONE;
        }
    }

    /// Measures the cores up to now.
    pub(super) fn count_shared_work(&mut self, endpoint: u32, now: Time) {
        if self.shares(endpoint) {
            self.shared(endpoint, now);
        }
    }

    fn shares(&self, endpoint: u32) -> bool {
        self.services_of(endpoint).discipline == Discipline::ProcessorSharing
    }

    /// Endpoints (in ascending order) become slower or faster: these slowdowns hold from now on.
    pub(super) fn set_slowdowns(&mut self, changed: &[(u32, f64)], now: Time, agenda: &mut Agenda<Event>) {
        let mut ratios = Vec::with_capacity(changed.len());
        for &(endpoint, slowdown) in changed {
            let shares = self.shares(endpoint);
            if shares {
                self.shared(endpoint, now);
            }
            let old = std::mem::replace(&mut self.endpoints[endpoint as usize].slowdown, slowdown);
            if shares {
                self.arm_shared(endpoint, now, agenda);
            } else {
                ratios.push((endpoint, slowdown / old));
            }
        }
        self.stretch_work(&ratios, now, agenda);
    }
}
