//! Text as a literal of SQL: the simple query protocol has no parameters.

/// Quotes as `quote_literal` does, so that it is right whatever `standard_conforming_strings` is.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn text_cannot_leave_its_quotes() {
        assert_eq!(literal("plain"), "'plain'");
        assert_eq!(literal("o'clock"), "'o''clock'");
        assert_eq!(literal(r"back\'slash"), r" E'back\\''slash'");
    }
}
