//! Where the SSH server keeps the keys that clients know it by.

use schemars::JsonSchema;
use serde::Deserialize;

use super::accounts::exactly;
use crate::facts::sshd::Keyword;
use crate::facts::{Facts, Unreadable};
use crate::path::ImagePath;

/// A half of a pair of host keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostKeys {
    /// The private half.
    Private,
    /// The public half, and certificates of it.
    Public,
}

impl HostKeys {
    /// The files that `HostKey` and `HostCertificate` name, as patterns. The value of `HostKey` may be the public half, where an agent has the
    /// other one (`sshd_config(5)`).
    ///
    /// # Errors
    /// What the configuration says could not be read.
    pub(super) fn patterns(self, facts: &Facts<'_>) -> Result<Vec<String>, Unreadable> {
        let sshd = facts.sshd()?;
        let named = |name: &str| -> Vec<String> {
            let setting = Keyword::named(name).map(|keyword| sshd.effective(keyword));
            let value = setting.and_then(|setting| setting.value);
            value.and_then(|value| value.list).unwrap_or_default().into_iter().filter(|path| path != "none").collect()
        };
        let keys = named("HostKey");
        let halves = keys.iter().map(|path| path.strip_suffix(".pub").unwrap_or(path));
        let paths: Vec<String> = match self {
            Self::Private => halves.map(str::to_owned).collect(),
            Self::Public => halves.map(|path| format!("{path}.pub")).chain(named("HostCertificate")).collect(),
        };
        Ok(paths.iter().filter_map(|path| exactly(&ImagePath::new(path))).collect())
    }
}
