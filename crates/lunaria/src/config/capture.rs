//! `[[capture]]`: tables of existing systems, each system's by a login, a slot and a publication of their own.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use replication::SlotName;
use serde::Deserialize;

use super::PostgresUrl;
use crate::cli::ServiceName;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Capture {
    /// Before its topics, and in metrics.
    pub name: String,
    pub relay_url: PostgresUrl,
    /// Both: `lunaria_capture_<name>` unless it is said.
    slot: Option<String>,
    publication: Option<String>,
    /// A record without a value after each delete, as compacted topics need it.
    #[serde(default = "yes")]
    pub tombstones: bool,
    #[serde(default)]
    pub snapshot: Snapshot,
}

/// When the rows that stand in the tables are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Snapshot {
    /// Before the first change; after a gap, a person says so.
    #[default]
    Initial,
    /// Before the first change, and after each gap that it mends.
    WhenNeeded,
    Never,
}

impl Capture {
    pub(crate) fn slot(&self) -> anyhow::Result<SlotName> {
        let slot = self.slot.clone().unwrap_or_else(|| self.default_name());
        SlotName::new(slot).with_context(|| format!("capture {}: slot", self.name))
    }

    pub(crate) fn publication(&self) -> String {
        self.publication.clone().unwrap_or_else(|| self.default_name())
    }

    fn default_name(&self) -> String {
        format!("lunaria_capture_{}", self.name.replace('-', "_"))
    }

    fn check(&self) -> anyhow::Result<()> {
        let name = &self.name;
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        ensure!(
            !name.is_empty() && name.bytes().all(allowed),
            "the capture {name:?} has to be called by lower-case letters, digits, `_` and `-`"
        );
        // Its topics would be taken for the service's.
        let is_taken = ServiceName::ALL.iter().any(|service| service.as_str() == name);
        ensure!(!is_taken, "the capture {name} has the name of a service");
        self.relay_url.replication().with_context(|| format!("capture {name}: relay_url"))?;
        self.slot().map(drop)
    }
}

pub(super) fn check(captures: &[Capture]) -> anyhow::Result<()> {
    let mut names = BTreeSet::new();
    for capture in captures {
        capture.check()?;
        ensure!(names.insert(&capture.name), "there are two captures of the name {}", capture.name);
    }
    Ok(())
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::Snapshot;
    use crate::config::tests::load;

    #[test]
    fn a_capture_needs_a_name_and_a_login_and_its_password_is_not_shown() {
        let mut secret = tempfile::NamedTempFile::new().unwrap();
        secret.write_all(b"postgres://relay:hunter3@127.0.0.1/shop\n").unwrap();
        let config = load(&format!(
            "[[capture]]\nname = \"crm-old\"\nrelay_url = \"postgres://relay:hunter2@127.0.0.1/crm\"\n
             [[capture]]\nname = \"shop\"\nsnapshot = \"when_needed\"\ntombstones = false\n
             slot = \"s\"\npublication = \"p\"\nrelay_url.file = {:?}\n",
            secret.path()
        ))
        .unwrap();
        let [crm, shop] = &config.capture[..] else { panic!("two are configured") };
        assert_eq!(
            (crm.slot().unwrap().as_str(), &*crm.publication()),
            ("lunaria_capture_crm_old", "lunaria_capture_crm_old")
        );
        assert_eq!((crm.tombstones, crm.snapshot), (true, Snapshot::Initial));
        assert_eq!((shop.slot().unwrap().as_str(), &*shop.publication()), ("s", "p"));
        assert_eq!((shop.tombstones, shop.snapshot), (false, Snapshot::WhenNeeded));
        let shown = config.shown().join("\n");
        assert!(shown.contains("capture[0].relay_url = postgres://relay:…@127.0.0.1/crm"), "{shown}");
        assert!(shown.contains("capture[1].relay_url = postgres://relay:…@127.0.0.1/shop"), "{shown}");
        assert!(!shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn what_would_be_taken_for_another_is_refused() {
        let capture = |name: &str, more: &str| {
            format!("[[capture]]\nname = \"{name}\"\nrelay_url = \"postgres://a@127.0.0.1/x\"\n{more}\n")
        };
        for (toml, words) in [
            (capture("core", ""), "name of a service"),
            (capture("a", "") + &capture("a", ""), "two captures"),
            (capture("A.b", ""), "lower-case"),
            (capture("a", "slot = \"A B\""), "slot"),
            (capture("a", "slots = \"a\""), "slots"),
            (capture("a", "snapshot = \"always\""), "always"),
        ] {
            let error = load(&toml).unwrap_err();
            assert!(error.contains(words), "{toml}: {error}");
        }
    }
}
