//! exp and ln by tables and short polynomials: Tang's method (ACM TOMS 15, 1989, and 16, 1990).
//!
//! Only additions, multiplications and integer operations, which are the same everywhere. What is out of the ordinary
//! (zero, negative, subnormal, infinite, NaN, overflow) is left to `libm`.

use std::f64::consts::LN_2;

/// The number of pieces of an octave.
const PIECES: usize = 128;

/// Bits below those that number a piece.
const PIECE_SHIFT: u32 = 52 - PIECES.trailing_zeros();

/// An octave runs from 0.6875 to 1.375, so that logarithms just below and above 1 both come without cancellation.
const OCTAVE: u64 = 0x3FE6_0000_0000_0000;

/// A point in each piece: itself, its reciprocal, its logarithm.
static LOGARITHMS: [[f64; 3]; PIECES] = logarithms();

/// 2^(i / 128), as bits from which i / 128 octaves are taken, so that adding the whole exponent i + 128 k makes it right.
static POWERS: [u64; PIECES] = powers();

/// The natural logarithm, to two units in the last place.
#[inline]
pub fn ln(x: f64) -> f64 {
    if !(f64::MIN_POSITIVE..f64::INFINITY).contains(&x) {
        return ln_of_the_rest(x);
    }
    let bits = x.to_bits();
    let offset = bits.wrapping_sub(OCTAVE);
    let [center, reciprocal, logarithm] = LOGARITHMS[(offset >> PIECE_SHIFT) as usize % PIECES];
    let octave = (offset as i64 >> 52) as f64;
    let reduced = f64::from_bits(bits.wrapping_sub(offset & 0xFFF0_0000_0000_0000));
    // The difference is exact, so that r keeps all its digits however small it is. |r| < 1/128.
    let r = (reduced - center) * reciprocal;
    let r2 = r * r;
    let tail = (1.0 / 3.0 - 0.25 * r) + r2 * ((0.2 - r * (1.0 / 6.0)) + r2 * (1.0 / 7.0));
    (octave * LN_2 + logarithm) + (r + r2 * (r * tail - 0.5))
}

/// e^x, to two units in the last place.
#[inline]
pub fn exp(x: f64) -> f64 {
    // Beyond that the result may be subnormal or infinite.
    if !(-700.0..=700.0).contains(&x) {
        return exp_of_the_rest(x);
    }
    // Adding it leaves the nearest whole number in the lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    // ln 2 in two parts, the upper one with 21 bits to spare so that its multiples are exact: fdlibm, e_exp.c.
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1 / PIECES as f64;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10 / PIECES as f64;
    let shifted = x * (PIECES as f64 / LN_2) + ROUND;
    let whole = shifted.to_bits();
    let rounded = shifted - ROUND;
    let r = (x - rounded * LN_2_HIGH) - rounded * LN_2_LOW;
    let scale = f64::from_bits(POWERS[whole as usize % PIECES].wrapping_add(whole << PIECE_SHIFT));
    let r2 = r * r;
    let tail = r + r2 * ((0.5 + r * (1.0 / 6.0)) + r2 * (1.0 / 24.0 + r * (1.0 / 120.0)));
    scale + scale * tail
}

#[cold]
#[inline(never)]
fn ln_of_the_rest(x: f64) -> f64 {
    libm::log(x)
}

#[cold]
#[inline(never)]
fn exp_of_the_rest(x: f64) -> f64 {
    libm::exp(x)
}

const fn logarithms() -> [[f64; 3]; PIECES] {
    let mut table = [[0.0; 3]; PIECES];
    let mut i = 0;
    while i < PIECES {
        let low = OCTAVE + ((i as u64) << PIECE_SHIFT);
        let high = low + (1 << PIECE_SHIFT);
        // Where the pieces meet at 1 its logarithm, zero, keeps small results exact.
        let meets_one = f64::from_bits(low) <= 1.0 && f64::from_bits(high) >= 1.0;
        let center = if meets_one { 1.0 } else { f64::from_bits((low + high) / 2) };
        table[i] = [center, 1.0 / center, series_ln(center)];
        i += 1;
    }
    table
}

/// The logarithm of a number near 1, as twice the area hyperbolic tangent of (x - 1) / (x + 1).
const fn series_ln(x: f64) -> f64 {
    let s = (x - 1.0) / (x + 1.0);
    // The terms from the smallest to the largest, which loses least.
    let mut sum = 0.0;
    let mut n = 25;
    while n >= 1 {
        sum = sum * s * s + 1.0 / n as f64;
        n -= 2;
    }
    2.0 * s * sum
}

const fn powers() -> [u64; PIECES] {
    let mut table = [0; PIECES];
    let mut i = 0;
    while i < PIECES {
        let power = series_exp(LN_2 * i as f64 / PIECES as f64);
        table[i] = power.to_bits().wrapping_sub((i as u64) << PIECE_SHIFT);
        i += 1;
    }
    table
}

/// e^x for x from 0 to 1.
const fn series_exp(x: f64) -> f64 {
    let mut sum = 1.0;
    let mut n = 25;
    while n >= 1 {
        sum = 1.0 + sum * x / n as f64;
        n -= 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::close;
    use crate::random::Key;

    #[test]
    fn ln_is_that_of_libm() {
        let mut draws = Key(1).draws();
        for _ in 0..300_000 {
            let u = draws.unit();
            for x in [
                u,
                1.0 + u,
                1.0 - u / 100.0,
                1.0 + u / 100.0,
                1.0 - u * 1e-9,
                u * 1e-300,
                u * 1e300,
            ] {
                close(ln(x), libm::log(x), 4.5e-16);
            }
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn exp_is_that_of_libm() {
        let mut draws = Key(2).draws();
        for _ in 0..300_000 {
            let u = draws.unit() - 0.5;
            for x in [u, u * 1e-9, u * 100.0, u * 1390.0] {
                close(exp(x), libm::exp(x), 4.5e-16);
            }
        }
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_as_in_libm() {
        for x in [
            0.0,
            -0.0,
            f64::INFINITY,
            5e-324,
            1e-310,
            800.0,
            -740.0,
            -800.0,
            f64::NEG_INFINITY,
        ] {
            assert_eq!(exp(x).to_bits(), libm::exp(x).to_bits(), "{x}");
        }
        for x in [0.0, f64::INFINITY, 5e-324, 1e-310] {
            assert_eq!(ln(x).to_bits(), libm::log(x).to_bits(), "{x}");
        }
        assert!(ln(-1.0).is_nan() && ln(f64::NAN).is_nan() && exp(f64::NAN).is_nan());
    }
}
