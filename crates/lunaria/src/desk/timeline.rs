//! A timeline as a tree of causes, for people and for Graphviz.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use serde_json::Value;

use super::print::{list, text, time};

/// Step by step, each below its cause; what follows from a request, a deadline or another service begins anew.
pub(super) fn tree(timeline: &Value) -> String {
    let steps = list(timeline, "steps");
    let ids: HashSet<&str> = steps.iter().filter_map(|step| step["event_id"].as_str()).collect();
    let mut below: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    let mut roots = Vec::new();
    for step in steps {
        match step["caused_by"]["id"].as_str().filter(|cause| ids.contains(cause)) {
            Some(cause) => below.entry(cause).or_default().push(step),
            None => roots.push(step),
        }
    }
    let mut lines = Vec::new();
    for root in roots {
        descend(root, &below, "", "", &mut lines);
    }
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default();
    let mut shown = String::new();
    if let Some(first) = steps.first() {
        let _ = writeln!(shown, "{}", time(&first["recorded_at"]));
    }
    for (line, step) in lines {
        let after = format!("+{} ms", step["after_ms"]);
        let (place, actor) = (place(step), text(&step["actor"]));
        let cause = match step["caused_by"]["kind"].as_str() {
            Some(kind @ ("deadline" | "correction")) => format!(", by a {kind}"),
            _ => String::new(),
        };
        let _ = writeln!(shown, "{after:>12}  {line:<width$}  {place}  {actor}{cause}");
    }
    shown
}

fn descend<'a>(
    step: &'a Value,
    below: &BTreeMap<&str, Vec<&'a Value>>,
    branch: &str,
    under: &str,
    lines: &mut Vec<(String, &'a Value)>,
) {
    lines.push((format!("{branch}{}", text(&step["type"])), step));
    let effects = step["event_id"].as_str().and_then(|id| below.get(id)).map(Vec::as_slice);
    let effects = effects.unwrap_or_default();
    for (n, effect) in effects.iter().enumerate() {
        let is_last = n + 1 == effects.len();
        let (branch, further) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        descend(effect, below, &format!("{under}{branch}"), &format!("{under}{further}"), lines);
    }
}

/// `transfer-0198c1f2…@3`
fn place(step: &Value) -> String {
    let stream = text(&step["stream"]);
    let (category, id) = stream.split_once('-').unwrap_or((&stream, ""));
    let id: String = id.chars().take(8).collect();
    format!("{category}-{id}…@{}", step["seq"])
}

/// For Graphviz: <https://graphviz.org/doc/info/lang.html>.
pub(super) fn graph(timeline: &Value) -> String {
    let mut dot = "digraph causes {\n  rankdir=LR; node [shape=box, fontname=\"sans-serif\"];\n".to_owned();
    let steps = list(timeline, "steps");
    let ids: HashSet<&str> = steps.iter().filter_map(|step| step["event_id"].as_str()).collect();
    for step in steps {
        let (id, what, place) = (text(&step["event_id"]), text(&step["type"]), place(step));
        let _ = writeln!(dot, "  \"{id}\" [label=\"{what}\\n{place}\\n+{} ms\"];", step["after_ms"]);
        let (cause, kind) = (text(&step["caused_by"]["id"]), text(&step["caused_by"]["kind"]));
        if !ids.contains(cause.as_str()) {
            let _ = writeln!(dot, "  \"{cause}\" [label=\"{kind}\", shape=ellipse];");
        }
        let _ = writeln!(dot, "  \"{cause}\" -> \"{id}\";");
    }
    dot + "}\n"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(id: &str, cause: &str, what: &str, after_ms: i64) -> Value {
        json!({
            "recorded_at": "2026-11-23T09:00:00Z", "after_ms": after_ms, "stream": "transfer-0198c1f2-0000", "seq": 1, "type": what,
            "event_id": id, "actor": "api:ada", "caused_by": { "kind": "event", "id": cause }, "depth": 0,
        })
    }

    #[test]
    fn each_step_stands_below_its_cause() {
        let timeline = json!({ "steps": [
            step("1", "0", "Requested", 0), step("2", "1", "Reserved", 3), step("3", "1", "Held", 4), step("4", "2", "Sent", 9), step("5", "x", "Settled", 20),
        ] });
        let shown = tree(&timeline);
        let lines: Vec<&str> =
            shown.lines().skip(1).map(|line| line.split("  transfer").next().unwrap().trim()).collect();
        let expected = [
            "+0 ms  Requested",
            "+3 ms  ├─ Reserved",
            "+9 ms  │  └─ Sent",
            "+4 ms  └─ Held",
            "+20 ms  Settled",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_graph_has_an_edge_for_each_cause() {
        let dot = graph(&json!({ "steps": [step("1", "0", "Requested", 0), step("2", "1", "Reserved", 3)] }));
        assert!(dot.contains("\"0\" -> \"1\";") && dot.contains("\"1\" -> \"2\";"), "{dot}");
        assert!(dot.contains("\"0\" [label=\"event\", shape=ellipse];"), "{dot}");
    }
}
