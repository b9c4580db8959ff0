//! Secrets that lie about in files: their kind and place, never their value.
//!
//! The one walk picks candidates by name, size and kind; afterwards their content is read here, within bounds. What everybody has is no secret of
//! this image: the test keys of a package, the test data of a library. Whether a package owns a file is asked only where something was found.

mod candidate;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use candidate::{is_candidate, is_one, is_own, is_small};

use self::candidate::Reader;
use super::{Fact, Facts, Selector, TreeFact, TreeMatches, Unreadable};
use crate::image::{FileKind, ReadError, Rootfs};
use crate::path::ImagePath;
use crate::syntax::secrets::{Found, environment, key, login, magic};
use crate::syntax::systemd_unit;

/// What kind of thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecretKind {
    /// A private key, encrypted or not, also in a store; a keytab.
    PrivateKey,
    /// What opens a cloud: AWS, Google, Azure.
    Cloud,
    /// What opens something else: registries, repositories, clusters, databases.
    Login,
    /// A secret in a variable of the environment.
    Environment,
    /// A core dump.
    CoreDump,
    /// A swap file.
    Swap,
}

/// Something secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret {
    /// Where.
    pub path: ImagePath,
    /// The line, from 1; nothing for a file that is no text.
    pub line: Option<u32>,
    /// What kind.
    pub kind: SecretKind,
    /// What it is, in words; nothing of its value.
    pub what: String,
}

impl Secret {
    /// Whether it is no secret of this image if a package owns the file.
    #[must_use]
    pub fn may_be_public(&self) -> bool {
        candidate::may_be_public(&self.path)
    }
}

/// What was found, and what could not be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Sorted by path and line.
    pub found: Vec<Secret>,
    /// Candidates whose content is not known.
    pub doubts: Vec<(SecretKind, Unreadable)>,
    /// How many files were read.
    pub read: usize,
}

/// A text longer than this is not one of those that hold secrets; where it has the name of one it stays unknown.
const MAX_TEXT: u64 = 1 << 20;
/// All candidates together: a thousand texts of the largest size would take longer than the whole rest of a scan.
const MAX_BYTES: u64 = 64 << 20;
/// Files of variables that are found by place: beyond this many the rest is unknown.
const MAX_FILES: usize = 4_000;

/// Files with variables of the environment, by place.
const ENVIRONMENTS: [&str; 9] = [
    "/etc/environment",
    "/etc/environment.d/*.conf",
    "/etc/profile",
    "/etc/profile.d/*",
    "/etc/{bash.bashrc,bashrc,zshenv,zshrc}",
    "/etc/zsh/{zshenv,zshrc,zprofile}",
    "/etc/default/**/*",
    "/etc/sysconfig/**/*",
    "/etc/security/pam_env.conf",
];
/// Units and drop-ins that no package has put there.
const UNITS: [&str; 3] = [
    "/etc/systemd/{system,user}/**/*.{service,conf}",
    "/etc/systemd/{system,user}.conf",
    "/usr/local/lib/systemd/system/**/*.{service,conf}",
];
/// Hosts with passwords, by place (`apt_auth.conf(5)`).
const HOSTS: [&str; 2] = ["/etc/apt/auth.conf", "/etc/apt/auth.conf.d/*"];
/// Addresses with passwords, by place.
const ADDRESSES: [&str; 5] =
    ["/etc/apt/sources.list", "/etc/apt/sources.list.d/*", "/etc/yum.repos.d/*.repo", "/etc/dnf/dnf.conf", "/etc/pip.conf"];
/// Tunnels with the machine's own key (`wg-quick(8)`).
const TUNNELS: &str = "/etc/wireguard/*";
/// Private keys of gpg-agent, which have names like any other.
const AGENTS: [&str; 2] = ["/root/.gnupg/private-keys-v1.d/*.key", "/home/*/.gnupg/private-keys-v1.d/*.key"];

/// What the walk has to pick.
#[must_use]
pub fn selector() -> Selector {
    Selector { kinds: [FileKind::File].into(), candidate: true, ..Selector::default() }
}

/// What it has to pick besides: small files by their place.
#[must_use]
pub fn own_selector() -> Selector {
    Selector { kinds: [FileKind::File].into(), own: true, ..Selector::default() }
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Secrets> {
    let root = facts.root();
    let mut all = Secrets::default();
    let tree = facts.tree()?;
    let matches = tree.matches(&selector()).ok_or_else(|| Unreadable::because("the tree was not walked for secrets"))?;
    let mut files: Vec<(ImagePath, Reader)> =
        matches.found.keys().filter_map(|path| Some((path.clone(), candidate::reader(path)?))).collect();
    if matches.total > matches.found.len() as u64 {
        let reason =
            format!("of {} files that may hold secrets only {} are looked at", matches.total, TreeMatches::MAX_CANDIDATES);
        all.doubt_all(&Unreadable::because(reason));
    }
    by_place(root, &mut files, &mut all);
    files.sort_by(|one, other| one.0.cmp(&other.0));
    files.dedup_by(|one, other| one.0 == other.0);
    // Those with a name come first, so that no crowd of others takes the room.
    files.extend(own(tree, &files, &mut all));
    let mut bytes = 0;
    let sizes: Vec<u64> = files.par_iter().map(|(path, _)| root.resolve(path).map_or(0, |found| found.metadata.size)).collect();
    let fits = sizes.iter().take_while(|&&size| {
        bytes += size.min(MAX_TEXT);
        bytes <= MAX_BYTES
    });
    let count = fits.count();
    for (path, reader) in files.get(count..).unwrap_or_default() {
        let reason = format!("files that may hold secrets have more than {MAX_BYTES} bytes before it");
        all.doubts.push((reader.kind(), Unreadable::at(path, reason)));
    }
    files.truncate(count);
    all.read = count;
    let looked: Vec<Looked> = files.par_iter().map(|(path, reader)| look(root, path, *reader)).collect();
    for (found, doubt) in looked {
        all.found.extend(found);
        all.doubts.extend(doubt);
    }
    all.found.retain(|secret| !candidate::is_test_data(&secret.path));
    all.found.sort();
    all.found.dedup();
    Ok(all)
}

/// Small files where people and programs put what is their own, but those that are read already.
fn own(tree: &TreeFact, known: &[(ImagePath, Reader)], all: &mut Secrets) -> Vec<(ImagePath, Reader)> {
    let Some(matches) = tree.matches(&own_selector()) else { return Vec::new() };
    let unread = matches.total.saturating_sub(matches.found.len() as u64);
    if unread > 0 {
        let reason = format!("{unread} small files outside the folders of packages are more than are looked at for secrets");
        let kinds = [SecretKind::PrivateKey, SecretKind::Cloud, SecretKind::Login];
        all.doubts.extend(kinds.map(|kind| (kind, Unreadable::because(reason.clone()))));
    }
    let fresh = matches.found.keys().filter(|path| known.binary_search_by(|(known, _)| known.cmp(path)).is_err());
    fresh.filter_map(|path| Some((path.clone(), candidate::own_reader(path)?))).collect()
}

/// What is known by its place and not by its name.
fn by_place(root: Rootfs<'_>, files: &mut Vec<(ImagePath, Reader)>, all: &mut Secrets) {
    let lists = [
        (&ENVIRONMENTS[..], Reader::Environment),
        (&UNITS[..], Reader::Unit),
        (&HOSTS[..], Reader::Netrc),
        (&ADDRESSES[..], Reader::Addresses),
        (&[TUNNELS][..], Reader::Login(&["privatekey", "presharedkey"])),
        (&AGENTS[..], Reader::Key),
    ];
    for (pattern, reader) in
        lists.into_iter().flat_map(|(patterns, reader)| patterns.iter().map(move |pattern| (pattern, reader)))
    {
        match root.glob(pattern) {
            Ok(paths) if files.len() + paths.len() > TreeMatches::MAX_CANDIDATES + MAX_FILES => {
                let reason = format!("more than {MAX_FILES} files");
                all.doubts.push((reader.kind(), Unreadable::at(&ImagePath::new(pattern), reason)));
            }
            Ok(paths) => files.extend(paths.into_iter().map(|path| (path, reader))),
            Err(error) => all.doubts.push((reader.kind(), Unreadable::at(&ImagePath::new(pattern), error.to_string()))),
        }
    }
}

impl Secrets {
    fn doubt_all(&mut self, unreadable: &Unreadable) {
        let kinds = [
            SecretKind::PrivateKey,
            SecretKind::Cloud,
            SecretKind::Login,
            SecretKind::Environment,
            SecretKind::CoreDump,
            SecretKind::Swap,
        ];
        self.doubts.extend(kinds.map(|kind| (kind, unreadable.clone())));
    }
}

impl Reader {
    /// The kind of what is found by it, and of the doubt where it could not be read.
    const fn kind(self) -> SecretKind {
        match self {
            Self::Key | Self::Ring => SecretKind::PrivateKey,
            Self::Cloud(_) | Self::CloudStore => SecretKind::Cloud,
            Self::Login(_) | Self::Token | Self::Netrc | Self::Pgpass | Self::Addresses | Self::Shape | Self::Named(_) => {
                SecretKind::Login
            }
            Self::Environment | Self::Unit => SecretKind::Environment,
            Self::CoreDump => SecretKind::CoreDump,
            Self::Swap => SecretKind::Swap,
        }
    }

    /// How much of the file is read.
    const fn limit(self) -> u64 {
        match self {
            Self::CoreDump | Self::Swap => magic::START,
            _ => MAX_TEXT,
        }
    }

    fn scan(self, content: &[u8]) -> Vec<(SecretKind, Found)> {
        let whole = |what: &str| vec![Found { line: None, what: what.to_owned() }];
        let own = match self {
            Self::Key => key::binary(content).into_iter().collect(),
            Self::Ring => key::secret_ring(content).into_iter().collect(),
            Self::Cloud(names) => login::assigned(content, names, "a key or a token of a cloud"),
            Self::Login(names) => login::assigned(content, names, "a password, a key or a token"),
            Self::CloudStore => whole("tokens of a cloud"),
            Self::Token => login::whole(content, "a token"),
            Self::Netrc => login::netrc(content),
            Self::Pgpass => login::pgpass(content),
            Self::Addresses | Self::Shape => login::addresses(content),
            Self::Environment => environment::assignments(content),
            Self::Unit => unit(content),
            Self::Named(names) => {
                let named = login::assigned(content, names, "a password, a key or a token");
                named.into_iter().chain(login::addresses(content)).collect()
            }
            Self::CoreDump => return whole_if(magic::is_core_dump(content), SecretKind::CoreDump, "a core dump"),
            Self::Swap => return whole_if(magic::is_swap(content), SecretKind::Swap, "a swap file"),
        };
        let keys = key::text(content).into_iter().map(|found| (SecretKind::PrivateKey, found));
        let mut found: Vec<(SecretKind, Found)> = own.into_iter().map(|found| (self.kind(), found)).chain(keys).collect();
        if matches!(self, Self::Shape | Self::Named(_)) {
            found.extend(key::binary(content).into_iter().map(|found| (SecretKind::PrivateKey, found)));
            found.extend(login::cloud(content).into_iter().map(|found| (SecretKind::Cloud, found)));
        }
        if !matches!(self, Self::Key | Self::Environment | Self::Unit | Self::Ring) {
            found.extend(login::tokens(content).into_iter().map(|found| (SecretKind::Login, found)));
        }
        found
    }
}

fn whole_if(met: bool, kind: SecretKind, what: &str) -> Vec<(SecretKind, Found)> {
    if met { vec![(kind, Found { line: None, what: what.to_owned() })] } else { Vec::new() }
}

/// Variables that a unit sets (`Environment=`, `DefaultEnvironment=`) and credentials that stand in it (`SetCredential=`), `systemd.exec(5)`.
fn unit(content: &[u8]) -> Vec<Found> {
    let mut all = Vec::new();
    for setting in systemd_unit::parse(content).settings {
        match setting.key.as_str() {
            "Environment" | "DefaultEnvironment" | "ManagerEnvironment" => {
                let each = systemd_unit::words(&setting.value);
                let pairs = each.iter().filter_map(|word| word.split_once('='));
                let secret = pairs.filter_map(|(name, value)| {
                    let address = || login::addresses(value.as_bytes()).into_iter().chain(login::tokens(value.as_bytes())).next();
                    environment::judge(name.as_bytes(), value.as_bytes()).or_else(|| address().map(|found| found.what))
                });
                all.extend(secret.map(|what| Found { line: Some(setting.line), what }));
            }
            "SetCredential" if setting.value.split_once(':').is_some_and(|(_, value)| !value.trim().is_empty()) => {
                all.push(Found { line: Some(setting.line), what: "a credential in plain text".to_owned() });
            }
            _ => {}
        }
    }
    all
}

/// What one candidate holds, and why that is not known.
type Looked = (Vec<Secret>, Option<(SecretKind, Unreadable)>);

/// Reads one candidate. What is no file any more (a link to a folder, to a device or to nothing) holds nothing.
fn look(root: Rootfs<'_>, path: &ImagePath, reader: Reader) -> Looked {
    let size = root.resolve(path).map(|found| found.metadata.size);
    let content = size.and_then(|size| Ok((size, root.read_start(path, reader.limit())?)));
    let (size, content) = match content {
        Ok(read) => read,
        Err(ReadError::Kind { .. }) => return (Vec::new(), None),
        Err(error) if error.is_absent() => return (Vec::new(), None),
        Err(error) => return (Vec::new(), Some((reader.kind(), Unreadable::reading(path, &error)))),
    };
    let found = reader.scan(&content).into_iter();
    let found: Vec<Secret> =
        found.map(|(kind, found)| Secret { path: path.clone(), line: found.line, kind, what: found.what }).collect();
    let is_cut = size > reader.limit() && !matches!(reader, Reader::CoreDump | Reader::Swap);
    // A large file that is no text only has the ending of a key.
    let doubt = (is_cut && found.is_empty() && memchr::memchr(0, &content).is_none()).then(|| {
        let reason = format!("only its first {MAX_TEXT} bytes of {size} are looked at for secrets");
        (reader.kind(), Unreadable::at(path, reason))
    });
    (found, doubt)
}
