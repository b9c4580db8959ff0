//! `karat inspect`: what an image is made of, before anything is judged.

use std::fmt::Write as _;

use indicatif::HumanBytes;
use serde_json::json;

use super::ListFormat;
use super::image_args::ImageArgs;
use super::terminal::{BOLD, DIM, Terminal, YELLOW};
use crate::gate::Exit;
use crate::path::printable;
use crate::source::{self, About, ArchiveAbout, DiskAbout, FileSystemAbout, Inspected, Volume};

/// Show what an image is made of: containers, partitions, volumes, file systems, and what would be judged
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  karat inspect snapshot.vmdk                  # its volumes, which of them is the root, and what fstab mounts
  karat inspect image.tar --format json        # the same for programs
  docker save IMAGE | karat inspect -

Exit codes: 0 there is an image to judge, 2 there is none.")]
pub(super) struct Args {
    #[command(flatten)]
    image: ImageArgs,
    /// How it is written
    #[arg(short, long, value_enum, default_value_t)]
    format: ListFormat,
}

pub(super) fn run(arguments: &Args, terminal: &Terminal) -> anyhow::Result<Exit> {
    let busy = terminal.busy(format!("reading {}", arguments.image.image.display()));
    let Inspected { about, source } = source::inspect(&arguments.image.image, &arguments.image.wanted())?;
    drop(busy);
    let text = match arguments.format {
        ListFormat::Json => {
            let trouble = source.as_ref().err().map(ToString::to_string);
            format!("{}\n", serde_json::to_string_pretty(&json!({ "source": about, "trouble": trouble }))?)
        }
        ListFormat::Table => match &about {
            About::Directory { running } => if *running { "the running machine\n" } else { "a directory\n" }.to_owned(),
            About::Archive(archive) => of_archive(archive),
            About::Disk(disk) => of_disk(disk),
        },
    };
    terminal.print(text)?;
    source?;
    Ok(Exit::Open)
}

fn of_archive(archive: &ArchiveAbout) -> String {
    let mut text = String::new();
    let packed = archive.compression.map_or(String::new(), |how| format!(", {}", how.name()));
    let what = if archive.container.is_some() { "a container image" } else { "an archive" };
    let _ = writeln!(text, "{BOLD}{what}{BOLD:#}{packed}, {} entries", archive.entries);
    if let Some(container) = &archive.container {
        let config = &container.config;
        let _ = writeln!(text, "  name      {}", safe(container.name.as_deref().unwrap_or("none")));
        let _ = writeln!(text, "  id        {}", safe(&container.id));
        let _ = writeln!(text, "  platform  {}", safe(&format!("{}/{}", config.os, config.architecture)));
        if let Some(created) = &config.created {
            let _ = writeln!(text, "  created   {}", safe(created));
        }
        let user = if config.config.user.is_empty() { "root" } else { &config.config.user };
        let _ = writeln!(text, "  user      {}", safe(user));
        for layer in &container.layers {
            let packed = layer.compression.map_or("plain", |how| how.name());
            let (stored, content) = (size(layer.stored), size(layer.content));
            let _ = writeln!(
                text,
                "  layer     {}  {DIM}{packed}, {stored}, {content} unpacked, {} entries{DIM:#}",
                safe(&layer.diff_id),
                layer.entries
            );
        }
    }
    if let Some(why) = &archive.incomplete {
        let _ = writeln!(text, "  {YELLOW}incomplete{YELLOW:#}: {}", safe(why));
    }
    text
}

fn of_disk(disk: &DiskAbout) -> String {
    let mut text = String::new();
    for (number, file) in disk.files.iter().enumerate() {
        let name = file.name.as_ref().map_or_else(String::new, |name| format!(" in {}", safe(name)));
        let what = if number == 0 { "disk image" } else { "below it" };
        let _ = writeln!(text, "{BOLD}{what}{BOLD:#}  {}, {}{name}", file.format.name(), size(file.size));
        notes(&mut text, 2, &file.notes);
    }
    for volume in &disk.survey.disks {
        of_volume(&mut text, disk, volume, 2);
    }
    for group in &disk.survey.groups {
        let _ = writeln!(text, "  volume group {}  {DIM}{}{DIM:#}", safe(&group.name), safe(&group.uuid));
        let missing: Vec<String> = group.missing.iter().map(|id| format!("a physical volume is missing: {id}")).collect();
        notes(&mut text, 4, &missing);
        notes(&mut text, 4, &group.notes);
        for volume in &group.volumes {
            of_volume(&mut text, disk, volume, 4);
        }
    }
    for root in &disk.roots {
        let name = disk.survey.volumes().get(root.index).map(|volume| volume.name.clone()).unwrap_or_default();
        let system = root.system.as_deref().unwrap_or("a system without a name");
        let _ = writeln!(text, "root  {}  {}  {DIM}by {}{DIM:#}", safe(&name), safe(system), root.signs.join(", "));
    }
    for mount in &disk.mounts {
        let what = mount.volume.as_deref().unwrap_or("nothing");
        let why = mount.reason.as_ref().map_or_else(String::new, |why| format!("  {DIM}{}{DIM:#}", safe(why)));
        let by = if mount.line == 0 { "a mount unit".to_owned() } else { format!("/etc/fstab:{}", mount.line) };
        let _ = writeln!(text, "mount {}  {}  {DIM}{by}{DIM:#}{why}", mount.at, safe(what));
    }
    text
}

fn of_volume(text: &mut String, disk: &DiskAbout, volume: &Volume, indent: usize) {
    let content = &volume.content;
    let label = content.label.as_ref().map_or_else(String::new, |label| format!("  \"{}\"", safe(label)));
    let uuid = content.uuid.as_ref().map_or_else(String::new, |uuid| format!("  {DIM}{}{DIM:#}", safe(uuid)));
    let _ = writeln!(text, "{:indent$}{}  {}, {}{label}{uuid}", "", safe(&volume.name), content.kind.name(), size(volume.size));
    let trouble = |why: &str| format!("{:1$}{YELLOW}not read{YELLOW:#}: {2}\n", "", indent + 4, safe(why));
    text.extend(volume.trouble.iter().map(|why| trouble(why)));
    notes(text, indent + 4, &volume.notes);
    if let Some(system) = disk.file_systems.iter().find(|system| system.volume == volume.name) {
        text.extend(system.trouble.iter().map(|why| trouble(why)));
        of_file_system(text, system, indent + 4);
    }
    volume.below.iter().for_each(|below| of_volume(text, disk, below, indent + 2));
}

fn of_file_system(text: &mut String, system: &FileSystemAbout, indent: usize) {
    let about = &system.about;
    if let Some(log) = &about.log {
        let _ = writeln!(text, "{:indent$}{DIM}log: {}{DIM:#}", "", safe(log));
    }
    if let Some(block) = about.block_size {
        let _ = writeln!(text, "{:indent$}{DIM}blocks of {block} bytes; {}{DIM:#}", "", safe(&about.features.join(" ")));
    }
    notes(text, indent, &about.notes);
}

fn notes(text: &mut String, indent: usize, notes: &[String]) {
    for note in notes {
        let _ = writeln!(text, "{:indent$}{YELLOW}note{YELLOW:#}: {}", "", safe(note));
    }
}

/// A size for people.
fn size(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// What an image says, made safe to show.
fn safe(text: &str) -> String {
    printable(text.as_bytes())
}
