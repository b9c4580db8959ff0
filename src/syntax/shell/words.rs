//! Words and signs of a shell script.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::str::Chars;

/// A word without its quotes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// Its text; expansions stay in it as they are written.
    pub text: String,
    /// Whether it has an expansion in it.
    pub computed: bool,
    /// Whether any part of it was quoted: it is then no key word.
    pub quoted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(Word),
    Sign(&'static str),
    Newline,
}

/// Every token with its line, one after another: a script may be made of very many.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = (u32, Token)> {
    let mut reader = Reader { rest: text.chars().peekable(), line: 1, here: VecDeque::new() };
    std::iter::from_fn(move || reader.token())
}

struct Reader<'t> {
    rest: Peekable<Chars<'t>>,
    line: u32,
    /// Ends of here-documents that begin with the next line.
    here: VecDeque<String>,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let letter = self.rest.next()?;
        self.line += u32::from(letter == '\n');
        Some(letter)
    }

    fn next_if(&mut self, wanted: char) -> bool {
        self.rest.peek() == Some(&wanted) && self.next().is_some()
    }

    fn token(&mut self) -> Option<(u32, Token)> {
        loop {
            let line = self.line;
            match *self.rest.peek()? {
                ' ' | '\t' | '\r' => {
                    self.next();
                }
                '#' => {
                    while self.rest.peek().is_some_and(|letter| *letter != '\n') {
                        self.next();
                    }
                }
                '\n' => {
                    self.next();
                    while let Some(end) = self.here.pop_front() {
                        self.skip_here(&end);
                    }
                    return Some((line, Token::Newline));
                }
                ';' | '&' | '|' | '(' | ')' => return Some((line, self.sign()?)),
                '<' | '>' => self.redirection(),
                _ => {
                    let word = self.word();
                    // A backslash at the end of a line by itself is no word.
                    if !word.text.is_empty() || word.quoted {
                        // `2>` is no word either.
                        let number = word.text.bytes().all(|byte| byte.is_ascii_digit()) && !word.quoted;
                        if !(number && matches!(self.rest.peek(), Some('<' | '>'))) {
                            return Some((line, Token::Word(word)));
                        }
                    }
                }
            }
        }
    }

    fn sign(&mut self) -> Option<Token> {
        let first = self.next()?;
        let doubled = !matches!(first, '(' | ')') && self.next_if(first);
        Some(Token::Sign(match (first, doubled) {
            ('&', true) => "&&",
            ('|', true) => "||",
            ('|', false) => "|",
            ('(', _) => "(",
            (')', _) => ")",
            _ => ";",
        }))
    }

    /// `> file`, `2>&1`, `<<END`: what it names is no word of the command.
    fn redirection(&mut self) {
        let first = self.next();
        let here = first == Some('<') && self.next_if('<') && !self.next_if('<');
        while matches!(self.rest.peek(), Some('>' | '&' | '-' | '|')) {
            self.next();
        }
        while matches!(self.rest.peek(), Some(' ' | '\t')) {
            self.next();
        }
        if matches!(self.rest.peek(), Some('\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>') | None) {
            return;
        }
        let word = self.word();
        if here {
            self.here.push_back(word.text);
        }
    }

    fn skip_here(&mut self, end: &str) {
        while self.rest.peek().is_some() {
            let mut line = String::new();
            while let Some(letter) = self.next().filter(|letter| *letter != '\n') {
                line.push(letter);
            }
            if line.trim_start_matches('\t') == end {
                return;
            }
        }
    }

    fn word(&mut self) -> Word {
        let mut word = Word::default();
        while let Some(&letter) = self.rest.peek() {
            match letter {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\\' => {
                    self.next();
                    match self.next() {
                        Some('\n') | None => {}
                        Some(escaped) => {
                            word.text.push(escaped);
                            word.quoted = true;
                        }
                    }
                }
                '\'' => {
                    self.next();
                    word.quoted = true;
                    while let Some(letter) = self.next().filter(|letter| *letter != '\'') {
                        word.text.push(letter);
                    }
                }
                '"' => {
                    self.next();
                    word.quoted = true;
                    self.double_quoted(&mut word);
                }
                '$' | '`' => self.expansion(&mut word),
                _ => {
                    self.next();
                    word.text.push(letter);
                }
            }
        }
        word
    }

    fn double_quoted(&mut self, word: &mut Word) {
        while let Some(&letter) = self.rest.peek() {
            match letter {
                '$' | '`' => self.expansion(word),
                '"' => {
                    self.next();
                    return;
                }
                '\\' => {
                    self.next();
                    match self.next() {
                        Some('\n') | None => {}
                        Some(escaped @ ('$' | '`' | '"' | '\\')) => word.text.push(escaped),
                        Some(other) => word.text.extend(['\\', other]),
                    }
                }
                _ => {
                    self.next();
                    word.text.push(letter);
                }
            }
        }
    }

    /// `$name`, `${…}`, `$(…)` or `` `…` ``, as it is written.
    fn expansion(&mut self, word: &mut Word) {
        let Some(first) = self.next() else { return };
        word.text.push(first);
        if first == '`' {
            word.computed = true;
            while let Some(letter) = self.next() {
                word.text.push(letter);
                if letter == '`' {
                    return;
                }
            }
            return;
        }
        let (open, close) = match self.rest.peek() {
            Some('{') => ('{', '}'),
            Some('(') => ('(', ')'),
            Some(letter) => {
                word.computed |= letter.is_alphanumeric() || "_@*#?-$!".contains(*letter);
                return;
            }
            None => return,
        };
        word.computed = true;
        let mut depth = 0_usize;
        while let Some(letter) = self.next() {
            word.text.push(letter);
            if letter == open {
                depth += 1;
            } else if letter == close {
                depth -= 1;
                if depth == 0 {
                    return;
                }
            }
        }
    }
}
