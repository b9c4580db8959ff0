//! Words, signs and line ends of the language of `nft(8)`, after its scanner (`src/scanner.l`).

use super::{Flaw, MAX_TOKENS};

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A word, a number, an address, `$variable`, `@set`; or a comparison such as `!=`.
    Word(String),
    /// A text in double quotes.
    Text(String),
    /// One of `{ } , ;` and a line end, which is `\n`.
    Sign(char),
}

/// A token in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The file, by its number in the order of reading.
    pub file: usize,
    /// The line, from 1.
    pub line: u32,
    /// What it is.
    pub kind: Kind,
}

impl Token {
    /// Whether it is this sign.
    #[must_use]
    pub fn is(&self, sign: char) -> bool {
        self.kind == Kind::Sign(sign)
    }

    /// Whether a statement ends here.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.is('\n') || self.is(';')
    }

    /// The word or text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(text) | Kind::Text(text) => Some(text),
            Kind::Sign(_) => None,
        }
    }

    /// The word, if it is one.
    #[must_use]
    pub fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(text) => Some(text),
            _ => None,
        }
    }
}

/// All tokens of a file; a comment is none, a line end after a backslash neither.
///
/// # Errors
/// A text that is not closed on its line; more than [`MAX_TOKENS`].
pub fn tokens(content: &[u8], file: usize) -> Result<Vec<Token>, Flaw> {
    let text = String::from_utf8_lossy(content);
    let mut found: Vec<Token> = Vec::new();
    let mut line = 1;
    let mut word = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let special = matches!(character, ' ' | '\t' | '\r' | '\n' | '{' | '}' | ',' | ';' | '"' | '#' | '=' | '!' | '<' | '>')
            || (character == '\\' && matches!(characters.peek(), Some('\n')));
        if !special {
            word.push(character);
            continue;
        }
        if found.len() > MAX_TOKENS {
            let reason = format!("there are more than {MAX_TOKENS} words");
            return Err(Flaw { file, line, reason, refused: false });
        }
        let mut put = |kind| found.push(Token { file, line, kind });
        if !word.is_empty() {
            put(Kind::Word(std::mem::take(&mut word)));
        }
        match character {
            '{' | '}' | ',' | ';' => put(Kind::Sign(character)),
            '\n' => {
                put(Kind::Sign('\n'));
                line += 1;
            }
            '\\' => {
                characters.next();
                line += 1;
            }
            '#' => while characters.next_if(|&next| next != '\n').is_some() {},
            '"' => {
                let mut text = String::new();
                loop {
                    match characters.next() {
                        Some('"') => break,
                        None | Some('\n') => return Err(Flaw::refused(file, line, "a text that is not closed")),
                        Some(other) => text.push(other),
                    }
                }
                put(Kind::Text(text));
            }
            '=' | '!' | '<' | '>' => {
                let mut sign = String::from(character);
                sign.extend(characters.next_if_eq(&'='));
                put(Kind::Word(sign));
            }
            _ => {}
        }
    }
    if !word.is_empty() {
        found.push(Token { file, line, kind: Kind::Word(word) });
    }
    found.push(Token { file, line, kind: Kind::Sign('\n') });
    Ok(found)
}
