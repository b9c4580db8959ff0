//! Settings of a unit of systemd.

use super::matcher::matched;
use super::{Kind, Observed};
use crate::facts::units::Init;
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

matched! {
    /// A setting of a unit, with its drop-ins applied and after the last empty assignment, which takes back what came before. Several values (of `ExecStart=` and
    /// the like) are looked at as one text with a line for each; a number or a plain value is the last of them.
    ///
    /// A unit that is not there or is masked has no settings.
    pub struct UnitSetting {
        /// The unit; without a type it is a service.
        pub unit: String,
        /// The section, such as `Service`.
        pub section: String,
        /// The name of the setting.
        pub key: String,
    }
}

/// Settings whose values add up, as far as rules are likely to ask for them; of any other the last value counts (`systemd.directives(7)`).
const LISTS: [&str; 12] = [
    "Exec",
    "Environment",
    "Condition",
    "Assert",
    "On",
    "Listen",
    "ReadWritePaths",
    "ReadOnlyPaths",
    "InaccessiblePaths",
    "Wants",
    "Requires",
    "After",
];

impl Kind for UnitSetting {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Units);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let units = facts.units()?;
        if let Init::Other(what) = units.init {
            return Ok(Outcome::unknown(format!("the image boots with {what}, whose services are not known"), Vec::new()));
        }
        let known = units.property(&self.unit, &self.section, &self.key).and_then(|values| Ok((values, units.file(&self.unit)?)));
        let (values, file) = known?;
        let Some(last) = values.last() else {
            let path = file.unwrap_or_else(|| ImagePath::new("/etc/systemd/system").join(&self.unit));
            return Ok(self.matcher().judge(None, Evidence::at(&path)));
        };
        let adds_up = LISTS.iter().any(|list| self.key.starts_with(list));
        let text = if adds_up {
            values.iter().map(|value| value.text.as_str()).collect::<Vec<_>>().join("\n")
        } else {
            last.text.clone()
        };
        Ok(self.matcher().judge(Some(&Observed::new(text)), Evidence::at(&last.path).line(last.line)))
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}
