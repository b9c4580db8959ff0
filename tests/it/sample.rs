//! Scans made by hand, for the gate and the reports.

use std::collections::BTreeMap;

use karat::finding::{
    BenchmarkInfo, Evidence, Finding, Fix, ImageInfo, RuleInfo, RuleResult, Scan, Severity, SourceKind, Status, Summary, Tool,
    Trouble,
};
use karat::path::{ImagePath, printable};

pub(crate) fn rule(id: &str, status: Status, paths: &[&str]) -> RuleResult {
    let evidence = |path: &&str| Evidence::at(&ImagePath::new(path)).found("mode 0666").expected("0644 or less");
    RuleResult {
        id: id.into(),
        status,
        reason: (status == Status::Unknown).then(|| "permission denied".into()),
        evidence: paths.iter().map(evidence).collect(),
        evidence_total: paths.len() as u64,
        fix: None,
        values: BTreeMap::new(),
    }
}

pub(crate) fn finding(control: &str, severity: Severity, rules: Vec<RuleResult>) -> Finding {
    let order = [Status::Fail, Status::Unknown, Status::Manual, Status::Pass, Status::NotApplicable];
    let status = order.into_iter().find(|status| rules.iter().any(|rule| rule.status == *status)).unwrap_or(Status::Manual);
    Finding {
        control: control.into(),
        benchmark: None,
        title: format!("What {control} asks for"),
        level: 1,
        severity,
        status,
        reason: None,
        waiver: None,
        rules,
    }
}

pub(crate) fn scan(findings: Vec<Finding>) -> Scan {
    let ids = findings.iter().flat_map(|finding| &finding.rules).map(|rule| rule.id.clone());
    let info = |id: &String| RuleInfo {
        title: format!("{id} holds"),
        severity: Severity::Medium,
        why: format!("Because {id} matters."),
        fix: Fix { text: format!("Mend {id}."), shell: Some(format!("mend {id}")) },
        references: BTreeMap::from([
            ("cis-controls-8".into(), vec!["3.3".into()]),
            ("nist-800-53".into(), vec!["AC-6(1)".into(), "CM-6".into()]),
        ]),
    };
    Scan {
        tool: Tool { name: "karat".into(), version: "0.1.0".into() },
        date: "2026-11-24".into(),
        image: ImageInfo {
            name: Some("web-2026-11".into()),
            source: SourceKind::Image,
            os: Some("debian".into()),
            os_version: Some("12".into()),
            os_name: Some("Debian GNU/Linux 12 (bookworm)".into()),
            architecture: Some("amd64".into()),
            packages: Some(312),
            files: Some(41_207),
        },
        benchmark: BenchmarkInfo {
            beside: Vec::new(),
            id: "cis-debian-12".into(),
            title: "CIS Debian Linux 12".into(),
            version: "1.1.0".into(),
            profile: "server".into(),
            level: 1,
            controls: 250,
            automated: 120,
            selected: findings.len() as u64,
            changes: Vec::new(),
        },
        summary: Summary::of(&findings),
        rules: ids.map(|id| (id.clone(), info(&id))).collect(),
        findings,
        troubles: Vec::new(),
    }
}

/// A scan with something of everything.
pub(crate) fn whole() -> Scan {
    let mut ssh = rule("ssh-root-login", Status::Fail, &[]);
    ssh.evidence = vec![
        Evidence::at(&ImagePath::new("/etc/ssh/sshd_config.d/50-cloud.conf"))
            .line(3)
            .column(1)
            .found("PermitRootLogin yes")
            .expected("no")
            .because("wins over /etc/ssh/sshd_config:40, because the first value counts"),
    ];
    ssh.evidence_total = 1;
    let mut writable = rule("no-world-writable-files", Status::Fail, &["/srv/x/ww0", "/srv/x/ww 1", "/srv/x/ww2", "/srv/x/ww3"]);
    writable.evidence_total = 20;
    let mut journal =
        finding("5.1.2", Severity::Medium, vec![rule("journald-persistent", Status::Unknown, &["/etc/systemd/journald.conf"])]);
    journal.reason = Some("/etc/systemd/journald.conf: permission denied".into());
    let mut absent = rule("chrony-user", Status::NotApplicable, &[]);
    absent.reason = Some("chrony is not installed".into());
    let mut by_hand = finding("7.1.1", Severity::Medium, Vec::new());
    by_hand.reason = Some("review the list of users".into());
    let mut scan = scan(vec![
        finding("1.1.1", Severity::Low, vec![rule("cramfs-off", Status::Pass, &["/etc/modprobe.d/cis.conf"])]),
        finding("2.1.1", Severity::Medium, vec![absent]),
        finding("4.1.1", Severity::Medium, vec![rule("passwd-file-mode", Status::Fail, &["/etc/passwd"])]),
        finding("4.2.7", Severity::High, vec![ssh]),
        journal,
        finding("6.1.10", Severity::Medium, vec![writable, rule("sticky", Status::Pass, &[])]),
        by_hand,
    ]);
    scan.troubles = vec![Trouble { path: "/etc/fstab".into(), line: Some(4), message: "this line has three fields".into() }];
    scan
}

/// A scan whose every text of an image was chosen by an attacker.
pub(crate) fn hostile() -> Scan {
    let bytes = b"/srv/a\nb\x1b[2J\x1b]8;;http://x\x07<script>alert(1)</script>&\"'\xff\xe2\x80\xae%2e%2e/| `x`";
    let path = ImagePath::new(bytes);
    let mut result = rule("no-world-writable-files", Status::Fail, &[]);
    result.evidence = vec![Evidence::at(&path).line(1).found(bytes).expected("</code></script>").because(printable(bytes))];
    result.evidence_total = 1;
    let mut one = finding("6.1.10", Severity::Critical, vec![result]);
    one.reason = Some(printable(bytes));
    let mut scan = scan(vec![one]);
    scan.image.os_name = Some(printable(b"Debian\x1b[31m<script>\n"));
    scan.image.name = Some("<img src=x>".into());
    scan.troubles = vec![Trouble { path: path.to_string(), line: None, message: printable(bytes) }];
    scan
}
