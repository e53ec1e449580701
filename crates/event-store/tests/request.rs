//! One key, one effect, one answer.

use event_store::{Claim, Error, Request, RequestKey, Store};
use jiff::Timestamp;
use serde_json::json;
use testbed::TestDatabase;
use uuid::Uuid;

use crate::counter::{Command, Counter, request};
use crate::entry::until_one_waits_for_another;

fn key(principal: &str, operation: &'static str, key: &str) -> RequestKey {
    RequestKey { principal: principal.to_owned(), operation, key: key.to_owned() }
}

fn answered(answer: &str) -> Request {
    Request {
        id: Uuid::now_v7(),
        content: json!({ "amount": "12.50", "to": ["a", "b"] }),
        status: 422,
        answer: answer.to_owned(),
        accepted_at: Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap(),
    }
}

/// The same request from two clients at once; the first, whose commit is under way, ends or is cut off. Returns whether the
/// second was first.
async fn race(database: &TestDatabase, store: &Store, counter: Uuid, first_commits: bool) -> bool {
    let mut first = database.superuser_connection().await;
    let insert = "begin; insert into request values ('customer:1', 'transfer', 'k', gen_random_uuid(), '{}', 201, 'first', now())";
    sqlx::raw_sql(insert).execute(&mut first).await.unwrap();
    let second = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut second = store.begin(request()).await.unwrap();
            assert!(second.record_request(key("customer:1", "transfer", "k"), answered("second")));
            second.execute::<Counter>(counter, Command::Count).await.unwrap();
            match second.commit().await {
                Ok(_) => true,
                Err(Error::Conflict) => false,
                Err(error) => panic!("{error}"),
            }
        })
    };
    until_one_waits_for_another(database).await;
    sqlx::raw_sql(if first_commits { "commit" } else { "rollback" }).execute(&mut first).await.unwrap();
    second.await.unwrap()
}

#[tokio::test]
async fn a_rival_with_the_same_key_waits_loses_and_finds_the_winners_answer() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let counter = Uuid::now_v7();
    assert!(!race(&database, &store, counter, true).await);
    let mut unit = store.begin(request()).await.unwrap();
    let found = unit.claim_request(&key("customer:1", "transfer", "k")).await.unwrap();
    assert!(matches!(found, Claim::Answered(Request { answer, .. }) if answer == "first"));
    assert!(store.load::<Counter>(counter).await.unwrap().0.is_none());
    drop(unit);
    database.drop_database().await;
}

#[tokio::test]
async fn a_rival_of_one_that_fails_takes_its_place() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let counter = Uuid::now_v7();
    assert!(race(&database, &store, counter, false).await);
    assert_eq!(store.load::<Counter>(counter).await.unwrap().0.unwrap().count, 1);
    database.drop_database().await;
}

#[tokio::test]
async fn a_request_is_found_as_it_was_recorded_by_its_own_key_alone() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let recorded = answered("{ \"b\":1,\n\t\"a\" : 1, \"a\": 2 }  ");
    let mut unit = store.begin(request()).await.unwrap();
    assert!(unit.record_request(key("customer:1", "transfer", "k"), recorded.clone()));
    assert!(!unit.record_request(key("customer:1", "transfer", "k"), answered("twice in one unit")));
    unit.commit().await.unwrap();

    let mut unit = store.begin(request()).await.unwrap();
    let own = unit.claim_request(&key("customer:1", "transfer", "k")).await.unwrap();
    assert_eq!(own, Claim::Answered(recorded));
    for other in [
        key("customer:2", "transfer", "k"),
        key("customer:1", "account", "k"),
        key("customer:1", "transfer", "K"),
    ] {
        assert_eq!(unit.claim_request(&other).await.unwrap(), Claim::Ours);
        assert!(unit.record_request(other, answered("other")));
    }
    drop(unit);
    database.drop_database().await;
}

#[tokio::test]
async fn a_key_is_one_units_at_a_time() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    let (k, other) = (key("customer:1", "transfer", "k"), key("customer:1", "transfer", "l"));
    let mut first = store.begin(request()).await.unwrap();
    let mut second = store.begin(request()).await.unwrap();
    assert_eq!(first.claim_request(&k).await.unwrap(), Claim::Ours);
    assert_eq!(second.claim_request(&k).await.unwrap(), Claim::Theirs);
    assert_eq!(second.claim_request(&other).await.unwrap(), Claim::Ours);
    // What fails to commit gives it back at once.
    let counter = Uuid::now_v7();
    let answer = answered("first");
    assert!(first.record_request(k.clone(), answer.clone()));
    assert!(second.record_request(k.clone(), answered("second")));
    first.commit().await.unwrap();
    second.execute::<Counter>(counter, Command::Count).await.unwrap();
    assert!(matches!(second.commit().await, Err(Error::Conflict)));
    let mut third = store.begin(request()).await.unwrap();
    assert_eq!(third.claim_request(&k).await.unwrap(), Claim::Answered(answer));
    assert_eq!(third.claim_request(&other).await.unwrap(), Claim::Ours);
    drop(third);
    database.drop_database().await;
}

#[tokio::test]
async fn the_application_cannot_change_or_delete_a_request() {
    let database = TestDatabase::create("core").await;
    let store = database.store().await;
    for sql in ["update request set answer = ''", "delete from request", "truncate request"] {
        let error = sqlx::query(sql).execute(store.pool()).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501", "{sql}");
    }
    database.drop_database().await;
}
