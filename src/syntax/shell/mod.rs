//! What a shell script does that can be known without running it: plain assignments, `umask`, calls with plain words
//! (POSIX.1-2017, "Shell Command Language"; `bash(1)`).
//!
//! This is a reader and no interpreter. A step is *certain* if it runs whenever the script does: outside of `if`, loops, `case` and
//! functions, and not behind `&&` or `||`. What runs in a subshell or a pipe changes nothing in the shell itself and is left out.

mod words;

use std::collections::BTreeMap;

use words::{Token, Word, tokens};

/// One thing a script does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Line, from 1.
    pub line: u32,
    /// Whether it runs whenever the script does.
    pub certain: bool,
    /// Whether it stands in a function.
    pub in_function: bool,
    /// What it does.
    pub action: Action,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `NAME=value`, maybe behind `export`, `readonly`, `declare`.
    Sets {
        /// The variable.
        name: String,
        /// The text without quotes; expansions stay in it as they are written.
        text: String,
        /// Whether something in it is computed.
        computed: bool,
    },
    /// The variable cannot be changed any more.
    Fixes(String),
    /// `umask`: the mask; nothing if it is computed.
    Umask(Option<u32>),
    /// Any other command: its words as they are written.
    Calls(Vec<String>),
}

/// What stands open around a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Open {
    Branch,
    Case,
    Group,
    Function,
    Subshell,
}

/// Everything that stands open, counted as well: how deep it is must not matter for each command again.
#[derive(Default)]
struct Nesting {
    stack: Vec<Open>,
    counts: BTreeMap<Open, usize>,
}

impl Nesting {
    fn push(&mut self, open: Open) {
        self.stack.push(open);
        *self.counts.entry(open).or_default() += 1;
    }

    fn last(&self) -> Option<&Open> {
        self.stack.last()
    }

    fn has(&self, open: Open) -> bool {
        self.counts.get(&open).is_some_and(|&count| count > 0)
    }

    /// Closes everything down to one of these.
    fn close(&mut self, kinds: &[Open]) {
        let mut more = kinds.iter().any(|&kind| self.has(kind));
        while more && let Some(closed) = self.stack.pop() {
            more = !kinds.contains(&closed);
            if let Some(count) = self.counts.get_mut(&closed) {
                *count -= 1;
            }
        }
    }
}

/// Every step, in order, up to a certain `return` or `exit`.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Step> {
    let text = String::from_utf8_lossy(content);
    let mut script = Script::default();
    for (line, token) in tokens(&text) {
        if script.ended {
            break;
        }
        script.take(line, token);
    }
    script.end_command();
    script.steps
}

/// The words of every command, in order, up to an `exit`, a `return` or an `exec` that certainly comes; those in pipes, subshells and functions
/// too. Quotes are taken off, and expansions stay as they are written.
#[must_use]
pub fn commands(content: &[u8]) -> Vec<Vec<String>> {
    let text = String::from_utf8_lossy(content);
    let (mut found, mut words) = (Vec::new(), Vec::<String>::new());
    let (mut depth, mut parentheses, mut behind) = (0_usize, 0_usize, false);
    for (_, token) in tokens(&text) {
        let sign = match token {
            Token::Word(word) => {
                if words.is_empty() && !word.quoted {
                    match word.text.as_str() {
                        "if" | "while" | "until" | "{" => depth += 1,
                        "fi" | "done" | "esac" | "}" => depth = depth.saturating_sub(1),
                        "then" | "else" | "elif" | "do" | "!" | "time" => {}
                        _ => {
                            depth += usize::from(["for", "case", "select"].contains(&word.text.as_str()));
                            words.push(word.text);
                        }
                    }
                } else {
                    words.push(word.text);
                }
                continue;
            }
            Token::Sign(sign) => sign,
            Token::Newline => ";",
        };
        // The name of a function, or a pattern of `case`.
        if (sign == "(" && !words.is_empty()) || (sign == ")" && parentheses == 0) {
            words.clear();
        }
        let ends = depth == 0 && parentheses == 0 && !behind;
        match sign {
            "(" => parentheses += 1,
            ")" => parentheses = parentheses.saturating_sub(1),
            _ => {}
        }
        // `&&` at the end of a line goes on in the next.
        behind = matches!(sign, "&&" | "||" | "|") || (behind && words.is_empty());
        if words.is_empty() {
            continue;
        }
        // `exec` alone only changes where output goes.
        let leaves = match words.first().map(String::as_str) {
            Some("exit" | "return") => true,
            Some("exec") => words.len() > 1,
            _ => false,
        };
        found.push(std::mem::take(&mut words));
        if ends && leaves {
            return found;
        }
    }
    if !words.is_empty() {
        found.push(words);
    }
    found
}

/// How far the definition of a function has been read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Defining {
    #[default]
    Nothing,
    /// `function`: its name comes next.
    Name,
    /// `name (`: a function if `)` follows.
    Opened,
    /// Its body comes next.
    Body,
}

#[derive(Default)]
struct Script {
    steps: Vec<Step>,
    open: Nesting,
    words: Vec<(u32, Word)>,
    /// Whether the command stands behind `&&` or `||`.
    behind: bool,
    /// Whether the command before ended in a pipe.
    piped: bool,
    defining: Defining,
    ended: bool,
}

impl Script {
    fn take(&mut self, line: u32, token: Token) {
        match token {
            Token::Word(word) => self.word(line, word),
            Token::Sign("(") if self.defining == Defining::Body => self.defining = Defining::Opened,
            Token::Sign("(") if self.words.is_empty() => self.open.push(Open::Subshell),
            Token::Sign("(") if self.words.len() == 1 => self.defining = Defining::Opened,
            Token::Sign("(") => {}
            Token::Sign(")") if self.defining == Defining::Opened => {
                self.words.clear();
                self.defining = Defining::Body;
            }
            Token::Sign(")") if self.open.last() == Some(&Open::Case) => self.words.clear(),
            Token::Sign(")") => {
                self.end_command();
                self.open.close(&[Open::Subshell]);
            }
            Token::Sign("|") => {
                self.piped = true;
                self.end_command();
                self.piped = true;
            }
            Token::Sign(sign) => {
                self.end_command();
                self.behind = matches!(sign, "&&" | "||");
            }
            // `&&` at the end of a line goes on in the next.
            Token::Newline if self.words.is_empty() => {}
            Token::Newline => {
                self.end_command();
                self.behind = false;
            }
        }
    }

    fn word(&mut self, line: u32, word: Word) {
        if !self.words.is_empty() || word.quoted {
            self.words.push((line, word));
            return;
        }
        let defining = std::mem::take(&mut self.defining);
        if defining == Defining::Name {
            self.defining = Defining::Body;
            return;
        }
        match word.text.as_str() {
            "if" | "while" | "until" => self.open.push(Open::Branch),
            "for" | "select" => {
                self.open.push(Open::Branch);
                self.words.push((line, word));
            }
            "case" => {
                self.open.push(Open::Case);
                self.words.push((line, word));
            }
            "fi" | "done" => self.open.close(&[Open::Branch]),
            "esac" => self.open.close(&[Open::Case]),
            "then" | "else" | "elif" | "do" | "!" | "time" => {}
            "{" => {
                self.open.push(if defining == Defining::Body { Open::Function } else { Open::Group });
            }
            "}" => self.open.close(&[Open::Group, Open::Function]),
            "function" => self.defining = Defining::Name,
            _ => self.words.push((line, word)),
        }
    }

    fn end_command(&mut self) {
        let words = std::mem::take(&mut self.words);
        if self.defining == Defining::Opened {
            self.defining = Defining::Nothing;
        }
        let in_subshell = std::mem::take(&mut self.piped) || self.open.has(Open::Subshell);
        let Some((line, first)) = words.first().filter(|_| !in_subshell) else { return };
        let line = *line;
        let in_function = self.open.has(Open::Function);
        let certain = !self.behind && !in_function && !self.open.has(Open::Branch) && !self.open.has(Open::Case);
        if certain && ["return", "exit"].contains(&first.text.as_str()) {
            self.ended = true;
        }
        let actions = actions(&words.into_iter().map(|(_, word)| word).collect::<Vec<_>>());
        self.steps.extend(actions.into_iter().map(|action| Step { line, certain, in_function, action }));
    }
}

/// What a simple command does.
fn actions(words: &[Word]) -> Vec<Action> {
    let words = match words {
        [first, rest @ ..] if !rest.is_empty() && ["builtin", "command"].contains(&first.text.as_str()) => rest,
        words => words,
    };
    let Some((first, rest)) = words.split_first() else { return Vec::new() };
    if words.iter().all(|word| assignment(word).is_some()) {
        return words.iter().filter_map(assignment).collect();
    }
    match first.text.as_str() {
        "umask" => umask(rest).into_iter().collect(),
        word @ ("export" | "readonly" | "declare" | "typeset" | "local") => {
            let flag = |word: &Word| word.text.starts_with('-') && word.text.contains('r');
            let fixes = word == "readonly" || (word != "export" && rest.iter().any(flag));
            let named = |word: &Word| word.text.split('=').next().unwrap_or_default().to_owned();
            let variables: Vec<&Word> = rest.iter().filter(|word| !word.text.starts_with('-')).collect();
            let sets = variables.iter().filter_map(|word| assignment(word));
            let fixed = variables.iter().filter(|_| fixes).map(|word| Action::Fixes(named(word)));
            sets.chain(fixed).collect()
        }
        _ => vec![Action::Calls(words.iter().map(|word| word.text.clone()).collect())],
    }
}

fn assignment(word: &Word) -> Option<Action> {
    let (name, text) = word.text.split_once('=')?;
    let is_name = !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    is_name.then(|| Action::Sets { name: name.to_owned(), text: text.to_owned(), computed: word.computed })
}

/// What a `umask` command sets; nothing if it only shows the mask, or refuses what it was given.
fn umask(arguments: &[Word]) -> Option<Action> {
    let word = arguments.iter().find(|word| !word.text.starts_with('-') || word.computed)?;
    if word.computed {
        return Some(Action::Umask(None));
    }
    if word.text.starts_with(|first: char| first.is_ascii_digit()) {
        let mask = u32::from_str_radix(&word.text, 8).ok().filter(|mask| *mask <= 0o777)?;
        return Some(Action::Umask(Some(mask)));
    }
    symbolic(&word.text)
}

/// `u=rwx,g=rx,o=`: what is allowed. Where it adds to the mask before, the result is not known.
fn symbolic(text: &str) -> Option<Action> {
    let (mut allowed, mut said) = (0, 0);
    for clause in text.split(',') {
        let at = clause.find(['=', '+', '-'])?;
        let (who, what) = clause.split_at_checked(at)?;
        let (sign, rights) = what.split_at_checked(1)?;
        let mut whom = 0;
        for letter in who.chars() {
            whom |= match letter {
                'u' => 0o700,
                'g' => 0o070,
                'o' => 0o007,
                'a' => 0o777,
                _ => return None,
            };
        }
        let whom = if whom == 0 { 0o777 } else { whom };
        let mut bits = 0;
        for letter in rights.chars() {
            bits |= match letter {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                _ => return None,
            };
        }
        match sign {
            "=" => {
                allowed = (allowed & !whom) | (bits & whom);
                said |= whom;
            }
            "+" => allowed |= bits & whom & said,
            _ => allowed &= !(bits & whom),
        }
        if sign != "=" && said != 0o777 {
            return Some(Action::Umask(None));
        }
    }
    Some(Action::Umask((said == 0o777).then_some(!allowed & 0o777)))
}

#[cfg(test)]
mod tests;
