//! The order of `ls -v`, in which augenrules takes its files: runs of digits compare as numbers.

use std::cmp::Ordering;

/// Compares two file names as augenrules' `ls -1v` does.
pub(super) fn by_version(left: &[u8], right: &[u8]) -> Ordering {
    let (mut left_rest, mut right_rest) = (left, right);
    loop {
        match (left_rest, right_rest) {
            ([], []) => return left.cmp(right),
            ([], _) => return Ordering::Less,
            (_, []) => return Ordering::Greater,
            _ => {}
        }
        let (left_number, left_after) = digits(left_rest);
        let (right_number, right_after) = digits(right_rest);
        let order = if !left_number.is_empty() && !right_number.is_empty() {
            let trim = |number: &[u8]| number.iter().position(|&digit| digit != b'0').map_or(number.len(), |at| at);
            let (left_value, right_value) = (left_number.get(trim(left_number)..), right_number.get(trim(right_number)..));
            (left_rest, right_rest) = (left_after, right_after);
            left_value.map(<[u8]>::len).cmp(&right_value.map(<[u8]>::len)).then(left_value.cmp(&right_value))
        } else {
            let order = left_rest.first().cmp(&right_rest.first());
            (left_rest, right_rest) = (left_rest.get(1..).unwrap_or_default(), right_rest.get(1..).unwrap_or_default());
            order
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let mut names = [&b"100-x.rules"[..], b"20-a.rules", b"9-z.rules", b"audit.rules"];
        names.sort_by(|left, right| by_version(left, right));
        assert_eq!(names, [&b"9-z.rules"[..], b"20-a.rules", b"100-x.rules", b"audit.rules"]);
    }
}
