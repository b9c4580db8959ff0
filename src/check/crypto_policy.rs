//! System-wide cryptographic policies.

use super::matcher::matched;
use super::{Kind, Observed};
use crate::facts::{FactId, Facts, Needs, Unreadable, crypto_scopes};
use crate::finding::{Evidence, Outcome};

matched! {
    /// The name of the policy with its modules, `DEFAULT:NO-SHA1`: as it is configured and as it was applied.
    pub struct CryptoPolicy {
        /// Whether what was applied has to be what is configured, with every back-end in place.
        pub applied: Option<bool>,
    }
}

matched! {
    /// What the policy lets programs use, as it is configured and as it was applied. Lists are compared as text with one blank between items, too.
    pub struct CryptoProperty {
        /// Which, such as `cipher`, `mac`, `hash`, `sign`, `sha1_in_certs`.
        pub property: String,
        /// For whom: `ssh`, `tls`, `ipsec`, `kerberos`, `dnssec`, `rpm`; where nothing is said, for everything that has no rule of its own.
        pub scope: Option<String>,
    }
}

impl Kind for CryptoPolicy {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::CryptoPolicy);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let policy = facts.crypto_policy()?;
        let mut outcomes = Vec::new();
        if !self.matcher().is_empty() {
            for name in std::iter::once(&policy.configured).chain(&policy.applied) {
                let (path, line) = &name.place;
                outcomes.push(self.matcher().judge(Some(&Observed::new(&name.text)), Evidence::at(path).line(*line)));
            }
        }
        if let Some(wanted) = self.applied {
            let (path, line) = &policy.configured.place;
            let mut seen: Vec<Evidence> = (policy.stale.iter())
                .map(|(path, what)| Evidence::at(path).found(what).expected("as update-crypto-policies leaves it"))
                .collect();
            if seen.is_empty() {
                seen.push(Evidence::at(path).line(*line).found(format!("{} was applied", policy.configured.text)));
            }
            outcomes.push(Outcome::decide(policy.stale.is_empty() == wanted, seen));
        }
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        self.applied.is_none().then(|| self.matcher().flaw()).flatten()
    }
}

impl Kind for CryptoProperty {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::CryptoPolicy);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let found = facts
            .crypto_policy()
            .and_then(|policy| Ok((policy.property(&self.property, self.scope.as_deref())?, policy.configured.place.clone())));
        let (found, (config, line)) = found?;
        let name = match &self.scope {
            Some(scope) => format!("{}@{scope}", self.property),
            None => self.property.clone(),
        };
        let judge = |property: crate::facts::CryptoPropertyValue| {
            let place = match &property.place {
                Some((path, line)) => Evidence::at(path).line(*line),
                None => Evidence::at(&config).line(line),
            };
            let observed = property.place.as_ref().map(|_| Observed::new(property.items.join(" ")).with_list(property.items));
            self.matcher().judge(observed.as_ref(), place.because(&name))
        };
        Ok(Outcome::all(found.into_iter().map(judge)))
    }

    fn flaw(&self) -> Option<String> {
        let known = crypto_scopes();
        let wrong = self.scope.as_ref().filter(|scope| !known.contains(&scope.as_str()));
        wrong.map(|scope| format!("'{scope}' is no scope; known: {}", known.join(", "))).or_else(|| self.matcher().flaw())
    }
}
