//! What was observed of a figure, and how far it is from the known answer.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::experiment::VariantResult;
use crate::math::normal_quantile;
use crate::theory::station::{Figure, Known};
use crate::theory::{Claim, Finding, Unit, Verdict, Z_MAX};

/// Below this share the difference of two sums of the same numbers is rounding.
const ROUNDING: f64 = 1e-9;
/// Where nothing is random, edges of the measured window are allowed this share.
const EDGES: f64 = 1e-3;

/// A figure by replication, and the error of its measurement, such as the width of a histogram's bucket.
pub(super) struct Sample {
    pub values: Vec<f64>,
    pub resolution: f64,
}

impl Sample {
    pub fn of(values: Vec<f64>) -> Option<Sample> {
        (!values.is_empty() && values.iter().all(|value| value.is_finite())).then_some(Sample { values, resolution: 0.0 })
    }

    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// The standard error of the mean; `None` with a single replication.
    pub fn standard_error(&self) -> Option<f64> {
        let n = self.values.len();
        if n < 2 {
            return None;
        }
        let mean = self.mean();
        let squares: f64 = self.values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let error = (squares / (n as f64 - 1.0) / n as f64).sqrt();
        // What is always the same varies by rounding.
        if error <= 1e-12 * mean.abs() {
            return Some(0.0);
        }
        // A value may be anywhere in its bucket.
        Some((error * error + self.resolution * self.resolution / 3.0).sqrt())
    }

    /// The difference from `theory` as a normal deviate with the tail of Student's t.
    pub fn z(&self, theory: f64) -> Option<f64> {
        let error = self.standard_error()?;
        let difference = self.mean() - theory;
        if error == 0.0 {
            return None;
        }
        let t = difference / error;
        let degrees = self.values.len() as f64 - 1.0;
        let tail = StudentsT::new(0.0, 1.0, degrees)
            .expect("positive degrees of freedom")
            .sf(t.abs());
        // Beyond this the tail has no digits.
        let z = if tail > 1e-15 { -normal_quantile(tail) } else { 8.0 };
        Some(round(z.clamp(0.0, 8.0) * t.signum()))
    }
}

/// Rounds away the digits in which one platform differs from another.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// A known figure beside what was observed.
pub(super) fn compare(known: &Known, result: &VariantResult) -> Finding {
    finding(known, sample(known.figure, result))
}

/// The same with the sample at hand.
pub(super) fn finding(known: &Known, sample: Option<Sample>) -> Finding {
    let (quantity, unit) = named(known.figure);
    let z = sample.as_ref().and_then(|sample| sample.z(known.value));
    let verdict = sample
        .as_ref()
        .map_or(Verdict::Undecided, |sample| verdict(known.claim, known.value, sample, z));
    let z = match (known.claim, verdict, z) {
        (Claim::AtLeast | Claim::AtMost, Verdict::Agrees, Some(_)) => Some(0.0),
        _ => z,
    };
    Finding {
        subject: known.subject.clone(),
        model: known.model.clone(),
        quantity,
        unit,
        claim: known.claim,
        theory: known.value,
        observed: sample.as_ref().map(Sample::mean),
        standard_error: sample.as_ref().and_then(Sample::standard_error),
        z,
        verdict,
        source: known.source,
    }
}

fn verdict(claim: Claim, theory: f64, sample: &Sample, z: Option<f64>) -> Verdict {
    let difference = sample.mean() - theory;
    let relative = difference.abs() / theory.abs().max(f64::MIN_POSITIVE);
    let beyond = match z {
        Some(z) => z.abs() > Z_MAX && relative > ROUNDING,
        // Nothing is random.
        None if sample.values.len() > 1 => relative > EDGES && difference.abs() > ROUNDING,
        None => return Verdict::Undecided,
    };
    let differs = match claim {
        Claim::Exact | Claim::Law => beyond,
        Claim::AtLeast => beyond && difference < 0.0,
        Claim::AtMost => beyond && difference > 0.0,
        Claim::Limit { .. } => return if beyond { Verdict::Approximate } else { Verdict::Agrees },
    };
    if differs { Verdict::Differs } else { Verdict::Agrees }
}

fn named(figure: Figure) -> (&'static str, Unit) {
    const QUANTILES: [&str; 7] = ["p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99"];
    match figure {
        Figure::Sojourn(_) => ("mean sojourn", Unit::Seconds),
        Figure::SojournQuantile(_, place) | Figure::LatencyQuantile(_, place) => (QUANTILES[place], Unit::Seconds),
        Figure::Wait(_) => ("mean wait", Unit::Seconds),
        Figure::Waits(_) => ("share that waits", Unit::Share),
        Figure::InSystem(_) => ("mean number there", Unit::Number),
        Figure::Utilization(_) => ("utilization", Unit::Share),
        Figure::Loss(_) => ("share turned away", Unit::Share),
        Figure::Latency(_) => ("mean latency", Unit::Seconds),
        Figure::Attempts(_) => ("attempts per request", Unit::Number),
        Figure::Availability(_) => ("availability", Unit::Share),
        Figure::Throughput(_) => ("throughput", Unit::PerSecond),
    }
}

fn ratios(over: impl Iterator<Item = (f64, f64)>) -> Option<Sample> {
    Sample::of(over.map(|(part, whole)| part / whole).collect())
}

/// What was observed, by replication.
fn sample(figure: Figure, result: &VariantResult) -> Option<Sample> {
    let seconds = |totals: &[(f64, f64)]| ratios(totals.iter().map(|&(sum, count)| (sum * 1e-9, count)));
    let quantile = |latency: &crate::experiment::fold::LatencyFold, place: usize| {
        if latency.values_missing(place).is_some() {
            return None;
        }
        let values = latency.quantile_of_each(place)?.iter().map(|nanos| nanos * 1e-9).collect();
        let p = crate::experiment::fold::QUANTILES[place];
        let width = latency
            .pooled
            .quantile_bucket(p)
            .map_or(0.0, |bucket| bucket.half_width() * 1e-9);
        Sample::of(values).map(|sample| Sample {
            resolution: width,
            ..sample
        })
    };
    match figure {
        Figure::Sojourn(service) => seconds(&result.services[service as usize].latency.totals),
        Figure::SojournQuantile(service, place) => quantile(&result.services[service as usize].latency, place),
        Figure::Wait(service) => seconds(&result.services[service as usize].queue_wait.totals),
        Figure::Waits(service) => {
            let service = &result.services[service as usize];
            let served = service.queue_wait.totals.iter().map(|total| total.1);
            ratios(service.waited.iter().copied().zip(served))
        }
        Figure::InSystem(service) => Sample::of(result.services[service as usize].in_flight.clone()),
        Figure::Utilization(service) => {
            let service = &result.services[service as usize];
            let capacity = service.capacity? * service.endpoints.1 as f64;
            Sample::of(service.busy.iter().map(|busy| busy / capacity).collect())
        }
        Figure::Loss(service) => {
            let service = &result.services[service as usize];
            ratios(service.failed.iter().copied().zip(service.arrived.iter().copied()))
        }
        Figure::Latency(client) => seconds(&result.clients[client as usize].latency.totals),
        Figure::LatencyQuantile(client, place) => quantile(&result.clients[client as usize].latency, place),
        Figure::Attempts(client) => {
            let client = &result.clients[client as usize];
            ratios(client.attempts.iter().copied().zip(client.requests.iter().copied()))
        }
        Figure::Availability(client) => {
            let client = &result.clients[client as usize];
            let pairs = client.failed.iter().zip(&client.requests);
            ratios(pairs.map(|(failed, requests)| (requests - failed, *requests)))
        }
        Figure::Throughput(client) => {
            let window = result.measured_nanos as f64 * 1e-9;
            Sample::of(
                result.clients[client as usize]
                    .requests
                    .iter()
                    .map(|requests| requests / window)
                    .collect(),
            )
        }
    }
}

/// Warm-ups shorter than so many relaxation times leave something of the empty begin.
const RELAXATIONS: f64 = 10.0;

/// What to bear in mind of these runs.
pub(super) fn caveats(result: &VariantResult, relaxation: &[(String, f64)]) -> Vec<String> {
    let mut caveats = Vec::new();
    if result.replications < 2 {
        caveats.push("one replication has no standard error: use --replications 10".to_string());
    } else if result.replications < 5 {
        caveats.push(format!(
            "{} replications tell large differences only: use --replications 10",
            result.replications
        ));
    }
    let warmup = result.warmup.as_secs_f64();
    for (subject, seconds) in relaxation {
        if warmup < RELAXATIONS * seconds {
            caveats.push(format!(
                "{subject} remembers its empty begin for about {}, and the warm-up is {}: the mean is biased towards less load",
                crate::report::format::seconds(*seconds),
                crate::report::format::seconds(warmup)
            ));
        }
    }
    caveats
}
