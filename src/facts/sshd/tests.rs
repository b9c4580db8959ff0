//! Situations of whole configurations.

use super::*;
use crate::facts::Target;
use crate::image::{Entry as File, FileKind, MemoryImage};

fn sshd_of(image: &MemoryImage) -> Sshd {
    sshd_in(image, "1:9.2p1-2+deb12u3")
}

fn sshd_in(image: &MemoryImage, version: &str) -> Sshd {
    let mut target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
    let packages = crate::facts::Packages::listed("debian", &[format!("openssh-server {version}")]);
    target.packages = Some(packages.unwrap());
    let facts = Facts::gather(target, |_, needs| needs.fact(crate::facts::FactId::Sshd));
    facts.sshd().unwrap().clone()
}

fn sshd(content: &str) -> Sshd {
    sshd_of(&MemoryImage::new().file("/etc/ssh/sshd_config", content))
}

fn text(sshd: &Sshd, name: &str) -> String {
    sshd.effective(Keyword::named(name).unwrap()).value.map_or_else(|| "-".into(), |value| value.text)
}

fn values(sshd: &Sshd, name: &str) -> Vec<String> {
    let values = sshd.values(Keyword::named(name).unwrap());
    values.into_iter().map(|setting| setting.value.map_or_else(|| "-".into(), |value| value.text)).collect()
}

fn why(content: &str) -> String {
    sshd(content).flaw().map_or_else(String::new, |flaw| format!("{}: {}", flaw.place.line, flaw.why))
}

#[test]
fn the_first_value_counts_wherever_it_is_included() {
    let image = MemoryImage::new()
        .file("/etc/ssh/sshd_config", "Include sshd_config.d/*.conf\nMaxAuthTries 6\n")
        .file("/etc/ssh/sshd_config.d/20-b.conf", "MaxAuthTries 9\n")
        .file("/etc/ssh/sshd_config.d/10-a.conf", "MaxAuthTries 3\n")
        .file("/etc/ssh/sshd_config.d/.hidden.conf", "MaxAuthTries 1\n")
        .file("/etc/ssh/sshd_config.d/00-off.conf.bak", "MaxAuthTries 2\n");
    let sshd = sshd_of(&image);
    let setting = sshd.effective(Keyword::named("maxauthtries").unwrap());
    assert_eq!(setting.place.unwrap().to_string(), "/etc/ssh/sshd_config.d/10-a.conf:1");
    let because = "wins over /etc/ssh/sshd_config.d/20-b.conf:1 and 1 more, because the first value counts";
    assert_eq!(setting.because.as_deref(), Some(because));
}

#[test]
fn a_drop_in_behind_the_value_loses() {
    let image = MemoryImage::new()
        .file("/etc/ssh/sshd_config", "X11Forwarding yes\nInclude \"/etc/ssh/sshd_config.d/*.conf\" other\n")
        .file("/etc/ssh/sshd_config.d/a.conf", "X11Forwarding no\n");
    assert_eq!(text(&sshd_of(&image), "X11Forwarding"), "yes");
}

#[test]
fn what_is_not_set_is_built_in() {
    let sshd = sshd("");
    assert_eq!(text(&sshd, "PermitRootLogin"), "prohibit-password");
    assert_eq!(text(&sshd, "AllowUsers"), "-");
    let because = sshd.effective(Keyword::named("MaxAuthTries").unwrap()).because;
    assert_eq!(because.as_deref(), Some("not set: built into OpenSSH 9.2 (1:9.2p1-2+deb12u3)"));
}

#[test]
fn some_keywords_take_all_values_and_a_few_the_last() {
    let sshd = sshd(
        "AllowUsers a b\nAllowUsers c\nMaxStartups 10:30:60\nMaxStartups 100\nAuthorizedKeysFile a b\nAuthorizedKeysFile c\n",
    );
    assert_eq!(text(&sshd, "AllowUsers"), "a b c");
    assert_eq!(text(&sshd, "MaxStartups"), "100:30:100");
    assert_eq!(text(&sshd, "AuthorizedKeysFile"), "a b");
}

#[test]
fn since_10_1_the_first_maxstartups_counts() {
    let image = MemoryImage::new().file("/etc/ssh/sshd_config", "MaxStartups 10:30:60\nMaxStartups 100\n");
    assert_eq!(text(&sshd_in(&image, "1:10.1p1-1"), "MaxStartups"), "10:30:60");
}

#[test]
fn a_block_brings_its_values_to_some() {
    let sshd = sshd(
        "PermitRootLogin no\nMatch User bob # him\nPermitRootLogin yes\nX11Forwarding yes\nMatch Group x\nPermitRootLogin no\n",
    );
    assert_eq!(values(&sshd, "PermitRootLogin"), ["no", "yes", "no"]);
    let settings = sshd.values(Keyword::named("PermitRootLogin").unwrap());
    let because = "for connections that match 'User bob' (/etc/ssh/sshd_config:2)";
    assert_eq!(settings[1].because.as_deref(), Some(because));
    assert_eq!(values(&sshd, "X11Forwarding"), ["no", "yes"]);
}

#[test]
fn match_all_counts_at_the_start_and_hides_the_rest_for_connections() {
    let sshd = sshd("PermitRootLogin no\nMatch all\nPermitRootLogin yes\nUsePAM yes\nMatch User x\nPermitRootLogin no\n");
    assert_eq!(text(&sshd, "PermitRootLogin"), "no");
    assert_eq!(values(&sshd, "PermitRootLogin"), ["yes"]);
    assert_eq!(values(&sshd, "UsePAM"), ["yes"]);
}

#[test]
fn an_include_in_a_block_stays_conditional_and_the_block_ends_with_its_file() {
    let image = MemoryImage::new()
        .file("/etc/ssh/sshd_config", "Include a\nMaxAuthTries 3\nMatch User bob\nInclude b\nMaxSessions 1\n")
        .file("/etc/ssh/a", "Match Group x\nMaxAuthTries 7\n")
        .file("/etc/ssh/b", "MaxAuthTries 8\nMatch Group y\nMaxAuthTries 9\nMatch all\nMaxAuthTries 10\n");
    let sshd = sshd_of(&image);
    assert_eq!(values(&sshd, "MaxAuthTries"), ["3", "7", "8", "9", "10"]);
    assert_eq!(values(&sshd, "MaxSessions"), ["10", "1"]);
    let last = sshd.values(Keyword::named("MaxAuthTries").unwrap()).pop().unwrap();
    assert!(last.because.unwrap().contains("'User bob'"));
}

#[test]
fn mistakes_stop_the_server() {
    assert_eq!(why("Nonsense yes\n"), "1: 'Nonsense' is no keyword of OpenSSH 9.2 (1:9.2p1-2+deb12u3)");
    assert_eq!(why("MaxAuthTries\n"), "1: an argument is missing");
    assert_eq!(why("MaxAuthTries four\n"), "1: 'four' is no value for it");
    assert_eq!(why("Match User x\nUsePAM yes\n"), "2: it may not stand in a Match block");
    assert_eq!(why("Match nobody x\n"), "1: 'nobody' is no criterion");
    assert_eq!(why("AuthorizedKeysCommand /bin/x\n"), "1: it needs AuthorizedKeysCommandUser beside it");
    assert_eq!(why("Include\n"), "1: it names no file");
    assert_eq!(why("Include sshd_config\n"), "1: too many includes within includes");
    assert_eq!(why("Protocol 1\nRSAAuthentication maybe\nInclude nothing/*.conf gone\n"), "");
}

#[test]
fn no_file_at_all_stops_it_too() {
    assert!(sshd_of(&MemoryImage::new()).flaw().unwrap().why.contains("no such file"));
}

#[test]
fn a_link_to_nothing_stops_it_and_a_directory_does_not() {
    let image =
        |name: &str| MemoryImage::new().file("/etc/ssh/sshd_config", format!("Include {name}\n")).directory("/etc/ssh/dir");
    assert_eq!(sshd_of(&image("dir")).flaw(), None);
    assert!(sshd_of(&image("link").link("/etc/ssh/link", "gone")).flaw().is_some());
}

#[test]
fn what_cannot_be_read_is_not_guessed() {
    let image = MemoryImage::new().with("/etc/ssh/sshd_config", File::new(FileKind::Fifo, ""));
    let facts = Facts::gather(Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1)), |_, needs| {
        needs.fact(crate::facts::FactId::Sshd);
    });
    assert!(facts.sshd().is_err());
}

#[test]
fn a_linked_configuration_is_followed() {
    let image = MemoryImage::new().link("/etc/ssh/sshd_config", "../sshd").file("/etc/sshd", "Port=2222\r\nPort 22\n");
    assert_eq!(text(&sshd_of(&image), "Port"), "2222 22");
}

#[test]
fn two_settings_of_old_versions_are_one_today() {
    let image = |content: &str| MemoryImage::new().file("/etc/ssh/sshd_config", content);
    let kbd = |content: &str, version: &str| text(&sshd_in(&image(content), version), "KbdInteractiveAuthentication");
    assert_eq!(kbd("ChallengeResponseAuthentication no\nKbdInteractiveAuthentication yes\n", "1:9.2p1-2"), "no");
    assert_eq!(kbd("ChallengeResponseAuthentication no\nKbdInteractiveAuthentication yes\n", "1:8.4p1-5"), "yes");
    assert_eq!(kbd("ChallengeResponseAuthentication no\n", "1:8.4p1-5"), "no");
    assert_eq!(kbd("", "1:8.4p1-5"), "yes");
}

#[test]
fn a_comment_behind_a_value_stops_an_old_version() {
    let image = MemoryImage::new().file("/etc/ssh/sshd_config", "MaxAuthTries 4 # four\n");
    assert!(sshd_in(&image, "1:8.4p1-5").flaw().is_some());
    assert!(sshd_in(&image, "1:9.2p1-2").flaw().is_none());
}

fn with_unit(command: &str, defaults: &str) -> MemoryImage {
    MemoryImage::new()
        .file(
            "/usr/lib/systemd/system/ssh.service",
            format!("[Service]\nEnvironmentFile=-/etc/default/ssh\nExecStart={command}\n"),
        )
        .file("/etc/default/ssh", defaults)
        .file("/etc/ssh/sshd_config", "PermitRootLogin no\nPort 22\n")
        .file("/srv/sshd", "PermitRootLogin prohibit-password\n")
}

#[test]
fn options_of_the_unit_win_over_the_file() {
    let image = with_unit("/usr/sbin/sshd -D $SSHD_OPTS", "# none\nSSHD_OPTS=\"-oPermitRootLogin=yes -p 2222\"\n");
    let sshd = sshd_of(&image);
    let setting = sshd.effective(Keyword::named("PermitRootLogin").unwrap());
    assert_eq!(setting.place.unwrap().to_string(), "/etc/default/ssh:2");
    assert_eq!(setting.because.as_deref(), Some("wins over /etc/ssh/sshd_config:1, because the first value counts"));
    assert_eq!(text(&sshd, "Port"), "2222");
    assert_eq!(text(&sshd_of(&with_unit("/usr/sbin/sshd -D", "SSHD_OPTS=-oPermitRootLogin=yes\n")), "PermitRootLogin"), "no");
}

#[test]
fn the_file_of_variables_is_read_as_systemd_reads_it() {
    let login = |image: &MemoryImage| text(&sshd_of(image), "PermitRootLogin");
    let command = "/usr/sbin/sshd -D $SSHD_OPTS";
    for defaults in [
        "SSHD_OPTS=-4 \\\n-oPermitRootLogin=yes\n",
        "SSHD_OPTS='-4\n-oPermitRootLogin=yes'\n",
        "X=1\rSSHD_OPTS =-oPermitRootLogin=yes\r",
    ] {
        assert_eq!(login(&with_unit(command, defaults)), "yes", "{defaults:?}");
    }
    let manager = "[Manager]\nDefaultEnvironment=SSHD_OPTS=-oPermitRootLogin=yes\n";
    let image = with_unit(command, "").file("/etc/systemd/system.conf.d/a.conf", manager);
    assert_eq!(login(&image), "yes");
    assert_eq!(
        login(&with_unit(command, "SSHD_OPTS=-4\n").file("/etc/systemd/system.conf", manager)),
        "no",
        "the unit's own wins"
    );
    let unset = "[Service]\nUnsetEnvironment=SSHD_OPTS\n";
    assert_eq!(login(&image.file("/etc/systemd/system/ssh.service.d/a.conf", unset)), "no");
}

#[test]
fn the_unit_may_name_another_file_or_none() {
    assert_eq!(text(&sshd_of(&with_unit("/usr/sbin/sshd -f /srv/sshd", "")), "PermitRootLogin"), "prohibit-password");
    assert_eq!(text(&sshd_of(&with_unit("/usr/sbin/sshd -fnone", "")), "Port"), "22");
}

#[test]
fn a_drop_in_of_the_unit_counts() {
    let image = with_unit("/usr/sbin/sshd -D", "").file(
        "/etc/systemd/system/ssh.service.d/x.conf",
        "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D -o \"PermitRootLogin yes\"\n",
    );
    assert_eq!(text(&sshd_of(&image), "PermitRootLogin"), "yes");
    assert!(sshd_of(&with_unit("/usr/sbin/sshd -o Nonsense=1", "")).flaw().is_some());
}

#[test]
fn includes_cannot_run_away() {
    let mut image = MemoryImage::new().file("/etc/ssh/sshd_config", "Include d0/*\n");
    for depth in 0..15 {
        for name in ["a", "b"] {
            image.insert(
                ImagePath::new(format!("/etc/ssh/d{depth}/{name}")),
                File::new(FileKind::File, format!("Include d{}/*\n", depth + 1).as_bytes()),
            );
        }
    }
    let facts = Facts::gather(Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1)), |_, needs| {
        needs.fact(crate::facts::FactId::Sshd);
    });
    assert!(facts.sshd().unwrap_err().reason.contains("files are included"));
}

proptest::proptest! {
    #[test]
    fn any_content_is_read_without_a_panic(content: Vec<u8>) {
        let image = MemoryImage::new().file("/etc/ssh/sshd_config", content);
        let facts = Facts::gather(Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1)), |_, needs| {
            needs.fact(crate::facts::FactId::Sshd);
        });
        if let Ok(sshd) = facts.sshd() {
            for keyword in Keyword::every() {
                let _ = sshd.values(keyword);
            }
        }
    }

    #[test]
    fn any_lines_of_keywords_are_read_without_a_panic(lines in proptest::collection::vec("(Match|Include|Port|AllowUsers|Ciphers|MaxStartups|Match all)[ =][-+^a-z0-9,*:/\"' ]{0,12}", 0..8)) {
        let image = MemoryImage::new().file("/etc/ssh/sshd_config", lines.join("\n"));
        let facts = Facts::gather(Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1)), |_, needs| {
            needs.fact(crate::facts::FactId::Sshd);
        });
        if let Ok(sshd) = facts.sshd() {
            for keyword in Keyword::every() {
                let _ = sshd.values(keyword);
            }
        }
    }
}
