//! Secrets that lie about in files.

use schemars::JsonSchema;
use serde::Deserialize;

use super::accounts::OneOrMore;
use super::tree::incomplete;
use super::{Kind, unknown};
use crate::facts::{FactId, Facts, Needs, Secret, SecretKind, Unreadable, own_secret_selector, secret_selector};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

/// No file of the image holds a secret of these kinds.
///
/// Candidates are found by name, size, kind and place: small files outside the folders of packages are read whatever they are called. Of secrets
/// only kind, path and line are told. What a package owns below `/usr`, `/opt` and
/// `/boot`, and what libraries test with, everybody has: it does not count.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Secrets {
    /// The kinds, one word or several.
    pub kinds: OneOrMore<SecretKind>,
    /// Subtrees that do not count.
    #[serde(default)]
    pub except: Vec<String>,
}

impl Kind for Secrets {
    fn needs(&self, facts: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Mounts);
        needs.tree(secret_selector());
        needs.tree(own_secret_selector());
        if facts.tree().is_ok_and(|tree| tree.matches(&own_secret_selector()).is_some()) {
            needs.fact(FactId::Secrets);
        }
        if self.counted(facts).is_ok_and(|found| found.iter().any(|secret| secret.may_be_public())) {
            needs.fact(FactId::Owners);
        }
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        self.judge(facts)
    }
}

impl Secrets {
    /// What was found, of these kinds.
    fn counted<'f>(&self, facts: &'f Facts<'_>) -> Result<Vec<&'f Secret>, Unreadable> {
        let found = facts.secrets()?.found.iter();
        let found = found.filter(|secret| self.kinds.0.contains(&secret.kind));
        Ok(found.filter(|secret| !self.except.iter().any(|base| secret.path.is_within(&ImagePath::new(base)))).collect())
    }

    fn judge(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let (mut wrong, mut doubts) = (Vec::new(), Vec::new());
        for secret in self.counted(facts)? {
            let evidence = Evidence::at(&secret.path).line_opt(secret.line).found(&secret.what).expected("nothing secret");
            match secret.may_be_public().then(|| facts.owners()) {
                Some(Ok(owners)) if owners.owner(&secret.path).is_some() => {}
                Some(Err(unreadable)) => {
                    let reason = format!("whether it is a file that everybody has is not known: {unreadable}");
                    doubts.push(Outcome::unknown(reason, vec![evidence]));
                }
                _ => wrong.push(evidence),
            }
        }
        if !wrong.is_empty() {
            return Ok(Outcome::fail(wrong));
        }
        let secrets = facts.secrets()?;
        let unread = secrets.doubts.iter().filter(|(kind, _)| self.kinds.0.contains(kind));
        doubts.extend(unread.map(|(_, unreadable)| unknown(unreadable)));
        doubts.extend(incomplete(facts.tree()?)?);
        if !doubts.is_empty() {
            return Ok(Outcome::all(doubts));
        }
        let found = format!("{} files were read, none with a secret of this kind", secrets.read);
        Ok(Outcome::pass(vec![Evidence::at(&ImagePath::root()).found(found)]))
    }
}
