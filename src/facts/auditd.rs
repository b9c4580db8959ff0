//! `auditd.conf(5)`.

use super::{Fact, Facts, Unreadable};
use crate::path::ImagePath;
use crate::syntax::auditd_conf::{Setting, parse};

/// Where auditd writes if nothing is set.
const LOG_FILE: &str = "/var/log/audit/audit.log";

/// The configuration of auditd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auditd {
    /// The file.
    pub path: ImagePath,
    /// The first line that keeps auditd from starting.
    pub refused: Option<Unreadable>,
    settings: Vec<Setting>,
}

impl Auditd {
    /// The value of a setting and its line; the last of its name counts (auditd-config.c takes them in order).
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<(&str, u32)> {
        let found = self.settings.iter().rev().find(|setting| setting.key.eq_ignore_ascii_case(key));
        found.map(|setting| (setting.value.as_str(), setting.line))
    }

    /// The setting that keeps auditd from writing what the kernel records, and its line.
    #[must_use]
    pub fn idle(&self) -> Option<(String, u32)> {
        [("write_logs", "no"), ("local_events", "no"), ("log_format", "nolog")].into_iter().find_map(|(key, off)| {
            let (_, line) = self.setting(key).filter(|(value, _)| value.eq_ignore_ascii_case(off))?;
            Some((format!("{key} = {off}"), line))
        })
    }

    /// The file it writes; those it has turned over have a dot and a number behind.
    #[must_use]
    pub fn log_file(&self) -> ImagePath {
        ImagePath::new(self.setting("log_file").map_or(LOG_FILE, |(path, _)| path))
    }

    /// The group that may read the logs, by name or number: root if nothing is set.
    #[must_use]
    pub fn log_group(&self) -> &str {
        self.setting("log_group").map_or("root", |(group, _)| group)
    }
}

pub(super) fn gather(facts: &Facts<'_>) -> Fact<Auditd> {
    let path = ImagePath::new("/etc/audit/auditd.conf");
    match facts.root().read(&path) {
        Ok(content) => {
            let config = parse(&content);
            let refused = config.refused.or_else(|| refused(&config.settings));
            let refused = refused.map(|(line, why)| Unreadable::at_line(&path, line, why));
            Ok(Auditd { settings: config.settings, refused, path })
        }
        // Without its file auditd takes what is built in.
        Err(error) if error.is_absent() => Ok(Auditd { path, refused: None, settings: Vec::new() }),
        Err(error) => Err(Unreadable::reading(&path, &error)),
    }
}

/// What a setting may say.
enum May {
    /// Digits.
    Number,
    /// Digits, and a per cent sign.
    Share,
    /// One of these words, in any case.
    Word(&'static [&'static str]),
    /// Anything; what is wrong with it is not known from the file alone.
    Any,
}

const YES_NO: May = May::Word(&["yes", "no"]);
const FAILURE: May = May::Word(&["ignore", "syslog", "rotate", "email", "exec", "suspend", "single", "halt"]);

/// The settings of audit 3.0 to 4.2 and what their parsers take (auditd-config.c).
fn may(key: &str) -> Option<May> {
    Some(match key {
        "local_events" | "write_logs" | "verify_email" | "use_libwrap" | "enable_krb5" | "distribute_network" => YES_NO,
        "log_format" => May::Word(&["raw", "nolog", "enriched"]),
        "flush" => May::Word(&["none", "incremental", "incremental_async", "data", "sync"]),
        "max_log_file_action" => May::Word(&["ignore", "syslog", "suspend", "rotate", "keep_logs"]),
        "space_left_action" | "admin_space_left_action" => FAILURE,
        "disk_full_action" => May::Word(&["ignore", "syslog", "rotate", "exec", "suspend", "single", "halt"]),
        "disk_error_action" => May::Word(&["ignore", "syslog", "exec", "suspend", "single", "halt"]),
        "freq"
        | "num_logs"
        | "max_log_file"
        | "priority_boost"
        | "tcp_listen_queue"
        | "tcp_max_per_addr"
        | "q_depth"
        | "max_restarts"
        | "end_of_event_timeout"
        | "report_interval"
        | "tcp_listen_port"
        | "tcp_client_max_idle" => May::Number,
        "space_left" | "admin_space_left" => May::Share,
        "log_file"
        | "log_group"
        | "dispatcher"
        | "name_format"
        | "name"
        | "disp_qos"
        | "action_mail_acct"
        | "tcp_client_ports"
        | "transport"
        | "krb5_principal"
        | "krb5_key_file"
        | "tls_psk_file"
        | "tls_psk_identity"
        | "tls_cipher_suites"
        | "tls_key_exchange"
        | "tls_require_pqc"
        | "tls_auth"
        | "tls_crypto_profile"
        | "tls_allowed_clients"
        | "overflow_action"
        | "plugin_dir" => May::Any,
        _ => return None,
    })
}

/// The first line that a parser refuses, or what `sanity_check` does.
fn refused(settings: &[Setting]) -> Option<(u32, String)> {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    for Setting { line, key, value } in settings {
        let fits = match may(&key.to_ascii_lowercase()) {
            None => return Some((*line, format!("'{key}' is no setting of auditd"))),
            Some(May::Number) => number(value),
            Some(May::Share) => number(value.strip_suffix('%').unwrap_or(value)),
            Some(May::Word(words)) => words.iter().any(|word| value.eq_ignore_ascii_case(word)),
            Some(May::Any) => true,
        };
        if !fits {
            return Some((*line, format!("'{value}' is no value of {key}")));
        }
    }
    let last = |key: &str| {
        let found = settings.iter().rev().find(|setting| setting.key.eq_ignore_ascii_case(key));
        found.map(|setting| (setting.value.as_str(), setting.line))
    };
    let (space, admin) = (last("space_left"), last("admin_space_left"));
    // What is built in: clear_config.
    let megabytes = |set: Option<(&str, u32)>, built_in: u64| set.map_or(Some(built_in), |(value, _)| value.parse().ok());
    if let (Some(space_left), Some(admin_left)) = (megabytes(space, 75), megabytes(admin, 50))
        && space_left <= admin_left
        && let Some((_, line)) = admin.or(space)
    {
        return Some((line, format!("space_left ({space_left}) has to be larger than admin_space_left ({admin_left})")));
    }
    let incremental = |value: &str| value.to_ascii_lowercase().starts_with("incremental");
    if let Some((_, line)) = last("flush").filter(|(value, _)| incremental(value))
        && last("freq").is_none_or(|(value, _)| value.bytes().all(|byte| byte == b'0'))
    {
        return Some((line, "incremental flushing needs a freq above 0".to_owned()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_auditd_refuses() {
        let line = |text: &str| refused(&parse(text.as_bytes()).settings).map(|(line, _)| line);
        for text in [
            "foo = bar\n",
            "max_log_file = many\n",
            "local_events = maybe\n",
            "disk_full_action = email\n",
            "admin_space_left = 90\n",
            "flush = INCREMENTAL_ASYNC\n",
        ] {
            assert_eq!(line(text), Some(1), "{text}");
        }
        let right =
            "space_left = 25%\nadmin_space_left = 90\nflush = incremental\nfreq = 50\nSpace_Left_Action = Email\nnum_logs = 5\n";
        assert_eq!(line(right), None);
    }
}
