//! What rsyslog takes, writes and sends.

use schemars::JsonSchema;
use serde::Deserialize;

use super::accounts::exactly;
use super::file::WhenNone;
use super::{Kind, Mode, Names, unknown};
use crate::facts::rsyslog::{NETWORK_INPUTS, Output, OutputTarget, PATH, Place, Rsyslog as Configured};
use crate::facts::{FactId, Facts, FileState, Needs, Unreadable};
use crate::finding::{Evidence, Outcome, Status};
use crate::path::ImagePath;
use crate::syntax::rsyslog::selector;

/// rsyslog as it is configured, in both syntaxes and with its includes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rsyslog {
    /// Whether it takes messages from other machines, or loads a module that could.
    pub listens: Option<bool>,
    /// Whether it sends messages to another machine.
    pub forwards: Option<bool>,
    /// Whether everything it sends to other machines is encrypted, to machines that have to prove their names by a certificate for
    /// servers; and whether it sends anything.
    pub encrypts: Option<bool>,
    /// Whether it is told which certificates to trust.
    pub trusts: Option<bool>,
    /// Every file it writes is created without any permission beyond these bits.
    pub create_mode_within: Option<Mode>,
    /// Selectors (`authpriv.*`): all such messages reach a file or another machine.
    pub keeps: Option<Names>,
    /// The files it writes that are there already have no permission beyond these bits.
    pub files_mode_within: Option<Mode>,
    /// They belong to one of these accounts of the image.
    pub files_owner: Option<Names>,
    /// They belong to one of these groups of the image.
    pub files_group: Option<Names>,
    /// Whether it accepts its configuration at all.
    pub valid: Option<bool>,
    /// The verdict if it has no configuration: `pass`, `fail`, or `not-applicable` (the default).
    #[serde(default)]
    pub when_none: WhenNone,
}

impl Kind for Rsyslog {
    fn needs(&self, facts: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Rsyslog);
        if self.files_owner.is_some() || self.files_group.is_some() {
            needs.fact(FactId::Accounts);
        }
        if self.asks_for_files()
            && let Ok(rsyslog) = facts.rsyslog()
        {
            written(rsyslog).filter_map(|(_, path)| exactly(&path)).for_each(|pattern| needs.files(pattern));
        }
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let rsyslog = facts.rsyslog()?;
        if !rsyslog.present {
            return Ok(self.when_none.outcome(&ImagePath::new(PATH), "does not exist"));
        }
        let mut outcomes = Vec::new();
        outcomes.extend(self.valid.map(|wanted| judge_valid(rsyslog, wanted)));
        if self.valid.is_none() && !rsyslog.refused.is_empty() {
            // Whatever else it says, it does nothing at all.
            let refused = rsyslog.refused.iter().map(|refused| {
                let reason = format!("rsyslog does not start with this configuration: {refused}");
                Outcome { reason: Some(reason), ..unknown(refused) }
            });
            return Ok(Outcome::all(refused));
        }
        outcomes.extend(self.listens.map(|wanted| judge_listens(rsyslog, wanted)));
        outcomes.extend(self.forwards.map(|wanted| judge_forwards(rsyslog, wanted)));
        outcomes.extend(self.encrypts.map(|wanted| judge_encrypts(rsyslog, wanted)));
        outcomes.extend(self.trusts.map(|wanted| {
            let found = rsyslog.trusted.as_deref().unwrap_or("no file of certificates is set");
            let evidence = main_file().found(found).expected("DefaultNetstreamDriverCAFile set, or not, as the rule asks");
            Outcome::decide(rsyslog.trusted.is_some() == wanted, vec![evidence])
        }));
        outcomes.extend(self.create_mode_within.map(|allowed| judge_modes(rsyslog, allowed)));
        if self.asks_for_files() {
            outcomes.push(self.judge_files(rsyslog, facts));
        }
        outcomes.extend(self.keeps.iter().flat_map(|keeps| &keeps.0).map(|wanted| judge_keeps(rsyslog, wanted)));
        let judged = Outcome::all(outcomes);
        if judged.status == Status::Pass && !rsyslog.doubts.is_empty() {
            return Ok(Outcome::all(rsyslog.doubts.iter().map(unknown)));
        }
        Ok(judged)
    }

    fn flaw(&self) -> Option<String> {
        if let Some(wrong) = self.keeps.iter().flat_map(|keeps| &keeps.0).find(|text| selector(text.as_bytes()).is_none()) {
            return Some(format!("'{wrong}' is no selector such as authpriv.*"));
        }
        let asks = self.listens.is_some()
            || self.forwards.is_some()
            || self.encrypts.is_some()
            || self.trusts.is_some()
            || self.create_mode_within.is_some()
            || self.keeps.is_some()
            || self.valid.is_some()
            || self.asks_for_files();
        let known =
            "listens, forwards, encrypts, trusts, create-mode-within, keeps, files-mode-within, files-owner, files-group, valid";
        (!asks).then(|| format!("it asks nothing of rsyslog; known: {known}"))
    }
}

impl Rsyslog {
    fn asks_for_files(&self) -> bool {
        self.files_mode_within.is_some() || self.files_owner.is_some() || self.files_group.is_some()
    }

    fn judge_files(&self, rsyslog: &Configured, facts: &Facts<'_>) -> Outcome {
        let mut outcomes = Vec::new();
        for (output, path) in written(rsyslog) {
            let Some(pattern) = exactly(&path) else {
                let place = at(&output.place).found(path.as_bytes());
                outcomes.push(Outcome::unknown("a file whose name is not UTF-8 is not looked at", vec![place]));
                continue;
            };
            match facts.files(&pattern) {
                Ok(states) => outcomes.extend(states.iter().map(|state| self.judge_file(output, state, facts))),
                Err(unreadable) => outcomes.push(unknown(&unreadable)),
            }
        }
        if outcomes.is_empty() {
            return Outcome::pass(vec![main_file().found("none of the files it writes is there yet")]);
        }
        Outcome::all(outcomes)
    }

    fn judge_file(&self, output: &Output, state: &FileState, facts: &Facts<'_>) -> Outcome {
        let because = format!("written by {}:{}", output.place.path, output.place.line);
        let place = || Evidence::at(&state.path).because(&because);
        let metadata = match &state.leads_to {
            Ok((_, metadata)) => metadata,
            Err(_) if state.dangling => return Outcome::pass(vec![place().found("a link to nothing")]),
            Err(unreadable) => return unknown(unreadable),
        };
        let mut outcomes = vec![Outcome::pass(vec![place().found(metadata.kind.name())])];
        if let Some(allowed) = self.files_mode_within {
            let evidence = place().found(format!("mode {}", Mode(metadata.mode))).expected(format!("{allowed} or stricter"));
            outcomes.push(Outcome::decide(metadata.mode & !allowed.0 == 0, vec![evidence]));
        }
        let named = |names: &Names, id: u32, of: &dyn Fn(&str) -> Option<u32>, what: &str| {
            let met = names.0.iter().any(|name| *name == id.to_string() || (name == "root" && id == 0) || of(name) == Some(id));
            Outcome::decide(met, vec![place().found(format!("{what} {id}")).expected(names.0.join(" or "))])
        };
        if self.files_owner.is_none() && self.files_group.is_none() {
            return Outcome::all(outcomes);
        }
        if !facts.root().keeps_ownership() {
            let reason =
                "this tree was unpacked by an unprivileged user, so its owners are not the image's; scan the archive instead";
            outcomes.push(Outcome::unknown(reason, vec![place()]));
            return Outcome::all(outcomes);
        }
        match facts.accounts() {
            Ok(accounts) => {
                let user = |name: &str| accounts.user(name).map(|user| user.uid);
                let group = |name: &str| accounts.group(name).map(|group| group.gid);
                outcomes.extend(self.files_owner.as_ref().map(|names| named(names, metadata.uid, &user, "owner")));
                outcomes.extend(self.files_group.as_ref().map(|names| named(names, metadata.gid, &group, "group")));
            }
            Err(unreadable) => outcomes.push(unknown(&unreadable)),
        }
        Outcome::all(outcomes)
    }
}

/// The files it writes whose names are known, without devices.
fn written(rsyslog: &Configured) -> impl Iterator<Item = (&Output, ImagePath)> {
    rsyslog.outputs.iter().filter_map(|output| match &output.target {
        OutputTarget::File { path, .. } if path.starts_with(b"/") && !path.starts_with(b"/dev/") => {
            Some((output, ImagePath::new(path)))
        }
        _ => None,
    })
}

fn at(place: &Place) -> Evidence {
    Evidence::at(&place.path).line(place.line)
}

fn main_file() -> Evidence {
    Evidence::at(&ImagePath::new(PATH))
}

fn judge_valid(rsyslog: &Configured, wanted: bool) -> Outcome {
    let mut seen: Vec<Evidence> = Vec::new();
    for refused in &rsyslog.refused {
        let place = refused.path.as_ref().map_or_else(main_file, Evidence::at);
        seen.push(place.line_opt(refused.line).found(&refused.reason).expected("what rsyslog can read"));
    }
    if seen.is_empty() {
        seen.push(main_file().found(format!("{} files that rsyslog can read", rsyslog.files.len())));
    }
    Outcome::decide(rsyslog.refused.is_empty() == wanted, seen)
}

fn judge_listens(rsyslog: &Configured, wanted: bool) -> Outcome {
    let expected = if wanted { "to listen" } else { "not to listen" };
    let remote = rsyslog.inputs.iter().filter(|input| !input.local);
    let mut seen: Vec<Evidence> = remote
        .map(|input| at(&input.place).found(format!("{} takes messages on port {}", input.module, input.port)).expected(expected))
        .collect();
    // A module without an input listens to nobody yet: that is enough where it must not, and not where it has to.
    let modules = rsyslog.modules.iter().filter(|module| !wanted && NETWORK_INPUTS.contains(&module.name.as_str()));
    let served = |name: &str| rsyslog.inputs.iter().any(|input| input.local && input.module == name);
    seen.extend(
        modules
            .filter(|module| !served(&module.name))
            .map(|module| at(&module.place).found(format!("{} is loaded", module.name)).expected(expected)),
    );
    let listens = !seen.is_empty();
    if !listens {
        seen.push(main_file().found("nothing is taken from other machines").expected(expected));
    }
    Outcome::decide(listens == wanted, seen)
}

fn judge_forwards(rsyslog: &Configured, wanted: bool) -> Outcome {
    let expected = if wanted { "another machine" } else { "no other machine" };
    let mut seen: Vec<Evidence> = (rsyslog.outputs.iter())
        .filter_map(|output| match &output.target {
            OutputTarget::Forward { host, protocol, .. } => {
                Some(at(&output.place).found(format!("{host} by {protocol}")).expected(expected))
            }
            _ => None,
        })
        .collect();
    let forwards = !seen.is_empty();
    if !forwards {
        seen.push(main_file().found("nothing is sent to another machine").expected(expected));
    }
    Outcome::decide(forwards == wanted, seen)
}

/// Drivers that encrypt.
const DRIVERS: [&str; 2] = ["gtls", "ossl"];

fn judge_encrypts(rsyslog: &Configured, wanted: bool) -> Outcome {
    let (mut open, mut closed) = (Vec::new(), Vec::new());
    for output in &rsyslog.outputs {
        let OutputTarget::Forward { host, protocol, stream } = &output.target else { continue };
        let driver = stream.driver.as_deref().or(rsyslog.driver.as_deref()).unwrap_or("ptcp");
        let wrong = if *protocol == "udp" {
            Some("UDP is never encrypted".to_owned())
        } else if !DRIVERS.contains(&driver) {
            Some(format!("the driver {driver} encrypts nothing"))
        } else if !stream.encrypts {
            Some("StreamDriverMode is not 1".to_owned())
        } else if stream.authentication.as_deref() != Some("x509/name") {
            Some("StreamDriverAuthMode is not x509/name".to_owned())
        } else if !stream.checks_purpose {
            Some("StreamDriver.CheckExtendedKeyPurpose is not on".to_owned())
        } else {
            None
        };
        let place = at(&output.place).found(format!("{host} by {protocol}"));
        match wrong {
            Some(why) => open.push(place.expected("gtls or ossl, mode 1, x509/name, the key's purpose checked").because(why)),
            None => closed.push(place),
        }
    }
    let encrypts = open.is_empty() && !closed.is_empty();
    let mut seen = if open.is_empty() { closed } else { open };
    if seen.is_empty() {
        seen.push(main_file().found("nothing is sent to another machine").expected("another machine, by TLS"));
    }
    Outcome::decide(encrypts == wanted, seen)
}

fn judge_modes(rsyslog: &Configured, allowed: Mode) -> Outcome {
    let mut outcomes = Vec::new();
    for output in &rsyslog.outputs {
        let OutputTarget::File { path, mode, set } = &output.target else { continue };
        // Devices are there already.
        if path.starts_with(b"/dev/") {
            continue;
        }
        let mode = rsyslog.mode(*mode);
        let because = match set {
            Some(place) => format!("set in {}:{}", place.path, place.line),
            None => "no mode is set where this is read, so rsyslog's default counts".to_owned(),
        };
        let found = format!("{} is created with mode {}", crate::path::printable(path), Mode(mode));
        let evidence = at(&output.place).found(found).expected(format!("{allowed} or stricter")).because(because);
        outcomes.push(Outcome::decide(mode & !allowed.0 == 0, vec![evidence]));
    }
    if outcomes.is_empty() {
        return Outcome::pass(vec![main_file().found("no file is written")]);
    }
    Outcome::all(outcomes)
}

fn judge_keeps(rsyslog: &Configured, wanted: &str) -> Outcome {
    let Some(mask) = selector(wanted.as_bytes()) else {
        return Outcome::unknown(format!("'{wanted}' is no selector"), Vec::new());
    };
    let place = main_file().expected(format!("all of {wanted} in a file or on another machine"));
    if rsyslog.kept().covers(&mask) {
        return Outcome::pass(vec![place.found("kept")]);
    }
    let evidence = vec![place.found("some of it is not kept")];
    if rsyslog.branches {
        return Outcome::unknown("messages are handed to rule sets, and which of them is not followed", evidence);
    }
    Outcome::fail(evidence)
}
