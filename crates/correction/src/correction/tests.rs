//! The rules, given/when/then.

use delivery::ParkedEvent;
use event::given::{context, given};
use jiff::Timestamp;
use ledger::InternalAccount;
use money::{Currency, Money};
use transfer::Resolution;

use super::*;
use crate::{AccountChange, Previewed, SagaChange, Told, Verdict};

const SUBJECT: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const DEADLINE: Deadline = Deadline { id: SUBJECT, due_at: Timestamp::UNIX_EPOCH };

fn by(name: &str) -> Actor {
    Actor(name.to_owned())
}

pub(crate) fn preview(hash: &str) -> Preview {
    let dkk = |minor| Money::new(minor, Currency::DKK);
    let balances = |minor| ledger::Balances { posted: dkk(minor), reserved: dkk(0) };
    let stream: event::StreamName = format!("account-{SUBJECT}").parse().unwrap();
    let previewed = Previewed {
        stream: stream.clone(),
        seq: event::Seq::new(3),
        event_type: "Adjusted".to_owned(),
        version: 1,
        data: serde_json::json!({ "amount": "5" }),
    };
    let saga =
        SagaChange { stream: stream.clone(), before: "submitted".to_owned(), after: "failed".to_owned() };
    Preview {
        hash: hash.to_owned(),
        effect: "so much".to_owned(),
        amount: Some(dkk(500)),
        computed_on: vec![At { stream, seq: event::Seq::new(2) }],
        events: vec![previewed.clone()],
        accounts: vec![AccountChange { account_id: SUBJECT, before: balances(0), after: balances(500) }],
        saga: Some(saga),
        messages: vec![Told {
            stream: previewed.stream,
            event_type: previewed.event_type,
            version: 1,
            data: previewed.data,
        }],
        invariants: vec![Verdict { invariant: "postings sum to zero".to_owned(), holds: true }],
        skipped: Some(ParkedEvent { event_id: SUBJECT, reason: "it cannot be told".to_owned() }),
    }
}

fn kind() -> Kind {
    let (amount, against) = (Money::new(500, Currency::DKK), InternalAccount::Suspense);
    Kind::AdjustAccount { account_id: SUBJECT, amount, against }
}

fn history(approvals: u8, deadline: Deadline) -> Vec<CorrectionEvent> {
    let requested = CorrectionRequested {
        kind: kind(),
        reason_code: ReasonCode::Tech,
        evidence: "ticket 4711".to_owned(),
        corrects: None,
        part: None,
        by: by("operator:ada"),
        approvals,
        deadline,
    };
    vec![requested.into(), CorrectionPreviewed { preview: preview("one"), by: by("operator:ada") }.into()]
}

fn open(approvals: u8) -> Vec<CorrectionEvent> {
    history(approvals, Deadline { due_at: Timestamp::MAX, ..DEADLINE })
}

fn as_actor(name: &str) -> Context {
    let mut context = context();
    context.actor = by(name);
    context
}

fn decide(
    history: &[CorrectionEvent],
    actor: &str,
    command: CorrectionCommand,
) -> Result<Vec<CorrectionEvent>, CorrectionRefusal> {
    Correction::decide(Correction::fold(None, history).as_ref(), command, &as_actor(actor))
}

fn approve(hash: &str) -> CorrectionCommand {
    CorrectionCommand::Approve { preview_hash: hash.to_owned() }
}

fn approved(hash: &str, name: &str) -> CorrectionEvent {
    CorrectionApproved { preview_hash: hash.to_owned(), by: by(name) }.into()
}

fn execute() -> CorrectionCommand {
    CorrectionCommand::Execute { preview_hash: "one".to_owned(), events: vec![] }
}

#[test]
fn nobody_approves_what_they_have_asked_for() {
    assert_eq!(decide(&open(1), "operator:ada", approve("one")), Err(CorrectionRefusal::OwnRequest));
    assert_eq!(decide(&open(1), "operator:bo", approve("one")), Ok(vec![approved("one", "operator:bo")]));
}

#[test]
fn as_many_approve_as_the_policy_wants_and_each_counts_once() {
    let one = [open(2), vec![approved("one", "operator:bo")]].concat();
    assert_eq!(decide(&one, "operator:bo", approve("one")), Ok(vec![]));
    assert_eq!(decide(&one, "operator:ada", execute()), Err(CorrectionRefusal::NotNow("awaiting_approval")));
    let two = [one, vec![approved("one", "operator:cy")]].concat();
    assert_eq!(Correction::fold(None, &two).unwrap().status, Status::Approved);
    assert!(decide(&two, "operator:ada", execute()).is_ok());
    // Without a policy it is one.
    let request = Request {
        kind: kind(),
        reason_code: ReasonCode::Tech,
        evidence: String::new(),
        corrects: None,
        approvals: 0,
        execute_within: SignedDuration::from_hours(1),
    };
    let command = CorrectionCommand::Request { request, preview: preview("one") };
    let state = given::<Correction>([]).when(command).state().unwrap();
    assert_eq!((state.requested.approvals, state.status), (1, Status::AwaitingApproval));
}

#[test]
fn an_approval_is_of_one_preview() {
    assert_eq!(decide(&open(1), "operator:bo", approve("two")), Err(CorrectionRefusal::OtherPreview));
    let same = [open(1), vec![approved("one", "operator:bo")]].concat();
    assert_eq!(decide(&same, "operator:ada", CorrectionCommand::Preview(preview("one"))), Ok(vec![]));
    let again = CorrectionPreviewed { preview: preview("two"), by: by("operator:ada") }.into();
    let renewed = [open(1), vec![approved("one", "operator:bo"), again]].concat();
    let state = Correction::fold(None, &renewed).unwrap();
    assert_eq!((state.status, state.approved_by.len()), (Status::AwaitingApproval, 0));
    assert_eq!(decide(&renewed, "operator:bo", approve("one")), Err(CorrectionRefusal::OtherPreview));
}

#[test]
fn what_has_ended_or_is_overdue_goes_on_no_more() {
    let overdue = history(1, DEADLINE);
    let mut late = as_actor("operator:bo");
    late.now = Timestamp::from_second(1).unwrap();
    let state = Correction::fold(None, &overdue);
    let decided = Correction::decide(state.as_ref(), approve("one"), &late);
    assert_eq!(decided, Err(CorrectionRefusal::Overdue), "also before the deadline has fired");
    let expired = decide(&overdue, "scheduler:core", CorrectionCommand::FireDeadline(DEADLINE)).unwrap();
    assert_eq!(expired, [CorrectionExpired { deadline_id: SUBJECT }.into()]);
    let executed =
        CorrectionExecuted { preview_hash: "one".to_owned(), events: vec![], by: by("operator:ada") };
    let rejected = CorrectionRejected { reason: "no".to_owned(), by: by("operator:bo") };
    let ends =
        [("expired", expired), ("executed", vec![executed.into()]), ("rejected", vec![rejected.into()])];
    for (status, end) in ends {
        let ended = [open(1), end].concat();
        let commands = [
            approve("one"),
            execute(),
            CorrectionCommand::Preview(preview("two")),
            CorrectionCommand::Reject { reason: "no".to_owned() },
            CorrectionCommand::FindStale { reason: "moved".to_owned() },
        ];
        for command in commands {
            assert_eq!(decide(&ended, "operator:bo", command), Err(CorrectionRefusal::NotNow(status)));
        }
        assert_eq!(decide(&ended, "x", CorrectionCommand::FireDeadline(DEADLINE)), Ok(vec![]));
        assert!(Correction::fold(None, &ended).unwrap().deadline().is_none());
    }
}

#[test]
fn what_is_stale_waits_for_another_preview() {
    let stale = CorrectionStale { reason: "moved".to_owned(), by: by("operator:ada") }.into();
    let stale = [open(1), vec![approved("one", "operator:bo"), stale]].concat();
    assert_eq!(decide(&stale, "operator:bo", approve("one")), Err(CorrectionRefusal::NotNow("stale")));
    assert_eq!(decide(&stale, "operator:ada", execute()), Err(CorrectionRefusal::NotNow("stale")));
    assert!(decide(&stale, "operator:ada", CorrectionCommand::Preview(preview("two"))).is_ok());
}

#[test]
fn each_status_is_the_one_that_it_is_called() {
    let rejected = Status::Rejected { reason: String::new() };
    let statuses = [
        Status::AwaitingApproval,
        Status::Approved,
        Status::Stale { reason: String::new() },
        rejected,
        Status::Expired,
        Status::Executed,
        Status::Failed { reason: String::new() },
    ];
    assert_eq!(statuses.each_ref().map(Status::as_str), Status::NAMES);
}

#[test]
fn correction_events_keep_their_shape() {
    let by = || by("operator:ada");
    let mut examples = history(2, DEADLINE);
    if let Some(CorrectionEvent::CorrectionRequested(requested)) = examples.first_mut() {
        (requested.corrects, requested.part) = (Some(SUBJECT), Some(Part { bulk_id: SUBJECT, number: 7 }));
        let outcome = Resolution::Rejected { reason_code: "AC04".to_owned() };
        requested.kind = Kind::ResolveTransfer { transfer_id: SUBJECT, outcome };
    }
    examples.extend([
        approved("one", "operator:bo"),
        CorrectionRejected { reason: "no".to_owned(), by: by() }.into(),
        CorrectionExpired { deadline_id: SUBJECT }.into(),
        CorrectionStale { reason: "moved".to_owned(), by: by() }.into(),
        CorrectionFailed { reason: "no money".to_owned(), by: by() }.into(),
        CorrectionExecuted { preview_hash: "one".to_owned(), events: preview("one").computed_on, by: by() }
            .into(),
    ]);
    event::samples::check("samples/correction", &examples);
}

/// The other kinds, in the shape that they are kept in.
#[test]
fn each_kind_keeps_its_shape() {
    let transfer_id = SUBJECT;
    let settled = Resolution::Settled { settled_at: Timestamp::UNIX_EPOCH };
    let kinds = [
        Kind::ResolveTransfer { transfer_id, outcome: settled },
        Kind::ReverseTransfer { transfer_id },
        kind(),
        Kind::SkipParked {
            handler: "ledger.view".to_owned(),
            stream: format!("account-{SUBJECT}").parse().unwrap(),
            seq: event::Seq::new(3),
        },
    ];
    let shapes = [
        serde_json::json!({ "kind": "resolve_transfer", "transfer_id": SUBJECT, "outcome": { "status": "settled", "settled_at": "1970-01-01T00:00:00Z" } }),
        serde_json::json!({ "kind": "reverse_transfer", "transfer_id": SUBJECT }),
        serde_json::json!({ "kind": "adjust_account", "account_id": SUBJECT, "amount": { "amount": "500", "currency": "DKK" }, "against": "suspense" }),
        serde_json::json!({ "kind": "skip_parked", "handler": "ledger.view", "stream": format!("account-{SUBJECT}"), "seq": 3 }),
    ];
    for (kind, shape) in kinds.iter().zip(shapes) {
        assert_eq!(serde_json::to_value(kind).unwrap(), shape);
        assert_eq!(serde_json::from_value::<Kind>(shape).unwrap(), *kind);
    }
    assert_eq!(kinds.each_ref().map(Kind::name), Kind::NAMES);
}
