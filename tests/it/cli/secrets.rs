//! Secrets of an image never leave it: planted in every kind of file, looked for in everything that is written.

use super::Place;

/// Begins every planted secret, and is in no other text.
const MARK: &str = "S3KRET";

fn planted() -> Place {
    let place = Place::new();
    place.write("root/etc/os-release", "ID=debian\nVERSION_ID=12\n");
    for (path, content) in [
        ("etc/passwd", "root:x:0:0::/root:/bin/sh\nown:$6$salt$S3KRETabcdefgh:1500:1500::/home/own:/bin/sh\nspoilt:S3KRET\n"),
        ("etc/shadow", "root:$6$salt$S3KRETabcdefgh:1:0:9:7:::\nspoilt:S3KRET\nold:S3KRET:1:0:9:7:::\n"),
        ("etc/group", "root:S3KRET:0:\nspoilt:S3KRET\n"),
        ("etc/gshadow", "root:S3KRET::\n"),
        ("etc/fstab", "//srv/x /tmp cifs user=a,password=S3KRET 0 0\n"),
        ("etc/motd", "\\m S3KRET\n-----BEGIN PRIVATE KEY-----\nS3KRET\n"),
        ("etc/issue", "Debian S3KRET\n"),
        ("etc/sudoers", "own ALL=(ALL) NOPASSWD: /bin/mysql -pS3KRET\nDefaults !use_pty\n"),
        ("etc/rsyslog.conf", "action(type=\"omfwd\" target=\"h\" password=\"S3KRET\")\n"),
        ("etc/systemd/journal-upload.conf", "[Upload]\nURL=https://me:S3KRET@host\n"),
        ("etc/profile", "export AWS_SECRET_ACCESS_KEY=S3KRET\numask 022\n"),
        (
            "boot/grub/grub.cfg",
            "set superusers=\"root\"\npassword_pbkdf2 root grub.pbkdf2.sha512.10000.S3KRET\npassword a S3KRET\n",
        ),
        ("etc/audit/auditd.conf", "smtp_password = S3KRET\nmax_log_file_action = ROTATE\n"),
        ("etc/pam.d/common-password", "password required pam_ldap.so bindpw=S3KRET\n"),
        ("home/own/.netrc", "machine x login y password S3KRET\n"),
    ] {
        place.write(&format!("root/{path}"), content);
    }
    place
}

#[test]
fn secrets_are_in_nothing_that_is_written() {
    let place = planted();
    for benchmark in ["cis-debian-12", "golden-baseline"] {
        for format in ["table", "json", "sarif"] {
            let run =
                place.karat(&format!("scan root --benchmark {benchmark} --format {format} --evidence all --verbose --stats"));
            assert_eq!(run.code, 1, "{}", run.err);
            for text in [&run.out, &run.err] {
                let told: Vec<&str> = text.lines().filter(|line| line.contains(MARK)).collect();
                assert!(told.is_empty(), "{benchmark} as {format} tells\n{}", told.join("\n"));
            }
        }
    }
}
