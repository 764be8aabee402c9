//! The result of a run as bytes. A field that is added to a result does not compile here until it is named: nothing is lost unseen.

use crate::experiment::{Cell, Warmups, Warning};
use crate::model::result::{
    Beliefs, BeliefsOverTime, ClientResult, EdgeResult, EndpointResult, Failures, IncidentResult, RunResult, ServiceResult,
    WindowResult,
};
use crate::sweep::bytes::{Encoded, Reader, Writer};

macro_rules! records {
    ($($record:ident { $($field:ident),* $(,)? })*) => {$(
        impl Encoded for $record {
            fn encode(&self, to: &mut Writer) {
                let $record { $($field),* } = self;
                $($field.encode(to);)*
            }
            fn decode(from: &mut Reader<'_>) -> Option<$record> {
                $(let $field = Encoded::decode(from)?;)*
                Some($record { $($field),* })
            }
        }
    )*};
}

records! {
    Cell { variant, replication }
    Warmups { cuts, warnings }
    RunResult {
        digest, events_total, simulated_nanos, measured_nanos, clients, edges, services, endpoints, windows, incidents, in_system,
        fault_windows,
    }
    WindowResult { measured_nanos, clients, edges, services, endpoints }
    IncidentResult {
        fault, struck, has_base, began, ended, callers, detected, detect_nanos, eject, shift, recover, lasts_to_the_end, requests,
        failures, failures_expected_micros,
    }
    ClientResult {
        requests, failures, attempts, latency, failed_latency, latency_over_time, requests_over_time, failures_over_time,
        attempts_over_time, answerers_over_time,
    }
    EdgeResult { calls, attempts, failures, latency }
    ServiceResult {
        attempts, failures, latency, queue_wait, waited, in_flight_nanos, work_nanos, wasted_nanos, ejections, ejections_spared,
        beliefs, beliefs_over_time, belief_delay, stale_requests, connections, attempts_over_time, failures_over_time,
        in_flight_over_time,
    }
    Beliefs { out_nanos, known_nanos, panic_nanos, caller_nanos }
    BeliefsOverTime { out, known, panic, callers }
    EndpointResult { attempts, failures, served, queue_wait_nanos, busy_nanos, attempts_over_time }
    Failures {
        timeout, per_try_timeout, connect_failure, reset, no_endpoint, overflow, circuit_open, throttled, unfinished, statuses,
    }
}

impl Encoded for Warning {
    fn encode(&self, to: &mut Writer) {
        match *self {
            Warning::FewReplications { replications } => (0_u8, replications).encode(to),
            Warning::NotSettled { variant } => (1_u8, variant).encode(to),
            Warning::ShortRun { warmup, duration } => (2_u8, warmup, duration).encode(to),
            Warning::Overloaded { .. } | Warning::Saturated { .. } | Warning::NotStationary { .. } => {
                unreachable!("these are found in folded results, which no shard has")
            }
        }
    }

    fn decode(from: &mut Reader<'_>) -> Option<Warning> {
        Some(match u8::decode(from)? {
            0 => Warning::FewReplications {
                replications: Encoded::decode(from)?,
            },
            1 => Warning::NotSettled {
                variant: Encoded::decode(from)?,
            },
            2 => Warning::ShortRun {
                warmup: Encoded::decode(from)?,
                duration: Encoded::decode(from)?,
            },
            _ => return None,
        })
    }
}
