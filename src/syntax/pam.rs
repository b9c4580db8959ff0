//! `pam.d(5)`: one service file, as Linux-PAM's `pam_handlers.c` reads it.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_till, take_while1};
use nom::character::complete::{space0, space1};
use nom::combinator::{all_consuming, opt};
use nom::multi::{many0, separated_list0};
use nom::sequence::{delimited, preceded, separated_pair, terminated};

type Parsed<'a, T> = nom::IResult<&'a [u8], T>;

/// What a module is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Management {
    /// Who is it?
    Auth,
    /// May they, now?
    Account,
    /// Change the password.
    Password,
    /// Set up and tear down.
    Session,
}

/// What a result of a module does to its stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The result does not count.
    Ignore,
    /// The stack fails, at its end.
    Bad,
    /// The stack fails at once.
    Die,
    /// The stack succeeds unless something failed; goes on.
    Ok,
    /// The stack succeeds at once unless something failed.
    Done,
    /// What was collected so far is forgotten.
    Reset,
    /// The next so many modules are skipped.
    Jump(usize),
}

/// How a line takes part in its stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// The lines of the same kind of another file.
    Include,
    /// The same, as a stack of its own: `done`, `die` and jumps end within it.
    Substack,
    /// What each result does; `default` for the rest.
    Results {
        /// By name of the result, such as `success`.
        by_name: Vec<(String, Action)>,
        /// All others.
        default: Action,
    },
}

impl Control {
    /// What a result does.
    #[must_use]
    pub fn action(&self, result: &str) -> Action {
        match self {
            Self::Results { by_name, default } => {
                by_name.iter().rev().find(|(name, _)| name == result).map_or(*default, |(_, action)| *action)
            }
            Self::Include | Self::Substack => Action::Ignore,
        }
    }
}

/// One line of a service file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// `@include other`: every line of another file.
    IncludeAll {
        /// Line, from 1.
        line: u32,
        /// The file's name.
        service: String,
    },
    /// A module.
    Module(Module),
    /// Something libpam does not understand: it then lets the whole stack fail.
    Broken {
        /// Line, from 1.
        line: u32,
    },
}

/// `type control module arguments`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Line, from 1: the first where a line is continued.
    pub line: u32,
    /// What it is asked for.
    pub management: Management,
    /// `-` before the type: a module that is not installed is passed over.
    pub optional: bool,
    /// How it takes part.
    pub control: Control,
    /// The module, or the file of an include: as written.
    pub module: String,
    /// Its arguments, `[…]` unwrapped.
    pub arguments: Vec<String>,
}

impl Module {
    /// The module's file name without folders, `pam_unix.so`, where it lies with the modules of the distribution; else the whole path: what
    /// lies elsewhere is another module, whatever its name.
    #[must_use]
    pub fn name(&self) -> &str {
        let Some((folder, name)) = self.module.rsplit_once('/') else { return &self.module };
        let parts: Vec<&str> = folder.strip_suffix("/$ISA").unwrap_or(folder).split('/').collect();
        let own = match parts.as_slice() {
            ["", "usr", rest @ ..] | ["", rest @ ..] => match rest {
                [lib, "security"] => is_library(lib),
                [lib, triplet, "security"] => is_library(lib) && triplet.contains("-linux-"),
                _ => false,
            },
            // Relative to the folder of modules.
            _ => false,
        };
        if own { name } else { &self.module }
    }
}

fn is_library(name: &str) -> bool {
    matches!(name, "lib" | "lib64" | "lib32" | "libx32")
}

/// Every line of a service file, in order; comments and empty ones left out.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Line> {
    joined(content).into_iter().filter_map(|(number, text)| line(number, &text)).collect()
}

/// Lines with `\` at their end joined to the next, and comments cut off (`#` anywhere, as libpam does), with the number of the first.
fn joined(content: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut all = Vec::new();
    let mut open: Option<(u32, Vec<u8>)> = None;
    for (number, line) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let text = line.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii();
        let (first, mut whole) = open.take().unwrap_or((number, Vec::new()));
        let (text, goes_on) = text.strip_suffix(b"\\").map_or((text, false), |text| (text, true));
        whole.extend_from_slice(text);
        if goes_on {
            whole.push(b' ');
            open = Some((first, whole));
        } else if !whole.trim_ascii().is_empty() {
            all.push((first, whole));
        }
    }
    all.extend(open.filter(|(_, whole)| !whole.trim_ascii().is_empty()));
    all
}

fn line(number: u32, text: &[u8]) -> Option<Line> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return None;
    }
    if let Ok((_, service)) = preceded((tag("@include"), space1), word).parse(text) {
        return Some(Line::IncludeAll { line: number, service });
    }
    let parsed = (terminated(management, space1), terminated(control, space1), word, many0(preceded(space1, argument)), space0)
        .parse(text);
    Some(match parsed {
        Ok((_, ((optional, management), control, module, arguments, _))) => {
            Line::Module(Module { line: number, management, optional, control, module, arguments })
        }
        Err(_) => Line::Broken { line: number },
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn word(input: &[u8]) -> Parsed<'_, String> {
    is_not(" \t").map(text).parse(input)
}

/// A word, or `[words with blanks]` in which `\]` stands for a bracket.
fn argument(input: &[u8]) -> Parsed<'_, String> {
    let piece = alt((tag("\\]").map(|_| &b"]"[..]), is_not("]\\"), tag("\\")));
    let bracketed = delimited(tag("["), many0(piece), tag("]")).map(|pieces: Vec<&[u8]>| text(&pieces.concat()));
    alt((bracketed, word)).parse(input)
}

fn management(input: &[u8]) -> Parsed<'_, (bool, Management)> {
    let kind = take_while1(|byte: u8| byte.is_ascii_alphabetic());
    let (left, (dash, kind)) = (opt(tag("-")), kind).parse(input)?;
    let kind = match kind.to_ascii_lowercase().as_slice() {
        b"auth" => Management::Auth,
        b"account" => Management::Account,
        b"password" => Management::Password,
        b"session" => Management::Session,
        _ => return Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Alt))),
    };
    Ok((left, (dash.is_some(), kind)))
}

fn control(input: &[u8]) -> Parsed<'_, Control> {
    alt((
        delimited(tag("["), take_till(|byte| byte == b']'), tag("]")).map_opt(results),
        word.map_opt(|word: String| keyword(&word)),
    ))
    .parse(input)
}

/// The short words and what they stand for (`pam.conf(5)`).
fn keyword(word: &str) -> Option<Control> {
    let results = |by_name: &[(&str, Action)], default| {
        let by_name = by_name.iter().map(|&(name, action)| (name.to_owned(), action)).collect();
        Some(Control::Results { by_name, default })
    };
    let ok = |default| results(&[("success", Action::Ok), ("new_authtok_reqd", Action::Ok), ("ignore", Action::Ignore)], default);
    match word.to_ascii_lowercase().as_str() {
        "required" => ok(Action::Bad),
        "requisite" => ok(Action::Die),
        "optional" => results(&[("success", Action::Ok), ("new_authtok_reqd", Action::Ok)], Action::Ignore),
        "sufficient" => results(&[("success", Action::Done), ("new_authtok_reqd", Action::Done)], Action::Ignore),
        "include" => Some(Control::Include),
        "substack" => Some(Control::Substack),
        _ => None,
    }
}

fn name(input: &[u8]) -> Parsed<'_, String> {
    take_while1(|byte: u8| byte.is_ascii_alphanumeric() || byte == b'_').map(text).parse(input)
}

fn pair(input: &[u8]) -> Parsed<'_, (String, String)> {
    separated_pair(name, (space0, tag("="), space0), name).parse(input)
}

/// `value=action` pairs; a result that none names does what `bad` does.
fn results(inner: &[u8]) -> Option<Control> {
    let list: Parsed<'_, Vec<(String, String)>> =
        all_consuming(delimited(space0, separated_list0(space1, pair), space0)).parse(inner);
    let mut by_name = Vec::new();
    let mut default = Action::Bad;
    for (name, action) in list.ok()?.1 {
        let action = match action.as_str() {
            "ignore" => Action::Ignore,
            "bad" => Action::Bad,
            "die" => Action::Die,
            "ok" => Action::Ok,
            "done" => Action::Done,
            "reset" => Action::Reset,
            number => Action::Jump(number.parse().ok()?),
        };
        match name.as_str() {
            "default" => default = action,
            _ => by_name.push((name, action)),
        }
    }
    Some(Control::Results { by_name, default })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(line: &str) -> Module {
        match parse(line.as_bytes()).remove(0) {
            Line::Module(module) => module,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_jump_and_brackets_are_read() {
        let module = module("auth\t[success=2 new_authtok_reqd=done default=ignore]\tpam_unix.so nullok [a b=c\\]]");
        assert_eq!(module.control.action("success"), Action::Jump(2));
        assert_eq!(module.control.action("perm_denied"), Action::Ignore);
        assert_eq!(module.arguments, ["nullok", "a b=c]"]);
    }

    #[test]
    fn words_are_short_for_results() {
        assert_eq!(module("auth sufficient /lib/security/pam_unix.so").control.action("success"), Action::Done);
        assert_eq!(module("-auth requisite pam_x.so").control.action("auth_err"), Action::Die);
        assert_eq!(module("auth required /lib/security/pam_unix.so").name(), "pam_unix.so");
    }

    #[test]
    fn a_module_from_elsewhere_is_another_one() {
        let name = |path: &str| module(&format!("auth required {path}")).name().to_owned();
        for own in ["/usr/lib/x86_64-linux-gnu/security/a.so", "/lib64/security/a.so", "/lib/security/$ISA/a.so", "a.so"] {
            assert_eq!(name(own), "a.so");
        }
        for other in ["/tmp/a.so", "../../../tmp/a.so", "/usr/local/lib/security/a.so", "/lib/../tmp/security/a.so"] {
            assert_eq!(name(other), other);
        }
    }

    #[test]
    fn comments_continuations_and_includes() {
        let lines = parse(b"# all\n@include common-auth # x\nauth required \\\n pam_env.so a\nnonsense\n");
        assert_eq!(lines[0], Line::IncludeAll { line: 2, service: "common-auth".into() });
        assert!(matches!(&lines[1], Line::Module(module) if module.line == 3 && module.arguments == ["a"]));
        assert_eq!(lines[2], Line::Broken { line: 5 });
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
            let _ = parse(&content);
        }
    }
}
