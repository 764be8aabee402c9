//! The incidents of one variant's replications: for each fault one number per replication wherever an interval is wanted.

use crate::model::result::IncidentResult;

/// How a fault went, by replication. Times are in seconds; [`f64::INFINITY`] says that it did not come to that within the run, `None` that
/// there was nothing to tell: the fault did not occur, nobody was concerned, or it lasted to the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IncidentFold {
    /// When it began for the first time in any replication, and when it ended for the last time.
    pub span: Option<(f64, f64)>,
    /// How often it occurred.
    pub occurrences: Vec<f64>,
    /// From the begin until a caller took an endpoint struck out; mean over those that did.
    pub detect: Vec<Option<f64>>,
    /// Callers that did, and callers that were concerned.
    pub detected: Vec<(f64, f64)>,
    /// From the begin until all callers had all endpoints struck out.
    pub eject: Vec<Option<f64>>,
    /// From the begin until endpoints struck got hardly any attempts.
    pub shift: Vec<Option<f64>>,
    /// From the end until clients were as well off as before.
    pub recover: Vec<Option<f64>>,
    /// Requests that failed because of it.
    pub lost: Vec<f64>,
}

impl IncidentFold {
    /// Adds the occurrences of a fault in the next replication.
    pub fn add<'a>(&mut self, incidents: impl Iterator<Item = &'a IncidentResult>) {
        let all: Vec<&IncidentResult> = incidents.collect();
        for incident in &all {
            let (from, to) = (incident.began as f64 / 1e9, incident.ended as f64 / 1e9);
            let (first, last) = self.span.unwrap_or((from, to));
            self.span = Some((first.min(from), last.max(to)));
        }
        let (callers, detected, nanos) = all.iter().fold((0, 0, 0), |(callers, detected, nanos), incident| {
            (
                callers + incident.callers,
                detected + incident.detected,
                nanos + incident.detect_nanos,
            )
        });
        self.occurrences.push(all.len() as f64);
        self.detected.push((f64::from(detected), f64::from(callers)));
        self.detect.push(match (callers, detected) {
            (0, _) => None,
            (_, 0) => Some(f64::INFINITY),
            _ => Some(nanos as f64 / 1e9 / f64::from(detected)),
        });
        let watched = |incident: &&&IncidentResult| incident.callers > 0;
        self.eject
            .push(mean(all.iter().filter(watched).map(|incident| incident.eject)));
        let struck = |incident: &&&IncidentResult| incident.struck > 0;
        self.shift
            .push(mean(all.iter().filter(struck).map(|incident| incident.shift)));
        let is_over = |incident: &&&IncidentResult| incident.has_base && !incident.lasts_to_the_end;
        self.recover
            .push(mean(all.iter().filter(is_over).map(|incident| incident.recover)));
        let lost = |incident: &&IncidentResult| incident.failures as f64 - incident.failures_expected_micros as f64 / 1e6;
        self.lost.push(all.iter().map(lost).sum());
    }
}

/// The mean in seconds; infinite if one of them was not reached.
fn mean(nanos: impl Iterator<Item = Option<u64>>) -> Option<f64> {
    let (count, sum) = nanos.fold((0, 0.0), |(count, sum), nanos| {
        (count + 1, sum + nanos.map_or(f64::INFINITY, |nanos| nanos as f64 / 1e9))
    });
    (count > 0).then(|| sum / f64::from(count))
}
