//! What a caller finds out itself about its endpoints, and what it does about it.

use std::sync::Arc;

use super::Cluster;
use crate::policy::health_check::Checker;
use crate::policy::watch::{Notice, Watcher};
use crate::policy::{EndpointIndex, Health, health_check};
use crate::time::{Duration, Time};

impl Cluster {
    /// From now on this caller believes `health` of an endpoint of the list.
    pub fn on_health(&mut self, endpoint: EndpointIndex, health: Health, now: Time) {
        let health = match &mut self.watch {
            None => health,
            Some(watch) => {
                watch.on_discovered(endpoint, health);
                watch.health(endpoint)
            }
        };
        self.believe(endpoint, health, now);
    }

    /// When [`Cluster::on_timer`] is to be called next; [`Time::MAX`]: never. What is called earlier may change it.
    #[inline]
    pub fn next_timer(&self) -> Time {
        self.watch.as_ref().map_or(Time::MAX, |watch| watch.next_timer())
    }

    /// The same without health checks, for a driver that sees to these by [`Cluster::first_check`].
    #[inline]
    pub fn next_timer_but_checks(&self) -> Time {
        self.watch.as_ref().map_or(Time::MAX, |watch| watch.next_timer_but_checks())
    }

    /// How many endpoints outlier detection has out.
    pub fn ejected(&self) -> u32 {
        self.watch
            .as_ref()
            .map_or(0, |watch| watch.count_out(Watcher::OutlierDetection))
    }

    /// When the next health check is due, and of whom.
    #[inline]
    pub fn first_check(&self) -> Option<(Time, EndpointIndex)> {
        self.checker().and_then(Checker::first)
    }

    #[inline]
    fn checker(&self) -> Option<&Checker> {
        self.watch.as_ref().and_then(|watch| watch.checker())
    }

    /// If all checks of an endpoint that pass would change nothing as long as nothing else happens: leaves them to the driver, which need
    /// not make them, and says when the next is due. The driver gives them back by [`Cluster::unpark_check`] when a check could fail, or
    /// the endpoint is taken out by anybody.
    pub fn park_check(&mut self, endpoint: EndpointIndex) -> Option<Time> {
        self.watch.as_mut().and_then(|watch| watch.park_check(endpoint))
    }

    /// Whether the checks of an endpoint are the driver's. They are not any more once the endpoint has left the list.
    pub fn is_check_parked(&self, endpoint: EndpointIndex) -> bool {
        self.checker().is_some_and(|checker| checker.is_parked(endpoint))
    }

    /// The driver gives the checks of an endpoint back, after `ended` that passed. `due`: when the next is; `None`: one is on its way.
    pub fn unpark_check(&mut self, endpoint: EndpointIndex, ended: u32, due: Option<Time>) {
        if let Some(watch) = &mut self.watch {
            watch.unpark_check(endpoint, ended, due);
        }
    }

    /// The pause after a check of the driver's that passed, when `ended` others have since they are the driver's.
    pub fn steady_pause(&self, endpoint: EndpointIndex, ended: u32) -> Duration {
        let pause = |checker: &Checker| checker.steady_pause(endpoint, ended);
        self.checker().map_or(Duration::MAX, pause)
    }

    /// That pause, where it is always the same.
    pub fn constant_pause(&self) -> Option<Duration> {
        self.checker().and_then(Checker::constant_pause)
    }

    /// Time has come to [`Cluster::next_timer`].
    pub fn on_timer(&mut self, now: Time) {
        if let Some(watch) = &mut self.watch {
            watch.on_timer(now);
            self.obey_waiting(now);
            self.obey_watch(now);
        }
    }

    /// Periodic work of this caller begins after this share of its period, from 0 to 1; without a call it begins with a whole one. To
    /// be called once, at the start.
    pub fn set_phase(&mut self, share: f64, now: Time) {
        if let Some(watch) = &mut self.watch {
            watch.set_phase(share, now);
        }
    }

    /// Attempts that will be said to have timed out or to be reset had a connection, unless they are connect failures: where Envoy counts
    /// attempts without an answer by themselves it counts their connection too. Without this a driver says nothing of connections.
    pub fn expect_connections(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.expect_connections();
        }
    }

    /// An endpoint that is to be asked now whether it is well, and how long to wait for its answer; to be called when time has come to
    /// [`Cluster::next_timer`], until there is none.
    #[inline]
    pub fn next_check(&mut self, now: Time) -> Option<(EndpointIndex, Duration)> {
        self.watch.as_mut().and_then(|watch| watch.next_check(now))
    }

    /// What a health check has found, or (an immediate failure) what a request's answer has said of it.
    pub fn on_checked(&mut self, endpoint: EndpointIndex, finding: health_check::Finding, now: Time) {
        if let Some(watch) = &mut self.watch {
            watch.on_checked(endpoint, finding, now);
            self.obey_watch(now);
        }
    }

    /// What this caller has decided about its endpoints since the last call, one at a time, the oldest first.
    #[inline]
    pub fn next_notice(&mut self) -> Option<Notice> {
        self.watch.as_mut().and_then(|watch| watch.next_notice())
    }

    /// Does what the watchers have decided.
    #[inline]
    pub(super) fn obey_watch(&mut self, now: Time) {
        while let Some(watch) = &mut self.watch
            && let Some(endpoint) = watch.next_decision()
        {
            let health = watch.health(endpoint);
            if self.view.health(endpoint) != health && !watch.holds_back(endpoint, now) {
                self.believe(endpoint, health, now);
            }
        }
    }

    /// Obeys what has waited for others.
    pub(super) fn obey_waiting(&mut self, now: Time) {
        while let Some(watch) = &mut self.watch
            && let Some(endpoint) = watch.next_waiting(now)
        {
            let health = watch.health(endpoint);
            // Who has left the list since is nobody's concern any more.
            if !self.view.listing().is_retired(endpoint) {
                self.believe(endpoint, health, now);
            }
        }
    }

    /// Tells the watchers of endpoints that are new to them, and takes their word for how these are.
    pub(super) fn watch_new_endpoints(&mut self, is_new: impl Fn(EndpointIndex) -> bool, now: Time) {
        let Some(watch) = &mut self.watch else { return };
        let view = Arc::clone(&self.view);
        for &endpoint in view.endpoints().iter().filter(|&&endpoint| is_new(endpoint)) {
            watch.on_added(endpoint, view.health(endpoint), now);
        }
        for &endpoint in view.endpoints() {
            let watch = self.watch.as_ref().expect("it is there");
            let health = watch.health(endpoint);
            self.believe(endpoint, health, now);
        }
    }

    /// From now on this caller takes an endpoint of the list to be so.
    pub(super) fn believe(&mut self, endpoint: EndpointIndex, health: Health, now: Time) {
        if self.health(endpoint) != health {
            let next = self.view.with_health(endpoint, health, &mut self.place);
            self.come_to(next);
            self.update_sets(self.view.listing().level_of(endpoint), now);
        }
    }
}
