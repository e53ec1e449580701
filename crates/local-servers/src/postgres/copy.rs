//! Copies of a cluster's data, taken at one instant, and going back to one: what restoring an old backup does.

use std::path::Path;
use std::process::Command;

use super::PostgresCluster;
use crate::Error;
use crate::directory;
use crate::process::Process;

impl PostgresCluster {
    /// Copies the data to a directory that does not exist yet; the server, if it runs, stands still meanwhile.
    ///
    /// The copy is what a snapshot of the disk holds, slots included: a server that starts on it recovers as after a
    /// crash at that instant. <https://www.postgresql.org/docs/current/backup-file.html>
    pub fn copy_data(&mut self, to: &Path) -> Result<(), Error> {
        if to.exists() {
            return Err(Error::CopyExists { directory: to.to_owned() });
        }
        let is_running = !self.process.has_ended();
        if is_running {
            self.pause()?;
        }
        let copied = self.copy(&self.home.data(), to);
        if is_running {
            self.resume()?;
        }
        copied
    }

    /// Puts a copy in the place of the data and starts the server on it, on the same port. What happened after the copy
    /// is gone; the server's system id and timeline are the same, its log continues from the copy's end.
    pub fn restore_data(&mut self, from: &Path) -> Result<(), Error> {
        let draft = self.home.directory.join("data.new");
        directory::remove(&draft)?;
        self.copy(from, &draft)?;
        // In order would be in vain: nothing of it stays.
        self.kill()?;
        directory::remove(&self.home.data())?;
        std::fs::rename(&draft, self.home.data()).map_err(Error::file("rename", &draft))?;
        self.launch_again()
    }

    /// With owners, modes and times, which PostgreSQL is particular about.
    fn copy(&self, from: &Path, to: &Path) -> Result<(), Error> {
        let mut command = Command::new("cp");
        command.args(["--archive", "--no-target-directory", "--"]).arg(from).arg(to);
        Process::run("cp", &mut command, &self.home.directory.join("copy.log"))
    }
}
