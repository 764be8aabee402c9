//! What the bench keeps of an endpoint: the picks that wait for their `done`.

use std::collections::VecDeque;

use crate::policy::{EndpointIndex, RoutingPriority};
use crate::time::Time;

/// What the bench knows of an endpoint.
#[derive(Default)]
pub(super) struct Slot {
    // Its id as a JSON text.
    pub quoted: String,
    pub open: VecDeque<Open>,
}

/// Picks that wait for their `done`, all alike.
pub(super) struct Open {
    pub since: Time,
    pub attempt: Attempt,
    pub count: u64,
}

/// An attempt of a call, the first if it is the default.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Attempt {
    // From 0.
    pub number: u32,
    // Where earlier ones went; known only where retries are granted.
    pub tried: Vec<EndpointIndex>,
    pub priority: RoutingPriority,
    // The number of its call, if that hedges.
    pub call: Option<u64>,
}

impl Slot {
    pub fn opened(&mut self, since: Time, attempt: Attempt) {
        match self.open.back_mut() {
            Some(last) if last.since == since && last.attempt == attempt => last.count += 1,
            _ => self.open.push_back(Open {
                since,
                attempt,
                count: 1,
            }),
        }
    }

    pub fn closed(&mut self) -> Option<(Time, Attempt)> {
        let first = self.open.front_mut()?;
        first.count -= 1;
        if first.count == 0 {
            return self.open.pop_front().map(|open| (open.since, open.attempt));
        }
        Some((first.since, first.attempt.clone()))
    }
}
