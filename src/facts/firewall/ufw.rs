//! What ufw loads, after `ufw-init-functions` of ufw 0.36: its settings are shell scripts, read one after the other; its rules are files
//! for `iptables-restore -n` that fill chains to which the script itself leads.

use std::collections::BTreeMap;

use super::{Chains, Loader, loader, read};
use crate::facts::{Fact, Facts, Unreadable};
use crate::path::ImagePath;
use crate::syntax::iptables::{Flaw, parse};
use crate::syntax::packet_rule::{Action, InterfaceName, Interfaces, PacketRule};
use crate::syntax::shell_assignments;

/// The settings, in the order in which they are read: a later one of the same name counts. Both have to be there.
const SETTINGS: [&str; 2] = ["/etc/default/ufw", "/etc/ufw/ufw.conf"];

/// A setting in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UfwSetting {
    /// The value; nothing if the script computes it.
    pub value: Option<String>,
    /// The file.
    pub path: ImagePath,
    /// The line, from 1.
    pub line: u32,
}

/// ufw as it starts.
#[derive(Debug, Clone)]
pub struct Ufw {
    /// Its unit.
    pub loader: Loader,
    /// The settings by name.
    pub settings: BTreeMap<String, UfwSetting>,
    /// A file of settings that is not there or empty: nothing is loaded then.
    pub missing: Option<ImagePath>,
    /// The rules of version 4.
    pub v4: Fact<Rules>,
    /// The rules of version 6.
    pub v6: Fact<Rules>,
}

/// The chains of one version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// The files by their numbers.
    pub files: Vec<ImagePath>,
    chains: BTreeMap<String, Vec<PacketRule>>,
    /// A file that `iptables-restore` refuses.
    pub flaw: Option<(ImagePath, Flaw)>,
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Ufw> {
    let loader = loader(facts, "ufw.service")?;
    let mut settings = BTreeMap::new();
    let mut missing = None;
    for path in SETTINGS.map(ImagePath::new) {
        let content = read(facts.root(), &path)?.unwrap_or_default();
        if content.is_empty() {
            missing.get_or_insert(path);
            continue;
        }
        for assignment in shell_assignments::parse(&content) {
            let setting = UfwSetting { value: assignment.value, path: path.clone(), line: assignment.line };
            settings.insert(assignment.name, setting);
        }
    }
    let mut ufw = Ufw { loader, settings, missing, v4: Ok(Rules::default()), v6: Ok(Rules::default()) };
    ufw.v4 = ufw.rules(facts, "");
    ufw.v6 = ufw.rules(facts, "6");
    Ok(ufw)
}

impl Ufw {
    /// The plain value of a setting.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.settings.get(name)?.value.as_deref()
    }

    /// Whether it loads its rules at boot.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.loader.starts && self.missing.is_none() && self.is_enabled()
    }

    /// Whether it is told to be on.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        matches!(self.value("ENABLED"), Some("yes" | "YES"))
    }

    /// Whether it has rules of its own for version 6; otherwise it lets nothing of that through but loopback.
    #[must_use]
    pub fn handles_ipv6(&self) -> bool {
        matches!(self.value("IPV6"), Some("yes" | "YES"))
    }

    fn rules(&self, facts: &Facts<'_>, kind: &str) -> Fact<Rules> {
        let mut rules = Rules::default();
        let [settings, _] = SETTINGS.map(ImagePath::new);
        rules.files.push(settings);
        if kind == "6" && !self.handles_ipv6() {
            let line = self.settings.get("IPV6").map_or(1, |setting| setting.line);
            let lo = Some(Interfaces { except: false, names: vec![InterfaceName::new("lo", '+')] });
            let rule = PacketRule { line, action: Action::Accept, ..PacketRule::default() };
            rules.chains.insert("INPUT".into(), vec![PacketRule { input: lo.clone(), ..rule.clone() }]);
            rules.chains.insert("OUTPUT".into(), vec![PacketRule { output: lo, ..rule }]);
            return Ok(rules);
        }
        let jump = |to: String| PacketRule { line: 1, action: Action::Jump(to), ..PacketRule::default() };
        for (builtin, way) in [("INPUT", "input"), ("OUTPUT", "output"), ("FORWARD", "forward")] {
            let parts = ["before-logging", "before", "after", "after-logging", "reject", "track"];
            rules.chains.insert(builtin.into(), parts.iter().map(|part| jump(format!("ufw{kind}-{part}-{way}"))).collect());
            let name = format!("DEFAULT_{builtin}_POLICY");
            if let Some(setting) = self.settings.get(&name).filter(|setting| setting.value.as_deref() == Some("REJECT")) {
                let reject = PacketRule { line: setting.line, action: Action::Drop, ..PacketRule::default() };
                rules.chains.insert(format!("ufw{kind}-reject-{way}"), vec![reject]);
            }
        }
        for part in ["before", "after", "user"] {
            rules.load(facts, &ImagePath::new(format!("/etc/ufw/{part}{kind}.rules")))?;
        }
        for way in ["input", "output", "forward"] {
            let chain = rules.chains.entry(format!("ufw{kind}-before-{way}")).or_default();
            chain.push(jump(format!("ufw{kind}-user-{way}")));
        }
        Ok(rules)
    }
}

impl Rules {
    /// Loads a file on top of what is there: chains it declares begin anew.
    fn load(&mut self, facts: &Facts<'_>, path: &ImagePath) -> Fact<()> {
        let Some(content) = read(facts.root(), path)? else { return Ok(()) };
        let (tables, flaw) = parse(&content);
        let file = self.files.len();
        self.files.push(path.clone());
        for chain in tables.into_iter().filter(|table| table.name == "filter").flat_map(|table| table.chains) {
            let rules = self.chains.entry(chain.name).or_default();
            if chain.line > 0 {
                rules.clear();
            }
            rules.extend(chain.rules.into_iter().map(|rule| PacketRule { file, ..rule }));
        }
        if self.flaw.is_none() {
            self.flaw = flaw.map(|flaw| (path.clone(), flaw));
        }
        Ok(())
    }

    /// The rules by chain.
    #[must_use]
    pub fn chains(&self) -> Chains<'_> {
        self.chains.iter().map(|(name, rules)| (name.as_str(), rules.as_slice())).collect()
    }

    /// The rules for what arrives here.
    pub fn arriving(&self) -> impl Iterator<Item = &PacketRule> {
        let chains = self.chains.iter().filter(|(name, _)| !name.ends_with("-output") && !name.ends_with("-forward"));
        chains.flat_map(|(_, rules)| rules)
    }

    /// The place of a rule.
    #[must_use]
    pub fn path(&self, rule: &PacketRule) -> ImagePath {
        self.files.get(rule.file).cloned().unwrap_or_else(|| ImagePath::new("/etc/ufw/user.rules"))
    }

    /// What cannot be followed in its files.
    #[must_use]
    pub fn doubt(&self) -> Option<Unreadable> {
        let (path, flaw) = self.flaw.as_ref().filter(|(_, flaw)| !flaw.refused)?;
        Some(Unreadable::at_line(path, flaw.line, flaw.reason))
    }
}
