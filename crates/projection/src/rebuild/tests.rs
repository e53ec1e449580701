//! The rules, given/when/then.

use event::given::given;

use super::*;

fn requested() -> RebuildRequested {
    RebuildRequested { projection: "transfer.view".to_owned(), purpose: Purpose::Compare, version: 2 }
}

fn completed() -> RebuildCompleted {
    let difference = Difference { table: "transfer_view".to_owned(), only_serving: 2, only_rebuilt: 1 };
    RebuildCompleted { events: 1_200, differences: vec![difference] }
}

fn failed() -> RebuildFailed {
    RebuildFailed { reason: "another one is under way".to_owned() }
}

#[test]
fn a_rebuild_is_requested_once_and_ends_once() {
    let request = || RebuildCommand::Request(requested());
    given::<Rebuild>([]).when(request()).then([requested().into()]);
    given::<Rebuild>([requested().into()]).when(request()).then([]);
    given::<Rebuild>([requested().into()])
        .when(RebuildCommand::Complete(completed()))
        .then([completed().into()]);
    let fail = || RebuildCommand::Fail { reason: failed().reason };
    given::<Rebuild>([requested().into()]).when(fail()).then([failed().into()]);
    given::<Rebuild>([requested().into()]).when(RebuildCommand::Cancel).then([RebuildCancelled {}.into()]);
    let cancelled = || [requested().into(), RebuildCancelled {}.into()];
    given::<Rebuild>(cancelled()).when(RebuildCommand::Cancel).then([]);
    given::<Rebuild>(cancelled())
        .when(RebuildCommand::Complete(completed()))
        .then_refused(&RebuildRefusal::HasEnded);
    given::<Rebuild>([requested().into(), completed().into()])
        .when(RebuildCommand::Cancel)
        .then_refused(&RebuildRefusal::HasEnded);
    given::<Rebuild>([]).when(fail()).then_refused(&RebuildRefusal::NotRequested);
}

#[test]
fn events_keep_their_shape() {
    let examples: [RebuildEvent; 4] =
        [requested().into(), completed().into(), failed().into(), RebuildCancelled {}.into()];
    event::samples::check("samples/rebuild", &examples);
}
