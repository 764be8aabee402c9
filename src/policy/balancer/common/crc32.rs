//! The CRC-32 of Ethernet and zip (reflected polynomial EDB88320), as nginx and HAProxy hash keys with it.

/// The remainders of all bytes.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            remainder = (remainder >> 1) ^ if remainder & 1 == 1 { 0xEDB8_8320 } else { 0 };
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
};

/// A checksum that is not finished.
#[derive(Clone, Copy, Debug)]
pub struct Crc32(u32);

impl Crc32 {
    /// Of no bytes yet.
    pub const START: Crc32 = Crc32(u32::MAX);

    /// With `bytes` after those before.
    #[inline]
    pub fn and(self, bytes: &[u8]) -> Crc32 {
        let next = |state: u32, byte: &u8| TABLE[usize::from(state as u8 ^ byte)] ^ (state >> 8);
        Crc32(bytes.iter().fold(self.0, next))
    }

    /// The checksum.
    #[inline]
    pub fn finish(self) -> u32 {
        !self.0
    }
}

/// The checksum of `bytes`.
#[inline]
pub fn crc32(bytes: &[u8]) -> u32 {
    Crc32::START.and(bytes).finish()
}
