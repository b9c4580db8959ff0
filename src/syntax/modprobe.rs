//! `modprobe.d(5)`, as kmod reads it (`libkmod/libkmod-config.c`), and the lists of modules beside it.

/// One command that karat needs; the others (`options`, `remove`, `softdep` …) do not decide whether a module can be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line it starts on, from 1.
    pub line: u32,
    /// What it says.
    pub command: Command,
}

/// A command of `modprobe.d(5)`. Names are with `_` for `-`, and may be patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `install`: run this instead of loading the module.
    Install {
        /// The module.
        module: Vec<u8>,
        /// A command of the shell.
        command: Vec<u8>,
    },
    /// `blacklist`: the module's own aliases do not load it.
    Blacklist {
        /// The module.
        module: Vec<u8>,
    },
    /// `alias`: another name for a module.
    Alias {
        /// The other name.
        name: Vec<u8>,
        /// The module.
        module: Vec<u8>,
    },
}

/// The commands of a file, in order. What kmod ignores with a complaint is passed over.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Line> {
    let mut found = Vec::new();
    for (line, text) in lines(content) {
        if let Some(command) = command(&text) {
            found.push(Line { line, command });
        }
    }
    found
}

fn command(text: &[u8]) -> Option<Command> {
    let (word, rest) = word(text)?;
    match word {
        b"install" => {
            let (module, rest) = self::word(rest)?;
            // kmod takes the rest of the line as it is.
            let command = rest.get(1..)?.to_vec();
            (!command.is_empty()).then_some(Command::Install { module: underscores(module)?, command })
        }
        b"blacklist" => Some(Command::Blacklist { module: underscores(self::word(rest)?.0)? }),
        b"alias" => {
            let (name, rest) = self::word(rest)?;
            Some(Command::Alias { name: underscores(name)?, module: underscores(self::word(rest)?.0)? })
        }
        _ => None,
    }
}

/// The first word, and everything behind it. Blanks and tabs part words, and nothing else: a carriage return is part of a name.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !blank(byte))?;
    let text = text.get(start..)?;
    let end = text.iter().position(blank).unwrap_or(text.len());
    text.split_at_checked(end)
}

/// Lines with the continued ones joined (`freadline_wrapped`): a backslash goes away together with the newline behind it, and alone
/// before anything else.
fn lines(content: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut found = Vec::new();
    let (mut number, mut start) = (1_u32, 1_u32);
    let mut text = Vec::new();
    let mut bytes = content.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\n' => {
                number = number.saturating_add(1);
                found.push((start, std::mem::take(&mut text)));
                start = number;
            }
            b'\\' => match bytes.next() {
                Some(b'\n') => number = number.saturating_add(1),
                Some(other) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    found.push((start, text));
    found.retain(|(_, text)| !text.is_empty() && !text.starts_with(b"#"));
    found
}

/// A name as kmod compares it: `-` is `_`, except in a set of a pattern. Nothing if a set has no end, which kmod refuses.
#[must_use]
pub fn underscores(name: &[u8]) -> Option<Vec<u8>> {
    let mut in_set = false;
    let mut found = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'[' => in_set = true,
            b']' => in_set = false,
            _ => {}
        }
        found.push(if byte == b'-' && !in_set { b'_' } else { byte });
    }
    (!in_set).then_some(found)
}

/// The module that a path in `modules.dep` or `modules.builtin` is of (`path_to_modname`).
#[must_use]
pub fn module_of(path: &[u8]) -> Option<Vec<u8>> {
    let name = path.rsplit(|&byte| byte == b'/').next()?;
    let end = name.windows(3).position(|part| part == b".ko")?;
    underscores(name.get(..end)?).filter(|name| !name.is_empty())
}

/// Names with their lines, from `modules-load.d(5)` (`#` and `;` start a comment) or from `initramfs-tools(7)`'s list: the first word of
/// each line.
#[must_use]
pub fn listed(content: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let lines = (1..).zip(content.split(|&byte| byte == b'\n'));
    let named = lines.filter_map(|(line, text)| {
        let text = text.trim_ascii();
        let comment = text.starts_with(b"#") || text.starts_with(b";");
        let name = text.split(u8::is_ascii_whitespace).next().filter(|name| !name.is_empty() && !comment)?;
        Some((line, underscores(name)?))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Command {
        parse(text.as_bytes()).remove(0).command
    }

    #[test]
    fn dashes_are_underscores() {
        assert_eq!(one("blacklist usb-storage"), Command::Blacklist { module: b"usb_storage".to_vec() });
        assert_eq!(underscores(b"a-[b-c]-d").unwrap(), b"a_[b-c]_d");
        assert_eq!(underscores(b"a[b"), None);
    }

    #[test]
    fn install_takes_the_rest_of_the_line() {
        let command = b"/bin/sh -c 'exit 1'".to_vec();
        assert_eq!(one("install\tdccp /bin/sh -c 'exit 1'"), Command::Install { module: b"dccp".to_vec(), command });
        assert!(parse(b"install dccp\ninstall\ndccp\n").is_empty());
    }

    #[test]
    fn a_continued_line_keeps_its_first_number() {
        let found = parse(b"# c\ninstall dccp \\\n /bin/false\nblacklist x\n");
        assert_eq!(found.iter().map(|line| line.line).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(found[0].command, Command::Install { module: b"dccp".to_vec(), command: b" /bin/false".to_vec() });
    }

    #[test]
    fn a_comment_may_be_continued_over_a_command() {
        assert!(parse(b"# c \\\ninstall dccp /bin/false\n").is_empty());
    }

    #[test]
    fn a_comment_starts_in_the_first_column_and_others_are_bad_lines() {
        assert!(parse(b"  # blacklist x\n#blacklist y\noptions x a=1\n").is_empty());
    }

    #[test]
    fn a_carriage_return_is_part_of_the_name() {
        assert_eq!(one("blacklist x\r\n"), Command::Blacklist { module: b"x\r".to_vec() });
    }

    #[test]
    fn modules_by_path_and_in_lists() {
        assert_eq!(module_of(b"kernel/drivers/usb/storage/usb-storage.ko.xz").unwrap(), b"usb_storage");
        assert_eq!(module_of(b"kernel/x"), None);
        assert_eq!(listed(b"# c\n\nusb-storage delay=1\n;x\n"), [(3, b"usb_storage".to_vec())]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed(content in prop::collection::vec(any::<u8>(), 0..400), text in "(install|blacklist|alias|[ \\t\\\\#\\na-c\\[-]){0,60}") {
            for content in [&content, text.as_bytes()] {
                let _ = (parse(content), listed(content), module_of(content));
            }
        }
    }
}
