//! nginx's upstream methods, with the passive health checks that are part of them.
