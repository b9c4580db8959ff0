use super::*;
use crate::facts::{FactId, Target};
use crate::image::{Entry, FileKind, MemoryImage, Rootfs};

const ID: &str = "0123456789abcdef0123456789abcdef\n";
const SERVICE: &str = "[Service]\nExecStart=/bin/x\n";
const WANTED: &str = "[Service]\nExecStart=/bin/x\n[Install]\nWantedBy=multi-user.target\n";

/// A root that boots: default.target is a link to multi-user.target, which needs basic.target and all below.
fn base() -> MemoryImage {
    let vendor = "/usr/lib/systemd/system/";
    let targets = [
        ("multi-user.target", "[Unit]\nRequires=basic.target\n"),
        ("basic.target", "[Unit]\nRequires=sysinit.target\nWants=sockets.target timers.target paths.target\n"),
        ("sysinit.target", "[Unit]\nDescription=s\n"),
        ("sockets.target", "[Unit]\nDescription=s\n"),
        ("timers.target", "[Unit]\nDescription=t\n"),
        ("paths.target", "[Unit]\nDescription=p\n"),
    ];
    let image = MemoryImage::new().file("/etc/machine-id", ID).link(&format!("{vendor}default.target"), "multi-user.target");
    targets.iter().fold(image, |image, (name, content)| image.file(&format!("{vendor}{name}"), *content))
}

fn vendor(image: MemoryImage, name: &str, content: &str) -> MemoryImage {
    image.file(&format!("/usr/lib/systemd/system/{name}"), content)
}

fn enable(image: MemoryImage, owner: &str, name: &str) -> MemoryImage {
    image.link(&format!("/etc/systemd/system/{owner}.wants/{name}"), &format!("/usr/lib/systemd/system/{name}"))
}

fn units(image: &MemoryImage) -> Units {
    live(image, None).unwrap()
}

fn live(image: &MemoryImage, running: Option<&MemoryImage>) -> Fact<Units> {
    let mut target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
    target.running = running.map(|running| Rootfs::new(running));
    let facts = Facts::gather(target, |_, needs| needs.fact(FactId::Units));
    facts.units().cloned()
}

fn chain(start: &Start) -> Vec<&str> {
    match start {
        Start::AtBoot(steps) | Start::OnDemand(_, steps) => steps.iter().map(|step| step.unit.as_str()).collect(),
        Start::No => Vec::new(),
    }
}

fn how(start: &Start) -> Option<OnDemand> {
    if let Start::OnDemand(how, _) = start { Some(*how) } else { None }
}

#[test]
fn an_enabled_service_starts_and_the_chain_says_why() {
    let units = units(&enable(vendor(base(), "a.service", WANTED), "multi-user.target", "a.service"));
    let start = units.starts("a").unwrap();
    assert_eq!(chain(&start), ["multi-user.target", "a.service"]);
    let Start::AtBoot(steps) = start else { panic!() };
    assert_eq!(steps[1].words(), "a.service by /etc/systemd/system/multi-user.target.wants/a.service");
}

#[test]
fn a_disabled_service_starts_where_an_enabled_one_wants_it() {
    let image = vendor(
        vendor(base(), "a.service", "[Unit]\nWants=b.service\n[Install]\nWantedBy=multi-user.target\n"),
        "b.service",
        WANTED,
    );
    assert_eq!(units(&image).starts("b").unwrap(), Start::No);
    let units = units(&enable(image, "multi-user.target", "a.service"));
    assert_eq!(units.state("b").unwrap().kind, Enablement::Disabled);
    assert_eq!(chain(&units.starts("b").unwrap()), ["multi-user.target", "a.service", "b.service"]);
}

#[test]
fn a_dependency_cannot_be_taken_back_by_an_empty_one() {
    let image = vendor(vendor(base(), "a.service", "[Unit]\nWants=b.service\n"), "b.service", SERVICE)
        .file("/etc/systemd/system/a.service.d/x.conf", "[Unit]\nWants=\n");
    let units = units(&enable(image, "multi-user.target", "a.service"));
    assert!(matches!(units.starts("b").unwrap(), Start::AtBoot(_)));
}

#[test]
fn what_only_orders_or_must_run_already_starts_nothing() {
    let image = vendor(
        vendor(base(), "a.service", "[Unit]\nAfter=b.service\nRequisite=b.service\nPartOf=b.service\n"),
        "b.service",
        SERVICE,
    );
    assert_eq!(units(&enable(image, "multi-user.target", "a.service")).starts("b").unwrap(), Start::No);
}

#[test]
fn a_link_of_a_package_counts_and_one_to_dev_null_hides_it() {
    let image =
        vendor(base(), "a.service", SERVICE).link("/usr/lib/systemd/system/multi-user.target.wants/a.service", "../a.service");
    assert!(matches!(units(&image).starts("a").unwrap(), Start::AtBoot(_)));
    let image = image.link("/etc/systemd/system/multi-user.target.wants/a.service", "/dev/null");
    assert_eq!(units(&image).starts("a").unwrap(), Start::No);
}

#[test]
fn a_link_to_a_unit_that_is_gone_and_a_masked_unit_start_nothing() {
    let image = enable(
        enable(vendor(base(), "m.service", WANTED), "multi-user.target", "m.service"),
        "multi-user.target",
        "gone.service",
    )
    .link("/etc/systemd/system/m.service", "../../../dev/null");
    let units = units(&image);
    assert_eq!(units.starts("gone").unwrap(), Start::No);
    assert_eq!(units.starts("m").unwrap(), Start::No);
    assert_eq!(units.mask("m").unwrap(), Some(ImagePath::new("/etc/systemd/system/m.service")));
    assert!(units.exists("m").unwrap() && !units.exists("gone").unwrap());
}

#[test]
fn a_mask_of_an_alias_does_not_mask_the_unit_and_a_mask_of_the_unit_masks_its_aliases() {
    let image = enable(vendor(base(), "ssh.service", WANTED), "multi-user.target", "ssh.service");
    let alias_masked = image.clone().link("/etc/systemd/system/sshd.service", "/dev/null");
    assert!(matches!(units(&alias_masked).starts("ssh").unwrap(), Start::AtBoot(_)));
    let unit_masked =
        image.link("/usr/lib/systemd/system/sshd.service", "ssh.service").link("/etc/systemd/system/ssh.service", "/dev/null");
    assert_eq!(units(&unit_masked).state("sshd").unwrap().kind, Enablement::Masked);
}

#[test]
fn a_name_leads_to_the_version_that_wins_and_not_to_the_file_the_link_names() {
    let image = vendor(base(), "real.service", SERVICE)
        .link("/etc/systemd/system/other.service", "/usr/lib/systemd/system/real.service")
        .file("/etc/systemd/system/real.service", "[Service]\nExecStart=/bin/own\n");
    assert_eq!(units(&image).property("other", "Service", "ExecStart").unwrap()[0].text, "/bin/own");
}

#[test]
fn the_default_target_of_the_administrator_wins() {
    let image = vendor(base(), "graphical.target", "[Unit]\nRequires=multi-user.target\n");
    let image = enable(vendor(image, "x.service", SERVICE), "graphical.target", "x.service");
    assert_eq!(units(&image).starts("x").unwrap(), Start::No);
    let image = image.link("/etc/systemd/system/default.target", "/usr/lib/systemd/system/graphical.target");
    assert!(matches!(units(&image).starts("x").unwrap(), Start::AtBoot(_)));
}

#[test]
fn a_socket_a_timer_and_a_path_revive_a_disabled_service() {
    for (kind, section, target, wanted) in [
        ("socket", "[Socket]\nListenStream=23", "sockets.target", OnDemand::Socket),
        ("timer", "[Timer]\nOnCalendar=daily", "timers.target", OnDemand::Timer),
        ("path", "[Path]\nPathExists=/x", "paths.target", OnDemand::Path),
    ] {
        let name = format!("a.{kind}");
        let image = vendor(vendor(base(), "a.service", WANTED), &name, section);
        assert_eq!(units(&image).starts("a").unwrap(), Start::No);
        let units = units(&enable(image, target, &name));
        let start = units.starts("a").unwrap();
        assert_eq!(how(&start), Some(wanted));
        assert_eq!(chain(&start).last_chunk(), Some(&[name.as_str(), "a.service"]));
    }
}

#[test]
fn a_socket_that_accepts_starts_instances_of_a_template() {
    let image = vendor(vendor(base(), "telnet@.service", SERVICE), "telnet.socket", "[Socket]\nListenStream=23\nAccept=yes\n");
    let units = units(&enable(image, "sockets.target", "telnet.socket"));
    assert_eq!(how(&units.starts("telnet@.service").unwrap()), Some(OnDemand::Socket));
}

#[test]
fn a_socket_may_start_a_service_of_another_name() {
    let image = vendor(vendor(base(), "b.service", SERVICE), "a.socket", "[Socket]\nService=b.service\n");
    assert_eq!(how(&units(&enable(image, "sockets.target", "a.socket")).starts("b").unwrap()), Some(OnDemand::Socket));
}

#[test]
fn the_bus_starts_a_service_by_an_alias_that_enabling_makes() {
    let bus = "[D-BUS Service]\nName=org.x\nExec=/bin/false\nSystemdService=dbus-org.x.service\n";
    let image = vendor(base(), "x.service", "[Install]\nAlias=dbus-org.x.service\n")
        .file("/usr/share/dbus-1/system-services/org.x.service", bus);
    assert_eq!(units(&image).starts("x").unwrap(), Start::No);
    let image = image.link("/etc/systemd/system/dbus-org.x.service", "/usr/lib/systemd/system/x.service");
    let units = units(&image);
    assert_eq!(how(&units.starts("x").unwrap()), Some(OnDemand::Bus));
    assert_eq!(units.state("x").unwrap().kind, Enablement::Enabled);
}

#[test]
fn a_device_may_want_a_service() {
    let rule = "# ENV{SYSTEMD_WANTS}+=\"no.service\"\nSUBSYSTEM==\"x\", TAG+=\"systemd\", ENV{SYSTEMD_WANTS}+=\"b.target\"\n";
    let image =
        vendor(vendor(vendor(base(), "b.target", "[Unit]\nWants=c.service\n"), "c.service", SERVICE), "no.service", SERVICE)
            .file("/usr/lib/udev/rules.d/99-x.rules", rule);
    let units = units(&image);
    assert_eq!(how(&units.starts("c").unwrap()), Some(OnDemand::Device));
    assert_eq!(units.starts("no").unwrap(), Start::No);
}

#[test]
fn values_come_from_the_file_and_its_drop_ins_by_name_with_resets() {
    let image = vendor(base(), "foo-a.service", "[Service]\nExecStart=/bin/vendor\nUser=x\n")
        .file("/usr/lib/systemd/system/foo-a.service.d/50-p.conf", "[Service]\nExecStart=\nExecStart=/bin/package\n")
        .file("/etc/systemd/system/foo-a.service.d/50-p.conf", "[Service]\nExecStart=\nExecStart=/bin/admin\n")
        .file("/etc/systemd/system/foo-.service.d/60-q.conf", "[Service]\nUser=y\n")
        .file("/etc/systemd/system/service.d/70-r.conf", "[Service]\nUser=z\n")
        .file("/usr/lib/systemd/system/foo-a.service.d/80-off.conf", "[Service]\nUser=never\n")
        .link("/etc/systemd/system/foo-a.service.d/80-off.conf", "/dev/null");
    let units = units(&image);
    let start = units.property("foo-a", "Service", "ExecStart").unwrap();
    assert_eq!((start.len(), start[0].text.as_str(), start[0].line), (1, "/bin/admin", 3));
    assert_eq!(start[0].path, ImagePath::new("/etc/systemd/system/foo-a.service.d/50-p.conf"));
    let users: Vec<String> = units.property("foo-a", "Service", "User").unwrap().into_iter().map(|value| value.text).collect();
    assert_eq!(users, ["x", "y", "z"]);
}

#[test]
fn drop_ins_of_a_template_and_of_an_alias_count_for_the_instance() {
    let image = vendor(base(), "t@.service", SERVICE)
        .link("/usr/lib/systemd/system/u@.service", "t@.service")
        .file("/etc/systemd/system/t@.service.d/a.conf", "[Service]\nUser=template\n")
        .file("/etc/systemd/system/u@.service.d/b.conf", "[Service]\nUser=alias\n")
        .file("/etc/systemd/system/t@x.service.d/c.conf", "[Service]\nUser=instance\n");
    let users: Vec<String> =
        units(&image).property("u@x.service", "Service", "User").unwrap().into_iter().map(|value| value.text).collect();
    assert_eq!(users, ["template", "alias", "instance"]);
}

#[test]
fn the_first_boot_enables_what_no_preset_speaks_of() {
    let image = vendor(base(), "a.service", WANTED).with("/etc/machine-id", Entry::new(FileKind::File, "uninitialized\n"));
    let units = units(&image);
    assert_eq!(units.state_before_boot("a").unwrap().kind, Enablement::Disabled);
    let state = units.state("a").unwrap();
    assert_eq!(state.kind, Enablement::Enabled);
    assert!(state.because.unwrap().contains("uninitialized"));
    assert!(matches!(units.starts("a").unwrap(), Start::AtBoot(_)));
}

#[test]
fn an_empty_machine_id_is_no_first_boot() {
    let image = vendor(base(), "a.service", WANTED).with("/etc/machine-id", Entry::new(FileKind::File, ""));
    assert_eq!(units(&image).state("a").unwrap().kind, Enablement::Disabled);
}

#[test]
fn the_line_of_a_preset_is_named() {
    let image = vendor(vendor(base(), "a.service", WANTED), "b.service", WANTED)
        .with("/etc/machine-id", Entry::new(FileKind::File, "uninitialized"))
        .file("/usr/lib/systemd/system-preset/90-x.preset", "enable a.service\ndisable *\n");
    let units = units(&image);
    let state = units.state("a").unwrap();
    assert_eq!((state.path, state.line), (Some(ImagePath::new("/usr/lib/systemd/system-preset/90-x.preset")), Some(1)));
    assert_eq!(units.state("b").unwrap().kind, Enablement::Disabled);
    assert_eq!(units.starts("b").unwrap(), Start::No);
}

#[test]
fn a_link_to_nothing_leaves_open_what_presets_enable() {
    let image = vendor(base(), "a.service", WANTED)
        .with("/etc/machine-id", Entry::new(FileKind::File, "uninitialized"))
        .link("/etc/systemd/system/syslog.service", "/usr/lib/systemd/system/rsyslog.service");
    let units = units(&image);
    assert!(units.state("a").is_err() && units.starts("a").is_err());
}

fn with_sysv(image: MemoryImage) -> MemoryImage {
    let mut script =
        Entry::new(FileKind::File, "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: old other $net\n### END INIT INFO\n");
    script.metadata.mode = 0o755;
    image.with("/etc/init.d/old", script).file("/usr/lib/systemd/system-generators/systemd-sysv-generator", "x")
}

#[test]
fn a_script_of_system_v_becomes_a_service() {
    let image = with_sysv(base());
    assert_eq!(units(&image).state("old").unwrap().kind, Enablement::Generated);
    assert_eq!(units(&image).starts("old").unwrap(), Start::No, "without a link nothing starts it");
    let stopped = image.clone().link("/etc/rc3.d/K01old", "../init.d/old");
    assert_eq!(units(&stopped).starts("old").unwrap(), Start::No);
    let started = units(&image.link("/etc/rc3.d/S01old", "../init.d/old"));
    assert_eq!(chain(&started.starts("old").unwrap()), ["multi-user.target", "old.service"]);
    assert!(matches!(started.starts("other").unwrap(), Start::AtBoot(_)), "Provides gives another name");
}

#[test]
fn a_unit_of_the_same_name_hides_a_script_and_so_does_a_mask() {
    let image = with_sysv(base()).link("/etc/rc3.d/S01old", "../init.d/old");
    assert_eq!(units(&vendor(image.clone(), "old.service", WANTED)).starts("old").unwrap(), Start::No);
    assert_eq!(units(&image.clone().link("/etc/systemd/system/old.service", "/dev/null")).starts("old").unwrap(), Start::No);
    let off = image.link("/etc/systemd/system-generators/systemd-sysv-generator", "/dev/null");
    assert_eq!(units(&off).state("old").unwrap().kind, Enablement::NotFound, "the generator is turned off");
}

#[test]
fn a_condition_that_the_files_decide() {
    let image = vendor(
        base(),
        "a.service",
        "[Unit]\nConditionPathExists=/etc/a.conf\nConditionPathExists=!/etc/off\nConditionPathExists=/run/x\n",
    );
    assert_eq!(units(&image).unmet_condition("a").unwrap().unwrap().line, 2);
    let image = image.file("/etc/a.conf", "");
    assert_eq!(units(&image).unmet_condition("a").unwrap(), None);
    let image = image.file("/etc/off", "");
    assert_eq!(units(&image).unmet_condition("a").unwrap().unwrap().text, "ConditionPathExists=!/etc/off");
    let image = image.file(
        "/etc/systemd/system/a.service.d/x.conf",
        "[Unit]\nConditionPathExists=\nConditionPathExists=|/etc/gone\nConditionPathExists=|/etc/off\n",
    );
    assert_eq!(units(&image).unmet_condition("a").unwrap(), None);
}

#[test]
fn what_keeps_a_service_from_running() {
    let whole = || vendor(base(), "a.service", WANTED).file("/usr/lib/systemd/systemd", "");
    let mut program = Entry::new(FileKind::File, "");
    program.metadata.mode = 0o755;
    let image = || {
        let image = whole().with("/bin/x", program.clone()).with("/bin/true", program.clone()).link("/bin/idle", "true");
        image.file("/etc/passwd", "root:x:0:0::/:/bin/sh\n").file("/etc/default/a", "")
    };
    let hindered = |image: &MemoryImage| units(image).hindrance("a").unwrap().map(|found| (found.found, found.certain));
    assert_eq!(hindered(&image()), None);
    assert_eq!(hindered(&whole()), Some(("ExecStart=/bin/x".into(), true)), "no such program");
    assert_eq!(hindered(&vendor(base(), "a.service", WANTED)), None, "a tree without programs");
    for (text, found) in [
        ("[Service]\nExecStart=\n", Some(("no ExecStart=", true))),
        ("[Service]\nExecStart=/bin/x -v\n", Some(("ExecStart=/bin/x -v", true))),
        ("[Service]\nType=oneshot\nExecStart=/bin/x -v\n", None),
        ("[Service]\nExecStart=\nType=oneshot\nRemainAfterExit=yes\nExecStop=/bin/x\n", None),
        ("[Service]\nExecCondition=/bin/false\n", Some(("ExecCondition=/bin/false", true))),
        ("[Service]\nExecCondition=/opt/x\n", Some(("ExecCondition=/opt/x", false))),
        ("[Service]\nExecCondition=/bin/true\n", None),
        ("[Service]\nExecStartPre=/bin/false\n", Some(("ExecStartPre=/bin/false", true))),
        ("[Service]\nExecStartPre=/bin/gone\n", Some(("ExecStartPre=/bin/gone", true))),
        ("[Service]\nExecStartPre=-/bin/gone\n", None),
        ("[Service]\nExecStart=\nExecStart=/bin/idle -x\n", Some(("ExecStart=/bin/idle -x", true))),
        ("[Service]\nExecStart=\nExecStart=/bin/true\n", None),
        ("[Service]\nUser=nobody-here\n", Some(("User=nobody-here", false))),
        ("[Service]\nUser=nobody-here\nDynamicUser=yes\n", None),
        ("[Service]\nUser=root\n", None),
        ("[Service]\nUser=4711\n", None),
        ("[Service]\nEnvironmentFile=/etc/default/a\nEnvironmentFile=-/etc/default/b\n", None),
        ("[Service]\nEnvironmentFile=/etc/default/b\n", Some(("EnvironmentFile=/etc/default/b", true))),
        ("[Service]\nEnvironmentFile=/etc/default/b\nEnvironmentFile=\n", None),
        ("[Service]\nEnvironmentFile=/run/b\n", None),
        ("[Service]\nWorkingDirectory=/nope\n", Some(("WorkingDirectory=/nope", false))),
        ("[Service]\nWorkingDirectory=~\n", None),
        ("[Service]\nWorkingDirectory=/var/lib/a\nStateDirectory=a\n", None),
        ("[Service]\nRootDirectory=/nope\n", Some(("RootDirectory=/nope", false))),
        ("[Unit]\nRequires=nope.service\n", Some(("Requires=nope.service", true))),
        ("[Unit]\nWants=nope.service\nRequires=basic.target dev-x.device\n", None),
        ("[Unit]\nConditionHost=x\n", Some(("ConditionHost=x", false))),
        ("[Unit]\nConditionKernelCommandLine=!audit=0\nConditionVirtualization=!container\n", None),
        ("[Unit]\nConditionHost=|x\nConditionPathExists=|/bin/x\n", None),
        ("[Unit]\nConditionHost=|x\nConditionPathExists=|/gone\n", Some(("ConditionHost=|x", false))),
    ] {
        let image = image().file("/etc/systemd/system/a.service.d/x.conf", text);
        assert_eq!(hindered(&image), found.map(|(text, certain)| (text.to_owned(), certain)), "{text}");
    }
}

#[test]
fn lines_of_fstab_start_the_units_they_ask_for() {
    let start = |line: &str| {
        let image = base().file("/usr/lib/systemd/system/local-fs.target", "[Unit]\n").file("/etc/fstab", line);
        let image = vendor(image, "sysinit.target", "[Unit]\nWants=local-fs.target\n");
        units(&vendor(image, "a.service", SERVICE)).starts("a").unwrap() != Start::No
    };
    assert!(start("x /mnt ext4 nofail,x-systemd.requires=a.service\n"));
    assert!(start("x /mnt ext4 noauto,x-systemd.automount,x-systemd.requires=a.service\n"));
    assert!(start("x /mnt ext4 noauto,x-systemd.wanted-by=basic.target,x-systemd.requires=a.service\n"));
    assert!(!start("x /mnt ext4 noauto,x-systemd.requires=a.service\n"));
    assert!(!start("x /mnt ext4 x-systemd.after=a.service\n"));
}

#[test]
fn a_unit_that_cannot_be_read_is_not_known_and_neither_is_what_it_might_start() {
    let mut closed = Entry::new(FileKind::File, SERVICE);
    closed.unreadable = true;
    let image = vendor(base().with("/usr/lib/systemd/system/closed.service", closed), "a.service", WANTED);
    assert_eq!(units(&image).starts("a").unwrap(), Start::No, "nothing starts the closed one");
    let units = units(&enable(image, "multi-user.target", "closed.service"));
    assert!(units.starts("closed").is_err() && units.state("closed").is_err());
    assert!(units.starts("a").is_err());
}

#[test]
fn a_unit_file_that_systemd_gives_up_on_is_not_known() {
    let units = units(&vendor(base(), "a.service", "[Unit]\n[Service\nExecStart=/x\n"));
    assert_eq!(units.state("a").unwrap_err().line, Some(2));
}

#[test]
fn links_that_lead_to_each_other_load_nothing() {
    let image = base().link("/etc/systemd/system/a.service", "b.service").link("/etc/systemd/system/b.service", "a.service");
    assert_eq!(units(&image).starts("a").unwrap(), Start::No);
    assert_eq!(units(&image).state("a").unwrap().kind, Enablement::Bad);
}

#[test]
fn an_image_without_units_has_no_systemd() {
    assert_eq!(units(&MemoryImage::new()).init, Init::None);
    assert_eq!(units(&MemoryImage::new().file("/etc/inittab", "")).init, Init::Other("System V init"));
    assert_eq!(units(&base()).init, Init::Systemd);
}

#[test]
fn a_split_usr_is_searched_in_lib_first() {
    let image = base()
        .file("/lib/systemd/system/a.service", "[Service]\nUser=lib\n")
        .file("/usr/lib/systemd/system/a.service", "[Service]\nUser=usr\n");
    assert_eq!(units(&image).property("a", "Service", "User").unwrap()[0].text, "lib");
}

#[test]
fn what_lies_in_run_counts_on_a_running_machine_only() {
    let image = enable(vendor(base(), "a.service", WANTED), "multi-user.target", "a.service")
        .link("/run/systemd/system/a.service", "/dev/null");
    assert_eq!(units(&image).state("a").unwrap().kind, Enablement::Enabled);
    let running = MemoryImage::new().directory("/sys/fs/cgroup/system.slice");
    assert_eq!(live(&image, Some(&running)).unwrap().state("a").unwrap().kind, Enablement::MaskedRuntime);
}

#[test]
fn control_groups_of_both_versions_say_what_runs() {
    let image = vendor(vendor(base(), "a.service", WANTED), "t@.service", SERVICE);
    let two = MemoryImage::new()
        .file("/sys/fs/cgroup/system.slice/a.service/cgroup.events", "populated 1\nfrozen 0\n")
        .file("/sys/fs/cgroup/system.slice/b.service/cgroup.events", "populated 0\nfrozen 0\n");
    let units_two = live(&image, Some(&two)).unwrap();
    assert_eq!((units_two.is_running("a").unwrap(), units_two.is_running("b").unwrap()), (Some(true), Some(false)));
    let one = MemoryImage::new().file("/sys/fs/cgroup/systemd/system.slice/system-t.slice/t@x.service/cgroup.procs", "17\n");
    let units_one = live(&image, Some(&one)).unwrap();
    assert_eq!((units_one.is_running("t@.service").unwrap(), units_one.is_running("a").unwrap()), (Some(true), Some(false)));
    let none = MemoryImage::new();
    assert_eq!(live(&image, Some(&none)).unwrap().is_running("a").unwrap(), Some(false), "not booted with systemd");
    assert!(live(&image.clone().directory("/run/systemd/system"), Some(&none)).unwrap().is_running("a").is_err());
    assert_eq!(units(&image).is_running("a").unwrap(), None);
}

#[test]
fn five_thousand_units_that_all_want_each_other() {
    let mut image = base();
    for number in 0..5_000 {
        let content =
            format!("[Unit]\nWants=u{}.service u{}.service\n[Install]\nWantedBy=multi-user.target\n", number + 1, number / 2);
        image = vendor(image, &format!("u{number}.service"), &content);
    }
    let units = units(&enable(image, "multi-user.target", "u0.service"));
    assert!(matches!(units.starts("u4999").unwrap(), Start::AtBoot(_)));
}

#[test]
fn very_many_units_leave_it_unknown() {
    let folder = "multi-user.target.wants";
    let image = (0..=10_000).fold(base(), |image, number| vendor(image, &format!("{folder}/{number}.service"), ""));
    assert!(live(&image, None).unwrap_err().reason.contains("more than 10000 files"));
}

#[test]
fn very_many_drop_ins_for_every_unit_leave_it_unknown() {
    let shared = |owner: &str| {
        let image = (0..1_000).fold(base(), |image, number| vendor(image, &format!("app-{number}.service"), "[Service]\n"));
        (0..600).fold(image, |image, number| vendor(image, &format!("{owner}.d/{number}.conf"), "[Service]\n"))
    };
    assert!(live(&shared("service"), None).unwrap_err().reason.contains("600 drop-ins for kinds of units"));
    assert!(live(&shared("app-.service"), None).is_err());
    assert!(live(&shared("app-1.service"), None).is_ok());
}
