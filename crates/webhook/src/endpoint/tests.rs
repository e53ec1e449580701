//! The endpoint's rules, given/when/then.

use event::given::{context, given};

use super::*;

const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);

fn registered() -> EndpointEvent {
    let (url, contracts) = ("https://shop.example/hooks".to_owned(), vec!["transfer.v1".to_owned()]);
    EndpointRegistered { endpoint_id: ID, url, contracts }.into()
}

fn pause() -> EndpointCommand {
    EndpointCommand::Pause { reason: "it moves".to_owned() }
}

fn paused() -> EndpointEvent {
    EndpointPaused { reason: "it moves".to_owned() }.into()
}

#[test]
fn an_endpoint_is_paused_and_resumed_as_often_as_it_takes() {
    given::<Endpoint>([registered()]).when(pause()).then([paused()]);
    given::<Endpoint>([registered(), paused()]).when(pause()).then([]);
    given::<Endpoint>([registered(), paused()])
        .when(EndpointCommand::Resume)
        .then([EndpointResumed {}.into()]);
    given::<Endpoint>([registered()]).when(EndpointCommand::Resume).then([]);
    let endpoint = given::<Endpoint>([registered()]).when(pause()).state().unwrap();
    assert_eq!((endpoint.status, endpoint.reason.as_deref()), (Status::Paused, Some("it moves")));
}

#[test]
fn what_is_not_there_or_no_longer_does_nothing() {
    let removed = [registered(), EndpointRemoved {}.into()];
    for command in [
        pause(),
        EndpointCommand::Resume,
        EndpointCommand::RotateSecret,
        EndpointCommand::Replay { since: Timestamp::UNIX_EPOCH },
        EndpointCommand::Remove,
    ] {
        given::<Endpoint>([]).when(command.clone()).then_refused(&EndpointRefusal::NotRegistered);
        given::<Endpoint>(removed.clone()).when(command).then_refused(&EndpointRefusal::NotRegistered);
    }
    let later = context().now + SignedDuration::from_secs(1);
    given::<Endpoint>([registered()])
        .when(EndpointCommand::Replay { since: later })
        .then_refused(&EndpointRefusal::NotInThePast);
}

#[test]
fn a_new_secret_signs_beside_the_one_before_for_a_day() {
    let endpoint = given::<Endpoint>([registered()]).when(EndpointCommand::RotateSecret).state().unwrap();
    assert_eq!((endpoint.generation, endpoint.previous_until), (2, Some(context().now + OVERLAP)));
    let rotated = |previous_until| SecretRotated { generation: 2, previous_until }.into();
    given::<Endpoint>([registered(), rotated(context().now + OVERLAP)])
        .when(EndpointCommand::RotateSecret)
        .then_refused(&EndpointRefusal::RotatedLately);
    given::<Endpoint>([registered(), rotated(context().now)])
        .when(EndpointCommand::RotateSecret)
        .then_types(&["SecretRotated"]);
}

#[test]
fn events_keep_their_shape() {
    let previous_until = Timestamp::UNIX_EPOCH;
    let examples = [
        registered(),
        paused(),
        EndpointResumed {}.into(),
        SecretRotated { generation: 2, previous_until }.into(),
        ReplayRequested { since: Timestamp::UNIX_EPOCH }.into(),
        EndpointRemoved {}.into(),
    ];
    event::samples::check("samples/webhook", &examples);
}
