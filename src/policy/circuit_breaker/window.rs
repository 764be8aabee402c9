//! What a breaker has lately seen: the last so many calls, or those of the last so many buckets of time.

use crate::time::{Duration, Time};

/// What is counted of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::policy) struct Counts {
    pub calls: u32,
    pub failures: u32,
    pub slow: u32,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.slow += other.slow;
    }

    fn take_away(&mut self, other: Counts) {
        self.calls -= other.calls;
        self.failures -= other.failures;
        self.slow -= other.slow;
    }
}

/// A ring of buckets and their sum.
#[derive(Debug)]
pub(in crate::policy) struct Window {
    ring: Vec<Counts>,
    at: usize,
    sum: Counts,
    // How long a bucket is; `None`: it is one call.
    bucket: Option<Duration>,
    // The number of the present bucket since the start of time.
    epoch: u64,
}

impl Window {
    /// The last `size` calls.
    pub fn of_calls(size: u32) -> Window {
        Window::new(size as usize, None)
    }

    /// The last `count` buckets of this length, the present one included.
    pub fn of_time(count: u32, bucket: Duration) -> Window {
        Window::new(count as usize, Some(bucket))
    }

    fn new(size: usize, bucket: Option<Duration>) -> Window {
        Window {
            ring: vec![Counts::default(); size],
            at: 0,
            sum: Counts::default(),
            bucket,
            epoch: 0,
        }
    }

    pub fn clear(&mut self) {
        self.ring.fill(Counts::default());
        self.sum = Counts::default();
    }

    fn step(&mut self) {
        self.at = (self.at + 1) % self.ring.len();
        self.sum.take_away(std::mem::take(&mut self.ring[self.at]));
    }

    fn roll(&mut self, now: Time) {
        let Some(bucket) = self.bucket else { return };
        let epoch = now.since(Time::ZERO).0 / bucket.0;
        for _ in 0..(epoch - self.epoch).min(self.ring.len() as u64) {
            self.step();
        }
        self.epoch = epoch;
    }

    /// What is in it now.
    pub fn counts(&mut self, now: Time) -> Counts {
        self.roll(now);
        self.sum
    }

    /// A call has ended.
    pub fn record(&mut self, failed: bool, slow: bool, now: Time) {
        if self.bucket.is_none() {
            self.step();
        }
        self.roll(now);
        let call = Counts {
            calls: 1,
            failures: u32::from(failed),
            slow: u32::from(slow),
        };
        self.ring[self.at].add(call);
        self.sum.add(call);
    }
}
