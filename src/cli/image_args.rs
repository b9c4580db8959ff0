//! Which image is meant: the arguments that every command has that reads one.

use std::path::PathBuf;

use crate::source::{Choice, Wanted};

/// An image, and what is meant in it.
#[derive(Debug, clap::Args)]
pub(super) struct ImageArgs {
    /// The image: a root directory, an archive (tar), a container image (`docker save`, OCI layout), or a disk image (raw, qcow2, VMDK, VHD,
    /// VHDX), told by its content; `-` is standard input. `/` is this machine, with what only a running system knows
    #[arg(value_name = "IMAGE", default_value = "/")]
    pub(super) image: PathBuf,
    /// Of a disk with several systems: the volume that is the root, as `karat inspect` calls it
    #[arg(long, value_name = "VOLUME", help_heading = "Which image is meant")]
    root: Option<String>,
    /// Of a container image for several platforms: the one that is meant
    #[arg(long, value_name = "OS/ARCH", help_heading = "Which image is meant")]
    platform: Option<String>,
    /// Of an archive with several container images: the name or tag
    #[arg(long, value_name = "NAME", help_heading = "Which image is meant")]
    tag: Option<String>,
}

impl ImageArgs {
    /// What is meant where there are several.
    pub(super) fn wanted(&self) -> Wanted {
        Wanted { container: Choice { platform: self.platform.clone(), name: self.tag.clone() }, volume: self.root.clone() }
    }
}
