#!/usr/bin/env python3
"""Scans roots that were made to be slow or large, one after another, and prints what each cost.

    sudo benches/hostile.py [--karat target/release/karat] [--root /var/tmp/karat-roots/debian12] [--folder /dev/shm] [--seconds 5] [--mebibytes 64]
        [CASE...]

Every case plants something into a copy of the root (a Debian 12 server; benches/scan.py makes one) below a folder, best one in memory, or
writes files that a user would hand to karat. It may take so long and so much memory at most, and has to end with a verdict or a clear error: exit 0, 1 or 2. CASE chooses
those whose name contains it. All of them take about half an hour, and the largest some GiB of the folder for a while.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

# Long enough to tell slow from endless, and less than what would starve the machine.
PATIENCE, MEMORY = 60, 8 << 30

CASES: dict[str, Callable[[Path], list[str] | None]] = {}


def case(plant: Callable[[Path], list[str] | None]) -> Callable[[Path], list[str] | None]:
    """Keeps a function as a case by its name. It gets the root, and gives arguments for karat if it needs others than usual."""
    CASES[plant.__name__.replace("_", "-")] = plant
    return plant


def write(path: Path, text: str | bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)


def many(folder: Path, count: int, text: str | Callable[[int], str], name: str = "{}.conf", mode: int = 0o644) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        file = os.open(folder / name.format(number), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)
        if text:
            os.write(file, (text if isinstance(text, str) else text(number)).encode())
        os.close(file)


def lines(count: int, text: str) -> str:
    """The text so many times, every {} in it replaced by the number."""
    return "".join(text.replace("{}", str(number)) for number in range(count))


# Accounts


def accounts(root: Path, count: int, home: str = "/") -> None:
    write(root / "etc/passwd", "root:x:0:0::/root:/bin/sh\n" + lines(count, "u{}:x:{}:{}::" + home + ":/bin/sh\n").replace(":x:0:", ":x:9:"))


@case
def homes_20000(root: Path) -> None:
    accounts(root, 20_000, "/h/{}")
    for number in range(20_000):
        home = root / "h" / str(number)
        home.mkdir(parents=True)
        for name in (".bashrc", ".profile", ".netrc", ".forward", ".rhosts"):
            os.mknod(home / name, 0o100666)


@case
def accounts_28000(root: Path) -> None:
    accounts(root, 28_000)
    write(root / "etc/shadow", lines(28_000, "u{}:*:1::::::\n"))
    write(root / "etc/group", lines(28_000, "g{}:x:{}:\n"))


@case
def accounts_200000(root: Path) -> None:
    accounts(root, 200_000)
    write(root / "etc/shadow", lines(200_000, "u{}:*:1::::::\n"))
    write(root / "etc/group", lines(200_000, "g{}:x:{}:\n"))


@case
def accounts_with_one_name(root: Path) -> None:
    write(root / "etc/passwd", "root:x:0:0::/:/bin/sh\n" * 45_000)
    write(root / "etc/shadow", "root:::::::\n" * 45_000)
    write(root / "etc/group", "root:x:0:root\n" * 45_000)


@case
def groups_with_all_members(root: Path) -> None:
    accounts(root, 20_000)
    write(root / "etc/group", "".join(f"g{group}:x:{group}:" + ",".join(f"u{user}" for user in range(1_500)) + "\n" for group in range(100)))


@case
def group_of_very_many(root: Path) -> None:
    write(root / "etc/group", "sudo:x:27:" + "a," * 500_000 + "\n")
    write(root / "etc/gshadow", "sudo:!:" + "b," * 250_000 + ":" + "c," * 250_000 + "\n")


@case
def account_files_of_long_lines(root: Path) -> None:
    for name in ("passwd", "shadow", "group", "gshadow"):
        write(root / "etc" / name, ("x" * (4 << 20) + "\n") * 4)


@case
def account_files_of_short_lines(root: Path) -> None:
    for name in ("passwd", "shadow", "group", "gshadow", "shells", "login.defs", "nsswitch.conf"):
        write(root / "etc" / name, "a\n" * 1_000_000)


@case
def account_files_of_50000_colons(root: Path) -> None:
    for name in ("passwd", "shadow", "group", "gshadow"):
        write(root / "etc" / name, ":" * 1_000_000)


@case
def shells_times_accounts(root: Path) -> None:
    accounts(root, 28_000)
    write(root / "etc/shells", lines(49_000, "/bin/{}\n"))


# Units


UNITS = "etc/systemd/system"


@case
def units_in_a_circle(root: Path) -> None:
    unit = "[Unit]\nWants=x{0}.service\nRequires=x{1}.service\nAfter=x{0}.service\n[Service]\nExecStart=/bin/x\n[Install]\nAlias=x{0}.service\nAlso=x{1}.service\nWantedBy=multi-user.target\n"
    many(root / UNITS, 5_000, lambda number: unit.format((number + 1) % 5_000, number * 7 % 5_000), "x{}.service")
    many(root / UNITS / "multi-user.target.wants", 5_000, "", "x{}.service")


@case
def units_that_are_links_to_the_next(root: Path) -> None:
    for number in range(20_000):
        os.symlink(f"l{(number + 1) % 20_000}.service", root / UNITS / f"l{number}.service")


@case
def units_95000(root: Path) -> None:
    many(root / UNITS, 95_000, "[Service]\nExecStart=/bin/x\n[Install]\nWantedBy=multi-user.target\n", "x{}.service")


@case
def units_15000(root: Path) -> None:
    many(root / UNITS, 15_000, "[Service]\nExecStart=/bin/x\n[Install]\nWantedBy=multi-user.target\n", "x{}.service")


@case
def units_that_want_one_another(root: Path) -> None:
    (root / UNITS).mkdir(exist_ok=True)
    wants = " ".join(f"w{number}.service" for number in range(1_000))
    many(root / UNITS, 1_000, f"[Unit]\nWants={wants}\n[Service]\nExecStart=/bin/x\n[Install]\nWantedBy={wants}\n", "w{}.service")
    folder = root / UNITS / "multi-user.target.wants"
    folder.mkdir(exist_ok=True)
    for number in range(1_000):
        os.symlink(f"../w{number}.service", folder / f"w{number}.service")


@case
def wants_links_90000(root: Path) -> None:
    folder = root / UNITS / "multi-user.target.wants"
    folder.mkdir(exist_ok=True)
    for number in range(90_000):
        os.symlink("/usr/lib/systemd/system/ssh.service", folder / f"w{number}.service")


@case
def drop_ins_of_one_unit(root: Path) -> None:
    many(root / UNITS / "ssh.service.d", 50_000, "[Service]\nEnvironment=A=1\n")


@case
def drop_ins_of_every_service(root: Path) -> None:
    many(root / UNITS / "service.d", 15_000, "[Service]\nEnvironment=A=1\n")


@case
def presets_of_very_many_lines(root: Path) -> None:
    write(root / "etc/systemd/system-preset/0.preset", lines(49_000, "disable a*b*{}*c*\n"))
    (root / "etc/machine-id").unlink(missing_ok=True)


@case
def unit_of_a_long_line(root: Path) -> None:
    write(root / UNITS / "ssh.service", "[Service]\nExecStart=/usr/sbin/sshd " + "-o A=1 " * 140_000 + "\n")


@case
def mount_units_10000(root: Path) -> None:
    many(root / UNITS, 10_000, lambda number: f"[Mount]\nWhat=x\nWhere=/m{number}\nType=ext4\n[Install]\nWantedBy=local-fs.target\n", "m{}.mount")


@case
def fstab_of_very_many_lines(root: Path) -> None:
    write(root / "etc/fstab", lines(45_000, "a /m{} x d 0 0\n"))


# ssh


SSHD = "etc/ssh/sshd_config"


@case
def sshd_drop_ins_100000(root: Path) -> None:
    many(root / "etc/ssh/sshd_config.d", 100_000, "X11Forwarding no\n")


@case
def sshd_drop_ins_15000(root: Path) -> None:
    many(root / "etc/ssh/sshd_config.d", 15_000, "Match User x\nX11Forwarding yes\n")


@case
def sshd_matches_100000(root: Path) -> None:
    write(root / SSHD, lines(100_000, "Match User x{}\nPermitRootLogin yes\n"))


@case
def sshd_matches_24000(root: Path) -> None:
    write(root / SSHD, lines(24_000, "Match User x{}\nPermitRootLogin yes\n"))


@case
def sshd_matches_of_patterns(root: Path) -> None:
    write(root / SSHD, lines(8_000, "Match User *a*a*a*a*{},!b Address 10.0.0.0/8 Group c*\nMaxAuthTries 9\nBanner no\nLogLevel QUIET\n"))


@case
def sshd_long_line(root: Path) -> None:
    write(root / SSHD, "Match User " + "a," * 250_000 + "b\nPermitRootLogin yes\nMatch all\nCiphers " + "aes," * 120_000 + "x\n")


@case
def sshd_includes_itself(root: Path) -> None:
    write(root / SSHD, f"Include /{SSHD}\n" * 10_000)


@case
def sshd_includes_doubling(root: Path) -> None:
    write(root / SSHD, "Include /etc/ssh/0\n")
    many(root / "etc/ssh", 30, lambda number: f"Include /etc/ssh/{number + 1}\n" * 50, "{}")


@case
def sshd_glob_bomb(root: Path) -> None:
    write(root / SSHD, "Include /*/*/*/*/*/*\nInclude /*/*/*/*/*\n" * 1_000)


@case
def sshd_pattern_bomb(root: Path) -> None:
    write(root / SSHD, "Include " + "/etc/" + "*a" * 100_000 + "\nMatch User " + "*a" * 200_000 + "\n")


# Logging


@case
def rsyslog_glob_bomb(root: Path) -> None:
    write(root / "etc/rsyslog.d/0.conf", "$IncludeConfig /*/*/*/*/*/*\ninclude(file=\"/*/*/*/*/*\")\n" * 1_000)


@case
def rsyslog_includes_itself(root: Path) -> None:
    many(root / "etc/rsyslog.d", 100, "$IncludeConfig /etc/rsyslog.d/*.conf\n" * 10)


@case
def rsyslog_includes_10000_times(root: Path) -> None:
    write(root / "etc/x.conf", "*.* /var/log/x\n" * 100)
    write(root / "etc/rsyslog.conf", "$IncludeConfig /etc/x.conf\n" * 10_000)


@case
def rsyslog_files_100000(root: Path) -> None:
    many(root / "etc/rsyslog.d", 100_000, "*.* /var/log/x\n")


@case
def rsyslog_actions_45000(root: Path) -> None:
    write(root / "etc/rsyslog.conf", lines(45_000, "*.* /l/{}\n"))


@case
def rsyslog_nested(root: Path) -> None:
    write(root / "etc/rsyslog.conf", "if (1) then {\n" * 70_000 + "}" * 70_000)
    write(root / "etc/rsyslog.d/0.conf", "if " + "(" * 500_000 + ")" * 500_000 + " then stop")
    write(root / "etc/rsyslog.d/1.conf", "if not " * 140_000)


@case
def logrotate_files_100000(root: Path) -> None:
    many(root / "etc/logrotate.d", 100_000, "/var/log/x {\nweekly\n}\n")


@case
def logrotate_bomb(root: Path) -> None:
    write(root / "etc/logrotate.conf", "include /*/*/*\ninclude /etc/logrotate.conf\n" * 10_000 + "/*/*/*/*/* {\nweekly\n}\n" * 5_000)


@case
def journald_files_100000(root: Path) -> None:
    for name in ("journald.conf.d", "coredump.conf.d", "timesyncd.conf.d", "system.conf.d", "logind.conf.d"):
        many(root / "etc/systemd" / name, 100_000 if name[0] == "j" else 15_000, "[Journal]\nStorage=persistent\n")


# Kernel


@case
def sysctl_and_modprobe_files_100000(root: Path) -> None:
    for name in ("sysctl.d", "modprobe.d", "modules-load.d"):
        many(root / "etc" / name, 100_000, "# nothing\n")


@case
def sysctl_and_modprobe_files_15000(root: Path) -> None:
    for name, text in (("sysctl.d", "net.ipv4.conf.*.rp_filter=1\n"), ("modprobe.d", "install cramfs /bin/false\n"), ("modules-load.d", "a\n")):
        many(root / "etc" / name, 15_000, text)


@case
def sysctl_of_very_many_lines(root: Path) -> None:
    write(root / "etc/sysctl.d/0.conf", lines(30_000, "net.ipv4.conf.*a*{}.rp_filter=1\n"))
    write(root / "etc/sysctl.d/1.conf", lines(30_000, "-net.ipv4.conf.a{}.rp_filter\n"))


@case
def modprobe_of_very_many_lines(root: Path) -> None:
    write(root / "etc/modprobe.d/0.conf", lines(20_000, "alias a*b*c*{} cramfs\ninstall m{} /bin/true\n"))


@case
def modprobe_aliases_in_a_circle(root: Path) -> None:
    write(root / "etc/modprobe.d/0.conf", lines(20_000, "alias cramfs a{}\nalias a{} cramfs\n"))


@case
def module_lists_of_16_mebibytes(root: Path) -> None:
    for kernel in (root / "lib/modules").iterdir():
        write(kernel / "modules.dep", lines(400_000, "kernel/a/b/c/d/module{}.ko: kernel/a/b/c{}.ko\n")[: 16 << 20])
        write(kernel / "modules.builtin", lines(600_000, "kernel/a/b/c/d{}.ko\n")[: 16 << 20])
        write(kernel / "modules.alias", lines(600_000, "alias pci:v*d*{} a{}\n")[: 16 << 20])


@case
def kernels_10000(root: Path) -> None:
    for number in range(10_000):
        write(root / f"lib/modules/{number}/modules.dep", "kernel/fs/x.ko:\n")
        write(root / f"boot/vmlinuz-{number}", "")


@case
def boot_menus(root: Path) -> None:
    write(root / "boot/grub/grub.cfg", "menuentry 'a' {\nlinux /v ro audit=1\n}\n" * 16_000)
    write(root / "etc/default/grub", "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX a$GRUB_CMDLINE_LINUX\"\n" * 15_000)


@case
def boot_menu_nested(root: Path) -> None:
    write(root / "boot/grub/grub.cfg", "submenu 'a' {\n" * 49_000)
    write(root / "boot/grub/user.cfg", "{" * 1_000_000)


# Programs that ask for names and passwords


@case
def sudoers_files_100000(root: Path) -> None:
    many(root / "etc/sudoers.d", 100_000, "a ALL=(ALL) ALL\n", "{}", 0o440)


@case
def sudoers_files_15000(root: Path) -> None:
    many(root / "etc/sudoers.d", 15_000, "a ALL=(ALL) NOPASSWD: ALL\n", "{}", 0o440)


@case
def sudoers_aliases_doubling(root: Path) -> None:
    write(root / "etc/sudoers", lines(1_000, "User_Alias A{} = B{}, B{}, B{}\n") + "".join(
        f"User_Alias B{n} = A{n + 1}, A{n + 1}\nCmnd_Alias C{n} = C{n + 1}, !C{n + 1}, C{n + 1}\n" for n in range(1_000)) + "A0 ALL = NOPASSWD: C0\n" * 1_000, 0o440)


@case
def sudoers_includes_itself(root: Path) -> None:
    many(root / "etc/sudoers.d", 100, "@includedir /etc/sudoers.d\n@include /etc/sudoers\n" * 100, "{}", 0o440)


@case
def sudoers_long(root: Path) -> None:
    write(root / "etc/sudoers", "a ALL = " + "/bin/x, " * 120_000 + "/bin/y\n", 0o440)
    write(root / "etc/sudoers.d/0", "Defaults " + "env_keep+=a, " * 70_000 + "env_reset\n", 0o440)
    write(root / "etc/sudoers.d/1", "!" * 500_000 + "a ALL = " + "(" * 400_000 + "\n", 0o440)


@case
def pam_files_100000(root: Path) -> None:
    many(root / "etc/pam.d", 100_000, lambda number: f"@include x{number + 1}\n", "x{}")
    write(root / "etc/pam.d/common-auth", "@include x0\n")


@case
def pam_files_15000(root: Path) -> None:
    many(root / "etc/pam.d", 15_000, lambda number: f"@include x{number + 1}\nauth required pam_unix.so nullok\n", "x{}")
    write(root / "etc/pam.d/common-auth", "@include x0\n")


@case
def pam_includes_doubling(root: Path) -> None:
    many(root / "etc/pam.d", 60, lambda number: f"auth substack x{number + 1}\nauth include x{number + 1}\n@include x{number + 1}\n", "x{}")
    for name in ("common-auth", "common-password", "common-account", "login", "su"):
        write(root / "etc/pam.d" / name, "@include x0\n")


@case
def pam_of_very_many_lines(root: Path) -> None:
    for name in ("common-auth", "common-password", "common-account", "common-session"):
        write(root / "etc/pam.d" / name, "auth required pam_unix.so\npassword required pam_unix.so sha512 nullok\n" * 15_000)


@case
def pam_of_jumps(root: Path) -> None:
    write(root / "etc/pam.d/common-auth", "auth [success=1 default=ignore auth_err=2] pam_unix.so\n" * 19_000)


@case
def limits_and_profiles_100000(root: Path) -> None:
    many(root / "etc/security/limits.d", 100_000, "* hard core 0\n")
    many(root / "etc/profile.d", 100_000, "TMOUT=900\n", "{}.sh")


@case
def profiles_15000(root: Path) -> None:
    many(root / "etc/profile.d", 15_000, "readonly TMOUT=900 ; export TMOUT ; umask 027\n", "{}.sh")


@case
def shell_nested(root: Path) -> None:
    write(root / "etc/profile", "if true; then\n" * 49_000)
    write(root / "etc/bash.bashrc", "$(" * 500_000)
    write(root / "etc/profile.d/0.sh", "{ " * 500_000)
    write(root / "etc/profile.d/1.sh", "\"${a:-" * 170_000)
    write(root / "etc/profile.d/2.sh", "case a in a) " * 80_000)
    write(root / "etc/profile.d/3.sh", "cat <<A\n" * 49_000)
    write(root / "etc/profile.d/4.sh", "a=$a$a$a$a; " * 80_000)


@case
def login_defs_of_very_many_lines(root: Path) -> None:
    write(root / "etc/login.defs", "PASS_MAX_DAYS 1\n" * 49_000)


# Audit, integrity, cron, mail, time, desktop


@case
def audit_files_100000(root: Path) -> None:
    many(root / "etc/audit/rules.d", 100_000, "-w /etc/passwd -p wa -k x\n", "{}.rules")


@case
def audit_files_15000(root: Path) -> None:
    many(root / "etc/audit/rules.d", 15_000, lambda number: f"-w /etc/{number} -p wa -k x\n", "{}.rules")


@case
def audit_of_very_many_rules(root: Path) -> None:
    text = lines(12_000, "-a always,exit -F arch=b64 -S chmod,chown -F auid>=1000 -k {}\n")
    for number in range(4):
        write(root / f"etc/audit/rules.d/{number}.rules", text)


@case
def audit_long_line(root: Path) -> None:
    write(root / "etc/audit/rules.d/0.rules", "-a always,exit -F arch=b64 -S " + "chmod," * 150_000 + "chown -k x\n")
    write(root / "etc/audit/rules.d/1.rules", "-a always,exit " + "-F auid>=1000 " * 65_000 + "-S chmod -k x\n")


@case
def aide_of_very_many_rules(root: Path) -> None:
    write(root / "etc/aide/aide.conf", lines(30_000, "/(a|b)*{}.* p+i\n"))


@case
def aide_huge_expressions(root: Path) -> None:
    write(root / "etc/aide/aide.conf", "/" + "(((a{1,999}){1,999}){1,999}" * 10 + ")" * 10 + " p\n" + "/(" * 100_000 + "\n" + "/sbin/.{900}.{900}\\w{900}$ p\n" * 2_000)


@case
def aide_includes_and_groups(root: Path) -> None:
    write(root / "etc/aide/aide.conf", "@@include /etc/aide/aide.conf\n@@include /*/*/*/*\n" * 1_000 + "".join(f"G{n} = G{n + 1}+G{n + 1}\n" for n in range(5_000)) + "".join(f"@@define V{n + 1} @@{{V{n}}}@@{{V{n}}}\n" for n in range(1_000)))
    many(root / "etc/aide/aide.conf.d", 15_000, "/etc p\n", "{}")


@case
def apparmor_profiles_90000(root: Path) -> None:
    many(root / "etc/apparmor.d", 90_000, lambda number: f"profile x{number} {{ }}\n", "{}")


@case
def apparmor_profiles_15000(root: Path) -> None:
    many(root / "etc/apparmor.d", 15_000, lambda number: f"profile x{number} flags=(complain) {{ }}\n", "{}")


@case
def cron_files_100000(root: Path) -> None:
    for name in ("cron.d", "cron.daily"):
        many(root / "etc" / name, 100_000, "1 1 * * * root /bin/x\n", "{}", 0o755)


@case
def cron_files_15000(root: Path) -> None:
    many(root / "etc/cron.d", 15_000, "1 1 * * * root /usr/bin/aide --check\n", "{}")
    write(root / "etc/crontab", "1 1 * * * root x\n" * 49_000)


@case
def mail_bombs(root: Path) -> None:
    write(root / "etc/postfix/main.cf", "".join(f"a{n} = $a{n + 1}$a{n + 1}\n" for n in range(20_000)) + "inet_interfaces = $a0\n")
    write(root / "etc/exim4/exim4.conf", "".join(f"A{n} = B{n}B{n}\n" for n in range(20_000)) + ".include /etc/exim4/exim4.conf\n" * 20_000)
    write(root / "etc/mail/sendmail.cf", "O DaemonPortOptions=Addr=::1\n" * 30_000)


@case
def chrony_bombs(root: Path) -> None:
    write(root / "etc/chrony/chrony.conf", "include /*/*/*/*\nconfdir /etc/chrony/conf.d\nsourcedir /etc/chrony/sources.d\ninclude /etc/chrony/chrony.conf\n" * 10_000)
    many(root / "etc/chrony/conf.d", 15_000, "server a\n")
    many(root / "etc/chrony/sources.d", 15_000, "server a\n", "{}.sources")


@case
def dconf_folders(root: Path) -> None:
    write(root / "etc/dconf/profile/user", "user-db:user\n" + lines(5_000, "system-db:d{}\n"))
    many(root / "etc/dconf/db/d0.d", 15_000, "[org/gnome]\na=1\n", "{}")
    many(root / "etc/dconf/db/d0.d/locks", 15_000, "/org/gnome/a\n", "{}")
    for number in range(1, 5_000):
        write(root / f"etc/dconf/db/d{number}.d/0", "[org/gnome]\na=1\n")
    many(root / "etc/gdm3", 15_000, "[daemon]\n")


# Network


@case
def nftables_elements_1000000(root: Path) -> None:
    write(root / "etc/nftables.conf", "table inet f {\nset s { type inet_service; elements = { " + "1," * 1_000_000 + "2 } }\nchain i { type filter hook input priority 0; policy drop; }\n}\n")


@case
def nftables_elements_400000(root: Path) -> None:
    write(root / "etc/nftables.conf", "table inet f {\nset s { type inet_service; elements = { " + "1," * 400_000 + "2 } }\nchain i { type filter hook input priority 0; policy drop; tcp dport { " + "22," * 30_000 + "22 } accept\n}\n}\n")


@case
def nftables_jumps_doubling(root: Path) -> None:
    chains = "".join(f"chain c{n} {{ jump c{n + 1}; jump c{n + 1}; tcp dport {n} accept; }}\n" for n in range(10_000))
    write(root / "etc/nftables.conf", "table inet f {\nchain i { type filter hook input priority 0; policy drop; jump c0; }\n" + chains + "}\n")


@case
def nftables_nested(root: Path) -> None:
    write(root / "etc/nftables.conf", "table inet f { chain c { " + "{" * 900_000)
    write(root / "etc/nftables.d/x", "include \"/etc/nftables.conf\"\n")


@case
def nftables_includes(root: Path) -> None:
    write(root / "etc/nftables.conf", "include \"/etc/nftables.conf\"\ninclude \"/*/*/*/*\"\ndefine A = { $A, $A }\n" * 10_000)


@case
def nftables_rules_45000(root: Path) -> None:
    write(root / "etc/nftables.conf", "table inet f {\nchain i { type filter hook input priority 0; policy drop;\n" + lines(45_000, "tcp dport {} drop\n") + "}\n}\n")


@case
def iptables_and_ufw(root: Path) -> None:
    chains = "*filter\n:INPUT DROP [0:0]\n" + lines(10_000, ":c{} - [0:0]\n") + "-A INPUT -j c0\n" + "".join(f"-A c{n} -j c{n + 1}\n-A c{n} -j c{n + 1}\n" for n in range(10_000)) + "COMMIT\n"
    for name in ("iptables/rules.v4", "iptables/rules.v6", "ufw/user.rules", "ufw/user6.rules", "ufw/before.rules", "ufw/after.rules"):
        write(root / "etc" / name, chains)


@case
def firewalld_zones(root: Path) -> None:
    many(root / "etc/firewalld/zones", 15_000, "<zone><port port='1-65535' protocol='tcp'/></zone>", "{}.xml")
    write(root / "etc/firewalld/zones/public.xml", "<zone>" + "<rule>" * 150_000)


# Packages


def status(count: int) -> str:
    return lines(count, "Package: p{}\nStatus: install ok installed\nArchitecture: all\nVersion: {}\n\n")


@case
def dpkg_packages_100000(root: Path) -> None:
    write(root / "var/lib/dpkg/status", status(100_000))
    many(root / "var/lib/dpkg/info", 90_000, "/usr/share/x\n", "p{}.list")


@case
def dpkg_packages_3000000(root: Path) -> None:
    write(root / "var/lib/dpkg/status", status(3_000_000))


@case
def dpkg_long_fields(root: Path) -> None:
    with open(root / "var/lib/dpkg/status", "a") as file:
        file.write("Package: x\nStatus: install ok installed\nVersion: 1\nDescription: " + "x" * (200 << 20) + "\n")


@case
def dpkg_many_relations(root: Path) -> None:
    relations = ", ".join(f"p{n} (>= 1) | q{n}" for n in range(200_000))
    write(root / "var/lib/dpkg/status", f"Package: x\nStatus: install ok installed\nArchitecture: all\nVersion: 1\nProvides: {relations}\nDepends: {relations}\n")


@case
def dpkg_lists_of_many_paths(root: Path) -> None:
    for number in range(20):
        with open(root / f"var/lib/dpkg/info/p{number}.list", "w") as file:
            file.writelines(f"/usr/{path}\n" for path in range(number, 1_000_000))
    write(root / "var/lib/dpkg/status", status(20))


@case
def dpkg_diversions_and_overrides(root: Path) -> None:
    for name in ("diversions", "statoverride"):
        write(root / "var/lib/dpkg" / name, lines(700_000, "/a{}\n/b{}\n:\n"))


@case
def package_sources(root: Path) -> None:
    many(root / "etc/apt/sources.list.d", 50_000, "deb http://a b c\n", "{}.list")
    many(root / "etc/apt/apt.conf.d", 50_000, "A::B \"1\";\n", "{}")
    write(root / "etc/apt/sources.list", "deb [trusted=yes] http://a b c\n" * 30_000)


@case
def apt_conf_nested(root: Path) -> None:
    write(root / "etc/apt/apt.conf", "a { " * 250_000)


# The whole tree, and secrets in it


@case
def world_writable_1000000(root: Path) -> None:
    folder = root / "srv/w"
    folder.mkdir()
    for number in range(1_000_000):
        os.mknod(folder / str(number), 0o100666)
        os.chmod(folder / str(number), 0o666) if number == 0 else None


@case
def set_id_programs_200000(root: Path) -> None:
    folder = root / "srv/s"
    folder.mkdir()
    for number in range(200_000):
        os.mknod(folder / str(number), 0o106755)


@case
def names_of_255_bytes(root: Path) -> None:
    folder = root / "srv/n"
    folder.mkdir()
    for number in range(100_000):
        os.mknod(folder / f"{number:0255}", 0o100666)


@case
def directory_of_2000000(root: Path) -> None:
    folder = root / "srv/many"
    folder.mkdir()
    for number in range(2_000_000):
        os.mknod(folder / str(number), 0o100600)


@case
def directories_4096_deep(root: Path) -> None:
    def deep(folder: str, name: str) -> None:
        at = os.open(folder, os.O_RDONLY)
        for _ in range(4_096):
            os.mkdir(name, dir_fd=at)
            os.mknod("w", 0o100666, dir_fd=at)
            below = os.open(name, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        os.close(at)

    for folder, name in (("srv", "d"), ("opt", "n" * 200), ("etc/default", "e"), ("etc/ssh", "s")):
        deep(str(root / folder), name)


@case
def directories_300000(root: Path) -> None:
    for number in range(300_000):
        if number % 1_000 == 0:
            folder = root / f"srv/d/{number}"
            folder.mkdir(parents=True)
        os.mkdir(folder / str(number))
        os.chmod(folder / str(number), 0o777) if number % 3 == 0 else None


@case
def secrets_300000(root: Path) -> list[str]:
    folder = root / "srv/keys"
    folder.mkdir()
    for number in range(300_000):
        file = os.open(folder / (f"id_rsa{number}" if number % 2 else f"{number}.env"), os.O_CREAT | os.O_WRONLY)
        os.ftruncate(file, 64 << 10)
        os.close(file)
    return ["--benchmark", "golden-image"]


@case
def secrets_of_a_mebibyte(root: Path) -> list[str]:
    texts = {"env": "A_SECRET=abcdefgh1234XYZ\n" * 40_000, "key": "-----BEGIN RSA PRIVATE KEY-----\n" * 32_000, "pem": "-----BEGIN " * 95_000}
    for number in range(64):
        for ending, text in texts.items():
            write(root / f"srv/k{number}.{ending}", text)
    for number in range(10):
        write(root / f"srv/{number}/.netrc", "machine a login b password c\n" * 35_000)
        write(root / f"srv/{number}/.npmrc", "x:_authToken=abcdefghijkl\n" * 40_000)
        write(root / f"srv/{number}/.aws/credentials", "aws_secret_access_key=abcdefghijklmnopqrstuvwxyz0123456789ABCD\n" * 16_000)
    return ["--benchmark", "golden-image"]


@case
def environment_files_90000(root: Path) -> list[str]:
    many(root / "etc/default", 90_000, "A=1\n", "{}")
    return ["--benchmark", "golden-image"]


@case
def links_in_a_circle(root: Path) -> None:
    for number in range(50_000):
        os.symlink(f"{(number + 1) % 50_000}.conf", root / f"etc/sysctl.d/{number}.conf")


@case
def everything_sparse(root: Path) -> None:
    for folder in ("etc", "boot/grub", "var/lib/dpkg", "usr/lib/systemd/system"):
        for path in (root / folder).rglob("*"):
            if path.is_file() and not path.is_symlink() and path.name != "os-release":
                os.truncate(path, 10 << 30)


# What a user hands over


@case
def rules_of_catastrophic_expressions(root: Path) -> list[str]:
    rule = "[[rule]]\nid = '{0}'\ntitle = 'x'\nseverity = 'low'\nwhy = 'x'\nfix.text = 'x'\n[rule.check.line]\npath = '/etc/**/*'\nhas = '{1}'\n"
    write(root.parent / "rules/a.toml", "".join(rule.format(f"r-{n}", "(a*)*(a|a)*b$((x+x+)+y){50}") for n in range(50)))
    return ["--rules", str(root.parent / "rules"), *(f"--rule=r-{n}" for n in range(50))]


@case
def rules_of_huge_expressions(root: Path) -> list[str]:
    rule = "[[rule]]\nid = '{0}'\ntitle = 'x'\nseverity = 'low'\nwhy = 'x'\nfix.text = 'x'\n[rule.check.line]\npath = '/etc/*'\nhas = '{1}'\n"
    write(root.parent / "rules/a.toml", "".join(rule.format(f"r-{n}", f"(\\\\w{{{n}}}){{200}}" if n % 2 else "(((a{99}){99}){99}){99}") for n in range(100)))
    return ["--rules", str(root.parent / "rules"), *(f"--rule=r-{n}" for n in range(50))]


def check(text: str, root: Path) -> list[str]:
    write(root.parent / "rules/a.toml", "[[rule]]\nid = 'r'\ntitle = 'x'\nseverity = 'low'\nwhy = 'x'\nfix.text = 'x'\ncheck = " + text + "\n")
    return ["--rules", str(root.parent / "rules"), "--rule", "r"]


@case
def check_nested(root: Path) -> list[str]:
    return check("{ not = " * 100_000 + "{}" + " }" * 100_000, root)


@case
def check_wide(root: Path) -> list[str]:
    return check("{ all = [" + ",".join(f"{{ file = {{ path = '/etc/{n}', exists = false }} }}" for n in range(200_000)) + "] }", root)


@case
def rules_nested(root: Path) -> list[str]:
    write(root.parent / "rules/a.toml", "a = " + "[" * 100_000 + "]" * 100_000)
    return ["--rules", str(root.parent / "rules")]


@case
def rules_nested_by_dots(root: Path) -> list[str]:
    write(root.parent / "rules/a.toml", "a" + ".a" * 100_000 + " = 1\n[b" + ".b" * 100_000 + "]\n")
    return ["--rules", str(root.parent / "rules")]


@case
def config_nested(root: Path) -> list[str]:
    write(root.parent / "karat.toml", "a = " + "{ a = " * 100_000 + "1" + "}" * 100_000)
    return ["--config", str(root.parent / "karat.toml")]


@case
def waivers_nested(root: Path) -> list[str]:
    write(root.parent / "waivers.toml", "[[waiver]]\nid = " + "[" * 100_000)
    return ["--waivers", str(root.parent / "waivers.toml")]


@case
def waivers_200000(root: Path) -> list[str]:
    waiver = "[[waiver]]\ncontrol = '{}'\nreason = 'x'\nowner = 'x'\nexpires = 2030-01-01\n"
    write(root.parent / "waivers.toml", lines(200_000, waiver))
    return ["--waivers", str(root.parent / "waivers.toml")]


@case
def baseline_nested(root: Path) -> list[str]:
    write(root.parent / "scan.json", "[" * 10_000_000)
    return ["--baseline", str(root.parent / "scan.json")]


@case
def baseline_of_a_gigabyte(root: Path) -> list[str]:
    write(root.parent / "scan.json", "")
    os.truncate(root.parent / "scan.json", 1 << 30)
    return ["--baseline", str(root.parent / "scan.json")]


@case
def config_and_waivers_of_a_gigabyte(root: Path) -> list[str]:
    for name in ("karat.toml", "waivers.toml"):
        write(root.parent / name, "")
        os.truncate(root.parent / name, 1 << 30)
    return ["--config", str(root.parent / "karat.toml"), "--waivers", str(root.parent / "waivers.toml")]


@case
def rules_folder_of_100000(root: Path) -> list[str]:
    many(root.parent / "rules", 100_000, "", "{}.toml")
    return ["--rules", str(root.parent / "rules")]


@case
def as_it_is(root: Path) -> None:
    """Nothing planted: what the others are measured against."""


def measure(karat: str, root: Path, more: list[str]) -> tuple[float, float, float, int, str]:
    """Wall seconds, processor seconds, peak MiB, exit code, and what was said on the error channel."""
    chosen = more if any(word.startswith(("--rule=", "--benchmark")) or word == "--rule" for word in more) else ["--benchmark", "cis-debian-12", "--level", "2", *more]
    command = [karat, "scan", str(root), "--no-progress", "--format", "json", *chosen]
    with tempfile.NamedTemporaryFile("r") as cost:
        timed = ["/usr/bin/time", "-q", "-f", "%e %U %S %M", "-o", cost.name, "timeout", "--foreground", str(PATIENCE)]
        limited = [*timed, "prlimit", f"--as={MEMORY}", "--", *command]
        done = subprocess.run(limited, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
        wall, user, system, peak = (float(word) for word in cost.read().split()[-4:])
    said = next((line for line in done.stderr.splitlines() if line.strip()), "")
    return wall, user + system, peak / 1024, done.returncode, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--karat", default="target/release/karat")
    parser.add_argument("--root", type=Path, default=Path("/var/tmp/karat-roots/debian12"))
    parser.add_argument("--folder", default="/dev/shm")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--mebibytes", type=float, default=64)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    arguments = parser.parse_args()
    chosen = {name: plant for name, plant in CASES.items() if not arguments.cases or any(part in name for part in arguments.cases)}
    failed = 0
    print(f"{'case':42} {'wall':>7} {'cpu':>7} {'peak':>7}  exit")
    for name, plant in chosen.items():
        folder = Path(tempfile.mkdtemp(prefix="karat-hostile-", dir=arguments.folder))
        try:
            root = folder / "root"
            subprocess.run(["cp", "-a", str(arguments.root), str(root)], check=True)
            wall, cpu, peak, code, said = measure(arguments.karat, root, plant(root) or [])
            bad = wall > arguments.seconds or peak > arguments.mebibytes or code not in (0, 1, 2)
            failed += bad
            print(f"{name:42} {wall:6.2f}s {cpu:6.2f}s {peak:4.0f}MiB  {code}{'  TOO MUCH' if bad else ''}  {said[:80]}", flush=True)
        finally:
            # Python's own way down is not made for directories that are 4,096 deep.
            subprocess.run(["rm", "-rf", str(folder)], check=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
