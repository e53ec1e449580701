//! The account that a server runs as: ours, or for a root that must not be root, `postgres` or `nobody`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Error;

const USERS: [&str; 2] = ["postgres", "nobody"];

pub(crate) enum Account {
    Ours,
    Lesser { user: String, uid: u32, gid: u32 },
}

impl Account {
    /// PostgreSQL refuses to run as root.
    pub(crate) fn not_root() -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Ours);
        }
        let path = Path::new("/etc/passwd");
        let passwd = fs::read_to_string(path).map_err(Error::file("read", path))?;
        USERS.iter().find_map(|user| find(&passwd, user)).ok_or(Error::NoAccount)
    }

    /// A command that runs as this account; `setpriv` replaces itself by it, so that the child's id is the program's.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = match self {
            Self::Ours => Command::new(program),
            Self::Lesser { uid, gid, .. } => {
                let mut command = Command::new("setpriv");
                command.args([&format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups", "--"]);
                command.arg(program);
                command
            }
        };
        // The caller's working directory may be closed to the lesser account.
        command.current_dir("/").stdin(Stdio::null());
        // Messages that we read, in the language that we expect.
        command.env("LC_ALL", "C");
        command
    }

    /// Gives a file or directory to this account, for itself alone.
    pub(crate) fn keep(&self, path: &Path, mode: u32) -> Result<(), Error> {
        if let Self::Lesser { uid, gid, .. } = self {
            chown(path, Some(*uid), Some(*gid)).map_err(Error::file("change the owner of", path))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::file("protect", path))
    }

    /// A directory below a closed one, such as root's home, is out of a lesser account's reach.
    pub(crate) fn must_reach(&self, directory: &Path) -> Result<(), Error> {
        let Self::Lesser { user, .. } = self else { return Ok(()) };
        let status = self.command(Path::new("test")).arg("-w").arg(directory).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(Error::Unreachable { directory: directory.to_owned(), user: user.clone() }),
            Err(source) => Err(Error::Run { program: "setpriv".to_owned(), source }),
        }
    }
}

fn find(passwd: &str, user: &str) -> Option<Account> {
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let entry = fields.into_iter().find(|fields| fields.first() == Some(&user))?;
    let [uid, gid] = [entry.get(2)?, entry.get(3)?].map(|field| field.parse().ok());
    Some(Account::Lesser { user: user.to_owned(), uid: uid?, gid: gid? })
}

#[cfg(test)]
mod tests {
    use super::{Account, find};

    #[test]
    fn user_is_found_by_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npostgres2:x:7:7::/:\npostgres:x:101:104::/:/bin/sh\n";
        assert!(matches!(find(passwd, "postgres"), Some(Account::Lesser { uid: 101, gid: 104, .. })));
        assert!(find(passwd, "nobody").is_none());
    }
}
