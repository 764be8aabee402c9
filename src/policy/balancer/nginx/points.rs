//! The ring of `hash … consistent`: ketama's points, 160 for each unit of weight
//! (`src/http/modules/ngx_http_upstream_hash_module.c`).

use crate::policy::balancer::common::{Crc32, crc32};
use crate::policy::{CandidateSet, EndpointInfo, Endpoints};

/// Points per unit of weight.
const POINTS: u32 = 160;

/// The points in the order of their hashes, and the members of each server: several may have one name.
#[derive(Clone, Debug)]
pub struct Points {
    hashes: Vec<u32>,
    // By point, where its server's members begin in `members`.
    servers: Vec<u32>,
    // Places in the set, those with the same name together, in the set's order; the last of a server is marked.
    members: Vec<Member>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    place: u32,
    is_last: bool,
}

/// What a server is called in the configuration.
fn name(info: &EndpointInfo, use_hostname: bool) -> &str {
    let hostname = info.hostname.as_deref().filter(|name| use_hostname && !name.is_empty());
    hostname.unwrap_or(&info.address)
}

/// Host and port; the port is what follows the last colon, if that is digits.
fn host_and_port(name: &str) -> (&str, &str) {
    if let Some(path) = name.get(..5).filter(|prefix| prefix.eq_ignore_ascii_case("unix:")) {
        return (&name[path.len()..], "");
    }
    match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (name, ""),
    }
}

impl Points {
    /// The ring of `set`.
    pub fn new(endpoints: &Endpoints<'_>, set: CandidateSet<'_>, use_hostname: bool) -> Points {
        let name = |place: u32| name(&endpoints.infos[set.get(place).at()], use_hostname);
        let mut places: Vec<u32> = (0..set.len()).collect();
        places.sort_by(|&a, &b| name(a).cmp(name(b)).then(a.cmp(&b)));
        let mut members = Vec::with_capacity(places.len());
        // By place, where the members of its server begin.
        let mut begins = vec![0; places.len()];
        for (i, &place) in places.iter().enumerate() {
            let begin = match i.checked_sub(1).map(|before| places[before]) {
                Some(before) if name(before) == name(place) => begins[before as usize],
                _ => i as u32,
            };
            begins[place as usize] = begin;
            let is_last = places.get(i + 1).is_none_or(|&next| name(next) != name(place));
            members.push(Member { place, is_last });
        }
        let mut points = Vec::new();
        for place in 0..set.len() {
            let weight = endpoints.weights[set.get(place).at()];
            add_points(&mut points, name(place), weight, begins[place as usize]);
        }
        // Of points with one hash the first stays: the sort is stable.
        points.sort_by_key(|&(hash, _)| hash);
        points.dedup_by_key(|&mut (hash, _)| hash);
        let (hashes, servers) = points.into_iter().unzip();
        Points {
            hashes,
            servers,
            members,
        }
    }

    /// The number of the point that a key belongs to; it may be one past the last.
    pub fn find(&self, key: &[u8]) -> usize {
        let hash = crc32(key);
        self.hashes.partition_point(|&point| point < hash)
    }

    /// The members of the server that owns point `number`, counted round the ring, by their places in the set.
    pub fn members(&self, number: usize) -> impl Iterator<Item = u32> + '_ {
        let begin = self.servers[number % self.servers.len()] as usize;
        let mut ended = false;
        let rest = self.members[begin..].iter();
        let own = rest.take_while(move |member| !std::mem::replace(&mut ended, member.is_last));
        own.map(|member| member.place)
    }
}

/// Each point's hash follows from the one before.
fn add_points(points: &mut Vec<(u32, u32)>, name: &str, weight: u32, server: u32) {
    let (host, port) = host_and_port(name);
    let base = Crc32::START.and(host.as_bytes()).and(&[0]).and(port.as_bytes());
    let mut hash = 0_u32;
    for _ in 0..u64::from(weight) * u64::from(POINTS) {
        hash = base.and(&hash.to_le_bytes()).finish();
        points.push((hash, server));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::candidates::{Candidates, Rules};
    use crate::policy::listing::Kind;

    /// nginx.json of the reference vectors, "chash points 3 servers": derived from nginx's source.
    #[test]
    fn points_are_ketamas() {
        let address = |i: u32| format!("10.0.0.{i}:8080");
        let infos: Vec<EndpointInfo> = (1..=3)
            .map(|i| EndpointInfo {
                address: address(i),
                weight: 1,
                ..EndpointInfo::default()
            })
            .collect();
        let candidates = Candidates::of_equals(Rules::Any, 3);
        let set = candidates.set(Kind::Healthy as u32);
        let endpoints = Endpoints {
            infos: &infos,
            weights: &[1; 3],
            active: &[0; 3],
            active_total: 0,
        };
        let ring = Points::new(&endpoints, set, false);
        let place = |&begin: &u32| ring.members[begin as usize].place;
        let points: Vec<(u32, u32)> = ring.hashes.iter().copied().zip(ring.servers.iter().map(place)).collect();
        assert_eq!(points.len(), 480);
        let first = [
            (17_423_363, 2),
            (18_170_467, 0),
            (22_601_812, 2),
            (43_736_410, 1),
            (45_462_063, 1),
        ];
        assert_eq!(points[..5], first);
        assert_eq!(points.last(), Some(&(4_286_046_416, 2)));
    }
}
