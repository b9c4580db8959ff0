//! Files of `crypto-policies(7)`: policies (`.pol`), modules (`.pmod`) and the dump of what is in force (`CURRENT.pol`).
//!
//! `property = VALUES` or `property@scope = VALUES`; `#` begins a comment anywhere, a backslash at the end joins the next line. Values either
//! make a list anew or change it (`+FRONT`, `BACK+`, `-GONE`), never both on one line. From `cryptopolicies.py` and its `preprocess_text`.

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Line, from 1; where lines are joined, the first of them.
    pub line: u32,
    /// What it is about: `cipher`, `mac`, `hash`, `min_rsa_size`.
    pub property: String,
    /// Whom: what stands behind the `@` in small letters, `*` where nothing does.
    pub scope: String,
    /// What becomes of the property.
    pub change: Change,
}

/// What becomes of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is this list, or this number or word. Items may be patterns.
    Set(Vec<String>),
    /// The list is changed, item by item.
    Edit(Vec<Edit>),
}

/// A change of a list. Items may be patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// It comes first.
    Front(String),
    /// It comes last.
    Back(String),
    /// It goes.
    Gone(String),
}

/// A line that stops `update-crypto-policies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("update-crypto-policies stops at this line")]
pub struct Refused {
    /// Line, from 1.
    pub line: u32,
}

/// Old names, which are taken as if they stood at the end of the file (`POSTFIX_REPLACEMENTS`).
const OLD_NAMES: [(&str, &str, &str); 4] = [
    ("tls_cipher", "cipher", "tls"),
    ("ssh_cipher", "cipher", "ssh"),
    ("ssh_group", "group", "ssh"),
    ("ike_protocol", "protocol", "ike"),
];

/// Every line, in the order in which they count.
///
/// # Errors
/// The first line that `update-crypto-policies` stops at.
pub fn parse(content: &[u8]) -> Result<Vec<Directive>, Refused> {
    let (mut found, mut last) = (Vec::new(), Vec::new());
    for (line, text) in joined(content) {
        let refused = Refused { line };
        let text = std::str::from_utf8(&text).map_err(|_| refused)?.trim().to_owned();
        if text.is_empty() {
            continue;
        }
        let (left, right) = text.split_once('=').filter(|(_, right)| !right.contains('=')).ok_or(refused)?;
        let (property, scope) = left.trim().split_once('@').unwrap_or((left.trim(), "*"));
        if property.is_empty() || scope.is_empty() {
            return Err(refused);
        }
        let change = change(right).ok_or(refused)?;
        match OLD_NAMES.iter().find(|(old, _, _)| *old == property) {
            Some((_, property, scope)) => {
                last.push(Directive { line, property: (*property).to_owned(), scope: (*scope).to_owned(), change });
            }
            None => found.push(Directive { line, property: property.to_owned(), scope: scope.to_ascii_lowercase(), change }),
        }
    }
    found.append(&mut last);
    Ok(found)
}

/// Lines without comments, joined where one ends in a backslash.
fn joined(content: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut lines: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut open = false;
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let text = text.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii();
        let (text, more) = text.strip_suffix(b"\\").map_or((text, false), |text| (text, true));
        match lines.last_mut() {
            Some((_, last)) if open => last.extend([b" ", text].concat()),
            _ => lines.push((line, text.to_vec())),
        }
        open = more;
    }
    lines
}

fn change(values: &str) -> Option<Change> {
    let edit = |value: &str| {
        if let Some(item) = value.strip_prefix('+') {
            Some(Edit::Front(item.to_owned()))
        } else if let Some(item) = value.strip_prefix('-') {
            Some(Edit::Gone(item.to_owned()))
        } else {
            value.strip_suffix('+').map(|item| Edit::Back(item.to_owned()))
        }
    };
    let values: Vec<&str> = values.split_whitespace().collect();
    let edits: Vec<Edit> = values.iter().filter_map(|value| edit(value)).collect();
    match edits.len() {
        0 => Some(Change::Set(values.into_iter().map(str::to_owned).collect())),
        all if all == values.len() => Some(Change::Edit(edits)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_made_and_changed_within_scopes() {
        let found = parse(b"mac = AEAD \\\n  HMAC-SHA2-256 # good\ncipher@SSH = -*-CBC +NULL X+\nmin_rsa_size = 2048\n").unwrap();
        let set = |items: &[&str]| Change::Set(items.iter().map(|item| (*item).to_owned()).collect());
        assert_eq!(
            found[0],
            Directive { line: 1, property: "mac".into(), scope: "*".into(), change: set(&["AEAD", "HMAC-SHA2-256"]) }
        );
        let edits = vec![Edit::Gone("*-CBC".into()), Edit::Front("NULL".into()), Edit::Back("X".into())];
        assert_eq!(found[1], Directive { line: 3, property: "cipher".into(), scope: "ssh".into(), change: Change::Edit(edits) });
        assert_eq!(found[2].change, set(&["2048"]));
    }

    #[test]
    fn an_old_name_counts_at_the_end() {
        let found = parse(b"ssh_cipher = AES-256-CTR\ncipher = NULL\n").unwrap();
        assert_eq!((found[0].property.as_str(), found[1].scope.as_str()), ("cipher", "ssh"));
    }

    #[test]
    fn what_stops_the_program_is_told() {
        for (content, line) in
            [(&b"\nmac\n"[..], 2), (b"mac = A = B\n", 1), (b"= A\n", 1), (b"mac = A -B\n", 1), (b"mac@ = A\n", 1)]
        {
            assert_eq!(parse(content), Err(Refused { line }));
        }
        assert_eq!(parse(b"# = = =\n"), Ok(Vec::new()));
    }
}
