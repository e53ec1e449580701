//! A physical streaming standby of a running cluster, and its promotion.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::{Home, PostgresCluster, PostgresOptions};
use crate::process::Process;
use crate::{Error, directory};

impl PostgresCluster {
    /// Starts a standby that follows this server under the `application_name` given, and returns when it answers queries.
    /// It has this server's settings, and those of the options on top.
    ///
    /// The base is a copy of this server's data at one instant (see [`PostgresCluster::copy_data`]), as `pg_basebackup`
    /// is not part of every packaged server. It has no slots, as none that `pg_basebackup` makes has any.
    pub fn standby(&mut self, name: &str, options: PostgresOptions) -> Result<Self, Error> {
        let settings = self.home.settings.iter().chain(&options.settings).cloned().collect();
        let home = Home::own(&options.directory, self.home.installation.clone(), settings)?;
        if home.data().exists() {
            return Err(Error::CopyExists { directory: home.data() });
        }
        let draft = home.directory.join("data.new");
        directory::remove(&draft)?;
        self.copy_data(&draft)?;
        forget_slots(&draft)?;
        home.follow(&draft, self.port(), &self.password, name)?;

        let password_file = home.directory.join("password");
        directory::write_secret(&password_file, &self.password)?;
        home.account.keep(&password_file, 0o600)?;
        fs::rename(&draft, home.data()).map_err(Error::file("rename", &draft))?;
        Self::start_in(home, options.port, self.password.clone())
    }

    /// Makes a primary of a standby, on a new timeline, and returns when it takes writes. The old primary is not stopped:
    /// kill it before, or have two.
    pub fn promote(&mut self) -> Result<(), Error> {
        let mut command = self.home.account.command(&self.home.installation.program("pg_ctl"));
        command.args(["promote", "--wait", "--pgdata"]).arg(self.home.data());
        Process::run("pg_ctl promote", &mut command, &self.home.directory.join("promote.log"))
    }
}

impl Home {
    /// Written into the data, so that every later start follows as well.
    fn follow(&self, data: &Path, port: u16, password: &str, name: &str) -> Result<(), Error> {
        // The database is for the worker that copies slots to a standby (PostgreSQL 17 and newer).
        let primary = format!(
            "host=127.0.0.1 port={port} user=postgres password={password} dbname=postgres application_name={}",
            quoted(name)
        );
        let path = data.join("postgresql.auto.conf");
        OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| writeln!(file, "primary_conninfo = {}", quoted(&primary)))
            .map_err(Error::file("write", &path))?;
        let signal = data.join("standby.signal");
        fs::write(&signal, "").map_err(Error::file("write", &signal))?;
        self.account.keep(&signal, 0o600)
    }
}

/// Those of the old server would hold the standby's log for ever.
fn forget_slots(data: &Path) -> Result<(), Error> {
    let slots = data.join("pg_replslot");
    for slot in fs::read_dir(&slots).map_err(Error::file("read", &slots))?.flatten() {
        directory::remove(&slot.path())?;
    }
    Ok(())
}

/// A value in single quotes, which a connection string and a configuration file escape alike.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn quote_in_a_name_stays_inside_its_quotes() {
        assert_eq!(quoted(r"it's a \ name"), r"'it\'s a \\ name'");
    }
}
