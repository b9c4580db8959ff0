//! System-wide cryptographic policies: what is configured, what was applied, and what it lets programs use (`crypto-policies(7)`,
//! `update-crypto-policies(8)` and its source).
//!
//! Programs read `/etc/crypto-policies/back-ends`, which `update-crypto-policies` makes from the policy named in `config`; it leaves its name in
//! `state/current` and a dump of its lists in `state/CURRENT.pol`. An update of the package does so again. So both have to hold: what was
//! applied, and what is configured.

use super::{Fact, Facts, Unreadable};
use crate::image::{ReadError, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::crypto_policy::{Change, Directive, Edit, parse};
use crate::syntax::wildcard;

/// The folder of administrators.
const FOLDER: &str = "/etc/crypto-policies";
/// The folder of the package.
const SHARED: &str = "/usr/share/crypto-policies";
/// Back-ends that every release with these policies has.
const BACK_ENDS: [&str; 7] = ["bind", "gnutls", "krb5", "nss", "openssh", "opensshserver", "openssl"];
/// More modules than this in one policy are nobody's.
const MAX_MODULES: usize = 64;
/// Lists longer than this are no real policy's.
const MAX_ITEMS: usize = 10_000;

/// The sets of scopes that back-ends ask with, by the word that rules use (`DUMPABLE_SCOPES`).
const SCOPES: [(&str, &[&[&str]]); 6] = [
    ("ssh", &[&["ssh", "openssh", "openssh-server"], &["ssh", "openssh", "openssh-client"], &["ssh", "libssh"]]),
    ("tls", &[&["tls", "ssl", "openssl"], &["tls", "ssl", "gnutls"], &["tls", "ssl", "nss", "nss-tls"]]),
    ("ipsec", &[&["ipsec", "ike", "libreswan"]]),
    ("kerberos", &[&["kerberos", "krb5"]]),
    ("dnssec", &[&["dnssec", "bind"]]),
    ("rpm", &[&["rpm", "rpm-sequoia"]]),
];

/// Which back-ends a scope of [`SCOPES`] is about.
const BACK_ENDS_OF: [(&str, &[&str]); 6] = [
    ("ssh", &["openssh", "opensshserver", "libssh"]),
    ("tls", &["openssl", "openssl_fips", "opensslcnf", "gnutls", "nss"]),
    ("ipsec", &["libreswan"]),
    ("kerberos", &["krb5"]),
    ("dnssec", &["bind"]),
    ("rpm", &["rpm-sequoia"]),
];

/// Asking for nobody in particular.
const NO_SCOPE: &[&[&str]] = &[&[]];

/// The policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CryptoPolicy {
    /// The policy with its modules as it is configured.
    pub configured: Name,
    /// The one that was applied last; nothing if none was.
    pub applied: Option<Name>,
    /// Why the two are not the same; nothing where they are.
    pub stale: Vec<(ImagePath, String)>,
    rules: Fact<Vec<Located>>,
    dump: Option<Fact<Vec<Located>>>,
    /// What an administrator has appended to back-ends (`local.d`): the back-end and the first line that says something.
    appended: Fact<Vec<(String, ImagePath, u32, String)>>,
}

/// The name of a policy and its modules: `DEFAULT:NO-SHA1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// In capitals, as the program takes it.
    pub text: String,
    /// The file, and the line of its first part.
    pub place: (ImagePath, u32),
}

/// A line with the file it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Located {
    path: ImagePath,
    directive: Directive,
}

/// What a property is for one set of scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// The items of a list, or a number or word alone.
    pub items: Vec<String>,
    /// The last line that had to do with it.
    pub place: Option<(ImagePath, u32)>,
}

/// Where a rule may name a scope.
#[must_use]
pub(crate) fn scope_names() -> Vec<&'static str> {
    SCOPES.iter().map(|(name, _)| *name).collect()
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<CryptoPolicy> {
    let root = facts.root();
    let (config, current) = (ImagePath::new(FOLDER).join("config"), ImagePath::new(FOLDER).join("state/current"));
    let configured = match name(root, &config)? {
        Some(configured) => configured,
        // parse_pconfig: without the file, the package's own.
        None => name(root, &ImagePath::new(SHARED).join("default-config"))?
            .ok_or_else(|| Unreadable::at(&config, "there are no crypto policies here"))?,
    };
    let applied = name(root, &current)?;
    let mut stale = Vec::new();
    match &applied {
        None => stale.push((current.clone(), "no policy was ever applied".to_owned())),
        Some(applied) if applied.text != configured.text => {
            stale.push((configured.place.0.clone(), format!("{} was applied, {} is configured", applied.text, configured.text)));
        }
        Some(_) if modified(root, &config) > modified(root, &current) => {
            stale.push((config, "it is younger than what was applied".to_owned()));
        }
        Some(applied) => stale.extend(younger_modules(root, applied, modified(root, &current))),
    }
    stale.extend(back_ends(root, applied.as_ref())?);
    let dump = ImagePath::new(FOLDER).join("state/CURRENT.pol");
    let dump = match read(root, &dump) {
        Ok(found) => found.map(Ok),
        Err(unreadable) => Some(Err(unreadable)),
    };
    Ok(CryptoPolicy { rules: rules(root, &configured.text), configured, applied, stale, dump, appended: appended(root) })
}

/// The lines in `local.d/BACKEND-*.config`, which `update-crypto-policies` appends to what it made of the policy.
fn appended(root: Rootfs<'_>) -> Fact<Vec<(String, ImagePath, u32, String)>> {
    let pattern = format!("{FOLDER}/local.d/*-*.config");
    let files = root.glob(&pattern).map_err(|error| Unreadable::at(&ImagePath::new(&pattern), error.to_string()))?;
    let mut found = Vec::new();
    for path in files {
        let name = printable(path.file_name());
        let Some((back_end, _)) = name.rsplit_once('-') else { continue };
        let content = match root.read(&path) {
            Ok(content) => content,
            Err(error) if error.is_absent() => continue,
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        };
        for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')).take(MAX_ITEMS) {
            let text = printable(text.trim_ascii());
            if !text.is_empty() && !text.starts_with('#') {
                found.push((back_end.to_owned(), path.clone(), line, text));
            }
        }
    }
    Ok(found)
}

/// The name in a file: the first line that says anything is the policy, with modules behind colons; the lines after it are modules.
fn name(root: Rootfs<'_>, path: &ImagePath) -> Fact<Option<Name>> {
    let content = match root.read(path) {
        Ok(content) => content,
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => return Err(Unreadable::reading(path, &error)),
    };
    let mut found: Option<Name> = None;
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let text = printable(text.split(|&byte| byte == b'#').next().unwrap_or_default()).trim().to_ascii_uppercase();
        let parts: Vec<&str> = text.split(':').filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            continue;
        }
        match &mut found {
            Some(name) => {
                name.text.push(':');
                name.text.push_str(&parts.join(":"));
            }
            None => found = Some(Name { text: parts.join(":"), place: (path.clone(), line) }),
        }
    }
    Ok(found)
}

fn modified(root: Rootfs<'_>, path: &ImagePath) -> Option<i64> {
    root.resolve(path).ok().map(|found| found.metadata.mtime)
}

/// Policies and modules of administrators that were changed after they were applied.
fn younger_modules(root: Rootfs<'_>, applied: &Name, when: Option<i64>) -> Vec<(ImagePath, String)> {
    let mut found = Vec::new();
    for (index, part) in applied.text.split(':').enumerate().take(MAX_MODULES) {
        let path = ImagePath::new(FOLDER).join(file_of(index, part));
        if modified(root, &path) > when {
            found.push((path, "it is younger than what was applied".to_owned()));
        }
    }
    found
}

fn file_of(index: usize, part: &str) -> String {
    if index == 0 { format!("policies/{part}.pol") } else { format!("policies/modules/{part}.pmod") }
}

/// Back-ends that are not there, or are links to another policy's.
fn back_ends(root: Rootfs<'_>, applied: Option<&Name>) -> Fact<Vec<(ImagePath, String)>> {
    let folder = ImagePath::new(FOLDER).join("back-ends");
    let mut names: Vec<Vec<u8>> = BACK_ENDS.iter().map(|name| format!("{name}.config").into_bytes()).collect();
    match root.read_dir(&folder) {
        Ok(there) => names.extend(there.into_iter().filter(|name| name.ends_with(b".config"))),
        Err(error) if error.is_absent() => {}
        Err(error) => return Err(Unreadable::reading(&folder, &error)),
    }
    names.sort_unstable();
    names.dedup();
    let mut found = Vec::new();
    for path in names.into_iter().map(|name| folder.join(name)) {
        let resolved = match root.resolve(&path) {
            Ok(resolved) => resolved,
            Err(ReadError::NotFound) => {
                found.push((path, "it does not exist".to_owned()));
                continue;
            }
            Err(ReadError::Dangling) => {
                found.push((path, "it leads nowhere".to_owned()));
                continue;
            }
            Err(error) => return Err(Unreadable::reading(&path, &error)),
        };
        let shared = printable(resolved.path.as_bytes());
        let policy = shared.strip_prefix(SHARED).and_then(|rest| rest.trim_start_matches('/').split_once('/'));
        if let (Some((policy, _)), Some(applied)) = (policy, applied)
            && policy != applied.text
            // Newer packages keep them one folder deeper.
            && !shared.starts_with(&format!("{SHARED}/back-ends/{}/", applied.text))
        {
            found.push((path, format!("it leads to {shared}, and {} was applied", applied.text)));
        }
    }
    Ok(found)
}

/// The lines of a policy and its modules, in order.
fn rules(root: Rootfs<'_>, name: &str) -> Fact<Vec<Located>> {
    let mut found = Vec::new();
    for (index, part) in name.split(':').enumerate() {
        let file = file_of(index, part);
        if index > MAX_MODULES || part.contains('/') {
            return Err(Unreadable::because(format!("{name} is no policy")));
        }
        let lines = match read(root, &ImagePath::new(FOLDER).join(&file))? {
            Some(lines) => lines,
            None => read(root, &ImagePath::new(SHARED).join(&file))?.ok_or_else(|| {
                Unreadable::at(&ImagePath::new(FOLDER).join(&file), "update-crypto-policies finds no such file")
            })?,
        };
        found.extend(lines);
    }
    Ok(found)
}

fn read(root: Rootfs<'_>, path: &ImagePath) -> Fact<Option<Vec<Located>>> {
    match root.read(path) {
        Ok(content) => match parse(&content) {
            Ok(lines) => Ok(Some(lines.into_iter().map(|directive| Located { path: path.clone(), directive }).collect())),
            Err(refused) => Err(Unreadable::at_line(path, refused.line, refused.to_string())),
        },
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(Unreadable::reading(path, &error)),
    }
}

impl CryptoPolicy {
    /// What a property is: as it is configured, and as it was applied where that is written down; of a scope for each back-end that
    /// asks with it. Without a scope, what holds where no line says otherwise.
    ///
    /// # Errors
    /// A file that is missing or cannot be read; a line that is appended to a back-end and may be about it.
    pub fn property(&self, property: &str, scope: Option<&str>) -> Fact<Vec<Property>> {
        if let Some((_, path, line, text)) = self.appended(property, scope)? {
            let reason = format!("{text}: update-crypto-policies appends this to the back-end, beyond what the policy says");
            return Err(Unreadable::at_line(path, *line, reason));
        }
        let sets = scope.and_then(|scope| SCOPES.iter().find(|(name, _)| *name == scope)).map_or(NO_SCOPE, |(_, sets)| sets);
        let mut found = Vec::new();
        for lines in std::iter::once(&self.rules).chain(&self.dump) {
            let lines = lines.as_ref().map_err(Clone::clone)?;
            for scopes in sets {
                let value = value(lines, property, scopes)?;
                if !found.contains(&value) {
                    found.push(value);
                }
            }
        }
        Ok(found)
    }
}

impl CryptoPolicy {
    /// A line that is appended to one of the back-ends of a scope (of all, where there is none) and may change a property.
    fn appended(&self, property: &str, scope: Option<&str>) -> Fact<Option<&(String, ImagePath, u32, String)>> {
        let of_scope = scope.and_then(|scope| BACK_ENDS_OF.iter().find(|(name, _)| *name == scope)).map(|(_, names)| *names);
        let words: &[&str] = match property {
            "cipher" => &["cipher"],
            "mac" => &["mac"],
            "key_exchange" | "group" => &["kex", "gss"],
            "sign" | "hash" => &["algorithms", "sig"],
            _ => &[],
        };
        let is_about = |(back_end, _, _, text): &&(String, ImagePath, u32, String)| {
            // A file may be named `rpm-sequoia-x.config` or `openssh-a-b.config`.
            let is_of = |name: &&str| back_end == name || back_end.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
            let ssh = ["openssh", "opensshserver", "libssh"].iter().any(&is_of);
            let text = text.to_ascii_lowercase();
            // What SSH is told by a line with another keyword is no matter of this property; other languages are not followed.
            let other =
                ssh && !text.starts_with("crypto_policy") && !words.is_empty() && !words.iter().any(|word| text.contains(word));
            of_scope.is_none_or(|names| names.iter().any(is_of)) && !other
        };
        Ok(self.appended.as_ref().map_err(Clone::clone)?.iter().find(is_about))
    }
}

fn value(lines: &[Located], property: &str, scopes: &[&str]) -> Fact<Property> {
    let mut found = Property { items: Vec::new(), place: None };
    let relevant = lines.iter().filter(|line| line.directive.property == property && selects(&line.directive.scope, scopes));
    for line in relevant {
        match &line.directive.change {
            Change::Set(items) => found.items.clone_from(items),
            Change::Edit(edits) => {
                for edit in edits {
                    match edit {
                        Edit::Front(item) => {
                            found.items.retain(|other| other != item);
                            found.items.insert(0, item.clone());
                        }
                        Edit::Back(item) if found.items.contains(item) => {}
                        Edit::Back(item) => found.items.push(item.clone()),
                        Edit::Gone(item) => {
                            found.items.retain(|other| !wildcard::matches(item.as_bytes(), other.as_bytes()));
                        }
                    }
                }
            }
        }
        found.place = Some((line.path.clone(), line.directive.line));
        if found.items.len() > MAX_ITEMS {
            return Err(Unreadable::at(&line.path, format!("a list of more than {MAX_ITEMS} items")));
        }
    }
    // What `AES-*` stands for only the program's own lists tell.
    if let (true, Some((path, line))) = (found.items.iter().any(|item| item.contains(['*', '?', '['])), &found.place) {
        return Err(Unreadable::at_line(path, *line, "a list with a pattern in it"));
    }
    Ok(found)
}

/// Whether a scope of a line is one of these: `ssh`, `{ssh,ike}`, `!tls`, `java-*`.
fn selects(pattern: &str, scopes: &[&str]) -> bool {
    if pattern == "*" {
        return true;
    }
    let (wanted, globs) = pattern.strip_prefix('!').map_or((true, pattern), |rest| (false, rest));
    let globs = globs.trim_start_matches('{').trim_end_matches('}').split(',');
    let fits = |glob: &str| scopes.iter().any(|scope| wildcard::matches(glob.trim().as_bytes(), scope.as_bytes()));
    globs.into_iter().any(fits) == wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::MemoryImage;

    fn policy(image: &MemoryImage) -> CryptoPolicy {
        gather(&Facts::none(Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1)))).unwrap()
    }

    fn image() -> MemoryImage {
        let image = MemoryImage::new().file("/etc/crypto-policies/state/current", "DEFAULT:NOCBC\n");
        let image =
            BACK_ENDS.iter().fold(image, |image, name| image.file(&format!("/etc/crypto-policies/back-ends/{name}.config"), ""));
        image
            .file("/etc/crypto-policies/config", "# ours\nDEFAULT\nnocbc\n")
            .file(
                "/usr/share/crypto-policies/policies/DEFAULT.pol",
                "cipher = AES-256-CTR AES-256-CBC\ncipher@tls = AES-256-GCM\n",
            )
            .file("/usr/share/crypto-policies/policies/modules/NOCBC.pmod", "cipher@SSH = NULL\n")
            .file("/etc/crypto-policies/policies/modules/NOCBC.pmod", "cipher@{ssh,ike} = -*-CBC +NULL\n")
    }

    fn ciphers(image: &MemoryImage, scope: Option<&str>) -> Vec<String> {
        policy(image).property("cipher", scope).unwrap().into_iter().map(|found| found.items.join(" ")).collect()
    }

    #[test]
    fn an_administrators_module_hides_the_packages() {
        assert_eq!(policy(&image()).configured.text, "DEFAULT:NOCBC");
        assert!(policy(&image()).stale.is_empty());
        assert_eq!(ciphers(&image(), Some("ssh")), ["NULL AES-256-CTR"]);
        assert_eq!(ciphers(&image(), None), ["AES-256-CTR AES-256-CBC"]);
        assert_eq!(ciphers(&image(), Some("tls")), ["AES-256-GCM"]);
    }

    #[test]
    fn what_was_applied_counts_as_well() {
        let image = image().file("/etc/crypto-policies/state/CURRENT.pol", "cipher = A\ncipher@openssh-server = B-CBC\n");
        assert_eq!(ciphers(&image, None), ["AES-256-CTR AES-256-CBC", "A"]);
        assert_eq!(ciphers(&image, Some("ssh")), ["NULL AES-256-CTR", "B-CBC", "A"]);
    }

    #[test]
    fn scopes_may_be_left_out() {
        assert!(selects("!{tls,ssl}", &["ssh"]) && !selects("!{tls,ssl}", &["ssl"]) && selects("java-*", &["java-tls"]));
        assert!(!selects("ssh", &[]) && selects("!ssh", &[]));
    }

    #[test]
    fn stale_is_another_name_a_younger_file_and_a_link_to_another_policy() {
        let stale = |image: &MemoryImage| policy(image).stale.into_iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>();
        assert_eq!(stale(&image().file("/etc/crypto-policies/config", "LEGACY\n")), ["/etc/crypto-policies/config"]);
        let mut young = crate::image::Entry::new(crate::image::FileKind::File, "DEFAULT:NOCBC");
        young.metadata.mtime = 9;
        assert_eq!(stale(&image().with("/etc/crypto-policies/config", young.clone())), ["/etc/crypto-policies/config"]);
        let module = "/etc/crypto-policies/policies/modules/NOCBC.pmod";
        assert_eq!(stale(&image().with(module, young)), [module]);
        let link = "/etc/crypto-policies/back-ends/openssl.config";
        let linked = image().link(link, "/usr/share/crypto-policies/LEGACY/openssl.txt");
        assert_eq!(stale(&linked), [link]);
        assert_eq!(stale(&linked.file("/usr/share/crypto-policies/LEGACY/openssl.txt", "")), [link]);
    }

    #[test]
    fn a_missing_module_and_a_pattern_are_not_guessed_at() {
        assert!(policy(&image().file("/etc/crypto-policies/config", "DEFAULT:GONE\n")).property("cipher", None).is_err());
        let image = image().file("/etc/crypto-policies/policies/modules/NOCBC.pmod", "cipher = AES-*\n");
        assert!(policy(&image).property("cipher", None).is_err());
    }
}
