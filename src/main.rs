//! The command line of meshsim.

fn main() {}
