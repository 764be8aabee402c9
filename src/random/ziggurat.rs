//! Unit exponentials and standard normals by the ziggurat: exact, and in 99 of 100 draws one multiplication and one comparison.
//!
//! Marsaglia and Tsang (Journal of Statistical Software 5(8), 2000) with 256 layers; the layer and the position in it come from
//! different bits of the draw, as Doornik (2005) asks for. A draw takes as many words as it needs: those of a keyed variate are
//! its own, and whether a word is enough does not depend on parameters, so that two variants still see the same numbers.
//! The tables are computed once with `libm`, hence the same everywhere.

use std::sync::LazyLock;

use crate::math;
use crate::random::stream::{Draws, Rng, open_unit};

/// Where words come from: a key's draws or a sequential generator.
pub(super) trait Words {
    /// Uniform 64 bits.
    fn next_word(&mut self) -> u64;
}

impl Words for Draws {
    #[inline]
    fn next_word(&mut self) -> u64 {
        self.next_u64()
    }
}

impl Words for Rng {
    #[inline]
    fn next_word(&mut self) -> u64 {
        self.next_u64()
    }
}

const LAYERS: usize = 256;

/// Where the tail of the exponential begins, for 256 layers of one area.
const EXPONENTIAL_TAIL: f64 = 7.697_117_470_131_05;

/// Where the tail of the normal begins, for 256 layers of one area.
const NORMAL_TAIL: f64 = 3.654_152_885_361_009;

/// Layers of equal area that cover a falling density, the lowest with the tail first.
struct Layers {
    /// The right edge of each; that of the lowest is stretched, so that a position beyond the next edge means the tail.
    edges: [f64; LAYERS + 1],
    /// The density at each edge.
    heights: [f64; LAYERS + 1],
}

impl Layers {
    fn new(tail: f64, area: f64, density: fn(f64) -> f64, inverse: fn(f64) -> f64) -> Layers {
        let mut edges = [0.0; LAYERS + 1];
        edges[0] = area / density(tail);
        edges[1] = tail;
        for layer in 2..LAYERS {
            let below = edges[layer - 1];
            edges[layer] = inverse(density(below) + area / below);
        }
        let heights = edges.map(density);
        Layers { edges, heights }
    }

    /// Whether a point of this layer at `x` and at a uniform height of the layer lies under the density.
    fn is_under(&self, layer: usize, x: f64, unit: f64, density: fn(f64) -> f64) -> bool {
        let (low, high) = (self.heights[layer], self.heights[layer + 1]);
        high + (low - high) * unit < density(x)
    }
}

static EXPONENTIAL: LazyLock<Layers> = LazyLock::new(|| {
    let area = (EXPONENTIAL_TAIL + 1.0) * libm::exp(-EXPONENTIAL_TAIL);
    Layers::new(EXPONENTIAL_TAIL, area, exponential_density, |height| -libm::log(height))
});

static NORMAL: LazyLock<Layers> = LazyLock::new(|| {
    // The tail of exp(-x^2 / 2), which is the density up to a factor.
    let tail = std::f64::consts::FRAC_PI_2.sqrt() * libm::erfc(NORMAL_TAIL * std::f64::consts::FRAC_1_SQRT_2);
    let area = NORMAL_TAIL * normal_density(NORMAL_TAIL) + tail;
    Layers::new(NORMAL_TAIL, area, normal_density, |height| (-2.0 * libm::log(height)).sqrt())
});

fn exponential_density(x: f64) -> f64 {
    math::exp(-x)
}

fn normal_density(x: f64) -> f64 {
    math::exp(-0.5 * x * x)
}

/// The layer and a position in the unit interval, from different bits.
#[inline]
fn split(word: u64) -> (usize, f64) {
    (word as usize % LAYERS, open_unit(word))
}

/// An exponential of mean 1.
#[inline]
pub(super) fn exponential(words: &mut impl Words) -> f64 {
    let layers = &*EXPONENTIAL;
    let (layer, unit) = split(words.next_word());
    let x = unit * layers.edges[layer];
    if x < layers.edges[layer + 1] {
        return x;
    }
    exponential_at_the_edge(layers, layer, x, words)
}

#[cold]
#[inline(never)]
fn exponential_at_the_edge(layers: &Layers, mut layer: usize, mut x: f64, words: &mut impl Words) -> f64 {
    loop {
        let unit = open_unit(words.next_word());
        if layer == 0 {
            // Without memory the tail is the whole, moved.
            return EXPONENTIAL_TAIL - math::ln(unit);
        }
        if layers.is_under(layer, x, unit, exponential_density) {
            return x;
        }
        let (next, unit) = split(words.next_word());
        (layer, x) = (next, unit * layers.edges[next]);
        if x < layers.edges[layer + 1] {
            return x;
        }
    }
}

/// A normal of mean 0 and standard deviation 1.
#[inline]
pub(super) fn normal(words: &mut impl Words) -> f64 {
    let layers = &*NORMAL;
    let (layer, unit) = split(words.next_word());
    let x = (2.0 * unit - 1.0) * layers.edges[layer];
    if x.abs() < layers.edges[layer + 1] {
        return x;
    }
    normal_at_the_edge(layers, layer, x, words)
}

#[cold]
#[inline(never)]
fn normal_at_the_edge(layers: &Layers, mut layer: usize, mut x: f64, words: &mut impl Words) -> f64 {
    loop {
        if layer == 0 {
            return normal_tail(words).copysign(x);
        }
        if layers.is_under(layer, x, open_unit(words.next_word()), normal_density) {
            return x;
        }
        let (next, unit) = split(words.next_word());
        (layer, x) = (next, (2.0 * unit - 1.0) * layers.edges[next]);
        if x.abs() < layers.edges[layer + 1] {
            return x;
        }
    }
}

/// A normal beyond the tail's begin: Marsaglia, Technometrics 6 (1964).
fn normal_tail(words: &mut impl Words) -> f64 {
    loop {
        let beyond = -math::ln(open_unit(words.next_word())) / NORMAL_TAIL;
        let height = -math::ln(open_unit(words.next_word()));
        if 2.0 * height > beyond * beyond {
            return NORMAL_TAIL + beyond;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;

    #[test]
    fn layers_close_at_the_top() {
        for (layers, density) in [
            (&*EXPONENTIAL, exponential_density as fn(f64) -> f64),
            (&*NORMAL, normal_density),
        ] {
            let last = layers.edges[LAYERS - 1];
            // The topmost layer has the area of the others, up to the peak at 1.
            let area = layers.edges[0] * density(layers.edges[1]);
            assert!((last * (1.0 - density(last)) / area - 1.0).abs() < 1e-9);
            assert!(layers.edges.windows(2).all(|pair| pair[0] > pair[1]));
        }
    }

    /// The largest distance of the shares below each of 1000 quantiles from what they should be, in standard errors.
    fn distance(mut values: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
        values.sort_by(f64::total_cmp);
        let n = values.len() as f64;
        let at = (1..1000).map(|i| i * values.len() / 1000).chain([values.len() - 100, 100]);
        at.map(|i| {
            let (share, expected) = (i as f64 / n, cdf(values[i]));
            (share - expected).abs() / (expected * (1.0 - expected) / n).sqrt()
        })
        .fold(0.0, f64::max)
    }

    #[test]
    fn draws_follow_the_distribution_functions() {
        let draw = |sample: fn(&mut Draws) -> f64| (0..2_000_000).map(|id| sample(&mut Key(3).with(id).draws())).collect();
        let exponentials = distance(draw(exponential), |x| -libm::expm1(-x));
        assert!(exponentials < 4.5, "{exponentials} standard errors");
        let normals = distance(draw(normal), math::normal_cdf);
        assert!(normals < 4.5, "{normals} standard errors");
    }
}
