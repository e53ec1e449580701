//! Stream names: `category-id`, where the id starts after the first `-`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A stream's name has to fit a Kafka key, a URL segment and an index entry without surprise.
const NAME_BYTES_MAX: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a stream name: {reason}")]
pub struct NameError {
    name: String,
    reason: &'static str,
}

/// What kind of thing a stream is about: `[a-z][a-z0-9.]*`; `payment.v1` is an external contract.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Category(String);

/// The name of one stream, such as `account-0198c1f2-…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamName(String);

impl Category {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn stream(&self, id: impl fmt::Display) -> Result<StreamName, NameError> {
        format!("{self}-{id}").parse()
    }

    /// External streams are versioned (`payment.v1`); only they may be read by another service.
    pub fn is_external(&self) -> bool {
        self.0.rsplit_once(".v").is_some_and(|(contract, version)| {
            !contract.is_empty() && !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())
        })
    }
}

impl StreamName {
    /// A stream of `category`, which must be a valid constant, and a UUID: the usual case, which cannot fail.
    pub fn of(category: &'static str, id: uuid::Uuid) -> Self {
        debug_assert!(category.parse::<Category>().is_ok(), "`{category}` is not a category");
        Self(format!("{category}-{id}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn category(&self) -> &str {
        self.0.split_once('-').map_or(self.0.as_str(), |(category, _)| category)
    }

    pub fn id(&self) -> &str {
        self.0.split_once('-').map_or("", |(_, id)| id)
    }

    /// The id as a UUID, for the streams whose ids we made.
    pub fn uuid(&self) -> Option<uuid::Uuid> {
        self.id().parse().ok()
    }
}

impl FromStr for Category {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let error = |reason| NameError { name: shortened(name), reason };
        if !name.bytes().next().is_some_and(|first| first.is_ascii_lowercase()) {
            return Err(error("a category starts with a lower-case letter"));
        }
        if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.') {
            return Err(error("a category holds lower-case letters, digits and dots"));
        }
        Ok(Self(name.to_owned()))
    }
}

impl FromStr for StreamName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let error = |reason| NameError { name: shortened(name), reason };
        if name.len() > NAME_BYTES_MAX {
            return Err(error("it is longer than 200 bytes"));
        }
        let (category, id) = name.split_once('-').ok_or(error("it has no `-` after its category"))?;
        category.parse::<Category>()?;
        if id.is_empty() {
            return Err(error("nothing stands after the first `-`"));
        }
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte)) {
            return Err(error(
                "its id holds something other than letters, digits, `-`, `_`, `.`, `:` and `@`",
            ));
        }
        Ok(Self(name.to_owned()))
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(60).collect()
}

macro_rules! text_conversions {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                name.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text_conversions!(Category);
text_conversions!(StreamName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_splits_at_its_first_dash() {
        let stream: StreamName = "payment.v1-0198-ab".parse().unwrap();
        assert_eq!((stream.category(), stream.id()), ("payment.v1", "0198-ab"));
    }

    #[test]
    fn names_that_would_confuse_are_refused() {
        for name in ["", "account", "account-", "-1", "Account-1", "1a-1", "a_b-1", "a-1 2", "a-\u{0}", "a-ü"]
        {
            assert!(name.parse::<StreamName>().is_err(), "{name:?} was accepted");
        }
        assert!(format!("a-{}", "x".repeat(200)).parse::<StreamName>().is_err());
    }

    #[test]
    fn only_a_versioned_category_is_external() {
        let external = |name: &str| name.parse::<Category>().unwrap().is_external();
        assert!(external("payment.v1") && external("a.b.v12"));
        assert!(!external("payment") && !external("payment.v") && !external("payment.vx") && !external("v1"));
    }
}
