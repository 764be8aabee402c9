//! The clock and the host of an attempt, for `provenance/` beside the shards.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use meshsim::sweep::Fault;
use meshsim::sweep::provenance::{Attempt, Provenance};
use meshsim::sweep::run::Ran;

/// An attempt that has begun.
pub struct Clock {
    begin: Instant,
    attempt: Attempt,
    folder: PathBuf,
}

impl Clock {
    /// Notes in `folder` that an attempt at `shard` begins.
    pub fn start(shard: u32, threads: usize, folder: &Path) -> Result<Clock, Fault> {
        let attempt = Attempt {
            shard,
            state: "started".to_string(),
            host: host(),
            pid: std::process::id(),
            threads,
            version: env!("CARGO_PKG_VERSION").to_string(),
            began_unix_seconds: since_1970().as_micros() as f64 / 1e6,
            wall_seconds: None,
            bytes: None,
        };
        attempt.write(folder)?;
        Ok(Clock {
            begin: now(),
            attempt,
            folder: folder.to_path_buf(),
        })
    }

    /// Notes how it ended.
    pub fn stop(self, ran: &Ran) -> Result<(), Fault> {
        let Clock {
            begin,
            mut attempt,
            folder,
        } = self;
        attempt.wall_seconds = Some(begin.elapsed().as_secs_f64());
        match ran {
            Ran::Kept => attempt.state = "kept".to_string(),
            Ran::Done { bytes, .. } => {
                attempt.state = "done".to_string();
                attempt.bytes = Some(*bytes);
            }
        }
        attempt.write(&folder)
    }
}

/// Gathers all attempts after a merge that began then.
pub fn gather(folder: &Path, plan: &str, begin: Instant) -> Result<(), Fault> {
    Provenance::gather(folder, plan, &host(), begin.elapsed().as_secs_f64()).write(folder)
}

fn host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// The clock that only goes forward.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line may look at the clock; results may not"
)]
pub fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line may look at the clock; results may not"
)]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
