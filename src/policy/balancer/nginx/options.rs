//! What nginx lets a user write after each `server`, which here goes for all of them.

use crate::policy::balancer::nginx::next_upstream::NextUpstream;

/// The options that all methods share, in whole seconds and counts.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// Failures that block a server; 0: none does.
    pub max_fails: u32,
    /// How long, in seconds, failures are counted and a server is blocked.
    pub fail_timeout: i64,
    /// Requests at a time; 0: no limit.
    pub max_conns: u32,
    /// What is a failure.
    pub proxy_next_upstream: NextUpstream,
}

/// Makes a method's `Options` of those that all have and its own.
macro_rules! server_options {
    ($about:literal; $($(#[$meta:meta])* $name:ident: $type:ty = $default:expr,)*) => {
        #[doc = $about]
        #[derive(Clone, Debug, PartialEq, ::serde::Deserialize, ::serde::Serialize, ::schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct Options {
            $($(#[$meta])* pub $name: $type,)*
            /// So many failures within `fail_timeout` block a server for that long; 0 switches this off. Without effect on a
            /// server that is the only one.
            #[schemars(extend("x-upstream" = "server … max_fails"))]
            pub max_fails: u32,
            /// How long failures are remembered, and how long a server is blocked; in whole seconds of the proxy's clock.
            #[serde(deserialize_with = "crate::policy::balancer::common::bare_numbers::in_seconds")]
            #[schemars(schema_with = "crate::policy::balancer::common::bare_numbers::schema")]
            #[schemars(extend("x-upstream" = "server … fail_timeout"))]
            pub fail_timeout: crate::time::Duration,
            /// A server with so many requests gets no more; 0: no limit.
            #[schemars(extend("x-upstream" = "server … max_conns"))]
            pub max_conns: u32,
            /// Which answers count as a server's failure, in nginx's words. Connections that fail and timeouts always count; a
            /// status only if it is listed and another server is left; 403 and 404 never.
            #[schemars(extend("x-upstream" = "proxy_next_upstream"))]
            pub proxy_next_upstream: crate::policy::balancer::nginx::next_upstream::NextUpstream,
        }

        impl Default for Options {
            fn default() -> Options {
                Options {
                    $($name: $default,)*
                    max_fails: 1,
                    fail_timeout: crate::time::Duration::from_secs(10),
                    max_conns: 0,
                    proxy_next_upstream: crate::policy::balancer::nginx::next_upstream::NextUpstream::default(),
                }
            }
        }

        impl Options {
            /// Whether the options are what nginx admits.
            ///
            /// # Errors
            /// A sentence about the option that is not.
            pub fn check(&self) -> Result<(), String> {
                if !self.fail_timeout.0.is_multiple_of(1_000_000_000) {
                    return Err(format!("`fail_timeout` must be in whole seconds, not {}", self.fail_timeout));
                }
                Ok(())
            }

            fn server(&self) -> crate::policy::balancer::nginx::options::ServerOptions {
                crate::policy::balancer::nginx::options::ServerOptions {
                    max_fails: self.max_fails,
                    fail_timeout: (self.fail_timeout.0 / 1_000_000_000) as i64,
                    max_conns: self.max_conns,
                    proxy_next_upstream: self.proxy_next_upstream,
                }
            }
        }
    };
}

pub(super) use server_options;
