//! The balancers of the tower crates, which Linkerd's proxy grew out of.
