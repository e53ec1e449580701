//! The dashboard and the alert rules: what Grafana and Prometheus would only say once they have them.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::harness::{file, yaml};

/// What the roles export, histograms by their name without `_bucket`, `_sum`, `_count`.
pub(crate) const METRICS: [&str; 25] = [
    "lunaria_relay_events_total",
    "lunaria_relay_bytes_total",
    "lunaria_relay_transactions_total",
    "lunaria_relay_batch_events",
    "lunaria_relay_in_flight_events",
    "lunaria_relay_commit_to_ack_seconds",
    "lunaria_relay_lag_bytes",
    "lunaria_relay_lag_seconds",
    "lunaria_relay_state",
    "lunaria_relay_halts_total",
    "lunaria_relay_sessions_total",
    "lunaria_relay_refilled_events_total",
    "lunaria_relay_skipped_events_total",
    "lunaria_slot_safe_bytes",
    "lunaria_slot_seconds_to_invalidation",
    "lunaria_slot_lost",
    "lunaria_handler_oldest_unhandled_seconds",
    "lunaria_handler_parked_streams",
    "lunaria_handler_behind",
    "lunaria_handler_handled_total",
    "lunaria_deprecated_contract_reads_total",
    "lunaria_unmatched_messages_total",
    "lunaria_open_cases",
    "lunaria_card_answers_total",
    "lunaria_rail_circuit_open",
];

fn dashboard() -> Value {
    serde_json::from_str(&fs::read_to_string(file("deploy/grafana/relay.json")).unwrap()).unwrap()
}

fn rules() -> Vec<Value> {
    let groups = yaml("deploy/prometheus/alerts.yml")["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// The metrics that an expression names.
fn metrics(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("lunaria_"));
    let base = |name: &str| {
        let histogram = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| name.strip_suffix(end));
        histogram.unwrap_or(name).to_owned()
    };
    names.map(base).collect()
}

fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn dashboard_and_alerts_name_metrics_that_are_exported() {
    let exported: BTreeSet<String> = METRICS.map(str::to_owned).into();
    let shown: BTreeSet<String> = expressions(&dashboard()).iter().flat_map(|text| metrics(text)).collect();
    assert_eq!(shown, exported, "every metric has a panel, and every panel a metric");
    for rule in rules() {
        let named = metrics(rule["expr"].as_str().unwrap());
        assert!(!named.is_empty() && named.is_subset(&exported), "{}: {named:?}", rule["alert"]);
    }
}

#[test]
fn an_alert_says_how_bad_it_is_what_it_is_and_what_to_do() {
    let rules = rules();
    let names: BTreeSet<&str> = rules.iter().map(|rule| rule["alert"].as_str().unwrap()).collect();
    assert_eq!(names.len(), rules.len(), "two alerts have the same name");
    for rule in &rules {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&rule["alert"]);
        assert!(["critical", "warning"].contains(&text(&rule["labels"]["severity"]).as_str()), "{name}");
        assert!(!text(&rule["for"]).is_empty(), "{name} has no `for`");
        let (summary, runbook) =
            (text(&rule["annotations"]["summary"]), text(&rule["annotations"]["runbook"]));
        assert!(summary.contains("$labels.service"), "{name} does not say where: {summary}");
        assert!(runbook.len() > 80, "{name} does not say what to do: {runbook}");
        // What a text refers the reader to has to be there.
        for word in runbook.split(|c: char| !c.is_ascii_alphanumeric()) {
            let is_alert = word.starts_with("Lunaria");
            assert!(!is_alert || names.contains(word), "{name} refers to {word}");
        }
        assert!(metrics(&runbook).iter().all(|metric| METRICS.contains(&metric.as_str())), "{name}");
    }
    assert!(names.contains("LunariaEventNotHandled"));
}

#[test]
fn the_dashboard_works_with_any_data_source_and_service() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&str> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "service"]);
    let (mut ids, mut rows) = (BTreeSet::new(), 0);
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is taken");
        let place = &panel["gridPos"];
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{title} is too wide");
        if panel["type"] == "row" {
            rows += 1;
            assert!(title.ends_with('?'), "a row is a question");
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
    }
    assert_eq!(rows, 5);
    for expression in expressions(&dashboard) {
        assert!(expression.contains("service=~\"$service\""), "{expression}");
    }
}
