//! `lunaria new adapter NAME`: the beginning of a rail's adapter, as a crate whose tests pass.
//!
//! What is written is `adapters/skeleton`, a crate of this workspace like any other, under another name.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

const OWN_NAME: &str = "skeleton";
const NAME_BYTES_MAX: usize = 32;

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../../adapters/skeleton/", $path)))),*]
    };
}

const FILES: [(&str, &str); 20] = files![
    "Cargo.toml",
    "README.md",
    "relies_on/payment.v2/PaymentSubmitted.v1.json",
    "relies_on/payment.v2/RecallRequested.v1.json",
    "samples/submission/AnswerContradicted.v1.json",
    "samples/submission/AttemptNotSent.v1.json",
    "samples/submission/AttemptStarted.v1.json",
    "samples/submission/AttemptTimedOut.v1.json",
    "samples/submission/RecallRefused.v1.json",
    "samples/submission/RetriesExhausted.v1.json",
    "samples/submission/SubmissionAccepted.v1.json",
    "samples/submission/SubmissionRejected.v1.json",
    "samples/submission/SubmissionRequested.v1.json",
    "src/clearing_stream.rs",
    "src/courier.rs",
    "src/lib.rs",
    "src/line.rs",
    "src/submission.rs",
    "src/submission/tests.rs",
    "src/submissions.rs",
];

/// Writes the adapter below the `adapters` of the workspace at `root`, and says what else it needs.
pub(crate) fn write(name: &str, root: &Path) -> anyhow::Result<()> {
    let directory = create(name, root)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} is written; {}/README.md says what is next.",
        directory.display(),
        directory.display()
    )?;
    Ok(())
}

fn create(name: &str, root: &Path) -> anyhow::Result<PathBuf> {
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.ends_with('-')
        && name.len() <= NAME_BYTES_MAX;
    ensure!(
        is_name,
        "{name:?} is no name of a rail: a letter, then letters, digits and dashes, all small, {NAME_BYTES_MAX} at most"
    );
    let adapters = root.join("adapters");
    ensure!(
        root.join("Cargo.toml").is_file() && adapters.is_dir(),
        "{} is not Lunaria's workspace: run this where its Cargo.toml is, or name that folder with --workspace",
        root.display()
    );
    for folder in ["crates", "sagas", "adapters"] {
        let taken = root.join(folder).join(name);
        ensure!(!taken.exists(), "{} is there already; nothing was changed", taken.display());
    }
    let directory = adapters.join(name);
    for (path, text) in FILES {
        let path = directory.join(path);
        let parent = path.parent().context("every file has a folder")?;
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        fs::write(&path, text.replace(OWN_NAME, name))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn own_folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../adapters").join(OWN_NAME)
    }

    fn files(directory: &Path) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![directory.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = fs::read_to_string(&path).unwrap();
                    found.insert(path.strip_prefix(directory).unwrap().to_owned(), text);
                }
            }
        }
        found
    }

    fn workspace() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("adapters")).unwrap();
        fs::write(root.path().join("Cargo.toml"), "[workspace]\n").unwrap();
        root
    }

    #[test]
    fn every_file_of_the_skeleton_is_written_under_the_new_name() {
        let listed: BTreeSet<PathBuf> = FILES.iter().map(|(path, _)| PathBuf::from(path)).collect();
        let own = files(&own_folder());
        assert_eq!(listed, own.keys().cloned().collect(), "FILES is what the folder has");
        let root = workspace();
        let written = files(&create("sepa-ct", root.path()).unwrap());
        assert_eq!(written.len(), own.len());
        for (path, text) in written {
            assert_eq!(text, own[&path].replace("skeleton", "sepa-ct"), "{}", path.display());
        }
    }

    #[test]
    fn what_is_no_name_no_workspace_or_there_already_is_refused_and_left_alone() {
        let root = workspace();
        for name in ["", "Sepa", "1st", "a/b", "..", "a-", "sepa_ct", &"a".repeat(33)] {
            let error = create(name, root.path()).unwrap_err().to_string();
            assert!(error.contains("no name of a rail"), "{name}: {error}");
        }
        let error = create("sepa", &root.path().join("adapters")).unwrap_err().to_string();
        assert!(error.contains("--workspace"), "{error}");
        create("sepa", root.path()).unwrap();
        let mine = root.path().join("adapters/sepa/src/line.rs");
        fs::write(&mine, "// mine").unwrap();
        fs::create_dir_all(root.path().join("crates/money")).unwrap();
        for taken in ["sepa", "money"] {
            let error = create(taken, root.path()).unwrap_err().to_string();
            assert!(error.contains("nothing was changed"), "{error}");
        }
        assert_eq!(fs::read_to_string(mine).unwrap(), "// mine");
    }
}
