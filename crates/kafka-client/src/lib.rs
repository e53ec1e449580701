//! How this installation reaches Kafka: the brokers, what both sides prove to each other, further librdkafka settings, and
//! what topics and headers are called.
//!
//! ```text
//! Access ── consumer, admin ──► rdkafka's ClientConfig                every client of librdkafka's is made from it
//!    ├───── check ──► the brokers answer, or the reason why not       librdkafka itself would go on trying silently
//!    └───── open ───► a socket, encrypted and logged in               for the relay's producer, which is none of its
//! ```
//!
//! A connection is encrypted and the broker proves who it is, or it is plain text; nothing in between. Settings that
//! could lose, reorder or skip an event are refused with the reason, and so is whatever is not known to be harmless.

mod access;
mod check;
mod dialogue;
mod error;
mod header_names;
mod open;
mod sasl;
mod scram;
mod secret;
mod security;
mod settings;
mod topic_names;

pub use access::Access;
pub use check::CHECK_LIMIT;
pub use error::Error;
pub use header_names::{HeaderNames, record_source, service_of_source};
pub use open::{Opened, Socket};
pub use secret::Secret;
pub use security::{ClientCertificate, Login, Mechanism, Security, Tls};
pub use settings::Settings;
pub use topic_names::TopicNames;
