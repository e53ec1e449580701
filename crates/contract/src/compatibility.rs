//! What a reader of a published schema may rely on, and whether a schema gives it.

use serde_json::Value;

/// What in `now` would break a reader of `published`: two documents of [`asyncapi`](crate::asyncapi). Empty: nothing.
///
/// Fields may come, but optional ones, since what was published before does not have them. Nothing may go or change.
pub fn breaks(published: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let Some(messages) = published["components"]["messages"].as_object() else {
        return vec!["the published document has no messages".to_owned()];
    };
    for (name, message) in messages {
        let today = &now["components"]["messages"][name];
        if today.is_null() {
            found.push(format!("{name} is no longer published"));
        } else {
            let (old, new) = (Place::new(published, &message["payload"]), Place::new(now, &today["payload"]));
            compare(name, &old, &new, &mut found);
        }
    }
    found
}

/// What of a message that a consumer relies on is not guaranteed by the document. Empty: all is.
///
/// The message has the fields that the consumer reads, and no others.
pub fn unmet(document: &Value, message: &str, relied_on: &Value) -> Vec<String> {
    let payload = &document["components"]["messages"][message]["payload"];
    if payload.is_null() {
        return vec![format!("{message} is not published")];
    }
    let mut found = Vec::new();
    demand(message, &Place::new(document, payload), relied_on, &mut found);
    found
}

/// A schema within its document, its reference followed.
struct Place<'a> {
    document: &'a Value,
    schema: &'a Value,
}

impl<'a> Place<'a> {
    fn new(document: &'a Value, schema: &'a Value) -> Self {
        let target = schema["$ref"].as_str().and_then(|to| document.pointer(to.trim_start_matches('#')));
        // A reference beside something else stands in `allOf`.
        let only = schema["allOf"].as_array().filter(|all| all.len() == 1).map(|all| &all[0]);
        match (target, only) {
            (Some(target), _) => Self::new(document, target),
            (None, Some(only)) => Self::new(document, only),
            (None, None) => Self { document, schema },
        }
    }

    fn property(&self, name: &str) -> Option<Self> {
        self.schema["properties"].get(name).map(|schema| Self::new(self.document, schema))
    }

    fn properties(&self) -> impl Iterator<Item = &'a String> {
        self.schema["properties"].as_object().into_iter().flat_map(|properties| properties.keys())
    }

    fn requires(&self, name: &str) -> bool {
        self.schema["required"].as_array().is_some_and(|required| required.iter().any(|field| field == name))
    }
}

/// What a value may be, apart from its fields.
const KEYWORDS: [&str; 11] = [
    "type",
    "format",
    "pattern",
    "enum",
    "const",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "items",
    "additionalProperties",
];

fn compare(at: &str, old: &Place<'_>, new: &Place<'_>, found: &mut Vec<String>) {
    for keyword in KEYWORDS {
        if old.schema[keyword] != new.schema[keyword] {
            found.push(format!(
                "{at}: {keyword} was {}, and would be {}",
                old.schema[keyword], new.schema[keyword]
            ));
        }
    }
    for name in old.properties() {
        let at = format!("{at}.{name}");
        let (Some(before), now) = (old.property(name), new.property(name)) else { continue };
        match now {
            None => found.push(format!("{at} would be gone")),
            Some(_) if old.requires(name) && !new.requires(name) => {
                found.push(format!("{at} would no longer be there always"));
            }
            Some(now) => compare(&at, &before, &now, found),
        }
    }
    for name in new.properties().filter(|name| old.property(name).is_none() && new.requires(name)) {
        found.push(format!("{at}.{name} is new and required: what was published before does not have it"));
    }
}

fn demand(at: &str, schema: &Place<'_>, relied_on: &Value, found: &mut Vec<String>) {
    let Some(fields) = relied_on.as_object() else {
        let kind = match relied_on {
            Value::String(_) => "string",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            _ => "something else",
        };
        if schema.schema["type"] != kind {
            found.push(format!("{at} is relied on as {kind}, and is {}", schema.schema["type"]));
        }
        return;
    };
    for (name, value) in fields {
        let at = format!("{at}.{name}");
        match schema.property(name) {
            None => found.push(format!("{at} is relied on, and is not published")),
            Some(_) if !schema.requires(name) => {
                found.push(format!("{at} is relied on, and is not always there"));
            }
            Some(field) => demand(&at, &field, value, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asyncapi;

    const PAYLOAD: &str = "/components/messages/payment_v1_PaymentSubmitted_1/payload";

    fn changed(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut document = asyncapi();
        change(document.pointer_mut(PAYLOAD).unwrap());
        breaks(&asyncapi(), &document)
    }

    #[test]
    fn what_breaks_a_reader_is_told_and_what_does_not_is_not() {
        assert_eq!(breaks(&asyncapi(), &asyncapi()), Vec::<String>::new());
        let new_and_optional = |payload: &mut Value| {
            payload["properties"]["purpose"] = serde_json::json!({ "type": "string" });
        };
        assert_eq!(changed(new_and_optional), Vec::<String>::new());
        let gone = changed(|payload| {
            payload["properties"].as_object_mut().unwrap().remove("uetr");
        });
        assert_eq!(gone, ["payment_v1_PaymentSubmitted_1.uetr would be gone"]);
        let optional = changed(|payload| {
            payload["required"].as_array_mut().unwrap().retain(|field| field != "creditor");
        });
        assert_eq!(optional, ["payment_v1_PaymentSubmitted_1.creditor would no longer be there always"]);
        let other = changed(|payload| payload["properties"]["end_to_end_id"]["type"] = "integer".into());
        assert_eq!(other.len(), 1, "{other:?}");
        let required = changed(|payload| {
            payload["properties"]["purpose"] = serde_json::json!({ "type": "string" });
            payload["required"].as_array_mut().unwrap().push("purpose".into());
        });
        assert_eq!(required.len(), 1, "{required:?}");
    }

    /// Also what stands behind a reference.
    #[test]
    fn a_change_of_a_shared_type_breaks_all_who_use_it() {
        let mut document = asyncapi();
        document["components"]["schemas"]["Money"]["properties"]["amount"]["type"] = "number".into();
        let broken = breaks(&asyncapi(), &document);
        assert!(broken.len() >= 4, "{broken:?}");
        assert!(broken[0].contains("amount"), "{broken:?}");
    }

    #[test]
    fn what_is_relied_on_has_to_be_there_always() {
        let unmet = |relied_on| unmet(&asyncapi(), "payment_v1_PaymentSubmitted_1", &relied_on);
        let fine = serde_json::json!({ "uetr": "x", "amount": { "amount": "1", "currency": "DKK" } });
        assert_eq!(unmet(fine), Vec::<String>::new());
        assert_eq!(unmet(serde_json::json!({ "remittance": "x" })).len(), 1);
        assert_eq!(unmet(serde_json::json!({ "purpose": "x" })).len(), 1);
        assert_eq!(unmet(serde_json::json!({ "amount": { "amount": 1 } })).len(), 1);
    }
}
