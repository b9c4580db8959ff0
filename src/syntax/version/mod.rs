//! How each package family orders its versions. There is no order that serves two of them: `1.0~rc1` is older than `1.0`
//! for dpkg and rpm, while apk writes `1.0_rc1`; `1.0` is older than `1.0-1` for dpkg and satisfied by it for rpm.

pub mod apk;
pub mod dpkg;
pub mod rpm;
