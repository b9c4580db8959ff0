//! How many firewalls there are.

use super::known;
use crate::check::matcher::matched;
use crate::check::{Kind, Observed};
use crate::facts::firewall::Tool;
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};

matched! {
    /// How many of ufw, nftables, firewalld and saved rules of iptables are in use: they load rules at boot. ufw does not where it is not
    /// enabled, even if its service starts.
    pub struct FirewallsInUse {}
}

impl Kind for FirewallsInUse {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Firewall);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let firewall = facts.firewall()?;
        let mut places = Vec::new();
        for tool in Tool::ALL {
            if firewall.uses(tool)? {
                places.extend(firewall.loaders(tool).into_iter().filter(|loader| loader.starts).map(|loader| {
                    Evidence::at(&loader.path).line_opt(loader.line).because(format!("{} is in use", tool.name()))
                }));
            }
        }
        let count = Tool::ALL.iter().filter(|tool| firewall.uses(**tool) == Ok(true)).count();
        let observed = Observed::new(count.to_string());
        if places.is_empty() {
            // What would start first says where to begin.
            let ufw = match known(&firewall.ufw) {
                Ok(ufw) => ufw,
                Err(outcome) => return Ok(outcome),
            };
            places.push(Evidence::at(&ufw.loader.path).line_opt(ufw.loader.line).because("no firewall is in use"));
        }
        let outcomes: Vec<Outcome> = places.into_iter().map(|place| self.matcher().judge(Some(&observed), place)).collect();
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}
