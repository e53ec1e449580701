//! The command line: doctor, wrong configuration.

use std::process::{Command, Output};

use serde_json::{Value, json};
use testbed::TestDatabase;

use crate::harness::{KEY, LUNARIA, Platform, Transport};

pub(crate) fn run(arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(LUNARIA);
    command.args(arguments).env_remove("LUNARIA_TOKEN").env_remove("LUNARIA_TOKEN_FILE");
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap_or(-1), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

#[test]
fn wrong_configuration_ends_with_64_before_anything_starts() {
    for (arguments, named) in [
        (&["--set", "api.lisen=1", "serve"][..], "lisen"),
        (&["--set", "transport=pigeon", "serve"], "pigeon"),
        (&["--config", "/nonexistent.toml", "serve"], "nonexistent"),
        (&["--set", "core.database.database_url=mysql://x", "doctor"], "postgres://"),
        (&["--set", "core.database.slot=A-B!", "doctor"], "slot"),
        (&["--set", "instant.attempts_max=0", "doctor"], "attempts_max"),
    ] {
        let (code, text) = run(arguments);
        assert_eq!(code, 64, "{arguments:?}: {text}");
        assert!(text.contains(named), "{arguments:?}: {text}");
    }
}

#[test]
fn a_role_of_its_own_refuses_the_embedded_transport() {
    let (code, text) = run(&["relay", "run", "core"]);
    assert_eq!(code, 1);
    assert!(text.contains("transport=kafka"), "{text}");
    // Else events would go to a Kafka that no handler reads, and the slot would go on without them.
    for action in [&["refill", "core"][..], &["replay", "core", "--to", "x"], &["topics", "core"]] {
        let (code, text) = run(&[&["relay"], action].concat());
        assert!(code == 1 && text.contains("transport=kafka"), "{action:?}: {text}");
    }
}

#[test]
fn an_unreachable_server_is_named_with_what_to_do() {
    let settings = [
        "core.database.database_url=postgres://a:secret@127.0.0.1:1/x",
        "api.listen=127.0.0.1:0",
        "instant.listen=127.0.0.1:0",
        "ops.listen=127.0.0.1:0",
    ];
    let mut arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    arguments.push("serve");
    let (code, text) = run(&arguments);
    assert_eq!(code, 1);
    assert!(text.contains("127.0.0.1:1/x") && text.contains("doctor"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn the_configuration_is_shown_with_its_sources() {
    let (code, text) = run(&["--set", "kafka.partitions=3", "config", "show"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("kafka.partitions = 3") && text.contains("transport = embedded"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_a_running_platform_well() {
    let platform = Platform::start(Transport::Embedded).await;
    let config = platform.directory().join("lunaria.toml");
    let (code, text) = run(&["--config", config.to_str().unwrap(), "doctor"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("wal_level = logical") && !text.contains("FAIL"), "{text}");
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_missing_and_how_to_mend_it() {
    let database = TestDatabase::create("core").await;
    let mut connection = database.superuser_connection().await;
    sqlx::query("drop publication lunaria").execute(&mut connection).await.unwrap();
    sqlx::query("revoke execute on function append_events from lunaria_app")
        .execute(&mut connection)
        .await
        .unwrap();
    let url = format!("core.database.database_url={}", database.application_url());
    let relay =
        format!("core.database.relay_url={}", database.relay_url().replace("relay:relay", "relay:wrong"));
    let (code, text) = run(&["--set", &url, "--set", &relay, "doctor"]);
    assert_eq!(code, 1);
    for finding in [
        "may append: false",
        "is published: false",
        "relay cannot log in",
        "cannot connect",
        "clearing house",
    ] {
        assert!(text.contains(finding), "{finding} is missing in:\n{text}");
    }
    drop(connection);
    database.drop_database().await;
}

/// What operators ask for, as people and as scripts read it.
#[tokio::test(flavor = "multi_thread")]
async fn operators_ask_from_the_command_line() {
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", &["core.search_events=true"]).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    let paid = client.pay(account, 125).await;
    let key_file = platform.directory().join("key");
    std::fs::write(&key_file, format!("{KEY}\n")).unwrap();
    let ask = |arguments: &[&str]| {
        let asking = ["--url", &platform.api_url, "--token-file", key_file.to_str().unwrap()];
        run(&[arguments, &asking].concat())
    };
    let id = paid.to_string();
    client.until(paid, "succeeded").await;
    // From its beginning until it has ended.
    let (code, followed) = ask(&["transfers", "follow", &id]);
    assert!(code == 0 && followed.contains("Requested") && followed.contains("Succeeded"), "{followed}");
    let has_ended = testbed::eventually("it is in the list", async || {
        let (code, listed) = ask(&["transfers", "list", "--status", "succeeded"]);
        (code == 0 && listed.contains(&id)).then_some(listed)
    });
    let listed = has_ended.await;
    assert!(listed.starts_with("transfer  ") && listed.contains("1.25 DKK"), "{listed}");
    assert!(!listed.contains('\u{1b}'), "colours are for terminals: {listed:?}");

    let (_, shown) = ask(&["transfers", "show", &id]);
    assert!(shown.contains("succeeded") && shown.contains("Muster GmbH"), "{shown}");
    assert!(shown.contains("└─ ") && shown.contains("ClearingSettled"), "{shown}");
    let (_, json) = ask(&["transfers", "show", &id, "--output", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["transfer"]["status"], &json["cases"]), (&json!("succeeded"), &json!([])));
    let (_, dot) = ask(&["transfers", "graph", &id]);
    assert!(dot.starts_with("digraph") && dot.matches(" -> ").count() >= 6, "{dot}");
    let (_, events) = ask(&["transfers", "events", &id]);
    assert!(events.contains(&format!("transfer-{id}@1")), "{events}");
    testbed::eventually("it is found by its words", async || {
        let (_, found) = ask(&["events", "--type", "Requested", "--words", "muster"]);
        found.contains(&format!("transfer-{id}@1")).then_some(())
    })
    .await;
    let (_, stream) = ask(&["streams", "show", &format!("account-{account}"), "--limit", "1"]);
    assert!(stream.contains("Opened") && stream.contains("--after 1"), "{stream}");
    let (_, state) = ask(&["streams", "at", &format!("transfer-{id}"), "--seq", "1"]);
    assert!(state.contains("\"requested\""), "{state}");
    let (_, sagas) = ask(&["sagas"]);
    assert!(sagas.contains("transfer") && sagas.contains("succeeded"), "{sagas}");
    assert_eq!(ask(&["cases", "list"]), (0, "none\n".to_owned()));

    let (code, unknown) = ask(&["transfers", "show", "00000000-0000-0000-0000-000000000000"]);
    assert!(code == 1 && unknown.contains("transfer-unknown"), "{unknown}");
    let (code, usage) = ask(&["transfers", "show", "nonsense"]);
    assert!(code == 2 && usage.contains("nonsense"), "{usage}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).1.contains("transfers"), "{shell}");
    }
    assert!(run(&["man"]).1.contains(".TH lunaria"));
    platform.stop().await;
}
