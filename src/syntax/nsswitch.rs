//! `nsswitch.conf(5)`: where the C library looks names up.

/// The sources of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database<'a> {
    /// Line, from 1.
    pub line: u32,
    /// The database: `passwd`, `group`, `hosts`.
    pub name: &'a [u8],
    /// Its sources in order. What stands in brackets (`[NOTFOUND=return]`) is left out.
    pub sources: Vec<&'a [u8]>,
}

/// Reads all lines; `#` starts a comment anywhere. The last line of a database wins.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Database<'_>> {
    let lines = (1..).zip(content.split(|&byte| byte == b'\n'));
    lines
        .filter_map(|(line, text)| {
            let text = text.split(|&byte| byte == b'#').next()?.trim_ascii();
            let (name, rest) = text.split_at_checked(text.iter().position(|&byte| byte == b':')?)?;
            Some(Database { line, name: name.trim_ascii(), sources: sources(rest.get(1..)?) })
        })
        .collect()
}

fn sources(text: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut inside = false;
    for piece in text.split_inclusive(|byte| b"[]".contains(byte)) {
        let (last, plain) = piece.split_last().map_or((0, piece), |(&last, before)| match last {
            b'[' | b']' => (last, before),
            _ => (0, piece),
        });
        if !inside {
            found.extend(plain.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()));
        }
        inside = last == b'[' || (inside && last != b']');
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_without_their_actions() {
        let found = parse(b"passwd: files [!UNAVAIL=return] sss systemd # x\n# group: a\n group :compat\n");
        assert_eq!(found[0].sources, [&b"files"[..], b"sss", b"systemd"]);
        assert_eq!((found[1].name, found[1].line, &found[1].sources), (&b"group"[..], 3, &vec![&b"compat"[..]]));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(content: Vec<u8>) {
            let _ = parse(&content);
        }
    }
}
