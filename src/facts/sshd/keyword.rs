//! The keywords of `sshd_config(5)`: how each is read, which of several values counts, where it may stand, and what is built in.
//!
//! From the keyword table, `fill_default_server_options` and the parser of `servconf.c` in OpenSSH 7.4 to 10.5, and from the patches
//! of Debian (`gssapi.patch`, `debian-banner.patch`, `revert-ipqos-defaults.patch`) and Red Hat (`gssapi-keyex`, `kuserok`,
//! `minrsabits`). The defaults of Debian 12 are proved against the real sshd in `tests/it/sshd_oracle.rs`.

use super::algorithms::Family;
use super::release::{Release, Vendor};

/// A setting of the server.
#[derive(Debug)]
pub struct Keyword {
    /// Its name, as `sshd_config(5)` writes it.
    pub name: &'static str,
    pub(super) syntax: Syntax,
    pub(super) merge: Merge,
    pub(super) scope: Scope,
    /// The first release that knows it (902 is 9.2); 0 where that is older than 7.4.
    since: u16,
    patch: Patch,
    default: &'static str,
}

/// How the arguments are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// One of these words, whatever its case; each with the word it means.
    Choice(&'static [(&'static str, &'static str)]),
    /// The same, but case matters.
    ExactChoice(&'static [(&'static str, &'static str)]),
    /// A whole number from 0.
    Number,
    /// A number, or `none` for no limit.
    NumberOrNone,
    /// A time span.
    Time,
    /// A time span, or `none` for 0.
    TimeOrNone,
    /// One word.
    Word,
    /// A path; a relative one starts in the root directory, where the server runs.
    Path,
    /// Any number of words, none of them empty.
    Words,
    /// Patterns of users or groups.
    Patterns,
    /// Names of environment variables.
    Environment,
    /// `NAME=value`.
    Assignments,
    /// Names of algorithms.
    Algorithms(Family),
    /// The rest of the line as it is.
    Text,
    /// The rest of the line, an absolute path first, or `none`.
    Command,
    /// A TCP port.
    Port,
    /// An address with or without a port.
    Listen,
    /// `start:rate:full`.
    Startups,
    /// `ipv4:ipv6`, lengths of masks.
    NetBlock,
    /// An amount of data, perhaps with a time.
    Rekey,
    /// An octal file mode.
    Mask,
    /// One or two types of service.
    Qos,
    /// `yes`, `no` (in lower case only) or a list of names.
    UserEnvironment,
    /// Lists of authentication methods, or `any`.
    Methods,
    /// `host:port`, `any` or `none`.
    Forwards,
    /// `type=time`, or `none`.
    Timeouts,
    /// A name and a command.
    Subsystem,
    /// `none` or words.
    NoneOrWords,
    /// Not supported on Linux: having it at all is an error.
    Refused,
}

/// Which of several values counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// The first.
    First,
    /// The last.
    Last,
    /// All of them.
    Append,
}

/// Where a keyword may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Not in a `Match` block.
    Global,
    /// Anywhere.
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patch {
    None,
    /// Debian's, Red Hat's and SUSE's alike.
    Gssapi,
    Debian,
    RedHat,
}

/// What a word at the beginning of a line is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meaning {
    /// A setting, and where this name of it may stand.
    Setting(&'static Keyword, Scope),
    /// Read over: deprecated, or not compiled in.
    Ignored(Scope),
    /// `Match`.
    Match,
    /// `Include`.
    Include,
}

const FLAG: Syntax = Syntax::Choice(&[("yes", "yes"), ("no", "no")]);
const ROOT: Syntax = Syntax::Choice(&[
    ("without-password", "prohibit-password"),
    ("prohibit-password", "prohibit-password"),
    ("forced-commands-only", "forced-commands-only"),
    ("yes", "yes"),
    ("no", "no"),
]);
const RHOSTS: Syntax = Syntax::Choice(&[("yes", "yes"), ("no", "no"), ("shosts-only", "shosts-only")]);
const COMPRESSION: Syntax = Syntax::Choice(&[("yes", "yes"), ("delayed", "yes"), ("no", "no")]);
const GATEWAY: Syntax = Syntax::Choice(&[("clientspecified", "clientspecified"), ("yes", "yes"), ("no", "no")]);
const FORWARD: Syntax = Syntax::Choice(&[("yes", "yes"), ("all", "yes"), ("no", "no"), ("remote", "remote"), ("local", "local")]);
const ADDRESSES: Syntax = Syntax::Choice(&[("inet", "inet"), ("inet6", "inet6"), ("any", "any")]);
const TUNNEL: Syntax =
    Syntax::ExactChoice(&[("no", "no"), ("point-to-point", "point-to-point"), ("ethernet", "ethernet"), ("yes", "yes")]);
const HASH: Syntax =
    Syntax::Choice(&[("md5", "MD5"), ("sha1", "SHA1"), ("sha256", "SHA256"), ("sha384", "SHA384"), ("sha512", "SHA512")]);
const LEVEL: Syntax = Syntax::Choice(&[
    ("quiet", "QUIET"),
    ("fatal", "FATAL"),
    ("error", "ERROR"),
    ("info", "INFO"),
    ("verbose", "VERBOSE"),
    ("debug", "DEBUG"),
    ("debug1", "DEBUG"),
    ("debug2", "DEBUG2"),
    ("debug3", "DEBUG3"),
]);
const FACILITY: Syntax = Syntax::Choice(&[
    ("daemon", "DAEMON"),
    ("user", "USER"),
    ("auth", "AUTH"),
    ("authpriv", "AUTHPRIV"),
    ("local0", "LOCAL0"),
    ("local1", "LOCAL1"),
    ("local2", "LOCAL2"),
    ("local3", "LOCAL3"),
    ("local4", "LOCAL4"),
    ("local5", "LOCAL5"),
    ("local6", "LOCAL6"),
    ("local7", "LOCAL7"),
]);

const fn all(name: &'static str, syntax: Syntax, default: &'static str) -> Keyword {
    Keyword { name, syntax, merge: Merge::First, scope: Scope::All, since: 0, patch: Patch::None, default }
}

const fn global(name: &'static str, syntax: Syntax, default: &'static str) -> Keyword {
    Keyword { name, syntax, merge: Merge::First, scope: Scope::Global, since: 0, patch: Patch::None, default }
}

impl Keyword {
    const fn since(self, since: u16) -> Self {
        Self { since, ..self }
    }

    const fn merged(self, merge: Merge) -> Self {
        Self { merge, ..self }
    }

    const fn of(self, patch: Patch) -> Self {
        Self { patch, ..self }
    }
}

/// Every setting.
static KEYWORDS: &[Keyword] = &[
    all("AcceptEnv", Syntax::Environment, "").merged(Merge::Append),
    global("AddressFamily", ADDRESSES, "any"),
    all("AllowAgentForwarding", FLAG, "yes"),
    all("AllowGroups", Syntax::Patterns, "").merged(Merge::Append),
    all("AllowStreamLocalForwarding", FORWARD, "yes"),
    all("AllowTcpForwarding", FORWARD, "yes"),
    all("AllowUsers", Syntax::Patterns, "").merged(Merge::Append),
    all("AuthenticationMethods", Syntax::Methods, "any"),
    all("AuthorizedKeysCommand", Syntax::Command, "none"),
    all("AuthorizedKeysCommandUser", Syntax::Word, "none"),
    all("AuthorizedKeysFile", Syntax::Words, ".ssh/authorized_keys .ssh/authorized_keys2"),
    all("AuthorizedPrincipalsCommand", Syntax::Command, "none"),
    all("AuthorizedPrincipalsCommandUser", Syntax::Word, "none"),
    all("AuthorizedPrincipalsFile", Syntax::Word, "none"),
    all("Banner", Syntax::Path, "none"),
    all("CASignatureAlgorithms", Syntax::Algorithms(Family::Signature), "").since(709),
    global("ChallengeResponseAuthentication", FLAG, "yes"),
    all("ChannelTimeout", Syntax::Timeouts, "none").since(902),
    all("ChrootDirectory", Syntax::Word, "none"),
    global("Ciphers", Syntax::Algorithms(Family::Cipher), ""),
    all("ClientAliveCountMax", Syntax::Number, "3"),
    all("ClientAliveInterval", Syntax::Time, "0"),
    global("Compression", COMPRESSION, "yes"),
    global("DebianBanner", FLAG, "yes").of(Patch::Debian),
    all("DenyGroups", Syntax::Patterns, "").merged(Merge::Append),
    all("DenyUsers", Syntax::Patterns, "").merged(Merge::Append),
    all("DisableForwarding", FLAG, "no"),
    all("ExposeAuthInfo", FLAG, "no").since(706),
    global("FingerprintHash", HASH, "SHA256").merged(Merge::Last),
    all("ForceCommand", Syntax::Text, "none"),
    all("GSSAPIAuthentication", FLAG, "no"),
    global("GSSAPICleanupCredentials", FLAG, "yes"),
    global("GSSAPIDelegateCredentials", FLAG, "yes").since(1003),
    all("GSSAPIEnablek5users", FLAG, "no").of(Patch::RedHat),
    global("GSSAPIKexAlgorithms", Syntax::Word, "").of(Patch::Gssapi),
    global("GSSAPIKeyExchange", FLAG, "no").of(Patch::Gssapi),
    global("GSSAPIStoreCredentialsOnRekey", FLAG, "no").of(Patch::Gssapi),
    global("GSSAPIStrictAcceptorCheck", FLAG, "yes"),
    all("GatewayPorts", GATEWAY, "no"),
    all("HostbasedAcceptedAlgorithms", Syntax::Algorithms(Family::Key), ""),
    all("HostbasedAuthentication", FLAG, "no"),
    all("HostbasedUsesNameFromPacketOnly", FLAG, "no"),
    global("HostCertificate", Syntax::Path, "").merged(Merge::Append),
    global("HostKey", Syntax::Path, "").merged(Merge::Append),
    global("HostKeyAgent", Syntax::Path, "none"),
    global("HostKeyAlgorithms", Syntax::Algorithms(Family::Key), ""),
    all("IPQoS", Syntax::Qos, "").merged(Merge::Last),
    all("IgnoreRhosts", RHOSTS, "yes"),
    global("IgnoreUserKnownHosts", FLAG, "no"),
    all("KbdInteractiveAuthentication", FLAG, "yes"),
    all("KerberosAuthentication", FLAG, "no"),
    global("KerberosOrLocalPasswd", FLAG, "yes"),
    global("KerberosTicketCleanup", FLAG, "yes"),
    all("KerberosUniqueCCache", FLAG, "no").of(Patch::RedHat),
    all("KerberosUseKuserok", FLAG, "yes").of(Patch::RedHat),
    global("KexAlgorithms", Syntax::Algorithms(Family::Kex), ""),
    global("ListenAddress", Syntax::Listen, "").merged(Merge::Append),
    global("LoginGraceTime", Syntax::Time, "120"),
    all("LogLevel", LEVEL, "INFO"),
    all("LogVerbose", Syntax::NoneOrWords, "none").since(805),
    global("MACs", Syntax::Algorithms(Family::Mac), ""),
    all("MaxAuthTries", Syntax::Number, "6"),
    all("MaxSessions", Syntax::Number, "10"),
    global("MaxStartups", Syntax::Startups, "10:30:100"),
    global("ModuliFile", Syntax::Path, "/etc/ssh/moduli").since(806),
    all("PAMServiceName", Syntax::Word, "sshd").since(908),
    all("PasswordAuthentication", FLAG, "yes"),
    all("PermitEmptyPasswords", FLAG, "no"),
    all("PermitListen", Syntax::Forwards, "any").since(708),
    all("PermitOpen", Syntax::Forwards, "any"),
    all("PermitRootLogin", ROOT, "prohibit-password"),
    all("PermitTTY", FLAG, "yes"),
    all("PermitTunnel", TUNNEL, "no"),
    global("PermitUserEnvironment", Syntax::UserEnvironment, "no"),
    all("PermitUserRC", FLAG, "yes"),
    global("PerSourceMaxStartups", Syntax::NumberOrNone, "none").since(805),
    global("PerSourceNetBlockSize", Syntax::NetBlock, "32:128").since(805),
    global("PerSourcePenalties", Syntax::Words, "yes").since(908).merged(Merge::Append),
    global("PerSourcePenaltyExemptList", Syntax::Word, "none").since(908),
    global("PidFile", Syntax::Path, ""),
    global("Port", Syntax::Port, "22").merged(Merge::Append),
    global("PrintLastLog", FLAG, "yes"),
    global("PrintMotd", FLAG, "yes"),
    all("PubkeyAcceptedAlgorithms", Syntax::Algorithms(Family::Key), ""),
    all("PubkeyAuthOptions", Syntax::NoneOrWords, "none").since(802),
    all("PubkeyAuthentication", FLAG, "yes"),
    all("RDomain", Syntax::Refused, "none").since(708),
    all("RefuseConnection", FLAG, "no").since(909),
    all("RekeyLimit", Syntax::Rekey, "0 0"),
    all("RequiredRSASize", Syntax::Number, "1024").since(901),
    all("RevokedKeys", Syntax::Path, "none"),
    global("SecurityKeyProvider", Syntax::Path, "internal").since(802),
    all("SetEnv", Syntax::Assignments, "").since(708),
    global("SshdAuthPath", Syntax::Path, "").since(1000),
    global("SshdSessionPath", Syntax::Path, "").since(908),
    all("StreamLocalBindMask", Syntax::Mask, "0177").merged(Merge::Last),
    all("StreamLocalBindUnlink", FLAG, "no"),
    global("StrictModes", FLAG, "yes"),
    all("Subsystem", Syntax::Subsystem, "").merged(Merge::Append),
    global("SyslogFacility", FACILITY, "AUTH"),
    global("TCPKeepAlive", FLAG, "yes"),
    all("TrustedUserCAKeys", Syntax::Path, "none"),
    all("UnusedConnectionTimeout", Syntax::TimeOrNone, "0").since(902),
    global("UseDNS", FLAG, "no"),
    global("UsePAM", FLAG, "no"),
    global("VersionAddendum", Syntax::Text, "none"),
    all("X11DisplayOffset", Syntax::Number, "10"),
    all("X11Forwarding", FLAG, "no"),
    all("X11UseLocalhost", FLAG, "yes"),
    global("XAuthLocation", Syntax::Path, "/usr/bin/xauth"),
];

/// Other names of settings, with where they may stand.
const ALIASES: [(&str, &str, Option<Scope>); 8] = [
    ("HostDSAKey", "HostKey", None),
    ("HostbasedAcceptedKeyTypes", "HostbasedAcceptedAlgorithms", None),
    ("PubkeyAcceptedKeyTypes", "PubkeyAcceptedAlgorithms", None),
    ("DSAAuthentication", "PubkeyAuthentication", Some(Scope::Global)),
    ("ChallengeResponseAuthentication", "KbdInteractiveAuthentication", None),
    ("SkeyAuthentication", "KbdInteractiveAuthentication", None),
    ("KeepAlive", "TCPKeepAlive", None),
    ("RSAMinSize", "RequiredRSASize", None),
];

/// Keywords that are read over (`sDeprecated`, `sIgnore`, `sUnsupported`).
const IGNORED: [(&str, Scope); 16] = [
    ("PAMAuthenticationViaKbdInt", Scope::Global),
    ("ServerKeyBits", Scope::Global),
    ("KeyRegenerationInterval", Scope::Global),
    ("RhostsAuthentication", Scope::Global),
    ("RhostsRSAAuthentication", Scope::All),
    ("RSAAuthentication", Scope::All),
    ("KerberosGetAFSToken", Scope::Global),
    ("KerberosTgtPassing", Scope::Global),
    ("AFSTokenPassing", Scope::Global),
    ("CheckMail", Scope::Global),
    ("UseLogin", Scope::Global),
    ("Protocol", Scope::Global),
    ("VerifyReverseMapping", Scope::Global),
    ("ReverseMappingCheck", Scope::Global),
    ("AuthorizedKeysFile2", Scope::All),
    ("UsePrivilegeSeparation", Scope::Global),
];

impl Keyword {
    /// The setting of this name, whatever its case.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        KEYWORDS.iter().find(|keyword| keyword.name.eq_ignore_ascii_case(name))
    }

    /// Every setting.
    pub fn every() -> impl Iterator<Item = &'static Self> {
        KEYWORDS.iter()
    }

    /// Whether a release has this setting, by whatever name.
    #[must_use]
    pub fn is_known_to(&self, release: &Release) -> bool {
        // Red Hat brought `RSAMinSize` to its older releases and kept that name.
        let since = if self.name == "RequiredRSASize" && release.vendor == Vendor::RedHat { 800 } else { self.since };
        let patched = match (self.patch, release.vendor) {
            (Patch::None | Patch::Gssapi, _) | (_, Vendor::Other) => true,
            (Patch::Debian, vendor) => vendor == Vendor::Debian,
            (Patch::RedHat, vendor) => vendor == Vendor::RedHat,
        };
        // Since 8.7 it is another name of KbdInteractiveAuthentication.
        release.number >= since && patched && (self.name != "ChallengeResponseAuthentication" || release.number < 807)
    }

    /// What is built in; nothing for lists that begin empty.
    #[must_use]
    pub fn default(&self, release: &Release) -> Option<String> {
        let text = match (self.name, self.syntax) {
            (_, Syntax::Algorithms(family)) => return Some(family.default(release).join(",")),
            ("HostKey", _) => {
                let mut keys = vec!["rsa", "ecdsa", "ed25519"];
                if release.number < 706 {
                    keys.insert(1, "dsa");
                }
                if release.number >= 1005 {
                    keys.push("mldsa44_ed25519");
                }
                return Some(keys.iter().map(|kind| format!("/etc/ssh/ssh_host_{kind}_key")).collect::<Vec<_>>().join("\n"));
            }
            // Debian keeps the older values until 10.0 (`revert-ipqos-defaults.patch`).
            ("IPQoS", _) if release.number < 708 || (release.vendor == Vendor::Debian && release.number < 1001) => {
                "lowdelay throughput"
            }
            ("IPQoS", _) if release.number < 1001 => "af21 cs1",
            ("IPQoS", _) => "ef cs0",
            ("PidFile", _) if release.vendor == Vendor::Debian => "/run/sshd.pid",
            ("PidFile", _) => "/var/run/sshd.pid",
            ("GSSAPIStrictAcceptorCheck", _) if release.number < 705 => "no",
            ("GSSAPIKexAlgorithms", _) => {
                "gss-group14-sha256-,gss-group16-sha512-,gss-nistp256-sha256-,gss-curve25519-sha256-,gss-group14-sha1-,gss-gex-sha1-"
            }
            ("RequiredRSASize", _) if release.vendor == Vendor::RedHat && release.number < 901 => "1024",
            _ => self.default,
        };
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Where it may stand in a release.
    fn scope_in(&self, release: &Release) -> Scope {
        let global_before = match self.name {
            "LogLevel" => 708,
            "IgnoreRhosts" => 803,
            "Subsystem" => 905,
            _ => 0,
        };
        if release.number < global_before { Scope::Global } else { self.scope }
    }

    /// Which of several values counts in a release.
    pub(super) fn merge_in(&self, release: &Release) -> Merge {
        let last_before = match self.name {
            "MaxStartups" | "PerSourceNetBlockSize" | "IPQoS" => 1001,
            "PerSourceMaxStartups" => 905,
            _ => 0,
        };
        match self.merge {
            _ if release.number < last_before => Merge::Last,
            Merge::Last if self.name == "IPQoS" => Merge::First,
            merge => merge,
        }
    }

    pub(super) fn is_global(&self, release: &Release) -> bool {
        self.scope_in(release) == Scope::Global
    }
}

/// What a word at the beginning of a line is to a release; nothing if it does not know it.
pub(super) fn meaning(word: &[u8], release: &Release) -> Option<Meaning> {
    let word = std::str::from_utf8(word).ok()?;
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    if is("Match") {
        return Some(Meaning::Match);
    }
    if is("Include") && release.number >= 802 {
        return Some(Meaning::Include);
    }
    // Renamed in 8.5; the new names are not known before.
    let renamed = ["HostbasedAcceptedAlgorithms", "PubkeyAcceptedAlgorithms"];
    let too_new = release.number < 805 && renamed.iter().any(|name| is(name));
    if let Some(keyword) = Keyword::named(word).filter(|keyword| keyword.is_known_to(release) && !too_new) {
        return Some(Meaning::Setting(keyword, keyword.scope_in(release)));
    }
    let alias = ALIASES.iter().find(|(alias, _, _)| is(alias));
    if let Some((alias, name, scope)) = alias
        && !(release.number < 807 && release.number >= 705 && *alias == "SkeyAuthentication")
        && !(release.vendor == Vendor::Debian && *alias == "RSAMinSize")
        && let Some(keyword) = Keyword::named(name).filter(|keyword| keyword.is_known_to(release))
    {
        return Some(Meaning::Setting(keyword, scope.unwrap_or_else(|| keyword.scope_in(release))));
    }
    if is("SkeyAuthentication") {
        return Some(Meaning::Ignored(Scope::Global));
    }
    IGNORED.iter().find(|(name, _)| is(name)).map(|(_, scope)| Meaning::Ignored(*scope))
}
