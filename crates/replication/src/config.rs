//! Where the server is and as whom to log in.

use std::fmt::{self, Debug, Display, Formatter};
use std::path::PathBuf;
use std::time::Duration;

use tls::Tls;

/// libpq's default `application_name` would be empty; an operator should see who holds a slot.
const APPLICATION_NAME: &str = "lunaria";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Far below the server's `wal_sender_timeout` of 60 s, and the most that a slot lags behind without a confirm.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct Config {
    pub host: Host,
    pub user: String,
    pub password: Option<Secret>,
    pub database: String,
    /// `None`: plain. A unix socket is always plain: it does not leave the machine.
    pub tls: Option<Tls>,
    pub application_name: String,
    /// For the whole of connecting and logging in.
    pub connect_timeout: Duration,
    /// The longest time between two status updates; keep it below half of `wal_sender_timeout`.
    pub status_interval: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Tcp {
        host: String,
        port: u16,
    },
    /// `directory` is the server's `unix_socket_directories`; the port is part of the socket's file name.
    Unix {
        directory: PathBuf,
        port: u16,
    },
}

/// A password that `Debug` does not print.
#[derive(Clone)]
pub struct Secret(String);

impl Config {
    /// With the defaults for all that is not named: no password, no TLS, 10 s to connect, a status update every second.
    pub fn new(host: Host, user: impl Into<String>, database: impl Into<String>) -> Self {
        Self {
            host,
            user: user.into(),
            password: None,
            database: database.into(),
            tls: None,
            application_name: APPLICATION_NAME.to_owned(),
            connect_timeout: CONNECT_TIMEOUT,
            status_interval: STATUS_INTERVAL,
        }
    }
}

impl Host {
    pub(crate) fn socket_path(directory: &std::path::Path, port: u16) -> PathBuf {
        directory.join(format!(".s.PGSQL.{port}"))
    }
}

impl Display for Host {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(formatter, "{host}:{port}"),
            Self::Unix { directory, port } => {
                write!(formatter, "{}", Self::socket_path(directory, *port).display())
            }
        }
    }
}

impl Secret {
    /// For whoever passes it on.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(password: String) -> Self {
        Self(password)
    }
}

impl From<&str> for Secret {
    fn from(password: &str) -> Self {
        Self(password.to_owned())
    }
}

impl Debug for Secret {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, Host};

    #[test]
    fn debug_of_a_config_hides_the_password() {
        let host = Host::Tcp { host: "localhost".into(), port: 5432 };
        let config = Config { password: Some("hunter2".into()), ..Config::new(host, "relay", "core") };
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn unix_socket_is_named_as_postgres_names_it() {
        let host = Host::Unix { directory: "/run/postgresql".into(), port: 5433 };
        assert_eq!(host.to_string(), "/run/postgresql/.s.PGSQL.5433");
    }
}
