use super::*;
use crate::facts::{FactId, Target};
use crate::image::{Entry as ImageEntry, FileKind, MemoryImage, Rootfs};

fn gathered(image: &MemoryImage) -> Fact<Sudo> {
    let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
    Facts::gather(target, |_, needs| needs.fact(FactId::Sudo)).sudo().cloned()
}

fn main_file(content: &str) -> MemoryImage {
    MemoryImage::new().file("/etc/os-release", "ID=debian\n").file(Sudo::PATH, content)
}

fn values(content: &str, option: &str) -> Vec<Option<String>> {
    gathered(&main_file(content)).unwrap().effective(option).unwrap().into_iter().map(|found| found.text).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[test]
fn the_last_line_wins_and_undoes_what_was_said_for_some() {
    assert_eq!(values("Defaults !use_pty\nDefaults use_pty\n", "use_pty"), some(&["on"]));
    assert_eq!(values("Defaults:joe !use_pty\nDefaults use_pty\n", "use_pty"), some(&["on"]));
    assert_eq!(values("Defaults use_pty\nDefaults:joe !use_pty\n", "use_pty"), some(&["on", "off"]));
}

#[test]
fn options_of_commands_are_set_last() {
    assert_eq!(values("Defaults!/bin/a !use_pty\nDefaults use_pty\n", "use_pty"), some(&["on", "off"]));
}

#[test]
fn values_that_do_not_fit_are_passed_over() {
    assert_eq!(values("Defaults use_pty\nDefaults !use_pty\nDefaults use_pty=yes\n", "use_pty"), some(&["off"]));
    assert_eq!(values("Defaults logfile=sudo.log\nDefaults logfile\n", "logfile"), [None]);
    assert_eq!(values("Defaults timestamp_timeout=5m\n", "timestamp_timeout"), some(&["15"]));
}

#[test]
fn minutes_are_rounded_away_from_zero() {
    let number = |text: &str| {
        let content = format!("Defaults timestamp_timeout={text}\n");
        gathered(&main_file(&content)).unwrap().effective("timestamp_timeout").unwrap()[0].number
    };
    assert_eq!([number("15.5"), number("-0.5"), number("+0"), number(".5")], [Some(16), Some(-1), Some(0), Some(1)]);
}

#[test]
fn lists_are_added_up() {
    let content = "Defaults log_servers=\"a b\"\nDefaults log_servers+=c\nDefaults log_servers-=a\n";
    assert_eq!(
        gathered(&main_file(content)).unwrap().effective("log_servers").unwrap()[0].list,
        Some(vec!["b".into(), "c".into()])
    );
}

#[test]
fn folders_are_read_by_name_without_dots_and_tildes() {
    let image = main_file("@includedir sudoers.d\n").file("/etc/sudoers.d/a.conf", "Defaults !use_pty\n");
    let image = image.file("/etc/sudoers.d/b~", "Defaults !use_pty\n").file("/etc/sudoers.d/20", "Defaults use_pty\n");
    let image = image.file("/etc/sudoers.d/10", "Defaults !use_pty\n");
    let found = gathered(&image).unwrap().effective("use_pty").unwrap();
    assert_eq!(found[0].place, Some((ImagePath::new("/etc/sudoers.d/20"), 1)));
    assert_eq!(found.len(), 1);
}

#[test]
fn files_that_are_not_safe_are_not_read() {
    let entry = |uid, gid, mode| {
        let mut entry = ImageEntry::new(FileKind::File, "Defaults !use_pty\n");
        (entry.metadata.uid, entry.metadata.gid, entry.metadata.mode) = (uid, gid, mode);
        entry
    };
    let image = main_file("Defaults use_pty\n@includedir /etc/sudoers.d\n");
    let image = image.with("/etc/sudoers.d/a", entry(7, 0, 0o440)).with("/etc/sudoers.d/b", entry(0, 0, 0o446));
    let image = image.with("/etc/sudoers.d/c", entry(0, 7, 0o460)).link("/etc/sudoers.d/d", "/nowhere");
    let sudo = gathered(&image).unwrap();
    assert_eq!((sudo.effective("use_pty").unwrap().len(), sudo.ignored.len()), (1, 4));
    assert_eq!(
        gathered(&image.with("/etc/sudoers.d/e", entry(0, 0, 0o664))).unwrap().effective("use_pty").unwrap()[0].text,
        Some("off".into())
    );
    assert!(gathered(&MemoryImage::new().with(Sudo::PATH, entry(0, 0, 0o446))).is_err(), "sudo refuses to work");
}

#[test]
fn a_file_that_includes_itself_ends() {
    let sudo = gathered(&main_file("@include sudoers\nDefaults use_pty\n")).unwrap();
    assert!(sudo.ignored.iter().any(|ignored| ignored.reason.contains("too many")));
    assert!(gathered(&main_file("@include sudoers\n@include sudoers\n")).is_err());
}

#[test]
fn what_depends_on_the_host_is_not_known() {
    assert!(gathered(&main_file("@include /etc/sudoers.%h\n")).is_err());
}

#[test]
fn a_mistake_stops_an_old_sudo_altogether() {
    let with = |version: &str| {
        let image = main_file("Defaults use_pty x\n");
        let today = jiff::civil::date(2026, 1, 1);
        let packages = crate::facts::Packages::listed("debian", &[format!("sudo {version}")]).ok();
        let target = Target { packages, ..Target::image(Rootfs::new(&image), today) };
        Facts::gather(target, |_, needs| needs.fact(FactId::Sudo)).sudo().cloned()
    };
    assert!(with("1.8.27-1").unwrap_err().reason.contains("1.8.27"));
    assert_eq!(with("1.9.13p3-1").unwrap().effective("use_pty").unwrap()[0].text, Some("off".into()));
    assert_eq!(with("1.9.16-1").unwrap().effective("use_pty").unwrap()[0].text, Some("on".into()));
}
