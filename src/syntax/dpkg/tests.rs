use super::*;
use proptest::prelude::*;

const TWO: &str = "Package: adduser
Status: install ok installed
Architecture: all
Multi-Arch: foreign
Version: 3.134
Conffiles:
 /etc/adduser.conf b2be
 /etc/a b.conf newconffile obsolete
Description: add and remove users
 A second line.
 .
 Not a Version: 9

Package: telnetd
Status: deinstall ok config-files
Version: 0.17-41
Architecture: amd64
Source: netkit-telnet (0.17)

";

fn trouble(text: &str) -> (u32, Trouble) {
    let error = parse_status(text.as_bytes()).unwrap_err();
    (error.line, error.trouble)
}

#[test]
fn names_that_dpkg_refuses() {
    let named = |name: &str| parse_status(format!("Package: {name}\nDescription: x\n").as_bytes()).map(|found| found.len());
    for name in ["nginx\0", "a b", "-a", "a~b", "é", "a/b"] {
        assert_eq!(named(name), Err(DpkgError { line: 1, trouble: Trouble::Name(name.to_owned()) }));
    }
    for name in ["libstdc++6", "X11-a_b", "0ad", "a"] {
        assert_eq!(named(name), Ok(1));
    }
}

#[test]
fn two_stanzas_of_one_package_and_architecture() {
    let of = |architecture: &str| format!("Package: a\nArchitecture: {architecture}\nDescription: x\n\n");
    assert_eq!(trouble(&(of("amd64") + &of("amd64"))), (5, Trouble::Again("a".into())));
    let capital = of("amd64").replace("Package: a", "Package: A");
    assert_eq!(trouble(&(of("amd64") + &capital)), (5, Trouble::Again("A".into())));
    assert_eq!(parse_status((of("amd64") + &of("i386")).as_bytes()).unwrap().len(), 2);
}

#[test]
fn two_stanzas_with_their_lines() {
    let packages = parse_status(TWO.as_bytes()).unwrap();
    let [adduser, telnetd] = packages.as_slice() else { panic!("{packages:?}") };
    assert_eq!((adduser.line, adduser.name, adduser.version), (1, "adduser", Some("3.134")));
    assert_eq!((adduser.architecture, adduser.multi_arch), (Some("all"), Some("foreign")));
    let status = adduser.status.unwrap();
    assert_eq!((status.want, status.reinstall_required, status.state), (Want::Install, false, State::Installed));
    assert_eq!(adduser.conffiles[0], Conffile { path: "/etc/adduser.conf", digest: "b2be", obsolete: false });
    assert_eq!(adduser.conffiles[1], Conffile { path: "/etc/a b.conf", digest: "newconffile", obsolete: true });
    assert_eq!((telnetd.line, telnetd.source), (14, Some("netkit-telnet (0.17)")));
    assert_eq!(telnetd.status.unwrap().state, State::ConfigFiles);
}

#[test]
fn field_names_in_any_case_and_values_with_a_carriage_return() {
    let packages = parse_status(b"PACKAGE : a\r\nversion:1\r\nStatus: Hold Ok Installed\t\r\n\n\n\n").unwrap();
    assert_eq!((packages[0].name, packages[0].version), ("a", Some("1")));
    assert_eq!(packages[0].status.unwrap().want, Want::Hold);
}

#[test]
fn what_dpkg_refuses() {
    assert_eq!(trouble("Package: a\nStatus: install ok installed\n\n"), (1, Trouble::Missing("Version")));
    assert_eq!(trouble("\nVersion: 1\n\n"), (2, Trouble::Missing("Package")));
    assert_eq!(trouble("Package: a\nrubbish\n\n"), (2, Trouble::NoColon));
    assert_eq!(trouble(" Package: a\n\n"), (1, Trouble::NoColon));
    assert_eq!(trouble("Package: a\nVersion: 1\nversion: 2\n\n"), (3, Trouble::Twice("Version".into())));
    assert_eq!(trouble("Package: a\nDescription: b\n \n c\n\n"), (3, Trouble::BlankLine));
    assert!(matches!(trouble("Package: a\nStatus: install ok\n\n"), (2, Trouble::Status(_))));
    assert!(matches!(trouble("Package: a\nStatus: install ok installed now\n\n"), (2, Trouble::Status(_))));
    assert!(matches!(trouble("Package: a\nConffiles:\n etc/x 00\n\n"), (2, Trouble::Conffile(_))));
    let error = parse_status(b"Package: a\xff\n\n").unwrap_err();
    assert_eq!(error.trouble, Trouble::NotText("Package"));
}

#[test]
fn cut_off_within_a_line_or_within_the_last_stanza() {
    assert_eq!(trouble("Package: a\nVersion: 1\nDescr"), (3, Trouble::CutOff));
    assert_eq!(trouble("Package: a\nStatus: install ok installed\nVersion: 1\n"), (1, Trouble::CutStanza));
    assert!(parse_status(b"Package: a\nStatus: install ok installed\nVersion: 1\nDescription: x\n").is_ok());
}

#[test]
fn control_files_without_a_status() {
    let packages = parse_status_d(b"Package: base-files\nVersion: 12.4\nArchitecture: amd64").unwrap();
    assert_eq!((packages[0].name, packages[0].status), ("base-files", None));
    assert_eq!(parse_status_d(b"Package: a\n").unwrap_err().trouble, Trouble::Missing("Version"));
}

#[test]
fn the_list_dpkg_query_prints_for_this_machine() {
    let path = "/var/lib/dpkg/status";
    let (Ok(bytes), Ok(output)) = (
        std::fs::read(path),
        std::process::Command::new("dpkg-query").args(["-W", "-f", "${Package} ${Version} ${Status}\n"]).output(),
    ) else {
        eprintln!("skipped: no dpkg database on this machine");
        return;
    };
    let mut ours: Vec<String> = parse_status(&bytes)
        .unwrap()
        .iter()
        .filter(|p| p.status.unwrap().state != State::NotInstalled)
        .map(|p| format!("{} {} {}", p.name, p.version.unwrap(), p.status.unwrap().state.word()))
        .collect();
    // The third word of the status is the state; a package wanted otherwise prints another first word.
    let theirs = String::from_utf8(output.stdout).unwrap();
    let mut theirs: Vec<String> = theirs
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            format!("{} {} {}", words[0], words[1], words[4])
        })
        .collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
}

#[test]
fn every_cut_of_a_status_is_an_error_or_whole_stanzas() {
    let whole = parse_status(TWO.as_bytes()).unwrap();
    for end in 0..TWO.len() {
        if let Ok(packages) = parse_status(&TWO.as_bytes()[..end]) {
            for (ours, theirs) in packages.iter().zip(&whole) {
                assert_eq!((ours.name, ours.version, ours.status), (theirs.name, theirs.version, theirs.status), "cut at {end}");
            }
        }
    }
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_status(&bytes);
        let _ = parse_status_d(&bytes);
    }

    #[test]
    fn never_panics_near_the_grammar(text in "(Package|Status|Conffiles|Version|X)?( ?: ?|\n| |\t)([a-z/ ]{0,8}\n?){0,6}") {
        let _ = parse_status(text.as_bytes());
    }
}
