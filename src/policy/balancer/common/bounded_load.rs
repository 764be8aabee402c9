//! Consistent hashing with bounded loads, as Envoy does it: who is over its share passes the call on.
//!
//! The bound is that of Mirrokni, Thorup and Zadimoghaddam (arXiv 1608.01350), the order of probing that of arXiv 1908.08762: not
//! along the ring but random, with the request's hash as seed (Envoy's `BoundedLoadHashingLoadBalancer` in
//! `source/extensions/load_balancing_policies/common/thread_aware_lb_impl.cc`).

use crate::policy::balancer::common::mt19937::Mt19937;

/// How full an endpoint is: its active requests by the slots that its normalized weight gives it. Above 1 it is overloaded.
pub fn overload(active: u32, active_total: u64, hash_balance_factor: u32, normalized_weight: f64) -> f64 {
    let total_slots = ((active_total + 1) * u64::from(hash_balance_factor)).div_ceil(100);
    let slots = (total_slots as f64 * normalized_weight).ceil().max(1.0);
    f64::from(active) / slots
}

/// The first of 0..count with an overload of at most 1, beginning with `first` and then in the order that `hash` gives; the least
/// overloaded if there is none. `order` is room that is kept from call to call.
pub fn choose(first: u32, count: u32, hash: u64, overload: impl Fn(u32) -> f64, order: &mut Vec<u32>) -> u32 {
    let mut least = (overload(first), first);
    if least.0 <= 1.0 {
        return first;
    }
    let mut generator = Mt19937::new(hash as u32);
    order.clear();
    order.extend(0..count);
    for i in 0..count {
        let place = next_place(&mut generator, order, i);
        if place == first {
            continue;
        }
        let found = overload(place);
        if found <= 1.0 {
            return place;
        }
        if found < least.0 {
            least = (found, place);
        }
    }
    least.1
}

/// Step `i` of a shuffle.
fn next_place(generator: &mut Mt19937, order: &mut [u32], i: u32) -> u32 {
    let other = i + generator.below(order.len() as u32 - i);
    order.swap(i as usize, other as usize);
    order[i as usize]
}
