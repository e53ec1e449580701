//! Claims about connecting and logging in.

use std::time::Duration;

use anyhow::{Context, Result};
use replication::{Client, Config, Error, Host};
use tokio::net::TcpListener;

use crate::server::{server, socket, with_database};

async fn refusal(config: &Config) -> Result<Error> {
    Client::connect(config).await.err().context("the login was not refused")
}

#[test]
fn scram_login_works_over_tcp_and_over_a_unix_socket() {
    with_database(async |database| {
        for host in [database.config.host.clone(), socket()] {
            let config =
                Config { host, application_name: "login test".to_owned(), ..database.config.clone() };
            let mut client = Client::connect(&config).await?;
            let system = client.identify_system().await?;
            assert!(system.system_identifier > 0 && system.timeline > 0);
            assert!(system.wal_flush_lsn > replication::Lsn::ZERO);
            assert_eq!(system.database.as_ref(), Some(&config.database));
            let rows = client.query("select current_setting('application_name') as name").await?;
            assert_eq!(rows[0].get("name"), Some("login test"));
        }
        let mut client = database.connect().await?;
        let sql = "select rolpassword like 'SCRAM-SHA-256$%' from pg_authid where rolname = current_user";
        assert_eq!(client.query(sql).await?[0].at(0), Some("t"), "the server holds no SCRAM secret");
        Ok(())
    });
}

#[test]
fn wrong_or_missing_password_is_a_clear_lasting_error() {
    with_database(async |database| {
        let wrong = Config { password: Some("wrong".into()), ..database.config.clone() };
        let error = refusal(&wrong).await?;
        assert_eq!(error.sqlstate(), Some("28P01"), "{error:?}");
        assert!(error.to_string().contains("password authentication failed") && !error.is_transient());

        let error = refusal(&Config { password: None, ..database.config.clone() }).await?;
        assert!(matches!(error, Error::Login(_)) && !error.is_transient(), "{error:?}");
        Ok(())
    });
}

#[test]
fn missing_database_is_a_lasting_error() {
    with_database(async |database| {
        let error = refusal(&Config { database: "no_such".to_owned(), ..database.config.clone() }).await?;
        assert_eq!(error.sqlstate(), Some("3D000"), "{error:?}");
        assert!(!error.is_transient());
        Ok(())
    });
}

#[tokio::test]
async fn server_that_is_not_there_or_does_not_answer_is_a_transient_error() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let config = Config {
        host: Host::Tcp { host: "127.0.0.1".to_owned(), port },
        connect_timeout: Duration::from_millis(50),
        ..server()
    };
    let error = refusal(&config).await.unwrap();
    assert!(matches!(error, Error::Timeout { .. }) && error.is_transient(), "{error:?}");

    drop(silent);
    let error = refusal(&Config { connect_timeout: Duration::from_secs(10), ..config }).await.unwrap();
    assert!(matches!(error, Error::Connect { .. }) && error.is_transient(), "{error:?}");
}
