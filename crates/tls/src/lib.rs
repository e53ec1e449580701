//! The client's side of TLS, for Postgres and for Kafka: what the server has to prove, what we show, and what a failure means.
//!
//! There is no mode that encrypts without asking who answers: whoever can read the line can also answer on it. Files
//! are read for each connection, so that a renewed certificate is used without a restart.

mod refusal;
pub use refusal::{Failure, Refusal, refusal_in};

mod trust;
pub use trust::{ClientCertificate, Tls, Verify};

mod any_name;
mod files;

mod connect;
pub use connect::{TlsStream, connect};
