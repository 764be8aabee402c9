//! The keys that requests carry: drawn once for a request, hashed or spelt out only for policies that ask.

use core::net::{IpAddr, Ipv4Addr};

use crate::model::plan::KeyPlan;
use crate::random::{Key, Purpose};

/// The key of a request: whose it is and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestKey {
    /// The client whose keys it is one of; `u32::MAX`: there is none.
    pub client: u32,
    /// Which one.
    pub number: u32,
}

impl RequestKey {
    /// No key.
    pub const NONE: RequestKey = RequestKey {
        client: u32::MAX,
        number: 0,
    };
}

/// Room for the text of any key.
pub(crate) type TextRoom = [u8; 16];

impl KeyPlan {
    /// The key of request `id` of this client.
    #[inline]
    pub(crate) fn draw(&self, client: u32, id: Key) -> RequestKey {
        let draw = || id.with((Purpose::HashKey as u64) << 32);
        let number = match self {
            KeyPlan::None => return RequestKey::NONE,
            KeyPlan::Fixed { .. } => 0,
            KeyPlan::Uniform { hashes } => ((u128::from(draw().draws().next_u64()) * hashes.len() as u128) >> 64) as u32,
            KeyPlan::Zipf { hashes, cumulative } => {
                let unit = draw().unit();
                let index = cumulative.partition_point(|&share| share < unit);
                index.min(hashes.len() - 1) as u32
            }
        };
        RequestKey { client, number }
    }

    /// The hash of a key.
    #[inline]
    pub(crate) fn hash(&self, number: u32) -> Option<u64> {
        match self {
            KeyPlan::None => None,
            KeyPlan::Fixed { hash, .. } => Some(*hash),
            KeyPlan::Uniform { hashes } | KeyPlan::Zipf { hashes, .. } => Some(hashes[number as usize]),
        }
    }

    /// The text of a key.
    pub(crate) fn text<'a>(&'a self, number: u32, room: &'a mut TextRoom) -> Option<&'a str> {
        match self {
            KeyPlan::None => None,
            KeyPlan::Fixed { text, .. } => Some(text),
            KeyPlan::Uniform { .. } | KeyPlan::Zipf { .. } => Some(spell(number, room)),
        }
    }
}

/// `key-` and the number.
fn spell(number: u32, room: &mut TextRoom) -> &str {
    let mut at = room.len();
    let mut rest = number;
    loop {
        at -= 1;
        room[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    at -= 4;
    room[at..at + 4].copy_from_slice(b"key-");
    core::str::from_utf8(&room[at..]).expect("these are ASCII letters and digits")
}

/// The address that requests with this key come from: keys stand for users, who are anywhere in the address space.
pub(crate) fn address_of_key(key: RequestKey) -> IpAddr {
    // An odd factor makes a bijection of 32 bits, so no two keys of a client share an address.
    let mixed = key.number.wrapping_mul(0x9E37_79B1).rotate_left(16) ^ key.client.wrapping_mul(0x85EB_CA6B);
    IpAddr::V4(Ipv4Addr::from_bits(mixed))
}

/// The address of a caller whose requests have no key: `172.16.0.0/12` and what follows it, by a number of its own.
pub(crate) fn address_of_caller(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0xAC10_0001_u32.wrapping_add(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelt_as_their_hashes_were() {
        for number in [0, 7, 10, 4_294_967_295] {
            assert_eq!(spell(number, &mut [0; 16]), format!("key-{number}"));
        }
    }
}
