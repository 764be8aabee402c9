//! Clients: their call, their load, their keys and where their callers are.

use std::sync::Arc;

use xxhash_rust::xxh64::xxh64;

use super::sites::Call;
use super::topology::spread;
use super::{Compiler, value};
use crate::math;
use crate::model::plan::{ClientPlan, KeyPlan, Load, Owner};
use crate::random::{Arrival, ArrivalConfig, Unit};
use crate::scenario::decode::Field;
use crate::scenario::schema::client::{Client, KeySource};

impl Compiler<'_, '_> {
    pub(super) fn clients(&mut self) {
        let document = self.document;
        let clients = document.clients.checked();
        self.names.clients = clients.names().map(str::to_string).collect();
        for (number, (_, field)) in (0..).zip(clients.iter()) {
            let client = field.checked();
            let site = self.site(&Call {
                owner: Owner::Client(number),
                path: &client.call,
                meshes: &[],
                timeout: value(&client.timeout).copied(),
                criticality: value(&client.criticality).copied(),
                request_size: &client.request_size,
                response_size: &client.response_size,
            });
            let load = self.load(&client.arrivals);
            let keys = self.keys(value(&client.key));
            let caller_zones = self.caller_zones(client);
            self.plan.clients.push(ClientPlan {
                site,
                load,
                keys,
                caller_zones,
                objective: objective(client),
            });
        }
    }

    fn caller_zones(&self, client: &Client) -> Vec<u32> {
        let callers = 0..value(&client.callers).map_or(1, |&callers| callers);
        match value(&client.zone) {
            Some(zone) => callers.map(|_| self.index.zones[zone.as_str()]).collect(),
            None => callers.map(|caller| spread(caller, self.index.zones.len())).collect(),
        }
    }

    fn load(&mut self, field: &Field<ArrivalConfig>) -> Load {
        if let ArrivalConfig::Closed(closed) = field.checked() {
            let think = Field {
                span: field.span,
                value: Some(Box::new(closed.think.clone())),
            };
            let think = self.distribution(&think, Unit::Duration);
            return Load::Closed {
                users: closed.users,
                think: self.add_distribution(think),
            };
        }
        let files = &mut self.shared.files;
        let arrival = field.checked().build(&mut |name| files.read(name));
        Load::Open(arrival.unwrap_or_else(|problem| {
            self.diagnostics.cannot_use_file(field.span, &problem);
            nothing()
        }))
    }

    fn keys(&mut self, source: Option<&KeySource>) -> KeyPlan {
        match source {
            None => KeyPlan::None,
            Some(KeySource::Fixed(text)) => KeyPlan::Fixed {
                hash: xxh64(text.as_bytes(), 0),
                text: text.as_str().into(),
            },
            Some(KeySource::Uniform(uniform)) => KeyPlan::Uniform {
                hashes: self.key_hashes(uniform.keys),
            },
            Some(KeySource::Zipf(zipf)) => KeyPlan::Zipf {
                hashes: self.key_hashes(zipf.keys),
                cumulative: zipf_shares(zipf.keys, zipf.s),
            },
        }
    }

    fn key_hashes(&mut self, keys: u32) -> Arc<[u64]> {
        let hashes = self.shared.key_hashes.entry(keys);
        let made = hashes.or_insert_with(|| (0..keys).map(|key| xxh64(format!("key-{key}").as_bytes(), 0)).collect());
        Arc::clone(made)
    }
}

/// The share of a client's requests that is to succeed, where it does not say.
const OBJECTIVE: f64 = 0.999;

fn objective(client: &Client) -> f64 {
    let slo = value(&client.slo).and_then(|slo| value(&slo.availability));
    slo.map_or(OBJECTIVE, |share| share.value())
}

/// An arrival process that stands for one whose file cannot be used.
fn nothing() -> Arrival {
    let config: Result<ArrivalConfig, serde_json::Error> = serde_json::from_str(r#"{"poisson": {"rate": "1/s"}}"#);
    let config = config.expect("a process in its plainest form");
    config.build(&mut |_| Err(String::new())).expect("it needs no file")
}

/// The share of the keys up to and including each, in proportion to `(k + 1)^-s`; the last is exactly 1.
fn zipf_shares(keys: u32, s: f64) -> Arc<[f64]> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=keys)
        .map(|rank| {
            sum += math::pow(f64::from(rank), -s);
            sum
        })
        .collect();
    sums.iter().map(|up_to| up_to / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::zipf_shares;

    #[test]
    fn shares_follow_zipfs_law() {
        // Harmonic numbers: H(3) = 11/6, so the shares are 6/11, 3/11, 2/11.
        let shares = zipf_shares(3, 1.0);
        for (share, expected) in shares.iter().zip([6.0 / 11.0, 9.0 / 11.0, 1.0]) {
            assert!((share - expected).abs() < 1e-15, "{shares:?}");
        }
        assert_eq!(&*zipf_shares(4, 0.0), &[0.25, 0.5, 0.75, 1.0]);
        assert_eq!(*zipf_shares(100_000, 100.0).last().expect("keys"), 1.0);
    }
}
