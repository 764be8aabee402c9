//! What becomes of endpoints, and how callers learn of it.

use crate::engine::Agenda;
use crate::model::event::Event;
use crate::model::plan::Outage;
use crate::model::world::World;
use crate::time::Time;

impl World<'_> {
    /// An endpoint went down or came up again. To be called after its condition has changed.
    pub(super) fn truth_changed(&mut self, _endpoint: u32, _now: Time, _: &mut Agenda<Event>) {}

    /// What tells callers of endpoints went down or came up again; [`World::is_out`] says which.
    pub(super) fn outage_changed(&mut self, _kind: Outage, _now: Time, _: &mut Agenda<Event>) {}
}
