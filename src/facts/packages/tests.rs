use super::*;
use crate::facts::Target;
use crate::image::MemoryImage;
use crate::syntax::rpm_header::tests::build;

fn gathered(image: &MemoryImage) -> Fact<Packages> {
    let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
    let facts = Facts::gather(target, |_, needs| needs.fact(crate::facts::FactId::Packages));
    facts.packages().cloned()
}

fn names(packages: &[Package]) -> Vec<String> {
    packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
}

fn stanza(name: &str, status: &str) -> String {
    format!("Package: {name}\nStatus: {status}\nArchitecture: amd64\nVersion: 1:2.0-1\n\n")
}

fn debian() -> MemoryImage {
    let status = stanza("sudo", "install ok installed") + &stanza("telnetd", "deinstall ok config-files");
    MemoryImage::new().file("/etc/os-release", "ID=debian\n").file("/var/lib/dpkg/status", status)
}

/// The smallest Berkeley DB of rpm: a meta page and a bucket with the counter and one package.
fn berkeley_db(blob: &[u8]) -> Vec<u8> {
    let mut file = vec![0_u8; 1024];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(12, &0x0006_1561_u32.to_le_bytes());
    put(16, &9_u32.to_le_bytes());
    put(20, &512_u32.to_le_bytes());
    put(25, &[8]);
    put(32, &1_u32.to_le_bytes());
    // The first bucket's doubling starts at page one.
    put(96, &1_u32.to_le_bytes());
    put(512 + 8, &1_u32.to_le_bytes());
    put(512 + 25, &[13]);
    let mut end = 512;
    for (index, item) in [&[0; 4][..], &[1, 0, 0, 0], &[1, 0, 0, 0], blob].into_iter().enumerate() {
        end -= item.len() + 1;
        put(512 + 26 + 2 * index, &u16::try_from(end).unwrap().to_le_bytes());
        put(512 + end, &[1]);
        put(512 + end + 1, item);
    }
    put(512 + 20, &4_u16.to_le_bytes());
    file
}

fn rpm_package(name: &str) -> Vec<u8> {
    let name = format!("{name}\0");
    build(&[(1000, 6, 1, name.as_bytes()), (1001, 6, 1, b"3.0\0"), (1002, 6, 1, b"1.amzn2\0"), (1008, 4, 1, &[0, 0, 0, 9])])
}

#[test]
fn a_macro_that_moves_rpms_database_leaves_the_packages_unknown() {
    let image = |macros: &str| {
        let image = MemoryImage::new().file("/etc/os-release", "ID=amzn\n").file("/etc/rpm/macros", macros);
        gathered(&image.file("/var/lib/rpm/Packages", berkeley_db(&rpm_package("sudo"))))
    };
    assert!(image("%_dbpath_x /opt\n#%_dbpath /opt\n%_dbpath\t%{_var}/lib/rpm\n").is_ok());
    assert!(image("%_x 1\n%_dbpath /opt/rpm\n").unwrap_err().to_string().contains("/opt/rpm"));
}

#[test]
fn a_name_in_capitals_is_the_same_name() {
    let status = stanza("Telnet", "install ok installed");
    let image = MemoryImage::new().file("/etc/os-release", "ID=debian\n").file("/var/lib/dpkg/status", status);
    assert!(gathered(&image.clone().file("/var/lib/dpkg/info/telnet.list", "/.\n")).unwrap().named("telnet").next().is_some());
    let image = image.file("/var/lib/dpkg/updates/0001", stanza("telnet", "purge ok not-installed"));
    assert!(gathered(&image).is_err(), "the only package is gone");
}

#[test]
fn configuration_that_is_left_over_is_not_installed() {
    let packages = gathered(&debian()).unwrap();
    assert_eq!(names(&packages.installed), ["sudo 1:2.0-1"]);
    assert_eq!(names(&packages.removed), ["telnetd 1:2.0-1"]);
    assert_eq!((packages.installed[0].line, packages.removed[0].line), (Some(1), Some(6)));
    assert!(packages.named("telnetd").next().is_none() && packages.leftovers("telnetd").next().is_some());
}

#[test]
fn half_of_a_package_is_there_and_says_so() {
    let image = debian()
        .file("/var/lib/dpkg/status", stanza("a", "install ok half-installed") + &stanza("b", "install reinstreq unpacked"));
    let states: Vec<State> = gathered(&image).unwrap().installed.iter().map(|package| package.state).collect();
    assert_eq!(states, [State::Partly("half-installed"), State::Partly("in need of reinstallation")]);
}

#[test]
fn one_architecture_of_several() {
    let status = stanza("libc6", "install ok installed").repeat(2).replacen("amd64", "i386", 1);
    let packages = gathered(&debian().file("/var/lib/dpkg/status", status)).unwrap();
    assert_eq!(
        (packages.named("libc6").count(), packages.named("libc6:i386").count(), packages.named("libc6:arm64").count()),
        (2, 1, 0)
    );
}

#[test]
fn an_interrupted_run_of_dpkg_has_the_last_word() {
    let image = debian()
        .file("/var/lib/dpkg/updates/0001", stanza("sudo", "install ok half-configured"))
        .file("/var/lib/dpkg/updates/0002", stanza("telnetd", "install ok installed"))
        .file("/var/lib/dpkg/updates/tmp.i", "rubbish");
    let packages = gathered(&image).unwrap();
    assert_eq!(names(&packages.installed), ["sudo 1:2.0-1", "telnetd 1:2.0-1"]);
    assert_eq!(packages.installed[0].state, State::Partly("half-configured"));
    assert!(packages.removed.is_empty());
}

#[test]
fn packages_of_an_image_made_without_dpkg() {
    let image = MemoryImage::new()
        .file("/var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12.4\nArchitecture: amd64")
        .file("/var/lib/dpkg/status.d/base.md5sums", "00  usr/x\n");
    let packages = gathered(&image).unwrap();
    assert_eq!(names(&packages.installed), ["base-files 12.4"]);
    assert_eq!(packages.installed[0].file.as_ref().unwrap().to_string(), "/var/lib/dpkg/status.d/base");
}

#[test]
fn a_cut_off_status_is_unknown_with_its_line() {
    let why = gathered(&debian().file("/var/lib/dpkg/status", "Package: sudo\nSta")).unwrap_err();
    assert_eq!((why.path.unwrap().to_string(), why.line), ("/var/lib/dpkg/status".into(), Some(2)));
}

#[test]
fn a_list_of_files_without_a_stanza_shows_that_stanzas_are_missing() {
    let lists = |names: &[&str]| {
        let file = |image: MemoryImage, name: &&str| image.file(&format!("/var/lib/dpkg/info/{name}"), "");
        gathered(&names.iter().fold(debian(), file))
    };
    // Of a package that is not installed any more too, and of one with its architecture in the name.
    assert!(lists(&["sudo:amd64.list", "telnetd.list", "other.postinst", "format"]).is_ok());
    let why = lists(&["openssh-server.list", "sudo.list"]).unwrap_err();
    assert_eq!(why.path.unwrap().to_string(), "/var/lib/dpkg/info/openssh-server.list");
    assert_eq!(why.reason, "it lists the files of a package that /var/lib/dpkg/status does not know");
    assert!(lists(&["a:amd64.list", "b.list", "c.list"]).unwrap_err().reason.ends_with(", as 2 more do"));
}

#[test]
fn a_database_without_packages_is_unknown() {
    for image in [
        MemoryImage::new().file("/var/lib/dpkg/status", ""),
        MemoryImage::new().directory("/var/lib/dpkg"),
        MemoryImage::new().directory("/var/lib/rpm"),
        MemoryImage::new().directory("/usr/lib/sysimage/rpm"),
        MemoryImage::new().directory("/lib/apk/db"),
        MemoryImage::new().file("/lib/apk/db/installed", ""),
        MemoryImage::new().file("/var/lib/rpm/rpmdb.sqlite", ""),
        MemoryImage::new().file("/var/lib/rpm/Packages", "rubbish"),
    ] {
        assert!(gathered(&image).unwrap_err().path.is_some());
    }
    assert_eq!(gathered(&MemoryImage::new()).unwrap_err().reason, "there is no package database");
    assert!(gathered(&MemoryImage::new().file("/etc/os-release", "ID=debian")).unwrap_err().reason.contains("dpkg"));
}

#[test]
fn keys_of_rpm_are_no_packages() {
    let database = |name: &str| MemoryImage::new().file("/var/lib/rpm/Packages", berkeley_db(&rpm_package(name)));
    let packages = gathered(&database("bash")).unwrap();
    assert_eq!(names(&packages.installed), ["bash 3.0-1.amzn2"]);
    assert_eq!((packages.family, packages.installed[0].installed_at), (Family::Rpm, Some(9)));
    assert!(gathered(&database("gpg-pubkey")).unwrap_err().reason.contains("no packages"));
}

#[test]
fn a_link_between_the_two_places_of_rpm_is_one_database() {
    let database = berkeley_db(&rpm_package("bash"));
    let image = MemoryImage::new().file("/usr/lib/sysimage/rpm/Packages", database.clone());
    let linked = image.clone().link("/var/lib/rpm", "../../usr/lib/sysimage/rpm");
    assert_eq!(gathered(&linked).unwrap().database.to_string(), "/usr/lib/sysimage/rpm/Packages");
    let two = image.file("/var/lib/rpm/Packages", database);
    assert!(gathered(&two).unwrap_err().reason.contains("another database"));
}

#[test]
fn a_header_that_cannot_be_read_makes_all_of_it_unknown() {
    let image = MemoryImage::new().file("/var/lib/rpm/Packages", berkeley_db(b"no header"));
    assert!(gathered(&image).unwrap_err().reason.starts_with("package 1:"));
}

#[test]
fn the_system_says_which_of_two_families_counts() {
    let both = debian().file("/var/lib/rpm/Packages", berkeley_db(&rpm_package("bash")));
    let packages = gathered(&both).unwrap();
    assert_eq!(packages.family, Family::Dpkg);
    assert_eq!(packages.others, [(Family::Rpm, "/var/lib/rpm/Packages".into())]);
    let derived = both.clone().file("/etc/os-release", "ID=my\nID_LIKE=\"rhel fedora\"\n");
    assert_eq!(gathered(&derived).unwrap().family, Family::Rpm);
    let unheard_of = both.file("/etc/os-release", "ID=my\n");
    assert!(gathered(&unheard_of).unwrap_err().reason.contains("which package database counts"));
}

#[test]
fn a_damaged_database_beside_a_good_one_matters_only_if_it_may_be_the_systems() {
    let both = debian().file("/var/lib/rpm/Packages", "rubbish");
    assert_eq!(gathered(&both).unwrap().family, Family::Dpkg);
    assert!(gathered(&both.file("/etc/os-release", "ID=my\n")).is_err());
}

#[test]
fn each_family_has_its_own_order() {
    let order = |family: Family, a: &str, b: &str| family.compare(a, b);
    assert_eq!(order(Family::Dpkg, "1.0~rc1", "1.0"), Ok(Ordering::Less));
    assert_eq!(order(Family::Dpkg, "1.0-1", "1.0"), Ok(Ordering::Greater));
    assert_eq!(order(Family::Rpm, "8.7p1-29", "8.7p1"), Ok(Ordering::Equal));
    assert_eq!(order(Family::Rpm, "1:1.0-1", "2.0"), Ok(Ordering::Greater));
    assert_eq!(order(Family::Apk, "1.2_rc1-r0", "1.2"), Ok(Ordering::Less));
    assert!(order(Family::Apk, "one", "1").is_err() && order(Family::Dpkg, "1", "").is_err());
}
