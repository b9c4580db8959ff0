//! Presets of systemd, which units a distribution or a site wants enabled: `systemd.preset(5)`, `read_presets()` in systemd's
//! `install.c`.

/// What a preset says of the units it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Enable them.
    Enable,
    /// Disable them.
    Disable,
    /// Leave them as they are (since systemd 255).
    Ignore,
}

/// One line of a preset file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Line, from 1.
    pub line: u32,
    /// What to do.
    pub action: Action,
    /// The units: a name with `*`, `?` and `[…]` as `fnmatch(3)`.
    pub pattern: String,
    /// Instances of the template that the pattern names; `enable` only.
    pub instances: Vec<String>,
}

/// The rules of a file in order; what comes first wins. Comments (`#`, `;`) and lines that are none are passed over.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Rule> {
    (1..).zip(content.split(|&byte| byte == b'\n')).filter_map(|(line, text)| rule(line, text)).collect()
}

fn rule(line: u32, text: &[u8]) -> Option<Rule> {
    let text = std::str::from_utf8(text).ok()?.trim_ascii();
    let (word, rest) = text.split_once([' ', '\t'])?;
    let rest = rest.trim_ascii();
    let action = match word {
        "enable" => Action::Enable,
        "disable" => Action::Disable,
        "ignore" => Action::Ignore,
        _ => return None,
    };
    // Only `enable` reads instances; elsewhere the rest of the line is the pattern, blanks and all.
    let (pattern, instances) = match rest.split_once([' ', '\t']) {
        Some((pattern, instances)) if action == Action::Enable => (pattern, instances),
        _ => (rest, ""),
    };
    let instances = instances.split_ascii_whitespace().map(str::to_owned).collect();
    (!pattern.is_empty()).then(|| Rule { line, action, pattern: pattern.to_owned(), instances })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_with_patterns_and_instances() {
        let rules = parse(
            b"# x\nenable ssh.service\n\n  disable\t*\r\n; y\nenable getty@.service tty1 tty2\nignore a.timer\nfoo b\nenable\n",
        );
        let short: Vec<(u32, Action, &str, usize)> =
            rules.iter().map(|rule| (rule.line, rule.action, rule.pattern.as_str(), rule.instances.len())).collect();
        assert_eq!(
            short,
            [
                (2, Action::Enable, "ssh.service", 0),
                (4, Action::Disable, "*", 0),
                (6, Action::Enable, "getty@.service", 2),
                (7, Action::Ignore, "a.timer", 0)
            ]
        );
    }
}
