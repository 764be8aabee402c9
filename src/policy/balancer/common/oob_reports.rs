//! Load reports that come by themselves, on a stream from each endpoint, rather than with answers: they are asked for when the next pick
//! finds that they are due.

use crate::policy::{CandidateSet, EndpointIndex};
use crate::time::{Duration, Time};

/// One caller's streams. Those of all endpoints bring their reports at the same time.
#[derive(Clone, Debug)]
pub struct OobReports {
    period: Duration,
    // Never, where there are no streams.
    next: Time,
    wanted: Vec<EndpointIndex>,
}

impl OobReports {
    /// Streams that bring a report every `period`; `None`: there are none.
    pub fn new(period: Option<Duration>) -> OobReports {
        OobReports {
            period: period.unwrap_or(Duration::MAX),
            next: Time::MAX,
            wanted: Vec::new(),
        }
    }

    /// The caller begins.
    pub fn start(&mut self, now: Time) {
        self.next = now + self.period;
    }

    /// Asks the members of `set` for their reports if they are due.
    #[inline]
    pub fn poll(&mut self, set: CandidateSet<'_>, now: Time) {
        if now >= self.next {
            self.ask(set, now);
        }
    }

    #[cold]
    fn ask(&mut self, set: CandidateSet<'_>, now: Time) {
        let missed = now.since(self.next).0 / self.period.0;
        self.next += Duration((missed + 1) * self.period.0);
        self.wanted.clear();
        self.wanted.extend(set.iter());
    }

    /// Whom to ask.
    #[inline]
    pub fn next_probe(&mut self) -> Option<EndpointIndex> {
        self.wanted.pop()
    }
}
