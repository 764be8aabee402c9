//! Endpoints that stand still: work in progress stops where it is, and goes on from there.
//!
//! Requests are still accepted, queued or turned away meanwhile (the kernel and the proxy beside the endpoint do that), but nothing that
//! takes work, and no answer, leaves it. There may be several reasons at once.

use crate::engine::Agenda;
use crate::model::event::Event;
use crate::model::plan::Discipline;
use crate::model::task::TaskState;
use crate::model::trace::Trace;
use crate::model::world::World;
use crate::time::Time;

impl<T: Trace> World<'_, T> {
    /// One reason more to stand still.
    pub(super) fn stop_still(&mut self, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        self.count_shared_work(endpoint, now);
        let station = &mut self.stations[endpoint as usize];
        station.stops += 1;
        if station.stops > 1 {
            return;
        }
        station.stopped = now;
        self.stillness_changed(endpoint, true, now, agenda);
        if self.services_of(endpoint).discipline == Discipline::ProcessorSharing {
            return self.disarm_shared(endpoint);
        }
        for task in self.tasks_at(&[endpoint], |state| state == TaskState::Working) {
            self.tasks[task].state = TaskState::Held;
        }
    }

    /// One reason less.
    pub(super) fn go_on_again(&mut self, endpoint: u32, now: Time, agenda: &mut Agenda<Event>) {
        // While it still stands, so that no work is done up to now.
        self.count_shared_work(endpoint, now);
        let station = &mut self.stations[endpoint as usize];
        station.stops -= 1;
        if station.stops > 0 {
            return;
        }
        let stood = now.since(std::mem::replace(&mut station.stopped, Time::MAX));
        self.stillness_changed(endpoint, false, now, agenda);
        let mut held = self.tasks_at(&[endpoint], |state| state == TaskState::Held);
        // In the order of their events: where the rows lie must not matter.
        held.sort_unstable_by_key(|&task| (self.tasks[task].work_end, self.tasks[task].wake));
        for task in held {
            let row = &mut self.tasks[task];
            row.state = TaskState::Working;
            row.work_end += stood;
            row.wake = agenda.at(row.work_end, Event::WorkDone { task });
        }
        if self.services_of(endpoint).discipline == Discipline::ProcessorSharing {
            self.arm_shared(endpoint, now, agenda);
        }
    }

    /// A task whose next step takes no time waits until its endpoint goes on.
    pub(in crate::model) fn hold(&mut self, task: u32, agenda: &mut Agenda<Event>) {
        let endpoint = self.tasks[task].endpoint;
        let row = &mut self.tasks[task];
        row.state = TaskState::Held;
        row.work_end = self.stations[endpoint as usize].stopped;
        row.wake = agenda.reserve(1);
        self.will_run(endpoint);
    }
}
