//! Traefik's server balancers. Endpoints of later priority levels are what a `failover` service turns to.

pub mod hrw;
pub mod least_time;
pub mod p2c;
pub mod wrr;
