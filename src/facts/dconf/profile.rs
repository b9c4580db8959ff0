//! The profile of a program: which databases it reads (`dconf(7)`, `dconf_engine_parse_profile_line`).

/// A line that names a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// `user-db:` or `service-db:`: one that the user writes.
    User,
    /// `system-db:NAME`.
    System(String),
    /// `file-db:PATH`.
    File(String),
}

/// No real profile has as many.
const MAX_LINES: usize = 64;

/// The databases in order. Comments begin with `#` anywhere; other lines are warned of and passed over.
pub(super) fn parse(content: &[u8]) -> Vec<Line> {
    let content = String::from_utf8_lossy(content);
    let lines = content.lines().filter_map(|line| {
        let line = line.split('#').next().unwrap_or_default().trim();
        let (kind, name) = line.split_once(':')?;
        match kind {
            "user-db" | "service-db" => Some(Line::User),
            "system-db" if !name.contains('/') => Some(Line::System(name.to_owned())),
            "file-db" => Some(Line::File(name.to_owned())),
            _ => None,
        }
    });
    lines.take(MAX_LINES).collect()
}
