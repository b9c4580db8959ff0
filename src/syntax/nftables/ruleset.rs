//! The tables and chains that a script leaves behind.

use std::collections::BTreeMap;

use super::super::packet_rule::{Action, PacketRule};
use super::tokens::{Kind, Token};
use super::{Flaw, rule};

/// Tokens of one script, with what its variables stand for. Rule sets of whole hosting companies have some ten
/// thousand, and longer lists of networks are loaded by what keeps them; variables made of variables could make more of a few lines.
pub const MAX_TOKENS: usize = 150_000;

/// The family of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Version 4 of the Internet Protocol; where none is named.
    Ip,
    /// Version 6.
    Ip6,
    /// Both.
    Inet,
    /// ARP.
    Arp,
    /// Packets on bridges.
    Bridge,
    /// Packets of one device.
    Netdev,
}

impl Family {
    /// The family of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ip" => Self::Ip,
            "ip6" => Self::Ip6,
            "inet" => Self::Inet,
            "arp" => Self::Arp,
            "bridge" => Self::Bridge,
            "netdev" => Self::Netdev,
            _ => return None,
        })
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Inet => "inet",
            Self::Arp => "arp",
            Self::Bridge => "bridge",
            Self::Netdev => "netdev",
        }
    }

    /// Whether its chains see packets of a version of the Internet Protocol, 4 or 6, on their way to or from this machine.
    #[must_use]
    pub const fn sees(self, version: u8) -> bool {
        matches!((self, version), (Self::Inet, _) | (Self::Ip, 4) | (Self::Ip6, 6))
    }
}

/// What a script leaves behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// The tables by family and name.
    pub tables: BTreeMap<(Family, String), Table>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// The file of its beginning.
    pub file: usize,
    /// The line of its beginning, from 1.
    pub line: u32,
    /// Whether its chains are taken off their hooks (`flags dormant`).
    pub dormant: bool,
    /// Its chains by name.
    pub chains: BTreeMap<String, Chain>,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// The file of its beginning.
    pub file: usize,
    /// The line of its beginning, from 1.
    pub line: u32,
    /// Where packets come from, unless only other chains lead here.
    pub base: Option<Base>,
    /// Its rules, in order.
    pub rules: Vec<PacketRule>,
}

/// Where a chain gets its packets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Base {
    /// `filter`, `nat` or `route`.
    pub kind: String,
    /// `input`, `forward`, `output` and others.
    pub hook: String,
    /// Whether packets that no rule decides on are thrown away; by default they are let through.
    pub drops: bool,
    /// The file of its policy, or of its hook where it has none.
    pub file: usize,
    /// The line of the same.
    pub line: u32,
}

impl Ruleset {
    /// Carries out a script, whose includes are already put in.
    ///
    /// # Errors
    /// What `nft` refuses: then it loads nothing at all. What this parser does not follow.
    pub fn run(tokens: Vec<Token>) -> Result<Self, Flaw> {
        let tokens = expand(tokens)?;
        let mut ruleset = Self::default();
        let mut script = Script { tokens: &tokens, at: 0 };
        while let Some(statement) = script.statement()? {
            ruleset.carry_out(statement)?;
        }
        Ok(ruleset)
    }

    fn carry_out(&mut self, statement: &[Token]) -> Result<(), Flaw> {
        let mut words = Words { rest: statement };
        let Some(first) = statement.first() else { return Ok(()) };
        let verb = words.next_if(|word| {
            matches!(word, "add" | "create" | "insert" | "replace" | "delete" | "destroy" | "flush" | "list" | "reset" | "rename")
        });
        match verb {
            Some("flush") => self.flush(&mut words, first),
            Some("delete" | "destroy") => self.delete(&mut words, first),
            Some("list" | "reset") => Ok(()),
            Some("replace" | "rename") => Err(Flaw::not_followed(first, "a command that scripts rarely have is not followed")),
            verb => self.add(&mut words, first, verb),
        }
    }

    fn add(&mut self, words: &mut Words<'_>, first: &Token, verb: Option<&str>) -> Result<(), Flaw> {
        let is_object = |word: &str| {
            matches!(
                word,
                "set"
                    | "map"
                    | "element"
                    | "flowtable"
                    | "counter"
                    | "quota"
                    | "ct"
                    | "limit"
                    | "secmark"
                    | "synproxy"
                    | "tunnel"
            )
        };
        if words.next_if(|word| word == "table").is_some() {
            let key = words.table(first)?;
            let table = self.table(key, first);
            return table.body(words);
        }
        if words.next_if(|word| word == "chain").is_some() {
            let key = words.table(first)?;
            let name = words.name(first)?;
            let chain = self.table(key, first).chain(&name, first);
            return chain.body(words);
        }
        if words.next_if(is_object).is_some() {
            return Ok(());
        }
        if words.next_if(|word| word == "rule").is_none() && verb.is_none() {
            return Err(Flaw::at(first, "no such command"));
        }
        let key = words.table(first)?;
        let name = words.name(first)?;
        if words.next_if(|word| matches!(word, "handle" | "position" | "index")).is_some() {
            return Err(Flaw::not_followed(first, "a rule is put in a place that is known to the kernel only"));
        }
        let table = self.tables.get_mut(&key).ok_or_else(|| Flaw::at(first, "there is no such table"))?;
        let rules = rule::rules(words.rest)?;
        if let Some(rule) = rules.iter().find(|rule| target(rule).is_some_and(|next| !table.chains.contains_key(next))) {
            return Err(leads_nowhere(rule));
        }
        let chain = table.chains.get_mut(&name).ok_or_else(|| Flaw::at(first, "there is no such chain"))?;
        let at = if verb == Some("insert") { 0 } else { chain.rules.len() };
        chain.rules.splice(at..at, rules);
        Ok(())
    }

    fn table(&mut self, key: (Family, String), first: &Token) -> &mut Table {
        self.tables.entry(key).or_insert_with(|| Table { file: first.file, line: first.line, ..Table::default() })
    }

    fn flush(&mut self, words: &mut Words<'_>, first: &Token) -> Result<(), Flaw> {
        let object = words.name(first)?;
        match object.as_str() {
            "ruleset" => {
                let family = words.next_if(|word| Family::named(word).is_some()).and_then(Family::named);
                self.tables.retain(|(own, _), _| family.is_some_and(|family| family != *own));
            }
            "table" => {
                let key = words.table(first)?;
                if let Some(table) = self.tables.get_mut(&key) {
                    table.chains.values_mut().for_each(|chain| chain.rules.clear());
                }
            }
            "chain" => {
                let key = words.table(first)?;
                let name = words.name(first)?;
                if let Some(chain) = self.tables.get_mut(&key).and_then(|table| table.chains.get_mut(&name)) {
                    chain.rules.clear();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn delete(&mut self, words: &mut Words<'_>, first: &Token) -> Result<(), Flaw> {
        let object = words.name(first)?;
        match object.as_str() {
            "table" => {
                let key = words.table(first)?;
                self.tables.remove(&key);
            }
            "chain" => {
                let key = words.table(first)?;
                let name = words.name(first)?;
                if let Some(table) = self.tables.get_mut(&key) {
                    table.chains.remove(&name);
                }
            }
            "rule" => return Err(Flaw::not_followed(first, "a rule is taken away by a number that is known to the kernel only")),
            _ => {}
        }
        Ok(())
    }
}

impl Table {
    fn chain(&mut self, name: &str, first: &Token) -> &mut Chain {
        let new = || Chain { file: first.file, line: first.line, ..Chain::default() };
        self.chains.entry(name.to_owned()).or_insert_with(new)
    }

    /// `{ chain … { … } set … { … } flags dormant; }`, or nothing.
    fn body(&mut self, words: &mut Words<'_>) -> Result<(), Flaw> {
        let Some(body) = words.block()? else { return Ok(()) };
        let mut script = Script { tokens: body, at: 0 };
        let mut leading: Vec<PacketRule> = Vec::new();
        while let Some(statement) = script.statement()? {
            let Some(first) = statement.first() else { continue };
            let mut words = Words { rest: statement };
            match words.next_if(|_| true) {
                Some("chain") => {
                    let name = words.name(first)?;
                    let chain = self.chain(&name, first);
                    let before = chain.rules.len();
                    chain.body(&mut words)?;
                    let new = chain.rules.iter().skip(before);
                    leading.extend(new.filter(|rule| target(rule).is_some()).cloned());
                }
                Some("flags") => self.dormant = words.rest.iter().any(|token| token.word() == Some("dormant")),
                Some("set" | "map" | "flowtable" | "counter" | "quota" | "ct" | "limit" | "secmark" | "synproxy" | "comment") => {
                }
                _ => return Err(Flaw::at(first, "a table has no such part")),
            }
        }
        // Within one block the order of chains does not matter.
        match leading.iter().find(|rule| target(rule).is_some_and(|next| !self.chains.contains_key(next))) {
            Some(rule) => Err(leads_nowhere(rule)),
            None => Ok(()),
        }
    }
}

impl Chain {
    /// `{ type … hook … priority …; policy …; rule … }`, or nothing.
    fn body(&mut self, words: &mut Words<'_>) -> Result<(), Flaw> {
        let Some(body) = words.block()? else { return Ok(()) };
        let mut script = Script { tokens: body, at: 0 };
        while let Some(statement) = script.statement()? {
            let Some(first) = statement.first() else { continue };
            let mut words = Words { rest: statement };
            match first.word() {
                Some("type") => {
                    let after = |key: &str| {
                        let at = statement.iter().position(|token| token.word() == Some(key));
                        at.and_then(|at| statement.get(at + 1)).and_then(Token::text).map(str::to_owned)
                    };
                    let missing = || Flaw::at(first, "a chain with a type has a hook and a priority");
                    let (kind, hook) = (after("type").ok_or_else(missing)?, after("hook").ok_or_else(missing)?);
                    after("priority").ok_or_else(missing)?;
                    let drops = self.base.as_ref().is_some_and(|base| base.drops);
                    self.base = Some(Base { kind, hook, drops, file: first.file, line: first.line });
                }
                Some("policy") => {
                    words.name(first)?;
                    let policy = words.name(first)?;
                    let base = self.base.get_or_insert_default();
                    base.drops = match policy.as_str() {
                        "drop" => true,
                        "accept" => false,
                        _ => return Err(Flaw::at(first, "a policy is accept or drop")),
                    };
                    (base.file, base.line) = (first.file, first.line);
                }
                Some("comment" | "devices" | "flags") => {}
                _ => self.rules.extend(rule::rules(statement)?),
            }
        }
        Ok(())
    }
}

/// The chain that a rule leads to, if it does.
fn target(rule: &PacketRule) -> Option<&str> {
    match &rule.action {
        Action::Jump(next) | Action::Goto(next) => Some(next),
        _ => None,
    }
}

fn leads_nowhere(rule: &PacketRule) -> Flaw {
    Flaw::refused(rule.file, rule.line, "it leads to a chain that is not there")
}

/// Puts the values of variables in their places, and takes their definitions out.
fn expand(tokens: Vec<Token>) -> Result<Vec<Token>, Flaw> {
    let mut variables: BTreeMap<String, Vec<Kind>> = BTreeMap::new();
    let mut done: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut total = 0;
    let mut tokens = tokens.into_iter().peekable();
    let mut fresh = true;
    while let Some(token) = tokens.next() {
        let is_definition = fresh && matches!(token.word(), Some("define" | "redefine" | "undefine"));
        if is_definition {
            let mut value: Vec<Token> = Vec::new();
            let mut depth = 0_usize;
            for next in tokens.by_ref() {
                if depth == 0 && next.ends() {
                    break;
                }
                depth = if next.is('{') { depth + 1 } else { depth.saturating_sub(usize::from(next.is('}'))) };
                if !next.is('\n') {
                    substitute(next, &variables, &mut value, &mut total)?;
                }
            }
            let name = value.first().and_then(Token::word).map(str::to_owned);
            let name = name.ok_or_else(|| Flaw::at(&token, "a variable without a name"))?;
            if token.word() == Some("undefine") {
                variables.remove(&name);
                continue;
            }
            if value.get(1).and_then(Token::word) != Some("=") {
                return Err(Flaw::at(&token, "a variable without a value"));
            }
            variables.insert(name, value.into_iter().skip(2).map(|token| token.kind).collect());
            continue;
        }
        fresh = token.ends() || token.is('{') || token.is('}');
        substitute(token, &variables, &mut done, &mut total)?;
    }
    Ok(done)
}

fn substitute(
    token: Token,
    variables: &BTreeMap<String, Vec<Kind>>,
    into: &mut Vec<Token>,
    total: &mut usize,
) -> Result<(), Flaw> {
    let value = token.word().and_then(|word| word.strip_prefix('$')).map(|name| variables.get(name));
    *total += value.flatten().map_or(1, Vec::len);
    if *total > MAX_TOKENS {
        return Err(Flaw::not_followed(&token, format!("there are more than {MAX_TOKENS} words")));
    }
    match value {
        None => into.push(token),
        Some(Some(value)) => into.extend(value.iter().map(|kind| Token { kind: kind.clone(), ..token.clone() })),
        Some(None) => return Err(Flaw::at(&token, "the variable has no value")),
    }
    Ok(())
}

/// A script, statement by statement: each up to a line end or `;` that is not in braces, or up to the brace that closes its block.
struct Script<'t> {
    tokens: &'t [Token],
    at: usize,
}

impl<'t> Script<'t> {
    fn statement(&mut self) -> Result<Option<&'t [Token]>, Flaw> {
        while self.tokens.get(self.at).is_some_and(Token::ends) {
            self.at += 1;
        }
        let begin = self.at;
        let mut depth = 0_usize;
        let has_block = |first: Option<&Token>| {
            matches!(
                first.and_then(Token::word),
                Some(
                    "table"
                        | "chain"
                        | "set"
                        | "map"
                        | "add"
                        | "create"
                        | "flowtable"
                        | "counter"
                        | "quota"
                        | "ct"
                        | "limit"
                        | "secmark"
                        | "synproxy"
                )
            )
        };
        let block = has_block(self.tokens.get(begin));
        while let Some(token) = self.tokens.get(self.at) {
            if depth == 0 && token.ends() {
                break;
            }
            self.at += 1;
            if token.is('{') {
                depth += 1;
            } else if token.is('}') {
                depth = depth.checked_sub(1).ok_or_else(|| Flaw::at(token, "a brace that closes nothing"))?;
                // A block needs no line end behind it; a set within a rule is not the end of that.
                if depth == 0 && block && !self.rule_goes_on(begin) {
                    break;
                }
            }
        }
        if depth > 0 {
            let first = self.tokens.get(begin).cloned();
            return Err(
                first.map_or_else(|| Flaw::refused(0, 1, "a brace"), |first| Flaw::at(&first, "a brace that is not closed"))
            );
        }
        let statement = self.tokens.get(begin..self.at).unwrap_or_default();
        if let Some(last) = statement.last()
            && !self.tokens.get(self.at).is_some_and(Token::ends)
        {
            // nft 1.0 refuses `{ iif lo accept }` and `chain c { } }` on one line; others may not.
            return Err(Flaw::not_followed(last, "a line end or ';' is missing behind it"));
        }
        Ok((!statement.is_empty()).then_some(statement))
    }

    /// Whether what is being read is a rule: `add rule … tcp dport { 22, 80 } accept`, `ct state …`, `counter …`, `limit rate …`.
    fn rule_goes_on(&self, begin: usize) -> bool {
        let word = |at: usize| self.tokens.get(begin + at).and_then(Token::word);
        match word(0) {
            Some("add" | "create") => !matches!(word(1), Some("table" | "chain" | "set" | "map" | "flowtable")),
            Some("ct") => !matches!(word(1), Some("helper" | "timeout" | "expectation")),
            // An object has its name and then its block.
            Some("counter" | "quota" | "limit" | "secmark" | "synproxy") => {
                !self.tokens.get(begin + 2).is_some_and(|token| token.is('{'))
            }
            _ => false,
        }
    }
}

/// The words of one statement.
struct Words<'t> {
    rest: &'t [Token],
}

impl<'t> Words<'t> {
    fn next_if(&mut self, wanted: impl FnOnce(&str) -> bool) -> Option<&'t str> {
        let (first, rest) = self.rest.split_first()?;
        let word = first.word().filter(|word| wanted(word))?;
        self.rest = rest;
        Some(word)
    }

    fn name(&mut self, first: &Token) -> Result<String, Flaw> {
        let (token, rest) = self.rest.split_first().ok_or_else(|| Flaw::at(first, "a name is missing"))?;
        self.rest = rest;
        token.text().map(str::to_owned).ok_or_else(|| Flaw::at(token, "a name is missing"))
    }

    /// `[family] name`.
    fn table(&mut self, first: &Token) -> Result<(Family, String), Flaw> {
        let family = self.next_if(|word| Family::named(word).is_some()).and_then(Family::named).unwrap_or(Family::Ip);
        Ok((family, self.name(first)?))
    }

    /// What is between the braces that come next, if any do.
    fn block(&mut self) -> Result<Option<&'t [Token]>, Flaw> {
        match self.rest.split_first() {
            None => Ok(None),
            Some((open, rest)) if open.is('{') => match rest.split_last() {
                Some((close, body)) if close.is('}') => Ok(Some(body)),
                _ => Err(Flaw::at(open, "a brace that is not closed")),
            },
            Some((token, _)) => Err(Flaw::at(token, "nothing may stand here")),
        }
    }
}
