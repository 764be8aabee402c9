//! The functions that HAProxy hashes keys with (`src/hash.c`, `include/haproxy/intops.h`), all of 32 bits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::balancer::common::crc32;

/// Which function hashes a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Function {
    /// That of the sdbm database, HAProxy's default.
    Sdbm,
    /// Bernstein's.
    Djb2,
    /// HAProxy's own, made for binary keys.
    Wt6,
    /// The CRC-32 of zip.
    Crc32,
    /// The key is a decimal number, and its own hash.
    None,
}

impl Function {
    /// What HAProxy calls it.
    pub fn name(self) -> &'static str {
        match self {
            Function::Sdbm => "sdbm",
            Function::Djb2 => "djb2",
            Function::Wt6 => "wt6",
            Function::Crc32 => "crc32",
            Function::None => "none",
        }
    }

    /// The function of that name.
    pub fn named(name: &str) -> Option<Function> {
        let all = [Function::Sdbm, Function::Djb2, Function::Wt6, Function::Crc32, Function::None];
        all.into_iter().find(|function| function.name() == name)
    }

    /// The hash of `key`.
    #[inline]
    pub fn hash(self, key: &[u8]) -> u32 {
        match self {
            Function::Sdbm => key.iter().fold(0, |hash, &byte| sdbm(hash, byte)),
            Function::Djb2 => key.iter().fold(5381, |hash, &byte| djb2(hash, byte)),
            Function::Wt6 => wt6(key),
            Function::Crc32 => crc32(key),
            Function::None => number(key),
        }
    }
}

fn sdbm(hash: u32, byte: u8) -> u32 {
    hash.wrapping_mul(65599).wrapping_add(u32::from(byte))
}

fn djb2(hash: u32, byte: u8) -> u32 {
    hash.wrapping_mul(33).wrapping_add(u32::from(byte))
}

/// Two words that turn each other by amounts that depend on them.
fn wt6(key: &[u8]) -> u32 {
    let (mut a, mut b) = (0xA53C_965A_u32, 0x5CA6_953A_u32);
    let (mut left, mut right) = (6, 18);
    for &byte in key {
        a = !(a ^ u32::from(byte));
        b = !b.wrapping_add(u32::from(byte));
        (a, b) = (b.rotate_left(left), a.rotate_left(right));
        let turns = ((a >> 16) ^ b) & 0xFFFF;
        (left, right) = (turns & 0x1F, turns >> 11);
    }
    a ^ b
}

/// The low 32 bits of the decimal number that a text begins with; 0 if it begins with none.
fn number(key: &[u8]) -> u32 {
    let (is_negative, digits) = match key {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, key),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let value = digits.fold(0_i64, |value, byte| {
        value.saturating_mul(10).saturating_add(i64::from(byte - b'0'))
    });
    (if is_negative { -value } else { value }) as u32
}

/// One of Bob Jenkins' functions that spread each bit over all, times a prime near three quarters of the range.
pub fn avalanche(hash: u32) -> u32 {
    let mut a = hash;
    a = a.wrapping_add(0x7ED5_5D16).wrapping_add(a << 12);
    a = (a ^ 0xC761_C23C) ^ (a >> 19);
    a = a.wrapping_add(0x1656_67B1).wrapping_add(a << 5);
    a = a.wrapping_add(0xD3A2_646C) ^ (a << 9);
    a = a.wrapping_add(0xFD70_46C5).wrapping_add(a << 3);
    a = (a ^ 0xB55A_4F09) ^ (a >> 16);
    a.wrapping_mul(3_221_225_473)
}
