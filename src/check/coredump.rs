//! Core dumps that systemd takes.

use super::matcher::matched;
use super::{Kind, Observed, unknown};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

matched! {
    /// A setting of `coredump.conf(5)` after all drop-ins, where it is set. Sizes are bytes.
    pub struct Coredump {
        /// Its name, such as `Storage`.
        pub option: String,
    }
}

impl Kind for Coredump {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Coredump);
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let settings = &facts.coredump()?.0;
        let found = settings.get(&self.option);
        let place = found.and_then(|found| found.place.as_ref());
        let place = match place {
            Some((path, line)) => Evidence::at(path).line(*line),
            None => Evidence::at(&ImagePath::new("/etc/systemd/coredump.conf")),
        };
        let observed = found.map(|found| Observed::new(&found.text).with_number(found.number));
        let judged = self.matcher().judge(observed.as_ref(), place.because(&self.option));
        Ok(Outcome::all(settings.broken.iter().map(unknown).chain([judged])))
    }

    fn flaw(&self) -> Option<String> {
        self.matcher().flaw()
    }
}
