//! Finagle's balancers: two choices, a heap, and apertures that use a part of the endpoints.
