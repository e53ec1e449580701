//! Settings whose value stands in a file: `password.file = "/run/secrets/kafka"` instead of `password = "…"`.
//!
//! Any text may be given so, by all ways to set one: `database_url = { file = "…" }` in a file,
//! `LUNARIA__CORE__DATABASE__DATABASE_URL__FILE`, `--set core.database.database_url.file=…`.

use std::fs;

use anyhow::{Context, ensure};
use config::{Value, ValueKind};

const FILE: &str = "file";
/// Far above a URL or a password, far below what a wrong path may lead to.
const BYTES_MAX: usize = 64 * 1024;

/// Puts in place of each table that holds only `file` what stands in that file, without the line's end.
pub(super) fn read(value: &mut Value) -> anyhow::Result<()> {
    if let ValueKind::Array(items) = &mut value.kind {
        return items.iter_mut().try_for_each(read);
    }
    let ValueKind::Table(table) = &mut value.kind else { return Ok(()) };
    let is_file =
        table.len() == 1 && table.get(FILE).is_some_and(|path| matches!(path.kind, ValueKind::String(_)));
    if !is_file {
        return table.values_mut().try_for_each(read);
    }
    let path = table[FILE].to_string();
    let text = fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    ensure!(text.len() <= BYTES_MAX, "{path} is larger than a setting may be");
    let text = String::from_utf8(text).ok().with_context(|| format!("{path} is not text"))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    *value = Value::new(Some(&path), text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use crate::config::Config;

    fn file(text: &str) -> (tempfile::NamedTempFile, String) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        (file, path)
    }

    #[test]
    fn a_setting_may_stand_in_a_file_and_is_not_shown() {
        let (_password, password) = file("0042 \n");
        let (_url, url) = file("postgres://app:hunter2@127.0.0.1/db\r\n");
        let settings =
            [format!("kafka.password.file={password}"), format!("core.database.database_url.file={url}")];
        let config = Config::load(None, &settings).unwrap();
        assert_eq!(config.kafka.password, "0042 ");
        let password = config.core.database.database_url.replication().unwrap().password.unwrap();
        assert!(format!("{password:?}") == "Secret(..)");
        let shown = config.shown().join("\n");
        assert!(!shown.contains("0042") && !shown.contains("hunter2"), "{shown}");
        assert!(shown.contains(&format!("postgres://app:…@127.0.0.1/db    # {url}")), "{shown}");
        assert!(!format!("{config:?}").contains("hunter2") && !format!("{config:?}").contains("0042"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let setting = "kafka.password.file=/no/such/file".to_owned();
        let error = format!("{:#}", Config::load(None, &[setting]).unwrap_err());
        assert!(error.contains("/no/such/file"), "{error}");
    }
}
