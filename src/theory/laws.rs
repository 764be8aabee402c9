//! Laws that hold of any run: Little's, the utilisation law, flow. What they leave open is who crosses the edges of the measured window.

use crate::experiment::VariantResult;
use crate::model::plan::{Discipline, Owner, UNLIMITED};
use crate::theory::observed::{Sample, finding};
use crate::theory::station::{Figure, Known};
use crate::theory::walk::View;
use crate::theory::{Claim, Finding};

pub(super) const LITTLE: &str = "Little, Operations Research 9 (3), 1961";
const DENNING: &str = "Denning and Buzen, Computing Surveys 10 (3), 1978";

/// All of them, by service and client.
pub(super) fn laws(view: &View<'_>, result: &VariantResult) -> Vec<Finding> {
    let mut findings = Vec::new();
    let window = result.measured_nanos as f64 * 1e-9;
    for (service, fold) in result.services.iter().enumerate() {
        let number = service as u32;
        let subject = format!("service {}", view.names.services[service]);
        let known = |model: &str, figure, claim, value, source| Known {
            subject: subject.clone(),
            model: model.to_string(),
            figure,
            claim,
            value,
            source,
        };
        if fold.arrived.iter().all(|&arrived| arrived == 0.0) {
            continue;
        }
        // The number there by replication, less what the law says.
        let said: Vec<f64> = fold.latency.totals.iter().map(|&(sum, _)| sum * 1e-9 / window).collect();
        let all_succeed = fold.failed.iter().all(|&failed| failed == 0.0);
        let claim = if all_succeed { Claim::Law } else { Claim::AtLeast };
        let model = match all_succeed {
            true => "Little's law: arrivals times mean sojourn",
            false => "Little's law, without those that failed",
        };
        let law = known(model, Figure::InSystem(number), claim, mean(&said), LITTLE);
        findings.push(paired(&law, &fold.in_flight, &said));
        let row = &view.plan.services[service];
        let is_bounded = row.concurrency != UNLIMITED || row.discipline == Discipline::ProcessorSharing;
        let operations = row.first_operation..row.first_operation + row.operation_count;
        let holds_slots = row.threading == crate::model::plan::Threading::Sync
            && operations
                .clone()
                .any(|operation| !view.operation(operation).sites.is_empty());
        if let (true, false, Some(capacity)) = (is_bounded, holds_slots, fold.capacity) {
            let capacity = capacity * fold.endpoints.1 as f64;
            let said: Vec<f64> = fold.work.iter().map(|work| work.0 / window / capacity).collect();
            let busy: Vec<f64> = fold.busy.iter().map(|busy| busy / capacity).collect();
            let law = known(
                "utilisation law: arrivals times mean work",
                Figure::Utilization(number),
                Claim::Law,
                mean(&said),
                DENNING,
            );
            findings.push(paired(&law, &busy, &said));
        }
    }
    for (client, fold) in result.clients.iter().enumerate() {
        let site = view.plan.clients[client].site;
        let cluster = &view.plan.clusters[view.plan.sites[site as usize].cluster as usize];
        debug_assert!(matches!(cluster.owner, Owner::Client(_)));
        if let Some(retry) = cluster.config.retry.as_ref().filter(|_| cluster.config.hedging.is_none()) {
            let simple = retry.grpc.is_none() && retry.linkerd.is_none() && retry.finagle.is_none() && retry.aws.is_none();
            let per_request = fold
                .attempts
                .iter()
                .zip(&fold.requests)
                .map(|(attempts, requests)| attempts / requests);
            if let (true, Some(sample)) = (simple, Sample::of(per_request.collect())) {
                let bound = Known {
                    subject: format!("client {}", view.names.clients[client]),
                    model: "retries are limited".to_string(),
                    figure: Figure::Attempts(client as u32),
                    claim: Claim::AtMost,
                    value: 1.0 + f64::from(retry.num_retries),
                    source: "flow",
                };
                findings.push(finding(&bound, Some(sample)));
            }
        }
    }
    findings
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// A law about two figures of each replication: their difference is what varies.
fn paired(law: &Known, observed: &[f64], said: &[f64]) -> Finding {
    let shifted = observed.iter().zip(said).map(|(observed, said)| observed - said + law.value);
    finding(law, Sample::of(shifted.collect()))
}
