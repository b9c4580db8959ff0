//! The folders in which root's programs are looked for.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Mode, unknown};
use crate::facts::{FactId, Facts, FileFact, FileState, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::image::FileKind;
use crate::path::{ImagePath, printable};
use crate::syntax::pam_env;
use crate::syntax::shell::{Action, parse};

/// Every folder that can be in root's `PATH`: from `ENV_SUPATH` of `login.defs(5)`, `/etc/environment` and `pam_env.conf(5)` (and what
/// `pam_env` is given instead of them), and the scripts that a login shell
/// of root runs, whatever the conditions in them. What can be computed only by running a script is unknown.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RootPath {
    /// Each is an absolute path: no `.`, and none that is empty, which would stand for the same.
    pub absolute: Option<bool>,
    /// Each is a folder that exists.
    pub exists: Option<bool>,
    /// Each belongs to root.
    pub owned: Option<bool>,
    /// No permission beyond these bits.
    pub mode_within: Option<Mode>,
}

/// Scripts that a login shell of root may run.
const SCRIPTS: [&str; 7] = [
    "/etc/profile",
    "/etc/profile.d/*.sh",
    "/etc/bash.bashrc",
    "/etc/bashrc",
    "/root/.bash_profile",
    "/root/.profile",
    "/root/.bashrc",
];

/// `pam_env(8)` takes variables from here, and from what its `envfile=` and `conffile=` name.
const ENVIRONMENT: &str = "/etc/environment";
const PAM_ENV: &str = "/etc/security/pam_env.conf";

/// Built into login and su where `ENV_SUPATH` is not set (`login.defs(5)`).
const BUILT_IN: &str = "/sbin:/bin:/usr/sbin:/usr/bin";

/// One entry of the list.
struct Entry {
    text: String,
    place: Evidence,
    /// Whether it is added only where some condition holds, which may be that it exists.
    conditional: bool,
}

impl Kind for RootPath {
    fn needs(&self, facts: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::LoginDefs);
        needs.fact(FactId::Pam);
        for (file, argument) in [(ENVIRONMENT, "envfile"), (PAM_ENV, "conffile")] {
            pam_files(facts, file, argument).into_iter().filter(|file| is_plain(file)).for_each(|file| needs.contents(file));
        }
        SCRIPTS.iter().for_each(|pattern| needs.contents(*pattern));
        let known = entries(facts).map(|(entries, _)| entries).unwrap_or_default();
        known.iter().filter(|entry| is_plain(&entry.text)).for_each(|entry| needs.files(entry.text.clone()));
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let (entries, mut outcomes) = entries(facts)?;
        outcomes.extend(entries.iter().map(|entry| self.judge(entry, facts)));
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        let asks = self.absolute.is_some() || self.exists.is_some() || self.owned.is_some() || self.mode_within.is_some();
        (!asks).then(|| "it asks nothing of the folders; known: absolute, exists, owned, mode-within".into())
    }
}

/// Whether a text is a path and no pattern to those who look for it.
fn is_plain(text: &str) -> bool {
    text.starts_with('/') && !text.contains(['*', '?', '[', '{', '\\'])
}

impl RootPath {
    fn judge(&self, entry: &Entry, facts: &Facts<'_>) -> Outcome {
        let place = || entry.place.clone();
        if !entry.text.starts_with('/') {
            let found = if entry.text.is_empty() {
                "an empty entry: the current folder".to_owned()
            } else {
                printable(entry.text.as_bytes())
            };
            return match self.absolute {
                Some(wanted) => Outcome::decide(!wanted, vec![place().found(found).expected("an absolute path")]),
                None => Outcome::pass(vec![place().found(found)]),
            };
        }
        if !is_plain(&entry.text) {
            return Outcome::unknown(
                "a folder whose name has signs of a pattern in it is not looked at",
                vec![place().found(&entry.text)],
            );
        }
        let states = match facts.files(&entry.text) {
            Ok(states) => states,
            Err(unreadable) => return unknown(&unreadable),
        };
        let missing = |found: &str| match self.exists {
            Some(wanted) if !entry.conditional => {
                Outcome::decide(!wanted, vec![place().found(format!("{}: {found}", entry.text)).expected("a folder")])
            }
            _ => Outcome::pass(vec![place().found(format!("{}: {found}", entry.text))]),
        };
        match states.first() {
            None => missing("does not exist"),
            Some(FileState { dangling: true, .. }) => missing("a link to nothing"),
            Some(FileState { leads_to: Err(unreadable), .. }) => unknown(unreadable),
            Some(FileState { leads_to: Ok((path, metadata)), .. }) => {
                if metadata.kind != FileKind::Directory {
                    return missing(metadata.kind.name());
                }
                let here = || Evidence::at(path).because(format!("in root's PATH by {}", entry.place.place()));
                let mut outcomes = vec![Outcome::pass(vec![here().found("a folder")])];
                if let Some(allowed) = self.mode_within {
                    let evidence =
                        here().found(format!("mode {}", Mode(metadata.mode))).expected(format!("{allowed} or stricter"));
                    outcomes.push(Outcome::decide(metadata.mode & !allowed.0 == 0, vec![evidence]));
                }
                if let Some(wanted) = self.owned {
                    if facts.root().keeps_ownership() {
                        let evidence = here().found(format!("uid {}", metadata.uid)).expected("uid 0");
                        outcomes.push(Outcome::decide((metadata.uid == 0) == wanted, vec![evidence]));
                    } else {
                        let reason = "this tree was unpacked by an unprivileged user, so its owners are not the image's; scan the archive instead";
                        outcomes.push(Outcome::unknown(reason, vec![here()]));
                    }
                }
                Outcome::all(outcomes)
            }
        }
    }
}

/// Every entry, and what cannot be known.
fn entries(facts: &Facts<'_>) -> Result<(Vec<Entry>, Vec<Outcome>), Unreadable> {
    let mut found = Found::default();
    let defs = facts.login_defs()?.effective("ENV_SUPATH");
    let text = defs.text.unwrap_or_else(|| BUILT_IN.to_owned());
    let place = Evidence::at(&ImagePath::new("/etc/login.defs")).line_opt(defs.line).because("ENV_SUPATH");
    found.add(text.strip_prefix("PATH=").unwrap_or(&text), false, &place, false);
    let (environment, variables) = (pam_files(facts, ENVIRONMENT, "envfile"), pam_files(facts, PAM_ENV, "conffile"));
    for file in environment.iter().chain(&variables).filter(|file| !is_plain(file)) {
        found.doubts.push(Outcome::unknown(format!("pam_env reads {file}, which is not looked at"), Vec::new()));
    }
    for file in contents(facts, &variables)? {
        let content = file.content.as_ref().map_err(Clone::clone)?;
        for variable in pam_env::parse(content).into_iter().filter(|variable| variable.name == "PATH") {
            // What is put together may come out empty, and then the default counts.
            let certain = variable.over.as_ref().is_some_and(|over| !over.is_empty() && !over.contains(['$', '@']));
            for value in variable.over.into_iter().chain(variable.default.filter(|_| !certain)).filter(|value| !value.is_empty())
            {
                let value = value.replace("@{HOME}", "${HOME}");
                found.add(&value, true, &Evidence::at(&file.path).line(variable.line), false);
            }
        }
    }
    for file in contents(facts, &environment)? {
        let content = file.content.as_ref().map_err(Clone::clone)?;
        for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
            let text = String::from_utf8_lossy(text);
            let text = text.trim().trim_start_matches("export ");
            if let Some(value) = text.strip_prefix("PATH=") {
                let value = value.split('#').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
                found.add(value, false, &Evidence::at(&file.path).line(line), false);
            }
        }
    }
    for pattern in SCRIPTS {
        for file in facts.contents(pattern)? {
            let content = file.content.as_ref().map_err(Clone::clone)?;
            for step in parse(content) {
                let place = Evidence::at(&file.path).line(step.line);
                match step.action {
                    Action::Sets { name, text, computed } if name == "PATH" => {
                        // In a function what is added is its argument: its calls tell.
                        let argument = step.in_function && text.contains("$1");
                        if !argument {
                            found.add(&text, computed, &place, !step.certain);
                        }
                    }
                    Action::Calls(words) => {
                        if let [function, folder, ..] = words.as_slice()
                            && function == "pathmunge"
                        {
                            found.add(folder, folder.contains('$'), &place, !step.certain);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    Ok((found.entries, found.doubts))
}

/// A file of `pam_env` and those that an argument names in its place.
fn pam_files(facts: &Facts<'_>, file: &str, argument: &str) -> Vec<String> {
    let named = facts.pam().map(|pam| pam.arguments("pam_env.so", argument)).unwrap_or_default();
    std::iter::once(file.to_owned()).chain(named.into_iter().filter(|named| named != file && !named.is_empty())).collect()
}

fn contents<'f>(facts: &'f Facts<'_>, files: &[String]) -> Result<Vec<&'f FileFact>, Unreadable> {
    let mut all = Vec::new();
    for file in files.iter().filter(|file| is_plain(file)) {
        all.extend(facts.contents(file)?);
    }
    Ok(all)
}

#[derive(Default)]
struct Found {
    entries: Vec<Entry>,
    doubts: Vec<Outcome>,
}

impl Found {
    /// Adds a list. What it takes over from before is judged where that was set.
    fn add(&mut self, list: &str, computed: bool, place: &Evidence, conditional: bool) {
        for part in list.split(':') {
            let before = ["$PATH", "${PATH}", "${PATH-}", "${PATH:-}"].contains(&part);
            if before {
                continue;
            }
            let text = ["$HOME", "${HOME}", "~"]
                .iter()
                .find_map(|home| part.strip_prefix(home).filter(|rest| rest.is_empty() || rest.starts_with('/')));
            let own = text.is_some();
            let text = text.map_or_else(|| part.to_owned(), |rest| format!("/root{rest}"));
            if computed && text.contains(['$', '`']) {
                let reason = "an entry of root's PATH is computed";
                self.doubts.push(Outcome::unknown(reason, vec![place.clone().found(&text)]));
            } else {
                self.entries.push(Entry { text, place: place.clone(), conditional: conditional && own });
            }
        }
    }
}
