//! Names of units: `systemd.unit(5)`, systemd's `unit-name.c`.

/// The types of units, as their names end.
const TYPES: [&str; 11] =
    ["service", "socket", "target", "device", "mount", "automount", "swap", "timer", "path", "slice", "scope"];

/// Types whose names may be links to others (`unit_type_may_alias()`).
const MAY_ALIAS: [&str; 6] = ["service", "socket", "target", "device", "timer", "path"];

/// The longest name, `UNIT_NAME_MAX`.
const MAX_NAME: usize = 255;

/// What kind of name it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `ssh.service`
    Plain,
    /// `getty@.service`
    Template,
    /// `getty@tty1.service`
    Instance,
}

/// The form of a valid name; nothing for any other.
pub(super) fn form(name: &str) -> Option<Form> {
    let (stem, kind) = name.rsplit_once('.')?;
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    if name.len() > MAX_NAME || stem.is_empty() || !TYPES.contains(&kind) || !stem.bytes().all(letters) {
        return None;
    }
    match stem.split_once('@') {
        None => Some(Form::Plain),
        Some(("", _)) => None,
        Some((_, "")) => Some(Form::Template),
        Some(_) => Some(Form::Instance),
    }
}

/// A file name that is the name of a unit.
pub(super) fn valid(name: &[u8]) -> Option<&str> {
    std::str::from_utf8(name).ok().filter(|name| form(name).is_some())
}

/// The type: what follows the last dot.
pub(super) fn kind(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, kind)| kind)
}

pub(super) fn is_kind(word: &str) -> bool {
    TYPES.contains(&word)
}

/// What stands before `@`, or before the type.
pub(super) fn prefix(name: &str) -> &str {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    stem.split_once('@').map_or(stem, |(prefix, _)| prefix)
}

/// The instance, between `@` and the type; empty for a template.
pub(super) fn instance(name: &str) -> Option<&str> {
    name.rsplit_once('.')?.0.split_once('@').map(|(_, instance)| instance)
}

/// The template a name with `@` belongs to.
pub(super) fn template(name: &str) -> Option<String> {
    instance(name).map(|_| format!("{}@.{}", prefix(name), kind(name)))
}

/// An instance of a template (or of any name with `@`).
pub(super) fn with_instance(name: &str, instance: &str) -> String {
    format!("{}@{instance}.{}", prefix(name), kind(name))
}

/// A name as people write it: without a type it is a service, as for `systemctl`.
pub(super) fn written(name: &str) -> String {
    if is_kind(kind(name)) { name.to_owned() } else { format!("{name}.service") }
}

/// Whether a link of one name may stand for a unit of another (`unit_validate_alias_symlink_or_warn()`); if not, why not.
pub(super) fn may_alias(link: &str, target: &str) -> Result<(), &'static str> {
    let (Some(from), Some(to)) = (form(link), form(target)) else { return Err("a link to what is no name of a unit") };
    if !MAY_ALIAS.contains(&kind(link)) {
        Err("links are not allowed for units of this type")
    } else if kind(link) != kind(target) {
        Err("a link to a unit of another type")
    } else if !(from == to || (from == Form::Instance && to == Form::Template)) {
        Err("a link between a template and what is none")
    } else if to == Form::Instance && instance(link) != instance(target) {
        Err("a link to another instance")
    } else {
        Ok(())
    }
}

/// The names whose directories of drop-ins count for a unit, the most telling first: `foo-a@b.service` itself, its template, then
/// `foo-@b.service` and `foo-@.service` (`unit_file_find_dirs()`).
pub(super) fn with_prefixes(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![name.to_owned()];
    while let Some(name) = waiting.pop() {
        if found.contains(&name) {
            continue;
        }
        // What is pushed last comes first: the template before the shorter prefix.
        if let Some((shorter, _)) = prefix(&name).trim_end_matches('-').rsplit_once('-') {
            let rest = name.get(prefix(&name).len()..).unwrap_or_default();
            waiting.push(format!("{shorter}-{rest}"));
        }
        if form(&name) == Some(Form::Instance) {
            waiting.extend(template(&name));
        }
        found.push(name);
    }
    found
}

/// Replaces the specifiers that a name alone decides; nothing where others are used.
pub(super) fn expand(text: &str, name: &str) -> Option<String> {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let stem = || name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        match characters.next()? {
            '%' => out.push('%'),
            'n' => out.push_str(name),
            'N' => out.push_str(stem()),
            'p' => out.push_str(prefix(name)),
            'i' => out.push_str(instance(name).unwrap_or_default()),
            'j' => out.push_str(prefix(name).rsplit('-').next().unwrap_or_default()),
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_names() {
        assert_eq!(form("ssh.service"), Some(Form::Plain));
        assert_eq!(form("getty@.service"), Some(Form::Template));
        assert_eq!(form("getty@tty1.service"), Some(Form::Instance));
        assert_eq!(form("system-systemd\\x2dcryptsetup.slice"), Some(Form::Plain));
        for wrong in ["ssh", ".service", "@.service", "a b.service", "x.conf", "a/b.service"] {
            assert_eq!(form(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_prefixes_of_an_instance() {
        assert_eq!(with_prefixes("a-b@i.service"), ["a-b@i.service", "a-b@.service", "a-@.service", "a-@i.service"]);
        assert_eq!(with_prefixes("foo-bar-.service"), ["foo-bar-.service", "foo-.service"]);
    }

    #[test]
    fn names_that_may_stand_for_others() {
        assert!(may_alias("sshd.service", "ssh.service").is_ok());
        assert!(may_alias("getty@a.service", "getty@.service").is_ok());
        assert!(may_alias("a.service", "a.socket").is_err());
        assert!(may_alias("a.mount", "b.mount").is_err());
        assert!(may_alias("a.service", "b@.service").is_err());
        assert!(may_alias("a@x.service", "b@y.service").is_err());
    }

    #[test]
    fn specifiers_of_names() {
        assert_eq!(expand("x-%i-%%.target", "a-b@c.service").as_deref(), Some("x-c-%.target"));
        assert_eq!(expand("%j/%p", "a-b@c.service").as_deref(), Some("b/a-b"));
        assert_eq!(expand("%H", "a.service"), None);
    }
}
