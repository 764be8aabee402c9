//! Balancers of the literature and of libraries: yardsticks rather than products. Their candidates follow Envoy's rules, but for
//! those that have rules of their own.

pub mod bounded_load;
pub mod c3;
pub mod choice_of_two;
pub mod jiq;
pub mod jsq;
pub mod least_response_time;
pub mod prequal;
pub mod rendezvous;
pub mod weighted_response_time;
