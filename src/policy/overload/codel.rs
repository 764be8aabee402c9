//! Controlled delay: what has waited too long in a queue that never empties is not served.
//!
//! Source: facebook/folly `folly/executors/Codel.cpp`, which takes the shortest delay of an interval from CoDel (RFC 8289) and then drops by delay, not by
//! an interval that shrinks; Maurer, "Fail at Scale", ACM Queue 13 (8), 2015.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::Entry;
use crate::time::{Duration, Time};

/// When a queue is overloaded.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Codel")]
pub struct Options {
    /// If even the shortest delay of an interval was longer than this, requests that have waited twice as long are turned away with 503.
    #[serde(alias = "target_delay")]
    pub target: Duration,
    /// The interval.
    pub interval: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            target: Duration::from_millis(5),
            interval: Duration::from_millis(100),
        }
    }
}

/// What it is, for whoever lists policies.
pub const ENTRY: Entry = Entry {
    name: "folly/codel",
    family: "folly",
    about: "Turns away what has waited too long in a queue that never empties: `codel` of a service's `queue`",
    source: "facebook/folly folly/executors/Codel.cpp",
    checked: "Scripts of the state machine in the upstream source",
    differences: "A request that finds a free slot counts as one that waited for nothing",
    schema: <Options as JsonSchema>::json_schema,
};

impl Options {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        if self.target == Duration::ZERO || self.interval == Duration::ZERO {
            return Err("`target` and `interval` must be longer than 0".to_string());
        }
        Ok(())
    }
}

/// One queue.
#[derive(Clone, Copy, Debug)]
pub struct Codel {
    shortest: Duration,
    ends: Time,
    is_first: bool,
    overloaded: bool,
}

impl Default for Codel {
    fn default() -> Codel {
        Codel {
            shortest: Duration::ZERO,
            ends: Time::ZERO,
            is_first: false,
            overloaded: false,
        }
    }
}

impl Codel {
    /// A request that has waited so long is about to be served: whether it is to be turned away instead.
    pub fn drops(&mut self, options: &Options, delay: Duration, now: Time) -> bool {
        if now > self.ends && !self.is_first {
            self.is_first = true;
            self.ends = now + options.interval;
            self.overloaded = self.shortest > options.target;
        }
        if self.is_first {
            self.is_first = false;
            self.shortest = delay;
            // More than one must come in an interval before any is dropped.
            return false;
        }
        self.shortest = self.shortest.min(delay);
        self.overloaded && delay.0 > options.target.0.saturating_mul(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_begin_an_interval_after_the_shortest_delay_was_too_long() {
        let options = Options::default();
        let mut codel = Codel::default();
        let mut at = |millis: u64, delay: u64| {
            codel.drops(
                &options,
                Duration::from_millis(delay),
                Time::ZERO + Duration::from_millis(millis),
            )
        };
        // The first interval begins; nothing is known of one before it.
        assert!(!at(1, 50));
        assert!(!at(50, 50));
        // The next one: the shortest delay was 50 ms. Its first request is let through.
        assert!(!at(102, 50));
        assert!(at(103, 50));
        assert!(!at(104, 10));
        assert!(at(105, 11));
        // One with a short delay ends it at the next interval.
        assert!(!at(150, 4));
        assert!(at(151, 50));
        assert!(!at(203, 50));
        assert!(!at(204, 50));
    }
}
