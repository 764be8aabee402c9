//! What a draw costs, beside inversion by `libm` and the ziggurats of `rand_distr`.
//!
//! Each variate has a key of its own, as in the model, so a part of each figure (see `key alone`) is the mixing of the key.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use meshsim::math;
use meshsim::random::{Distribution, Key};
use rand_distr::Distribution as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// Variates of one iteration, so that the loop around it costs nothing.
const BATCH: u64 = 1000;

/// Sums a batch of draws with keys of their own.
fn batch(draw: impl Fn(Key) -> f64) -> f64 {
    (0..BATCH).map(|id| draw(Key(7).with(id))).sum()
}

fn draws(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("draw");
    group.throughput(criterion::Throughput::Elements(BATCH));
    group.bench_function("key alone", |b| b.iter(|| batch(|key| key.unit())));
    for (name, distribution) in [
        ("exponential", Distribution::Exponential { mean: 5e6 }),
        ("lognormal", Distribution::Lognormal { mu: 15.0, sigma: 1.0 }),
        ("gamma", Distribution::Gamma { shape: 4.0, scale: 1e6 }),
        ("weibull", Distribution::Weibull { power: 0.8, scale: 5e6 }),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| batch(|key| black_box(&distribution).sample(&mut key.draws())))
        });
    }
    group.bench_function("exponential by libm", |b| {
        b.iter(|| batch(|key| -libm::log(key.unit()) * 5e6))
    });
    let by_libm = |key: Key| libm::exp(15.0 + math::normal_quantile(key.unit()));
    group.bench_function("lognormal by libm and AS 241", |b| b.iter(|| batch(by_libm)));
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let exponential = rand_distr::Exp::new(2e-7).expect("a rate");
    group.bench_function("exponential by rand_distr", |b| {
        b.iter(|| (0..BATCH).map(|_| exponential.sample(&mut rng)).sum::<f64>())
    });
    let lognormal = rand_distr::LogNormal::new(15.0, 1.0).expect("a deviation");
    group.bench_function("lognormal by rand_distr", |b| {
        b.iter(|| (0..BATCH).map(|_| lognormal.sample(&mut rng)).sum::<f64>())
    });
    group.finish();
}

criterion_group!(benches, draws);
criterion_main!(benches);
