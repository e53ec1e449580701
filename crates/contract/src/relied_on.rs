//! What each consumer relies on, and the check that it is guaranteed.
//!
//! A service that reads a contract keeps, below `relies_on/<contract>/`, one message per event type, with the
//! fields that it cannot do without and no others. A test calls [`check_relied_on`]: a change of the contract that would
//! break the service fails there, in the service's own words.

use std::fs;
use std::path::Path;

use event::DomainEvent;
use serde_json::Value;

use crate::{asyncapi, unmet};

/// # Panics
/// When an event type has no message, when a message cannot be read without more than it has, when it can be read without
/// something that it has, or when the contract does not guarantee all that it has.
#[track_caller]
pub fn check_relied_on<E: DomainEvent>(directory: impl AsRef<Path>, category: &str) {
    let (directory, document) = (directory.as_ref().join(category), asyncapi());
    let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut checked = Vec::new();
    for file in files.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let parts: Vec<&str> = name.split('.').collect();
        let &[event, version, "json"] = parts.as_slice() else { panic!("{name} is not <Event>.v<N>.json") };
        let version = version.trim_start_matches('v');
        let number: i16 = version.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = fs::read_to_string(file.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let message: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let decode = |message: &Value| E::decode(event, number, &message.to_string()).map(drop);
        decode(&message).unwrap_or_else(|error| panic!("{name} is not enough: {error}"));
        for field in fields(&message, "") {
            let (parent, last) = field.rsplit_once('/').unwrap_or_default();
            let mut without = message.clone();
            without.pointer_mut(parent).and_then(Value::as_object_mut).map(|fields| fields.remove(last));
            assert!(decode(&without).is_err(), "{name}: {field} is not relied on");
        }
        let message_name = format!("{}_{event}_{version}", category.replace('.', "_"));
        let unmet = unmet(&document, &message_name, &message);
        assert!(unmet.is_empty(), "{name}: {}", unmet.join("; "));
        checked.push((event.to_owned(), number));
    }
    for (event, version) in E::TYPES {
        let is_checked = checked.iter().any(|(name, number)| name == event && number == version);
        assert!(is_checked, "{} has nothing of {event} version {version}", directory.display());
    }
}

/// The places of all fields, those within others too.
fn fields(value: &Value, at: &str) -> Vec<String> {
    let own = value.as_object().into_iter().flatten();
    own.flat_map(|(name, value)| {
        let place = format!("{at}/{name}");
        let within = fields(value, &place);
        [vec![place], within].concat()
    })
    .collect()
}
