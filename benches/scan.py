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
from collections import Counter
from pathlib import Path

PACKAGES = (
    "openssh-server,sudo,rsyslog,logrotate,auditd,audispd-plugins,apparmor,apparmor-utils,chrony,cron,libpam-pwquality,"
    "linux-image-cloud-amd64,grub-pc,python3,perl,git,vim,man-db,locales,nftables,ca-certificates,curl,build-essential"
)
CONTENT = Path("/usr/share/xml/scap/ssg/content/ssg-ubuntu2204-ds.xml")
# In a mount namespace of its own, which ends with it: nothing is written into the root, and nothing stays mounted, whatever happens.
# The root is mounted on itself, because OpenSCAP walks the file systems that /proc/mounts names.
IN_CHROOT = """
mount --bind "$1" "$1"
mount --bind /proc "$1/proc"
mount --bind "$2" "$1/mnt"
exec chroot "$1" /usr/bin/env LD_LIBRARY_PATH=/mnt OSCAP_SCHEMA_PATH=/mnt/openscap/schemas OSCAP_XSLT_PATH=/mnt/openscap/xsl \\
    OSCAP_CPE_PATH=/mnt/openscap/cpe /mnt/oscap xccdf eval --profile xccdf_org.ssgproject.content_profile_cis_level2_server \\
    --results /mnt/results.xml /mnt/content.xml
"""
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
    if not all(Path(needed).exists() for needed in ("/usr/bin/oscap", CONTENT)):
        print("  oscap: not installed, skipped (openscap-scanner, ssg-debderived)")
        return True
    with tempfile.TemporaryDirectory(prefix="karat-bench-") as stage:
        stock_oscap(Path(stage))
        wall, cpu, peak = run(["unshare", "--mount", "--propagation", "private", "sh", "-eu", "-c", IN_CHROOT, "sh", str(root), stage])
        verdicts = rule_verdicts(Path(stage, "results.xml"))
    evaluated = sum(count for verdict, count in verdicts.items() if verdict in ("pass", "fail"))
    selected = sum(count for verdict, count in verdicts.items() if verdict != "notselected")
    print(f"  oscap  {wall:7.1f} s   {cpu:7.1f} s cpu   {peak / 1024:6.1f} MiB")
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()) if verdict != "notselected")
    print(f"  oscap evaluated {evaluated} of {selected} rules: {counts or 'no result'}")
    if evaluated * 2 < selected or not evaluated:
        print("  no measurement: fewer than half of the rules were evaluated")
        return False
    print(f"  oscap takes {cpu / karat_cpu:.0f} x karat's cpu (at least 50)")
    return cpu / karat_cpu >= 50


def stock_oscap(stage: Path) -> None:
    """Puts the program, its libraries and the content where the chroot will see them."""
    libraries = subprocess.run(["ldd", "/usr/bin/oscap"], capture_output=True, text=True, check=True).stdout
    needed = [word for word in libraries.split() if word.startswith("/")]
    subprocess.run(["cp", "-L", *needed, str(stage)], check=True)
    subprocess.run(["cp", "-r", "/usr/bin/oscap", "/usr/share/openscap", str(stage)], check=True)
    # Debian's packages carry CIS profiles for Ubuntu only: without the condition that it be Ubuntu, the content judges a Debian root like any other.
    # Its other conditions (a package is there, the machine is no container) stay, but for the one that takes a chroot for a container.
    text = re.sub(r'<([\w.-]+:)?platform idref="(cpe:/o:[^"]*|#machine)"\s*/>', "", CONTENT.read_text())
    (stage / "content.xml").write_text(text)


def rule_verdicts(results: Path) -> Counter[str]:
    """How many rules came to which verdict."""
    if not results.exists():
        return Counter()
    text = results.read_text(errors="replace")
    return Counter(re.findall(r"<rule-result .*?<result>(\w+)</result>", text, re.DOTALL))


if __name__ == "__main__":
    main()
