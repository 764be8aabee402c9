//! The rows of what endpoints do: a task per attempt, further ones for the branches of its `parallel` steps, and their joins.

use crate::engine::Sequence;
use crate::model::endpoint::Incoming;
use crate::model::world::NIL;
use crate::policy::overload::Criticality;
use crate::random::Key;
use crate::time::{Duration, Time};

/// An attempt at its endpoint (or on the way to it), or a branch of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// All draws of the attempt follow from this; branches share it.
    pub id: Key,
    /// When it reached the endpoint.
    pub arrived: Time,
    /// The number of the event that may act on it; [`Sequence::NONE`]: none.
    pub wake: Sequence,
    /// When its work will be done, while it works.
    pub work_end: Time,
    /// When the attempt was sent.
    pub sent: Time,
    /// The time that its work has taken so far, that in progress taken whole.
    pub worked: Duration,
    /// The call that waits for it, if it is still of this generation.
    pub call: u32,
    /// See [`Task::call`].
    pub generation: u32,
    /// Its endpoint in the plan's table; `NIL`: the row is free.
    pub endpoint: u32,
    /// Where the call was made from.
    pub site: u32,
    /// The next instruction.
    pub pc: u32,
    /// The join that waits for this branch; `NIL`: it is an attempt's first task.
    pub join: u32,
    /// The next in the endpoint's queue.
    pub next: u32,
    /// The one before it there.
    pub previous: u32,
    /// Until when its answer is wanted.
    pub deadline: Time,
    /// How important it is.
    pub criticality: Criticality,
    /// The next branch of the same join.
    pub sibling: u32,
    /// The call or join that it waits for; on the way the caller that has sent it (a row of `World::callers`), or `NIL` where there is no way.
    pub waits_for: u32,
    /// What it is doing.
    pub state: TaskState,
    /// Whether it has a slot of its own.
    pub holds_slot: bool,
    /// The status it ends with; 0: not known yet.
    pub status: u16,
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskState {
    /// Its connection is being set up.
    Connecting,
    /// Its request is on the way.
    Travelling,
    /// Its caller's cancellation came before the request.
    Overtaken,
    /// It waits for its first slot.
    Queued,
    /// It waits for a slot to go on.
    Requeued,
    /// It left the queue before its turn; the queue's link still holds the row.
    Abandoned,
    /// It works.
    Working,
    /// It would work, but its endpoint stands still.
    Held,
    /// It waits for a call.
    Calling,
    /// It waits for its branches.
    Joining,
    /// A branch that waits for the others to end.
    Ended,
}

impl TaskState {
    /// Whether the endpoint has not seen it yet.
    pub fn is_under_way(self) -> bool {
        matches!(self, TaskState::Connecting | TaskState::Travelling | TaskState::Overtaken)
    }
}

impl Task {
    /// The task of a request that has just been sent.
    #[inline]
    pub fn travelling(incoming: &Incoming) -> Task {
        Task {
            id: incoming.id,
            arrived: Time::ZERO,
            wake: Sequence::NONE,
            work_end: Time::ZERO,
            sent: incoming.sent,
            worked: Duration::ZERO,
            call: incoming.call,
            generation: incoming.generation,
            endpoint: incoming.endpoint,
            site: incoming.site,
            pc: 0,
            join: NIL,
            next: NIL,
            previous: NIL,
            deadline: Time::MAX,
            criticality: Criticality::Critical,
            sibling: NIL,
            waits_for: NIL,
            state: TaskState::Travelling,
            holds_slot: false,
            status: 0,
        }
    }

    /// What is known of the attempt at its endpoint.
    #[inline]
    pub fn incoming(&self) -> Incoming {
        Incoming {
            id: self.id,
            sent: self.sent,
            call: self.call,
            generation: self.generation,
            endpoint: self.endpoint,
            site: self.site,
        }
    }
}

/// The end of a `parallel` step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Join {
    /// Who goes on after it.
    pub task: u32,
    /// Branches that have not ended.
    pub remaining: u32,
    /// The first branch.
    pub first: u32,
    /// The status of the first branch that failed; 0: none.
    pub status: u16,
}
