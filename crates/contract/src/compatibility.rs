//! What a reader of a published schema may rely on, and whether a schema gives it.

use serde_json::Value;

/// What in `now` would break a reader of `published`: two documents of [`asyncapi`](crate::asyncapi). Empty: nothing.
///
/// Optional fields may come, where a reader ignores what it does not know. Nothing else may: a required one is missing in what was
/// published before, and an event of a new type is one that a reader refuses.
pub fn breaks(published: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let Some(channels) = published["channels"].as_object() else {
        return vec!["the published document has no channels".to_owned()];
    };
    for (name, channel) in channels {
        let today = &now["channels"][name];
        if channel["address"] != today["address"] {
            found.push(format!(
                "{name}: its topic was {}, and would be {}",
                channel["address"], today["address"]
            ));
        }
        for key in today["messages"].as_object().into_iter().flat_map(|messages| messages.keys()) {
            if channel["messages"].get(key).is_none() {
                found.push(format!(
                    "{name}: {key} is new, and who reads the contract refuses what it does not know"
                ));
            }
        }
        for (key, message) in channel["messages"].as_object().into_iter().flatten() {
            let Some(later) = today["messages"].get(key) else {
                found.push(format!("{name}: {key} is no longer published"));
                continue;
            };
            let (old, new) = (Place::new(published, message), Place::new(now, later));
            for part in ["payload", "headers"] {
                compare(&format!("{name}: {key}"), &old.at(part), &new.at(part), &mut found);
            }
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

    fn at(&self, name: &str) -> Self {
        Self::new(self.document, &self.schema[name])
    }

    fn is_closed(&self) -> bool {
        self.schema["additionalProperties"] == false
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
    "additionalProperties",
    "anyOf",
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
    if !old.schema["items"].is_null() || !new.schema["items"].is_null() {
        compare(&format!("{at}[]"), &old.at("items"), &new.at("items"), found);
    }
    for name in old.properties() {
        let at = format!("{at}.{name}");
        let (Some(before), now) = (old.property(name), new.property(name)) else { continue };
        match now {
            None => found.push(format!("{at} would be gone")),
            Some(_) if old.requires(name) && !new.requires(name) => {
                found.push(format!("{at} would no longer be there always"));
            }
            Some(_) if new.requires(name) && !old.requires(name) => {
                found.push(format!("{at} would be required: what was published before may not have it"));
            }
            Some(now) => compare(&at, &before, &now, found),
        }
    }
    for name in new.properties().filter(|name| old.property(name).is_none()) {
        if new.requires(name) {
            found
                .push(format!("{at}.{name} is new and required: what was published before does not have it"));
        } else if old.is_closed() {
            found.push(format!("{at}.{name} is new, and who reads {at} refuses what it does not know"));
        }
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
        assert_eq!(gone, ["payment_v1: PaymentSubmitted_1.uetr would be gone"]);
        let optional = changed(|payload| {
            payload["required"].as_array_mut().unwrap().retain(|field| field != "creditor");
        });
        assert_eq!(optional, ["payment_v1: PaymentSubmitted_1.creditor would no longer be there always"]);
        let other = changed(|payload| payload["properties"]["end_to_end_id"]["type"] = "integer".into());
        assert_eq!(other.len(), 1, "{other:?}");
        let required = changed(|payload| {
            payload["properties"]["purpose"] = serde_json::json!({ "type": "string" });
            payload["required"].as_array_mut().unwrap().push("purpose".into());
        });
        assert_eq!(required.len(), 1, "{required:?}");
        let always = changed(|payload| payload["required"].as_array_mut().unwrap().push("remittance".into()));
        assert_eq!(always.len(), 1, "{always:?}");
    }

    #[test]
    fn what_comes_may_break_a_reader_as_well() {
        let broken = |change: &dyn Fn(&mut Value)| {
            let mut document = asyncapi();
            change(&mut document);
            breaks(&asyncapi(), &document)
        };
        // Money takes no more fields.
        let closed = broken(&|document| {
            document["components"]["schemas"]["Money"]["properties"]["scale"] = serde_json::json!({});
        });
        assert!(closed.iter().any(|what| what.contains("scale is new")), "{closed:?}");
        let kind = broken(&|document| {
            document["channels"]["payment_v1"]["messages"]["PaymentRecalled_1"] = serde_json::json!({});
        });
        assert_eq!(kind.len(), 1, "{kind:?}");
        let topic = broken(&|document| document["channels"]["payment_v1"]["address"] = "elsewhere".into());
        assert_eq!(topic.len(), 1, "{topic:?}");
        let header = broken(&|document| {
            let headers = document["components"]["schemas"]["Headers"]["properties"].as_object_mut();
            headers.unwrap().remove("ce_id");
        });
        assert!(!header.is_empty());
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
