//! HAProxy's balancing algorithms.
