//! What `iptables-restore(8)` reads: tables, the policies of their chains, rules. Modelled after iptables 1.8 (`iptables-restore.c`,
//! `xshared.c`): a table that is not committed is not loaded, and a line that is refused ends it all.

use super::packet_rule::{Action, Addresses, InterfaceName, Interfaces, Network, PacketRule, Ports, Traffic};

/// A table that is loaded as a whole, up to its `COMMIT`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// `filter`, `nat` and others.
    pub name: String,
    /// The line of its beginning, from 1.
    pub line: u32,
    /// Its chains, in order.
    pub chains: Vec<Chain>,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// The name.
    pub name: String,
    /// What happens to packets that no rule decides on, where the chain has one: `ACCEPT` or `DROP`, and the line.
    pub policy: Option<(String, u32)>,
    /// The line of its declaration, from 1; 0 where it has none.
    pub line: u32,
    /// Its rules, in order.
    pub rules: Vec<PacketRule>,
}

/// A line that is refused, so that neither it nor its table is loaded, or one that this parser does not follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Flaw {
    /// The line, from 1.
    pub line: u32,
    /// Whether the real program refuses it as well.
    pub refused: bool,
    /// Why.
    pub reason: &'static str,
}

/// The tables of a file, and the first flaw: what comes after it is not read.
#[must_use]
pub fn parse(content: &[u8]) -> (Vec<Table>, Option<Flaw>) {
    let mut tables = Vec::new();
    let mut open: Option<Table> = None;
    let mut last = 1;
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let refuse = |reason| Some(Flaw { line, refused: true, reason });
        let text = String::from_utf8_lossy(text);
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        last = line;
        match &mut open {
            None => match text.strip_prefix('*') {
                Some(name) => open = Some(Table { name: name.trim().to_owned(), line, chains: Vec::new() }),
                None => return (tables, refuse("it stands outside of any table")),
            },
            Some(_) if text == "COMMIT" => tables.extend(open.take()),
            Some(table) => {
                if let Err(flaw) = table.take(line, &text) {
                    return (tables, Some(flaw));
                }
            }
        }
    }
    let flaw = open.map(|_| Flaw { line: last, refused: true, reason: "the table is not committed" });
    (tables, flaw)
}

/// Targets that pass a packet on to the next rule.
const PASSING: [&str; 20] = [
    "AUDIT",
    "CHECKSUM",
    "CLASSIFY",
    "CONNMARK",
    "CONNSECMARK",
    "CT",
    "DSCP",
    "ECN",
    "HL",
    "HMARK",
    "LED",
    "LOG",
    "MARK",
    "NFLOG",
    "RATEEST",
    "SECMARK",
    "SET",
    "TCPMSS",
    "TTL",
    "ULOG",
];

impl Table {
    fn chain(&mut self, name: &str) -> &mut Chain {
        let at = self.chains.iter().position(|chain| chain.name == name).unwrap_or_else(|| {
            self.chains.push(Chain { name: name.to_owned(), ..Chain::default() });
            self.chains.len() - 1
        });
        // The place was just found or made.
        #[allow(clippy::indexing_slicing)]
        &mut self.chains[at]
    }

    fn take(&mut self, line: u32, text: &str) -> Result<(), Flaw> {
        let refuse = |reason| Flaw { line, refused: true, reason };
        if let Some(declared) = text.strip_prefix(':') {
            let mut words = declared.split_ascii_whitespace();
            let name = words.next().ok_or(refuse("a chain without a name"))?;
            let policy = words.next().ok_or(refuse("a chain without a policy"))?;
            let chain = self.chain(name);
            // Without --noflush the whole table was emptied before; with it, a chain that is named is.
            chain.rules.clear();
            chain.line = line;
            if policy != "-" {
                chain.policy = Some((policy.to_owned(), line));
            }
            return Ok(());
        }
        let words = words(text).ok_or(refuse("a quote stays open"))?;
        let mut words = words.iter().map(String::as_str).peekable();
        // Counters: [packets:bytes].
        words.next_if(|word| word.starts_with('['));
        let command = words.next().ok_or(refuse("it says nothing"))?;
        let not_followed =
            Flaw { line, refused: false, reason: "a command that rule files rarely have; what it leaves is not followed" };
        match command {
            "-A" | "--append" => {
                let name = words.next().ok_or(refuse("no chain is named"))?;
                let rule = rule(line, words)?;
                self.chain(name).rules.push(rule);
            }
            "-I" | "--insert" => {
                let name = words.next().ok_or(refuse("no chain is named"))?;
                let at = words.next_if(|word| word.bytes().all(|byte| byte.is_ascii_digit())).map_or(Ok(1), str::parse::<usize>);
                let rule = rule(line, words)?;
                let rules = &mut self.chain(name).rules;
                let at = at.ok().and_then(|at| at.checked_sub(1)).filter(|&at| at <= rules.len());
                rules.insert(at.ok_or(refuse("there is no such place in the chain"))?, rule);
            }
            "-P" | "--policy" => {
                let name = words.next().ok_or(refuse("no chain is named"))?;
                let policy = words.next().ok_or(refuse("no policy is named"))?;
                self.chain(name).policy = Some((policy.to_owned(), line));
            }
            "-N" | "--new-chain" => {
                let name = words.next().ok_or(refuse("no chain is named"))?;
                self.chain(name).line = line;
            }
            "-F" | "--flush" => match words.next() {
                Some(name) => self.chain(name).rules.clear(),
                None => self.chains.iter_mut().for_each(|chain| chain.rules.clear()),
            },
            "-Z" | "--zero" => {}
            _ if command.starts_with('-') => return Err(not_followed),
            _ => return Err(refuse("it is no command of iptables")),
        }
        Ok(())
    }
}

/// The words of a line: blanks part them, double quotes hold them together, a backslash in quotes takes the next character as it is.
fn words(text: &str) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted => word.get_or_insert_default().extend(characters.next()),
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' | '\t' if !quoted => all.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    all.extend(word);
    (!quoted).then_some(all)
}

/// What a rule asks and does: `iptables(8)`, `iptables-extensions(8)`.
fn rule<'w>(line: u32, mut words: impl Iterator<Item = &'w str>) -> Result<PacketRule, Flaw> {
    let refuse = |reason| Flaw { line, refused: true, reason };
    let mut rule = PacketRule { line, ..PacketRule::default() };
    let mut except = false;
    let mut protocol = String::new();
    let mut ranges = Vec::new();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(refuse("an option without its value"));
        match word {
            "!" => {
                except = true;
                continue;
            }
            "-i" | "--in-interface" => rule.input = Some(interfaces(value()?, except)),
            "-o" | "--out-interface" => rule.output = Some(interfaces(value()?, except)),
            "-s" | "--source" | "--src" => match addresses(value()?, except) {
                Some(addresses) => rule.source = Some(addresses),
                // A name of a host, which is looked up when the rule is loaded.
                None => narrow(&mut rule),
            },
            "-d" | "--destination" | "--dst" if !is_anywhere(value()?) => {
                narrow(&mut rule);
            }
            "-p" | "--protocol" | "--proto" => {
                protocol = value()?.to_ascii_lowercase();
                if except || !matches!(protocol.as_str(), "all" | "0") {
                    let anything = matches!(protocol.as_str(), "all" | "0");
                    let names = if anything { "0-255" } else { protocol.as_str() };
                    rule.meet(Traffic::protocols(&std::iter::once(names), except));
                }
            }
            "--dport" | "--destination-port" | "--dports" | "--destination-ports" => {
                let asked: Vec<_> = value()?.split(',').filter_map(Ports::range).collect();
                rule.meet(Traffic::of("all", except, &asked));
                if !except {
                    ranges.extend(asked);
                }
            }
            "--sport" | "--source-port" | "--sports" | "--source-ports" => {
                let asked: Vec<_> = value()?.split(',').filter_map(Ports::range).collect();
                if !Traffic::of("all", except, &asked).is_whole() {
                    narrow(&mut rule);
                }
            }
            // All new connections.
            "--syn" if !except => rule.narrowed = true,
            "--syn" | "--tcp-flags" | "--tcp-option" | "--ports" => narrow(&mut rule),
            "-m" | "--match" => match value()? {
                "comment" | "conntrack" | "state" => {}
                "tcp" | "udp" | "multiport" => rule.narrowed = true,
                _ => narrow(&mut rule),
            },
            "--ctstate" | "--state" => {
                let new = value()?.split(',').any(|state| state.eq_ignore_ascii_case("NEW"));
                rule.new_connections = Some(new != except);
            }
            // What else is asked of a tracked connection (-m conntrack).
            _ if word.starts_with("--ct") => narrow(&mut rule),
            "--comment" | "-c" | "--set-counters" => {
                value()?;
            }
            "-4" | "--ipv4" => rule.version = Some(4),
            "-6" | "--ipv6" => rule.version = Some(6),
            "-j" | "--jump" => {
                rule.action = match value()? {
                    "ACCEPT" => Action::Accept,
                    "DROP" | "REJECT" => Action::Drop,
                    "RETURN" => Action::Return,
                    name if PASSING.contains(&name) => Action::Continue,
                    name => Action::Jump(name.to_owned()),
                }
            }
            "-g" | "--goto" => rule.action = Action::Goto(value()?.to_owned()),
            "-f" | "--fragment" => narrow(&mut rule),
            // Options of matches were announced by -m; those of targets ask nothing of a packet.
            _ => {}
        }
        except = false;
    }
    if !ranges.is_empty() {
        rule.ports = Some(Ports { protocol, ranges });
    }
    Ok(rule)
}

/// The rule asks for something that is not kept.
const fn narrow(rule: &mut PacketRule) {
    (rule.narrowed, rule.beyond) = (true, true);
}

fn interfaces(name: &str, except: bool) -> Interfaces {
    Interfaces { except, names: vec![InterfaceName::new(name, '+')] }
}

fn addresses(list: &str, except: bool) -> Option<Addresses> {
    let networks = list.split(',').map(Network::parse).collect::<Option<_>>()?;
    Some(Addresses { except, networks })
}

fn is_anywhere(list: &str) -> bool {
    Network::parse(list).is_some_and(|network| network.length == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> Table {
        let (tables, flaw) = parse(text.as_bytes());
        assert_eq!(flaw, None);
        tables.into_iter().next().unwrap()
    }

    #[test]
    fn policies_and_rules_in_order() {
        let table = filter(
            "# x\n*filter\n:INPUT DROP [0:0]\n:own - [0:0]\n[1:2] -A INPUT -i lo -j ACCEPT\n-A INPUT ! -i lo -s 127.0.0.0/8 -j DROP\n-I INPUT -j own\nCOMMIT\n",
        );
        let input = &table.chains[0];
        assert_eq!(input.policy, Some(("DROP".into(), 3)));
        assert_eq!(input.rules.iter().map(|rule| rule.line).collect::<Vec<_>>(), [7, 5, 6]);
        assert_eq!(input.rules[0].action, Action::Jump("own".into()));
        let drop = &input.rules[2];
        assert!(
            drop.input.as_ref().unwrap().except
                && !drop.narrowed
                && drop.source.as_ref().unwrap().networks == [Network::LOOPBACK[0]]
        );
        assert_eq!((table.chains[1].policy.clone(), table.chains[1].line), (None, 4));
    }

    #[test]
    fn what_else_is_asked_narrows_a_rule_and_comments_do_not() {
        let table = filter(
            "*filter\n-A INPUT -m comment --comment \"a b\" -j ACCEPT\n-A INPUT -m conntrack --ctstate NEW -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -p tcp -m multiport --dports 80,8000:8010 -j REJECT --reject-with tcp-reset\n-A INPUT -j LOG --log-prefix \"x: \"\nCOMMIT\n",
        );
        let rules = &table.chains[0].rules;
        assert_eq!(rules.iter().map(|rule| rule.narrowed).collect::<Vec<_>>(), [false, false, true, true, false]);
        assert_eq!(rules[1].new_connections, Some(true));
        assert!(rules[2].ports.as_ref().unwrap().include("tcp", 22) && rules[3].ports.as_ref().unwrap().include("tcp", 8005));
        assert_eq!((&rules[3].action, &rules[4].action), (&Action::Drop, &Action::Continue));
    }

    #[test]
    fn what_is_not_committed_or_refused_is_not_loaded() {
        let flaw = |text: &str| parse(text.as_bytes()).1.map(|flaw| (flaw.line, flaw.refused));
        assert_eq!(flaw("*filter\n:INPUT DROP [0:0]\n"), Some((2, true)));
        assert_eq!(flaw("-A INPUT -j DROP\n"), Some((1, true)));
        assert_eq!(flaw("*filter\nINPUT DROP\nCOMMIT\n"), Some((2, true)));
        assert_eq!(flaw("*filter\n-D INPUT 1\nCOMMIT\n"), Some((2, false)));
        assert_eq!(parse(b"*filter\nCOMMIT\n*nat\n").0.len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed(content in prop::collection::vec(any::<u8>(), 0..400), text in "(\\*filter\n)?([-:AIPF !jisp0-9./\"\\\\ \n]|COMMIT\n){0,80}") {
            for content in [&content, text.as_bytes()] {
                let _ = parse(content);
            }
        }
    }
}
