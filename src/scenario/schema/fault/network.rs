//! The network between two parties: cut, lossy, slow or narrow.

use schemars::JsonSchema;
use serde::Deserialize;

use super::target::Names;
use crate::random::{DistributionConfig, Share};
use crate::scenario::decode::Field;
use crate::scenario::schema::values::Bandwidth;

/// One side of the network: whoever is in one of the lists, as caller or as endpoint.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Party {
    /// Whoever is in a zone, or in several.
    pub zone: Option<Field<Names>>,
    /// The endpoints of a service, or of several.
    pub service: Option<Field<Names>>,
    /// The callers of a client, or of several.
    pub client: Option<Field<Names>>,
    /// An endpoint, `service/endpoint`, or several.
    pub endpoint: Option<Field<Names>>,
    /// Whoever is on a node, or on several.
    pub node: Option<Field<Names>>,
}

/// The parties of a fault, as they were written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends<'a> {
    pub(crate) from: Option<&'a Field<Party>>,
    pub(crate) to: Option<&'a Field<Party>>,
    pub(crate) zone: Option<&'a Field<Names>>,
    pub(crate) one_way: bool,
}

/// Declares the options of a fault of the network.
macro_rules! linked {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        pub struct $name {
            /// One party; everybody if absent.
            pub from: Option<Field<Party>>,
            /// The other party; everybody if absent.
            pub to: Option<Field<Party>>,
            /// A zone (or several) and all others, in place of `from` and `to`.
            pub zone: Option<Field<Names>>,
            /// Whether only packets from `from` to `to` are struck; in both directions if absent.
            pub one_way: Option<Field<bool>>,
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl $name {
            pub(crate) fn ends(&self) -> Ends<'_> {
                Ends {
                    from: self.from.as_ref(),
                    to: self.to.as_ref(),
                    zone: self.zone.as_ref(),
                    one_way: self.one_way.as_ref().and_then(Field::get) == Some(&true),
                }
            }
        }
    };
}

linked! {
    /// A partition: every packet between the parties is lost for good, so that whoever waits for an answer waits until a timeout.
    pub struct Partition {}
}

linked! {
    /// A lossy network between the parties.
    pub struct Loss {
        /// The share of transmissions that are lost besides those of `topology.network`.
        probability: Option<Field<Share>>,
    }
}

linked! {
    /// A slow network between the parties: `add`, `jitter` or both.
    pub struct Latency {
        /// How much longer a packet takes, one way.
        add: Option<Field<DistributionConfig>>,
        /// The same again, for what varies.
        jitter: Option<Field<DistributionConfig>>,
    }
}

linked! {
    /// A narrow network between the parties.
    pub struct BandwidthCut {
        /// What a hop carries at most, so that a payload takes time.
        limit: Option<Field<Bandwidth>>,
    }
}
