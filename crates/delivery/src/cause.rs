//! What failures of one kind have in common.

/// What is longer has no index (a row of one has 2,704 bytes at most).
const CHARS_MAX: usize = 500;
/// Stands where a reason had what differs each time.
const VARYING: &str = "…";

/// A reason without what differs each time: words with a digit in them, which are amounts, identifiers, times, and the currencies of amounts.
pub fn cause_of(reason: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in reason.split_whitespace() {
        match words.last() {
            Some(&VARYING) if is_currency(word) => {}
            _ if word.contains(|letter: char| letter.is_ascii_digit()) => words.push(VARYING),
            _ => words.push(word),
        }
    }
    let cause = words.join(" ");
    match cause.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => cause[..end].to_owned(),
        None => cause,
    }
}

fn is_currency(word: &str) -> bool {
    word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::cause_of;

    #[test]
    fn a_long_one_is_cut_between_two_letters() {
        assert_eq!(cause_of(&"æ".repeat(10_000)), "æ".repeat(500));
    }

    #[test]
    fn an_amount_differs_with_its_currency() {
        let reason = |amount: &str| {
            format!("the card network has collected {amount} that no account here can take: 0198")
        };
        assert_eq!(cause_of(&reason("5.00 DKK")), cause_of(&reason("700 JPY")));
        assert_eq!(
            cause_of(&reason("5.00 DKK")),
            "the card network has collected … that no account here can take: …"
        );
    }
}
