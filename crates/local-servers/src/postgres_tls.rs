//! What makes a private PostgreSQL cluster speak TLS: settings, and files that its account can read.

use std::fs;
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::{Error, Identity, directory};

/// Sessions through the Unix socket, which the cluster's own start asks for, stay as they are.
const LOCAL: &str = "local all all scram-sha-256\n";

/// What the server shows, whom it trusts, and whom it lets in.
#[derive(Debug, Clone)]
pub struct PostgresTls {
    pub server: Identity,
    /// The certificate that client certificates are signed by.
    pub client_authority: PathBuf,
    /// Lines of `pg_hba.conf` for TCP, such as `hostssl all all all scram-sha-256 clientcert=verify-full`.
    pub access: Vec<String>,
}

impl PostgresTls {
    /// For [`PostgresOptions::settings`](crate::PostgresOptions). The files go to `directory`, which is not the cluster's
    /// and has to be open to the account that PostgreSQL runs as.
    pub fn settings(&self, directory: &Path) -> Result<Vec<(String, String)>, Error> {
        let account = Account::not_root()?;
        let hba: String = self.access.iter().map(|line| format!("{line}\n")).collect();
        directory::create(directory)?;
        account.keep(directory, 0o700)?;
        let files = [
            ("ssl_cert_file", "server.crt", read(&self.server.certificate)?),
            ("ssl_key_file", "server.key", read(&self.server.key)?),
            ("ssl_ca_file", "clients.pem", read(&self.client_authority)?),
            ("hba_file", "pg_hba.conf", format!("{LOCAL}{hba}")),
        ];
        let mut settings = vec![("ssl".to_owned(), "on".to_owned())];
        for (setting, name, text) in files {
            let path = directory.join(name);
            directory::write_secret(&path, &text)?;
            account.keep(&path, 0o600)?;
            settings.push((setting.to_owned(), path.display().to_string()));
        }
        Ok(settings)
    }
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::file("read", path))
}
