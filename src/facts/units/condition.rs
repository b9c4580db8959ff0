//! Conditions of units that the files of an image decide: `ConditionPathExists=` and the like (`systemd.unit(5)`).

use std::collections::BTreeMap;

use super::load::Placed;
use super::name;
use super::search::Tree;
use crate::image::{FileKind, Rootfs};
use crate::path::ImagePath;

/// Paths asked about; a real system has some hundred.
const MAX_PATHS: usize = 20_000;

/// Trees that are made anew at every boot: what an image holds there decides nothing.
pub(super) const VOLATILE: [&str; 5] = ["/run", "/proc", "/sys", "/dev", "/tmp"];

/// What a condition asks of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Exists,
    IsDirectory,
    IsLink,
    FileNotEmpty,
    DirectoryNotEmpty,
    IsExecutable,
}

impl Question {
    fn of(key: &str) -> Option<Self> {
        Some(match key.strip_prefix("Condition").or_else(|| key.strip_prefix("Assert"))? {
            "PathExists" => Self::Exists,
            "PathIsDirectory" => Self::IsDirectory,
            "PathIsSymbolicLink" => Self::IsLink,
            "FileNotEmpty" => Self::FileNotEmpty,
            "DirectoryNotEmpty" => Self::DirectoryNotEmpty,
            "FileIsExecutable" => Self::IsExecutable,
            _ => return None,
        })
    }
}

/// The answers for every path that some unit asks about; a question without an answer stays open.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(BTreeMap<(Question, String), bool>);

impl Answers {
    /// Looks at every path.
    pub(super) fn read(root: Rootfs<'_>, tree: &Tree) -> Self {
        let mut answers = BTreeMap::new();
        let settings = tree.files.values().filter_map(|file| file.as_ref().ok()).flat_map(|file| &file.settings);
        for setting in settings.filter(|setting| setting.section == "Unit") {
            let Some(question) = Question::of(&setting.key) else { continue };
            let (_, path) = marks(&setting.value);
            let path_in_image = ImagePath::new(path);
            let decided = path.starts_with('/')
                && !path.contains('%')
                && !VOLATILE.iter().any(|tree| path_in_image.is_within(&ImagePath::new(tree)));
            let known = answers.len() >= MAX_PATHS || answers.contains_key(&(question, path.to_owned()));
            if decided
                && !known
                && let Some(answer) = ask(root, question, &path_in_image)
            {
                answers.insert((question, path.to_owned()), answer);
            }
        }
        Self(answers)
    }

    /// The condition that keeps a unit from being started, if the image decides that one does.
    pub(super) fn unmet<'s, 'u>(&self, id: &str, settings: &'s [Placed<'u>]) -> Option<&'s Placed<'u>> {
        // Conditions and assertions are two lists; an empty assignment clears its own. Of those marked with `|`, one is enough.
        for list in ["Condition", "Assert"] {
            let of_list = |placed: &&Placed<'_>| placed.setting.section == "Unit" && placed.setting.key.starts_with(list);
            let all: Vec<&Placed<'_>> = settings.iter().filter(of_list).collect();
            let start = all.iter().rposition(|placed| placed.setting.value.is_empty()).map_or(0, |last| last + 1);
            let mut alternatives = Vec::new();
            for &placed in all.get(start..).unwrap_or_default() {
                let (Marks { alternative, negated }, path) = marks(&placed.setting.value);
                let asked = Question::of(&placed.setting.key).zip(name::expand(path, id));
                let met = asked.and_then(|asked| self.0.get(&asked)).map(|&answer| answer != negated);
                if alternative {
                    alternatives.push((placed, met));
                } else if met == Some(false) {
                    return Some(placed);
                }
            }
            if !alternatives.is_empty() && alternatives.iter().all(|(_, met)| *met == Some(false)) {
                return alternatives.first().map(|(placed, _)| *placed);
            }
        }
        None
    }
}

/// Conditions that ask about the machine or the way it is booted. Others that the files do not decide (`ConditionVirtualization=!container`,
/// `ConditionSecurity=`, `ConditionCapability=`) are those of packages' own units and hold on a server.
const OF_THE_MACHINE: [&str; 10] = [
    "Host",
    "KernelCommandLine",
    "KernelVersion",
    "Version",
    "Architecture",
    "Firmware",
    "Virtualization",
    "Environment",
    "Credential",
    "FirstBoot",
];

/// A condition of which an image does not say whether it is met. One that excludes something (`!`) is taken for met.
pub(super) fn undecided<'s, 'u>(answers: &Answers, id: &str, settings: &'s [Placed<'u>]) -> Option<&'s Placed<'u>> {
    for list in ["Condition", "Assert"] {
        let of_list = |placed: &&Placed<'_>| placed.setting.section == "Unit" && placed.setting.key.starts_with(list);
        let all: Vec<&Placed<'_>> = settings.iter().filter(of_list).collect();
        let start = all.iter().rposition(|placed| placed.setting.value.is_empty()).map_or(0, |last| last + 1);
        let mut alternatives = Vec::new();
        for &placed in all.get(start..).unwrap_or_default() {
            let (Marks { alternative, negated }, value) = marks(&placed.setting.value);
            let key = placed.setting.key.strip_prefix(list).unwrap_or_default();
            // `ConditionFirstBoot=no` and `ConditionVirtualization=no` exclude as well.
            let excludes = negated || matches!(value, "no" | "false" | "off" | "0" | "n" | "f");
            let open = OF_THE_MACHINE.contains(&key) && !excludes;
            let asked = Question::of(&placed.setting.key).zip(name::expand(value, id));
            let unmet = asked.and_then(|asked| answers.0.get(&asked)).is_some_and(|&answer| answer == negated);
            if alternative {
                alternatives.push((placed, open, open || unmet));
            } else if open {
                return Some(placed);
            }
        }
        if alternatives.iter().all(|(.., not_certain)| *not_certain)
            && let Some((placed, ..)) = alternatives.iter().find(|(_, open, _)| *open)
        {
            return Some(placed);
        }
    }
    None
}

/// The marks before a condition's value.
struct Marks {
    alternative: bool,
    negated: bool,
}

fn marks(value: &str) -> (Marks, &str) {
    let (alternative, rest) = value.strip_prefix('|').map_or((false, value), |rest| (true, rest.trim_start()));
    let (negated, rest) = rest.strip_prefix('!').map_or((false, rest), |rest| (true, rest.trim_start()));
    (Marks { alternative, negated }, rest)
}

fn ask(root: Rootfs<'_>, question: Question, path: &ImagePath) -> Option<bool> {
    let found = if question == Question::IsLink { root.resolve_parent(path) } else { root.resolve(path) };
    let metadata = match found {
        Ok(found) => found.metadata,
        Err(error) if error.is_absent() => return Some(false),
        Err(_) => return None,
    };
    Some(match question {
        Question::Exists => true,
        Question::IsDirectory => metadata.kind == FileKind::Directory,
        Question::IsLink => metadata.kind == FileKind::Link,
        Question::FileNotEmpty => metadata.kind == FileKind::File && metadata.size > 0,
        Question::DirectoryNotEmpty => !root.read_dir(path).ok()?.is_empty(),
        Question::IsExecutable => metadata.kind == FileKind::File && metadata.mode & 0o111 != 0,
    })
}
