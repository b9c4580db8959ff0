//! Which files may hold a secret: by name, size and kind first, then by where they lie.

use crate::image::{FileKind, Metadata};
use crate::path::ImagePath;

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// For private keys alone, in text or not.
    Key,
    /// An old ring of OpenPGP.
    Ring,
    /// For values of these names; they open a cloud.
    Cloud(&'static [&'static str]),
    /// For values of these names; they open something else.
    Login(&'static [&'static str]),
    /// A store of tokens whose being there is enough.
    CloudStore,
    /// A token and nothing else.
    Token,
    /// Hosts with passwords.
    Netrc,
    /// Databases with passwords.
    Pgpass,
    /// Addresses with passwords.
    Addresses,
    /// Assignments to variables.
    Environment,
    /// A unit of systemd, or a drop-in of one.
    Unit,
    /// For what is known by its shape: keys, tokens, keys of AWS, addresses with passwords.
    Shape,
    /// For that, and for values of these names.
    Named(&'static [&'static str]),
    /// For the marks of a core dump.
    CoreDump,
    /// For the mark of swap.
    Swap,
}

/// The smallest swap there can be: ten pages (`mkswap(8)`).
const LEAST_SWAP: u64 = 40_960;

const AWS: Reader = Reader::Cloud(&["aws_secret_access_key", "aws_session_token", "secret_key"]);
const DOCKER: Reader = Reader::Login(&["auth", "identitytoken", "registrytoken", "password"]);
const KUBERNETES: Reader = Reader::Login(&["token", "password", "client-key-data", "id-token", "refresh-token", "access-token"]);
const GOOGLE: Reader = Reader::Cloud(&["private_key", "refresh_token", "client_secret"]);
const AZURE: Reader = Reader::Cloud(&["secret", "refreshtoken", "accesstoken", "client_secret", "serviceprincipalkey"]);

/// Whether an entry is worth a look at its path: asked of every entry of a walk, so it has to be quick.
pub(in crate::facts) fn is_candidate(name: &[u8], metadata: &Metadata) -> bool {
    metadata.kind == FileKind::File && metadata.size > 0 && (by_name(name) || by_ending(name) || is_swap(name, metadata.size))
}

fn by_name(name: &[u8]) -> bool {
    let numbered = |rest: &[u8]| !rest.is_empty() && rest.iter().all(u8::is_ascii_digit);
    match name {
        b"credentials"
        | b"config"
        | b"config.json"
        | b"auth.json"
        | b"_netrc"
        | b"identity"
        | b"secring.gpg"
        | b"core"
        | b"vmcore"
        | b"credentials.db"
        | b"access_tokens.db"
        | b"application_default_credentials.json"
        | b"adc.json"
        | b"msal_token_cache.json"
        | b"msal_token_cache.bin"
        | b"accessTokens.json"
        | b"service_principal_entries.json"
        | b"service_principal_entries.bin"
        | b"credentials.toml"
        | b"credentials.tfrc.json"
        | b"hosts.yml"
        | b"token"
        | b"rclone.conf"
        | b"pip.conf" => true,
        [b'.', rest @ ..] => {
            matches!(
                rest,
                b"dockercfg"
                    | b"netrc"
                    | b"git-credentials"
                    | b"gitconfig"
                    | b"npmrc"
                    | b"yarnrc.yml"
                    | b"pypirc"
                    | b"vault-token"
                    | b"terraformrc"
                    | b"pgpass"
                    | b"my.cnf"
                    | b"boto"
                    | b"s3cfg"
                    | b"bashrc"
                    | b"bash_profile"
                    | b"bash_login"
                    | b"profile"
                    | b"zshrc"
                    | b"zshenv"
                    | b"zprofile"
                    | b"pam_environment"
                    | b"credentials_rsaparams"
            ) || rest.starts_with(b"env")
        }
        [b'i', b'd', b'_', rest @ ..] => !rest.ends_with(b".pub"),
        [b'c', b'o', b'r', b'e', b'.', rest @ ..] => numbered(rest),
        _ => false,
    }
}

/// The longest ending that counts, in bytes.
const LONGEST: usize = 8;

fn by_ending(name: &[u8]) -> bool {
    if [&b"_key"[..], b"-key", b"_rsa", b"_ed25519", b"_ecdsa", b"_dsa"].iter().any(|ending| name.ends_with(ending)) {
        return true;
    }
    let Some(dot) = memchr::memrchr(b'.', name) else { return false };
    let ending = name.get(dot + 1..).unwrap_or_default();
    let mut lower = [0; LONGEST];
    let Some(lower) = lower.get_mut(..ending.len()) else { return false };
    lower.copy_from_slice(ending);
    lower.make_ascii_lowercase();
    matches!(
        &*lower,
        b"pem"
            | b"key"
            | b"p12"
            | b"pfx"
            | b"jks"
            | b"jceks"
            | b"keystore"
            | b"ppk"
            | b"pk8"
            | b"p8"
            | b"der"
            | b"priv"
            | b"crt"
            | b"cer"
            | b"cert"
            | b"keytab"
            | b"ovpn"
            | b"env"
            | b"core"
    )
}

fn is_swap(name: &[u8], size: u64) -> bool {
    size >= LEAST_SWAP && memchr::memmem::find(name, b"swap").is_some()
}

/// A file that people or programs write by hand is hardly longer.
const SMALL: u64 = 65_536;
/// The shortest thing that is known by its shape: a token with its beginning.
const SHORT: u64 = 20;

/// Whether an entry may hold a secret wherever it lies and whatever it is called: asked of every entry of a walk, so it has to be quick. What is
/// code, a picture or packed by its ending is left out: there are thousands of them, and the names that matter have other endings.
pub(in crate::facts) fn is_small(name: &[u8], metadata: &Metadata) -> bool {
    const OTHER: [&[u8]; 38] = [
        b"js", b"mjs", b"ts", b"tsx", b"jsx", b"map", b"css", b"scss", b"html", b"htm", b"svg", b"png", b"jpg", b"jpeg", b"gif",
        b"ico", b"woff", b"woff2", b"ttf", b"pyc", b"pyi", b"h", b"c", b"cc", b"cpp", b"hpp", b"rs", b"go", b"class", b"so",
        b"o", b"a", b"mo", b"po", b"gz", b"xz", b"zst", b"md",
    ];
    metadata.kind == FileKind::File
        && (SHORT..=SMALL).contains(&metadata.size)
        && !memchr::memrchr(b'.', name).is_some_and(|dot| OTHER.contains(&name.get(dot + 1..).unwrap_or_default()))
}

/// Whether it lies where people and programs put what is their own: anywhere but in the folders that packages fill and the system makes.
pub(in crate::facts) fn is_own(path: &ImagePath) -> bool {
    const OWN: [&[u8]; 5] = [b"/usr/local/", b"/var/lib/cloud/", b"/var/opt/", b"/var/www/", b"/var/tmp/"];
    const SYSTEM: [&[u8]; 13] = [
        b"/usr/",
        b"/var/",
        b"/bin/",
        b"/sbin/",
        b"/lib/",
        b"/lib32/",
        b"/lib64/",
        b"/libx32/",
        b"/boot/",
        b"/proc/",
        b"/sys/",
        b"/dev/",
        b"/run/",
    ];
    let begins = |list: &[&[u8]]| list.iter().any(|folder| path.as_bytes().starts_with(folder));
    begins(&OWN) || !begins(&SYSTEM)
}

/// How such a file is read; nothing where another rule is about it.
pub(super) fn own_reader(path: &ImagePath) -> Option<Reader> {
    const LOGIN: Reader = Reader::Named(&[
        "password",
        "passwd",
        "token",
        "auth_token",
        "access_token",
        "secret",
        "secret_key",
        "client_secret",
        "api_key",
        "apikey",
        "private_key",
    ]);
    let name = path.file_name().to_ascii_lowercase();
    let parent = path.parent().map(|parent| parent.file_name().to_vec()).unwrap_or_default();
    if parent == b"ssh" && name.starts_with(b"ssh_host_") || name.ends_with(b".pub") || path.is_within(&"/etc/ssl/certs".into()) {
        return None;
    }
    let says = |part: &&[u8]| memchr::memmem::find(&name, part).is_some();
    let named = [&b"creds"[..], b"credential", b"secret", b"token", b"passw"].iter().any(says);
    Some(if memchr::memmem::find(&name, b"tfstate").is_some() {
        Reader::Named(&[
            "password",
            "master_password",
            "secret",
            "secret_string",
            "token",
            "private_key",
            "private_key_pem",
            "access_key",
        ])
    } else if memchr::memmem::find(&name, b"kubeconfig").is_some() || path.is_within(&"/etc/kubernetes".into()) {
        Reader::Named(&["token", "password", "client-key-data", "id-token", "refresh-token", "access-token"])
    } else if name.starts_with(b"user-data") || name.starts_with(b"vendor-data") || name == b"cloud-config.txt" {
        Reader::Named(&["password", "passwd", "hashed_passwd", "plain_text_passwd", "token", "secret"])
    } else if named && !path.is_within(&"/etc".into()) {
        LOGIN
    } else {
        Reader::Shape
    })
}

/// Stores of certificates that everybody trusts: hundreds of files and no key, as nothing else is put there.
const CERTIFICATES: [&str; 3] = ["/usr/share/ca-certificates", "/etc/ssl/certs", "/etc/pki/ca-trust"];

/// How a file at this path is read; nothing if it only has the name of a candidate.
pub(in crate::facts) fn is_one(path: &ImagePath) -> bool {
    reader(path).is_some()
}

pub(super) fn reader(path: &ImagePath) -> Option<Reader> {
    let name = path.file_name();
    let parts: Vec<&[u8]> = path.components().collect();
    let parent = parts.len().checked_sub(2).and_then(|at| parts.get(at)).copied().unwrap_or_default();
    let below = |folder: &[u8]| parts.contains(&folder);
    if CERTIFICATES.iter().any(|folder| path.is_within(&ImagePath::new(folder))) && !name.ends_with(b".key") {
        return None;
    }
    Some(match name {
        b"credentials" => match parent {
            b".aws" => AWS,
            b".gem" => Reader::Login(&[":rubygems_api_key"]),
            b".cargo" => Reader::Login(&["token"]),
            b"git" => Reader::Addresses,
            _ => return None,
        },
        b"config" => match parent {
            b".aws" => AWS,
            b".kube" => KUBERNETES,
            b".git" => Reader::Addresses,
            _ => return None,
        },
        b"config.json" if parent == b".docker" || path.is_within(&"/var/lib/kubelet".into()) => DOCKER,
        b"auth.json" if matches!(parent, b"containers" | b"0") => DOCKER,
        b"auth.json" if matches!(parent, b".composer" | b"composer") => Reader::Login(&["password", "github.com", "token"]),
        b".dockercfg" => DOCKER,
        b"config.json" | b"auth.json" => return None,
        b".netrc" | b"_netrc" => Reader::Netrc,
        b".git-credentials" | b".gitconfig" | b"pip.conf" => Reader::Addresses,
        b"credentials.db" | b"access_tokens.db" if below(b"gcloud") => Reader::CloudStore,
        b"application_default_credentials.json" | b"adc.json" => GOOGLE,
        b"msal_token_cache.bin" | b"service_principal_entries.bin" if below(b".azure") => Reader::CloudStore,
        b"msal_token_cache.json" | b"accessTokens.json" | b"service_principal_entries.json" if below(b".azure") => AZURE,
        b".npmrc" => Reader::Login(&["_authtoken", "_auth", "_password"]),
        b".yarnrc.yml" => Reader::Login(&["npmauthtoken", "npmauthident"]),
        b".pypirc" | b".my.cnf" => Reader::Login(&["password"]),
        b".vault-token" => Reader::Token,
        b"token" if matches!(parent, b"huggingface" | b".huggingface") => Reader::Token,
        b"credentials.toml" if parent == b".cargo" => Reader::Login(&["token"]),
        b"credentials.tfrc.json" | b".terraformrc" => Reader::Login(&["token"]),
        b"hosts.yml" if parent == b"gh" => Reader::Login(&["oauth_token"]),
        b".pgpass" => Reader::Pgpass,
        b".boto" | b".s3cfg" => AWS,
        b"rclone.conf" => Reader::Cloud(&["secret_access_key", "pass", "token", "client_secret"]),
        b"secring.gpg" => Reader::Ring,
        b"core" | b"vmcore" => Reader::CoreDump,
        b"identity" if parent != b".ssh" => return None,
        b"token"
        | b"hosts.yml"
        | b"credentials.db"
        | b"access_tokens.db"
        | b"msal_token_cache.bin"
        | b"msal_token_cache.json"
        | b"accessTokens.json"
        | b"service_principal_entries.bin"
        | b"service_principal_entries.json"
        | b"credentials.toml" => {
            return None;
        }
        _ if name.starts_with(b"core.") || name.ends_with(b".core") => Reader::CoreDump,
        _ if is_environment(name) => Reader::Environment,
        // The machine's own host keys have a rule of their own, which knows first boots.
        _ if parent == b"ssh" && name.starts_with(b"ssh_host_") => return None,
        [b'i', b'd', b'_', ..] if name.ends_with(b".pub") => return None,
        _ if by_ending(name) || name.starts_with(b"id_") || matches!(name, b"identity" | b".credentials_rsaparams") => {
            Reader::Key
        }
        _ if memchr::memmem::find(name, b"swap").is_some() => Reader::Swap,
        _ => return None,
    })
}

fn is_environment(name: &[u8]) -> bool {
    const FILES: [&[u8]; 9] = [
        b".bashrc",
        b".bash_profile",
        b".bash_login",
        b".profile",
        b".zshrc",
        b".zshenv",
        b".zprofile",
        b".pam_environment",
        b".envrc",
    ];
    // `.env.example` and its like are what people are to copy.
    let sample = [&b"example"[..], b"sample", b"template", b"dist"].iter().any(|ending| name.ends_with(ending));
    FILES.contains(&name) || ((name == b".env" || name.starts_with(b".env.") || name.ends_with(b".env")) && !sample)
}

/// Whether what is there may be a file of a package, or of a library, that everybody has: `/etc`, `/var` and home directories are not where
/// packages put keys that are meant to be public.
pub(super) fn may_be_public(path: &ImagePath) -> bool {
    let within = |folder: &str| path.is_within(&ImagePath::new(folder));
    (within("/usr") && !within("/usr/local")) || within("/opt") || within("/lib") || within("/lib64") || within("/boot")
}

/// Whether it is test data of a library, as its authors hand it to everybody: in a folder for tests below one where such libraries lie.
pub(super) fn is_test_data(path: &ImagePath) -> bool {
    const LIBRARIES: [&[u8]; 7] =
        [b"site-packages", b"dist-packages", b"node_modules", b"gems", b"go", b"registry", b"vendor_ruby"];
    const TESTS: [&[u8]; 9] =
        [b"test", b"tests", b"testdata", b"testing", b"fixtures", b"test-fixtures", b"test_data", b"examples", b"example"];
    let parts: Vec<&[u8]> = path.components().collect();
    let library = parts.iter().position(|part| LIBRARIES.contains(part));
    library.is_some_and(|at| parts.iter().skip(at + 1).rev().skip(1).any(|part| TESTS.contains(part)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Entry;

    fn candidate(path: &str) -> Option<Reader> {
        let path = ImagePath::new(path);
        let mut metadata = Entry::new(FileKind::File, "x").metadata;
        metadata.size = LEAST_SWAP;
        reader(&path).filter(|_| is_candidate(path.file_name(), &metadata))
    }

    #[test]
    fn by_name_and_place() {
        assert_eq!(candidate("/root/.aws/credentials"), Some(AWS));
        assert_eq!(candidate("/srv/x/credentials"), None);
        assert_eq!(candidate("/root/.docker/config.json"), Some(DOCKER));
        assert_eq!(candidate("/srv/app/config.json"), None);
        assert_eq!(candidate("/srv/repo/.git/config"), Some(Reader::Addresses));
        assert_eq!(candidate("/home/a/.ssh/id_ed25519"), Some(Reader::Key));
        assert_eq!(candidate("/home/a/.ssh/id_ed25519.pub"), None);
        assert_eq!(candidate("/etc/ssl/private/SERVER.KEY"), Some(Reader::Key));
        assert_eq!(candidate("/etc/ssl/certs/a.pem"), None);
        assert_eq!(candidate("/etc/ssh/ssh_host_rsa_key"), None);
        assert_eq!(candidate("/srv/.env.production"), Some(Reader::Environment));
        assert_eq!(candidate("/srv/.env.example"), None);
        assert_eq!(candidate("/var/swap.0"), Some(Reader::Swap));
        assert_eq!(candidate("/srv/core.12"), Some(Reader::CoreDump));
        assert_eq!(candidate("/srv/core.js"), None);
        assert_eq!(candidate("/bin/ls"), None);
    }

    #[test]
    fn what_libraries_test_with() {
        assert!(is_test_data(&"/usr/local/go/src/crypto/tls/testdata/example-key.pem".into()));
        assert!(is_test_data(&"/usr/local/lib/python3.11/site-packages/tornado/test/test.key".into()));
        assert!(!is_test_data(&"/srv/test/server.key".into()));
        assert!(!is_test_data(&"/usr/local/lib/node_modules/app/server.key".into()));
    }

    #[test]
    fn where_packages_put_what_is_public() {
        assert!(may_be_public(&"/usr/share/doc/x/key.pem".into()) && !may_be_public(&"/usr/local/x.pem".into()));
        assert!(!may_be_public(&"/etc/ssl/private/ssl-cert-snakeoil.key".into()));
    }
}
