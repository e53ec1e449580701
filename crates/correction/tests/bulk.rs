//! Many at once: each is done once, or not at all, and what is stopped leaves the rest.

use std::time::Duration;

use correction::{
    Bulk, BulkCommand, BulkRefusal, BulkRequest, BulkRunner, BulkStatus, BulkView, Correction,
    CorrectionRefusal, Kind, PartDone, Policy, ReasonCode, Status, execute_part, part_id, request_bulk,
};
use event::{RecordedEvent, Seq};
use event_store::ExecuteError;
use futures::future::join_all;
use jiff::SignedDuration;
use ledger::InternalAccount;
use projection::Projection;
use tokio_util::sync::CancellationToken;
use transfer::{Beneficiary, HoldPolicy};
use uuid::Uuid;

use crate::bank::{Bank, context_of, dkk};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn list_of(canary: u32) -> BulkRequest {
    BulkRequest {
        reason_code: ReasonCode::Dupl,
        evidence: "ticket 4711".to_owned(),
        canary,
        per_second: 1_000,
        person_within: HOUR,
    }
}

struct Worker {
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Worker {
    fn start(bank: &Bank) -> Self {
        let (policy, shutdown) = (Policy { approvals: 1, ..Policy::default() }, CancellationToken::new());
        let runner = BulkRunner::new(bank.store.clone(), bank.handlers.clone(), policy, 4);
        Self { task: tokio::spawn(runner.run(shutdown.clone())), shutdown }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

async fn request(bank: &Bank, canary: u32, list: &[Kind]) -> Uuid {
    let id = Uuid::now_v7();
    let mut unit = bank.store.begin(context_of("operator:ada", id)).await.unwrap();
    request_bulk(&mut unit, id, list_of(canary), list).await.unwrap();
    unit.commit().await.unwrap();
    show(bank, id).await;
    id
}

/// As its handler would: the runner finds by it what there is to do.
async fn show(bank: &Bank, id: Uuid) {
    let events: Vec<RecordedEvent> = bank.events(&format!("bulk-{id}").parse().unwrap()).await;
    let mut unit = bank.unit().await;
    sqlx::query("delete from bulk_view where id = $1").bind(id).execute(unit.connection()).await.unwrap();
    BulkView::default().project(&events.iter().collect::<Vec<_>>(), unit.connection()).await.unwrap();
    unit.commit().await.unwrap();
}

async fn command(bank: &Bank, who: &str, id: Uuid, command: BulkCommand) -> Result<(), BulkRefusal> {
    let done = decide(bank, who, id, command).await;
    show(bank, id).await;
    done
}

async fn decide(bank: &Bank, who: &str, id: Uuid, command: BulkCommand) -> Result<(), BulkRefusal> {
    match bank.store.execute::<Bulk>(id, command, context_of(who, Uuid::now_v7())).await {
        Ok(_) => Ok(()),
        Err(ExecuteError::Refused(refusal)) => Err(refusal),
        Err(ExecuteError::Store(error)) => panic!("{error}"),
    }
}

async fn until(bank: &Bank, id: Uuid, status: &str) -> Bulk {
    testbed::eventually(status, async || {
        let bulk = bank.store.load::<Bulk>(id).await.unwrap().0.unwrap();
        let is_there = bulk.status.as_str() == status && (bulk.over().is_none() || bulk.ended.is_some());
        is_there.then_some(bulk)
    })
    .await
}

async fn approved(bank: &Bank, id: Uuid) -> Bulk {
    let bulk = until(bank, id, "awaiting_approval").await;
    let hash = bulk.preview.clone().unwrap().hash;
    let own = command(bank, "operator:ada", id, BulkCommand::Approve { hash: hash.clone() }).await;
    assert_eq!(own, Err(BulkRefusal::OwnRequest));
    command(bank, "operator:bo", id, BulkCommand::Approve { hash }).await.unwrap();
    bulk
}

async fn statuses(bank: &Bank, id: Uuid, items: u32) -> Vec<String> {
    let mut statuses = Vec::new();
    for number in 1..=items {
        let item = bank.store.load::<Correction>(part_id(id, number)).await.unwrap().0.unwrap();
        statuses.push(item.status.as_str().to_owned());
    }
    statuses
}

/// A hundred that share two accounts, so that each moves what the next one's preview was computed on; others pay beside it; and the process that
/// works on it goes away again and again.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_is_done_once_whoever_goes_away_in_between() {
    let bank = Bank::open().await;
    let (payer, payee) = (bank.account(100_000).await, bank.account(0).await);
    let mut list = Vec::new();
    for _ in 0..100 {
        let to = Beneficiary::Account { account_id: payee };
        let transfer_id = bank.transfer(payer, to, 100, HoldPolicy::HoldUntilResolved).await;
        list.push(Kind::ReverseTransfer { transfer_id });
    }
    // What cannot be done is said before anybody approves.
    list.push(Kind::ReverseTransfer { transfer_id: Uuid::now_v7() });
    let (id, items) = (request(&bank, 3, &list).await, 101);
    let worker = Worker::start(&bank);
    let bulk = approved(&bank, id).await;
    let shown = bulk.preview.unwrap();
    assert_eq!((shown.ready, shown.refused, shown.totals), (100, 1, vec![dkk(10_000)]));
    assert_eq!(bank.balance(payer).await, 90_000, "nothing is done yet");
    assert_eq!(command(&bank, "operator:ada", id, BulkCommand::Resume).await, Err(BulkRefusal::CanaryFirst));
    command(&bank, "operator:ada", id, BulkCommand::Start).await.unwrap();
    let ended = until(&bank, id, "canary_ended").await.canary_ended.unwrap();
    assert_eq!((ended.executed, ended.failed), (3, 0));
    assert_eq!(bank.balance(payer).await, 90_300);
    worker.stop().await;

    command(&bank, "operator:ada", id, BulkCommand::Resume).await.unwrap();
    let mut others = 0;
    while bank.store.load::<Bulk>(id).await.unwrap().0.unwrap().status == BulkStatus::Running {
        let worker = Worker::start(&bank);
        bank.deposit(payer).await;
        others += 1;
        tokio::time::timeout(Duration::from_millis(150), until(&bank, id, "completed")).await.ok();
        worker.stop().await;
    }
    let ended = until(&bank, id, "completed").await.ended.unwrap();
    assert_eq!((ended.executed, ended.failed, ended.left), (100, 1, 0));
    assert_eq!((bank.balance(payer).await, bank.balance(payee).await), (100_000 + others, 0));
    for number in 1..items {
        let stream = format!("correction-{}", part_id(id, number)).parse().unwrap();
        let types: Vec<String> =
            bank.events(&stream).await.into_iter().map(|event| event.event_type.to_string()).collect();
        assert_eq!(types, ["CorrectionRequested", "CorrectionPreviewed", "CorrectionExecuted"]);
    }
    bank.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_do_something_else_by_now_fails_and_the_others_go_on() {
    let bank = Bank::open().await;
    let (one, other) = (bank.account(100).await, bank.account(100).await);
    let adjust = |account_id, minor| Kind::AdjustAccount {
        account_id,
        amount: dkk(minor),
        against: InternalAccount::Suspense,
    };
    let id = request(&bank, 1, &[adjust(one, -60), adjust(one, -60), adjust(other, -60)]).await;
    let worker = Worker::start(&bank);
    approved(&bank, id).await;
    command(&bank, "operator:ada", id, BulkCommand::Start).await.unwrap();
    until(&bank, id, "canary_ended").await;
    command(&bank, "operator:ada", id, BulkCommand::Resume).await.unwrap();
    let ended = until(&bank, id, "completed").await.ended.unwrap();
    assert_eq!((ended.executed, ended.failed, ended.left), (2, 1, 0));
    assert_eq!(statuses(&bank, id, 3).await, ["executed", "failed", "executed"]);
    assert_eq!((bank.balance(one).await, bank.balance(other).await), (40, 40));
    worker.stop().await;
    bank.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_aborted_leaves_the_rest_and_no_command_skips_its_turn() {
    let bank = Bank::open().await;
    let account = bank.account(100).await;
    let adjust =
        Kind::AdjustAccount { account_id: account, amount: dkk(-1), against: InternalAccount::Suspense };
    let id = request(&bank, 2, &vec![adjust; 5]).await;
    let raw = async |number: u32| {
        let mut unit = bank.store.begin(context_of("operator:ada", Uuid::now_v7())).await.unwrap();
        let done = execute_part(&mut unit, id, number).await.unwrap();
        unit.commit().await.unwrap();
        done
    };
    assert_eq!(raw(1).await, PartDone::Not(CorrectionRefusal::BulkNotNow("previewing")));
    let worker = Worker::start(&bank);
    approved(&bank, id).await;
    assert_eq!(raw(1).await, PartDone::Not(CorrectionRefusal::BulkNotNow("approved")));
    command(&bank, "operator:ada", id, BulkCommand::Start).await.unwrap();
    until(&bank, id, "canary_ended").await;
    assert_eq!(raw(3).await, PartDone::Not(CorrectionRefusal::BulkNotNow("canary_ended")));
    assert_eq!(raw(1).await, PartDone::Not(CorrectionRefusal::NotNow("executed")));
    let abort = BulkCommand::Abort { reason: "wrong list".to_owned() };
    command(&bank, "operator:bo", id, abort).await.unwrap();
    let ended = until(&bank, id, "aborted").await.ended.unwrap();
    assert_eq!((ended.executed, ended.failed, ended.left), (2, 0, 3));
    assert_eq!(statuses(&bank, id, 5).await, ["executed", "executed", "rejected", "rejected", "rejected"]);
    assert_eq!(bank.balance(account).await, 98);
    let left = bank.store.load::<Correction>(part_id(id, 5)).await.unwrap().0.unwrap();
    assert!(matches!(&left.status, Status::Rejected { reason } if reason.contains("wrong list")));
    worker.stop().await;
    bank.close().await;
}

/// Several processes, and people who raise their hands at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn several_workers_do_no_more_than_one() {
    let bank = Bank::open().await;
    let account = bank.account(0).await;
    let adjust =
        Kind::AdjustAccount { account_id: account, amount: dkk(1), against: InternalAccount::Suspense };
    let id = request(&bank, 1, &vec![adjust; 30]).await;
    let workers: Vec<Worker> = (0..3).map(|_| Worker::start(&bank)).collect();
    approved(&bank, id).await;
    command(&bank, "operator:ada", id, BulkCommand::Start).await.unwrap();
    until(&bank, id, "canary_ended").await;
    let resume = || decide(&bank, "operator:ada", id, BulkCommand::Resume);
    let resumed = join_all([resume(), resume(), resume()]).await;
    show(&bank, id).await;
    assert_eq!(resumed.iter().filter(|done| done.is_ok()).count(), 1, "{resumed:?}");
    until(&bank, id, "completed").await;
    assert_eq!(bank.balance(account).await, 30);
    let (_, seq) = bank.store.load::<Bulk>(id).await.unwrap();
    assert_eq!(seq, Seq::new(7), "each step once");
    for worker in workers {
        worker.stop().await;
    }
    bank.close().await;
}
