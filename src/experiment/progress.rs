//! What happens while an experiment runs, for whoever draws a bar.

use crate::model::RunResult;
use crate::time::Duration;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It begins.
    Started {
        /// How many cells there are, pilot runs included.
        cells: usize,
    },
    /// There are more cells, or fewer, than was thought: replications are added until figures are known well enough.
    Extended {
        /// How many there will be in all, about.
        cells: usize,
    },
    /// A cell has been folded.
    CellDone {
        /// How long it simulated.
        simulated: Duration,
        /// Requests it measured.
        requests: u64,
        /// Events it handled.
        events: u64,
    },
}

impl Progress {
    /// The end of the cell with this result.
    pub fn of_cell(result: &RunResult) -> Progress {
        Progress::CellDone {
            simulated: Duration(result.simulated_nanos),
            requests: result.clients.iter().map(|client| client.requests).sum(),
            events: result.events_total,
        }
    }
}
