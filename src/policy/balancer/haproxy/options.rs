//! What HAProxy lets a user write for the servers of a backend, which here goes for all of them.

use crate::policy::balancer::haproxy::hash_type::{HashType, Hasher};
use crate::policy::balancer::haproxy::ring::HashKey;

/// The options that all algorithms share.
#[derive(Clone, Copy, Debug)]
pub struct BackendOptions {
    /// Requests at a time and server; 0: no limit.
    pub maxconn: u32,
    /// How long, in seconds, a server that comes up takes to get its full weight; 0: it has it at once.
    pub slowstart: u64,
    /// Whether all backup servers are used at a time.
    pub allbackups: bool,
}

/// What the algorithms that hash share beside those.
#[derive(Clone, Copy, Debug)]
pub struct HashOptions {
    /// How a hash leads to a server.
    pub hash_type: HashType,
    /// How a key is hashed.
    pub hasher: Hasher,
    /// The bound on a server's load in per cent of the average; 0: none.
    pub balance_factor: u32,
    /// What places a server on the ring.
    pub hash_key: HashKey,
}

/// Makes the `Options` of an algorithm of those that all have and its own.
macro_rules! backend_options {
    ($about:literal; $($(#[$meta:meta])* $name:ident: $type:ty = $default:expr,)*) => {
        #[doc = $about]
        #[derive(Clone, Debug, PartialEq, ::serde::Deserialize, ::serde::Serialize, ::schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct Options {
            $($(#[$meta])* pub $name: $type,)*
            /// A server with so many requests is full; 0: no limit. Where all are full HAProxy lets a request wait; here it is
            /// refused. Algorithms that hash send a request with a key to a full server too.
            #[schemars(extend("x-upstream" = "server … maxconn"))]
            pub maxconn: u32,
            /// How long a server that comes up takes to get its full weight, second by second, and its full `maxconn`; a bare
            /// number is in milliseconds. The weights of static-rr and of map-based hashes are always full.
            #[serde(deserialize_with = "crate::policy::balancer::common::bare_numbers::in_milliseconds")]
            #[schemars(schema_with = "crate::policy::balancer::common::bare_numbers::schema")]
            #[schemars(extend("x-upstream" = "server … slowstart"))]
            pub slowstart: crate::time::Duration,
            /// Whether all backup servers are used while no other one is up, rather than only the first of them.
            #[schemars(extend("x-upstream" = "option allbackups"))]
            pub allbackups: bool,
        }

        impl Default for Options {
            fn default() -> Options {
                Options {
                    $($name: $default,)*
                    maxconn: 0,
                    slowstart: crate::time::Duration::ZERO,
                    allbackups: false,
                }
            }
        }

        impl Options {
            /// HAProxy rounds `slowstart` up to whole seconds.
            fn backend(&self) -> crate::policy::balancer::haproxy::options::BackendOptions {
                crate::policy::balancer::haproxy::options::BackendOptions {
                    maxconn: self.maxconn,
                    slowstart: self.slowstart.0.div_ceil(1_000_000_000),
                    allbackups: self.allbackups,
                }
            }
        }
    };
}

/// The same for an algorithm that hashes.
macro_rules! hash_options {
    ($about:literal; $($(#[$meta:meta])* $name:ident: $type:ty = $default:expr,)*) => {
        backend_options! {
            $about;
            $($(#[$meta])* $name: $type = $default,)*
            /// `map-based`: a hash is an index of a table, so that nearly all keys move when servers come or go; `consistent`: few
            /// do. As in HAProxy, function and `avalanche` may follow: `consistent crc32 avalanche`. A bare `consistent` means
            /// `consistent sdbm avalanche`.
            #[schemars(extend("x-upstream" = "hash-type"))]
            hash_type: crate::policy::balancer::haproxy::hash_type::HashType = Default::default(),
            /// The function that hashes keys, if `hash_type` does not say; `sdbm` if neither does.
            #[schemars(extend("x-upstream" = "hash-type … FUNCTION"))]
            hash_function: Option<crate::policy::balancer::haproxy::functions::Function> = None,
            /// Whether a hash is hashed once more, so that all its bits count; as `hash_type` says if absent.
            #[schemars(extend("x-upstream" = "hash-type … avalanche"))]
            avalanche: Option<bool> = None,
            /// No server gets more than this many per cent of the average load, above 100; 0: no bound. Without effect on
            /// `map-based`.
            #[schemars(extend("x-upstream" = "hash-balance-factor"))]
            hash_balance_factor: u32 = 0,
            /// What places a server on the ring of `consistent`. HAProxy knows all but `id` since version 3.0.
            #[schemars(extend("x-upstream" = "server … hash-key"))]
            hash_key: crate::policy::balancer::haproxy::ring::HashKey = Default::default(),
        }

        impl Options {
            /// Whether the options are what HAProxy admits.
            ///
            /// # Errors
            /// A sentence about the option that is not.
            pub fn check(&self) -> Result<(), String> {
                if self.hash_type.function.is_some_and(|function| self.hash_function.is_some_and(|other| other != function)) {
                    return Err("`hash_function` is not the function that `hash_type` names".to_string());
                }
                match self.hash_balance_factor {
                    1..=100 => Err(format!(
                        "`hash_balance_factor` is in per cent of the average load and must be above 100, or 0 for no bound, not {}",
                        self.hash_balance_factor
                    )),
                    _ => Ok(()),
                }
            }

            fn hash(&self) -> crate::policy::balancer::haproxy::options::HashOptions {
                crate::policy::balancer::haproxy::options::HashOptions {
                    hash_type: self.hash_type,
                    hasher: crate::policy::balancer::haproxy::hash_type::Hasher::new(
                        self.hash_type,
                        self.hash_function,
                        self.avalanche,
                    ),
                    balance_factor: self.hash_balance_factor,
                    hash_key: self.hash_key,
                }
            }
        }
    };
}

pub(super) use {backend_options, hash_options};
