//! The assignments that one program applies, in the order in which it does.

use std::collections::BTreeMap;

use super::super::{Fact, Unreadable};
use super::interfaces::Scoped;
use super::kernel::FORWARD;
use crate::path::{ImagePath, printable};
use crate::syntax::sysctl::{Assignment, matches, parse};

/// An assignment that has the last word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The parameter or pattern as a path below `/proc/sys`; escaped.
    pub key: String,
    /// The value, escaped, with single blanks between its parts.
    pub value: String,
    /// The file, by the path under which it is found.
    pub path: ImagePath,
    /// The line in it, from 1.
    pub line: u32,
    /// The assignment of another value that it overrides: the one that would hold without it.
    pub overrides: Option<(ImagePath, u32)>,
    /// The program that applies it.
    pub applied_by: &'static str,
    /// The parameter that it writes, where the kernel sets this one along with that.
    pub along_with: Option<String>,
    /// When it is written: which program, and which of its assignments.
    pub(super) order: (u8, usize),
}

/// An assignment in its place.
#[derive(Debug, Clone)]
struct Entry {
    file: usize,
    assignment: Assignment,
    overrides: Option<(usize, u32)>,
    /// Of all assignments of the layer; says which file comes after it.
    number: usize,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    program: &'static str,
    /// Which of the programs comes first.
    rank: u8,
    files: Vec<ImagePath>,
    /// In the order of application, which is that of the last change of each key's value.
    entries: BTreeMap<usize, Entry>,
    keys: BTreeMap<Vec<u8>, usize>,
    next: usize,
    /// Files that could not be read, with the number of assignments before them.
    unread: Vec<(usize, Unreadable)>,
}

impl Layer {
    pub(super) fn new(program: &'static str, rank: u8) -> Self {
        Self { program, rank, ..Self::default() }
    }

    /// Adds a file behind those that were added before.
    pub(super) fn add(&mut self, path: &ImagePath, content: &Fact<Vec<u8>>) {
        self.files.push(path.clone());
        let file = self.files.len() - 1;
        match content {
            Ok(content) => parse(content).into_iter().for_each(|assignment| self.put(file, assignment)),
            Err(unreadable) => self.unread.push((self.next, unreadable.clone())),
        }
    }

    /// As `systemd-sysctl` does: the same value again changes nothing, another one moves the key to the end.
    fn put(&mut self, file: usize, assignment: Assignment) {
        let number = self.next;
        self.next += 1;
        let mut place = number;
        let mut overrides = None;
        if let Some(old) = self.keys.get(&assignment.key).copied()
            && let Some(before) = self.entries.remove(&old)
        {
            if before.assignment.value == assignment.value {
                place = old;
                overrides = before.overrides;
            } else {
                overrides = Some((before.file, before.assignment.line));
            }
        }
        self.keys.insert(assignment.key.clone(), place);
        self.entries.insert(place, Entry { file, assignment, overrides, number });
    }

    /// Whether an entry writes to this parameter: by its name, or by a pattern if nothing in the layer names the parameter.
    fn writes(&self, entry: &Entry, key: &[u8]) -> bool {
        let by_pattern = entry.assignment.is_pattern() && !self.keys.contains_key(key) && matches(&entry.assignment.key, key);
        entry.assignment.value.is_some() && (entry.assignment.key == key || by_pattern)
    }

    /// The entries that write to a parameter by any of its names, in the order of application.
    fn writers<'a>(&'a self, key: &'a [u8]) -> impl DoubleEndedIterator<Item = &'a Entry> {
        let is_forward = FORWARD.contains(&key);
        self.entries.values().filter(move |entry| {
            if is_forward { FORWARD.iter().any(|name| self.writes(entry, name)) } else { self.writes(entry, key) }
        })
    }

    /// All that is written to a parameter, in the order of application.
    pub(super) fn assignments<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = Setting> {
        self.writers(key).filter_map(|entry| self.show(entry, entry.overrides))
    }

    /// A file that could not be read, if there is one.
    pub(super) fn first_unread(&self) -> Option<&Unreadable> {
        self.unread.first().map(|(_, unreadable)| unreadable)
    }

    pub(super) fn setting(&self, key: &[u8]) -> Result<Option<Setting>, Unreadable> {
        let mut writers = self.writers(key);
        let winner = writers.next_back();
        // A file after the winner could have overridden it; one before a pattern could have named the parameter outright.
        let safe_from = winner.filter(|entry| !entry.assignment.is_pattern()).map(|entry| entry.number);
        let doubt = self.unread.iter().find(|(before, _)| safe_from.is_none_or(|number| *before > number));
        if let Some((_, unreadable)) = doubt {
            return Err(unreadable.clone());
        }
        let before = writers.next_back().map(|entry| (entry.file, entry.assignment.line));
        Ok(winner.and_then(|entry| self.show(entry, entry.overrides.or(before))))
    }

    /// Settings of a parameter for single interfaces and for patterns, the last ones first.
    pub(super) fn of_interfaces(&self, parameter: &Scoped<'_>) -> Vec<Setting> {
        let mut found = Vec::new();
        let mut any_name = false;
        for entry in self.entries.values().rev() {
            let Some(own) = Scoped::of(&entry.assignment.key) else { continue };
            let fits = own.is_of_conf() && matches(own.family, parameter.family) && matches(own.parameter, parameter.parameter);
            if !fits || own.scope == b"all" || own.scope == b"default" || entry.assignment.value.is_none() {
                continue;
            }
            let pattern = entry.assignment.is_pattern();
            // Of several patterns the last is written last; one for any name leaves nothing of those before it.
            if !(pattern && any_name) {
                found.extend(self.show(entry, entry.overrides));
            }
            any_name |= pattern && own.scope == b"*";
        }
        found
    }

    fn show(&self, entry: &Entry, overrides: Option<(usize, u32)>) -> Option<Setting> {
        let value = entry.assignment.value.as_deref()?;
        let words: Vec<&[u8]> = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        Some(Setting {
            key: printable(&entry.assignment.key),
            value: printable(&words.join(&b' ')),
            path: self.files.get(entry.file)?.clone(),
            line: entry.assignment.line,
            overrides: overrides.and_then(|(file, line)| Some((self.files.get(file)?.clone(), line))),
            applied_by: self.program,
            along_with: None,
            order: (self.rank, self.keys.get(&entry.assignment.key).copied().unwrap_or(entry.number)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> Layer {
        let mut layer = Layer::new("systemd-sysctl", 0);
        layer.add(&ImagePath::new("/f"), &Ok(text.as_bytes().to_vec()));
        layer
    }

    fn value(text: &str, key: &str) -> Option<(String, u32)> {
        layer(text).setting(key.as_bytes()).unwrap().map(|setting| (setting.value, setting.line))
    }

    #[test]
    fn a_parameter_that_is_named_is_safe_from_patterns_before_and_after() {
        let text = "net.ipv4.conf.all.rp_filter=1\nnet.ipv4.conf.*.rp_filter=2\n";
        assert_eq!(value(text, "net/ipv4/conf/all/rp_filter"), Some(("1".into(), 1)));
        assert_eq!(value(text, "net/ipv4/conf/default/rp_filter"), Some(("2".into(), 2)));
    }

    #[test]
    fn a_bare_minus_keeps_patterns_away_and_takes_an_assignment_back() {
        assert_eq!(value("a.*=1\n-a.b\n", "a/b"), None);
        assert_eq!(value("a.b=1\n-a.b\n", "a/b"), None);
    }

    #[test]
    fn of_two_patterns_the_last_change_wins() {
        assert_eq!(value("a.*=1\na.b*=2\n", "a/bc"), Some(("2".into(), 2)));
        // The third line repeats the first and so does not move it (`parse_file` returns early).
        assert_eq!(value("a.*=1\na.b*=2\na.*=1\n", "a/bc"), Some(("2".into(), 2)));
    }

    #[test]
    fn forwarding_has_two_names() {
        let text = "net.ipv4.ip_forward=0\nnet.ipv4.conf.all.forwarding=1\n";
        assert_eq!(value(text, "net/ipv4/ip_forward"), Some(("1".into(), 2)));
        assert_eq!(layer(text).setting(b"net/ipv4/ip_forward").unwrap().unwrap().overrides.unwrap().1, 1);
    }

    #[test]
    fn blanks_in_a_value_count_once() {
        assert_eq!(value("kernel.printk = 3\t4  1 3 \n", "kernel/printk"), Some(("3 4 1 3".into(), 1)));
    }

    #[test]
    fn interfaces_by_name_and_by_pattern() {
        let text = "net.ipv4.conf.*.rp_filter=2\nnet.ipv4.conf.eth0.rp_filter=0\nnet.ipv4.conf.all.rp_filter=1\nnet.ipv6.conf.eth0.rp_filter=0\n";
        let found = layer(text).of_interfaces(&Scoped::of(b"net/ipv4/conf/all/rp_filter").unwrap());
        assert_eq!(found.iter().map(|setting| setting.line).collect::<Vec<_>>(), [2, 1]);
    }
}
