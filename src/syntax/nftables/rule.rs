//! One rule: `match match … statement`. A rule with a verdict map stands for one rule for each element of it.

use super::super::packet_rule::{Action, Addresses, InterfaceName, Interfaces, Network, PacketRule, Ports, Traffic};
use super::Flaw;
use super::tokens::{Kind, Token};

/// What a match or a statement begins with (`nft(8)`; `scanner.l` and `parser_bison.y` of nftables 1.1), sorted.
const BEGINNINGS: &[&str] = &[
    "accept",
    "add",
    "ah",
    "arp",
    "cgroup",
    "comment",
    "comp",
    "continue",
    "counter",
    "cpu",
    "ct",
    "day",
    "dccp",
    "delete",
    "dnat",
    "drop",
    "dst",
    "dup",
    "esp",
    "ether",
    "exthdr",
    "fib",
    "flow",
    "frag",
    "fwd",
    "geneve",
    "goto",
    "gre",
    "gretap",
    "hbh",
    "hour",
    "ibridgename",
    "ibrname",
    "icmp",
    "icmpv6",
    "igmp",
    "iif",
    "iifgroup",
    "iifkind",
    "iifname",
    "iiftype",
    "ip",
    "ip6",
    "ipsec",
    "jhash",
    "jump",
    "l4proto",
    "last",
    "length",
    "limit",
    "log",
    "mark",
    "masquerade",
    "meta",
    "meter",
    "mh",
    "nfproto",
    "nftrace",
    "notrack",
    "numgen",
    "obridgename",
    "obrname",
    "oif",
    "oifgroup",
    "oifkind",
    "oifname",
    "oiftype",
    "osf",
    "pkttype",
    "priority",
    "protocol",
    "queue",
    "quota",
    "random",
    "redirect",
    "reject",
    "reset",
    "return",
    "rt",
    "rt0",
    "rt2",
    "rt4",
    "rtclassid",
    "sctp",
    "secmark",
    "secpath",
    "set",
    "skgid",
    "skuid",
    "snat",
    "socket",
    "srh",
    "symhash",
    "synproxy",
    "tcp",
    "th",
    "time",
    "tproxy",
    "udp",
    "udplite",
    "update",
    "vlan",
    "vxlan",
    "xt",
];

/// The rules that the tokens of one stand for, in the order of their effect.
///
/// # Errors
/// A word that begins nothing, where something has to begin, and what stands behind a verdict: nft would refuse it, and so load nothing.
pub(super) fn rules(tokens: &[Token]) -> Result<Vec<PacketRule>, Flaw> {
    let (file, line) = tokens.first().map_or((0, 0), |first| (first.file, first.line));
    let mut reader = Reader {
        rest: tokens,
        rule: PacketRule { file, line, ..PacketRule::default() },
        made: Vec::new(),
        begins: true,
        strange: None,
    };
    while let Some((token, rest)) = reader.rest.split_first() {
        reader.rest = rest;
        if reader.take(token) {
            let last = if token.word() == Some("reject") { &["with", "comment"][..] } else { &["comment"] };
            if let Some(next) = reader.rest.first().filter(|next| !next.word().is_some_and(|word| last.contains(&word))) {
                return Err(Flaw::not_followed(
                    next,
                    "nothing may stand behind a verdict: nft may refuse it, and loads nothing then",
                ));
            }
            break;
        }
        if let Some(token) = reader.strange {
            return Err(Flaw::not_followed(
                token,
                "no match or statement begins like this: nft may refuse it, and loads nothing then",
            ));
        }
    }
    let Reader { rule, mut made, .. } = reader;
    if made.is_empty() || rule.action != Action::Continue {
        made.push(rule);
    }
    Ok(made)
}

struct Reader<'t> {
    rest: &'t [Token],
    rule: PacketRule,
    /// What verdict maps gave.
    made: Vec<PacketRule>,
    /// Whether what came before is understood to its end, so that something new has to begin.
    begins: bool,
    /// A word that begins nothing where something has to.
    strange: Option<&'t Token>,
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
    /// Protocols.
    Protocol,
    /// Ports of TCP, of UDP, of either.
    Port(&'static str),
    /// Something else.
    Other,
}

/// A value: the words of a set or a single one; nothing where a set is meant by its name.
type Value = Option<Vec<String>>;

impl<'t> Reader<'t> {
    /// Takes one part of the rule; says whether it was its end.
    fn take(&mut self, token: &'t Token) -> bool {
        let begins = std::mem::replace(&mut self.begins, true);
        let Kind::Word(word) = &token.kind else {
            // The value of a comparison that is not understood: a text, a set.
            self.narrow();
            if token.is('{') {
                self.skip_block();
            }
            return false;
        };
        if begins && !word.starts_with('@') && BEGINNINGS.binary_search(&word.as_str()).is_err() {
            self.strange = Some(token);
            return false;
        }
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
                // The value may be computed.
                self.begins = false;
                return false;
            }
            "meta" => {
                if let Some("iif" | "iifname" | "oif" | "oifname" | "nfproto" | "l4proto") = self.peek() {
                    let key = self.word();
                    self.key(&key);
                } else {
                    self.narrow();
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
                _ => self.narrow(),
            },
            ("l4proto", _) => self.protocols(),
            ("ip" | "ip6", field) => {
                let (is_source, is_protocol) = (field == Some("saddr"), matches!(field, Some("protocol" | "nexthdr")));
                // The dependency that nft adds by itself in tables of the family inet.
                self.rule.version = Some(if key == "ip" { 4 } else { 6 });
                if is_protocol {
                    self.skip(1);
                    self.protocols();
                    return;
                }
                if !is_source {
                    self.narrow();
                    return;
                }
                self.skip(1);
                if matches!(self.peek(), Some("." | "vmap" | "&" | "and")) {
                    self.narrow();
                    return;
                }
                let (except, value) = self.value();
                match value.and_then(|list| list.iter().map(|one| Network::parse(one)).collect::<Option<Vec<_>>>()) {
                    Some(networks) if self.rule.source.is_none() => self.rule.source = Some(Addresses { except, networks }),
                    _ => self.narrow(),
                }
            }
            ("tcp" | "udp" | "th", Some("dport")) => {
                self.skip(1);
                self.rule.narrowed = true;
                let protocol = match key {
                    "tcp" => "tcp",
                    "udp" => "udp",
                    _ => "th",
                };
                match self.peek() {
                    Some(".") => return self.narrow(),
                    Some("vmap") => return self.map(Key::Port(protocol)),
                    _ => {}
                }
                let Some((except, ranges)) = self.ports() else { return self.narrow() };
                self.rule.meet(Traffic::of(protocol, except, &ranges));
                if !except {
                    let protocol = if protocol == "th" { "" } else { protocol };
                    self.rule.ports = Some(Ports { protocol: protocol.to_owned(), ranges });
                }
            }
            ("vmap", _) => self.map(Key::Other),
            ("ct", Some("state")) => {
                self.skip(1);
                match self.peek() {
                    Some("vmap") => self.map(Key::State),
                    Some("&" | "and" | ".") => self.narrow(),
                    _ => match self.value() {
                        (except, Some(list)) => {
                            let new = list.iter().any(|state| state == "new") != except;
                            self.rule.new_connections = Some(new && self.rule.new_connections != Some(false));
                        }
                        _ => self.narrow(),
                    },
                }
            }
            _ => self.narrow(),
        }
    }

    /// The rule asks for something that is not kept.
    fn narrow(&mut self) {
        (self.rule.narrowed, self.rule.beyond, self.begins) = (true, true, false);
    }

    fn protocols(&mut self) {
        self.rule.narrowed = true;
        if self.peek() == Some("vmap") {
            return self.map(Key::Protocol);
        }
        match self.value() {
            (except, Some(list)) => self.rule.meet(Traffic::protocols(&list.iter().map(String::as_str), except)),
            _ => self.narrow(),
        }
    }

    /// The ports that are compared with, and whether it is all others that are meant. Names of services stand for none.
    fn ports(&mut self) -> Option<(bool, Vec<(u16, u16)>)> {
        let sign =
            self.peek().filter(|sign| matches!(*sign, "<" | ">" | "<=" | ">=" | "lt" | "gt" | "le" | "ge")).map(str::to_owned);
        if let Some(sign) = sign {
            self.skip(1);
            let number: u16 = self.word().parse().ok()?;
            let range = match sign.as_str() {
                "<" | "lt" => (0, number.checked_sub(1)?),
                "<=" | "le" => (0, number),
                ">" | "gt" => (number.checked_add(1)?, u16::MAX),
                _ => (number, u16::MAX),
            };
            return Some((false, vec![range]));
        }
        let (except, value) = self.value();
        Some((except, value?.iter().filter_map(|one| Ports::range(one)).collect()))
    }

    fn interfaces(&mut self) -> Option<Interfaces> {
        if matches!(self.peek(), Some(".")) {
            self.narrow();
            return None;
        }
        let (except, value) = self.value();
        if value.is_none() {
            self.narrow();
        }
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
            self.narrow();
            self.skip(1);
            return;
        }
        let Some(end) = self.rest.iter().position(|token| token.is('}')) else { return };
        let (body, rest) = self.rest.split_at(end);
        let mut others = Vec::new();
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
                (Key::Protocol, [name]) if *name != "*" => rule.meet(Traffic::protocols(&std::iter::once(*name), false)),
                (Key::Port(protocol), [port]) if *port != "*" => {
                    rule.meet(Traffic::of(protocol, false, &Ports::range(port).into_iter().collect::<Vec<_>>()));
                }
                // What no other element is about, of what the map is asked for.
                (Key::Input | Key::Output | Key::State | Key::Protocol, ["*"]) => {
                    others.push(rule);
                    continue;
                }
                (Key::Port(protocol), ["*"]) => {
                    rule.meet(Traffic::of(protocol, true, &[]));
                    others.push(rule);
                    continue;
                }
                _ => (rule.narrowed, rule.beyond) = (true, true),
            }
            self.made.push(rule);
        }
        self.made.extend(others);
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
