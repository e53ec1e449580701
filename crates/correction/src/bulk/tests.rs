//! The rules, given/when/then.

use event::given::context;
use jiff::Timestamp;
use money::{Currency, Money};
use uuid::Uuid;

use super::*;
use crate::{Correction, CorrectionCommand, CorrectionEvent, CorrectionRefusal, Kind, Part, Request, Status};

const BULK: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
const DEADLINE: Deadline = Deadline { id: BULK, due_at: Timestamp::MAX };

fn by(name: &str) -> Actor {
    Actor(name.to_owned())
}

fn as_actor(name: &str) -> Context {
    let mut context = context();
    context.actor = by(name);
    context
}

fn decide(history: &[BulkEvent], actor: &str, command: BulkCommand) -> Result<Vec<BulkEvent>, BulkRefusal> {
    Bulk::decide(Bulk::fold(None, history).as_ref(), command, &as_actor(actor))
}

fn asked() -> BulkEvent {
    let requested = BulkRequested {
        items: 10,
        list_hash: "list".to_owned(),
        reason_code: ReasonCode::Dupl,
        evidence: "ticket 4711".to_owned(),
        canary: 2,
        per_second: 100,
        by: by("operator:ada"),
        person_within_ms: 3_600_000,
        deadline: DEADLINE,
    };
    requested.into()
}

fn previewed() -> BulkPreviewed {
    let totals = vec![Money::new(5_000, Currency::DKK)];
    BulkPreviewed { hash: "one".to_owned(), totals, ready: 9, refused: 1, canary_to: 3, approvals: 1 }
}

fn approve(hash: &str) -> BulkCommand {
    BulkCommand::Approve { hash: hash.to_owned() }
}

fn approved() -> Vec<BulkEvent> {
    let approved = BulkApproved { hash: "one".to_owned(), by: by("operator:bo") };
    vec![asked(), previewed().into(), approved.into()]
}

fn started() -> Vec<BulkEvent> {
    [approved(), vec![BulkStarted { by: by("operator:ada") }.into()]].concat()
}

fn seen() -> Vec<BulkEvent> {
    [started(), vec![BulkCanaryEnded { executed: 2, failed: 0, deadline: DEADLINE }.into()]].concat()
}

fn running() -> Vec<BulkEvent> {
    [seen(), vec![BulkResumed { by: by("operator:cy") }.into()]].concat()
}

fn state(history: &[BulkEvent]) -> Bulk {
    Bulk::fold(None, history).unwrap()
}

fn ended() -> BulkEnded {
    BulkEnded { executed: 9, failed: 1, left: 0 }
}

#[test]
fn it_is_approved_by_somebody_else_and_by_its_hash() {
    let shown = [asked(), previewed().into()];
    assert_eq!(decide(&shown, "operator:ada", approve("one")), Err(BulkRefusal::OwnRequest));
    assert_eq!(decide(&shown, "operator:bo", approve("two")), Err(BulkRefusal::OtherPreview));
    let early = decide(&[asked()], "operator:bo", approve("one"));
    assert_eq!(early, Err(BulkRefusal::NotNow("previewing")));
    assert_eq!(
        decide(&shown, "operator:ada", BulkCommand::Start),
        Err(BulkRefusal::NotNow("awaiting_approval"))
    );
    assert!(decide(&approved(), "operator:ada", BulkCommand::Start).is_ok());
    assert_eq!(decide(&approved(), "operator:bo", approve("one")), Ok(vec![]), "once");
    let much = BulkPreviewed { approvals: 2, ..previewed() };
    let one = BulkApproved { hash: "one".to_owned(), by: by("operator:bo") };
    let half = [asked(), much.into(), one.into()];
    assert_eq!(
        decide(&half, "operator:ada", BulkCommand::Start),
        Err(BulkRefusal::NotNow("awaiting_approval"))
    );
    let mut late = as_actor("operator:bo");
    late.now = Timestamp::MAX;
    let mut due = state(&shown);
    due.deadline = Some(Deadline { due_at: Timestamp::UNIX_EPOCH, ..DEADLINE });
    assert_eq!(Bulk::decide(Some(&due), approve("one"), &late), Err(BulkRefusal::Overdue));
}

#[test]
fn the_first_ones_come_first() {
    assert_eq!(decide(&approved(), "operator:ada", BulkCommand::Resume), Err(BulkRefusal::CanaryFirst));
    assert_eq!(state(&approved()).up_to(), 0);
    assert!(state(&started()).allows(3) && !state(&started()).allows(4), "one of the first cannot be done");
    assert_eq!(state(&seen()).up_to(), 0, "until a person has looked");
    assert!(state(&running()).allows(10));
    assert_eq!(state(&running()).run_by, Some(by("operator:cy")));
    assert_eq!(decide(&started(), "x", BulkCommand::End(ended())), Err(BulkRefusal::NotNow("canary")));
    let nothing = BulkPreviewed { ready: 0, canary_to: 0, ..previewed() };
    let approved = BulkApproved { hash: "one".to_owned(), by: by("operator:bo") };
    let nothing = [asked(), nothing.into(), approved.into()];
    assert_eq!(decide(&nothing, "operator:ada", BulkCommand::Start), Err(BulkRefusal::NothingReady));
    // There is one, whatever is asked for.
    let request = BulkRequest {
        reason_code: ReasonCode::Dupl,
        evidence: String::new(),
        canary: 0,
        per_second: 0,
        person_within: SignedDuration::from_hours(1),
    };
    let command = BulkCommand::Request { request: request.clone(), items: 10, list_hash: String::new() };
    let requested = state(&decide(&[], "operator:ada", command).unwrap()).requested;
    assert_eq!((requested.canary, requested.per_second), (1, 1));
    let request = BulkRequest { per_second: u32::MAX, ..request };
    let command = BulkCommand::Request { request, items: 10, list_hash: String::new() };
    let requested = state(&decide(&[], "operator:ada", command).unwrap()).requested;
    assert_eq!(requested.per_second, PER_SECOND_MAX);
}

#[test]
fn it_pauses_goes_on_where_it_was_and_ends() {
    let paused = BulkPaused { by: by("operator:bo"), deadline: DEADLINE };
    for (before, status) in [(started(), BulkStatus::Canary), (running(), BulkStatus::Running)] {
        assert!(decide(&before, "operator:bo", BulkCommand::Pause).is_ok());
        let paused = [before, vec![paused.clone().into()]].concat();
        assert_eq!((state(&paused).up_to(), state(&paused).deadline()), (0, Some(DEADLINE)));
        assert_eq!(decide(&paused, "x", BulkCommand::End(ended())), Err(BulkRefusal::NotNow("paused")));
        let resumed = [paused.clone(), vec![BulkResumed { by: by("operator:ada") }.into()]].concat();
        assert_eq!((state(&resumed).status, state(&resumed).deadline), (status, None));
        let expired = decide(&paused, "scheduler:core", BulkCommand::FireDeadline(DEADLINE)).unwrap();
        assert_eq!(state(&[paused, expired].concat()).work(), BulkWork::Leave);
    }
    let ended = [running(), vec![ended().into()]].concat();
    assert_eq!((state(&ended).status, state(&ended).work()), (BulkStatus::Completed, BulkWork::Nothing));
    for command in [BulkCommand::Pause, BulkCommand::Resume, BulkCommand::Start] {
        assert_eq!(decide(&ended, "operator:ada", command), Err(BulkRefusal::NotNow("completed")));
    }
}

#[test]
fn what_is_stopped_leaves_the_rest_and_then_ends() {
    let stop = || "wrong list".to_owned();
    let not_now = |history: &[BulkEvent], command| decide(history, "operator:ada", command).unwrap_err();
    assert_eq!(not_now(&approved(), BulkCommand::Abort { reason: stop() }), BulkRefusal::NotNow("approved"));
    assert_eq!(not_now(&running(), BulkCommand::Reject { reason: stop() }), BulkRefusal::NotNow("running"));
    let stops = [
        (vec![asked()], BulkCommand::Reject { reason: stop() }, "rejected"),
        (approved(), BulkCommand::Reject { reason: stop() }, "rejected"),
        (started(), BulkCommand::Abort { reason: stop() }, "aborted"),
        (seen(), BulkCommand::Abort { reason: stop() }, "aborted"),
        (running(), BulkCommand::Abort { reason: stop() }, "aborted"),
        (seen(), BulkCommand::FireDeadline(DEADLINE), "expired"),
    ];
    for (before, stop, status) in stops {
        let stopped = [before.clone(), decide(&before, "operator:ada", stop).unwrap()].concat();
        assert_eq!((state(&stopped).status.as_str(), state(&stopped).work()), (status, BulkWork::Leave));
        assert_eq!((state(&stopped).up_to(), state(&stopped).deadline()), (0, None));
        let left = BulkEnded { left: 10, ..ended() };
        let over = [stopped.clone(), decide(&stopped, "x", BulkCommand::End(left)).unwrap()].concat();
        assert_eq!((state(&over).status.as_str(), state(&over).work()), (status, BulkWork::Nothing));
        assert_eq!(decide(&over, "x", BulkCommand::End(ended())), Err(BulkRefusal::NotNow(status)));
    }
}

fn item(number: u32) -> Correction {
    let amount = Money::new(500, Currency::DKK);
    let kind = Kind::AdjustAccount { account_id: BULK, amount, against: ledger::InternalAccount::Suspense };
    let request = Request {
        kind,
        reason_code: ReasonCode::Dupl,
        evidence: String::new(),
        corrects: None,
        approvals: 1,
        execute_within: SignedDuration::from_hours(1),
    };
    let part = Part { bulk_id: BULK, number };
    let command = CorrectionCommand::RequestPart { request, part, deadline: DEADLINE };
    let events = Correction::decide(None, command, &as_actor("operator:ada")).unwrap();
    Correction::fold(None, &events).unwrap()
}

#[test]
fn an_item_is_done_when_its_bulk_correction_allows_it_and_by_nobody_alone() {
    let seen =
        |number| Correction { preview: Some(crate::correction::tests::preview("one")), ..item(number) };
    let decide = |number, command| Correction::decide(Some(&seen(number)), command, &as_actor("operator:bo"));
    let bulk = |history: &[BulkEvent]| Box::new(state(history));
    let execute = |history: &[BulkEvent]| CorrectionCommand::ExecutePart {
        bulk: bulk(history),
        preview_hash: "one".to_owned(),
        events: vec![],
    };
    assert_eq!(decide(1, execute(&approved())), Err(CorrectionRefusal::BulkNotNow("approved")));
    assert!(decide(3, execute(&started())).is_ok());
    assert_eq!(decide(4, execute(&started())), Err(CorrectionRefusal::BulkNotNow("canary")));
    assert!(decide(3, execute(&running())).is_ok());
    let preview = || crate::correction::tests::preview("one");
    let first = Correction::decide(
        Some(&item(1)),
        CorrectionCommand::PreviewPart(preview()),
        &as_actor("operator:bo"),
    );
    assert!(first.is_ok());
    let again = decide(1, CorrectionCommand::PreviewPart(crate::correction::tests::preview("two")));
    assert_eq!(again, Err(CorrectionRefusal::OtherPreview), "what was approved stays what it was");
    let other = CorrectionCommand::ExecutePart {
        bulk: bulk(&running()),
        preview_hash: "two".to_owned(),
        events: vec![],
    };
    assert_eq!(decide(1, other), Err(CorrectionRefusal::OtherPreview));
    let alone = [
        CorrectionCommand::Preview(preview()),
        CorrectionCommand::Approve { preview_hash: "one".to_owned() },
        CorrectionCommand::Reject { reason: "no".to_owned() },
        CorrectionCommand::Execute { preview_hash: "one".to_owned(), events: vec![] },
    ];
    for command in alone {
        assert_eq!(decide(1, command), Err(CorrectionRefusal::OfBulk));
    }
    assert_eq!(item(1).deadline(), None, "it is its bulk correction's");
    let leave = |history: &[BulkEvent]| CorrectionCommand::LeavePart { bulk: bulk(history) };
    assert_eq!(decide(3, leave(&running())), Err(CorrectionRefusal::BulkNotNow("running")));
    let aborted =
        [running(), vec![BulkAborted { reason: "wrong list".to_owned(), by: by("bo") }.into()]].concat();
    let left = decide(3, leave(&aborted)).unwrap();
    let left = Correction::fold(Some(item(3)), &left).unwrap();
    assert!(left.status.reason().unwrap().contains("wrong list"), "{:?}", left.status);
    let failed = decide(3, CorrectionCommand::FailPart { reason: "no money".to_owned() }).unwrap();
    let failed = Correction::fold(Some(item(3)), &failed).unwrap();
    assert_eq!(failed.status, Status::Failed { reason: "no money".to_owned() });
    let again = Correction::decide(Some(&failed), execute(&running()), &as_actor("operator:bo"));
    assert_eq!(again, Err(CorrectionRefusal::NotNow("failed")));
}

#[test]
fn a_correction_of_its_own_is_no_part() {
    let mut alone = item(1);
    alone.requested.part = None;
    let decide = |command| -> Result<Vec<CorrectionEvent>, _> {
        Correction::decide(Some(&alone), command, &as_actor("operator:bo"))
    };
    let bulk = Box::new(state(&running()));
    let commands = [
        CorrectionCommand::ExecutePart { bulk: bulk.clone(), preview_hash: "one".to_owned(), events: vec![] },
        CorrectionCommand::FailPart { reason: "no".to_owned() },
        CorrectionCommand::LeavePart { bulk },
        CorrectionCommand::PreviewPart(crate::correction::tests::preview("one")),
    ];
    for command in commands {
        assert_eq!(decide(command), Err(CorrectionRefusal::NotNow("awaiting_approval")));
    }
}

#[test]
fn each_status_is_the_one_that_it_is_called() {
    let statuses = [
        BulkStatus::Previewing,
        BulkStatus::AwaitingApproval,
        BulkStatus::Approved,
        BulkStatus::Canary,
        BulkStatus::CanaryEnded,
        BulkStatus::Running,
        BulkStatus::Paused,
        BulkStatus::Completed,
        BulkStatus::Rejected { reason: String::new() },
        BulkStatus::Aborted { reason: String::new() },
        BulkStatus::Expired,
    ];
    assert_eq!(statuses.each_ref().map(BulkStatus::as_str), BulkStatus::NAMES);
}

#[test]
fn bulk_events_keep_their_shape() {
    let (by, reason) = (|| by("operator:bo"), || "wrong list".to_owned());
    let deadline = Deadline { due_at: Timestamp::UNIX_EPOCH, ..DEADLINE };
    let mut examples = seen();
    examples.extend([
        BulkRejected { reason: reason(), by: by() }.into(),
        BulkExpired { deadline_id: BULK }.into(),
        BulkPaused { by: by(), deadline }.into(),
        BulkResumed { by: by() }.into(),
        BulkAborted { reason: reason(), by: by() }.into(),
        ended().into(),
    ]);
    event::samples::check("samples/bulk", &examples);
}
