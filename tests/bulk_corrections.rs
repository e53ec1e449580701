//! Many things went wrong in the same way, and are mended together: approved as one list, a few first, each once.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::command_line::run;
use crate::harness::{APPROVER_KEY, Client, KEY, LUNARIA, Platform, Transport, Victim, settle_down};

/// In `make test`; `make campaign` has ten thousand.
const ITEMS: usize = 2_000;
const AT_ONCE: usize = 32;

async fn post(client: &Client, path: &str, body: Value) -> (u16, Value) {
    let (status, answer) = client.post(path, body).await;
    (status.as_u16(), answer)
}

async fn act(client: &Client, id: &str, what: &str, body: Value) -> (u16, Value) {
    post(client, &format!("/v1/bulk-corrections/{id}/{what}"), body).await
}

async fn read(client: &Client, id: &str) -> Value {
    client.get(&format!("/v1/bulk-corrections/{id}")).await.1
}

async fn until(client: &Client, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + testbed::patience() * 4;
    loop {
        let found = read(client, id).await;
        if wanted(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "{found}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn until_status(client: &Client, id: &str, status: &str) -> Value {
    until(client, id, |found| found["status"] == status).await
}

fn executed(found: &Value) -> u64 {
    found["progress"]["executed"].as_u64().unwrap()
}

/// Pays many accounts out of one, and returns the transfers.
async fn a_batch(client: &Client, from: Uuid, payees: &[Uuid], count: usize) -> Vec<Uuid> {
    let paid = stream::iter(0..count).map(|n| {
        let to = json!({ "account_id": payees[n % payees.len()] });
        client.pay_to(from, to, 100)
    });
    paid.buffer_unordered(AT_ONCE).collect().await
}

/// The own approval, another preview and the rest before the first are refused.
async fn approve(operator: &Client, approver: &Client, id: &str, shown: &Value) {
    let hash = json!({ "preview_hash": shown["preview"]["hash"] });
    let refused = |(status, answer): (u16, Value)| (status, answer["code"].as_str().unwrap().to_owned());
    assert_eq!(refused(act(operator, id, "approve", hash.clone()).await), (403, "own-request".to_owned()));
    let other = json!({ "preview_hash": "0".repeat(64) });
    assert_eq!(refused(act(approver, id, "approve", other).await), (409, "preview-stale".to_owned()));
    assert_eq!(refused(act(operator, id, "start", json!({})).await), (409, "correction-not-now".to_owned()));
    let (status, approved) = act(approver, id, "approve", hash).await;
    assert_eq!((status, &approved["status"]), (200, &json!("approved")), "{approved}");
    assert_eq!(refused(act(operator, id, "resume", json!({})).await), (409, "canary-first".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrongly_settled_batch_is_taken_back_across_a_kill() {
    let count = std::env::var("LUNARIA_BULK").map_or(ITEMS, |count| count.parse().unwrap());
    let settings = &["core.corrections.above.DKK=1000000000"];
    let mut platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let (operator, approver) = (platform.client(), platform.client().with_key(APPROVER_KEY));
    let stake = i64::try_from(count).unwrap() * 100;
    let from = operator.account(stake).await;
    let payees: Vec<Uuid> = stream::iter(0..40).then(|_| operator.account(1)).collect().await;
    let began = Timestamp::now();
    let batch = a_batch(&operator, from, &payees, count).await;
    assert_eq!(operator.balances(from).await.0, "0");
    testbed::eventually("the list has all of them", async || {
        let rows: i64 = sqlx::query_scalar("select count(*) from transfer_view where status = 'succeeded'")
            .fetch_one(&mut platform.core_database().await)
            .await
            .unwrap();
        (rows == i64::try_from(count).unwrap()).then_some(())
    })
    .await;

    let of = json!({ "from_account": from, "requested_from": began, "requested_until": Timestamp::now() });
    let body = json!({ "reverse_transfers": of, "reason_code": "DUPL", "evidence": "payroll run 12, sent twice", "per_second": 1000 });
    let (status, requested) = post(&operator, "/v1/bulk-corrections", body).await;
    assert_eq!((status, &requested["items"]), (201, &json!(count)), "{requested}");
    let id = requested["bulk_id"].as_str().unwrap().to_owned();
    let shown = until_status(&operator, &id, "awaiting_approval").await;
    let at_stake = json!([{ "amount": stake.to_string(), "currency": "DKK" }]);
    assert_eq!(
        (&shown["preview"]["ready"], &shown["preview"]["totals"]),
        (&json!(count), &at_stake),
        "{shown}"
    );
    approve(&operator, &approver, &id, &shown).await;
    assert_eq!(act(&operator, &id, "start", json!({})).await.0, 200);
    until_status(&operator, &id, "canary_ended").await;
    assert_eq!(operator.balances(from).await.0, "1000", "ten of them");

    assert_eq!(act(&operator, &id, "resume", json!({})).await.0, 200);
    let some = u64::try_from(count / 5).unwrap();
    until(&operator, &id, |found| executed(found) >= some).await;
    let (status, paused) = act(&approver, &id, "pause", json!({})).await;
    assert_eq!((status, &paused["status"]), (200, &json!("paused")), "{paused}");
    // Others are served meanwhile; it would have done dozens of items.
    for _ in 0..100 {
        operator.balances(from).await;
    }
    assert_eq!(act(&operator, &id, "resume", json!({})).await.0, 200);
    for part in [2, 3] {
        until(&operator, &id, |found| executed(found) >= some * part).await;
        platform.kill(Victim::Everything);
        platform.resume().await;
    }
    let (operator, approver) = (platform.client(), platform.client().with_key(APPROVER_KEY));
    until_status(&operator, &id, "completed").await;
    let late = act(&approver, &id, "abort", json!({ "reason": "too late" })).await;
    assert_eq!((late.0, &late.1["code"]), (409, &json!("correction-not-now")));
    each_is_taken_back_once(&platform, &operator, &id, count).await;
    assert_eq!(
        operator.balances(from).await.0,
        stake.to_string(),
        "the totals are what the ledger has moved by"
    );
    for payee in payees {
        assert_eq!(operator.balances(payee).await.0, "1");
    }
    settle_down(&platform, &batch).await;
    platform.stop().await;
}

async fn each_is_taken_back_once(platform: &Platform, operator: &Client, id: &str, count: usize) {
    let count = i64::try_from(count).unwrap();
    let mut core = platform.core_database().await;
    let (streams, events): (i64, i64) = sqlx::query_as(
        "select count(distinct stream), count(*) from event where type = 'Reversed' and stream like 'transfer-%'",
    )
    .fetch_one(&mut core)
    .await
    .unwrap();
    assert_eq!((streams, events), (count, count), "each once");
    // After a pause no more than the item that was being done.
    let late: i64 = sqlx::query_scalar(
        "select count(*) from event paused, event resumed, event executed
         where paused.stream = $1 and paused.type = 'BulkPaused' and resumed.stream = $1 and resumed.seq = paused.seq + 1
             and executed.type = 'CorrectionExecuted' and executed.position between paused.position and resumed.position",
    )
    .bind(format!("bulk-{id}"))
    .fetch_one(&mut core)
    .await
    .unwrap();
    assert!(late <= 1, "{late} items were done while it was paused");
    let done = until(operator, id, |found| found["progress"]["executed"] == count).await;
    assert_eq!(done["progress"]["failed"], 0);
    testbed::eventually("the list of items has seen the last", async || {
        let (_, last) = operator.get(&format!("/v1/bulk-corrections/{id}/items?cursor={}", count - 1)).await;
        let last = &last["items"][0];
        (last["number"] == count && last["status"] == "executed").then_some(())
    })
    .await;
    let (_, failed) = operator.get(&format!("/v1/bulk-corrections/{id}/items?status=failed")).await;
    assert_eq!(failed["items"], json!([]));
}

fn csv(directory: &Path, lines: &[String]) -> String {
    let path = directory.join("list.csv");
    let headings = "kind,transfer_id,account_id,amount,currency,against\n";
    std::fs::write(&path, headings.to_owned() + &lines.join("\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

/// From a file: what cannot be done is said, what nobody confirms is not done, what is aborted is left.
#[tokio::test(flavor = "multi_thread")]
async fn operators_correct_a_list_from_the_command_line() {
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", &[]).await;
    let client = platform.client();
    let (rich, poor) = (client.account(1_000).await, client.account(1).await);
    let as_whom = |key: &'static str, arguments: &[&str]| {
        let bulk = [&["corrections", "bulk"], arguments, &["--url", &platform.api_url, "--token", key]];
        run(&bulk.concat())
    };
    let adjust = |account: Uuid| format!("adjust_account,,{account},-100,DKK,suspense");
    let mut lines = vec![adjust(rich), adjust(poor), adjust(rich), adjust(rich)];
    let path = csv(platform.directory(), &lines);
    let asking = [
        "request",
        "--reason",
        "TECH",
        "--evidence",
        "ticket 7",
        "--canary",
        "1",
        "--output",
        "json",
        "--csv",
    ];
    let (code, requested) = as_whom(KEY, &[&asking[..], &[&path]].concat());
    assert_eq!(code, 0, "{requested}");
    let requested: Value = serde_json::from_str(&requested).unwrap();
    let id = requested["bulk_id"].as_str().unwrap();
    let (code, followed) = as_whom(KEY, &["follow", id]);
    assert!(code == 0 && followed.contains("can be done   3, and 1 cannot"), "{followed}");
    let shown = read(&client, id).await;
    let hash = shown["preview"]["hash"].as_str().unwrap();
    let (code, approved) = as_whom(APPROVER_KEY, &["approve", id, "--preview", hash]);
    assert!(code == 0 && approved.contains("1 of 1"), "{approved}");
    let (code, skipped) = as_whom(KEY, &["resume", id, "--confirm", "3"]);
    assert!(code == 1 && skipped.contains("canary-first"), "{skipped}");
    let (code, unconfirmed) = as_whom(KEY, &["start", id]);
    assert!(
        code == 1 && unconfirmed.contains("3 items are to be corrected, of 3.00 DKK in all; `--confirm 3`"),
        "{unconfirmed}"
    );
    assert_eq!(as_whom(KEY, &["start", id, "--confirm", "3"]).0, 0);
    let (code, seen) = as_whom(KEY, &["follow", id]);
    assert!(code == 0 && seen.contains("canary_ended"), "{seen}");
    assert_eq!(client.balances(rich).await.0, "900");
    let (code, aborted) = as_whom(APPROVER_KEY, &["abort", id, "--reason", "the wrong list"]);
    assert!(code == 0 && aborted.contains("the wrong list"), "{aborted}");
    let (code, over) = as_whom(KEY, &["follow", id]);
    assert!(code == 0 && over.contains("1, 1 failed, 2 left"), "{over}");
    assert_eq!(client.balances(rich).await.0, "900");
    testbed::eventually("the list of items says what has become of each", async || {
        let (_, items) = as_whom(KEY, &["items", id]);
        let said = |what: &str| items.matches(what).count();
        ((said("executed"), said("does not cover"), said("the wrong list")) == (1, 1, 2)).then_some(())
    })
    .await;
    assert!(as_whom(KEY, &["list", "--status", "aborted"]).1.contains(id));
    // Its items are no corrections that anybody decides alone.
    let (_, all) = client.get("/v1/corrections").await;
    assert_eq!(all["corrections"], json!([]));

    lines[2] = "append,,,,,".to_owned();
    let path = csv(platform.directory(), &lines);
    let (code, wrong) = as_whom(KEY, &[&asking[..], &[&path]].concat());
    assert!(
        code == 1 && wrong.contains("line 4: append is no kind of correction that a list has"),
        "{wrong}"
    );
    long_and_wrong_lists(&client, rich).await;
    settle_down(&platform, &[]).await;
    platform.stop().await;
}

/// A list may be longer than other requests, and says nothing twice.
async fn long_and_wrong_lists(client: &Client, rich: Uuid) {
    let twice = json!({ "kind": "reverse_transfer", "transfer_id": Uuid::nil() });
    let body = json!({ "items": [twice, twice], "reason_code": "TECH", "evidence": "ticket 7" });
    let (status, twice) = post(client, "/v1/bulk-corrections", body).await;
    assert_eq!((status, &twice["pointer"]), (422, &json!("/items/1")), "{twice}");
    let one = json!({ "kind": "adjust_account", "account_id": rich, "amount": { "amount": "-1", "currency": "DKK" }, "against": "suspense" });
    let body = json!({ "items": vec![one; 1_000], "reason_code": "TECH", "evidence": "ticket 8" });
    assert!(body.to_string().len() > 128 * 1024);
    let (status, long) = post(client, "/v1/bulk-corrections", body).await;
    assert_eq!((status, &long["items"]), (201, &json!(1_000)), "{long}");
    let id = long["bulk_id"].as_str().unwrap();
    let (status, rejected) = act(client, id, "reject", json!({ "reason": "not needed" })).await;
    assert_eq!((status, &rejected["status"]), (200, &json!("rejected")), "{rejected}");
    until(client, id, |found| found["progress"]["left"] == 1_000).await;
}

/// Nobody has gone on in time with what was approved: one correction, and many.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_waits_too_long_is_over() {
    let platform = Platform::start(Transport::Embedded).await;
    let (client, approver) = (platform.client(), platform.client().with_key(APPROVER_KEY));
    let account = client.account(1_000).await;
    let amount = json!({ "amount": "-100", "currency": "DKK" });
    let adjust =
        json!({ "kind": "adjust_account", "account_id": account, "amount": amount, "against": "suspense" });
    let body = json!({ "items": [adjust], "reason_code": "TECH", "evidence": "ticket 7" });
    let (_, bulk) = post(&client, "/v1/bulk-corrections", body).await;
    let body = json!({ "correction": adjust, "reason_code": "TECH", "evidence": "ticket 7" });
    let (_, one) = post(&client, "/v1/corrections", body).await;
    let (bulk, single) = (bulk["bulk_id"].as_str().unwrap(), one["correction_id"].as_str().unwrap());
    let path = format!("/v1/corrections/{single}");
    let hash = json!({ "preview_hash": one["preview"]["hash"] });
    assert_eq!(post(&approver, &format!("{path}/approve"), hash).await.0, 200);
    let shown = until_status(&client, bulk, "awaiting_approval").await;
    let hash = json!({ "preview_hash": shown["preview"]["hash"] });
    assert_eq!(act(&approver, bulk, "approve", hash).await.0, 200);
    sqlx::query(
        "update deadline set due_at = now(), next_at = now() where category in ('bulk', 'correction')",
    )
    .execute(&mut platform.core_database().await)
    .await
    .unwrap();
    until_status(&client, bulk, "expired").await;
    testbed::eventually("its approval has expired", async || {
        (client.get(&path).await.1["status"] == "expired").then_some(())
    })
    .await;
    let (status, late) = post(&client, &format!("{path}/execute"), json!({})).await;
    assert_eq!((status, &late["code"]), (409, &json!("correction-not-now")), "{late}");
    let (status, late) = act(&client, bulk, "start", json!({})).await;
    assert_eq!((status, &late["code"]), (409, &json!("correction-not-now")), "{late}");
    for command in
        [&["corrections", "execute", single][..], &["corrections", "bulk", "start", bulk, "--confirm", "1"]]
    {
        let (code, late) = run(&[command, &["--url", &platform.api_url, "--token", KEY]].concat());
        assert!(code == 1 && late.contains("correction-not-now"), "{late}");
    }
    assert_eq!(client.balances(account).await.0, "1000");
    let left = until(&client, bulk, |found| found["progress"]["left"] == 1).await;
    assert_eq!(left["status_reason"], "the bulk correction has expired");
    platform.stop().await;
}
