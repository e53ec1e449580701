//! The customer's rules, given/when/then.

use event::given::given;

use super::*;

const ID: Uuid = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);

fn register() -> CustomerCommand {
    CustomerCommand::Register { customer_id: ID, name: "Ada Lund".to_owned().into() }
}

fn rename(name: &str) -> CustomerCommand {
    CustomerCommand::Rename { name: name.to_owned().into() }
}

fn registered() -> Registered {
    Registered { customer_id: ID, name: "Ada Lund".to_owned().into() }
}

#[test]
fn a_customer_is_registered_once_and_keeps_a_name_until_there_is_another() {
    given::<Customer>([]).when(register()).then([registered().into()]);
    given::<Customer>([registered().into()])
        .when(register())
        .then_refused(&CustomerRefusal::AlreadyRegistered);
    given::<Customer>([]).when(rename("Ada Berg")).then_refused(&CustomerRefusal::NotRegistered);
    given::<Customer>([registered().into()]).when(rename("Ada Lund")).then([]);
    let renamed = given::<Customer>([registered().into()]).when(rename("Ada Berg")).state().unwrap();
    assert_eq!(renamed, Customer { id: ID, name: "Ada Berg".to_owned().into() });
}

#[test]
fn events_keep_their_shape() {
    let renamed = Renamed { name: "Ada Berg".to_owned().into() };
    event::samples::check("samples/customer", &[CustomerEvent::from(registered()), renamed.into()]);
}
