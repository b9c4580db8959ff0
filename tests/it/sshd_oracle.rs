//! The real sshd as the judge of ours: `sshd -T` on a tree of configuration, and what karat makes of the same tree.
//!
//! Skipped, with a word, where there is no sshd of Debian, no ssh-keygen, or no right to run it. The trees are those of the rules'
//! examples, of the labelled situations, and random ones; a refusal of the one has to be a refusal of the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use karat::facts::sshd::{Keyword, Setting};
use karat::facts::{FactId, Facts, Packages, Sshd, Target};
use karat::image::{MemoryImage, Rootfs};
use karat::path::ImagePath;
use karat::rule::{FileSpec, shipped};
use rayon::prelude::*;

use crate::overlay::{Overlay, Tree, entries};
use crate::truth::folder;

const SSHD: &str = "/usr/sbin/sshd";

type Files = BTreeMap<String, String>;

/// The version of the installed package, if everything is there to ask it.
fn oracle() -> Option<String> {
    let output = Command::new("dpkg-query").args(["-W", "-f", "${Version}", "openssh-server"]).output().ok()?;
    let version = String::from_utf8(output.stdout).ok().filter(|version| !version.is_empty() && Path::new(SSHD).exists());
    let required = std::env::var("KARAT_PEERS").is_ok_and(|value| value == "required");
    let ready = fs::create_dir_all("/run/sshd").is_ok() && version.is_some();
    if !ready {
        assert!(!required, "{SSHD} has to be there");
        eprintln!("skipped: no sshd of Debian, or no right to run it");
        return None;
    }
    version
}

fn key(folder: &Path) -> String {
    let path = folder.join("host_key").display().to_string();
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path]).status().unwrap();
    assert!(made.success());
    path
}

/// A tree on the disk, with its root in front of every path in it, and the same in memory.
struct Place {
    folder: tempfile::TempDir,
    key: String,
    version: String,
}

impl Place {
    fn new(version: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = key(folder.path());
        Self { folder, key, version }
    }

    /// Includes start in the tree, the relative ones too.
    fn moved(content: &str, root: &str) -> String {
        let line = |line: &str| {
            let text = line.replace("/etc/", &format!("{root}/etc/"));
            let words: Vec<&str> = text.trim_start().splitn(2, ' ').collect();
            match words[..] {
                [include, path] if include.eq_ignore_ascii_case("include") && !path.starts_with(['/', '"', '~', '#']) => {
                    format!("{include} {root}/etc/ssh/{path}")
                }
                _ => text,
            }
        };
        content.split('\n').map(line).collect::<Vec<_>>().join("\n")
    }

    fn compare(&self, name: &str, files: &Files) -> usize {
        let tree = tempfile::tempdir_in(self.folder.path()).unwrap();
        let root = tree.path().display().to_string();
        let mut image = MemoryImage::new().link("/etc/ssh/sshd_config", &format!("{root}/etc/ssh/sshd_config"));
        for (path, content) in files {
            let (path, content) = (format!("{root}{path}"), Self::moved(content, &root));
            fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
            fs::write(&path, &content).unwrap();
            image.insert(ImagePath::new(&path), karat::image::Entry::new(karat::image::FileKind::File, content.as_bytes()));
        }
        let ours = sshd(&image, &self.version);
        let main = format!("{root}/etc/ssh/sshd_config");
        let compared = match self.dump(&main, None) {
            Ok(theirs) => {
                assert!(ours.flaw().is_none(), "{name}: karat refuses this and sshd does not: {:?}\n{files:?}", ours.flaw());
                alike(name, files, &ours, &theirs)
            }
            // This is about the test without a connection only.
            Err(why) if why.contains("not in connection test specification") => 0,
            Err(why) => {
                assert!(ours.flaw().is_some(), "{name}: sshd refuses this and karat does not: {why}\n{files:?}");
                return 0;
            }
        };
        for user in ["root", "bob"] {
            let spec = format!("user={user},host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22");
            let Ok(theirs) = self.dump(&main, Some(&spec)) else {
                // A list that nothing is left of refuses the connections it is for.
                let empty = |known: &Keyword| {
                    ours.values(known).iter().any(|setting| text(known, setting).is_empty() && setting.place.is_some())
                };
                assert!(Keyword::every().any(empty), "{name}: sshd refuses {user} and karat does not\n{files:?}");
                continue;
            };
            for (keyword, lines) in &theirs {
                let Some(known) = comparable(keyword) else { continue };
                let ours: Vec<String> = ours.values(known).iter().map(|setting| text(known, setting)).collect();
                assert!(ours.contains(&join(lines)), "{name}: {keyword} of {user} is {lines:?}, not one of {ours:?}\n{files:?}");
            }
        }
        compared
    }

    fn dump(&self, config: &str, connection: Option<&str>) -> Result<BTreeMap<String, Vec<String>>, String> {
        let mut command = Command::new(SSHD);
        command.current_dir("/").args(["-T", "-f", config, "-h", &self.key]);
        if let Some(connection) = connection {
            command.args(["-C", connection]);
        }
        let output = command.output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
            lines.entry(keyword.to_lowercase()).or_default().push(value.to_owned());
        }
        Ok(lines)
    }
}

/// Compares what both make of it without a connection.
fn alike(name: &str, files: &Files, ours: &Sshd, theirs: &BTreeMap<String, Vec<String>>) -> usize {
    let mut compared = 0;
    for (keyword, lines) in theirs {
        let Some(known) = comparable(keyword) else { continue };
        assert_eq!(text(known, &of_everybody(ours, known)), join(lines), "{name}: {keyword}\n{files:?}");
        compared += 1;
    }
    for keyword in Keyword::every().filter(|known| comparable(known.name).is_some()) {
        let silent = !theirs.contains_key(&keyword.name.to_lowercase()) && keyword.is_known_to(&ours.release);
        let set = ours.effective(keyword).value.is_some_and(|value| !["none", "0"].contains(&value.text.as_str()));
        // sshd says nothing of these at their defaults, or ever.
        let mute = ["LogVerbose", "DebianBanner", "RDomain", "ChannelTimeout", "ChallengeResponseAuthentication"];
        assert!(!(silent && set) || mute.contains(&keyword.name), "{name}: only karat sets {}\n{files:?}", keyword.name);
    }
    compared
}

/// Not those that depend on the host or that the test itself gives.
fn comparable(keyword: &str) -> Option<&'static Keyword> {
    let others = ["listenaddress", "hostkey", "unusedconnectiontimeout"];
    Keyword::named(keyword).filter(|known| !others.contains(&known.name.to_lowercase().as_str()))
}

/// `sshd -T` without a connection goes through the blocks too, and `Match all` is the one that holds.
fn of_everybody(sshd: &Sshd, keyword: &Keyword) -> Setting {
    let all = |setting: &Setting| {
        setting.because.as_ref().is_some_and(|because| because.starts_with("for connections that match 'all'"))
    };
    sshd.values(keyword).into_iter().find(all).unwrap_or_else(|| sshd.effective(keyword))
}

fn join(lines: &[String]) -> String {
    lines.join(" ").replace("without-password", "prohibit-password").replace("//", "/")
}

fn text(keyword: &Keyword, setting: &Setting) -> String {
    let text = setting.value.as_ref().map_or_else(String::new, |value| value.text.clone());
    match keyword.name {
        "IPQoS" if !text.contains(' ') => format!("{text} {text}"),
        _ => text,
    }
}

fn sshd(image: &MemoryImage, version: &str) -> Sshd {
    let mut target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
    target.packages = Some(Packages::listed("debian", &[format!("openssh-server {version}")]).unwrap());
    Facts::gather(target, |_, needs| needs.fact(FactId::Sshd)).sshd().unwrap().clone()
}

#[test]
fn what_is_built_in_is_what_the_real_sshd_says() {
    let Some(version) = oracle() else { return };
    let compared = Place::new(version).compare("an empty file", &[("/etc/ssh/sshd_config".to_owned(), String::new())].into());
    assert!(compared > 80, "only {compared} keywords were compared");
}

#[test]
fn the_examples_of_the_rules_mean_the_same_to_the_real_sshd() {
    let Some(version) = oracle() else { return };
    let place = Place::new(version);
    let mut trees = 0;
    for (id, rule) in shipped::whole().iter().filter(|(id, _)| id.starts_with("ssh-")) {
        for example in &rule.example {
            let content = |spec: &FileSpec| if let FileSpec::Text(text) = spec { Some(text.clone()) } else { None };
            let files: Option<Files> =
                example.files.iter().map(|(path, spec)| content(spec).map(|content| (path.clone(), content))).collect();
            // Links and other kinds have tests of their own; what belongs to another version is not this sshd's business.
            let other_version = example.packages.iter().flatten().any(|package| !package.contains("9.2p1"))
                || example.files.keys().any(|path| path.ends_with(".service"));
            let Some(files) = files.filter(|files| files.contains_key("/etc/ssh/sshd_config") && !other_version) else {
                continue;
            };
            place.compare(&format!("{id}: {}", example.name), &files);
            trees += 1;
        }
    }
    assert!(trees > 60, "only {trees} trees");
}

#[test]
fn the_labelled_situations_mean_the_same_to_the_real_sshd() {
    let (Some(version), Some(folder)) = (oracle(), folder()) else { return };
    let base = fs::File::open(folder.join("base-debian12.tar.zst")).unwrap();
    let base = Tree::new(entries(ruzstd::decoding::StreamingDecoder::new(base).unwrap()));
    let place = Place::new(version);
    let mut trees = 0;
    for line in fs::read_to_string(folder.join("index.jsonl")).unwrap().lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let requirement = case["requirement"].as_str().unwrap();
        if !requirement.starts_with("sshd_") && requirement != "disable_host_auth" {
            continue;
        }
        let archive = fs::File::open(folder.join(case["files"].as_str().unwrap())).unwrap();
        let paths =
            |key: &str| case[key].as_array().into_iter().flatten().filter_map(|path| path.as_str()).map(ImagePath::new).collect();
        let above = Tree::new(entries(flate2::read::GzDecoder::new(archive)));
        let image = Overlay { below: &base, above, gone: paths("deleted"), opaque: paths("opaque") };
        let root = Rootfs::new(&image);
        let mut files = Files::new();
        let drop_ins = root.glob("/etc/ssh/sshd_config.d/*").unwrap();
        for path in drop_ins.into_iter().chain([ImagePath::new("/etc/ssh/sshd_config")]) {
            if let Ok(content) = root.read(&path) {
                files.insert(path.to_string(), String::from_utf8(content).unwrap());
            }
        }
        place.compare(case["id"].as_str().unwrap(), &files);
        trees += 1;
    }
    assert!(trees > 40, "only {trees} trees");
}

/// Lines that make sense, half make sense, or make none.
const LINES: &[&str] = &[
    "PermitRootLogin yes",
    "permitrootlogin=Without-Password",
    "PermitRootLogin \"no\" # not at all",
    "PermitRootLogin no no",
    "PermitRootLogin",
    "MaxAuthTries 4",
    "MaxAuthTries +7",
    "MaxAuthTries -1",
    "MaxAuthTries 4x",
    "MaxAuthTries \"\"",
    "MaxSessions=3",
    "MaxStartups 20",
    "MaxStartups 5:50:20",
    "MaxStartups 10:30",
    "MaxStartups 60:30:10",
    "MaxStartups 7x",
    "LoginGraceTime 1m30s",
    "LoginGraceTime 1h 1m",
    "LoginGraceTime 2x",
    "LoginGraceTime 0",
    "ClientAliveInterval 1d1",
    "ClientAliveCountMax 0",
    "AllowUsers alice bob@10.* 'c d'",
    "AllowUsers \"\"",
    "AllowUsers # nobody",
    "AllowUsers",
    "DenyGroups x",
    "AcceptEnv LANG LC_*",
    "AcceptEnv A=b",
    "SetEnv A=b C=\"d e\"",
    "SetEnv A",
    "Ciphers -*-cbc,chacha*",
    "Ciphers +aes256-cbc,3des-cbc",
    "Ciphers ^aes256-ctr",
    "Ciphers aes256-ctr,,aes128-ctr",
    "Ciphers aes*",
    "Ciphers arcfour",
    "Ciphers aes256-ctr, aes128-ctr",
    "MACs hmac-sha2-256,hmac-md5",
    "MACs -umac*,!umac-64*",
    "KexAlgorithms curve25519-sha256",
    "KexAlgorithms +diffie-hellman-group1-sha1",
    "KexAlgorithms sntrup4591761x25519-sha512@tinyssh.org",
    "HostKeyAlgorithms ssh-ed25519,rsa*512",
    "PubkeyAcceptedKeyTypes +ssh-rsa",
    "PubkeyAcceptedAlgorithms -ecdsa*",
    "PubkeyAcceptedAlgorithms !ssh-rsa",
    "CASignatureAlgorithms ^ssh-rsa",
    "ChallengeResponseAuthentication no",
    "KbdInteractiveAuthentication yes",
    "SkeyAuthentication no",
    "UsePAM YES",
    "UsePAM maybe",
    "Protocol 1",
    "RSAAuthentication whatever \"quoted\"",
    "UsePrivilegeSeparation",
    "KeepAlive no",
    "Banner none",
    "Banner /some/where",
    "Banner \"/with blank/x\"",
    "Banner 'open",
    "AuthorizedKeysFile a b",
    "AuthorizedKeysFile none",
    "AuthenticationMethods publickey,password publickey",
    "AuthenticationMethods any publickey",
    "AuthenticationMethods nonsense",
    "LogLevel debug1",
    "LogLevel loud",
    "SyslogFacility local7",
    "LogVerbose kex.c:*:1000",
    "PermitTunnel No",
    "PermitTunnel ethernet",
    "PermitUserEnvironment No",
    "PermitUserEnvironment LANG,LC_*",
    "GatewayPorts clientspecified",
    "AllowTcpForwarding LOCAL",
    "AllowStreamLocalForwarding all",
    "Compression delayed",
    "RekeyLimit 1G 1h",
    "RekeyLimit default none",
    "RekeyLimit 1x",
    "RekeyLimit 8",
    "IPQoS ef",
    "IPQoS lowdelay cs1",
    "IPQoS nonsense",
    "StreamLocalBindMask 022",
    "StreamLocalBindMask 999",
    "PerSourceMaxStartups 5",
    "PerSourceNetBlockSize 24:64",
    "PerSourceNetBlockSize 33",
    "PermitOpen any",
    "PermitOpen host:22 [::1]:*",
    "PermitOpen host",
    "PermitListen 8080 localhost:99",
    "Port 2222",
    "Port 0",
    "Port 65536",
    "ForceCommand /bin/echo \"a  b\" # kept",
    "ChrootDirectory /srv/%u",
    "AuthorizedKeysCommand /bin/x %u",
    "AuthorizedKeysCommand relative",
    "VersionAddendum hello there",
    "VersionAddendum none",
    "Subsystem sftp internal-sftp -l INFO",
    "Subsystem sftp",
    "GSSAPIKeyExchange yes",
    "DebianBanner no",
    "RequiredRSASize 2048",
    "RSAMinSize 2048",
    "ChannelTimeout session:*=5m",
    "ChannelTimeout none",
    "ChannelTimeout session",
    "PubkeyAuthOptions touch-required",
    "FingerprintHash MD5",
    "AddressFamily INET",
    "IgnoreRhosts shosts-only",
    "IgnoreUnknown *",
    "RDomain x",
    "X11DisplayOffset 12",
    "DisableForwarding yes",
    "Nonsense 1",
    "\"PermitTTY\" no",
    "\"PermitTTY no",
    "= PrintMotd no",
    "PrintMotd = = no",
    "TCPKeepAlive\t=\tno\t\r",
    "StrictModes no\u{c}",
    "StrictModes no \u{b}",
    "X11Forwarding yes\\",
    "Match User bob",
    "Match user=bob group=nogroup",
    "Match User !root,*",
    "Match all",
    "Match ALL # comment",
    "Match all user x",
    "Match User",
    "Match Nobody x",
    "Match Address 127.0.0.0/8",
    "Match Address 127.0.0.1/8",
    "Match Address 127.0.0.0/8,!10.*",
    "Match LocalPort 22",
    "Match LocalPort x",
    "Match Host \"localhost\" User root",
    "Match invalid-user",
    "Include /etc/ssh/extra.conf",
    "Include /etc/ssh/none*.conf /etc/ssh/ext?a.conf",
    "Include \"\"",
    "Include",
    "Include /etc/ssh/[de]xtra.conf",
    "Include /etc/ssh/{extra,x}.conf",
    "# a comment",
    "   # another",
    "",
];

/// A sequence that is the same on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

#[test]
fn every_line_alone_means_the_same_to_the_real_sshd() {
    let Some(version) = oracle() else { return };
    let place = Place::new(version);
    let extra = ("/etc/ssh/extra.conf".to_owned(), "MaxSessions 5\nMatch User bob\nMaxAuthTries 2\n".to_owned());
    LINES.par_iter().for_each(|line| {
        for content in [format!("{line}\n"), format!("Match User bob\n{line}"), format!("Match all\n\t {line} \r\n")] {
            place.compare(line, &[("/etc/ssh/sshd_config".to_owned(), content), extra.clone()].into());
        }
    });
}

#[test]
fn random_configurations_mean_the_same_to_the_real_sshd() {
    let Some(version) = oracle() else { return };
    let place = Place::new(version);
    let main = "/etc/ssh/sshd_config".to_owned();
    // Most lines alone are right; a configuration of the right ones says more than one that is refused.
    let right: Vec<&str> = LINES.iter().copied().filter(|line| takes(&place, line)).collect();
    assert!(right.len() > 70, "only {} lines are right", right.len());
    let mut dice = Dice(20_261_124);
    for number in 0..150 {
        let mut content = |most: usize| {
            let lines = 1 + dice.roll(most);
            (0..lines).map(|_| right[dice.roll(right.len())]).collect::<Vec<_>>().join("\n")
        };
        let extra = content(6);
        let extra: Vec<&str> = extra.lines().filter(|line| !line.starts_with("Include")).collect();
        place.compare(
            &format!("random {number}"),
            &[(main.clone(), content(14)), ("/etc/ssh/extra.conf".into(), extra.join("\n"))].into(),
        );
    }
}

fn takes(place: &Place, line: &str) -> bool {
    let path = place.folder.path().join("one_line");
    fs::write(&path, format!("{line}\n")).unwrap();
    place.dump(&path.display().to_string(), None).is_ok()
}
