//! Where `lunaria dev` keeps its data, the passwords of its database roles, and the keys of its API.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use access::Role;
use anyhow::{Context, bail};
use event_store::Passwords;
use rand::Rng;
use rand::distr::Alphanumeric;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const PASSWORD_LENGTH: usize = 32;

#[derive(Serialize, Deserialize)]
struct Stored {
    owner: String,
    application: String,
    relay: String,
}

/// The asked directory, or the user's state directory. Root's own home is closed to the user that Postgres has to run as.
pub(super) fn directory(asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    let directory = match asked {
        Some(directory) => std::path::absolute(directory)?,
        None => default_directory()?,
    };
    // Postgres, as another user, has to be able to pass through; what is in it is closed by itself.
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&directory)
        .with_context(|| format!("cannot make {}; choose another with --state-dir", directory.display()))?;
    Ok(directory)
}

fn default_directory() -> anyhow::Result<PathBuf> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if is_root {
        return Ok(PathBuf::from("/var/lib/lunaria"));
    }
    match (variable("XDG_STATE_HOME"), variable("HOME")) {
        (Some(state), _) => Ok(state.join("lunaria")),
        (None, Some(home)) => Ok(home.join(".local/state/lunaria")),
        (None, None) => bail!("neither XDG_STATE_HOME nor HOME is set; choose a directory with --state-dir"),
    }
}

/// The roles' passwords.
pub(super) fn passwords(directory: &Path) -> anyhow::Result<Passwords> {
    let make = || Stored { owner: random(), application: random(), relay: random() };
    let stored = kept(directory.join("passwords.json"), make)?;
    Ok(Passwords { owner: stored.owner, application: stored.application, relay: stored.relay })
}

/// A key of the API for each role.
pub(super) fn keys(directory: &Path) -> anyhow::Result<BTreeMap<Role, String>> {
    let file = directory.join("keys.json");
    let mut keys: BTreeMap<Role, String> = kept(file.clone(), BTreeMap::new)?;
    if keys.len() < Role::ALL.len() {
        // The first time, or since there are more roles.
        for role in Role::ALL {
            keys.entry(role).or_insert_with(random);
        }
        keep(&file, &keys)?;
    }
    Ok(keys)
}

/// What the secrets of webhooks follow from.
pub(super) fn webhook_key(directory: &Path) -> anyhow::Result<String> {
    kept(directory.join("webhook-key.json"), random)
}

/// What is made once, readable by this user alone.
fn kept<T: Serialize + DeserializeOwned>(file: PathBuf, make: impl FnOnce() -> T) -> anyhow::Result<T> {
    if !file.exists() {
        keep(&file, &make())?;
    }
    serde_json::from_slice(&fs::read(&file)?)
        .with_context(|| format!("{} is damaged; remove it to get new ones", file.display()))
}

fn keep(file: &Path, new: &impl Serialize) -> anyhow::Result<()> {
    let draft = file.with_extension("draft");
    let mut out = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    out.write_all(&serde_json::to_vec(new)?)?;
    out.sync_all()?;
    Ok(fs::rename(&draft, file)?)
}

fn random() -> String {
    rand::rng().sample_iter(Alphanumeric).take(PASSWORD_LENGTH).map(char::from).collect()
}
