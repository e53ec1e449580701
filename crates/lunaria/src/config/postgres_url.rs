//! The URL of a Postgres database, as libpq reads it, for both of our clients: the application's pool and the relay.

use std::fmt::{self, Debug, Display, Formatter};
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use replication::{ClientCertificate, Host, Tls, Verify};
use serde::Deserialize;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use super::without_password;

const PORT: u16 = 5432;
const NOT_PROVED: &str = "does not prove who answers: use sslmode=verify-full, or sslmode=disable where the network \
    itself is trusted";
/// For both clients. What is not known is refused: a typing error in `sslmode` must not mean a plain connection.
const PARAMETERS: [&str; 6] = ["host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey"];
/// For the application's alone.
const OF_THE_POOL: [&str; 2] = ["options", "statement-cache-capacity"];

/// `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=…`; a socket's directory as
/// `?host=/directory`. It is printed without the password.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct PostgresUrl(String);

struct Parts {
    url: Url,
    host: Host,
    tls: Option<Tls>,
}

impl PostgresUrl {
    /// For the application's pool. Its library adds `sslrootcert` to the public authorities, which under verify-full
    /// still have to vouch for the very host; under verify-ca they would vouch for anybody.
    pub(crate) fn application(&self) -> anyhow::Result<PgConnectOptions> {
        let Parts { host, tls, .. } = self.parts(&OF_THE_POOL)?;
        let options: PgConnectOptions =
            self.0.parse().with_context(|| format!("{self} is not a URL of a database"))?;
        let mode = match tls {
            Some(Tls { verify: Verify::Full { .. }, .. }) if matches!(host, Host::Tcp { .. }) => {
                PgSslMode::VerifyFull
            }
            Some(Tls { verify: Verify::Authority { .. }, .. }) => {
                bail!("{self}: sslmode=verify-ca is for the relay's URL only; use sslmode=verify-full")
            }
            _ => PgSslMode::Disable,
        };
        Ok(options.ssl_mode(mode))
    }

    pub(crate) fn replication(&self) -> anyhow::Result<replication::Config> {
        let Parts { url, host, tls } = self.parts(&[])?;
        let database = decoded(url.path().trim_start_matches('/'))?;
        let mut config = replication::Config::new(host, decoded(url.username())?, database);
        config.password = url.password().map(decoded).transpose()?.map(replication::Secret::from);
        config.tls = tls;
        Ok(config)
    }

    pub(crate) fn parsed(&self) -> anyhow::Result<Url> {
        Url::parse(&self.0).with_context(|| format!("{self} is not a URL"))
    }

    fn parts(&self, further: &[&str]) -> anyhow::Result<Parts> {
        ensure!(
            self.0.starts_with("postgres://") || self.0.starts_with("postgresql://"),
            "it is `{self}`; it has to start with postgres://"
        );
        let url = self.parsed()?;
        for (key, _) in url.query_pairs() {
            let is_known =
                PARAMETERS.contains(&&*key) || further.contains(&&*key) || key.starts_with("options[");
            ensure!(
                is_known,
                "{self}: there is no parameter {key} here; there are {}",
                PARAMETERS.join(", ")
            );
        }
        let host = self.host(&url)?;
        let tls = self.tls(&url, &host)?;
        Ok(Parts { url, host, tls })
    }

    fn host(&self, url: &Url) -> anyhow::Result<Host> {
        let port = match parameter(url, "port") {
            Some(port) => port.parse().with_context(|| format!("{self}: the port is no number"))?,
            None => url.port().unwrap_or(PORT),
        };
        let in_place = url.host_str().filter(|host| !host.is_empty()).map(decoded).transpose()?;
        let host = parameter(url, "host").or(in_place).with_context(|| format!("{self} names no host"))?;
        if host.starts_with('/') {
            return Ok(Host::Unix { directory: host.into(), port });
        }
        Ok(Host::Tcp { host: host.trim_start_matches('[').trim_end_matches(']').to_owned(), port })
    }

    fn tls(&self, url: &Url, host: &Host) -> anyhow::Result<Option<Tls>> {
        let file = |name| parameter(url, name).map(PathBuf::from);
        let (roots, certificate, key) = (file("sslrootcert"), file("sslcert"), file("sslkey"));
        let verify = match (parameter(url, "sslmode").as_deref(), roots) {
            (Some("verify-full"), roots) => Verify::Full { roots },
            (Some("verify-ca"), Some(roots)) => Verify::Authority { roots },
            (Some("verify-ca"), None) => {
                bail!("{self}: sslmode=verify-ca needs sslrootcert: public authorities sign for anybody")
            }
            (Some(mode @ ("allow" | "prefer" | "require")), _) => {
                bail!("{self}: sslmode={mode} {NOT_PROVED}")
            }
            (mode @ (Some("disable") | None), roots) => {
                ensure!(
                    roots.is_none() && certificate.is_none() && key.is_none(),
                    "{self}: certificates are of no use without sslmode=verify-full"
                );
                ensure!(
                    mode.is_some() || stays_here(host),
                    "{self}: a plain connection to another machine {NOT_PROVED}"
                );
                return Ok(None);
            }
            (Some(mode), _) => bail!("{self}: there is no sslmode={mode}; use sslmode=verify-full"),
        };
        let client = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
            (None, None) => None,
            _ => bail!("{self}: sslcert and sslkey belong together"),
        };
        Ok(Some(Tls { verify, client }))
    }
}

fn stays_here(host: &Host) -> bool {
    match host {
        Host::Unix { .. } => true,
        Host::Tcp { host, .. } => {
            host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
    }
}

/// The last one counts, as in libpq.
fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().filter(|(key, _)| key == name).last().map(|(_, value)| value.into_owned())
}

/// The parts of a URL before its query are only percent-encoded: a `+` is a plus.
fn decoded(text: &str) -> anyhow::Result<String> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    Ok(decoded.context("the URL holds what is not UTF-8")?.into_owned())
}

impl From<String> for PostgresUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl Display for PostgresUrl {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&without_password(&self.0))
    }
}

impl Debug for PostgresUrl {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use replication::{ClientCertificate, Host, Tls, Verify};
    use sqlx::postgres::PgSslMode;

    use super::PostgresUrl;

    fn url(text: &str) -> PostgresUrl {
        PostgresUrl::from(text.to_owned())
    }

    #[test]
    fn parts_are_percent_decoded_and_a_plus_stays_a_plus() {
        let url = url("postgres://re%40lay:p%3A+%2F@db.example:6000/a%20b?sslmode=disable");
        let config = url.replication().unwrap();
        assert_eq!((config.user.as_str(), config.database.as_str()), ("re@lay", "a b"));
        assert_eq!(config.host, Host::Tcp { host: "db.example".to_owned(), port: 6000 });
        let application = url.application().unwrap();
        assert_eq!((application.get_username(), application.get_host()), ("re@lay", "db.example"));
        assert_eq!(application.get_database(), Some("a b"));
    }

    #[test]
    fn certificates_are_files_that_the_url_names() {
        let files = "sslrootcert=%2Fetc%2Fca.pem&sslcert=/etc/relay.crt&sslkey=/etc/relay.key";
        let url = url(&format!("postgres://relay@db/core?sslmode=verify-full&{files}"));
        let client = ClientCertificate { certificate: "/etc/relay.crt".into(), key: "/etc/relay.key".into() };
        let verify = Verify::Full { roots: Some("/etc/ca.pem".into()) };
        assert_eq!(url.replication().unwrap().tls, Some(Tls { verify, client: Some(client) }));
        assert!(matches!(url.application().unwrap().get_ssl_mode(), PgSslMode::VerifyFull));
    }

    #[test]
    fn socket_and_loopback_are_plain_unless_told_otherwise() {
        let socket =
            url("postgres://relay@localhost/core?host=/run/postgresql&port=5433").replication().unwrap();
        assert_eq!(socket.host, Host::Unix { directory: "/run/postgresql".into(), port: 5433 });
        for text in ["postgres://a@127.0.0.1/x", "postgres://a@localhost/x", "postgresql://a@[::1]/x"] {
            assert_eq!(url(text).replication().unwrap().tls, None, "{text}");
            assert!(matches!(url(text).application().unwrap().get_ssl_mode(), PgSslMode::Disable), "{text}");
        }
        let system = url("postgres://a@localhost/x?sslmode=verify-full").replication().unwrap().tls;
        assert_eq!(system, Some(Tls { verify: Verify::Full { roots: None }, client: None }));
    }

    #[test]
    fn what_would_not_be_safe_is_refused_with_the_remedy() {
        for (rest, words) in [
            ("", "a plain connection to another machine"),
            ("?sslmode=prefer", "does not prove who answers: use sslmode=verify-full"),
            ("?sslmode=allow", "verify-full"),
            ("?sslmode=require", "verify-full"),
            ("?sslmode=verify_full", "no sslmode=verify_full"),
            ("?sslmode=verify-ca", "needs sslrootcert"),
            ("?sslmode=disable&sslrootcert=/ca", "of no use"),
            ("?sslrootcert=/ca", "of no use"),
            ("?sslmode=verify-full&sslcert=/c", "belong together"),
            ("?ssl_mode=verify-full", "no parameter ssl_mode"),
            ("?password=hunter2&sslmode=disable", "no parameter password"),
        ] {
            let url = url(&format!("postgres://app:hunter2@db.example/core{rest}"));
            for error in [url.replication().err().unwrap(), url.application().err().unwrap()] {
                let text = format!("{error:#}");
                assert!(text.contains(words) && !text.contains("hunter2"), "{rest}: {text}");
            }
        }
        let for_anybody = url("postgres://a@db/x?sslmode=verify-ca&sslrootcert=/ca");
        assert!(for_anybody.replication().is_ok());
        assert!(format!("{:#}", for_anybody.application().unwrap_err()).contains("verify-full"));
    }
}
