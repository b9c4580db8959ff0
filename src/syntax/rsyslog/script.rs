//! Statements, blocks and filters: the scanner's rules in its initial state, and the grammar above them.

use super::object::{Param, params};
use super::{Filter, Kind, MAX_DEPTH, Refused, Statement, Text};

/// Objects that stand at the top level and have parameters only.
const OBJECTS: [&str; 10] =
    ["main_queue", "timezone", "parser", "global", "input", "module", "lookup_table", "dyn_stats", "perctile_stats", "ratelimit"];

pub(super) struct Script<'t> {
    text: &'t Text,
    at: usize,
    /// Whether a comment goes on to the end of the file.
    unclosed: bool,
}

impl<'t> Script<'t> {
    pub(super) fn new(text: &'t Text) -> Self {
        Self { text, at: 0, unclosed: false }
    }

    pub(super) fn all(mut self) -> Result<Vec<Statement>, Refused> {
        let mut found = Vec::new();
        while self.skip()? {
            self.statements(&mut found, 0)?;
        }
        if self.unclosed {
            found.push(Statement { line: self.text.line(self.text.bytes.len()), kind: Kind::UnclosedComment });
        }
        Ok(found)
    }

    fn rest(&self) -> &'t [u8] {
        self.text.bytes.get(self.at..).unwrap_or_default()
    }

    fn refuse<T>(&self, reason: &'static str) -> Result<T, Refused> {
        Err(Refused { line: self.text.line(self.at), reason })
    }

    /// Passes over blanks and comments; false at the end.
    fn skip(&mut self) -> Result<bool, Refused> {
        loop {
            match self.rest() {
                [] => return Ok(false),
                [b' ' | b'\t' | b'\n', ..] => self.at += 1,
                [b'#', rest @ ..] => self.at += 1 + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
                [b'/', b'*', rest @ ..] => {
                    let end = rest.windows(2).position(|pair| pair == b"*/");
                    self.unclosed = end.is_none();
                    self.at = end.map_or(self.text.bytes.len(), |end| self.at + end + 4);
                }
                // rsyslog complains of a character that begins nothing, and goes on behind it.
                rest if !begins_something(rest) => self.at += 1,
                _ => return Ok(true),
            }
        }
    }

    /// Whether nothing but blanks stands before this place in its line.
    fn begins_line(&self) -> bool {
        let before = self.text.bytes.get(..self.at).unwrap_or_default();
        before.iter().rev().find(|byte| !matches!(byte, b' ' | b'\t')).is_none_or(|&byte| byte == b'\n')
    }

    /// The word of letters, digits and `_` that stands here, in lower case.
    fn word(&self) -> (String, usize) {
        let length = self.rest().iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        (String::from_utf8_lossy(self.rest().get(..length).unwrap_or_default()).to_ascii_lowercase(), length)
    }

    fn take_line(&mut self) -> &'t [u8] {
        let rest = self.rest();
        let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    /// Reads one statement, or a list of actions joined by `&`.
    fn statements(&mut self, into: &mut Vec<Statement>, depth: usize) -> Result<(), Refused> {
        if depth > MAX_DEPTH {
            return self.refuse("blocks are nested too deeply");
        }
        let line = self.text.line(self.at);
        let mut add = |kind| into.push(Statement { line, kind });
        if self.begins_line()
            && let Some((filter, length)) = filter(self.rest())
        {
            self.at += length;
            let body = self.block(depth)?;
            add(Kind::Filtered { filter, body, otherwise: Vec::new() });
            return Ok(());
        }
        let (word, length) = self.word();
        let opens = self.rest().get(length..).unwrap_or_default().trim_ascii_start().first() == Some(&b'(');
        match word.as_str() {
            "if" | "foreach" => {
                self.at += length;
                let filter = Filter::Expression(self.expression(if word == "if" { "then" } else { "do" })?);
                let body = self.block(depth)?;
                let mut otherwise = Vec::new();
                if word == "if" && self.skip()? && self.word().0 == "else" {
                    self.at += 4;
                    otherwise = self.block(depth)?;
                }
                add(Kind::Filtered { filter, body, otherwise });
                return Ok(());
            }
            "set" | "reset" | "unset" => {
                self.at += length;
                self.expression(";")?;
                add(Kind::Other);
                return Ok(());
            }
            "reload_lookup_table" if opens => {
                while !matches!(self.rest().first(), None | Some(b')')) {
                    self.at += 1;
                }
                self.at += 1;
                add(Kind::Other);
                return Ok(());
            }
            "include" if opens => {
                let params = self.params(length)?;
                let pattern = params.into_iter().find(|param| param.name == "file").map(|param| param.value.text().to_vec());
                add(Kind::Include { pattern });
                return Ok(());
            }
            "template" if opens => {
                let params = self.template(length)?;
                add(Kind::Object { name: word, params });
                return Ok(());
            }
            "ruleset" if opens => {
                let params = self.params(length)?;
                self.skip()?;
                if self.rest().first() != Some(&b'{') {
                    return self.refuse("a ruleset has a block");
                }
                let body = self.braces(depth)?;
                add(Kind::Ruleset { params, body });
                return Ok(());
            }
            object if opens && OBJECTS.contains(&object) => {
                let params = self.params(length)?;
                add(Kind::Object { name: word, params });
                return Ok(());
            }
            _ => {}
        }
        self.plain(line, into)
    }

    /// A template with its block, if it has one: properties and constants, objects without a meaning of their own.
    fn template(&mut self, name: usize) -> Result<Vec<Param>, Refused> {
        let params = self.params(name)?;
        self.skip()?;
        if self.rest().first() == Some(&b'{') {
            self.at += 1;
            while self.skip()? && self.rest().first() != Some(&b'}') {
                let (word, length) = self.word();
                if !matches!(word.as_str(), "property" | "constant") {
                    return self.refuse("a template holds properties and constants");
                }
                self.params(length)?;
            }
            self.close()?;
        }
        Ok(params)
    }

    /// A statement that no word begins: a directive, a block of BSD, or actions.
    fn plain(&mut self, line: u32, into: &mut Vec<Statement>) -> Result<(), Refused> {
        let mut add = |kind| into.push(Statement { line, kind });
        match self.rest() {
            [b'$', next, ..] if next.is_ascii_alphabetic() => {
                let text = self.take_line().get(1..).unwrap_or_default();
                let length = text.iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
                let (name, value) = text.split_at_checked(length).unwrap_or((text, b""));
                let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                add(match name.as_str() {
                    "includeconfig" => {
                        let pattern = value.split(u8::is_ascii_whitespace).find(|word| !word.is_empty());
                        Kind::Include { pattern: pattern.map(<[u8]>::to_vec) }
                    }
                    _ => Kind::Directive { name, value: value.to_vec() },
                });
                Ok(())
            }
            [b'!' | b'+', ..] => {
                // Blocks of BSD: rsyslog complains and goes on without them.
                self.take_line();
                add(Kind::Other);
                Ok(())
            }
            _ => self.actions(into),
        }
    }

    /// Actions joined by `&`.
    fn actions(&mut self, into: &mut Vec<Statement>) -> Result<(), Refused> {
        loop {
            let line = self.text.line(self.at);
            let kind = self.action()?;
            into.push(Statement { line, kind });
            if !self.skip()? || self.rest().first() != Some(&b'&') {
                return Ok(());
            }
            self.at += 1;
            if !self.skip()? {
                return self.refuse("an action is missing");
            }
        }
    }

    fn action(&mut self) -> Result<Kind, Refused> {
        let (word, length) = self.word();
        let opens = self.rest().get(length..).unwrap_or_default().trim_ascii_start().first() == Some(&b'(');
        match word.as_str() {
            "action" if opens => return self.params(length).map(Kind::Action),
            "stop" | "continue" => {
                self.at += length;
                return Ok(if word == "stop" { Kind::Stop } else { Kind::Other });
            }
            "call" => {
                self.at += length;
                let name = self.called()?;
                return Ok(Kind::Call(name));
            }
            "else" => return self.refuse("there is no condition before this"),
            "call_indirect" => {
                self.at += length;
                self.expression(";")?;
                return Ok(Kind::Other);
            }
            _ => {}
        }
        match self.rest() {
            [b'~' | b'*', ..] => {
                self.at += 1;
                Ok(Kind::Legacy(self.rest_before(1)))
            }
            [b'/' | b'-' | b':' | b'|' | b'.' | b'@' | b'^' | b'?' | b'>', ..] => Ok(Kind::Legacy(self.take_line().to_vec())),
            [first, ..] if first.is_ascii_alphanumeric() || *first == b'_' => {
                let allowed = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(**byte, b'_' | b'-' | b'+' | b',' | b';');
                let length = self.rest().iter().take_while(allowed).count();
                self.at += length;
                Ok(Kind::Legacy(self.rest_before(length)))
            }
            _ => self.refuse("an action is missing"),
        }
    }

    /// The name behind `call`. The scanner takes what is no name, a single letter included, for wrong characters and goes on behind it.
    fn called(&mut self) -> Result<Vec<u8>, Refused> {
        let in_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(**byte, b'-' | b'_' | b'.');
        while let Some(first) = self.rest().first() {
            let length = self.rest().iter().take_while(in_name).count();
            if first.is_ascii_alphabetic() && length > 1 {
                self.at += length;
                return Ok(self.rest_before(length));
            }
            self.at += 1;
        }
        self.refuse("the name of a rule set is missing")
    }

    fn rest_before(&self, length: usize) -> Vec<u8> {
        self.text.bytes.get(self.at.saturating_sub(length)..self.at).unwrap_or_default().to_vec()
    }

    /// A block in braces, or a single statement.
    fn block(&mut self, depth: usize) -> Result<Vec<Statement>, Refused> {
        if !self.skip()? {
            return self.refuse("a statement is missing");
        }
        if self.rest().first() == Some(&b'{') {
            return self.braces(depth);
        }
        let mut body = Vec::new();
        self.statements(&mut body, depth + 1)?;
        Ok(body)
    }

    fn braces(&mut self, depth: usize) -> Result<Vec<Statement>, Refused> {
        self.at += 1;
        let mut body = Vec::new();
        while self.skip()? && self.rest().first() != Some(&b'}') {
            self.statements(&mut body, depth + 1)?;
        }
        self.close()?;
        Ok(body)
    }

    fn close(&mut self) -> Result<(), Refused> {
        if self.rest().first() != Some(&b'}') {
            return self.refuse("a block is not closed");
        }
        self.at += 1;
        Ok(())
    }

    /// The parameters of an object whose name has this length.
    fn params(&mut self, name: usize) -> Result<Vec<Param>, Refused> {
        self.at += name;
        self.at += self.rest().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if self.rest().first() != Some(&b'(') {
            return self.refuse("parameters are missing");
        }
        let inside = self.rest().get(1..).unwrap_or_default();
        match params(inside) {
            Ok((left, found)) => {
                self.at += 1 + inside.len() - left.len();
                Ok(found)
            }
            Err(_) => self.refuse("the parameters of this object cannot be read"),
        }
    }

    /// An expression, up to the word or mark that ends it. Words in quotes do not end it.
    fn expression(&mut self, end: &str) -> Result<Vec<u8>, Refused> {
        let start = self.at;
        let found = |script: &Self| script.text.bytes.get(start..script.at).unwrap_or_default().to_vec();
        loop {
            match self.rest() {
                [b'/', b'*', ..] => {
                    self.skip()?;
                }
                [b';', ..] if end == ";" => {
                    let expression = found(self);
                    self.at += 1;
                    return Ok(expression);
                }
                [quote @ (b'"' | b'\'' | b'`'), rest @ ..] => {
                    let mut inside = rest.iter();
                    let mut length = 1;
                    loop {
                        length += 1;
                        match inside.next() {
                            None => return self.refuse("a text is not ended"),
                            Some(b'\\') => {
                                inside.next();
                                length += 1;
                            }
                            Some(byte) if byte == quote => break,
                            Some(_) => {}
                        }
                    }
                    self.at += length;
                }
                [] | [b'{' | b'}', ..] => return self.refuse("an expression is not ended"),
                [b'$', ..] => {
                    // A variable: its name may hold what would otherwise be a word of its own.
                    self.at += 1;
                    let name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"$!./@_-[]".contains(byte);
                    self.at += self.rest().iter().take_while(name).count();
                }
                [first, ..] if first.is_ascii_alphabetic() => {
                    let (word, length) = self.word();
                    if word == end {
                        let expression = found(self);
                        self.at += length;
                        return Ok(expression);
                    }
                    self.at += length;
                }
                _ => self.at += 1,
            }
        }
    }
}

/// Whether some rule of the scanner takes what stands here.
fn begins_something(text: &[u8]) -> bool {
    match text {
        [b'&' | b'{' | b'}' | b'*' | b'~', ..] => true,
        [b':', rest @ ..] => {
            let name = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            (name > 0 && rest.get(name) == Some(&b':')) || property(text).is_some()
        }
        [b'/', next, ..] => *next != b'*',
        [b'-' | b'|' | b'.' | b'@' | b'^' | b'?' | b'>', next, ..] => *next != b'\n',
        [b'!' | b'+', next, ..] => !next.is_ascii_whitespace(),
        [b'$', next, ..] => next.is_ascii_alphabetic(),
        [first, ..] => first.is_ascii_alphanumeric() || *first == b'_',
        [] => false,
    }
}

/// A filter at the beginning of a line, and its length.
fn filter(text: &[u8]) -> Option<(Filter, usize)> {
    priority(text).map(|length| (Filter::Priority(text.get(..length).unwrap_or_default().to_vec()), length)).or_else(|| {
        let length = property(text)?;
        Some((Filter::Property(text.get(..length)?.to_vec()), length))
    })
}

/// `facility.priority`: letters and `*`, digits, `.` or `,`, and at least one more.
fn priority(text: &[u8]) -> Option<usize> {
    let count = |from: usize, fits: fn(u8) -> bool| {
        text.get(from..).map_or(0, |rest| rest.iter().take_while(|&&byte| fits(byte)).count())
    };
    let letters = count(0, |byte| byte == b'*' || byte.is_ascii_alphabetic());
    let digits = count(letters, |byte| matches!(byte, b'0'..=b'7'));
    let mark = letters + digits;
    let tail = count(mark + 1, |byte| {
        byte.is_ascii_alphabetic() || matches!(byte, b',' | b'!' | b'=' | b';' | b'.' | b'*' | b'0'..=b'7')
    });
    (letters > 0 && tail > 0 && matches!(text.get(mark), Some(b'.' | b','))).then_some(mark + 1 + tail)
}

/// `:property, [!]operation, "value"`.
fn property(text: &[u8]) -> Option<usize> {
    let mut rest = text.strip_prefix(b":")?;
    rest = rest.strip_prefix(b"$").unwrap_or(rest);
    rest = past(rest, |byte| byte.is_ascii_alphabetic() || byte == b'-', 1)?;
    rest = past(rest, |byte| byte == b' ', 0)?.strip_prefix(b",")?;
    rest = past(rest, |byte| byte == b' ', 0)?;
    rest = rest.strip_prefix(b"!").unwrap_or(rest);
    rest = past(rest, |byte| byte.is_ascii_alphabetic(), 1)?;
    rest = past(rest, |byte| byte == b' ', 0)?.strip_prefix(b",")?;
    rest = past(rest, |byte| byte == b' ', 0)?.strip_prefix(b"\"")?;
    let mut escaped = false;
    let end = rest.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(text.len() - rest.len() + end + 1)
}

fn past(text: &[u8], fits: fn(u8) -> bool, least: usize) -> Option<&[u8]> {
    let count = text.iter().take_while(|&&byte| fits(byte)).count();
    if count < least { None } else { text.get(count..) }
}
