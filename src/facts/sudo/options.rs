//! The options of `Defaults`: of what type they are, and what sudo does without them.

use std::cmp::Ordering;

use crate::facts::packages::Family;
use crate::facts::{Facts, Unreadable};

/// The type of an option (`plugins/sudoers/def_data.in`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// On or off, never with a value.
    Flag,
    /// An absolute path, or off.
    Path,
    /// A text. Most can be switched off.
    Text,
    /// Minutes, with a fraction; below zero without end.
    Minutes,
    /// A whole number.
    Number,
    /// One of some words; off is one as well.
    Word,
    /// Words; can be added and taken away.
    List,
}

/// Options by type.
const OPTIONS: [(Type, &str); 7] = [
    (
        Type::Flag,
        "long_otp_prompt ignore_dot mail_always mail_badpass mail_no_user mail_no_host mail_no_perms mail_all_cmnds tty_tickets \
         authenticate root_sudo log_host log_year shell_noargs set_home always_set_home path_info fqdn insults requiretty env_editor \
         rootpw runaspw targetpw use_loginclass set_logname stay_setuid preserve_groups passprompt_override noexec \
         ignore_local_sudoers closefrom_override setenv env_reset visiblepw pwfeedback fast_glob umask_override log_input log_stdin \
         log_ttyin log_output log_stdout log_stderr log_ttyout compress_io use_pty set_utmp utmp_runas exec_background pam_setcred \
         pam_session pam_acct_mgmt pam_silent use_netgroups sudoedit_checkdir sudoedit_follow always_query_group_plugin \
         netgroup_tuple ignore_audit_errors ignore_iolog_errors ignore_logfile_errors match_group_by_gid ignore_unknown_defaults \
         user_command_timeouts iolog_flush syslog_pid case_insensitive_user case_insensitive_group log_allowed log_denied \
         log_server_keepalive log_server_verify runas_allow_unknown_id runas_check_shell pam_ruser pam_rhost selinux intercept \
         log_subcmds log_exit_status intercept_authenticate intercept_allow_setid noninteractive_auth log_passwords intercept_verify",
    ),
    (
        Type::Path,
        "lecture_file logfile mailerpath lecture_status_dir timestampdir editor env_file restricted_env_file iolog_dir \
         log_server_cabundle log_server_peer_cert log_server_peer_key",
    ),
    (
        Type::Text,
        "syslog syslog_goodpri syslog_badpri mailerflags mailto mailfrom mailsub badpass_message timestampowner exempt_group \
         passprompt runas_default secure_path role type sudoers_locale group_plugin iolog_file privs limitprivs pam_service \
         pam_login_service pam_askpass_service maxseq iolog_user iolog_group authfail_message runcwd runchroot admin_flag \
         apparmor_profile cmddenial_message command_timeout log_server_timeout rlimit_as rlimit_core rlimit_cpu rlimit_data \
         rlimit_fsize rlimit_locks rlimit_memlock rlimit_nofile rlimit_nproc rlimit_rss rlimit_stack",
    ),
    (Type::Minutes, "timestamp_timeout passwd_timeout"),
    (Type::Number, "loglinelen passwd_tries umask closefrom syslog_maxlen iolog_mode"),
    (Type::Word, "lecture listpw verifypw fdexec timestamp_type log_format intercept_type"),
    (Type::List, "env_check env_delete env_keep log_servers passprompt_regex"),
];

/// Flags that are on where nothing is set, whatever the version (`init_defaults`).
const ON: [&str; 2] = ["authenticate", "env_reset"];

/// Flags that are off where nothing is set, whatever the version and however it was built.
const OFF: [&str; 10] =
    ["requiretty", "visiblepw", "rootpw", "runaspw", "targetpw", "setenv", "log_input", "log_output", "noexec", "mail_always"];

/// Options that have no value where nothing is set.
const NONE: [&str; 3] = ["logfile", "exempt_group", "log_servers"];

/// The type of an option; nothing if sudo has no such option.
pub(super) fn type_of(name: &str) -> Option<Type> {
    OPTIONS.iter().find(|(_, names)| names.split_ascii_whitespace().any(|known| known == name)).map(|(kind, _)| *kind)
}

/// Whether sudo has an option of this name.
#[must_use]
pub fn is_option(name: &str) -> bool {
    type_of(name).is_some()
}

/// What depends on the sudo that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BuiltIn {
    /// The family of the system, where it is known.
    family: Option<Family>,
    /// Its version, where it is known.
    version: Option<String>,
}

impl BuiltIn {
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        let packages = facts.packages().ok();
        let family = packages.map(|packages| packages.family).or_else(|| facts.os().ok().and_then(Family::of));
        let installed =
            packages.and_then(|packages| ["sudo", "sudo-ldap"].into_iter().find_map(|name| packages.named(name).next()));
        Self { family, version: installed.map(|package| package.version.clone()) }
    }

    fn is_at_least(&self, wanted: &str) -> Option<bool> {
        let installed = self.version.as_ref()?;
        self.family?.compare(installed, wanted).ok().map(|order| order != Ordering::Less)
    }

    /// The version, if it is one that a mistake in sudoers keeps from working: 1.9.3 was the first to go on.
    pub(super) fn before_recovery(&self) -> Option<&str> {
        if self.is_at_least("1.9.3") == Some(false) { self.version.as_deref() } else { None }
    }

    /// The value of an option that nothing sets, and why it is this one.
    ///
    /// # Errors
    /// That it is not known.
    pub(super) fn value(&self, name: &str) -> Result<(Option<&'static str>, &'static str), Unreadable> {
        let same = "nothing sets it, so what is built in counts";
        match name {
            _ if ON.contains(&name) => Ok((Some("on"), same)),
            _ if OFF.contains(&name) => Ok((Some("off"), same)),
            _ if NONE.contains(&name) => Ok((None, same)),
            "use_pty" => match self.is_at_least("1.9.14") {
                Some(true) => Ok((Some("on"), "nothing sets it, and sudo 1.9.14 and newer do it by themselves")),
                Some(false) => Ok((Some("off"), "nothing sets it, and sudo before 1.9.14 does not do it by itself")),
                None => Err(Unreadable::because(
                    "nothing sets use_pty, and its default depends on the version of sudo, which is not known",
                )),
            },
            // Debian and its kin build with --with-timeout=15, the others leave sudo's own 5 minutes.
            "timestamp_timeout" => match self.family {
                Some(Family::Dpkg) => Ok((Some("15"), "nothing sets it, and Debian's sudo is built with 15 minutes")),
                Some(Family::Rpm | Family::Apk) => Ok((Some("5"), "nothing sets it, so the 5 minutes built into sudo count")),
                None => Err(Unreadable::because(
                    "nothing sets timestamp_timeout, and its default depends on the system, which is not known",
                )),
            },
            "passwd_tries" => Ok((Some("3"), same)),
            _ => Err(Unreadable::because(format!("nothing sets {name}, and what sudo then does depends on how it was built"))),
        }
    }
}
