//! What goes wrong and is mended: by two people, as it was shown, or not at all.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::command_line::run;
use crate::harness::{APPROVER_KEY, Client, KEY, LUNARIA, Platform, Transport, settle_down};

/// The rail has the payment, and does not tell what became of it until the clearing house is healed.
const NOBODY_TELLS: &[&str] = &[
    "core.submission_limit_ms=700",
    "core.resolution_limit_ms=700",
    "instant.attempts_max=1",
    "instant.enquiries_max=1",
];

struct People {
    operator: Client,
    approver: Client,
}

async fn post(client: &Client, path: &str, body: Value) -> (u16, Value) {
    let (status, answer) = client.post(path, body).await;
    (status.as_u16(), answer)
}

impl People {
    fn of(platform: &Platform) -> Self {
        Self { operator: platform.client(), approver: platform.client().with_key(APPROVER_KEY) }
    }

    async fn request(&self, correction: Value) -> Value {
        let body = json!({ "correction": correction, "reason_code": "RAIL", "evidence": "camt.053 of today, line 7" });
        let (status, requested) = post(&self.operator, "/v1/corrections", body).await;
        assert_eq!(status, 201, "{requested}");
        assert_eq!(requested["status"], "awaiting_approval");
        requested
    }

    async fn act(client: &Client, correction: &Value, what: &str, body: Value) -> (u16, Value) {
        let id = correction["correction_id"].as_str().unwrap();
        post(client, &format!("/v1/corrections/{id}/{what}"), body).await
    }

    async fn approve(&self, correction: &Value) {
        let hash = json!({ "preview_hash": correction["preview"]["hash"] });
        // Nobody approves their own, whatever roles they have.
        let (status, own) = Self::act(&self.operator, correction, "approve", hash.clone()).await;
        assert!(status == 403, "{own}");
        let (status, approved) = Self::act(&self.approver, correction, "approve", hash).await;
        assert_eq!((status, &approved["status"]), (200, &json!("approved")), "{approved}");
    }

    async fn execute(&self, correction: &Value) -> (u16, Value) {
        Self::act(&self.operator, correction, "execute", json!({})).await
    }
}

async fn a_lost_answer_is_resolved_by_two_people(transport: Transport) {
    let platform = Platform::with(transport, LUNARIA, "", NOBODY_TELLS).await;
    let (client, people) = (platform.client(), People::of(&platform));
    let account = client.account(1_000).await;
    client.order_fault(json!({ "kind": "answer_late", "count": 1, "delay_ms": 15_000 })).await;
    client.order_fault(json!({ "kind": "lose_enquiry", "for_ms": 600_000 })).await;
    let transfer = client.pay(account, 400).await;
    client.until(transfer, "requires_attention").await;
    let subject = format!("transfer-{transfer}");
    client.until_cases(&subject, &["open"]).await;
    // Until then it could still be sent once more.
    testbed::eventually("the adapter has given up", async || {
        client.story(transfer).await.contains(&"ClearingUndetermined".to_owned()).then_some(())
    })
    .await;

    let rejected = json!({ "kind": "resolve_transfer", "transfer_id": transfer, "outcome": { "status": "rejected", "reason_code": "AC04" } });
    let (status, preview) = post(&client, "/v1/corrections/preview", rejected.clone()).await;
    assert_eq!(status, 200, "{preview}");
    assert_eq!(
        (&preview["saga"]["before"], &preview["saga"]["after"]),
        (&json!("requires_attention"), &json!("failed"))
    );
    assert_eq!(client.balances(account).await.1, "400", "a preview does nothing");

    let requested = people.request(rejected).await;
    let (status, early) = people.execute(&requested).await;
    assert_eq!((status, &early["code"]), (409, &json!("correction-not-now")), "{early}");
    people.approve(&requested).await;
    let (status, executed) = people.execute(&requested).await;
    assert_eq!((status, &executed["status"]), (200, &json!("executed")), "{executed}");
    assert_eq!(client.balances(account).await, ("1000".into(), "0".into(), "1000".into()));
    client.until(transfer, "failed").await;
    client.until_cases(&subject, &["withdrawn"]).await;
    let story = client.story(transfer).await;
    assert!(
        story.ends_with(&["OutcomeResolved".to_owned(), "Released".to_owned(), "Failed".to_owned()]),
        "{story:?}"
    );
    // What the events say of who and why, and the list of what it was corrected by.
    let (_, events) = client.get(&format!("/v1/transfers/{transfer}/events")).await;
    let resolved =
        events["events"].as_array().unwrap().iter().find(|event| event["type"] == "OutcomeResolved").unwrap();
    assert_eq!(resolved["metadata"]["causation_kind"], "correction");
    assert_eq!(resolved["causation_id"], requested["correction_id"]);
    let (_, listed) = client.get(&format!("/v1/corrections?subject={subject}")).await;
    assert_eq!(listed["corrections"][0]["correction_id"], requested["correction_id"], "{listed}");

    let (_, cases) = client.get(&format!("/v1/cases?subject={subject}&status=withdrawn")).await;
    assert_eq!(cases["cases"].as_array().map(Vec::len), Some(1), "{cases}");

    // The answer comes after all, and says otherwise: nothing moves, and somebody is called.
    client.heal().await;
    let disputed = client.until_cases(&subject, &["open", "withdrawn"]).await.remove(0);
    assert_eq!(client.balances(account).await.0, "1000");
    a_person_looks_after_it(&people, &disputed, &requested).await;
    let story = client.story(transfer).await;
    assert!(story.contains(&"ClearingContradicted".to_owned()), "{story:?}");
    platform.stop().await;
}

/// A case has somebody, notes, an end, and another beginning.
async fn a_person_looks_after_it(people: &People, case: &Value, correction: &Value) {
    let (client, id) = (&people.operator, case["case_id"].as_str().unwrap());
    let act = async |what: &str, body: Value| post(client, &format!("/v1/cases/{id}/{what}"), body).await;
    let (status, assigned) = act("assign", json!({ "to": "Ada" })).await;
    assert_eq!((status, &assigned["assigned_to"]), (200, &json!("Ada")), "{assigned}");
    testbed::eventually("she finds it", async || {
        let (_, hers) = client.get("/v1/cases?assigned_to=Ada").await;
        (hers["cases"][0]["case_id"] == case["case_id"]).then_some(())
    })
    .await;
    assert_eq!(act("note", json!({ "note": "the house has been asked" })).await.0, 200);
    let never = json!({ "resolution": "mended", "correction_id": Uuid::nil() });
    assert_eq!(act("resolve", never).await.1["code"], "invalid-field");
    let by =
        json!({ "resolution": "it stays as it was corrected", "correction_id": correction["correction_id"] });
    let (status, resolved) = act("resolve", by.clone()).await;
    assert_eq!((status, &resolved["status"]), (200, &json!("resolved")), "{resolved}");
    assert_eq!(act("resolve", by).await.1["code"], "case-not-now");
    testbed::eventually("it is not open any more", async || {
        let (_, grouped) = client.get("/v1/cases/groups").await;
        (grouped["groups"] == json!([])).then_some(())
    })
    .await;
    assert_eq!(act("reopen", json!({ "reason": "the house disagrees" })).await.1["status"], "open");
    let (_, story) = client.get(&format!("/v1/cases/{id}/events")).await;
    let types: Vec<_> =
        story["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types[types.len() - 4..], ["CaseAssigned", "CaseNoted", "CaseResolved", "CaseReopened"]);
    assert_eq!(post(&people.approver, &format!("/v1/cases/{id}/note"), json!({ "note": "x" })).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_resolved_by_two_people_embedded() {
    a_lost_answer_is_resolved_by_two_people(Transport::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_resolved_by_two_people_over_kafka() {
    a_lost_answer_is_resolved_by_two_people(Transport::Kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_moved_on_is_not_corrected_as_it_was_shown() {
    let settings = &["core.corrections.amount_max.DKK=10000"];
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", settings).await;
    let (client, people) = (platform.client(), People::of(&platform));
    let (payer, payee) = (client.account(1_000).await, client.account(1).await);
    let book = client.pay_to(payer, json!({ "account_id": payee }), 300).await;
    client.until(book, "succeeded").await;
    let reverse = json!({ "kind": "reverse_transfer", "transfer_id": book });
    let requested = people.request(reverse).await;
    people.approve(&requested).await;
    // The payee pays something in the meantime.
    let other = client.pay_to(payee, json!({ "account_id": payer }), 1).await;
    client.until(other, "succeeded").await;
    let (status, stale) = people.execute(&requested).await;
    assert_eq!((status, &stale["code"]), (409, &json!("preview-stale")), "{stale}");
    assert_eq!(client.balances(payee).await.0, "300");
    let hash = json!({ "preview_hash": requested["preview"]["hash"] });
    let (status, late) = People::act(&people.approver, &requested, "approve", hash).await;
    assert_eq!((status, &late["code"]), (409, &json!("correction-not-now")), "{late}");
    let (status, renewed) = People::act(&people.operator, &requested, "preview", json!({})).await;
    assert_eq!(status, 200, "{renewed}");
    people.approve(&renewed).await;
    let (status, executed) = people.execute(&renewed).await;
    assert_eq!(status, 200, "{executed}");
    assert_eq!((client.balances(payer).await.0, client.balances(payee).await.0), ("1001".into(), "0".into()));
    assert_eq!(client.until(book, "returned").await["status"], "returned");
    let (status, twice) =
        post(&client, "/v1/corrections/preview", json!({ "kind": "reverse_transfer", "transfer_id": book }))
            .await;
    assert_eq!((status, &twice["code"]), (422, &json!("correction-refused")), "{twice}");

    let adjust = |minor: &str| json!({ "kind": "adjust_account", "account_id": payer, "amount": { "amount": minor, "currency": "DKK" }, "against": "suspense" });
    let (_, much) = post(&client, "/v1/corrections/preview", adjust("10001")).await;
    assert_eq!(much["code"], "correction-over-limit");
    let (_, lacking) = post(&client, "/v1/corrections/preview", adjust("-1002")).await;
    assert_eq!(lacking["code"], "correction-refused");
    // A correction is corrected by another, and each names the other.
    let wrong = people.request(adjust("500")).await;
    people.approve(&wrong).await;
    assert_eq!(people.execute(&wrong).await.0, 200);
    let body = json!({ "correction": adjust("-500"), "reason_code": "CORR", "evidence": "ticket 12", "corrects": wrong["correction_id"] });
    let (status, mending) = post(&client, "/v1/corrections", body).await;
    assert_eq!(status, 201, "{mending}");
    people.approve(&mending).await;
    assert_eq!(people.execute(&mending).await.0, 200);
    let id = wrong["correction_id"].as_str().unwrap();
    testbed::eventually("each names the other", async || {
        let (_, read) = client.get(&format!("/v1/corrections/{id}")).await;
        (read["corrected_by"] == json!([mending["correction_id"]])).then_some(())
    })
    .await;
    assert_eq!(client.balances(payer).await.0, "1001");
    settle_down(&platform, &[book, other]).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_correct_from_the_command_line() {
    let platform = Platform::with(Transport::Embedded, LUNARIA, "", &[]).await;
    let client = platform.client();
    let account = client.account(1_000).await;
    let as_whom = |key: &'static str, arguments: &[&str]| {
        run(&[arguments, &["--url", &platform.api_url, "--token", key]].concat())
    };
    let id = account.to_string();
    let adjust = ["adjust", &id, "--amount=-250", "--currency", "DKK", "--against", "suspense"];
    let (code, shown) = as_whom(KEY, &[&["corrections", "preview"], &adjust[..]].concat());
    assert!(code == 0 && shown.contains("10.00 DKK → 7.50 DKK") && shown.contains("holds"), "{shown}");
    let asking = ["corrections", "request", "--reason", "TECH", "--evidence", "ticket 7", "--output", "json"];
    let (code, requested) = as_whom(KEY, &[&asking[..], &adjust[..]].concat());
    assert_eq!(code, 0, "{requested}");
    let requested: Value = serde_json::from_str(&requested).unwrap();
    let correction = requested["correction_id"].as_str().unwrap();
    let hash = requested["preview"]["hash"].as_str().unwrap();
    let approve = ["corrections", "approve", correction, "--preview", hash];
    let (code, own) = as_whom(KEY, &approve);
    assert!(code == 1, "{own}");
    let (code, other) =
        as_whom(APPROVER_KEY, &["corrections", "approve", correction, "--preview", &"0".repeat(64)]);
    assert!(code == 1 && other.contains("preview-stale"), "{other}");
    let (code, approved) = as_whom(APPROVER_KEY, &approve);
    assert!(code == 0 && approved.contains("1 of 1"), "{approved}");
    let (code, executed) = as_whom(KEY, &["corrections", "execute", correction]);
    assert!(code == 0 && executed.contains("executed"), "{executed}");
    assert_eq!(client.balances(account).await.0, "750");
    testbed::eventually("it is listed", async || {
        as_whom(KEY, &["corrections", "list", "--status", "executed"]).1.contains(correction).then_some(())
    })
    .await;
    let unknown = Uuid::nil().to_string();
    let (code, missing) = as_whom(KEY, &["corrections", "show", &unknown]);
    assert!(code == 1 && missing.contains("correction-unknown"), "{missing}");
    platform.stop().await;
}
