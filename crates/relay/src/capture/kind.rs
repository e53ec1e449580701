//! How a value of a Postgres type stands in JSON.

use std::io::Write;

use crate::Error;

/// By what JSON can hold of it without a loss: numbers of arbitrary precision stay text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    Number,
    Json,
    Text,
}

impl Kind {
    /// Of a built-in type, by its OID in `pg_type.dat`.
    pub(crate) fn of_oid(oid: u32) -> Self {
        match oid {
            16 => Self::Boolean,
            20 | 21 | 23 | 700 | 701 => Self::Number,
            114 | 3802 => Self::Json,
            _ => Self::Text,
        }
    }

    /// Of a built-in type, by its name in `pg_catalog`.
    pub(crate) fn of_name(name: &str) -> Self {
        match name {
            "bool" => Self::Boolean,
            "int2" | "int4" | "int8" | "float4" | "float8" => Self::Number,
            "json" | "jsonb" => Self::Json,
            _ => Self::Text,
        }
    }

    /// Appends a value that came as text. JSON is what Postgres has checked, and stays as it is.
    pub(crate) fn write(self, value: &[u8], into: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Boolean => into.extend_from_slice(if value == b"t" { b"true" } else { b"false" }),
            Self::Number if is_finite(value) => into.extend_from_slice(value),
            Self::Json => into.extend_from_slice(value),
            Self::Number | Self::Text => {
                let text = std::str::from_utf8(value).map_err(|error| {
                    Error::halted(format!("a value is not UTF-8: {error}"), "check the server's version")
                })?;
                write_text(text, into);
            }
        }
        Ok(())
    }
}

/// `NaN`, `Infinity` and `-Infinity` are floats, and no numbers of JSON.
fn is_finite(value: &[u8]) -> bool {
    value.strip_prefix(b"-").unwrap_or(value).first().is_some_and(u8::is_ascii_digit)
}

/// Appends a JSON string.
pub(crate) fn write_text(text: &str, into: &mut Vec<u8>) {
    // A `Vec` takes whatever is written to it, and text is always JSON.
    let written = serde_json::to_writer(into.by_ref(), text);
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::Kind;

    fn written(kind: Kind, value: &str) -> String {
        let mut into = Vec::new();
        kind.write(value.as_bytes(), &mut into).unwrap();
        String::from_utf8(into).unwrap()
    }

    #[test]
    fn a_value_is_json_without_a_loss() {
        for (kind, value, expected) in [
            (Kind::Boolean, "t", "true"),
            (Kind::Boolean, "f", "false"),
            (Kind::Number, "-9223372036854775808", "-9223372036854775808"),
            (Kind::Number, "1e+20", "1e+20"),
            (Kind::Number, "NaN", r#""NaN""#),
            (Kind::Number, "-Infinity", r#""-Infinity""#),
            (Kind::Text, "0.10", r#""0.10""#),
            (Kind::Text, "a \"b\"\n\\", r#""a \"b\"\n\\""#),
            (Kind::Json, r#"{"a": 1}"#, r#"{"a": 1}"#),
        ] {
            assert_eq!(written(kind, value), expected);
            serde_json::from_str::<serde_json::Value>(expected).unwrap();
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_an_error() {
        assert!(Kind::Text.write(b"\xff", &mut Vec::new()).is_err());
    }
}
