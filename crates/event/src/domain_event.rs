//! Typed events: an enum whose variants are the types that stand in the `type` column.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Seq, StreamName};

/// A closed set of event types. Write it with [`events!`](crate::events).
pub trait DomainEvent: Serialize + Clone + Send + Sync + 'static {
    /// Each type with its current version.
    const TYPES: &'static [(&'static str, i16)];
    /// Each earlier version of one, which is still read, as what it would be today.
    const OLDER: &'static [(&'static str, i16)] = &[];

    fn event_type(&self) -> &'static str;

    fn version(&self) -> i16;

    /// Reads what was stored under this type and version.
    fn decode(event_type: &str, version: i16, data: &str) -> Result<Self, DecodeError>;
}

/// A stored event that this program does not understand. It is never skipped: it stops who reads it.
#[derive(Debug, thiserror::Error)]
#[error("cannot read event {place}of type {event_type} version {version}: {reason}")]
pub struct DecodeError {
    place: String,
    event_type: String,
    version: i16,
    reason: String,
}

impl DecodeError {
    #[doc(hidden)]
    pub fn unknown(event_type: &str, version: i16) -> Self {
        Self {
            place: String::new(),
            event_type: event_type.to_owned(),
            version,
            reason: "this program does not know it".to_owned(),
        }
    }

    #[must_use]
    pub fn at(mut self, stream: &StreamName, seq: Seq) -> Self {
        self.place = format!("{stream}@{seq} ");
        self
    }
}

#[doc(hidden)]
pub fn from_json<T: DeserializeOwned>(event_type: &str, version: i16, data: &str) -> Result<T, DecodeError> {
    serde_json::from_str(data).map_err(|error| DecodeError {
        place: String::new(),
        event_type: event_type.to_owned(),
        version,
        reason: error.to_string(),
    })
}

/// An event enum: each line is a variant, its payload struct of the same name, and its current version; after `from`, each earlier version with
/// the struct that reads it and can be made into the present one.
///
/// ```ignore
/// events! {
///     /// What can happen to an account.
///     pub enum AccountEvent { Opened = 2 from { 1: OpenedV1 }, FundsReserved = 1 }
/// }
/// ```
#[macro_export]
macro_rules! events {
    ($(#[$doc:meta])* pub enum $name:ident {
        $($variant:ident = $version:literal $(from { $($older:literal: $read:ty),+ })?),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[serde(untagged)]
        pub enum $name { $($variant($variant)),+ }

        impl $crate::DomainEvent for $name {
            const TYPES: &'static [(&'static str, i16)] = &[$((stringify!($variant), $version)),+];
            const OLDER: &'static [(&'static str, i16)] = &[$($($((stringify!($variant), $older),)+)?)+];

            fn event_type(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($variant)),+ }
            }

            fn version(&self) -> i16 {
                match self { $(Self::$variant(_) => $version),+ }
            }

            fn decode(event_type: &str, version: i16, data: &str) -> Result<Self, $crate::DecodeError> {
                match (event_type, version) {
                    $((stringify!($variant), $version) =>
                        $crate::from_json(event_type, version, data).map(Self::$variant),
                    $($((stringify!($variant), $older) =>
                        $crate::from_json::<$read>(event_type, version, data).map($variant::from).map(Self::$variant),)+)?)+
                    _ => Err($crate::DecodeError::unknown(event_type, version)),
                }
            }
        }

        $(impl From<$variant> for $name {
            fn from(event: $variant) -> Self { Self::$variant(event) }
        })+
    };
}
