//! HAProxy's checks: one counter that falls and rises.
//!
//! Source: haproxy/haproxy `src/check.c` (`check_notify_failure`, `check_notify_success`, `srv_getinter`, `start_checks`). Not here: `observe`, agent
//! checks and `spread-checks`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, Turn};
use crate::policy::balancer::Entry;
use crate::time::Duration;

/// When servers are asked, and how often they must pass or fail, in the words of a `server` line.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "HaproxyCheck")]
pub struct Check {
    /// From the end of one check to the next, while a server is surely up.
    #[schemars(extend("x-upstream" = "inter"))]
    pub inter: Duration,
    /// The same while it is on its way up or down; as `inter` if absent.
    #[schemars(extend("x-upstream" = "fastinter"))]
    pub fastinter: Option<Duration>,
    /// The same while it is surely down; as `inter` if absent.
    #[schemars(extend("x-upstream" = "downinter"))]
    pub downinter: Option<Duration>,
    /// So many successes in a row bring a server back.
    #[schemars(extend("minimum" = 1, "x-upstream" = "rise"))]
    pub rise: u32,
    /// So many failures in a row take it out.
    #[schemars(extend("minimum" = 1, "x-upstream" = "fall"))]
    pub fall: u32,
    /// No answer for this long is a failure; as `inter` if absent.
    #[serde(alias = "timeout_check", alias = "timeout check")]
    #[schemars(extend("x-upstream" = "timeout check"))]
    pub timeout: Option<Duration>,
    /// Whether a request is sent (`option httpchk`), which passes with 2xx and 3xx, or only a connection opened.
    #[schemars(extend("x-upstream" = "option httpchk"))]
    pub httpchk: bool,
}

impl Default for Check {
    fn default() -> Check {
        Check {
            inter: Duration::from_secs(2),
            fastinter: None,
            downinter: None,
            rise: 2,
            fall: 3,
            timeout: None,
            httpchk: true,
        }
    }
}

/// What it is, for whoever lists policies.
pub const ENTRY: Entry = Entry {
    name: "haproxy/check",
    family: "haproxy",
    about: "A proxy asks each server now and then whether it is well; a counter of successes and failures decides",
    source: "haproxy/haproxy src/check.c",
    checked: "Scripts of the state machine in the upstream source; Recordings of the real proxy with a host that fails and comes back",
    differences: "No `observe`, no agent checks; servers known from the start are surely up",
    schema: <Check as JsonSchema>::json_schema,
};

/// The counter: up from `rise` on, surely up at `rise + fall - 1`, surely down at 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    health: u32,
}

impl Check {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// A sentence about the option that does not.
    pub fn check(&self) -> Result<(), String> {
        for (name, duration) in [
            ("inter", Some(self.inter)),
            ("fastinter", self.fastinter),
            ("downinter", self.downinter),
            ("timeout", self.timeout),
        ] {
            if duration == Some(Duration::ZERO) {
                return Err(format!("`{name}` must be longer than 0"));
            }
        }
        for (name, count) in [("rise", self.rise), ("fall", self.fall)] {
            if !(1..=1_000_000).contains(&count) {
                return Err(format!("`{name}` must be from 1 to 1000000, not {count}"));
            }
        }
        Ok(())
    }

    fn surely_up(&self) -> u32 {
        self.rise + self.fall - 1
    }

    /// A server that is new is up, but the first failure takes it out.
    pub(super) fn standing(&self, is_warm: bool) -> Standing {
        Standing {
            health: if is_warm { self.surely_up() } else { self.rise },
        }
    }

    /// Whether a check that passes changes nothing.
    pub(super) fn is_at_rest(&self, standing: Standing) -> bool {
        standing.health == self.surely_up()
    }

    pub(super) fn step(&self, standing: &mut Standing, passed: bool) -> Step {
        let was_up = standing.health >= self.rise;
        standing.health = match standing.health {
            health if passed && health + 1 >= self.rise => self.surely_up(),
            health if passed => health + 1,
            health if health > self.rise => health - 1,
            _ => 0,
        };
        let pause = match standing.health {
            0 => self.downinter,
            health if health == self.surely_up() => None,
            _ => self.fastinter,
        };
        Step {
            turn: match (was_up, standing.health >= self.rise) {
                (true, false) => Some(Turn::Out),
                (false, true) => Some(Turn::In),
                _ => None,
            },
            pause: pause.unwrap_or(self.inter),
        }
    }
}
