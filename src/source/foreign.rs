//! Which mounted file systems belong to the image.

/// The numbers (`statfs(2)`, `linux/magic.h`) of file systems that are not the image's: what the kernel makes up as it goes, what
/// lies on another machine, and what some user's program answers for (FUSE, which is virtiofs as well).
///
/// tmpfs is not among them: `/tmp`, `/run` and `/dev/shm` belong to the machine, and CIS asks about them. devtmpfs has the number of
/// tmpfs and is entered with it; that is also the only way to `/dev/shm`.
const FOREIGN: &[u32] = &[
    0x0000_0187, // autofs: entering it would mount
    0x0000_1cd1, // devpts
    0x0000_517b, // smb
    0x0000_564c, // ncp
    0x0000_6969, // nfs
    0x0000_9fa0, // proc
    0x0000_9fa2, // usbdevice
    0x0027_e0eb, // cgroup
    0x00c3_6400, // ceph
    0x0102_1997, // 9p
    0x0765_5821, // resctrl
    0x0bd0_0bd0, // lustre
    0x1980_0202, // mqueue
    0x1983_0326, // beegfs
    0x2003_0528, // orangefs
    0x4249_4e4d, // binfmt_misc
    0x4341_5d53, // smackfs
    0x4750_4653, // gpfs
    0x5346_414f, // afs
    0x5a3c_69f0, // apparmor
    0x6165_676c, // pstore
    0x6265_6570, // configfs
    0x6265_6572, // sysfs
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x6573_5543, // fusectl
    0x6573_5546, // fuse
    0x6759_6969, // rpc_pipefs
    0x6b41_4653, // kafs
    0x6c6f_6f70, // binderfs
    0x6e66_7364, // nfsd
    0x6e73_6673, // nsfs
    0x7363_6673, // securityfs
    0x7375_7245, // coda
    0x7472_6163, // tracefs
    0x786f_4256, // vboxsf
    0x9584_58f6, // hugetlbfs
    0xabba_1974, // xenfs
    0xbacb_acbc, // vmhgfs
    0xcafe_4a11, // bpf
    0xde5e_81e4, // efivarfs
    0xf97c_ff8c, // selinuxfs
    0xfe53_4d42, // smb2
    0xff53_4d42, // cifs
];

/// `/proc`, as `statfs(2)` numbers it.
pub(super) const PROC: u32 = 0x0000_9fa0;
/// `/sys`, as `statfs(2)` numbers it.
pub(super) const SYSFS: u32 = 0x6265_6572;

/// The number of the file system an open file lies on.
///
/// # Errors
/// As `fstatfs(2)`.
pub(super) fn number(file: impl std::os::fd::AsFd) -> rustix::io::Result<u32> {
    let found = rustix::fs::fstatfs(file)?.f_type;
    // Thirty-two bits, in a field whose width and sign differ from one architecture to the next.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the number has thirty-two bits")]
    Ok(found as u32)
}

/// Whether a file system of this number, mounted inside a root, is left alone.
pub(super) fn is_foreign(number: u32) -> bool {
    FOREIGN.binary_search(&number).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_tmpfs_is_not_on_it() {
        assert!(FOREIGN.is_sorted());
        assert!(is_foreign(PROC) && is_foreign(SYSFS) && is_foreign(0x6573_5546));
        for local in [0x0102_1994, 0xef53, 0x5846_5342, 0x9123_683e, 0x794c_7630, 0x7371_7368] {
            assert!(!is_foreign(local), "{local:x}");
        }
    }
}
