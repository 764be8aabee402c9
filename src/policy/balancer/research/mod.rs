//! Balancers of the literature: yardsticks rather than products. Their candidates follow Envoy's rules.

pub mod jiq;
pub mod jsq;
