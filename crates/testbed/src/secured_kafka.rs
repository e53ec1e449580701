//! A broker of one test's own, with TLS, client certificates and passwords.

use std::path::PathBuf;
use std::time::Duration;

use local_servers::{CertificateAuthority, KafkaBroker, KafkaDoors, KafkaOptions, KafkaSecurity};
use tempfile::TempDir;

/// Started in some seconds, gone with the value.
pub struct SecuredKafka {
    /// Has signed the broker's certificate, which is for 127.0.0.1 and not for localhost, and may sign a client's.
    pub authority: CertificateAuthority,
    /// Has signed nothing that the broker knows of.
    pub stranger: CertificateAuthority,
    pub doors: KafkaDoors,
    broker: KafkaBroker,
    directory: TempDir,
}

impl SecuredKafka {
    pub const USER: &str = "relay";
    pub const PASSWORD: &str = "open-sesame";

    /// Blocks until the broker answers.
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// The same, with logins that last so long only.
    pub fn start_with(login_lasts: Option<Duration>) -> Self {
        let directory = tempfile::Builder::new().prefix("lunaria-kafka-").tempdir_in("/tmp").unwrap();
        let files = directory.path().join("certificates");
        let authority = CertificateAuthority::create(&files, "authority").unwrap();
        let stranger = CertificateAuthority::create(&files, "stranger").unwrap();
        let security = KafkaSecurity {
            server: authority.server("broker", &["127.0.0.1"]).unwrap(),
            client_authority: authority.certificate().to_owned(),
            users: vec![(Self::USER.to_owned(), Self::PASSWORD.to_owned())],
            login_lasts,
        };
        let libs = std::env::var_os("LUNARIA_KAFKA_LIBS");
        let libs = PathBuf::from(libs.expect("LUNARIA_KAFKA_LIBS is not set: run `make test`"));
        let options = KafkaOptions::new(directory.path().join("kafka"), libs);
        let (broker, doors) = KafkaBroker::start_secured(&options, &security).unwrap();
        Self { authority, stranger, doors, broker, directory }
    }

    /// Where it takes whoever comes, in plain text.
    pub fn plain_port(&self) -> u16 {
        let bootstrap = self.broker.bootstrap();
        bootstrap.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap()
    }

    pub fn stop(self) {
        self.broker.stop().unwrap();
        self.directory.close().unwrap();
    }
}
