//! Traefik's server balancers.
