//! Words on lines.

use std::borrow::Cow;

/// Breaks text at its spaces into lines of at most so many characters; a longer word stands on a line of its own, whole, so that a
/// path can still be clicked.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut length = 0;
    for word in text.split(' ') {
        let size = word.chars().count();
        match lines.last_mut() {
            Some(line) if length + 1 + size <= width => {
                line.push(' ');
                line.push_str(word);
                length += 1 + size;
            }
            _ => {
                lines.push(word.to_owned());
                length = size;
            }
        }
    }
    lines
}

/// The first so many characters, and how many more there are.
pub(super) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    let more = text.chars().count().saturating_sub(most);
    if more == 0 {
        return Cow::Borrowed(text);
    }
    let start: String = text.chars().take(most).collect();
    Cow::Owned(format!("{start}… ({more} more characters)"))
}

/// A number with commas.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number and what it counts.
pub(super) fn count(how_many: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(how_many), if how_many == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_a_long_word_stays_whole() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("two  spaces ", 20), ["two  spaces "], "what was found is shown as it is");
        assert_eq!(wrap("a /very/long/path b", 5), ["a", "/very/long/path", "b"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn thousands_have_commas() {
        assert_eq!([number(0), number(999), number(1_000), number(41_207_000)], ["0", "999", "1,000", "41,207,000"]);
    }

    #[test]
    fn what_is_cut_is_counted() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("äbcd", 2), "äb… (2 more characters)");
    }
}
