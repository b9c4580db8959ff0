//! What shell start-up files set.

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::WhenNone;
use super::matcher::matched;
use super::{Kind, Mode, Names, Observed};
use crate::facts::{Facts, FileFact, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::{ImagePath, printable};
use crate::syntax::shell::{Action, Step, parse};

/// Every `umask` that can be in force at the end of one of these scripts: the last one that is certain to run, and all behind it that
/// run under some condition.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ShellUmask {
    /// Paths or patterns of the scripts.
    pub path: Names,
    /// At least these bits are taken away.
    pub masks: Mode,
    /// The verdict if none of the scripts sets it: `pass`, `fail`, or `not-applicable` (the default).
    #[serde(default)]
    pub when_none: WhenNone,
}

matched! {
    /// Every value that a variable can have at the end of one of these scripts. A value that is computed is unknown.
    pub struct ShellVariable {
        /// Paths or patterns of the scripts.
        pub path: Names,
        /// The variable.
        pub name: String,
        /// Whether one of the scripts makes it read-only.
        pub readonly: Option<bool>,
    }
}

/// The scripts, each once, and what could not be read.
fn scripts<'f>(facts: &'f Facts<'_>, patterns: &Names) -> Result<Vec<(&'f FileFact, Vec<Step>)>, Unreadable> {
    let mut all: Vec<(&FileFact, Vec<Step>)> = Vec::new();
    for pattern in &patterns.0 {
        for file in facts.contents(pattern)? {
            if !all.iter().any(|(known, _)| known.path == file.path) {
                all.push((file, parse(file.content.as_ref().map_err(Clone::clone)?)));
            }
        }
    }
    Ok(all)
}

/// Those steps after which something can be in force: the last certain one, and all behind it.
fn in_force(steps: &[Step], is: impl Fn(&Action) -> bool) -> Vec<&Step> {
    let all: Vec<&Step> = steps.iter().filter(|step| is(&step.action)).collect();
    let last = all.iter().rposition(|step| step.certain).unwrap_or_default();
    all.into_iter().skip(last).collect()
}

fn place(file: &FileFact, step: &Step) -> Evidence {
    let place = Evidence::at(&file.path).line(step.line);
    if step.certain { place } else { place.because("under a condition") }
}

impl Kind for ShellUmask {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        self.path.0.iter().for_each(|pattern| needs.contents(pattern));
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let scripts = scripts(facts, &self.path)?;
        let mut outcomes = Vec::new();
        for (file, steps) in &scripts {
            for step in in_force(steps, |action| matches!(action, Action::Umask(_))) {
                let place = place(file, step).expected(format!("{} or stricter", self.masks));
                outcomes.push(match step.action {
                    Action::Umask(Some(mask)) => {
                        Outcome::decide(mask & self.masks.0 == self.masks.0, vec![place.found(format!("umask {mask:03o}"))])
                    }
                    _ => {
                        Outcome::unknown(format!("the umask in {} is computed", file.path), vec![place.found("a computed umask")])
                    }
                });
            }
        }
        if outcomes.is_empty() {
            let first = ImagePath::new(self.path.0.first().map_or("/", String::as_str));
            return Ok(self.when_none.outcome(&first, "no umask is set"));
        }
        Ok(Outcome::all(outcomes))
    }
}

impl Kind for ShellVariable {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        self.path.0.iter().for_each(|pattern| needs.contents(pattern));
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let scripts = scripts(facts, &self.path)?;
        let first = ImagePath::new(self.path.0.first().map_or("/", String::as_str));
        let mut outcomes = Vec::new();
        for (file, steps) in &scripts {
            for step in in_force(steps, |action| matches!(action, Action::Sets { name, .. } if *name == self.name)) {
                let place = place(file, step);
                outcomes.push(if let Action::Sets { text, computed: false, .. } = &step.action {
                    self.matcher().judge(Some(&Observed::new(printable(text.as_bytes()))), place)
                } else {
                    Outcome::unknown(format!("{} is computed in {}", self.name, file.path), vec![place.found("a computed value")])
                });
            }
        }
        if outcomes.is_empty() {
            return Ok(self.matcher().judge(None, Evidence::at(&first).because(format!("no script sets {}", self.name))));
        }
        if let Some(wanted) = self.readonly {
            let fixes = |step: &Step| matches!(&step.action, Action::Fixes(name) if *name == self.name);
            let fixed =
                scripts.iter().find_map(|(file, steps)| steps.iter().find(|step| fixes(step)).map(|step| place(file, step)));
            let found = if fixed.is_some() { "read-only" } else { "can be changed" };
            let expected = if wanted { "read-only" } else { "to be changeable" };
            let evidence = fixed.clone().unwrap_or_else(|| Evidence::at(&first)).found(format!("{} {found}", self.name));
            outcomes.push(Outcome::decide(fixed.is_some() == wanted, vec![evidence.expected(expected)]));
        }
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        self.path.not_whole().or_else(|| self.matcher().flaw())
    }
}
