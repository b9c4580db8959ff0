//! What an image says of itself, in the system's own semantics.
//!
//! A fact answers what the *system* would do at boot or at login, not what a file contains. Facts are gathered once, before anything is
//! judged, and only those that some check [needs](Needs). What could not be found out is [`Unreadable`]: evidence, never a pass.
//!
//! To add a fact: one file with its type and `pub fn gather(facts: &Facts<'_>) -> Fact<T>`, and one line in the list below.

pub mod accounts;
mod aide;
mod apparmor;
mod apt;
mod audit;
mod auditd;
mod authselect;
mod boot;
mod chrony;
mod command;
mod coredump;
mod cron;
mod crypto_policy;
mod dconf;
mod default_kernel;
mod dnf;
mod drop_ins;
mod files;
pub mod firewall;
mod gdm;
pub mod journald;
pub mod limits;
pub mod login_defs;
pub mod logrotate;
pub mod mail;
pub mod modules;
pub mod mounts;
mod os;
pub mod packages;
mod pam;
pub mod rsyslog;
mod secrets;
mod selinux;
pub mod sshd;
pub mod sudo;
pub mod sysctl;
mod timesyncd;
mod tree;
pub mod units;
mod updates;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use rayon::prelude::*;

pub use accounts::{Accounts, Shadow};
pub use aide::{Aide, AideJob, AideRule, Often as AideOften};
pub use apparmor::{AppArmor, Profile, ProfileMode};
pub use apt::Apt;
pub use audit::{AuditRule, AuditRules, Generated, Machine, Recorded};
pub use auditd::Auditd;
pub use authselect::{Authselect, names_module as authselect_names_module};
pub use boot::{Boot, BootEntry, BootPassword, Defaults as BootDefaults, argument as boot_argument};
pub use chrony::{Chrony, TimeSource};
pub use coredump::Coredump;
pub use cron::{Cron, Job as CronJob};
pub(crate) use crypto_policy::scope_names as crypto_scopes;
pub use crypto_policy::{CryptoPolicy, Property as CryptoPropertyValue};
pub use dconf::{Dconf, Difference as DconfDifference};
pub use default_kernel::DefaultKernel;
pub use dnf::Dnf;
pub use files::{FileFact, FileState};
pub use firewall::Firewall;
pub use gdm::Gdm;
pub use journald::Journald;
pub use limits::Limits;
pub use login_defs::{LoginDefs, UseraddDefaults};
pub use logrotate::Logrotate;
pub use mail::Mail;
pub use modules::Modules;
pub use mounts::{MountEntry, Mounts};
pub use os::Os;
pub use packages::{Owners, Packages};
pub use pam::{ModuleOption, Pam, Situation, Stack, Step, Way};
pub use rsyslog::Rsyslog;
pub use secrets::{Secret, SecretKind, Secrets, own_selector as own_secret_selector, selector as secret_selector};
pub(crate) use selinux::CONFIG as SELINUX_CONFIG;
pub use selinux::SeLinux;
pub use sshd::Sshd;
pub use sudo::Sudo;
pub use sysctl::Sysctl;
pub use timesyncd::Timesyncd;
pub use tree::{Selector, TreeFact, TreeMatch, TreeMatches};
pub use units::Units;
pub use updates::{Updater, Updates};

use crate::image::{Budget, ReadError, Rootfs};
use crate::path::ImagePath;

/// What is known, or why it is not.
pub type Fact<T> = Result<T, Unreadable>;

/// Why something is not known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{}{reason}", .path.as_ref().map(|path| format!("{path}{}: ", .line.map(|line| format!(":{line}")).unwrap_or_default())).unwrap_or_default())]
pub struct Unreadable {
    /// Where, if it has a place.
    pub path: Option<ImagePath>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// Why. Text of the image in it is escaped.
    pub reason: String,
}

impl Unreadable {
    /// Something about a path.
    #[must_use]
    pub fn at(path: &ImagePath, reason: impl Into<String>) -> Self {
        Self { path: Some(path.clone()), line: None, reason: reason.into() }
    }

    /// Something about a line.
    #[must_use]
    pub fn at_line(path: &ImagePath, line: u32, reason: impl Into<String>) -> Self {
        Self { path: Some(path.clone()), line: Some(line), reason: reason.into() }
    }

    /// Something without a place.
    #[must_use]
    pub fn because(reason: impl Into<String>) -> Self {
        Self { path: None, line: None, reason: reason.into() }
    }

    /// A file that could not be read.
    #[must_use]
    pub fn reading(path: &ImagePath, error: &ReadError) -> Self {
        Self::at(path, error.to_string())
    }
}

/// What is scanned: the image, and what only the running system knows.
#[derive(Clone)]
pub struct Target<'i> {
    /// The image.
    pub root: Rootfs<'i>,
    /// `/proc` and `/sys` of the running system, where the image is the machine karat runs on. Absolute paths: `/proc/sys/…`.
    pub running: Option<Rootfs<'i>>,
    /// The day to judge dates by.
    pub today: Date,
    /// Facts that are handed over instead of read: the package list of a rule's example.
    pub packages: Option<Packages>,
}

impl<'i> Target<'i> {
    /// An image that is not running.
    #[must_use]
    pub fn image(root: Rootfs<'i>, today: Date) -> Self {
        Self { root, running: None, today, packages: None }
    }
}

/// What a set of checks asks for. Built up in rounds, because some needs follow from earlier facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    facts: BTreeSet<FactId>,
    files: BTreeSet<String>,
    contents: BTreeSet<String>,
    running: BTreeSet<String>,
    trees: BTreeSet<Selector>,
}

impl Needs {
    /// A fact (and what it is built from).
    pub fn fact(&mut self, id: FactId) {
        if self.facts.insert(id) {
            for &before in id.after() {
                self.fact(before);
            }
        }
    }

    /// Whether a fact is asked for, by itself or because another is built from it.
    #[must_use]
    pub fn asks_for(&self, id: FactId) -> bool {
        self.facts.contains(&id)
    }

    /// The metadata of all paths of a pattern ([`Rootfs::glob`]): [`Facts::files`].
    pub fn files(&mut self, pattern: impl Into<String>) {
        self.files.insert(pattern.into());
    }

    /// The content of all files of a pattern as well: [`Facts::files`].
    pub fn contents(&mut self, pattern: impl Into<String>) {
        self.contents.insert(pattern.into());
    }

    /// The content of all files of a pattern below `/proc` or `/sys` of the running system, where that is what is scanned:
    /// [`Facts::running_contents`].
    pub fn running(&mut self, pattern: impl Into<String>) {
        self.running.insert(pattern.into());
    }

    /// Everything in the whole tree that this selects: [`Facts::tree`].
    pub fn tree(&mut self, selector: Selector) {
        self.trees.insert(selector);
    }

    /// Whether everything here but the walk was asked for there already.
    fn but_trees_is_within(&self, other: &Self) -> bool {
        self.facts.is_subset(&other.facts)
            && self.files.is_subset(&other.files)
            && self.contents.is_subset(&other.contents)
            && self.running.is_subset(&other.running)
    }
}

/// Declares every fact: its accessor, its type, its gatherer, its id, and the facts it is built from.
macro_rules! facts {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $gather:path as $id:ident $(after $($before:ident)+)?;)+) => {
        /// Names a fact in [`Needs`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FactId { $($(#[doc = $doc])+ $id,)+ }

        impl FactId {
            /// Every fact there is.
            pub const ALL: &'static [Self] = &[$(Self::$id),+];

            /// The facts this one is built from.
            #[must_use]
            pub const fn after(self) -> &'static [Self] {
                match self { $(Self::$id => &[$($(Self::$before),+)?],)+ }
            }

            fn gather(self, facts: &Facts<'_>) -> Gathered {
                match self { $(Self::$id => Gathered::$id(Arc::new($gather(facts))),)+ }
            }
        }

        enum Gathered { $($id(Arc<Fact<$type>>),)+ }

        #[derive(Clone, Default)]
        struct Known { $($name: Option<Arc<Fact<$type>>>,)+ }

        impl Known {
            fn keep(&mut self, gathered: Gathered) {
                match gathered { $(Gathered::$id(fact) => self.$name = Some(fact),)+ }
            }

            fn has(&self, id: FactId) -> bool {
                match id { $(FactId::$id => self.$name.is_some(),)+ }
            }

            fn unreadable(&self) -> impl Iterator<Item = &Unreadable> {
                [$(self.$name.as_deref().and_then(|fact| fact.as_ref().err()),)+].into_iter().flatten()
            }
        }

        impl Facts<'_> {
            $(
                $(#[doc = $doc])+
                ///
                /// # Errors
                /// Why it is not known; also if no check asked for it.
                pub fn $name(&self) -> Result<&$type, Unreadable> {
                    match self.known.$name.as_deref() {
                        Some(fact) => fact.as_ref().map_err(Clone::clone),
                        None => Err(not_asked_for(stringify!($name))),
                    }
                }
            )+
        }
    };
}

facts! {
    /// What AIDE compares files with.
    aide: Aide = aide::gather as Aide after Cron Packages Units;
    /// What cron runs as root.
    cron: Cron = cron::gather as Cron after Packages;
    /// The audit rules as they are loaded at boot.
    audit: AuditRules = audit::gather as Audit after Units Packages;
    /// The configuration of auditd.
    auditd: Auditd = auditd::gather as Auditd;
    /// The profiles of AppArmor.
    apparmor: AppArmor = apparmor::gather as AppArmor;
    /// What SELinux is told to do.
    selinux: SeLinux = selinux::gather as SeLinux;
    /// What the boot loader hands to the kernel.
    boot: Boot = boot::gather as Boot after Packages;
    /// What `os-release` says.
    os: Os = os::gather as Os;
    /// The stacks of PAM.
    pam: Pam = pam::gather as Pam after Packages;
    /// The installed packages.
    packages: Packages = packages::gather as Packages after Os;
    /// Which package owns which path.
    owners: Owners = packages::gather_owners as Owners after Packages;
    /// What `login.defs` gives to new accounts.
    login_defs: LoginDefs = login_defs::gather as LoginDefs;
    /// The defaults of `useradd`.
    useradd_defaults: UseraddDefaults = login_defs::gather_useradd as UseraddDefaults;
    /// The accounts and groups.
    accounts: Accounts = accounts::gather as Accounts after LoginDefs;
    /// Passwords and their ageing.
    shadow: Shadow = accounts::gather_shadow as Shadow;
    /// Kernel modules, and what modprobe does with them.
    modules: Modules = modules::gather as Modules;
    /// The mail servers that start, and where they listen.
    mail: Mail = mail::gather as Mail after Units;
    /// What is mounted where.
    mounts: Mounts = mounts::gather as Mounts after Units;
    /// The kernel that boots by default.
    default_kernel: DefaultKernel = default_kernel::gather as DefaultKernel after Packages;
    /// Where chronyd takes the time from, and as whom it runs.
    chrony: Chrony = chrony::gather as Chrony after Os Units;
    /// What systemd does with core dumps.
    coredump: Coredump = coredump::gather as Coredump;
    /// The system-wide cryptographic policy.
    crypto_policy: CryptoPolicy = crypto_policy::gather as CryptoPolicy;
    /// DNF and its repositories.
    dnf: Dnf = dnf::gather as Dnf;
    /// APT and its archives.
    apt: Apt = apt::gather as Apt;
    /// The profile that authselect made the stacks of PAM from.
    authselect: Authselect = authselect::gather as Authselect;
    /// What dconf gives to users and to the login screen.
    dconf: Dconf = dconf::gather as Dconf;
    /// The configuration of GDM.
    gdm: Gdm = gdm::gather as Gdm after Os;
    /// What a login may use.
    limits: Limits = limits::gather as Limits;
    /// What sudo allows, and how.
    sudo: Sudo = sudo::gather as Sudo after Os Packages;
    /// Secrets that lie about in files.
    secrets: Secrets = secrets::gather as Secrets;
    /// Kernel parameters that are set at boot.
    sysctl: Sysctl = sysctl::gather as Sysctl after Units;
    /// Where systemd-timesyncd takes the time from.
    timesyncd: Timesyncd = timesyncd::gather as Timesyncd;
    /// The units of systemd, as the image will boot with them.
    units: Units = units::gather as Units after Os;
    /// Whether updates install themselves.
    updates: Updates = updates::gather as Updates after Packages Units;
    /// The effective configuration of the SSH server.
    sshd: Sshd = sshd::gather as Sshd after Os Packages Units Mounts;
    /// systemd-journald as it is configured.
    journald: Journald = journald::gather as Journald after Os;
    /// logrotate as it is configured.
    logrotate: Logrotate = logrotate::gather as Logrotate;
    /// What filters packets.
    firewall: Firewall = firewall::gather as Firewall after Os Units Sysctl Boot Sshd;
    /// rsyslog as it is configured.
    rsyslog: Rsyslog = rsyslog::gather as Rsyslog;
}

/// Everything the chosen checks asked for.
pub struct Facts<'i> {
    target: Target<'i>,
    known: Known,
    files: Arc<BTreeMap<String, Fact<Vec<FileState>>>>,
    contents: Arc<BTreeMap<String, Fact<Vec<FileFact>>>>,
    running: Arc<BTreeMap<String, Fact<Vec<FileFact>>>>,
    tree: Option<Arc<TreeFact>>,
}

impl<'i> Facts<'i> {
    /// Rounds of needs that follow from facts, beyond which the rest stays unknown.
    pub const MAX_ROUNDS: usize = 8;

    /// Nothing known yet.
    #[must_use]
    pub fn none(target: Target<'i>) -> Self {
        Self {
            target,
            known: Known::default(),
            files: Arc::default(),
            contents: Arc::default(),
            running: Arc::default(),
            tree: None,
        }
    }

    /// Gathers what `needs` asks for, round by round: it is called until it asks for nothing new.
    pub fn gather(target: Target<'i>, needs: impl Fn(&Facts<'i>, &mut Needs)) -> Self {
        let mut facts = Self::none(target);
        let mut done = Needs::default();
        for _ in 0..Self::MAX_ROUNDS {
            let mut asked = done.clone();
            needs(&facts, &mut asked);
            if !asked.but_trees_is_within(&done) {
                facts.add(&asked, &done);
                // The walk waits until nothing else is asked for, so that there is one walk and not one a round.
                asked.trees.clone_from(&done.trees);
            } else if !asked.trees.is_subset(&done.trees) {
                facts.add_trees(&asked, &done);
            } else {
                break;
            }
            done = asked;
        }
        facts
    }

    fn add(&mut self, asked: &Needs, done: &Needs) {
        loop {
            let ready: Vec<FactId> = (asked.facts.iter().copied())
                .filter(|&id| !self.known.has(id) && id.after().iter().all(|&before| self.known.has(before)))
                .collect();
            if ready.is_empty() {
                break;
            }
            let gathered: Vec<Gathered> = ready.par_iter().map(|id| id.gather(&self.within(&Budget::default()))).collect();
            gathered.into_iter().for_each(|fact| self.known.keep(fact));
        }
        let root = self.target.root;
        let files: Vec<_> = asked.files.difference(&done.files).collect();
        let found: Vec<_> =
            files.par_iter().map(|&pattern| (pattern.clone(), files::states(root.within(&Budget::default()), pattern))).collect();
        Arc::make_mut(&mut self.files).extend(found);
        let contents: Vec<_> = asked.contents.difference(&done.contents).collect();
        let found: Vec<_> = contents
            .par_iter()
            .map(|&pattern| (pattern.clone(), files::contents(root.within(&Budget::default()), pattern)))
            .collect();
        Arc::make_mut(&mut self.contents).extend(found);
        if let Some(running) = self.target.running {
            let asked = asked.running.difference(&done.running);
            let contents = |pattern: &String| files::contents(running.within(&Budget::default()), pattern);
            let found: Vec<_> = asked.map(|pattern| (pattern.clone(), contents(pattern))).collect();
            Arc::make_mut(&mut self.running).extend(found);
        }
    }

    /// What is known, for gathering one more fact within a budget of its own.
    fn within<'b>(&self, budget: &'b Budget) -> Facts<'b>
    where
        'i: 'b,
    {
        let target = Target { root: self.target.root.within(budget), ..self.target.clone() };
        Facts {
            target,
            known: self.known.clone(),
            files: Arc::clone(&self.files),
            contents: Arc::clone(&self.contents),
            running: Arc::clone(&self.running),
            tree: self.tree.clone(),
        }
    }

    fn add_trees(&mut self, asked: &Needs, done: &Needs) {
        let trees: BTreeSet<Selector> = asked.trees.difference(&done.trees).cloned().collect();
        let fact = tree::gather(self, &trees);
        match &mut self.tree {
            Some(known) => Arc::make_mut(known).extend(fact),
            None => self.tree = Some(Arc::new(fact)),
        }
    }

    /// What is scanned.
    #[must_use]
    pub fn target(&self) -> &Target<'i> {
        &self.target
    }

    /// The image itself, for gathering. Checks do not read: they state what they [need](Needs).
    #[must_use]
    pub fn root(&self) -> Rootfs<'i> {
        self.target.root
    }

    /// `/proc` and `/sys` of the running system, if that is what is scanned.
    #[must_use]
    pub fn running(&self) -> Option<Rootfs<'i>> {
        self.target.running
    }

    /// The paths of a pattern with what they are.
    ///
    /// # Errors
    /// Why they are not known; also if no check asked for them.
    pub fn files(&self, pattern: &str) -> Result<&[FileState], Unreadable> {
        match self.files.get(pattern) {
            Some(fact) => fact.as_deref().map_err(Clone::clone),
            None => Err(not_asked_for(pattern)),
        }
    }

    /// The files of a pattern with their content.
    ///
    /// # Errors
    /// Why they are not known; also if no check asked for them.
    pub fn contents(&self, pattern: &str) -> Result<&[FileFact], Unreadable> {
        match self.contents.get(pattern) {
            Some(fact) => fact.as_deref().map_err(Clone::clone),
            None => Err(not_asked_for(pattern)),
        }
    }

    /// The files of a pattern below `/proc` or `/sys` of the running system; nothing if an image is scanned that does not run. Where
    /// it does, why they are not known may be said instead.
    #[must_use]
    pub fn running_contents(&self, pattern: &str) -> Option<Result<&[FileFact], Unreadable>> {
        self.target.running?;
        Some(match self.running.get(pattern) {
            Some(fact) => fact.as_deref().map_err(Clone::clone),
            None => Err(not_asked_for(pattern)),
        })
    }

    /// What the one walk over the whole tree found.
    ///
    /// # Errors
    /// If no check asked for it.
    pub fn tree(&self) -> Result<&TreeFact, Unreadable> {
        self.tree.as_deref().ok_or_else(|| not_asked_for("the whole tree"))
    }

    /// Every fact that could not be read, sorted: for the troubles of a scan.
    #[must_use]
    pub fn unreadable(&self) -> Vec<Unreadable> {
        let files = self.files.values().filter_map(|fact| fact.as_ref().err());
        let contents = self.contents.values().filter_map(|fact| fact.as_ref().err());
        let all: BTreeSet<Unreadable> = self.known.unreadable().chain(files).chain(contents).cloned().collect();
        all.into_iter().collect()
    }
}

fn not_asked_for(what: &str) -> Unreadable {
    Unreadable::because(format!("{what} was not asked for, or only after {} rounds", Facts::MAX_ROUNDS))
}
