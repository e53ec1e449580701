//! What the tests of several crates stand on: a service database of their own, a topic prefix of their own, patience
//! with a deadline; and for tests of faults, servers of their own and a network between them that can fail.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test bed fails by panicking")]

mod database;
pub use database::TestDatabase;

mod eventually;
pub use eventually::{eventually, patience};

mod secured_kafka;
pub use secured_kafka::SecuredKafka;
mod own_kafka;
pub use own_kafka::{OwnKafkaCluster, own_kafka_cluster};

mod own_postgres;
pub use own_postgres::{OwnPostgres, own_newer_postgres, own_postgres, own_postgres_in};

mod proxy;
pub use proxy::Proxy;

mod servers;
pub use servers::{kafka, postgres, unique};
