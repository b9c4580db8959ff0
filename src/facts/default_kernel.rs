//! Which kernel the machine boots if nobody chooses, and which ones are installed.
//!
//! GRUB with a menu of its own (Debian, Ubuntu), or with the files of the Boot Loader Specification (Amazon Linux, Red Hat): those come in
//! with the newest first, and the default is `saved_entry` of the environment block or the first.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::packages::Family;
use super::{Fact, Facts, Unreadable};
use crate::image::Rootfs;
use crate::path::{ImagePath, printable};
use crate::syntax::{grub, grub_menu};

/// The default, and what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultKernel {
    /// The version of the default, safe to show.
    pub version: String,
    /// The entry that names it.
    pub path: ImagePath,
    /// Its line there.
    pub line: Option<u32>,
    /// The version of the newest one installed.
    pub newest: String,
}

impl DefaultKernel {
    /// Whether the default is the newest.
    #[must_use]
    pub fn is_newest(&self) -> bool {
        self.version == self.newest
    }
}

const IMAGE: &str = "vmlinuz-";

pub(super) fn gather(facts: &Facts<'_>) -> Fact<DefaultKernel> {
    let root = facts.root();
    let family = facts.packages()?.family;
    let newest = newest(root, family)?;
    for config in ["/boot/grub2/grub.cfg", "/boot/grub/grub.cfg"] {
        let path = ImagePath::new(config);
        if let Some(content) = read(root, &path)? {
            return of_grub(root, family, &path, &content, newest);
        }
    }
    Err(Unreadable::at(
        &ImagePath::new("/boot"),
        "there is no configuration of GRUB: it may lie on a volume that is not part of the source",
    ))
}

/// The newest kernel in `/boot`. Rescue kernels are copies of others, and what package managers leave behind is none.
fn newest(root: Rootfs<'_>, family: Family) -> Fact<String> {
    let boot = ImagePath::new("/boot");
    let names = root.read_dir(&boot).map_err(|error| Unreadable::reading(&boot, &error))?;
    let mut newest: Option<String> = None;
    for name in names.iter().filter_map(|name| name.strip_prefix(IMAGE.as_bytes())) {
        let version = printable(name);
        let is_left = [".old", ".bak", ".rpmsave", ".dpkg-tmp", ".dpkg-new", ".hmac", ".sig"]
            .iter()
            .any(|ending| version.ends_with(ending));
        if is_left || version.contains("rescue") {
            continue;
        }
        let newer = match &newest {
            Some(known) => order(family, &version, known)? == Ordering::Greater,
            None => true,
        };
        if newer {
            newest = Some(version);
        }
    }
    newest.ok_or_else(|| Unreadable::at(&boot, "there is no kernel here: it may lie on a volume that is not part of the source"))
}

fn order(family: Family, one: &str, other: &str) -> Fact<Ordering> {
    family.compare(one, other).map_err(|why| Unreadable::at(&ImagePath::new("/boot"), printable(why.as_bytes())))
}

fn of_grub(root: Rootfs<'_>, family: Family, path: &ImagePath, content: &[u8], newest: String) -> Fact<DefaultKernel> {
    let menu = grub_menu::parse(content);
    let folder = path.parent().unwrap_or_else(ImagePath::root);
    let environment: BTreeMap<String, String> =
        read(root, &folder.join("grubenv"))?.map(|content| grub::environment(&content)).unwrap_or_default().into_iter().collect();
    let written = menu.default.as_ref().map(|(_, value)| value.as_str()).unwrap_or_default();
    let name = match written.strip_prefix('$') {
        Some(variable) => {
            let variable = variable.trim_start_matches('{').trim_end_matches('}');
            environment.get(variable).cloned().unwrap_or_default()
        }
        None => written.to_owned(),
    };
    if menu.loads_entries.is_some() {
        return of_entries(root, family, &name, newest);
    }
    let entry = menu.entry(&name).ok_or_else(|| Unreadable::at(path, "there is no entry in the menu"))?;
    let kernel = entry
        .kernel
        .as_ref()
        .ok_or_else(|| Unreadable::at_line(path, entry.line, "the default entry boots no kernel of Linux"))?;
    Ok(DefaultKernel { version: version(root, kernel), path: path.clone(), line: Some(entry.line), newest })
}

/// The default among the files of the Boot Loader Specification.
fn of_entries(root: Rootfs<'_>, family: Family, name: &str, newest: String) -> Fact<DefaultKernel> {
    let pattern = "/boot/loader/entries/*.conf";
    let paths = root.glob(pattern).map_err(|error| Unreadable::at(&ImagePath::new(pattern), error.to_string()))?;
    let mut entries: Vec<(ImagePath, u32, String, String)> = Vec::new();
    for path in paths {
        let Some(content) = read(root, &path)? else { continue };
        let text = String::from_utf8_lossy(&content);
        let value = |wanted: &str| {
            let lines = (1_u32..).zip(text.lines());
            let mut pairs = lines.filter_map(|(line, text)| Some((line, text.trim().split_once([' ', '\t'])?)));
            pairs.find(|(_, (key, _))| *key == wanted).map(|(line, (_, value))| (line, value.trim().to_owned()))
        };
        if let Some((line, kernel)) = value("linux") {
            let title = value("title").map(|(_, title)| title).unwrap_or_default();
            entries.push((path, line, version(root, &kernel), title));
        }
    }
    let id = |path: &ImagePath| String::from_utf8_lossy(path.file_name()).trim_end_matches(".conf").to_owned();
    let mut trouble = None;
    entries.sort_by(|one, other| {
        order(family, &other.2, &one.2).unwrap_or_else(|unreadable| {
            trouble = Some(unreadable);
            Ordering::Equal
        })
    });
    if let Some(unreadable) = trouble {
        return Err(unreadable);
    }
    // A rescue entry comes last, whatever it is called.
    entries.sort_by_key(|(path, ..)| id(path).contains("rescue"));
    let named = entries.iter().find(|(path, _, _, title)| !name.is_empty() && (id(path) == name || title == name));
    let numbered = || name.parse::<usize>().ok().and_then(|at| entries.get(at));
    let (path, line, version, _) = named.or_else(numbered).or_else(|| entries.first()).ok_or_else(|| {
        Unreadable::at(
            &ImagePath::new("/boot/loader/entries"),
            "there is no entry: they may lie on a volume that is not part of the source",
        )
    })?;
    Ok(DefaultKernel { version: version.clone(), path: path.clone(), line: Some(*line), newest })
}

/// The version in the name of a kernel; a link without one (`/vmlinuz`) is followed.
fn version(root: Rootfs<'_>, kernel: &str) -> String {
    let name = |path: &ImagePath| String::from_utf8_lossy(path.file_name()).into_owned();
    let path = ImagePath::new(kernel);
    let written = name(&path);
    let full = if written.starts_with(IMAGE) { written } else { root.resolve(&path).map_or(written, |found| name(&found.path)) };
    printable(full.strip_prefix(IMAGE).unwrap_or(&full).as_bytes())
}

fn read(root: Rootfs<'_>, path: &ImagePath) -> Fact<Option<Vec<u8>>> {
    match root.read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(Unreadable::reading(path, &error)),
    }
}
