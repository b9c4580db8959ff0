//! Settings of systemd-journald.

use schemars::JsonSchema;
use serde::Deserialize;

use super::matcher::matched;
use super::{Kind, Observed, unknown};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

matched! {
    /// A setting of journald (or of its uploader) after all drop-ins. Booleans are `yes` or `no`, sizes bytes, times seconds.
    pub struct Journald {
        /// Its name, such as `Storage`.
        pub option: String,
        /// `upload` for `journal-upload.conf`; `journald.conf` if not given.
        pub of: Option<Of>,
        /// `true`: it has to be set in a file; the built-in default does not count.
        #[serde(default)]
        pub stated: bool,
        /// `true`: `Storage=auto` counts as what it comes to here, `persistent` or `volatile`.
        #[serde(default)]
        pub resolved: bool,
    }
}

/// Whose settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Of {
    /// `journald.conf`.
    Journal,
    /// `journal-upload.conf`.
    Upload,
}

impl Kind for Journald {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Journald);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let journald = facts.journald()?;
        let (settings, file) = match self.of {
            Some(Of::Upload) => (&journald.upload, "/etc/systemd/journal-upload.conf"),
            _ => (&journald.journal, "/etc/systemd/journald.conf"),
        };
        let assigned = match (self.of, self.option.as_str()) {
            (Some(Of::Upload), option) => settings.get(option).cloned(),
            (_, "Storage") if self.resolved => journald.storage(),
            (_, option) => journald.effective(option),
        };
        let counts = assigned.filter(|assigned| !self.stated || assigned.place.is_some());
        let file = ImagePath::new(file);
        // Where a value was refused the reader should be led there.
        let refused = settings.invalid.iter().rev().find(|invalid| invalid.reason.starts_with(&format!("{} ", self.option)));
        let mut because = self.option.clone();
        let place = match counts.as_ref().and_then(|assigned| assigned.place.as_ref()) {
            Some((path, line)) => Evidence::at(path).line(*line),
            None => match refused {
                Some(invalid) => {
                    because = format!("{}, so it is passed over", invalid.reason);
                    invalid.path.as_ref().map_or_else(|| Evidence::at(&file), Evidence::at).line_opt(invalid.line)
                }
                None => Evidence::at(&file),
            },
        };
        let because =
            counts.as_ref().and_then(|assigned| assigned.because.clone()).filter(|_| refused.is_none()).unwrap_or(because);
        let observed = counts.map(|assigned| Observed::new(assigned.text).with_number(assigned.number));
        let judged = self.matcher().judge(observed.as_ref(), place.because(because));
        if settings.broken.is_empty() {
            return Ok(judged);
        }
        Ok(Outcome::all(settings.broken.iter().map(unknown).chain([judged])))
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}
