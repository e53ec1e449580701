//! A handler has a bug: what it parks is seen as one, tried again as one when that is mended, or left out by two people.

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use testbed::eventually;
use uuid::Uuid;

use crate::command_line::run;
use crate::harness::{APPROVER_KEY, Client, KEY, LUNARIA, Platform, Transport, settle_down};
use crate::mutants::program;

const ACCOUNTS: usize = 50;
const DEPOSITS: usize = 20;

async fn deposit(client: &Client, account: Uuid) {
    let body = json!({ "amount": { "amount": "1", "currency": "DKK" } });
    let (status, answer) = client.post(&format!("/v1/accounts/{account}/deposits"), body).await;
    assert!(status.is_success(), "{answer}");
}

async fn groups(client: &Client) -> Vec<Value> {
    client.get("/v1/parked").await.1["groups"].as_array().unwrap().clone()
}

/// The one cause there is, once so many streams with so many events wait for a person.
async fn until_parked(client: &Client, streams: usize, events: usize) -> Value {
    eventually("they wait for a person", async || {
        let mut groups = groups(client).await;
        (groups.len() == 1 && groups[0]["streams"] == streams && groups[0]["events"] == events)
            .then(|| groups.remove(0))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bug_has_parked_is_tried_again_in_order_when_it_is_mended() {
    let mut platform = Platform::with(Transport::Embedded, &program(), "", &[]).await;
    let client = platform.client();
    let accounts: Vec<Uuid> = stream::iter(0..ACCOUNTS).then(|_| client.account(100)).collect().await;
    settle_down(&platform, &[]).await;
    platform.deploy(&program(), "post_nothing").await;
    for _ in 0..DEPOSITS {
        stream::iter(&accounts).for_each_concurrent(16, |account| deposit(&client, *account)).await;
    }
    let group = until_parked(&client, ACCOUNTS, ACCOUNTS * DEPOSITS).await;
    let shown = (&group["handler"], &group["events"], &group["cause"]);
    assert_eq!(shown, (&json!("ledger"), &json!(ACCOUNTS * DEPOSITS), &json!("… cannot be posted")));
    let id = group["group_id"].as_str().unwrap();
    let (_, page) = client.get(&format!("/v1/parked/{id}/streams?limit=30")).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let (_, rest) = client.get(&format!("/v1/parked/{id}/streams?cursor={cursor}")).await;
    assert_eq!(rest["streams"].as_array().unwrap().len(), ACCOUNTS - 30, "{rest}");

    // Tried again too early, it is parked again, and that is seen.
    let parked = |arguments: &[&str]| {
        run(&[&["parked"], arguments, &["--url", &platform.api_url, "--token", KEY]].concat())
    };
    let retry = ["retry", id, "--reason", "it is mended"];
    let one = page["streams"][0]["stream"].as_str().unwrap();
    let (code, text) = parked(&[&retry[..], &["--stream", one, "--confirm", "1"]].concat());
    assert!(code == 0 && text.contains("1 streams"), "{text}");
    eventually("it has failed once more", async || {
        let (_, page) = client.get(&format!("/v1/parked/{id}/streams?limit=1")).await;
        (page["streams"][0]["attempts"].as_i64() > page["streams"][1]["attempts"].as_i64().max(Some(6)))
            .then_some(())
    })
    .await;
    until_parked(&client, ACCOUNTS, ACCOUNTS * DEPOSITS).await;
    // It is no way out to leave them out of a read model.
    let skip = json!({ "kind": "skip_parked", "handler": "ledger", "stream": one, "seq": page["streams"][0]["seq"] });
    let (_, refused) = client.post("/v1/corrections/preview", skip).await;
    assert!(refused["detail"].as_str().unwrap().contains("is a read model"), "{refused}");

    platform.deploy(LUNARIA, "").await;
    let client = platform.client();
    let parked = |arguments: &[&str]| {
        run(&[&["parked"], arguments, &["--url", &platform.api_url, "--token", KEY]].concat())
    };
    let (code, listed) = parked(&["list"]);
    assert!(code == 0 && listed.contains("cannot be posted") && listed.contains("1000"), "{listed}");
    let (code, unconfirmed) = parked(&retry);
    assert!(code == 1 && unconfirmed.contains("`--confirm 50`"), "{unconfirmed}");
    let (code, wrong) = parked(&[&retry[..], &["--confirm", "49"]].concat());
    assert!(code == 1 && wrong.contains("count-changed") && wrong.contains("50 wait"), "{wrong}");
    let (code, retried) = parked(&[&retry[..], &["--confirm", "50"]].concat());
    assert!(code == 0 && retried.contains("50 streams"), "{retried}");
    eventually("nothing is parked", async || groups(&client).await.is_empty().then_some(())).await;
    let (_, entries) = client.get(&format!("/v1/accounts/{}/entries?limit=50", accounts[0])).await;
    assert_eq!(entries["entries"].as_array().unwrap().len(), DEPOSITS + 1);
    // Who had it done, and why, stands in the events.
    let (_, found) = client.get("/v1/events?category=retry").await;
    let why: Vec<&Value> =
        found["events"].as_array().unwrap().iter().map(|event| &event["data"]["reason"]).collect();
    assert_eq!(why, ["it is mended", "it is mended"]);
    settle_down(&platform, &[]).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_leave_out_what_no_handler_can_take() {
    let mut platform = Platform::with(Transport::Embedded, &program(), "", &[]).await;
    let client = platform.client();
    let account = client.account(100).await;
    settle_down(&platform, &[]).await;
    platform.deploy(&program(), "tell_nothing").await;
    deposit(&client, account).await;
    until_parked(&client, 1, 1).await;
    deposit(&client, account).await;
    platform.deploy(LUNARIA, "").await;
    let (client, approver) = (platform.client(), platform.client().with_key(APPROVER_KEY));
    let group = eventually("the next one waits behind it", async || {
        let group = groups(&client).await.remove(0);
        (group["events"] == 2).then_some(group)
    })
    .await;
    let (_, found) = client.get(&format!("/v1/parked/{}/streams", group["group_id"].as_str().unwrap())).await;
    let waits = &found["streams"][0];
    let skip = |seq: i64| json!({ "kind": "skip_parked", "handler": "account.v1", "stream": waits["stream"], "seq": seq });
    let seq = waits["seq"].as_i64().unwrap();
    let (status, other) = client.post("/v1/corrections/preview", skip(seq + 1)).await;
    assert_eq!((status.as_u16(), &other["code"]), (422, &json!("correction-refused")), "{other}");
    let body = json!({ "correction": skip(seq), "reason_code": "TECH", "evidence": "posted by hand" });
    let (status, asked) = client.post("/v1/corrections", body).await;
    assert_eq!(status, 201, "{asked}");
    let path = format!("/v1/corrections/{}", asked["correction_id"].as_str().unwrap());
    assert_eq!(asked["preview"]["skipped"]["event_id"], waits["event_id"], "{asked}");
    let hash = json!({ "preview_hash": asked["preview"]["hash"] });
    assert_eq!(approver.post(&format!("{path}/approve"), hash).await.0, 200);
    let (status, executed) = client.post(&format!("{path}/execute"), json!({})).await;
    assert_eq!((status.as_u16(), &executed["status"]), (200, &json!("executed")), "{executed}");
    eventually("its stream goes on", async || groups(&client).await.is_empty().then_some(())).await;
    let told = format!("/v1/external/account/v1/streams/{account}/events");
    let told = client.get(&told).await.1["events"].as_array().unwrap().len();
    assert_eq!(told, 2, "one is left out, the one behind it is not");
    settle_down(&platform, &[]).await;
    platform.stop().await;
}
