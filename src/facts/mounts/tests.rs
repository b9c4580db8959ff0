use super::*;
use crate::facts::{FactId, Target};
use crate::image::{MemoryImage, Rootfs};

fn mounts(image: &MemoryImage) -> Mounts {
    let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
    let facts = Facts::gather(target, |_, needs| needs.fact(FactId::Mounts));
    facts.mounts().unwrap().clone()
}

/// The options at a point and where they come from.
fn at(image: &MemoryImage, point: &str) -> Option<(String, String)> {
    let mounts = mounts(image);
    let entry = mounts.configured(&ImagePath::new(point)).unwrap().ok()?;
    let options: Vec<&str> = entry.options.iter().map(String::as_str).collect();
    Some((options.join(","), format!("{}:{}", entry.path, entry.line.unwrap_or_default())))
}

fn is(options: &str, place: &str) -> (String, String) {
    (options.into(), place.into())
}

/// A system that boots, with a vendor's tmp.mount that may be wanted.
fn system(wanted: bool) -> MemoryImage {
    let unit = "[Unit]\nConditionPathIsSymbolicLink=!/tmp\n[Mount]\nWhat=tmpfs\nWhere=/tmp\nType=tmpfs\nOptions=mode=1777,nosuid,nodev\n";
    let image = MemoryImage::new()
        .file("/usr/lib/systemd/system/default.target", "[Unit]\nRequires=sysinit.target\n")
        .file("/usr/lib/systemd/system/sysinit.target", "[Unit]\nWants=local-fs.target\n")
        .file("/usr/lib/systemd/system/local-fs.target", "[Unit]\n")
        .file("/usr/lib/systemd/system/tmp.mount", unit)
        .file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        .directory("/tmp");
    if wanted { image.link("/usr/lib/systemd/system/local-fs.target.wants/tmp.mount", "../tmp.mount") } else { image }
}

#[test]
fn a_wanted_unit_mounts_and_one_that_nothing_wants_does_not() {
    assert_eq!(at(&system(true), "/tmp"), Some(is("mode=1777,nodev,nosuid", "/usr/lib/systemd/system/tmp.mount:7")));
    assert_eq!(at(&system(false), "/tmp"), None);
    assert!(mounts(&system(false)).configured(&ImagePath::new("/tmp")).unwrap().unwrap_err().is_some());
}

#[test]
fn a_condition_that_does_not_hold_keeps_it_away() {
    let image = system(true).file("/etc/systemd/system/tmp.mount.d/a.conf", "[Unit]\nConditionPathExists=/etc/none\n");
    assert_eq!(at(&image, "/tmp"), None);
}

#[test]
fn a_unit_is_not_mounted_through_a_link() {
    assert_eq!(at(&system(true).directory("/var/tmp").link("/tmp", "var/tmp"), "/tmp"), None);
}

#[test]
fn fstab_wins_over_the_vendors_unit() {
    let image = system(true).file("/etc/fstab", "tmpfs /tmp tmpfs rw 0 0\n");
    assert_eq!(at(&image, "/tmp"), Some(is("rw", "/etc/fstab:1")));
}

#[test]
fn a_unit_in_etc_wins_over_fstab_and_a_mask_there_mounts_nothing() {
    let image = system(false).file("/etc/fstab", "tmpfs /tmp tmpfs rw 0 0\n");
    let unit = image.clone().file("/etc/systemd/system/tmp.mount", "[Mount]\nWhat=tmpfs\nWhere=/tmp\nOptions=noexec\n");
    assert_eq!(at(&unit, "/tmp"), Some(is("noexec", "/etc/systemd/system/tmp.mount:4")));
    assert_eq!(at(&image.link("/etc/systemd/system/tmp.mount", "/dev/null"), "/tmp"), None);
}

#[test]
fn drop_ins_replace_the_options_of_units_and_of_fstab() {
    let drop_in = "[Mount]\nOptions=noexec\n";
    let image = system(true).file("/etc/systemd/system/tmp.mount.d/a.conf", drop_in);
    assert_eq!(at(&image, "/tmp"), Some(is("noexec", "/etc/systemd/system/tmp.mount.d/a.conf:2")));
    let image = MemoryImage::new().file("/etc/fstab", "x /srv/a-b ext4 nodev 0 2\n");
    let image = image.file("/etc/systemd/system/srv-a\\x2db.mount.d/a.conf", drop_in);
    assert_eq!(at(&image, "/srv/a-b"), Some(is("noexec", "/etc/systemd/system/srv-a\\\\x2db.mount.d/a.conf:2")));
}

#[test]
fn drop_ins_of_a_kind_or_a_prefix_count_for_every_mount_they_fit() {
    let drop_in = "[Mount]\nOptions=rw\n";
    let etc = |folder: &str| format!("/etc/systemd/system/{folder}/a.conf");
    let image = system(true).file(&etc("mount.d"), drop_in);
    assert_eq!(at(&image, "/tmp"), Some(is("rw", "/etc/systemd/system/mount.d/a.conf:2")));
    let image = system(false).file("/etc/fstab", "x /var/tmp ext4 nodev 0 2\ny /home ext4 nodev\n");
    assert_eq!(at(&image.clone().file(&etc("mount.d"), drop_in), "/home"), Some(is("rw", &format!("{}:2", etc("mount.d")))));
    let image = image.file(&etc("var-.mount.d"), drop_in);
    assert_eq!(at(&image, "/var/tmp"), Some(is("rw", &format!("{}:2", etc("var-.mount.d")))));
    assert_eq!(at(&image, "/home"), Some(is("nodev", "/etc/fstab:2")));
    // The unit's own comes by its name, and of one name the more telling directory's counts.
    let image = image.file(&etc("var-tmp.mount.d"), "[Mount]\nOptions=noexec\n");
    assert_eq!(at(&image, "/var/tmp").unwrap().0, "noexec");
    let image = system(false).file("/etc/fstab", "y /home ext4 nodev\n");
    assert_eq!(at(&image.file(&etc("mount.d"), "[Unit]\nConditionPathExists=/etc/none\n"), "/home"), None);
}

#[test]
fn drop_ins_that_cannot_be_read_leave_the_mounts_unknown() {
    let mut entry = crate::image::Entry::new(crate::image::FileKind::Directory, "");
    entry.unreadable = true;
    let image = system(false).file("/etc/fstab", "y /home ext4 nodev\n").with("/etc/systemd/system/mount.d", entry);
    let target = Target::image(Rootfs::new(&image), jiff::civil::date(2026, 1, 1));
    assert!(Facts::gather(target, |_, needs| needs.fact(FactId::Mounts)).mounts().is_err());
}

#[test]
fn a_unit_for_what_systemd_mounts_first_comes_too_late() {
    let unit = "[Mount]\nWhat=tmpfs\nWhere=/dev/shm\nType=tmpfs\nOptions=noexec\n";
    let image = system(false).file("/usr/lib/systemd/system/dev-shm.mount", unit);
    let image = image.link("/usr/lib/systemd/system/local-fs.target.wants/dev-shm.mount", "../dev-shm.mount");
    assert_eq!(at(&image, "/dev/shm").unwrap().0, "mode=01777,nodev,nosuid,strictatime");
}

#[test]
fn the_first_of_two_lines_counts() {
    let image = MemoryImage::new().file("/etc/fstab", "a /home ext4 nodev\nb /home/ ext4 rw\n");
    assert_eq!(at(&image, "/home"), Some(is("nodev", "/etc/fstab:1")));
}

#[test]
fn what_is_not_mounted_at_boot() {
    let image =
        MemoryImage::new().file("/etc/fstab", "a none swap sw\nb /mnt ext4 noauto\nc /srv ext4 noauto,x-systemd.automount\n");
    assert_eq!(at(&image, "/mnt"), None);
    assert!(mounts(&image).on_demand(&ImagePath::new("/mnt")).is_some());
    assert!(at(&image, "/srv").is_some());
    let found = mounts(&image);
    let separate: Vec<(String, bool)> = found.separate().map(|entry| (entry.point.to_string(), entry.noauto)).collect();
    assert_eq!(separate, [("/mnt".to_owned(), true), ("/srv".to_owned(), false)]);
}

#[test]
fn shared_memory_is_mounted_by_systemd_and_takes_all_its_options_from_fstab_if_that_has_a_line() {
    assert_eq!(at(&MemoryImage::new(), "/dev/shm").unwrap().0, "mode=01777,nodev,nosuid,strictatime");
    let image = MemoryImage::new().file("/etc/fstab", "tmpfs /dev/shm tmpfs defaults,noexec\n");
    assert_eq!(at(&image, "/dev/shm"), Some(is("noexec", "/etc/fstab:1")));
}

#[test]
fn names_of_units_and_points_fit() {
    for (point, name) in
        [("/", "-.mount"), ("/var/log", "var-log.mount"), ("/srv/a-b", "srv-a\\x2db.mount"), ("/.x", "\\x2ex.mount")]
    {
        assert_eq!(unit_name(&ImagePath::new(point)), name);
        assert_eq!(point_of(name), Some(ImagePath::new(point)));
    }
    assert_eq!(point_of("a\\xzz.mount"), None);
}
