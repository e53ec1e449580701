//! Reads topics from their beginning with kcat: somebody else's client.

use std::collections::HashMap;
use std::process::Command;

use serde_json::Value;
use testbed::kafka;

/// A record as kcat shows it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) partition: i64,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) value: Value,
}

pub(crate) fn read_all(topic: &str) -> Vec<Record> {
    let output = Command::new("kcat")
        .args(["-b", &kafka(), "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J"])
        .output()
        .expect("kcat is missing: scripts/prerequisites.sh test");
    assert!(output.status.success(), "kcat: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| record(&serde_json::from_str(line).unwrap())).collect()
}

fn record(json: &Value) -> Record {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let headers = json["headers"].as_array().unwrap();
    Record {
        key: text(&json["key"]),
        partition: json["partition"].as_i64().unwrap(),
        headers: headers.chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
        // A tombstone has none.
        value: json["payload"].as_str().map_or(Value::Null, |text| serde_json::from_str(text).unwrap()),
    }
}
