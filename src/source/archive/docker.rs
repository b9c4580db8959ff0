//! What `docker save` and `podman save` write: `manifest.json` with the configuration and the layers by their place in the archive
//! ("Docker Image Specification v1.2", Combined Image JSON + Filesystem Changeset Format).

use std::io;

use serde::Deserialize;

use super::blobs::Blobs;
use super::bytes::invalid;
use super::oci::{Choice, Chosen, Digest, ImageConfig, document, join};
use crate::path::printable;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// The digest a file is named by: the last part of its path, without an ending.
fn named(path: &str) -> Option<Digest> {
    let last = path.rsplit('/').next()?;
    Digest::of_digits(last.split('.').next()?)
}

fn saved(blobs: &Blobs) -> io::Result<Vec<Saved>> {
    document("manifest.json", &blobs.small("manifest.json")?)
}

/// Whether `manifest.json` is one of these, and not some file of a root file system.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    document::<Vec<Saved>>("", bytes).is_ok_and(|all| !all.is_empty())
}

/// Finds the image that is meant.
///
/// # Errors
/// If there are several and none or more than one has the name; if something is not what its digest says.
pub(super) fn choose(blobs: &Blobs, choice: &Choice) -> io::Result<Chosen> {
    let mut all = saved(blobs)?;
    let of = all.len();
    let tags = |one: &Saved| one.repo_tags.clone().unwrap_or_default();
    let shown = |all: &[Saved]| {
        let names = all.iter().map(|one| tags(one).join(" ").replace("  ", " "));
        names
            .map(|name| if name.is_empty() { "one without a name".into() } else { printable(name.as_bytes()) })
            .collect::<Vec<_>>()
            .join(", ")
    };
    let list = shown(&all);
    if let Some(name) = &choice.name {
        all.retain(|one| tags(one).contains(name));
    }
    let chosen = match (all.pop(), all.is_empty()) {
        (Some(chosen), true) => chosen,
        (None, _) => return Err(invalid(format!("there is no image of this name; there is {list}"))),
        (Some(_), false) => return Err(invalid(format!("more than one image fits: {list}; say its name"))),
    };
    let bytes = blobs.small(&chosen.config)?;
    let config_digest = Digest::of(&bytes);
    if let Some(told) = named(&chosen.config).filter(|told| *told != config_digest) {
        return Err(invalid(format!(
            "{}: its content has the digest {config_digest}, not {told}",
            printable(chosen.config.as_bytes())
        )));
    }
    let config: ImageConfig = document("the configuration of the image", &bytes)?;
    if let Some(wish) = &choice.platform {
        let platform = format!("{}/{}", config.os, config.architecture);
        let full = format!("{platform}/{}", config.variant.as_deref().unwrap_or_default());
        if *wish != platform && *wish != full {
            let reason =
                format!("there is no image for {}; there is {}", printable(wish.as_bytes()), printable(platform.as_bytes()));
            return Err(invalid(reason));
        }
    }
    let is_blob = |path: &str| path.starts_with("blobs/sha256/");
    let layers = chosen.layers.clone().unwrap_or_default();
    let layers = layers.into_iter().map(|path| (path.clone(), is_blob(&path).then(|| named(&path)).flatten())).collect();
    let layers = join(layers, &config)?;
    Ok(Chosen { config, config_digest, layers, name: tags(&chosen).into_iter().next(), of })
}

/// Checks that `manifest.json` beside an index names the same image as the index does, so that it does not depend on the program
/// what is unpacked. Where it names others, as for images of several platforms, there is no contradiction.
///
/// # Errors
/// If the index has one image alone, and `manifest.json` another.
pub(super) fn agrees(blobs: &Blobs, chosen: &Chosen) -> io::Result<()> {
    if chosen.of != 1 || !blobs.has("manifest.json") {
        return Ok(());
    }
    for one in saved(blobs)? {
        if Digest::of(&blobs.small(&one.config)?) == chosen.config_digest {
            return Ok(());
        }
    }
    Err(invalid("index.json and manifest.json name different images: programs differ in which of them they take"))
}
