//! Pauses: everything at an endpoint stands still, as in a stop-the-world garbage collection.

use crate::engine::Agenda;
use crate::model::event::Event;
use crate::model::fault::State;
use crate::model::plan::FaultKind;
use crate::model::trace::Trace;
use crate::model::world::World;
use crate::time::{Duration, Time};

impl<T: Trace> World<'_, T> {
    pub(super) fn pause_switched(
        &mut self,
        strand: u32,
        again: Option<(u32, u32)>,
        on: bool,
        now: Time,
        agenda: &mut Agenda<Event>,
    ) {
        match again {
            None => self.set_paused(strand, on, now, agenda),
            Some(_) if !on => self.set_paused(strand, false, now, agenda),
            Some((gap, _)) => {
                // Endpoints do not pause all at once: the first pause comes at a phase of the gap.
                let phase = self.faults.strands[strand as usize].own.with(u64::MAX).unit();
                let gap = self.draw_pause(strand, gap, 0);
                self.set_tick(strand, now + Duration::from_nanos_f64(gap.0 as f64 * phase), agenda);
            }
        }
    }

    pub(super) fn pause_tick(&mut self, strand: u32, now: Time, agenda: &mut Agenda<Event>) {
        let row = &self.faults.strands[strand as usize];
        let FaultKind::Pause {
            again: Some((gap, length)),
        } = self.plan.faults[row.fault as usize].kind
        else {
            unreachable!("only pauses that come again have events of their own");
        };
        let was_paused = matches!(row.state, State::Pause(true));
        let length = self.draw_pause(strand, length, 1);
        if was_paused {
            self.set_paused(strand, false, now, agenda);
            let gap = self.draw_pause(strand, gap, 0) - length;
            self.faults.strands[strand as usize].own = self.faults.strands[strand as usize].own.with(0);
            self.set_tick(strand, now + gap.max(Duration(1)), agenda);
        } else {
            self.set_paused(strand, true, now, agenda);
            self.set_tick(strand, now + length, agenda);
        }
    }

    /// A span by a distribution: 0 is the way to the next pause, 1 the pause.
    fn draw_pause(&self, strand: u32, distribution: u32, which: u64) -> Duration {
        let mut draws = self.faults.strands[strand as usize].own.with(1 + which).draws();
        Duration::from_nanos_f64(self.plan.distributions[distribution as usize].sample(&mut draws))
    }

    fn set_paused(&mut self, strand: u32, paused: bool, now: Time, agenda: &mut Agenda<Event>) {
        let row = &mut self.faults.strands[strand as usize];
        let was_paused = matches!(row.state, State::Pause(true));
        row.state = State::Pause(paused);
        if paused == was_paused {
            return;
        }
        for endpoint in row.targets.clone() {
            if paused {
                self.stop_still(endpoint, now, agenda);
            } else {
                self.go_on_again(endpoint, now, agenda);
            }
        }
    }
}
