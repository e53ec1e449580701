//! Cases that come, go and come again, by what has caused them.

use money::Currency;
use serde_json::{Value, json};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn told(view: &mut OpenCases, case: u32, seq: i64, kind: &str, data: &Value) -> Result<(), HandleError> {
    let event = json!({
        "stream": format!("case-{}", Uuid::from_u128(case.into())), "seq": seq, "id": Uuid::from_u128(9), "type": kind,
        "version": 1, "data": data, "correlation_id": Uuid::nil(), "causation_id": Uuid::nil(),
        "metadata": { "actor": "test", "causation_kind": "request" }, "recorded_at": at(seq * 100 + i64::from(case)),
        "position": 1,
    });
    view.take(&serde_json::from_str(&event.to_string()).unwrap())
}

fn raised(view: &mut OpenCases, case: u32, category: &str, amount: Money, reason: &str) {
    let stream = format!("{category}-{}", Uuid::from_u128(case.into()));
    let data = json!({ "subject": { "stream": stream, "amount": amount }, "reason": reason });
    told(view, case, 1, "CaseRaised", &data).unwrap();
}

fn dkk(minor: i64) -> Money {
    Money::new(minor, Currency::DKK)
}

#[test]
fn cases_of_one_cause_are_one_group_whatever_differs_between_them() {
    let mut view = OpenCases::default();
    raised(&mut view, 1, "transfer", dkk(100), "nobody has answered for 30 s: 0198c1f2-0000");
    raised(&mut view, 2, "transfer", dkk(50), "nobody has answered for 60 s: 0198c1f2-0001");
    raised(
        &mut view,
        3,
        "transfer",
        Money::new(7, Currency::EUR),
        "nobody has answered for 60 s: 0198c1f2-0002",
    );
    raised(&mut view, 4, "incoming", dkk(1), "nobody has answered for 60 s: 0198c1f2-0003");
    let groups = view.groups().unwrap();
    let shown: Vec<_> = groups.iter().map(|group| (group.category.as_str(), group.count)).collect();
    assert_eq!(shown, [("transfer", 3), ("incoming", 1)]);
    let largest = &groups[0];
    assert_eq!(largest.cause, "nobody has answered for … s: …");
    assert_eq!(largest.amounts, [dkk(150), Money::new(7, Currency::EUR)]);
    assert_eq!((largest.oldest_raised_at, largest.newest_raised_at), (at(101), at(103)));
    assert_eq!(largest.examples, [1, 2, 3].map(Uuid::from_u128));
}

#[test]
fn what_is_withdrawn_is_gone_until_it_is_raised_again() {
    let mut view = OpenCases::default();
    raised(&mut view, 1, "transfer", dkk(100), "it is stuck");
    told(&mut view, 1, 2, "CaseWithdrawn", &json!({})).unwrap();
    assert_eq!(view.groups().unwrap(), []);
    told(&mut view, 1, 3, "CaseRaisedAgain", &json!({})).unwrap();
    assert_eq!(view.groups().unwrap()[0].oldest_raised_at, at(301), "it is as old as its last time");
}

#[test]
fn what_it_cannot_take_leaves_it_as_it_was() {
    let mut view = OpenCases::default();
    raised(&mut view, 1, "transfer", dkk(100), "it is stuck");
    assert!(told(&mut view, 1, 2, "CaseSold", &json!({})).is_err());
    assert_eq!(view.groups().unwrap()[0].count, 1);
}
