//! What health checks add to a run. A check that is known to pass is left out (`model/steady.rs`), so most cost little or nothing.

use crate::policy::health_check::Probe;
use crate::scenario::schema::Document;
use crate::scenario::schema::mesh::Mesh;
use crate::scenario::schema::topology::Service;
use crate::scenario::schema::values::{Inherited, Limit};
use crate::time::Duration;

/// A check that may be left out whole is looked at now and then, where latencies are drawn.
const WHEN_LEFT_OUT: f64 = 1.0 / 64.0;
/// Of one that may find all slots taken, the arrival is left.
const TO_ARRIVAL: f64 = 1.0;
/// One that is work for the endpoint is sent, arrives, works, is answered, and has a timer.
const WITH_WORK: f64 = 5.0;

/// Events of the health checks of one endpoint of a service by one caller, in one run.
pub(super) fn events(document: &Document, service: &Service) -> f64 {
    let outer = document.mesh.as_ref().map(|mesh| &mesh.checked().health_check);
    let inner = service
        .mesh
        .as_ref()
        .map(|mesh: &crate::scenario::decode::Field<Mesh>| &mesh.checked().health_check);
    let setting = [inner, outer]
        .into_iter()
        .flatten()
        .find(|setting| !matches!(setting, Inherited::Unset));
    let Some(Inherited::Set(field)) = setting else {
        return 0.0;
    };
    let options = field.checked();
    let is_unlimited = service
        .concurrency
        .as_ref()
        .is_none_or(|limit| matches!(limit.checked(), Limit::Unlimited));
    let each = match options.probe() {
        Probe::Connection => WHEN_LEFT_OUT,
        Probe::Request if options.work() > Duration::ZERO => WITH_WORK,
        Probe::Request if is_unlimited => WHEN_LEFT_OUT,
        Probe::Request => TO_ARRIVAL,
    };
    each * document.duration.checked().as_secs_f64() / options.interval().as_secs_f64()
}
