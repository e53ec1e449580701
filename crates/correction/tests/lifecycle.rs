//! What the domain refuses, whoever asks.

use correction::{Correction, CorrectionCommand, CorrectionRefusal, ExecuteError, Kind};
use ledger::InternalAccount;
use transfer::{Beneficiary, HoldPolicy};
use uuid::Uuid;

use crate::bank::{Bank, dkk};

fn adjust(account_id: Uuid, minor: i64) -> Kind {
    Kind::AdjustAccount { account_id, amount: dkk(minor), against: InternalAccount::Suspense }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_done_once_by_two_people_or_not_at_all() {
    let bank = Bank::open().await;
    let account = bank.account(100).await;
    let (id, kind) = (Uuid::now_v7(), adjust(account, -30));
    let shown = bank.preview(id, &kind).await.unwrap();
    bank.request(id, &kind, shown.clone()).await;
    let refused = |done: Result<(), ExecuteError>| match done {
        Err(ExecuteError::Refused(refusal)) => refusal,
        done => panic!("{done:?}"),
    };
    assert_eq!(refused(bank.execute(id).await), CorrectionRefusal::NotNow("awaiting_approval"));
    let approve = CorrectionCommand::Approve { preview_hash: shown.hash.clone() };
    assert_eq!(bank.command("operator:ada", id, approve).await, Err(CorrectionRefusal::OwnRequest));
    bank.approve(id, &shown).await;
    bank.execute(id).await.unwrap();
    assert_eq!(bank.balance(account).await, 70);
    assert_eq!(refused(bank.execute(id).await), CorrectionRefusal::NotNow("executed"));
    assert_eq!(bank.balance(account).await, 70, "once");
    let never = Uuid::now_v7();
    assert_eq!(refused(bank.execute(never).await), CorrectionRefusal::NotRequested);
    bank.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_become_impossible_is_stale_and_can_be_previewed_anew() {
    let bank = Bank::open().await;
    let (payer, payee, third) = (bank.account(100).await, bank.account(0).await, bank.account(0).await);
    let to = |account_id| Beneficiary::Account { account_id };
    let transfer_id = bank.transfer(payer, to(payee), 60, HoldPolicy::HoldUntilResolved).await;
    let (id, kind) = (Uuid::now_v7(), Kind::ReverseTransfer { transfer_id });
    let shown = bank.preview(id, &kind).await.unwrap();
    bank.request(id, &kind, shown.clone()).await;
    bank.approve(id, &shown).await;
    // The payee has spent it meanwhile.
    bank.transfer(payee, to(third), 60, HoldPolicy::HoldUntilResolved).await;
    let stale = bank.execute(id).await.unwrap_err();
    assert!(stale.to_string().contains("the account does not cover it"), "{stale}");
    let (correction, _) = bank.store.load::<Correction>(id).await.unwrap();
    assert_eq!(correction.unwrap().status.as_str(), "stale");
    // It comes back; what was approved before does not count.
    bank.transfer(third, to(payee), 60, HoldPolicy::HoldUntilResolved).await;
    let again = bank.preview(id, &kind).await.unwrap();
    assert_ne!(again.hash, shown.hash);
    bank.command("operator:ada", id, CorrectionCommand::Preview(again.clone())).await.unwrap();
    assert!(bank.execute(id).await.is_err());
    bank.approve(id, &again).await;
    bank.execute(id).await.unwrap();
    assert_eq!((bank.balance(payer).await, bank.balance(payee).await), (100, 0));
    bank.close().await;
}

/// Two at once about the same account: one of them finds that it has moved on. And each of them by two at once: it is done once.
#[tokio::test(flavor = "multi_thread")]
async fn of_rivals_one_is_done() {
    let bank = Bank::open().await;
    for _ in 0..20 {
        let account = bank.account(100).await;
        let mut ids = Vec::new();
        for _ in 0..2 {
            let (id, kind) = (Uuid::now_v7(), adjust(account, -60));
            let shown = bank.preview(id, &kind).await.unwrap();
            bank.request(id, &kind, shown.clone()).await;
            bank.approve(id, &shown).await;
            ids.push(id);
        }
        let (one, other) = (ids[0], ids[1]);
        let done =
            tokio::join!(bank.execute(one), bank.execute(other), bank.execute(one), bank.execute(other));
        let done = [done.0, done.1, done.2, done.3];
        assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1, "{done:?}");
        assert!(done.iter().any(|done| matches!(done, Err(ExecuteError::Stale(_)))), "{done:?}");
        assert_eq!(bank.balance(account).await, 40);
    }
    bank.close().await;
}

/// What a handler would leave out is what was approved: this event, that fails for this reason; and where it is not, nothing moves.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_is_what_was_approved() {
    let bank = Bank::open().await;
    let account = bank.account(0).await;
    let stream: event::StreamName = format!("account-{account}").parse().unwrap();
    sqlx::query(
        "insert into parked (handler, source, stream, seq, event_id, reason, attempts, retry_at, waiting_seq)
         values ('account.v1', 'core', $1, 1, gen_random_uuid(), 'one', 6, null, 1)",
    )
    .bind(stream.as_str())
    .execute(bank.store.pool())
    .await
    .unwrap();
    let left_out = async || -> (bool, i64) {
        let is_retried = "select (select retry_at is not null from parked), (select count(*) from cursor)";
        sqlx::query_as(is_retried).fetch_one(bank.store.pool()).await.unwrap()
    };
    let kind = Kind::SkipParked { handler: "account.v1".to_owned(), stream, seq: event::Seq::FIRST };
    let id = Uuid::now_v7();
    let shown = bank.preview(id, &kind).await.unwrap();
    assert_eq!(shown.skipped.as_ref().unwrap().reason, "one");
    bank.request(id, &kind, shown.clone()).await;
    bank.approve(id, &shown).await;
    sqlx::query("update parked set reason = 'another'").execute(bank.store.pool()).await.unwrap();
    assert!(matches!(bank.execute(id).await, Err(ExecuteError::Stale(_))));
    assert_eq!(left_out().await, (false, 0), "nothing is left out");
    let again = bank.preview(id, &kind).await.unwrap();
    bank.command("operator:ada", id, CorrectionCommand::Preview(again.clone())).await.unwrap();
    bank.approve(id, &again).await;
    bank.execute(id).await.unwrap();
    assert_eq!(left_out().await, (true, 1));
    bank.close().await;
}
