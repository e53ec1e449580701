//! A database with accounts and transfers, and operators who correct them.

use std::sync::Arc;

use cases::CaseView;
use correction::{
    CarryOutError, Correction, CorrectionCommand, CorrectionRefusal, ExecuteError, Kind, Preview, ReasonCode,
    Request, execute, preview,
};
use delivery::{Deriving, Handler};
use event::{Actor, Aggregate, Context, Deadline, RecordedEvent, StreamName};
use event_store::{Store, UnitOfWork};
use jiff::{SignedDuration, Timestamp};
use ledger::{Account, AccountCommand, AccountEvent, BalanceStream, LedgerView};
use money::{Currency, Money};
use projection::Projecting;
use testbed::TestDatabase;
use transfer::{
    Beneficiary, HoldPolicy, Limits, PaymentStream, StatusStream, SubmissionPolicy, TimeoutPolicy,
    TransferCommand, TransferRequest, TransferView,
};
use uuid::Uuid;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

pub(crate) struct Bank {
    database: TestDatabase,
    pub(crate) store: Store,
    /// All that core tells of an event.
    pub(crate) handlers: Vec<Arc<dyn Handler>>,
}

pub(crate) fn dkk(minor: i64) -> Money {
    Money::new(minor, Currency::DKK)
}

pub(crate) fn context_of(actor: &str, id: Uuid) -> Context {
    Context::for_request(id, Actor(actor.to_owned()), Timestamp::now())
}

impl Bank {
    pub(crate) async fn open() -> Self {
        let database = TestDatabase::create("core").await;
        let store = database.store().await;
        let ledger = LedgerView {
            categories: &[Account::CATEGORY],
            postings: |event| Ok(event.decode::<AccountEvent>()?.postings().to_vec()),
        };
        let handlers: Vec<Arc<dyn Handler>> = vec![
            Arc::new(Deriving::<PaymentStream>::new()),
            Arc::new(Deriving::<BalanceStream>::new()),
            Arc::new(Deriving::<StatusStream>::new()),
            Arc::new(Projecting(Arc::new(ledger))),
            Arc::new(Projecting(Arc::new(TransferView::default()))),
            Arc::new(Projecting(Arc::new(CaseView::default()))),
        ];
        Self { database, store, handlers }
    }

    pub(crate) async fn close(self) {
        self.store.pool().close().await;
        self.database.drop_database().await;
    }

    pub(crate) async fn unit(&self) -> UnitOfWork {
        self.store.begin(context_of("service:test", Uuid::now_v7())).await.unwrap()
    }

    pub(crate) async fn account(&self, minor: i64) -> Uuid {
        let (id, mut unit) = (Uuid::now_v7(), self.unit().await);
        let open = AccountCommand::Open {
            id,
            customer_id: None,
            owner_name: "Ada Lund".to_owned().into(),
            currency: Currency::DKK,
        };
        unit.execute::<Account>(id, open).await.unwrap();
        if minor > 0 {
            let deposit = AccountCommand::Deposit { deposit_id: Uuid::now_v7(), amount: dkk(minor) };
            unit.execute::<Account>(id, deposit).await.unwrap();
        }
        unit.commit().await.unwrap();
        id
    }

    pub(crate) async fn deposit(&self, account: Uuid) {
        let mut unit = self.unit().await;
        let deposit = AccountCommand::Deposit { deposit_id: Uuid::now_v7(), amount: dkk(1) };
        unit.execute::<Account>(account, deposit).await.unwrap();
        unit.commit().await.unwrap();
    }

    pub(crate) async fn balance(&self, account: Uuid) -> i64 {
        let (account, _) = self.store.load::<Account>(account).await.unwrap();
        account.unwrap().balances.available().unwrap().minor()
    }

    /// A transfer of so much; to a bank, it is submitted, and its outcome is unknown.
    pub(crate) async fn transfer(&self, from: Uuid, to: Beneficiary, minor: i64, hold: HoldPolicy) -> Uuid {
        let on_timeout = TimeoutPolicy { hold, resolve_within: HOUR, pending_within: None };
        let submission = SubmissionPolicy { answer_within: HOUR, on_timeout };
        let limits = Limits { reservation: HOUR, submission, recall: HOUR };
        let (transfer_id, is_bank) = (Uuid::now_v7(), matches!(to, Beneficiary::Bank { .. }));
        let request =
            TransferRequest { transfer_id, from_account: from, to, amount: dkk(minor), remittance: None };
        let mut unit = self.unit().await;
        let requested = transfer::request(&mut unit, request, limits).await.unwrap();
        if is_bank && !requested.has_ended() {
            let confirm = TransferCommand::ConfirmReservation {
                reservation_id: transfer_id,
                approve_within: None,
                submission,
            };
            transfer::apply(&mut unit, transfer_id, confirm).await.unwrap();
            let submitted = unit.state::<transfer::Transfer>(transfer_id).await.unwrap().unwrap();
            let deadline: Deadline = submitted.deadline().unwrap();
            transfer::apply(&mut unit, transfer_id, TransferCommand::FireDeadline(deadline)).await.unwrap();
            let given_up = TransferCommand::RecordUndetermined { uetr: submitted.request.uetr, attempts: 5 };
            transfer::apply(&mut unit, transfer_id, given_up).await.unwrap();
        }
        unit.commit().await.unwrap();
        transfer_id
    }

    pub(crate) async fn preview(&self, id: Uuid, kind: &Kind) -> Result<Preview, CarryOutError> {
        let unit = self.store.begin(context_of("operator:ada", id)).await.unwrap();
        preview(unit, id, kind, &self.handlers).await
    }

    /// Asked for by one operator, with what it would do.
    pub(crate) async fn request(&self, id: Uuid, kind: &Kind, preview: Preview) {
        let request = Request {
            kind: kind.clone(),
            reason_code: ReasonCode::Tech,
            evidence: "ticket 4711".to_owned(),
            corrects: None,
            approvals: 1,
            execute_within: HOUR,
        };
        self.command("operator:ada", id, CorrectionCommand::Request { request, preview }).await.unwrap();
    }

    pub(crate) async fn command(
        &self,
        actor: &str,
        id: Uuid,
        command: CorrectionCommand,
    ) -> Result<(), CorrectionRefusal> {
        let context = context_of(actor, id);
        match self.store.execute::<Correction>(id, command, context).await {
            Ok(_) => Ok(()),
            Err(event_store::ExecuteError::Refused(refusal)) => Err(refusal),
            Err(event_store::ExecuteError::Store(error)) => panic!("{error}"),
        }
    }

    pub(crate) async fn approve(&self, id: Uuid, preview: &Preview) {
        let approve = CorrectionCommand::Approve { preview_hash: preview.hash.clone() };
        self.command("operator:bo", id, approve).await.unwrap();
    }

    /// As the API does it: what was found out is kept, also that it is stale; and it is decided again when somebody else was first.
    pub(crate) async fn execute(&self, id: Uuid) -> Result<(), ExecuteError> {
        loop {
            let mut unit = self.store.begin(context_of("operator:ada", Uuid::now_v7())).await.unwrap();
            let done = execute(&mut unit, id).await;
            match unit.commit().await {
                Ok(_) => return done,
                Err(event_store::Error::Conflict) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) async fn events(&self, stream: &StreamName) -> Vec<RecordedEvent> {
        self.store.read(stream, event::Seq::ZERO, u32::MAX).await.unwrap()
    }

    /// Of everything that a preview could have left something in.
    pub(crate) async fn rows(&self) -> Vec<i64> {
        sqlx::query_scalar(
            "select count(*) from event union all select count(*) from transfer_view union all select count(*) from case_view
             union all select count(*) from ledger_posting union all select count(*) from deadline",
        )
        .fetch_all(self.store.pool())
        .await
        .unwrap()
    }
}
