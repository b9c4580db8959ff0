#!/usr/bin/env python3
"""Times a full scan beside its peers on the same roots, and prints ratios of medians from one run.

    sudo benches/scan.py [--karat target/release/karat] [--roots /var/tmp/karat-roots] [--runs 7] [--oscap]

Roots: a debootstrapped Debian 12 server, and the same with 200,000 files more; both are made where they are missing (debootstrap and root are needed for
that, and some minutes; GNU time in any case). Peers: `find ROOT -xdev -printf '%m %U %G %s %p\\n'`; with --oscap also OpenSCAP in a chroot with /proc, which takes minutes.
Commands take turns, so that a machine that slows down slows all of them.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGES = (
    "openssh-server,sudo,rsyslog,logrotate,auditd,audispd-plugins,apparmor,apparmor-utils,chrony,cron,libpam-pwquality,"
    "linux-image-cloud-amd64,grub-pc,python3,perl,git,vim,man-db,locales,nftables,ca-certificates,curl,build-essential"
)
LIMITS = {"big": 0.6, "small": 1.5}


def make_small(root: Path) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["debootstrap", f"--include={PACKAGES}", "bookworm", str(root)], check=True, stdout=sys.stderr)


def make_big(small: Path, root: Path) -> None:
    subprocess.run(["cp", "-a", "--reflink=auto", str(small), str(root)], check=True)
    for number in range(2_000):
        folder = root / "srv" / "many" / f"{number:04}"
        folder.mkdir(parents=True)
        for file in range(100):
            (folder / f"{file:02}").write_bytes(b"x")


def run(command: list[str]) -> tuple[float, float, int]:
    """Wall seconds, processor seconds and peak KiB of one run; what it prints is thrown away."""
    # A process inherits the peak of the one that started it, and Python's is larger than karat's: GNU time stands between.
    with tempfile.NamedTemporaryFile("r") as peak, open(os.devnull, "wb") as nothing:
        start = time.monotonic()
        process = subprocess.Popen(["/usr/bin/time", "-q", "-f", "%M", "-o", peak.name, *command], stdout=nothing, stderr=nothing)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        if os.waitstatus_to_exitcode(status) not in (0, 1, 2):
            sys.exit(f"{command[0]} ended with {status}")
        return wall, usage.ru_utime + usage.ru_stime, int(peak.read().split()[-1])


def in_turn(commands: dict[str, list[str]], runs: int) -> dict[str, tuple[float, float, int]]:
    """Medians of wall and processor seconds, and the largest peak, after one run that does not count."""
    seen: dict[str, list[tuple[float, float, int]]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, command in commands.items():
            result = run(command)
            if number:
                seen[name].append(result)
    return {
        name: (statistics.median(r[0] for r in all), statistics.median(r[1] for r in all), max(r[2] for r in all))
        for name, all in seen.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--karat", default="target/release/karat")
    parser.add_argument("--roots", type=Path, default=Path("/var/tmp/karat-roots"))
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--oscap", action="store_true")
    arguments = parser.parse_args()
    roots = {"small": arguments.roots / "debian12", "big": arguments.roots / "debian12-big"}
    if not roots["small"].exists():
        make_small(roots["small"])
    if not roots["big"].exists():
        make_big(roots["small"], roots["big"])
    peaks = {}
    failed = False
    for name, root in roots.items():
        entries = sum(1 for _ in os.popen(f"find '{root}' -xdev"))
        commands = {
            "find": ["find", str(root), "-xdev", "-printf", "%m %U %G %s %p\\n"],
            "karat": [arguments.karat, "scan", str(root), "--benchmark", "cis-debian-12", "--format", "json", "--no-progress"],
        }
        result = in_turn(commands, arguments.runs)
        ratio = result["karat"][0] / result["find"][0]
        peaks[name] = result["karat"][2]
        failed |= ratio > LIMITS[name] or peaks[name] > 64 * 1024
        print(f"{name}: {entries:,} entries")
        for command, (wall, cpu, peak) in result.items():
            print(f"  {command:6} {wall:7.3f} s   {cpu:7.3f} s cpu   {peak / 1024:6.1f} MiB")
        print(f"  karat takes {ratio:.2f} x find (at most {LIMITS[name]})")
        if arguments.oscap:
            failed |= not beside_oscap(root, result["karat"][1])
    growth = peaks["big"] / peaks["small"] - 1
    print(f"peak memory grows by {growth:+.1%} from small to big (at most 10%)")
    listing = in_turn({"list": [arguments.karat, "benchmarks", "list"]}, 21)["list"][0]
    print(f"benchmarks list: {listing * 1000:.1f} ms (at most 25)")
    size = os.path.getsize(arguments.karat) / 1e6
    print(f"binary: {size:.1f} MB (at most 12)")
    sys.exit(1 if failed or growth > 0.10 or listing > 0.025 or size > 12 else 0)


def beside_oscap(root: Path, karat_cpu: float) -> bool:
    """OpenSCAP in a chroot with /proc: the only way it gets rules about the whole tree right."""
    # Debian's packages carry CIS profiles for Ubuntu only; without its platform the content judges a Debian root like any other.
    content = Path("/usr/share/xml/scap/ssg/content/ssg-ubuntu2204-ds.xml")
    for needed in ("usr/bin/oscap", str(content).lstrip("/")):
        if not Path("/", needed).exists():
            print("  oscap: not installed, skipped (openscap-scanner, ssg-debderived)")
            return True
    inside = root / "tmp" / "karat-bench"
    inside.mkdir(exist_ok=True)
    libraries = subprocess.run(["ldd", "/usr/bin/oscap"], capture_output=True, text=True, check=True).stdout
    try:
        for line in libraries.splitlines():
            for word in line.split():
                if word.startswith("/"):
                    subprocess.run(["cp", "-L", word, str(inside)], check=True)
        subprocess.run(["cp", "-r", "/usr/bin/oscap", "/usr/share/openscap", str(inside)], check=True)
        text = re.sub(r'<(\w+:)?platform idref="cpe:/o:[^"]*"\s*/>', "", content.read_text())
        (inside / content.name).write_text(text)
        subprocess.run(["mount", "--bind", "/proc", str(root / "proc")], check=True)
        command = ["chroot", str(root), "/usr/bin/env", "LD_LIBRARY_PATH=/tmp/karat-bench", "OSCAP_SCHEMA_PATH=/tmp/karat-bench/openscap/schemas"]
        command += ["OSCAP_XSLT_PATH=/tmp/karat-bench/openscap/xsl", "OSCAP_CPE_PATH=/tmp/karat-bench/openscap/cpe", "/tmp/karat-bench/oscap", "xccdf"]
        command += ["eval", "--profile", "xccdf_org.ssgproject.content_profile_cis_level2_server", "/tmp/karat-bench/" + content.name]
        wall, cpu, _ = run(command)
    finally:
        subprocess.run(["umount", str(root / "proc")], check=False)
        subprocess.run(["rm", "-rf", str(inside)], check=False)
    print(f"  oscap  {wall:7.1f} s   {cpu:7.1f} s cpu   {cpu / karat_cpu:.0f} x karat's cpu (at least 50)")
    return cpu / karat_cpu >= 50


if __name__ == "__main__":
    main()
