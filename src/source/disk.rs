//! A disk image as an image: its root found by what is in it, the other volumes mounted where its fstab wants them.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::composed::{Composed, Mounted};
use super::device::{Counted, Device, Disk, Folder, Layer};
use super::filesystem::{self, About, Opened};
use super::grafts::{Line, What, grafts, volume_of};
use super::roots::{Root, roots};
use super::volume::{Kind, Survey, Volume, survey};
use crate::image::{Entry, FileKind, Image, MemoryImage, ReadError, Rootfs};
use crate::path::ImagePath;
use crate::syntax::{fstab, systemd_unit};

/// What a disk image was found to be, for people and for `--stats`.
#[derive(Serialize)]
pub struct DiskAbout {
    /// The files it is kept in, the image itself first.
    pub files: Vec<Layer>,
    /// Its disks, groups and volumes.
    #[serde(flatten)]
    pub survey: Survey,
    /// The file systems among the volumes.
    pub file_systems: Vec<FileSystemAbout>,
    /// Those that are roots.
    pub roots: Vec<Root>,
    /// What its fstab mounts, if the root is known.
    pub mounts: Vec<MountAbout>,
}

/// A file system on a disk.
#[derive(Serialize)]
pub struct FileSystemAbout {
    /// The volume it is on.
    pub volume: String,
    /// What it is.
    pub kind: Kind,
    /// What it says of itself.
    #[serde(flatten)]
    pub about: About,
    /// Why it cannot be read, if that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A line of the root's fstab, and what is made of it.
#[derive(Serialize)]
pub struct MountAbout {
    /// Where.
    pub at: ImagePath,
    /// The line of `/etc/fstab`; 0 if a mount unit says so.
    pub line: u32,
    /// The volume, if one is mounted there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// Why none is, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A disk that was looked over.
pub(super) struct Found {
    pub(super) about: DiskAbout,
    /// The image, or why there is none.
    pub(super) image: Result<Box<dyn Image>, String>,
    pub(super) counted: Arc<Counted>,
}

/// Looks over the disk in a file. `wanted` names the volume that is the root, where there are several.
///
/// # Errors
/// Why the file is not even a disk.
pub(super) fn open(file: Device, path: &Path, wanted: Option<&str>) -> io::Result<Found> {
    let counted = Arc::new(Counted::new(file));
    let disk = Disk::open(Device::clone(&(Arc::clone(&counted) as Device)), &Folder::of(path)?)?;
    let survey = survey(&[disk.device]);
    let volumes = survey.volumes();
    let mut file_systems = Vec::new();
    let mut candidates: Vec<(usize, Box<dyn Image>)> = Vec::new();
    for (number, volume) in volumes.iter().enumerate() {
        let Some((kind, device)) = readable(volume) else { continue };
        let mut told = FileSystemAbout { volume: volume.name.clone(), kind, about: About::default(), trouble: None };
        match filesystem::open(kind, device, &[]) {
            Ok(Opened { image, about }) => {
                told.about = about;
                match image {
                    Ok(image) => candidates.push((number, image)),
                    Err(why) => told.trouble = Some(why),
                }
            }
            Err(why) => told.trouble = Some(why),
        }
        file_systems.push(told);
    }
    let doubtful = doubtful(&volumes, &file_systems, &candidates);
    let images: Vec<&dyn Image> = candidates.iter().map(|(_, image)| &**image).collect();
    let mut roots = roots(&images);
    for root in &mut roots {
        root.index = candidates.get(root.index).map_or(root.index, |(number, _)| *number);
    }
    let chosen = choose(&roots, &volumes, wanted, &file_systems);
    let mut mounts = Vec::new();
    let image = chosen.and_then(|number| {
        let at = candidates.iter().position(|(candidate, _)| *candidate == number);
        let (_, root) = candidates.swap_remove(at.ok_or("the root cannot be read")?);
        let lines = lines(&*root)?;
        if wanted.is_none() {
            is_the_one(number, &lines, &volumes, &doubtful)?;
        }
        Ok(mounted(root, &lines, &volumes, &mut mounts))
    });
    let about = DiskAbout { files: disk.layers, file_systems, roots, mounts, survey };
    Ok(Found { about, image, counted })
}

/// Volumes that may hold a system, if only they could be read, and why they cannot.
fn doubtful(volumes: &[&Volume], systems: &[FileSystemAbout], candidates: &[(usize, Box<dyn Image>)]) -> Vec<(usize, String)> {
    let could_be = |kind| {
        matches!(
            kind,
            Kind::Ext | Kind::Xfs | Kind::Btrfs | Kind::F2fs | Kind::Zfs | Kind::Luks | Kind::RaidMember | Kind::LvmMember
        )
    };
    let why = |number: usize, volume: &Volume| {
        let system = systems.iter().find(|system| system.volume == volume.name);
        if let Some(why) = volume.trouble.as_ref().or(system.and_then(|system| system.trouble.as_ref())) {
            return Some(why.clone());
        }
        let (_, image) = candidates.iter().find(|(candidate, _)| *candidate == number)?;
        let (root, etc) = (ImagePath::root(), ImagePath::new("/etc"));
        image
            .read_dir(&root)
            .err()
            .or_else(|| image.metadata(&etc).err().filter(|error| error.kind() != io::ErrorKind::NotFound))
            .map(|error| error.to_string())
    };
    let volumes = volumes.iter().enumerate().filter(|(_, volume)| could_be(volume.content.kind));
    volumes.filter_map(|(number, volume)| Some((number, why(number, volume)?))).collect()
}

/// The volumes of which more than their name can be known.
fn readable(volume: &Volume) -> Option<(Kind, Device)> {
    let kind = volume.content.kind;
    let device = volume.device.as_ref().filter(|_| volume.trouble.is_none())?;
    matches!(kind, Kind::Ext | Kind::Xfs | Kind::Fat).then(|| (kind, Device::clone(device)))
}

/// Which volume is the root.
fn choose(roots: &[Root], volumes: &[&Volume], wanted: Option<&str>, file_systems: &[FileSystemAbout]) -> Result<usize, String> {
    let name = |root: &Root| volumes.get(root.index).map_or("", |volume| volume.name.as_str()).to_owned();
    let listed = || {
        let one = |root: &Root| format!("{} ({})", name(root), root.system.as_deref().unwrap_or("no name"));
        roots.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    if let Some(wanted) = wanted {
        return match roots.iter().find(|root| name(root) == wanted) {
            Some(root) => Ok(root.index),
            None if roots.is_empty() => Err(format!("'{wanted}' is no root: {}", none(volumes, file_systems))),
            None => Err(format!("'{wanted}' is no root; there is {}", listed())),
        };
    }
    match roots {
        [root] => Ok(root.index),
        [] => Err(none(volumes, file_systems)),
        _ => Err(format!("it holds several systems; choose one with --root: {}", listed())),
    }
}

/// Why there is no root: what each volume is.
fn none(volumes: &[&Volume], file_systems: &[FileSystemAbout]) -> String {
    let told = |volume: &&Volume| {
        let opened = file_systems.iter().find(|system| system.volume == volume.name);
        let why = volume.trouble.as_deref().or(opened.and_then(|system| system.trouble.as_deref()));
        format!("\n  {}: {}", volume.name, why.map_or_else(|| format!("{}, no root", volume.content.kind.name()), str::to_owned))
    };
    let all: String = volumes.iter().take(MOST_TOLD).map(told).collect();
    format!("no volume of it is the root of a Linux system{all}")
}

/// Volumes that an error tells of; `karat inspect` shows all.
const MOST_TOLD: usize = 20;

/// What the root's mount units and its fstab say, in this order: a unit goes before what is made of a line (`systemd.mount(5)`). Without
/// them nobody knows what the tree is made of.
fn lines(root: &dyn Image) -> Result<Vec<Line>, String> {
    let mut lines = units(Rootfs::new(root))?;
    match Rootfs::new(root).read(&ImagePath::new("/etc/fstab")) {
        Ok(content) => lines.extend(fstab::parse(&content).into_iter().map(line)),
        Err(error) if error.is_absent() => {}
        Err(error) => return Err(format!("/etc/fstab, which says what is mounted where, cannot be read: {error}")),
    }
    Ok(lines)
}

/// Where units lie, in the order in which they count.
const UNITS: [&str; 3] = ["/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"];

/// The mount units that something starts, as lines. Their drop-ins are not looked at.
fn units(root: Rootfs<'_>) -> Result<Vec<Line>, String> {
    let failed = |error: ReadError| format!("mount units, which say what is mounted where, cannot be read: {error}");
    let stem = |path: &ImagePath| path.file_name().rsplitn(2, |&byte| byte == b'.').last().unwrap_or_default().to_vec();
    let glob = |pattern: &str| {
        let found = UNITS.iter().map(|folder| root.glob(&format!("{folder}/{pattern}")));
        found.collect::<Result<Vec<_>, _>>().map(|found| found.concat()).map_err(failed)
    };
    let started: BTreeSet<Vec<u8>> = glob("*.{wants,requires}/*.{mount,automount}")?.iter().map(stem).collect();
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    for path in glob("*.mount")? {
        let name = stem(&path);
        if !started.contains(&name) || !seen.insert(name) {
            continue;
        }
        let content = match root.read(&path) {
            Ok(content) => content,
            // A mask is a link to a device; a link to nothing loads nothing.
            Err(ReadError::Kind { found: FileKind::CharDevice, .. }) => continue,
            Err(error) if error.is_absent() => continue,
            Err(error) => return Err(failed(error)),
        };
        let unit = systemd_unit::parse(&content);
        let value = |key: &str| {
            let mut found = unit.settings.iter().rev().filter(|setting| setting.section == "Mount" && setting.key == key);
            found.next().map(|setting| setting.value.clone()).unwrap_or_default()
        };
        let (spec, kind, options) = (value("What"), value("Type"), value("Options"));
        let options = options.split(',').map(str::to_owned).collect();
        lines.push(Line { number: 0, spec, file: value("Where").into_bytes(), kind, options });
    }
    Ok(lines)
}

/// Whether nothing speaks against a root that nobody chose: its own fstab, and volumes that could be one as well if they could be read.
fn is_the_one(number: usize, lines: &[Line], volumes: &[&Volume], doubtful: &[(usize, String)]) -> Result<(), String> {
    let name = |number: usize| volumes.get(number).map_or("", |volume| volume.name.as_str());
    for line in lines.iter().filter(|line| line.file == b"/") {
        if let Some(other) = volume_of(line, volumes, 1).filter(|other| *other != number) {
            let (this, other) = (name(number), name(other));
            return Err(format!(
                "the fstab of {this} says that the root is {other}, which is not read as one; choose with --root '{this}'"
            ));
        }
    }
    let named: Vec<usize> = lines.iter().filter_map(|line| volume_of(line, volumes, 1)).collect();
    match doubtful.iter().find(|(other, _)| *other != number && !named.contains(other)) {
        Some((other, why)) => {
            let (this, other) = (name(number), name(*other));
            Err(format!("{other} could be the root as well, but cannot be read ({why}); if {this} is meant, say --root '{this}'"))
        }
        None => Ok(()),
    }
}

/// The root with what its fstab mounts.
fn mounted(root: Box<dyn Image>, lines: &[Line], volumes: &[&Volume], told: &mut Vec<MountAbout>) -> Box<dyn Image> {
    let mut composed = Composed::new(root);
    for graft in grafts(lines, volumes, 1) {
        let of = lines.iter().find(|line| line.number == graft.line && ImagePath::new(&line.file) == graft.at);
        let options = of.map_or(&[][..], |line| &line.options);
        let mut about = MountAbout { at: graft.at.clone(), line: graft.line, volume: None, reason: None };
        let what = match graft.what {
            What::Left(why) => {
                about.reason = Some(why);
                told.push(about);
                continue;
            }
            What::Unknown(why) => Err(why),
            What::Bind(shown) => {
                about.reason = Some(format!("shows {shown} a second time"));
                // Links on the way are followed now, as mount does.
                let shown = Rootfs::new(&composed).resolve(&shown);
                if shown.as_ref().is_ok_and(|found| found.path == graft.at) {
                    told.push(about);
                    continue;
                }
                shown.map(|found| Mounted::Bind(found.path)).map_err(|error| format!("what it shows a second time: {error}"))
            }
            What::Made(mode) => {
                about.reason = Some("made when the system starts, nothing of the image".to_owned());
                let mut made = MemoryImage::new();
                let mut root = Entry::new(FileKind::Directory, "");
                root.metadata.mode = mode;
                made.insert(ImagePath::root(), root);
                Ok(Mounted::Made(Box::new(made)))
            }
            What::Foreign(why) => {
                about.reason = Some(why.clone());
                Ok(Mounted::Foreign(why))
            }
            What::Volume(number) => match volumes.get(number).and_then(|volume| Some((volume, readable(volume)?))) {
                Some((volume, (kind, device))) => {
                    about.volume = Some(volume.name.clone());
                    let opened = filesystem::open(kind, device, options).and_then(|opened| opened.image);
                    opened.map(Mounted::Image).map_err(|why| format!("{}: {why}", volume.name))
                }
                None => Err("it cannot be read".to_owned()),
            },
        };
        let what = match what {
            Ok(what) => what,
            Err(why) => {
                about.reason = Some(why.clone());
                Mounted::Unknown(why)
            }
        };
        if let Err(why) = composed.mount(&graft.at, what) {
            composed.miss(graft.at, format!("what fstab mounts there is not: {why}"));
            about.volume = None;
            about.reason = Some(why);
        }
        told.push(about);
    }
    Box::new(composed)
}

fn line(entry: fstab::Entry) -> Line {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Line {
        number: entry.line,
        spec: text(&entry.source),
        file: entry.point,
        kind: text(&entry.fstype),
        options: entry.options.iter().map(|option| text(option)).collect(),
    }
}
