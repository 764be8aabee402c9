//! The event list against heaps: one event taken and one added while so many are pending ("hold"), the gaps mixed as a mesh
//! mixes them (half of them the mean, most others a twentieth, some a hundredfold: timeouts).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use meshsim::engine::{EventList, Sequence};
use meshsim::random::{Distribution, Rng};
use meshsim::time::Time;

const HOLDS: u64 = 100_000;

/// What is compared.
trait List {
    fn push(&mut self, time: u64, sequence: u64);
    fn pop(&mut self) -> u64;
}

impl List for EventList<u64> {
    fn push(&mut self, time: u64, sequence: u64) {
        EventList::push(self, Time(time), Sequence(sequence), sequence);
    }
    fn pop(&mut self) -> u64 {
        self.pop_until(Time::MAX).expect("events are pending").0.0
    }
}

impl List for BinaryHeap<Reverse<(u64, u64, u64)>> {
    fn push(&mut self, time: u64, sequence: u64) {
        BinaryHeap::push(self, Reverse((time, sequence, sequence)));
    }
    fn pop(&mut self) -> u64 {
        BinaryHeap::pop(self).expect("events are pending").0.0
    }
}

/// A heap whose nodes have four children: fewer levels, and the children of a node lie together.
#[derive(Default)]
struct FourAry(Vec<(u64, u64, u64)>);

impl List for FourAry {
    fn push(&mut self, time: u64, sequence: u64) {
        let entry = (time, sequence, sequence);
        let mut at = self.0.len();
        self.0.push(entry);
        while at > 0 && entry < self.0[(at - 1) / 4] {
            self.0[at] = self.0[(at - 1) / 4];
            at = (at - 1) / 4;
        }
        self.0[at] = entry;
    }
    fn pop(&mut self) -> u64 {
        let last = self.0.pop().expect("events are pending");
        let Some(&first) = self.0.first() else { return last.0 };
        let (mut at, len) = (0, self.0.len());
        while let Some(child) = (4 * at + 1..(4 * at + 5).min(len)).min_by_key(|&child| self.0[child])
            && self.0[child] < last
        {
            self.0[at] = self.0[child];
            at = child;
        }
        self.0[at] = last;
        first.0
    }
}

fn gap(rng: &mut Rng) -> u64 {
    let scale = match rng.below(100) {
        0..50 => 1.0,
        50..94 => 0.05,
        _ => 100.0,
    };
    Distribution::Exponential { mean: scale * 1e6 }.sample(&mut rng.draws()) as u64
}

fn hold<L: List>(list: &mut L, gaps: &[u64], sequence: &mut u64) -> u64 {
    let mut last = 0;
    for gap in gaps {
        last = list.pop();
        list.push(last + gap, *sequence);
        *sequence += 1;
    }
    last
}

fn bench<L: List>(c: &mut Criterion, name: &str, make: impl Fn() -> L) {
    let mut group = c.benchmark_group("hold");
    group.throughput(Throughput::Elements(HOLDS)).sample_size(10);
    for pending in [16_u64, 100, 1_000, 10_000, 100_000, 1_000_000] {
        let mut rng = Rng::new(1);
        let gaps: Vec<u64> = (0..HOLDS).map(|_| gap(&mut rng)).collect();
        let mut list = make();
        let mut sequence = 0;
        for _ in 0..pending {
            list.push(gap(&mut rng), sequence);
            sequence += 1;
        }
        group.bench_function(BenchmarkId::new(name, pending), |b| {
            b.iter(|| black_box(hold(&mut list, &gaps, &mut sequence)));
        });
    }
    group.finish();
}

fn event_list(c: &mut Criterion) {
    bench(c, "wheel", EventList::<u64>::new);
    bench(c, "four_ary_heap", FourAry::default);
    bench(c, "binary_heap", BinaryHeap::<Reverse<(u64, u64, u64)>>::new);
}

criterion_group!(benches, event_list);
criterion_main!(benches);
