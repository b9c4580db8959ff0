//! What modules answer where a stack has to say no.
//!
//! Who comes is an ordinary local user, for whom nothing was arranged. A module that may answer in several ways, as it is set up or as the
//! machine is, may answer in all of them: the stack has to hold in each. Modules that are not known here check something that the user
//! does not have: they never succeed. (`pam_sm_authenticate` and `pam_sm_chauthtok` of each in Linux-PAM's `modules`.)

use super::Step;

/// What a stack must not let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Situation {
    /// No right password, or none at all.
    WrongPassword,
    /// The right password for an account that `pam_faillock` has locked.
    LockedAccount,
    /// A new password that `pam_pwquality` finds too weak.
    WeakPassword,
    /// A new password that `pam_pwhistory` remembers.
    UsedPassword,
}

impl Situation {
    /// All that the module may return.
    #[must_use]
    pub fn answers(self, step: &Step) -> &'static [&'static str] {
        match self {
            Self::WrongPassword | Self::LockedAccount => self.authenticate(step),
            Self::WeakPassword | Self::UsedPassword => self.change(step),
        }
    }

    fn authenticate(self, step: &Step) -> &'static [&'static str] {
        let locked = self == Self::LockedAccount;
        let has = |argument: &str| step.argument(argument).is_some();
        match step.module.name() {
            "pam_unix.so" if locked => &["success"],
            "pam_deny.so" | "pam_unix.so" | "pam_rootok.so" => &["auth_err"],
            "pam_faillock.so" | "pam_tally2.so" | "pam_tally.so" if locked => &["auth_err"],
            // A failure is counted, and this is no answer.
            "pam_faillock.so" if has("authfail") => &["ignore"],
            "pam_nologin.so" if !has("successok") => &["ignore"],
            "pam_permit.so" | "pam_debug.so" | "pam_faillock.so" | "pam_tally2.so" | "pam_tally.so" | "pam_nologin.so" => {
                &["success"]
            }
            "pam_env.so"
            | "pam_faildelay.so"
            | "pam_group.so"
            | "pam_motd.so"
            | "pam_mail.so"
            | "pam_warn.so"
            | "pam_issue.so"
            | "pam_echo.so"
            | "pam_keyinit.so"
            | "pam_sepermit.so"
            | "pam_selinux_permit.so" => &["ignore"],
            "pam_lastlog.so" | "pam_cap.so" => &["success", "ignore"],
            "pam_wheel.so" if has("trust") => &["success", "perm_denied"],
            "pam_wheel.so" => &["ignore", "perm_denied"],
            "pam_localuser.so" | "pam_access.so" | "pam_time.so" => &["success", "perm_denied"],
            "pam_usertype.so" | "pam_succeed_if.so" | "pam_listfile.so" | "pam_securetty.so" | "pam_shells.so"
            | "pam_rhosts.so" | "pam_rhosts_auth.so" | "pam_exec.so" => &["success", "auth_err"],
            // From somewhere else than where modules lie: it may be anything.
            name if name.contains('/') => &["success", "auth_err"],
            _ => &["auth_err", "user_unknown", "authinfo_unavail"],
        }
    }

    fn change(self, step: &Step) -> &'static [&'static str] {
        match step.module.name() {
            // With several attempts the last answer is another one than with one.
            "pam_pwquality.so" if self == Self::WeakPassword => &["authtok_err", "maxtries"],
            "pam_pwhistory.so" if self == Self::UsedPassword => &["authtok_err", "maxtries"],
            "pam_permit.so" | "pam_unix.so" | "pam_pwquality.so" | "pam_pwhistory.so" | "pam_localuser.so"
            | "pam_usertype.so" => &["success"],
            "pam_deny.so" => &["authtok_err"],
            // The user is not one of theirs.
            "pam_sss.so" | "pam_ldap.so" | "pam_krb5.so" | "pam_winbind.so" | "pam_systemd_home.so" | "pam_rootok.so" => {
                &["user_unknown", "authtok_err"]
            }
            _ => &["success", "authtok_err"],
        }
    }
}
