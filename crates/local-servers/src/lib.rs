//! Private PostgreSQL and Apache Kafka servers on 127.0.0.1, for `lunaria dev` and for the tests.
//!
//! Each server lives in a directory of its own: data, log, last port and an owner's lock. Starting on the same
//! directory again gives the same data, after whatever ended the last run:
//!
//! ```text
//!  start ── lock the directory ── stop what survived ── initialise once ── spawn ── wait until it answers
//!              │ held by another owner        (kill -9 of the owner,
//!              ▼                               never of the server)
//!            Error::Owned
//! ```
//!
//! The servers run in process groups of their own, so that a Ctrl-C in the terminal reaches their owner first, who
//! then stops them in order. All calls block: from async code, go through `spawn_blocking`.

mod account;
mod certificates;
mod crew;
mod directory;
mod error;
mod installation;
mod kafka;
mod kafka_doors;
mod metadata;
mod port;
mod postgres;
mod postgres_tls;
mod process;
mod survivor;

pub use certificates::{CertificateAuthority, Identity};
pub use error::Error;
pub use installation::Installations;
pub use kafka::{Java, KafkaBroker, KafkaCluster, KafkaClusterOptions, KafkaOptions, Proxied};
pub use kafka_doors::{KafkaDoors, KafkaSecurity};
pub use port::{ReservedPort, free_port};
pub use postgres::{PostgresCluster, PostgresOptions};
pub use postgres_tls::PostgresTls;
