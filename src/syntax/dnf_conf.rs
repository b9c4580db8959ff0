//! `dnf.conf(5)` and `*.repo` files, as libdnf reads them (`libdnf/utils/iniparser/iniparser.cpp`).
//!
//! A line that begins with a blank carries the value of the line above on: an indented `gpgcheck=1` sets nothing.

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Line, from 1.
    pub line: u32,
    /// The section it stands in.
    pub section: String,
    /// The name.
    pub key: String,
    /// The value; lines that carry on are joined by a line feed.
    pub value: String,
}

/// What the sections of a file say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct File {
    /// Every section with its line, in order.
    pub sections: Vec<(String, u32)>,
    /// Every setting, in order; the last of a section and key counts.
    pub settings: Vec<Setting>,
}

/// A line that libdnf refuses the file for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("libdnf cannot read this line, and so nothing of the file")]
pub struct Refused {
    /// Line, from 1.
    pub line: u32,
}

/// Reads a whole file.
///
/// # Errors
/// The line that libdnf stops at.
pub fn parse(content: &[u8]) -> Result<File, Refused> {
    let mut found = File::default();
    let mut carries_on = false;
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let text = String::from_utf8_lossy(text);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        let refused = Refused { line };
        if text.starts_with(['#', ';']) {
            continue;
        }
        let trimmed = text.trim();
        if trimmed.is_empty() {
            carries_on = false;
            continue;
        }
        if text.starts_with([' ', '\t']) {
            let last = found.settings.last_mut().filter(|_| carries_on).ok_or(refused)?;
            last.value.push('\n');
            last.value.push_str(trimmed);
            continue;
        }
        if let Some(name) = text.strip_prefix('[') {
            let (name, rest) = name.split_once(']').ok_or(refused)?;
            if name.is_empty() || !(rest.trim().is_empty() || rest.trim_start().starts_with(['#', ';'])) {
                return Err(refused);
            }
            found.sections.push((name.to_owned(), line));
            carries_on = false;
            continue;
        }
        let (key, value) = trimmed.split_once('=').ok_or(refused)?;
        let (section, _) = found.sections.last().ok_or(refused)?;
        if key.trim().is_empty() {
            return Err(refused);
        }
        let setting = Setting { line, section: section.clone(), key: key.trim().to_owned(), value: value.trim().to_owned() };
        found.settings.push(setting);
        carries_on = true;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_indented_line_carries_the_value_on() {
        let found = parse(b"[main]\nexclude=a\n gpgcheck=1\n# c\n; d\nbest = True \r\n").unwrap();
        let found: Vec<_> = found.settings.iter().map(|one| (one.line, one.key.as_str(), one.value.as_str())).collect();
        assert_eq!(found, [(2, "exclude", "a\ngpgcheck=1"), (6, "best", "True")]);
    }

    #[test]
    fn sections_keep_their_lines() {
        assert_eq!(parse(b"[a]\n\n[b] # c\n").unwrap().sections, [("a".to_owned(), 1), ("b".to_owned(), 3)]);
    }

    #[test]
    fn what_libdnf_refuses_is_told() {
        for (content, line) in
            [(&b"x=1\n"[..], 1), (b"[a\n", 1), (b"[a]\nword\n", 2), (b"[a]\n x\n", 2), (b"[]\n", 1), (b"[a]\n=1\n", 2)]
        {
            assert_eq!(parse(content), Err(Refused { line }));
        }
    }
}
