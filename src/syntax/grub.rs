//! What GRUB boots: `grub.cfg`, its environment block, and boot loader entries.

/// A `linux` command of `grub.cfg`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Line, from 1.
    pub line: u32,
    /// What is behind the kernel's file name, as written.
    pub arguments: Vec<String>,
}

/// What matters of `grub.cfg`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Every `linux` command.
    pub kernels: Vec<Kernel>,
    /// Variables set to plain text (`set name=value`), the last of a name.
    pub variables: Vec<(String, String)>,
    /// The line of a `blscfg` command: entries come from files of their own.
    pub loads_entries: Option<u32>,
    /// Lines of `password_pbkdf2 user hash` commands: the line and the user, never the hash.
    pub passwords: Vec<(u32, String)>,
    /// Lines of `password user text` commands: a password anybody can read.
    pub plain_passwords: Vec<(u32, String)>,
    /// The line of the last `set superusers=`, and the names in it: none after `unset superusers`.
    pub superusers: Option<(u32, String)>,
    /// Scripts that run in this one's place or within it (`source`, `.`, `configfile`): the line and the path as written, variables without braces.
    pub sources: Vec<(u32, String)>,
}

/// Reads `grub.cfg`, a shell-like script, as far as plain commands go.
#[must_use]
pub fn parse(content: &[u8]) -> Config {
    let mut config = Config::default();
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        // Commands may follow the opening of a block on the same line, and each other after a semicolon.
        for command in without_braces(&String::from_utf8_lossy(text)).split(['{', '}', ';']).map(words) {
            let word = |index: usize| command.get(index).map(String::as_str).unwrap_or_default();
            match word(0) {
                "linux" | "linux16" | "linuxefi" => {
                    config.kernels.push(Kernel { line, arguments: command.iter().skip(2).cloned().collect() });
                }
                "blscfg" => config.loads_entries = Some(line),
                // GRUB takes nothing else for a hash; a variable is set elsewhere, or not at all.
                "password_pbkdf2" if word(2).starts_with("grub.pbkdf2.") => config.passwords.push((line, word(1).to_owned())),
                "password" if !word(2).is_empty() => config.plain_passwords.push((line, word(1).to_owned())),
                "source" | "." | "configfile" if !word(1).is_empty() => config.sources.push((line, word(1).to_owned())),
                "unset" => {
                    if command.iter().skip(1).any(|name| name == "superusers") {
                        config.superusers = Some((line, String::new()));
                    }
                    config.variables.retain(|(known, _)| !command.iter().skip(1).any(|name| name == known));
                }
                // A word with `=` sets a variable by itself, too (`grub_script_execute_cmdline`).
                first if first == "set" || first.split_once('=').is_some_and(|(name, _)| is_name(name)) => {
                    if let Some((name, value)) = word(usize::from(first == "set")).split_once('=') {
                        if name == "superusers" {
                            config.superusers = Some((line, value.to_owned()));
                        }
                        config.variables.retain(|(known, _)| known != name);
                        config.variables.push((name.to_owned(), value.to_owned()));
                    }
                }
                _ => {}
            }
        }
    }
    config
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|one| one.is_ascii_alphanumeric() || one == '_')
}

/// `${name}` as `$name`, so that braces are those of blocks.
fn without_braces(text: &str) -> String {
    let mut parts = text.split("${");
    let mut done = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        done.push('$');
        match part.split_once('}') {
            Some((name, rest)) => {
                done.push_str(name);
                done.push_str(rest);
            }
            None => done.push_str(part),
        }
    }
    done
}

/// Words by blanks, quotes taken off; a comment ends the line.
fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), character) if character == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, character) if character.is_whitespace() => all.extend(word.take()),
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (_, character) => word.get_or_insert_default().push(character),
        }
    }
    all.extend(word);
    all
}

/// `key value` lines of a boot loader entry (Boot Loader Specification): the `options` lines, each with its number.
#[must_use]
pub fn entry_options(content: &[u8]) -> Vec<Kernel> {
    let lines = (1..).zip(content.split(|&byte| byte == b'\n'));
    lines
        .filter_map(|(line, text)| {
            let text = String::from_utf8_lossy(text);
            let (key, rest) = text.trim().split_once([' ', '\t'])?;
            (key == "options").then(|| Kernel { line, arguments: words(rest) })
        })
        .collect()
}

/// The variables of an environment block (`grubenv`): `name=value` lines.
#[must_use]
pub fn environment(content: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(content);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_behind_the_opening_of_its_block() {
        let config = parse(b"set superusers=\"root\"\nmenuentry 'Debian' { linux /boot/vmlinuz root=x ro audit=1 # note\n}\n  linux /b \"a b\"\n");
        assert_eq!(config.kernels[0], Kernel { line: 2, arguments: ["root=x", "ro", "audit=1"].map(str::to_owned).to_vec() });
        assert_eq!(config.kernels[1].arguments, ["a b"]);
        assert_eq!(config.superusers, Some((1, "root".into())));
    }

    #[test]
    fn superusers_come_and_go() {
        assert_eq!(parse(b"set superusers=root\nunset superusers\n").superusers, Some((2, String::new())));
        assert_eq!(parse(b"superusers=root\n").superusers, Some((1, "root".into())));
        let config = parse(b"if [ -f ${config_directory}/custom.cfg ]; then\n  source ${config_directory}/custom.cfg\nfi\nlinux /v ${kernelopts} x\n");
        assert_eq!(config.sources, [(2, "$config_directory/custom.cfg".to_owned())]);
        assert_eq!(config.kernels[0].arguments, ["$kernelopts", "x"]);
    }

    #[test]
    fn a_password_is_known_by_its_user_alone() {
        let config = parse(
            b"password_pbkdf2 root grub.pbkdf2.sha512.10000.AB\npassword bob secret\n#password_pbkdf2 x y\npassword_pbkdf2 eve ${HASH}\n",
        );
        assert_eq!((config.passwords, config.plain_passwords), (vec![(1, "root".into())], vec![(2, "bob".into())]));
    }

    #[test]
    fn entries_and_environment() {
        assert_eq!(entry_options(b"title x\noptions $kernelopts audit=1\n")[0].arguments, ["$kernelopts", "audit=1"]);
        assert_eq!(
            environment(b"# GRUB Environment Block\nkernelopts=root=x ro\n####"),
            [("kernelopts".to_owned(), "root=x ro".to_owned())]
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
            let _ = (parse(&content), entry_options(&content), environment(&content));
        }
    }
}
