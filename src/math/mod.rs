//! Elementary and special functions with the same bits on every platform: pure Rust, never the C library's.
//!
//! `exp` and `ln` are on the hot path, so they are tables with short polynomials instead of `libm`'s general forms: about half
//! the time, and an error of at most two units in the last place where `libm` promises one.

mod elementary;
mod gamma;
mod normal;

pub use elementary::{exp, ln};
pub use gamma::{gamma_p, gamma_quantile};
pub use normal::{normal_cdf, normal_pdf, normal_quantile};

/// x^y.
#[inline]
pub fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}

/// The root of an increasing function between `low` and `high`, by bisection down to the last bit or 200 steps.
pub fn bisect(mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if f(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
fn close(a: f64, b: f64, relative: f64) {
    assert!((a - b).abs() <= relative * b.abs(), "{a:e} is not {b:e}");
}
