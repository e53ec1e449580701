//! The committed sample of each event type and version, and the check that locks their shape.
//!
//! An event that was written once is read for ever. Each crate with events keeps one file per type and version
//! below `samples/`; a test calls [`check`] with one example of each. `UPDATE_SAMPLES=1` writes the files that
//! are missing, never one that exists: a changed shape is a new version, and the files of earlier ones are read for ever.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::Path;

use crate::{Aggregate, DomainEvent};

/// # Panics
/// When a type has no example, when an example's JSON differs from its file, when a file cannot be read as
/// the example, or when a file belongs to no type.
#[track_caller]
pub fn check<E: DomainEvent + PartialEq + Debug>(directory: impl AsRef<Path>, examples: &[E]) {
    let directory = directory.as_ref();
    let mut expected = BTreeSet::new();
    for example in examples {
        let name = format!("{}.v{}.json", example.event_type(), example.version());
        let file = directory.join(&name);
        let json =
            serde_json::to_string_pretty(example).unwrap_or_else(|error| panic!("{name}: {error}")) + "\n";
        if !file.exists() && std::env::var_os("UPDATE_SAMPLES").is_some() {
            fs::create_dir_all(directory)
                .and_then(|()| fs::write(&file, &json))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let committed = fs::read_to_string(&file).unwrap_or_else(|error| {
            panic!("{name}: {error}; UPDATE_SAMPLES=1 writes the sample of a new type")
        });
        assert_eq!(json, committed, "the shape of {name} has changed: give the event a new version");
        let decoded = E::decode(example.event_type(), example.version(), &committed);
        assert_eq!(decoded.ok().as_ref(), Some(example), "{name} does not read back");
        expected.insert(name);
    }
    for (event_type, version) in E::TYPES {
        assert!(expected.contains(&format!("{event_type}.v{version}.json")), "{event_type} has no example");
    }
    for (event_type, version) in E::OLDER {
        let name = format!("{event_type}.v{version}.json");
        let committed =
            fs::read_to_string(directory.join(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let decoded =
            E::decode(event_type, *version, &committed).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decoded.event_type(), *event_type, "{name} has become something else");
        expected.insert(name);
    }
    for file in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        assert!(expected.contains(&name), "{name} belongs to no event type");
    }
}

/// Locks the shape of an aggregate's kept state, and what it makes of events: one file per version, `STATE.vN.json`, beside the events' samples.
///
/// # Panics
/// When the events come to another state than the committed one, or that cannot be read.
#[track_caller]
pub fn check_state<A: Aggregate + PartialEq + Debug>(file: impl AsRef<Path>, events: &[A::Event]) {
    let file = file.as_ref();
    let snapshots = A::SNAPSHOTS.unwrap_or_else(|| panic!("{} keeps no states", A::CATEGORY));
    let state = A::fold(None, events).unwrap_or_else(|| panic!("the events make no {}", A::CATEGORY));
    let json = (snapshots.write)(&state).unwrap_or_else(|error| panic!("{error}"));
    let json: serde_json::Value = serde_json::from_str(json.get()).unwrap_or_else(|error| panic!("{error}"));
    let json = serde_json::to_string_pretty(&json).unwrap_or_else(|error| panic!("{error}")) + "\n";
    let file = file.with_extension(format!("v{}.json", snapshots.version));
    if !file.exists() && std::env::var_os("UPDATE_SAMPLES").is_some() {
        fs::write(&file, &json).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    let committed = fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!("{}: {error}; UPDATE_SAMPLES=1 writes the sample of a new version", file.display())
    });
    assert_eq!(json, committed, "the state of {} has changed: give its snapshots a new version", A::CATEGORY);
    assert_eq!((snapshots.read)(&committed).ok().as_ref(), Some(&state), "it does not read back");
}
