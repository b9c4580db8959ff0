//! The machine-checkable conditions that rules are made of. One file a kind.
//!
//! In TOML a check is a key, so that a mistake is pointed at exactly:
//!
//! ```toml
//! check.sysctl = { key = "net.ipv4.ip_forward", equals = 0 }
//! check.all = [ { package = { name = "rsyslog" } }, { unit = { name = "rsyslog.service", enabled = true } } ]
//! ```
//!
//! To add a kind: one file with its type (`Deserialize`, `JsonSchema`, every field documented) and its [`Kind`], and one line in the
//! list below.

mod account_files;
mod accounts;
mod aide;
mod applies;
mod audit_call;
mod audit_loading;
mod audit_log;
mod audit_program;
mod audit_setting;
mod audit_watch;
mod authselect;
mod automatic_updates;
mod banner;
mod boot;
mod cloudwatch_agent;
mod coredump;
mod cron;
mod crypto_policy;
mod dconf;
mod default_kernel;
mod file;
mod firewall;
mod groups;
mod home_files;
mod host_keys;
mod journald;
mod leftover;
mod limit;
mod line;
mod login_defs;
mod logrotate;
mod mail;
mod mandatory_access;
mod matcher;
mod module;
mod mount;
mod newest_package;
mod package;
mod package_sources;
mod pam;
mod pam_flow;
mod password_age;
mod root_path;
mod rsyslog;
mod secrets;
mod services;
mod shell;
mod shells;
mod sshd;
mod sudo;
mod sysctl;
mod time_source;
mod tree;
mod unit;
mod unit_setting;
mod value;
mod wireless;

use schemars::JsonSchema;
use serde::Deserialize;

pub use applies::{Applies, OsSelector};
pub use matcher::{Matcher, Observed};
pub use value::{Mode, NamePattern, Names, Pattern, Scalar};

use crate::facts::{Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};

/// A kind of check.
trait Kind {
    /// What it has to know. Asked again with the facts it got, until it asks for nothing new.
    fn needs(&self, facts: &Facts<'_>, needs: &mut Needs);

    /// What it says, or what could not be read, which leaves it unknown.
    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable>;

    /// What it says.
    fn evaluate(&self, facts: &Facts<'_>) -> Outcome {
        self.verdict(facts).unwrap_or_else(|unreadable| unknown(&unreadable))
    }

    /// What is wrong with it as it is written, beyond the types of its fields.
    fn flaw(&self) -> Option<String> {
        None
    }
}

macro_rules! checks {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty,)+) => {
        /// A condition on an image.
        #[derive(Debug, Clone, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum Check {
            /// Every one of these holds.
            All(Vec<Check>),
            /// At least one of these holds.
            Any(Vec<Check>),
            /// This does not hold.
            Not(Box<Check>),
            $($(#[doc = $doc])+ $name($type),)+
        }

        impl Check {
            /// The kinds by type name, as they are called in a schema's definitions.
            pub const KINDS: &'static [&'static str] = &[$(stringify!($name)),+];

            fn kind(&self) -> Result<&dyn Kind, Group<'_>> {
                match self {
                    Self::All(inner) => Err(Group::All(inner)),
                    Self::Any(inner) => Err(Group::Any(inner)),
                    Self::Not(inner) => Err(Group::Not(inner)),
                    $(Self::$name(check) => Ok(check),)+
                }
            }
        }
    };
}

/// The kinds that are made of other checks.
enum Group<'c> {
    All(&'c [Check]),
    Any(&'c [Check]),
    Not(&'c Check),
}

checks! {
    /// Lines of passwd, group and shadow that are no entries.
    AccountFiles: account_files::AccountFiles,
    /// Accounts: names, ids, login programs, passwords, home directories.
    Accounts: accounts::Accounts,
    /// What AIDE compares, with what, and when.
    Aide: aide::Aide,
    /// Jobs of cron.
    Cron: cron::Cron,
    /// System calls that are recorded.
    AuditCall: audit_call::AuditCall,
    /// How the audit rules come into the kernel.
    AuditLoading: audit_loading::AuditLoading,
    /// The files that auditd writes.
    AuditLog: audit_log::AuditLog,
    /// Programs whose execution is recorded.
    AuditProgram: audit_program::AuditProgram,
    /// What is set along with the audit rules.
    AuditSetting: audit_setting::AuditSetting,
    /// Files that are watched.
    AuditWatch: audit_watch::AuditWatch,
    /// The configuration of auditd.
    Auditd: audit_setting::Auditd,
    /// The profiles of AppArmor.
    AppArmor: mandatory_access::AppArmor,
    /// What SELinux is told to do.
    SeLinux: mandatory_access::SeLinux,
    /// Updates that install themselves.
    AutomaticUpdates: automatic_updates::AutomaticUpdates,
    /// An option of APT.
    Apt: package_sources::Apt,
    /// The archives of APT.
    AptSources: package_sources::AptSources,
    /// The profile of authselect.
    Authselect: authselect::Authselect,
    /// A setting of DNF.
    Dnf: package_sources::Dnf,
    /// A setting of the repositories of DNF.
    DnfRepositories: package_sources::DnfRepositories,
    /// Keys that rpm trusts.
    PackageKeys: package_sources::PackageKeys,
    /// The domains of SELinux that processes run in.
    SeLinuxDomain: mandatory_access::SeLinuxDomain,
    /// Arguments of the kernel.
    BootArgument: boot::BootArgument,
    /// The boot loader's password.
    BootPassword: boot::BootPassword,
    /// The configuration of Amazon's CloudWatch agent.
    CloudwatchAgent: cloudwatch_agent::CloudwatchAgent,
    /// The kernel that boots if nobody chooses.
    DefaultKernel: default_kernel::DefaultKernel,
    /// Files by path or pattern: existence, mode, owner, group, link.
    File: file::File,
    /// Settings of firewalld.
    FirewalldSetting: firewall::FirewalldSetting,
    /// What the zones of firewalld do.
    FirewalldZones: firewall::FirewalldZones,
    /// How many firewalls are in use.
    FirewallsInUse: firewall::FirewallsInUse,
    /// What iptables does with packets that no rule decides on.
    IptablesPolicy: firewall::IptablesPolicy,
    /// Whether saved rules of iptables are loaded.
    IptablesRules: firewall::IptablesRules,
    /// Traffic of the machine with itself, and what pretends to be that.
    LoopbackTraffic: firewall::LoopbackTraffic,
    /// Chains of nftables at hooks.
    NftablesChains: firewall::NftablesChains,
    /// Tables of nftables.
    NftablesTable: firewall::NftablesTable,
    /// Rules for the ports that are open.
    OpenPorts: firewall::OpenPorts,
    /// Settings of ufw.
    Ufw: firewall::Ufw,
    /// Groups: names, ids, members.
    Groups: groups::Groups,
    /// Files in the home directories of accounts.
    HomeFiles: home_files::HomeFiles,
    /// Settings of systemd-journald.
    Journald: journald::Journald,
    /// What the making of an image left behind.
    Leftover: leftover::Leftover,
    /// Lines of a text file: the escape hatch where no typed check knows the format.
    Line: line::Line,
    /// A setting of `/etc/login.defs`.
    LoginDefs: login_defs::LoginDefs,
    /// Kernel modules: whether they can be loaded.
    Module: module::Module,
    /// Where mail servers take letters.
    MailListener: mail::MailListener,
    /// Mounts: what is mounted where, and how.
    Mount: mount::Mount,
    /// How old the newest package is.
    NewestPackage: newest_package::NewestPackage,
    /// What logrotate does.
    Logrotate: logrotate::Logrotate,
    /// Packages: there or not, and how new.
    Package: package::Package,
    /// Modules in the stacks of PAM.
    Pam: pam::Pam,
    /// What the stacks of PAM come to as a whole.
    PamFlow: pam_flow::PamFlow,
    /// The settings of PAM's modules.
    PamOption: pam::PamOption,
    /// The ageing of passwords that are there already.
    PasswordAge: password_age::PasswordAge,
    /// What rsyslog takes, writes and sends.
    Rsyslog: rsyslog::Rsyslog,
    /// Secrets that lie about in files.
    Secrets: secrets::Secrets,
    /// Lists of services, each of which starts or does not.
    Services: services::Services,
    /// The list of login shells.
    Shells: shells::Shells,
    /// Texts that are shown before and after a login.
    Banner: banner::Banner,
    /// The user as whom chronyd runs.
    ChronyUser: time_source::ChronyUser,
    /// What systemd does with core dumps.
    Coredump: coredump::Coredump,
    /// The system-wide cryptographic policy by name.
    CryptoPolicy: crypto_policy::CryptoPolicy,
    /// What the system-wide cryptographic policy allows.
    CryptoProperty: crypto_policy::CryptoProperty,
    /// A setting that users of the desktop, or its login screen, get from dconf.
    Dconf: dconf::Dconf,
    /// The databases of dconf.
    DconfDatabases: dconf::DconfDatabases,
    /// A setting of the GNOME display manager.
    Gdm: dconf::Gdm,
    /// Hard limits of logins.
    Limit: limit::Limit,
    /// The mask that logins give to new files.
    LoginUmask: login_defs::LoginUmask,
    /// The folders in which root's programs are looked for.
    RootPath: root_path::RootPath,
    /// The mask that shells give to new files.
    ShellUmask: shell::ShellUmask,
    /// Variables that shell start-up files set.
    ShellVariable: shell::ShellVariable,
    /// An option of sudo.
    SudoDefault: sudo::SudoDefault,
    /// The tags of commands that sudo allows.
    SudoTag: sudo::SudoTag,
    /// Kernel parameters as they are set at boot.
    Sysctl: sysctl::Sysctl,
    /// A setting of the SSH server.
    Sshd: sshd::Sshd,
    /// Where the time comes from.
    TimeSource: time_source::TimeSource,
    /// Everything in the whole tree that fits a predicate.
    Tree: tree::Tree,
    /// Units of systemd: there or not, enabled, masked, started.
    Unit: unit::Unit,
    /// Settings of a unit of systemd.
    UnitSetting: unit_setting::UnitSetting,
    /// A default of `useradd`.
    Useradd: login_defs::Useradd,
    /// Wireless interfaces of the running machine.
    WirelessInterface: wireless::WirelessInterface,
}

impl Check {
    /// Adds what this check has to know.
    pub fn needs(&self, facts: &Facts<'_>, needs: &mut Needs) {
        match self.kind() {
            Ok(kind) => kind.needs(facts, needs),
            Err(Group::All(inner) | Group::Any(inner)) => inner.iter().for_each(|check| check.needs(facts, needs)),
            Err(Group::Not(inner)) => inner.needs(facts, needs),
        }
    }

    /// Judges, from gathered facts alone.
    #[must_use]
    pub fn evaluate(&self, facts: &Facts<'_>) -> Outcome {
        let judge = |check: &Self| check.evaluate(facts);
        match self.kind() {
            Ok(kind) => kind.evaluate(facts),
            Err(Group::All(inner)) => Outcome::all(inner.iter().map(judge)),
            Err(Group::Any(inner)) => Outcome::any(inner.iter().map(judge)),
            Err(Group::Not(inner)) => inner.evaluate(facts).negate(),
        }
    }

    /// What is wrong with the check as it is written, if anything is.
    #[must_use]
    pub fn flaw(&self) -> Option<String> {
        match self.kind() {
            Ok(kind) => kind.flaw(),
            Err(Group::All([]) | Group::Any([])) => Some("an empty list checks nothing".into()),
            Err(Group::All(inner) | Group::Any(inner)) => inner.iter().find_map(Self::flaw),
            Err(Group::Not(inner)) => inner.flaw(),
        }
    }
}

/// The verdict where a fact is not known.
fn unknown(unreadable: &Unreadable) -> Outcome {
    let evidence = unreadable.path.iter().map(|path| Evidence::at(path).line_opt(unreadable.line).found(&unreadable.reason));
    Outcome::unknown(unreadable.to_string(), evidence.collect())
}
