//! Further doors of a private Kafka broker: TLS, TLS that asks for a client certificate, and SASL over TLS.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Error, Identity, directory};

const KEY_STORE: &str = "server.pem";
const TRUST_STORE: &str = "clients.pem";

/// What the broker shows, whom it trusts, and who may log in by a password.
#[derive(Debug, Clone)]
pub struct KafkaSecurity {
    pub server: Identity,
    /// The certificate that client certificates are signed by.
    pub client_authority: PathBuf,
    /// Name and password, for PLAIN and for SCRAM. No quotes, commas or brackets: both go through Kafka's own syntaxes.
    pub users: Vec<(String, String)>,
    /// How long a login by a password lasts: whoever sends more after it has to have logged in again. `None`: for ever.
    pub login_lasts: Option<Duration>,
}

/// Where a secured broker listens besides its plain port, all on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KafkaDoors {
    /// TLS, the server's certificate only.
    pub tls: u16,
    /// TLS with a client certificate.
    pub mutual_tls: u16,
    /// TLS with a login by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    pub sasl: u16,
}

impl KafkaDoors {
    /// Properties to follow those of a plain broker; where both name one, the later counts.
    pub(crate) fn properties(&self, security: &KafkaSecurity, plain: u16, controller: u16) -> String {
        let Self { tls, mutual_tls, sasl } = self;
        let doors = format!(
            "PLAINTEXT://127.0.0.1:{plain},TLS://127.0.0.1:{tls},MUTUAL://127.0.0.1:{mutual_tls},\
             SASL://127.0.0.1:{sasl}"
        );
        let users = security.users.iter().fold(String::new(), |mut users, (name, password)| {
            let _ = write!(users, " user_{name}=\"{password}\"");
            users
        });
        let login = |module: &str, options: &str| {
            format!("org.apache.kafka.common.security.{module}LoginModule required{options};")
        };
        let login_lasts_ms = security.login_lasts.unwrap_or_default().as_millis();
        let (plain_login, scram_login) = (login("plain.Plain", &users), login("scram.Scram", ""));
        format!(
            "listeners={doors},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={doors}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,TLS:SSL,MUTUAL:SSL,SASL:SASL_SSL
inter.broker.listener.name=PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={KEY_STORE}
ssl.truststore.type=PEM
ssl.truststore.location={TRUST_STORE}
listener.name.mutual.ssl.client.auth=required
connections.max.reauth.ms={login_lasts_ms}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config={plain_login}
listener.name.sasl.scram-sha-256.sasl.jaas.config={scram_login}
listener.name.sasl.scram-sha-512.sasl.jaas.config={scram_login}
"
        )
    }
}

impl KafkaSecurity {
    /// Writes the stores that the properties name. Kafka wants the key and the certificate in one file.
    pub(crate) fn write_stores(&self, directory: &Path) -> Result<(), Error> {
        let store = read(&self.server.key)? + &read(&self.server.certificate)?;
        directory::write_secret(&directory.join(KEY_STORE), &store)?;
        directory::write_secret(&directory.join(TRUST_STORE), &read(&self.client_authority)?)
    }

    /// Arguments of the format: SCRAM's users live in the cluster's metadata.
    pub(crate) fn format_arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            for (name, password) in &self.users {
                arguments.push("--add-scram".to_owned());
                arguments.push(format!("{mechanism}=[name={name},password={password}]"));
            }
        }
        arguments
    }
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::file("read", path))
}
