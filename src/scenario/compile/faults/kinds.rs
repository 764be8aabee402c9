//! What faults do, each with its label, in which `{}` stands for whom they strike.

use super::super::{Compiler, value};
use crate::model::plan::{
    Astray, ColdStartPlan, CrashMode, FaultKind, InjectPlan, KeyPlan, LeakPlan, LinkEffect, LinkFaultPlan, Outage, Probability,
    WrongPlan,
};
use crate::random::{Quantity, Unit};
use crate::scenario::decode::Field;
use crate::scenario::schema::fault::control::WrongEndpoints;
use crate::scenario::schema::fault::cpu_throttle::CpuThrottle;
use crate::scenario::schema::fault::crash::{self, ColdStart};
use crate::scenario::schema::fault::errors::Errors;
use crate::scenario::schema::fault::inject::Injection;
use crate::scenario::schema::fault::memory_leak::{BackOff, MemoryLeak};
use crate::scenario::schema::fault::network::Latency;
use crate::scenario::schema::fault::pause::Pause;
use crate::scenario::schema::fault::slow::Slow;
use crate::scenario::schema::fault::traffic::{HotKey, Spike};
use crate::scenario::schema::fault::{Fault, network};
use crate::time::Duration;

/// The period of Linux's CFS bandwidth control, and of Kubernetes' limits.
const PERIOD: Duration = Duration::from_millis(100);
/// The kubelet's back-off (pkg/kubelet/kubelet.go: `backOffPeriod` and `MaxContainerBackOff`), forgotten after twice the longest wait.
const BACK_OFF: Duration = Duration::from_secs(10);
const BACK_OFF_MAX: Duration = Duration::from_secs(300);
const BACK_OFF_RESET: Duration = Duration::from_secs(600);
/// How long a process takes to start.
const START: Duration = Duration::from_secs(1);
/// The status of an error that says nothing else.
const STATUS: u16 = 503;

fn mode(field: &Option<Field<crash::CrashMode>>, usual: CrashMode) -> CrashMode {
    match value(field) {
        None => usual,
        Some(crash::CrashMode::Refuse) => CrashMode::Refuse,
        Some(crash::CrashMode::Hang) => CrashMode::Hang,
        Some(crash::CrashMode::Reset) => CrashMode::Reset,
    }
}

fn cold_start(field: &Option<Field<ColdStart>>) -> Option<ColdStartPlan> {
    value(field).map(|start| ColdStartPlan {
        factor: *start.factor.checked(),
        lasts: value(&start.lasts).copied().unwrap_or(Duration::ZERO),
        requests: value(&start.requests).copied().unwrap_or(0),
    })
}

fn crashed(mode: CrashMode, cold_start: Option<ColdStartPlan>, what: &str) -> (FaultKind, String) {
    let what = if mode == CrashMode::Hang && what == "crash" {
        "hang"
    } else {
        what
    };
    let is_node = what == "loss of";
    let kind = FaultKind::Crash {
        mode,
        cold_start,
        is_node,
    };
    (kind, format!("{what} {{}}"))
}

fn bytes(field: &Option<Field<Quantity>>) -> f64 {
    value(field).map_or(0.0, |quantity| quantity.resolve(Unit::Size).expect("it is a size"))
}

fn share(field: &Option<Field<crate::random::Share>>) -> Probability {
    Probability::new(value(field).map_or(1.0, |share| share.value()))
}

fn leak(leak: &MemoryLeak) -> FaultKind {
    let back_off = value(&leak.back_off);
    let or = |ask: fn(&BackOff) -> &Option<Field<Duration>>, usual: Duration| {
        back_off.and_then(|back_off| value(ask(back_off))).copied().unwrap_or(usual)
    };
    FaultKind::Leak(LeakPlan {
        per_request: bytes(&leak.per_request),
        per_second: bytes(&leak.per_second),
        limit: bytes(&leak.limit),
        restart: value(&leak.restart).copied().unwrap_or(START),
        back_off: or(|back_off| &back_off.base_interval, BACK_OFF),
        back_off_max: or(|back_off| &back_off.max_interval, BACK_OFF_MAX),
        back_off_reset: or(|back_off| &back_off.reset, BACK_OFF_RESET),
        cold_start: cold_start(&leak.cold_start),
    })
}

fn throttle(throttle: &CpuThrottle) -> (FaultKind, String) {
    let period = value(&throttle.period).copied().unwrap_or(PERIOD);
    let of_limit = |&cores: &f64| Duration::from_nanos_f64(cores * period.0 as f64);
    let quota = value(&throttle.quota).copied().or(value(&throttle.limit).map(of_limit));
    let quota = quota.expect("a throttle has a quota or a limit").max(Duration(1));
    let kind = FaultKind::Throttle {
        quota,
        period,
        phase: value(&throttle.phase).copied().unwrap_or(Duration::MAX),
    };
    (kind, format!("throttle {{}} to {quota} in {period}"))
}

fn errors(errors: &Errors) -> (FaultKind, String) {
    let code = value(&errors.grpc_code).map(|code| code.http_status());
    let status = code.or(value(&errors.status).copied()).unwrap_or(STATUS);
    let share = share(&errors.share);
    (FaultKind::Errors { share, status }, format!("errors {status} at {{}}"))
}

impl Compiler<'_, '_> {
    /// What the fault does, and its label.
    pub(super) fn kind(&mut self, fault: &Fault) -> (FaultKind, String) {
        if let Some(crash) = value(&fault.crash) {
            return crashed(mode(&crash.mode, CrashMode::Refuse), cold_start(&crash.cold_start), "crash");
        }
        if let Some(restart) = value(&fault.restart) {
            return crashed(
                mode(&restart.mode, CrashMode::Refuse),
                cold_start(&restart.cold_start),
                "restart",
            );
        }
        if let Some(outage) = value(&fault.dependency_outage) {
            return crashed(mode(&outage.mode, CrashMode::Refuse), None, "outage of");
        }
        if let Some(loss) = value(&fault.node_loss) {
            return crashed(mode(&loss.mode, CrashMode::Hang), None, "loss of");
        }
        if let Some(loss) = value(&fault.zone_loss) {
            return crashed(mode(&loss.mode, CrashMode::Hang), None, "loss of");
        }
        if let Some(slow) = value(&fault.slow) {
            return self.slow(slow);
        }
        if let Some(of) = value(&fault.cpu_throttle) {
            return throttle(of);
        }
        if let Some(pause) = value(&fault.pause) {
            return (self.pause(pause), "pause {}".to_string());
        }
        if let Some(of) = value(&fault.errors) {
            return errors(of);
        }
        if let Some(hang) = value(&fault.hang_share) {
            let share = share(&hang.share);
            return (FaultKind::Hang { share }, "some requests hang at {}".to_string());
        }
        if let Some(of) = value(&fault.memory_leak) {
            return (leak(of), "memory leak at {}".to_string());
        }
        self.other_kind(fault)
    }

    /// The kinds that do not strike endpoints.
    fn other_kind(&mut self, fault: &Fault) -> (FaultKind, String) {
        if let Some((ends, _)) = fault.link() {
            let (effect, label) = self.link_effect(fault);
            let (from, to) = self.ends(ends);
            let link = LinkFaultPlan {
                from,
                to,
                one_way: ends.one_way,
                effect,
            };
            return (FaultKind::Link(link), label.to_string());
        }
        if let Some((injection, _)) = fault.injection() {
            let what = match (&fault.delay, &fault.abort) {
                (Some(_), _) => "delay {}",
                (_, Some(_)) => "abort {}",
                _ => "bad configuration for {}",
            };
            return (self.injection(&injection), what.to_string());
        }
        if let Some(slow) = value(&fault.control_plane_slow) {
            let add = slow.add.as_ref().map(|add| self.distribution(add, Unit::Duration));
            let kind = FaultKind::SlowControlPlane {
                factor: value(&slow.factor).copied().unwrap_or(1.0),
                add: add.map(|add| self.add_distribution(add)),
            };
            return (kind, "control plane slow".to_string());
        }
        if let Some(wrong) = value(&fault.wrong_endpoints) {
            return (self.wrong(wrong), "wrong endpoints of {}".to_string());
        }
        if let Some(spike) = value(&fault.spike) {
            return self.spike(spike);
        }
        if let Some(hot_key) = value(&fault.hot_key) {
            return self.hot_key(hot_key);
        }
        let outages = [
            (fault.dns_down.is_some(), Outage::Dns, "DNS down"),
            (fault.registry_down.is_some(), Outage::Registry, "registry down"),
            (fault.control_plane_down.is_some(), Outage::ControlPlane, "control plane down"),
            (fault.stale_endpoints.is_some(), Outage::Stale, "stale endpoints"),
        ];
        let given = outages.into_iter().find(|outage| outage.0);
        let (_, outage, label) = given.expect("a fault has a kind");
        (FaultKind::Outage(outage), label.to_string())
    }

    fn slow(&mut self, slow: &Slow) -> (FaultKind, String) {
        if let Some(&factor) = value(&slow.factor) {
            return (FaultKind::SlowFactor(factor), format!("slow {{}} {factor} times"));
        }
        let add = slow.add.as_ref().expect("slow has a factor or an addition");
        let distribution = self.distribution(add, Unit::Duration);
        let mean = Duration::from_nanos_f64(distribution.mean());
        let distribution = self.add_distribution(distribution);
        (FaultKind::SlowAdd(distribution), format!("slow {{}} by {mean}"))
    }

    fn pause(&mut self, pause: &Pause) -> FaultKind {
        let (Some(every), Some(duration)) = (&pause.every, &pause.duration) else {
            return FaultKind::Pause { again: None };
        };
        let every = self.distribution(every, Unit::Duration);
        let duration = self.distribution(duration, Unit::Duration);
        FaultKind::Pause {
            again: Some((self.add_distribution(every), self.add_distribution(duration))),
        }
    }

    fn link_effect(&mut self, fault: &Fault) -> (LinkEffect, &'static str) {
        if let Some(loss) = value(&fault.loss) {
            let probability = value(&loss.probability).expect("a loss has a probability").value();
            return (LinkEffect::Loss(probability), "loss {}");
        }
        if let Some(latency) = value(&fault.latency) {
            return (LinkEffect::Latency(self.latency(latency)), "latency {}");
        }
        if let Some(network::BandwidthCut { limit, .. }) = value(&fault.bandwidth) {
            let limit = value(limit).expect("a cut has a limit");
            return (LinkEffect::Bandwidth(limit.bits_per_second / 8.0), "bandwidth {}");
        }
        (LinkEffect::Cut, "partition {}")
    }

    /// What adds up to the latency.
    fn latency(&mut self, latency: &Latency) -> Vec<u32> {
        let parts = [&latency.add, &latency.jitter].into_iter().flatten();
        let parts: Vec<_> = parts.map(|part| self.distribution(part, Unit::Duration)).collect();
        parts.into_iter().map(|part| self.add_distribution(part)).collect()
    }

    fn injection(&mut self, injection: &Injection<'_>) -> FaultKind {
        let percentage = |field: Option<&Field<crate::policy::candidates::Percent>>| {
            Probability::new(field.map_or(1.0, |percent| percent.checked().as_share()))
        };
        let delay = injection.delay.map(|(share, span)| {
            let span = self.distribution(span.expect("a delay has a length"), Unit::Duration);
            (percentage(share), self.add_distribution(span))
        });
        let abort = injection.abort.map(|(share, status, code)| {
            let code = code.map(|code| code.checked().http_status());
            (
                percentage(share),
                code.or(status.map(|status| *status.checked())).unwrap_or(STATUS),
            )
        });
        FaultKind::Inject(InjectPlan {
            from: self.party(injection.from),
            to: self.services_named(injection.to),
            callers: Probability::new(injection.share.map_or(1.0, |share| share.checked().value())),
            delay,
            abort,
            timeout: injection.timeout.map_or(Duration::MAX, |timeout| *timeout.checked()),
        })
    }

    fn wrong(&self, wrong: &WrongEndpoints) -> FaultKind {
        FaultKind::Wrong(WrongPlan {
            from: self.party(wrong.from.as_ref()),
            to: self.services_named(wrong.to.as_ref()),
            callers: share(&wrong.share),
            astray: match value(&wrong.status) {
                Some(&status) => Astray::Other(status),
                None => Astray::Nobody(mode(&wrong.mode, CrashMode::Hang)),
            },
        })
    }

    fn spike(&mut self, spike: &Spike) -> (FaultKind, String) {
        let clients = match &spike.client {
            None => (0..self.plan.clients.len() as u32).collect(),
            names => self.clients_named(names.as_ref()),
        };
        let factor = *value(&spike.factor).expect("a spike has a factor");
        (
            FaultKind::Spike { clients, factor },
            format!("{{}} send {factor} times as much"),
        )
    }

    fn hot_key(&mut self, hot_key: &HotKey) -> (FaultKind, String) {
        let has_keys = |client: &u32| {
            let keys = &self.plan.clients[*client as usize].keys;
            matches!(keys, KeyPlan::Uniform { .. } | KeyPlan::Zipf { .. })
        };
        let clients = match &hot_key.client {
            None => (0..self.plan.clients.len() as u32).filter(has_keys).collect(),
            names => self.clients_named(names.as_ref()),
        };
        let key = value(&hot_key.key).copied().unwrap_or(0);
        let kind = FaultKind::HotKey {
            clients,
            share: share(&hot_key.share),
            key,
        };
        (kind, format!("hot key {key} of {{}}"))
    }
}
