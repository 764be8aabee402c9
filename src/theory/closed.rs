//! A closed loop at one station: users who think, send a request and wait for its answer.

use crate::model::plan::{Discipline, Load, Owner, UNLIMITED};
use crate::theory::recognise::{Answered, work_of};
use crate::theory::station::{Figure, Known};
use crate::theory::walk::View;
use crate::theory::{Claim, networks};

const BCMP: &str = "machine repair: Kleinrock, Queueing Systems I, 1975, 3.8; Baskett, Chandy, Muntz and Palacios 1975";

/// Users who wait for their answers, at one station.
pub(super) fn closed_loop(view: &View<'_>, service: u32, site: u32, subject: &str) -> Option<Result<Answered, String>> {
    let Owner::Client(client) = view.owner(site) else {
        return None;
    };
    let Load::Closed { users, think } = view.plan.clients[client as usize].load else {
        return None;
    };
    let row = &view.plan.services[service as usize];
    Some((|| {
        view.trouble(site, row.endpoint_count > 1)?;
        view.service_trouble(service)?;
        let (work, calls) = work_of(view, service, &[site])?;
        let is_free = row.concurrency == UNLIMITED && row.discipline != Discipline::ProcessorSharing;
        if calls {
            return Err("a closed loop through several services".to_string());
        }
        if row.endpoint_count > 1 && !is_free {
            return Err("a closed loop over several endpoints: no closed form".to_string());
        }
        if !work.exponential && !is_free {
            return Err("a closed loop has a closed form only if the work is exponential".to_string());
        }
        let is_shared = row.discipline == Discipline::ProcessorSharing;
        if row.queue_limit != UNLIMITED && row.concurrency != UNLIMITED {
            return Err("a closed loop whose requests are turned away".to_string());
        }
        if is_shared && row.concurrency != UNLIMITED {
            return Err("processor sharing with a limit has no closed form".to_string());
        }
        let Some(network) = view.constant_network() else {
            return Err("a closed loop over a network whose latency is random".to_string());
        };
        let pause = view.plan.distributions[think as usize].mean() * 1e-9 + 2.0 * network;
        if !(pause > 0.0 && pause.is_finite()) {
            return Err("users who do not think".to_string());
        }
        let speed = view.plan.endpoints[row.first_endpoint as usize].speed;
        let service_time = work.mean / speed;
        let servers = match (is_free, is_shared) {
            (true, _) => users,
            (_, true) => row.cores,
            _ => row.concurrency,
        };
        let (response, throughput) = networks::machine_repair(users, pause, service_time, servers);
        let model = format!("M/M/{servers}//{users} (closed loop)");
        let known = |figure, value| Known {
            subject: subject.to_string(),
            model: model.clone(),
            figure,
            claim: Claim::Exact,
            value,
            source: BCMP,
        };
        let mut all = vec![
            known(Figure::Sojourn(service), response),
            known(Figure::Throughput(client), throughput),
        ];
        let busy = throughput * service_time / f64::from(servers);
        // Idle times of one in ten thousand are too rare to be normal.
        if !is_free && busy < 0.9999 {
            all.push(known(Figure::Utilization(service), busy));
        }
        Ok((all, f64::from(users) * (pause + service_time)))
    })())
}
