use super::*;
use crate::facts::{FactId, Needs, Target};
use crate::image::MemoryImage;
use crate::syntax::packet_rule::Action::Jump;
use crate::syntax::packet_rule::PacketRule;

/// An image in which this unit starts at boot.
fn starting(unit: &str, service: &str) -> MemoryImage {
    MemoryImage::new()
        .file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        .link("/usr/lib/systemd/system/default.target", "multi-user.target")
        .file("/usr/lib/systemd/system/multi-user.target", "[Unit]\n")
        .file(
            &format!("/usr/lib/systemd/system/{unit}"),
            format!("[Service]\n{service}\n[Install]\nWantedBy=multi-user.target\n"),
        )
        .link(&format!("/etc/systemd/system/multi-user.target.wants/{unit}"), &format!("/usr/lib/systemd/system/{unit}"))
}

fn firewall(image: &MemoryImage) -> Firewall {
    let target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
    Facts::gather(target, |_, needs: &mut Needs| needs.fact(FactId::Firewall)).firewall().unwrap().clone()
}

fn nft(image: &MemoryImage) -> Nftables {
    firewall(image).nftables.unwrap()
}

fn script() -> MemoryImage {
    starting("nftables.service", "Type=oneshot\nExecStart=/usr/sbin/nft -f /etc/nftables.conf")
}

#[test]
fn includes_are_put_in_place_in_order_of_their_names() {
    let image = script()
        .file("/etc/nftables.conf", "include \"nft.d/*.nft\"\ninclude \"/etc/none/*\"\n")
        .file("/etc/nft.d/20.nft", "add rule inet f c drop\n")
        .file("/etc/nft.d/10.nft", "table inet f { chain c { }; }\n")
        .file("/etc/nft.d/.5.nft", "broken {\n");
    let found = nft(&image);
    let ruleset = found.ruleset.as_ref().unwrap();
    let rule = &ruleset.tables.values().next().unwrap().chains["c"].rules[0];
    assert_eq!((found.path(rule.file), rule.line), (ImagePath::new("/etc/nft.d/20.nft"), 1));
    assert!(found.loader.starts);
}

#[test]
fn an_include_that_is_missing_or_unquoted_or_goes_round_loads_nothing() {
    for text in
        ["table inet f { }\ninclude \"/etc/gone\"\n", "table inet f { }\ninclude /etc/x\n", "\ninclude \"/etc/nftables.conf\"\n"]
    {
        let refusal = nft(&script().file("/etc/nftables.conf", text)).ruleset.unwrap_err();
        assert!(refusal.refused && refusal.line == Some(2), "{refusal:?}");
    }
}

#[test]
fn a_drop_in_changes_what_is_loaded() {
    let image = script()
        .file(
            "/etc/systemd/system/nftables.service.d/a.conf",
            "[Service]\nExecStart=\nExecStart=/usr/sbin/nft --file=/etc/own.nft\n",
        )
        .file("/etc/own.nft", "table ip own { }\n");
    assert!(nft(&image).ruleset.unwrap().tables.keys().all(|(_, name)| name == "own"));
    let image = starting("nftables.service", "ExecStart=/usr/local/sbin/rules");
    assert!(firewall(&image).nftables.is_err(), "what a script loads is not known");
}

#[test]
fn saved_rules_need_what_loads_them() {
    let image = starting("netfilter-persistent.service", "Type=oneshot\nExecStart=/usr/sbin/x")
        .file("/etc/iptables/rules.v4", "*filter\n:INPUT DROP [0:0]\nCOMMIT\n");
    let found = firewall(&image);
    let saved = found.iptables.as_ref().unwrap();
    assert!(!saved.loader.starts && saved.filter.is_some(), "without iptables-persistent nothing is loaded");
    let found = firewall(&image.file("/usr/share/netfilter-persistent/plugins.d/15-ip4tables", ""));
    assert!(found.uses(Tool::Iptables).unwrap() && !found.uses(Tool::Nftables).unwrap());
}

#[test]
fn of_two_tables_the_last_counts() {
    let text = "*filter\n:INPUT DROP [0:0]\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n";
    let saved = firewall(&MemoryImage::new().file("/etc/sysconfig/iptables", text)).iptables.unwrap();
    assert_eq!(saved.path, ImagePath::new("/etc/sysconfig/iptables"));
    assert_eq!(saved.filter.unwrap().chains[0].policy, Some(("ACCEPT".into(), 5)));
}

fn ufw(conf: &str, default: &str) -> Ufw {
    let image = starting("ufw.service", "Type=oneshot\nExecStart=/usr/sbin/x")
        .file("/etc/ufw/ufw.conf", conf)
        .file("/etc/default/ufw", default);
    firewall(&image).ufw.unwrap()
}

#[test]
fn ufw_is_active_only_if_it_starts_is_enabled_and_has_its_settings() {
    assert!(ufw("ENABLED=yes\n", "IPV6=yes\n").is_active());
    assert!(!ufw("ENABLED=no\n", "IPV6=yes\n").is_active());
    assert!(!ufw("ENABLED=Yes\n", "IPV6=yes\n").is_active(), "only yes and YES");
    assert!(!ufw("ENABLED=yes\n", "").is_active(), "it gives up where a file of settings is empty");
    let both = ufw("ENABLED=yes\nDEFAULT_INPUT_POLICY=ACCEPT\n", "DEFAULT_INPUT_POLICY=DROP\n");
    assert_eq!(both.value("DEFAULT_INPUT_POLICY"), Some("ACCEPT"), "ufw.conf is read after the other");
}

#[test]
fn rules_of_people_come_after_those_before_and_a_rejecting_policy_is_a_rule() {
    let image = starting("ufw.service", "Type=oneshot\nExecStart=/usr/sbin/x")
        .file("/etc/ufw/ufw.conf", "ENABLED=yes\n")
        .file("/etc/default/ufw", "IPV6=no\nDEFAULT_INPUT_POLICY=\"REJECT\"\n")
        .file("/etc/ufw/before.rules", "*filter\n:ufw-before-input - [0:0]\n-A ufw-before-input -i lo -j ACCEPT\n-A ufw-before-input -j ufw-not-local\n-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN\n-A ufw-not-local -j DROP\nCOMMIT\n")
        .file("/etc/ufw/user.rules", "*filter\n:ufw-user-input - [0:0]\n-A ufw-user-input -s 127.0.0.0/8 -j DROP\nCOMMIT\n");
    let found = firewall(&image).ufw.unwrap();
    let rules = found.v4.as_ref().unwrap();
    let fate = |version, way, from_loopback| {
        let rules = if version == 4 { &found.v4 } else { &found.v6 };
        match (Packets { version, way, from_loopback, others: false }).through(&rules.as_ref().unwrap().chains(), "INPUT") {
            Fate::Accepted(rule) => (true, rule.line),
            Fate::Dropped(rule) => (false, rule.line),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fate(4, Way::FromLoopback, true), (true, 3));
    assert_eq!(fate(4, Way::FromOutside, true), (false, 3));
    assert_eq!(fate(4, Way::FromOutside, false), (false, 2), "the policy");
    assert_eq!(fate(6, Way::FromLoopback, true), (true, 1));
    assert_eq!(rules.files.len(), 3);
}

#[test]
fn version_6_is_off_by_the_kernels_arguments_or_a_parameter_that_nothing_takes_back() {
    let off = |image: MemoryImage| firewall(&image).ipv6_off.unwrap().is_some();
    let all = "net.ipv6.conf.all.disable_ipv6=1\n";
    assert!(off(MemoryImage::new().file("/etc/sysctl.d/a.conf", all)));
    assert!(!off(MemoryImage::new().file("/etc/sysctl.d/a.conf", format!("{all}net.ipv6.conf.eth0.disable_ipv6=0\n"))));
    assert!(!off(MemoryImage::new().file("/etc/sysctl.d/a.conf", "net.ipv6.conf.default.disable_ipv6=1\n")));
    let grub = "menuentry 'a' {\n linux /vmlinuz ro ipv6.disable=1\n}\n";
    assert!(off(MemoryImage::new().file("/boot/grub/grub.cfg", grub)));
}

#[test]
fn a_zone_in_etc_hides_the_packages_own_unless_it_is_refused() {
    let image = MemoryImage::new().file("/usr/lib/firewalld/zones/trusted.xml", "<zone target='ACCEPT'/>");
    let own = |text: &str| {
        let image = image.clone().file("/etc/firewalld/zones/trusted.xml", text);
        firewall(&image).firewalld.unwrap().zones["trusted"].clone()
    };
    assert_eq!(own("<zone><interface name='lo'/></zone>").zone.interfaces.len(), 1);
    let refused = own("<zone target='x'/>");
    assert_eq!((refused.zone.target.as_deref(), refused.refused.is_some()), (Some("ACCEPT"), true));
}

#[test]
fn chains_that_go_round_end() {
    let rule = |action| PacketRule { action, ..PacketRule::default() };
    let (a, b) = ([rule(Jump("b".into())), rule(Jump("b".into()))], [rule(Jump("a".into())), rule(Jump("a".into()))]);
    let chains = Chains::from([("a", a.as_slice()), ("b", b.as_slice())]);
    let packets = Packets { version: 4, way: Way::FromOutside, from_loopback: false, others: false };
    assert_eq!(packets.through(&chains, "a"), Fate::TooMuch);
}
