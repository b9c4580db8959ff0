//! `aide.conf(5)`, as `conf_lex.l` and `conf_yacc.y` of AIDE 0.16 to 0.19 read it.

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// `@@define NAME value`.
    Define(String, String),
    /// `@@undef NAME`.
    Undefine(String),
    /// `@@include path` or `@@include folder pattern`.
    Include {
        /// The file or folder.
        path: String,
        /// Which files of the folder: a regular expression.
        pattern: Option<String>,
        /// `@@x_include`: files that may be executed are, and what they print is read.
        executes: bool,
        /// Whether the rules in it get a path put in front.
        prefixed: bool,
    },
    /// `@@if`, `@@ifdef`, `@@ifndef`, `@@ifhost`, `@@ifnhost`.
    If {
        /// Whether it is turned round.
        not: bool,
        /// What it asks.
        test: Test,
    },
    /// `@@else`.
    Else,
    /// `@@endif`.
    EndIf,
    /// An option such as `database_in`.
    Option(String, String),
    /// A group of attributes.
    Group(String, Vec<Term>),
    /// What is looked at, or not.
    Rule(Rule),
    /// What AIDE refuses: it does not run at all.
    Broken(String),
}

/// What a condition asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// Whether a variable is defined.
    Defined(String),
    /// Whether a file exists.
    Exists(String),
    /// Something only the running program knows: the name of the machine, its own version.
    Elsewhere(String),
}

/// A name in an expression of attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Whether its attributes are taken away (`-`).
    pub minus: bool,
    /// An attribute or a group.
    pub name: String,
}

/// How a rule selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selects {
    /// The path and all below.
    Below,
    /// `=`: the path alone.
    Alone,
    /// `!` and `-`: not.
    Not,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// How it selects.
    pub selects: Selects,
    /// The regular expression, variables not yet put in.
    pub pattern: String,
    /// Kinds of files it is limited to, such as `f,d`; what is behind a `=` is a kind of file system.
    pub restriction: Option<String>,
    /// What is recorded.
    pub terms: Vec<Term>,
}

/// Every line that says something, with its number from 1.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<(u32, Line)> {
    let lines = (1..).zip(content.split(|&byte| byte == b'\n'));
    lines
        .filter_map(|(number, text)| {
            let text = String::from_utf8_lossy(text);
            let text = text.trim();
            (!text.is_empty() && !text.starts_with('#')).then(|| (number, line(text)))
        })
        .collect()
}

fn line(text: &str) -> Line {
    if let Some(directive) = text.strip_prefix("@@") {
        return self::directive(directive).unwrap_or_else(|| Line::Broken(format!("'{text}' is no directive")));
    }
    let selects = match text.as_bytes() {
        [b'/', ..] => Some((Selects::Below, text)),
        [b'=', b'/', ..] => Some((Selects::Alone, text.get(1..).unwrap_or_default())),
        [b'!' | b'-', b'/', ..] => Some((Selects::Not, text.get(1..).unwrap_or_default())),
        _ => None,
    };
    if let Some((selects, rest)) = selects {
        return rule(selects, rest).map_or_else(Line::Broken, Line::Rule);
    }
    let Some((name, value)) = text.split_once('=') else { return Line::Broken(format!("'{text}' is neither option nor rule")) };
    let (name, value) = (name.trim(), value.trim());
    if is_option(name) {
        return Line::Option(name.to_owned(), value.split_whitespace().next().unwrap_or_default().to_owned());
    }
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'%' | b'>')) {
        return Line::Broken(format!("'{name}' is no name of a group"));
    }
    expression(value).map_or_else(Line::Broken, |terms| Line::Group(name.to_owned(), terms))
}

/// Options are words with `_` in between, and a few old ones without.
fn is_option(name: &str) -> bool {
    let words = name
        .split('_')
        .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    words && (name.contains('_') || matches!(name, "database" | "verbose" | "grouped" | "syslogformat" | "option"))
}

fn directive(text: &str) -> Option<Line> {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let rest = rest.trim();
    let defined = |not| Some(Line::If { not, test: Test::Defined(rest.to_owned()) });
    match word {
        "define" => {
            let (name, value) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
            Some(Line::Define(name.to_owned(), value.trim().to_owned()))
        }
        "undef" => Some(Line::Undefine(rest.to_owned())),
        "include" | "x_include" => {
            let mut words = rest.split_whitespace();
            let path = words.next()?.to_owned();
            let pattern = words.next().map(str::to_owned);
            Some(Line::Include { path, pattern, executes: word == "x_include", prefixed: words.next().is_some() })
        }
        "x_include_setenv" => Some(Line::Option("x_include_setenv".into(), rest.to_owned())),
        "ifdef" => defined(false),
        "ifndef" => defined(true),
        "ifhost" | "ifnhost" => Some(Line::If { not: word == "ifnhost", test: Test::Elsewhere(rest.to_owned()) }),
        "if" => {
            let (not, rest) = rest.strip_prefix("not ").map_or((false, rest), |rest| (true, rest.trim()));
            let test = match rest.split_once([' ', '\t']) {
                Some(("defined", name)) => Test::Defined(name.trim().to_owned()),
                Some(("exists", path)) => Test::Exists(path.trim().to_owned()),
                _ => Test::Elsewhere(rest.to_owned()),
            };
            Some(Line::If { not, test })
        }
        "else" => Some(Line::Else),
        "endif" => Some(Line::EndIf),
        _ => None,
    }
}

fn rule(selects: Selects, text: &str) -> Result<Rule, String> {
    let (pattern, rest) = pattern(text);
    let rest = rest.split('#').next().unwrap_or_default().trim();
    if selects == Selects::Not {
        let restriction = (!rest.is_empty()).then(|| rest.to_owned());
        return Ok(Rule { selects, pattern, restriction, terms: Vec::new() });
    }
    // Two names without an operator between them: the first part limits the kinds of files.
    let mut cut = None;
    let words: Vec<&str> = rest.split_whitespace().collect();
    for (at, pair) in words.windows(2).enumerate() {
        let joins = |text: &str, end: bool| {
            if end { text.ends_with(['+', '-', ',', '=']) } else { text.starts_with(['+', '-', ',', '=']) }
        };
        if let [left, right] = pair
            && !joins(left, true)
            && !joins(right, false)
        {
            cut = Some(at + 1);
            break;
        }
    }
    let (restriction, terms) = words.split_at(cut.unwrap_or(0));
    let restriction = (!restriction.is_empty()).then(|| restriction.concat());
    Ok(Rule { selects, pattern, restriction, terms: expression(&terms.concat())? })
}

/// The pattern up to the first blank that no backslash stands before.
fn pattern(text: &str) -> (String, &str) {
    let mut pattern = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            ' ' | '\t' => return (pattern, text.get(at..).unwrap_or_default()),
            '\\' => match characters.next() {
                Some((_, blank @ (' ' | '@'))) => pattern.push(blank),
                Some((_, other)) => pattern.extend(['\\', other]),
                None => pattern.push('\\'),
            },
            other => pattern.push(other),
        }
    }
    (pattern, "")
}

fn expression(text: &str) -> Result<Vec<Term>, String> {
    let text: String = text.split('#').next().unwrap_or_default().split_whitespace().collect();
    let mut terms = Vec::new();
    let (mut minus, mut rest) = (false, text.as_str());
    loop {
        let end = rest.find(['+', '-']).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        if name.is_empty() {
            return Err(format!("'{text}' is no list of attributes"));
        }
        terms.push(Term { minus, name: name.to_owned() });
        let Some(operator) = behind.chars().next() else { return Ok(terms) };
        minus = operator == '-';
        rest = behind.get(1..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Line {
        parse(text.as_bytes()).remove(0).1
    }

    fn terms(names: &[&str]) -> Vec<Term> {
        let term = |name: &&str| Term { minus: name.starts_with('-'), name: name.trim_start_matches('-').to_owned() };
        names.iter().map(term).collect()
    }

    #[test]
    fn rules_of_every_kind() {
        let rule = |selects, pattern: &str, restriction: Option<&str>, names: &[&str]| {
            let restriction = restriction.map(str::to_owned);
            Line::Rule(Rule { selects, pattern: pattern.to_owned(), restriction, terms: terms(names) })
        };
        assert_eq!(one("/bin/a p+i - m # x"), rule(Selects::Below, "/bin/a", None, &["p", "i", "-m"]));
        assert_eq!(one("=/a\\ b$ f,d=ext4 R"), rule(Selects::Alone, "/a b$", Some("f,d=ext4"), &["R"]));
        assert_eq!(one("!/var/log/.*\\.log"), rule(Selects::Not, "/var/log/.*\\.log", None, &[]));
        assert!(matches!(one("/etc p++i"), Line::Broken(_)) && matches!(one("/etc"), Line::Broken(_)));
    }

    #[test]
    fn options_groups_and_directives() {
        assert_eq!(one("database=file:@@{DBDIR}/a.db"), Line::Option("database".into(), "file:@@{DBDIR}/a.db".into()));
        assert_eq!(one("database_in = file:/a"), Line::Option("database_in".into(), "file:/a".into()));
        assert_eq!(one("NORMAL = R+sha512"), Line::Group("NORMAL".into(), terms(&["R", "sha512"])));
        assert_eq!(one("@@define DBDIR /var/lib"), Line::Define("DBDIR".into(), "/var/lib".into()));
        assert_eq!(one("@@if not exists /x"), Line::If { not: true, test: Test::Exists("/x".into()) });
        assert!(matches!(one("nonsense"), Line::Broken(_)));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
            let _ = parse(&content);
        }
    }
}
