//! Requests that are answered with an error as soon as they arrive, or never.

use crate::model::endpoint::{Incoming, SILENCE};
use crate::model::plan::FaultKind;
use crate::model::trace::Trace;
use crate::model::world::World;
use crate::random::Purpose;

impl<T: Trace> World<'_, T> {
    /// What active faults answer to a request that arrives; [`SILENCE`]: nothing, ever. A coin is keyed by the attempt, so the same attempt
    /// meets the same fate in every variant.
    #[cold]
    pub(in crate::model) fn fault_answers(&self, incoming: &Incoming) -> Option<u16> {
        self.faults.at(incoming.endpoint).iter().find_map(|&strand| {
            let fault = self.faults.strands[strand as usize].fault;
            let (share, status) = match self.plan.faults[fault as usize].kind {
                FaultKind::Errors { share, status } => (share, status),
                FaultKind::Hang { share } => (share, SILENCE),
                _ => return None,
            };
            let coin = incoming
                .id
                .with(((Purpose::Fault as u64) << 32) | u64::from(fault))
                .draws()
                .next_u64();
            share.happens(coin).then_some(status)
        })
    }
}
