//! The house rules: floors, first lines, sizes, migrations.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// ARCHITECTURE.md, "Floors". A crate depends on lower floors only.
const FLOORS: [(&str, usize); 37] = [
    ("event", 0),
    ("money", 0),
    ("pgoutput", 0),
    ("tls", 0),
    ("iso20022", 1),
    ("contract", 1),
    ("fuzz", 1),
    ("access", 1),
    ("event-store", 1),
    ("replication", 1),
    ("kafka-producer", 1),
    ("local-servers", 1),
    ("kafka-client", 1),
    ("simulator", 2),
    ("relay", 2),
    ("delivery", 2),
    ("testbed", 2),
    ("chaos", 3),
    ("adapter", 3),
    ("projection", 3),
    ("cases", 4),
    ("ledger", 4),
    ("authorisation", 5),
    ("webhook", 4),
    ("customer", 4),
    ("event-words", 4),
    ("order", 5),
    ("incoming", 5),
    ("transfer", 5),
    ("card", 5),
    ("instant", 5),
    ("skeleton", 5),
    ("correction", 6),
    ("simulation", 6),
    ("api", 7),
    ("lunaria", 8),
    ("", 0),
];
const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn files(directory: &Path, suffix: &str, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().into_string().unwrap();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files(&path, suffix, into);
        } else if name.ends_with(suffix) {
            into.push(path);
        }
    }
}

fn sources(suffix: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(&root(), suffix, &mut found);
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn crates_depend_on_lower_floors_only() {
    let floors: HashMap<&str, usize> = FLOORS.into_iter().collect();
    let mut seen = 0;
    for (path, text) in sources("Cargo.toml") {
        let Some(name) = text.lines().find_map(|line| line.strip_prefix("name = ")) else { continue };
        let name = name.trim_matches('"');
        let folder = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        assert_eq!(name, folder, "a crate is called as its folder");
        let floor = *floors.get(name).unwrap_or_else(|| panic!("{name} stands on no floor"));
        let dependencies =
            text.split("[dependencies]").nth(1).unwrap_or_default().split("\n[").next().unwrap();
        for line in dependencies.lines() {
            let dependency = line.split(['.', ' ']).next().unwrap();
            if let Some(below) = floors.get(dependency).filter(|_| !dependency.is_empty()) {
                assert!(*below < floor, "{name} (floor {floor}) depends on {dependency} (floor {below})");
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "only {seen} dependencies were found");
}

#[test]
fn every_source_file_says_first_what_it_is_and_is_no_novel() {
    for (path, text) in sources(".rs") {
        let shown = path.display();
        assert!(text.starts_with("//! "), "{shown} does not start with `//!`");
        assert!(text.lines().count() <= LINES_MAX, "{shown} has more than {LINES_MAX} lines");
        let fixme = ["FIX", "ME"].concat();
        assert!(!text.contains(&fixme), "{shown} holds a {fixme}");
    }
}

#[test]
fn libraries_neither_read_the_environment_nor_use_anyhow() {
    // The seeded faults' selector, and what tests are given by `make test`.
    let exempt = [
        "event/src/mutants.rs",
        "event/src/samples.rs",
        "crates/simulation/src/tests.rs",
        "crates/testbed",
        "crates/lunaria",
        "local-servers",
    ];
    for (path, text) in sources(".rs") {
        let shown = path.display().to_string();
        if !shown.contains("/src/") || exempt.iter().any(|part| shown.contains(part)) {
            continue;
        }
        assert!(!text.contains("std::env::var") && !text.contains("anyhow::"), "{shown}");
    }
}

#[test]
fn migrations_are_numbered_without_gaps_and_say_why() {
    for (directory, first) in [("migrations", 1), ("migrations/core", 1001)] {
        let mut names: Vec<String> = fs::read_dir(root().join(directory))
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().is_file())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        for (n, name) in names.iter().enumerate() {
            assert!(name.starts_with(&format!("{:04}_", first + n)), "{directory}/{name} is out of order");
            let text = fs::read_to_string(root().join(directory).join(name)).unwrap();
            assert!(text.starts_with("-- "), "{name} does not say why");
        }
    }
}
