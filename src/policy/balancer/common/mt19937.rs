//! The Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998), 32 bits: a part of how Envoy's bounded load probes, not a source
//! of randomness for us.

const SIZE: usize = 624;
const MIDDLE: usize = 397;

/// The generator, as C++'s `std::mt19937`.
pub struct Mt19937 {
    state: [u32; SIZE],
    next: usize,
}

impl Mt19937 {
    /// The generator of `seed`.
    pub fn new(seed: u32) -> Mt19937 {
        let mut state = [seed; SIZE];
        for i in 1..SIZE {
            let last = state[i - 1];
            state[i] = 1_812_433_253_u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i as u32);
        }
        Mt19937 { state, next: SIZE }
    }

    fn twist(&mut self) {
        for i in 0..SIZE {
            let bits = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % SIZE] & 0x7FFF_FFFF);
            let odd = if bits & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.state[i] = self.state[(i + MIDDLE) % SIZE] ^ (bits >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.next == SIZE {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9D2C_5680;
        word ^= (word << 15) & 0xEFC6_0000;
        word ^ (word >> 18)
    }

    /// Uniform in 0..n for n from 1 on, by division into n equal parts and rejection, as Envoy's bounded load does.
    pub fn below(&mut self, n: u32) -> u32 {
        let part = (1_u64 << 32) / u64::from(n);
        loop {
            let drawn = u64::from(self.next_u32()) / part;
            if drawn < u64::from(n) {
                return drawn as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousandth_value_is_the_standards() {
        // C++ standard [rand.predef]: the 10,000th invocation of a default-constructed mt19937 (seed 5489) gives 4123659995.
        let mut generator = Mt19937::new(5489);
        let last = (0..10_000).map(|_| generator.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }
}
