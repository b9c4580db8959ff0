//! One rule: `match match … statement`. A rule with a verdict map stands for one rule for each element of it.

use super::super::packet_rule::{Action, Addresses, InterfaceName, Interfaces, Network, PacketRule, Ports};
use super::tokens::{Kind, Token};

/// The rules that the tokens of one stand for, in the order of their effect.
pub(super) fn rules(tokens: &[Token]) -> Vec<PacketRule> {
    let (file, line) = tokens.first().map_or((0, 0), |first| (first.file, first.line));
    let mut reader = Reader { rest: tokens, rule: PacketRule { file, line, ..PacketRule::default() }, made: Vec::new() };
    while let Some((token, rest)) = reader.rest.split_first() {
        reader.rest = rest;
        if reader.take(token) {
            break;
        }
    }
    let Reader { rule, mut made, .. } = reader;
    if made.is_empty() || rule.action != Action::Continue {
        made.push(rule);
    }
    made
}

struct Reader<'t> {
    rest: &'t [Token],
    rule: PacketRule,
    /// What verdict maps gave.
    made: Vec<PacketRule>,
}

/// What the keys of a verdict map are.
#[derive(Clone, Copy)]
enum Key {
    /// Interfaces of arrival.
    Input,
    /// Interfaces of departure.
    Output,
    /// States of connections.
    State,
    /// Something else.
    Other,
}

/// A value: the words of a set or a single one; nothing where a set is meant by its name.
type Value = Option<Vec<String>>;

impl Reader<'_> {
    /// Takes one part of the rule; says whether it was its end.
    fn take(&mut self, token: &Token) -> bool {
        let Kind::Word(word) = &token.kind else {
            // The value of a comparison that is not understood: a text, a set.
            self.rule.narrowed = true;
            if token.is('{') {
                self.skip_block();
            }
            return false;
        };
        match word.as_str() {
            "accept" => self.rule.action = Action::Accept,
            "drop" | "reject" => self.rule.action = Action::Drop,
            "return" => self.rule.action = Action::Return,
            "jump" => self.rule.action = Action::Jump(self.word()),
            "goto" => self.rule.action = Action::Goto(self.word()),
            "continue" => {}
            "counter" => {
                match self.peek() {
                    Some("name") => self.skip(2),
                    Some("packets") => self.skip(4),
                    _ => {}
                }
                return false;
            }
            "log" => {
                while let Some("prefix" | "level" | "group" | "snaplen" | "queue-threshold" | "flags") = self.peek() {
                    self.skip(2);
                    // Flags are a list of words: `flags tcp sequence,options`, `flags ip options`.
                    while self.rest.first().is_some_and(|next| next.is(','))
                        || matches!(self.peek(), Some("sequence" | "options"))
                    {
                        self.skip(1);
                    }
                }
                return false;
            }
            "comment" => {
                self.skip(1);
                return false;
            }
            // Statements, which ask nothing.
            "meta" | "ct" if self.sets() => {
                self.skip(3);
                return false;
            }
            "meta" => {
                if let Some("iif" | "iifname" | "oif" | "oifname" | "nfproto") = self.peek() {
                    let key = self.word();
                    self.key(&key);
                } else {
                    self.rule.narrowed = true;
                }
                return false;
            }
            key => {
                self.key(key);
                return false;
            }
        }
        true
    }

    /// What is asked of a packet.
    fn key(&mut self, key: &str) {
        match (key, self.peek()) {
            ("iif" | "iifname" | "oif" | "oifname", Some("vmap")) => {
                self.map(if key.starts_with("iif") { Key::Input } else { Key::Output });
            }
            ("iif" | "iifname", _) => self.rule.input = self.interfaces().or_else(|| self.rule.input.take()),
            ("oif" | "oifname", _) => self.rule.output = self.interfaces().or_else(|| self.rule.output.take()),
            ("nfproto", _) => match self.value() {
                (false, Some(list)) if list == ["ipv4"] => self.rule.version = Some(4),
                (false, Some(list)) if list == ["ipv6"] => self.rule.version = Some(6),
                _ => self.rule.narrowed = true,
            },
            ("ip" | "ip6", field) => {
                let is_source = field == Some("saddr");
                // The dependency that nft adds by itself in tables of the family inet.
                self.rule.version = Some(if key == "ip" { 4 } else { 6 });
                if !is_source {
                    self.rule.narrowed = true;
                    return;
                }
                self.skip(1);
                if matches!(self.peek(), Some("." | "vmap" | "&" | "and")) {
                    self.rule.narrowed = true;
                    return;
                }
                let (except, value) = self.value();
                match value.and_then(|list| list.iter().map(|one| Network::parse(one)).collect::<Option<Vec<_>>>()) {
                    Some(networks) if self.rule.source.is_none() => self.rule.source = Some(Addresses { except, networks }),
                    _ => self.rule.narrowed = true,
                }
            }
            ("tcp" | "udp" | "th", Some("dport")) => {
                self.rule.narrowed = true;
                self.skip(1);
                if matches!(self.peek(), Some("." | "vmap")) {
                    return;
                }
                if let (false, Some(list)) = self.value() {
                    let protocol = if key == "th" { "" } else { key };
                    self.rule.ports = Some(Ports {
                        protocol: protocol.to_owned(),
                        ranges: list.iter().filter_map(|one| Ports::range(one)).collect(),
                    });
                }
            }
            ("vmap", _) => self.map(Key::Other),
            ("ct", Some("state")) => {
                self.skip(1);
                match self.peek() {
                    Some("vmap") => self.map(Key::State),
                    Some("&" | "and" | ".") => self.rule.narrowed = true,
                    _ => match self.value() {
                        (except, Some(list)) => {
                            let new = list.iter().any(|state| state == "new") != except;
                            self.rule.new_connections = Some(new && self.rule.new_connections != Some(false));
                        }
                        _ => self.rule.narrowed = true,
                    },
                }
            }
            _ => self.rule.narrowed = true,
        }
    }

    fn interfaces(&mut self) -> Option<Interfaces> {
        if matches!(self.peek(), Some(".")) {
            self.rule.narrowed = true;
            return None;
        }
        let (except, value) = self.value();
        self.rule.narrowed |= value.is_none();
        let names = value?.iter().map(|name| InterfaceName::new(name, '*')).collect();
        Some(Interfaces { except, names })
    }

    /// Whether a comparison is turned round, and with what it compares.
    fn value(&mut self) -> (bool, Value) {
        let mut except = false;
        while let Some(sign @ ("==" | "eq" | "!=" | "ne" | "<" | ">" | "<=" | ">=")) = self.peek() {
            except |= matches!(sign, "!=" | "ne");
            let unordered = !matches!(sign, "<" | ">" | "<=" | ">=");
            self.skip(1);
            if !unordered {
                self.skip(1);
                return (false, None);
            }
        }
        let Some(first) = self.rest.first() else { return (except, None) };
        if first.is('{') {
            let mut list = Vec::new();
            self.rest = self.rest.get(1..).unwrap_or_default();
            let mut simple = true;
            while let Some(token) = self.rest.first().filter(|token| !token.is('}')) {
                simple &= !token.is('{');
                match token.text() {
                    // Elements may have a word of their own behind them.
                    Some("comment" | "timeout" | "expires" | "counter" | ".") => simple = false,
                    Some(text) => list.push(text.to_owned()),
                    None => {}
                }
                self.rest = self.rest.get(1..).unwrap_or_default();
            }
            self.skip(1);
            return (except, simple.then_some(list));
        }
        let mut list = Vec::new();
        while let Some(text) = self.rest.first().and_then(Token::text) {
            list.push(text.to_owned());
            self.skip(1);
            // `established,related`: a list without braces.
            if !self.rest.first().is_some_and(|next| next.is(',')) {
                break;
            }
            self.skip(1);
        }
        let named = list.iter().any(|one| one.starts_with('@'));
        (except, (!named && !list.is_empty()).then_some(list))
    }

    /// A verdict map: `{ key : verdict, … }`. Keys that are not understood narrow.
    fn map(&mut self, kind: Key) {
        if self.peek() == Some("vmap") {
            self.skip(1);
        }
        if !self.rest.first().is_some_and(|next| next.is('{')) {
            // A map by its name.
            self.rule.narrowed = true;
            self.skip(1);
            return;
        }
        let Some(end) = self.rest.iter().position(|token| token.is('}')) else { return };
        let (body, rest) = self.rest.split_at(end);
        for element in body.get(1..).unwrap_or_default().split(|token| token.is(',')) {
            let words: Vec<&str> = element.iter().filter_map(Token::text).flat_map(parts).collect();
            let mut rule = self.rule.clone();
            rule.line = element.iter().find(|token| token.text().is_some()).map_or(rule.line, |token| token.line);
            let (key, verdict) = match words.iter().position(|&word| word == ":") {
                Some(at) => words.split_at(at),
                None => continue,
            };
            rule.action = match verdict {
                [_, "accept", ..] => Action::Accept,
                [_, "drop", ..] => Action::Drop,
                [_, "return", ..] => Action::Return,
                [_, "jump", chain, ..] => Action::Jump((*chain).to_owned()),
                [_, "goto", chain, ..] => Action::Goto((*chain).to_owned()),
                _ => Action::Continue,
            };
            let interfaces = |name| Some(Interfaces { except: false, names: vec![InterfaceName::new(name, '*')] });
            match (kind, key) {
                (Key::Input, [name]) if *name != "*" => rule.input = interfaces(name),
                (Key::Output, [name]) if *name != "*" => rule.output = interfaces(name),
                (Key::State, [state]) if *state != "*" => rule.new_connections = Some(*state == "new"),
                _ => rule.narrowed = true,
            }
            self.made.push(rule);
        }
        self.rest = rest.get(1..).unwrap_or_default();
    }

    /// Whether what follows is `KEY set VALUE`.
    fn sets(&self) -> bool {
        self.rest.get(1).and_then(Token::word) == Some("set")
    }

    fn peek(&self) -> Option<&str> {
        self.rest.first().and_then(Token::word)
    }

    fn word(&mut self) -> String {
        let word = self.rest.first().and_then(Token::text).unwrap_or_default().to_owned();
        self.skip(1);
        word
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// The rest of a block whose brace was taken.
    fn skip_block(&mut self) {
        let mut depth = 1_usize;
        while let Some((token, rest)) = self.rest.split_first() {
            self.rest = rest;
            depth = if token.is('{') { depth + 1 } else { depth - usize::from(token.is('}')) };
            if depth == 0 {
                break;
            }
        }
    }
}

/// A word with the colon that parts key and verdict, which may be written next to either: `lo:accept`.
fn parts(word: &str) -> Vec<&str> {
    const VERDICTS: [&str; 6] = ["accept", "drop", "return", "continue", "jump", "goto"];
    match word.rsplit_once(':') {
        Some(("", "")) => vec![":"],
        Some((key, "")) if !key.ends_with(':') => vec![key, ":"],
        Some(("", verdict)) if VERDICTS.contains(&verdict) => vec![":", verdict],
        Some((key, verdict)) if VERDICTS.contains(&verdict) => vec![key, ":", verdict],
        _ => vec![word],
    }
}
