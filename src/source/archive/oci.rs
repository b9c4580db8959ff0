//! The image layout of OCI (`image-spec` 1.1): `oci-layout`, `index.json`, and blobs under their digests.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use super::blobs::Blobs;
use super::bytes::invalid;
use super::scan::Sum;
use crate::path::printable;

/// Bytes of one document; those of real images have some kilobytes, large ones of the build service some hundred.
pub(super) const DOCUMENT: u64 = 4 << 20;
/// Indexes inside indexes. One inside another is what multi-platform images have.
const DEPTH: usize = 4;
/// Manifests that are looked at, in all indexes together.
const MANIFESTS: usize = 1_000;
/// Layers of one image. Docker itself stops at 127.
pub(super) const LAYERS: usize = 1_000;

/// A SHA-256 by which something is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Digest(pub(super) Sum);

impl Digest {
    /// Reads `sha256:` and 64 lower-case digits; nothing else, so that no name leads anywhere but to a blob.
    pub(super) fn new(text: &str) -> io::Result<Self> {
        let wrong = || {
            invalid(format!(
                "'{}' where a digest like sha256:… belongs",
                printable(text.as_bytes().get(..100).unwrap_or(text.as_bytes()))
            ))
        };
        text.strip_prefix("sha256:").and_then(Self::of_digits).ok_or_else(wrong)
    }

    /// Reads 64 lower-case digits.
    pub(super) fn of_digits(digits: &str) -> Option<Self> {
        let mut sum = [0; 32];
        let is_right = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if !is_right {
            return None;
        }
        for (byte, place) in sum.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(digits.get(place..place + 2)?, 16).ok()?;
        }
        Some(Self(sum))
    }

    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Where its blob lies in a layout.
    pub(super) fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digits())
    }

    fn digits(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut out, byte| {
            out.push_str(&format!("{byte:02x}"));
            out
        })
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "sha256:{}", self.digits())
    }
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<PlatformOf>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize, Clone)]
struct PlatformOf {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

/// The configuration of an image, as far as anybody asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ImageConfig {
    /// When it was made, as written (RFC 3339).
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Such as `linux`.
    #[serde(default)]
    pub os: String,
    /// Such as `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// Such as `v8`.
    pub variant: Option<String>,
    /// What its process starts with.
    #[serde(default, deserialize_with = "or_default")]
    pub config: ProcessConfig,
    #[serde(default, skip_serializing)]
    pub(super) rootfs: RootFs,
}

/// What the process of an image starts with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "PascalCase"))]
pub struct ProcessConfig {
    /// User and group, by name or number; empty is root.
    #[serde(default, deserialize_with = "or_default")]
    pub user: String,
    /// `NAME=value`.
    #[serde(default, deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// The program.
    #[serde(default, deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    /// Its arguments.
    #[serde(default, deserialize_with = "or_default")]
    pub cmd: Vec<String>,
    /// Where it starts.
    #[serde(default, deserialize_with = "or_default")]
    pub working_dir: String,
    /// Ports such as `22/tcp`.
    #[serde(default, deserialize_with = "or_default")]
    pub exposed_ports: BTreeMap<String, serde_json::Value>,
    /// Free words about it.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct RootFs {
    #[serde(default)]
    pub(super) diff_ids: Vec<String>,
}

/// Go writes `null` for what is empty.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Which image is meant where there are several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// `os/architecture` or `os/architecture/variant`; [`Choice::PLATFORM`] where nothing is said and there are several.
    pub platform: Option<String>,
    /// Its name or tag.
    pub name: Option<String>,
}

impl Choice {
    /// The platform that is meant where nothing is said.
    pub const PLATFORM: &str = "linux/amd64";
}

/// An image that was chosen: its configuration, and its layers from the lowest on.
pub(super) struct Chosen {
    pub(super) config: ImageConfig,
    pub(super) config_digest: Digest,
    pub(super) layers: Vec<Blob>,
    pub(super) name: Option<String>,
    /// How many there were to choose from.
    pub(super) of: usize,
}

/// A layer by its place in the archive.
pub(super) struct Blob {
    pub(super) path: String,
    /// The digest it must have as it is stored, where it is told.
    pub(super) digest: Option<Digest>,
    /// And uncompressed.
    pub(super) diff_id: Digest,
}

/// Reads a document.
pub(super) fn document<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(|error| invalid(format!("{what}: {}", printable(error.to_string().as_bytes()))))
}

/// Reads what a descriptor names, and checks that it is that.
fn blob(blobs: &Blobs, descriptor: &Descriptor) -> io::Result<(Digest, Vec<u8>)> {
    let digest = Digest::new(&descriptor.digest)?;
    let bytes = blobs.small(&digest.path())?;
    let found = Digest::of(&bytes);
    if found != digest || bytes.len() as u64 != descriptor.size {
        return Err(invalid(format!(
            "{}: its content has the digest {found} and {} bytes, not the {} it is listed with",
            digest.path(),
            bytes.len(),
            descriptor.size
        )));
    }
    Ok((digest, bytes))
}

/// One image of the indexes.
struct Candidate {
    manifest: Descriptor,
    digest: Digest,
    platform: String,
    name: Option<String>,
}

impl Candidate {
    fn shown(&self) -> String {
        let name = self.name.as_deref().map(|name| format!(" ({})", printable(name.as_bytes()))).unwrap_or_default();
        format!("{}{name}", printable(self.platform.as_bytes()))
    }
}

/// Whether `platform` is what was wished: a variant counts only where it was asked for.
fn fits(platform: &str, wish: &str) -> bool {
    platform == wish || platform.strip_prefix(wish).is_some_and(|rest| rest.starts_with('/'))
}

/// Finds the image that is meant.
///
/// # Errors
/// If there is none or more than one, with a list of what there is; if something is not what its digest says.
pub(super) fn choose(blobs: &Blobs, choice: &Choice) -> io::Result<Chosen> {
    let mut candidates = Vec::new();
    let mut waiting = vec![(document::<Index>("index.json", &blobs.small("index.json")?)?, 0, None)];
    let mut seen = 0;
    while let Some((index, depth, outer)) = waiting.pop() {
        for descriptor in index.manifests {
            seen += 1;
            if seen > MANIFESTS {
                return Err(invalid(format!("index.json: more than the limit of {MANIFESTS} manifests")));
            }
            let name = descriptor
                .annotations
                .get("org.opencontainers.image.ref.name")
                .or(descriptor.annotations.get("io.containerd.image.name"));
            let name = name.cloned().or_else(|| outer.clone());
            let kind = descriptor.media_type.as_str();
            if kind.contains("index") || kind.contains("manifest.list") {
                if depth >= DEPTH {
                    return Err(invalid(format!("index.json: more than the limit of {DEPTH} indexes inside one another")));
                }
                let (digest, bytes) = blob(blobs, &descriptor)?;
                waiting.push((document(&digest.path(), &bytes)?, depth + 1, name));
            } else if !descriptor.annotations.contains_key("vnd.docker.reference.type") {
                candidates.extend(candidate(blobs, descriptor, name)?);
            }
        }
    }
    pick(blobs, candidates, choice)
}

/// An image of an index; nothing where it is an image that is not there, as multi-platform layouts may have them.
fn candidate(blobs: &Blobs, manifest: Descriptor, name: Option<String>) -> io::Result<Option<Candidate>> {
    let digest = Digest::new(&manifest.digest)?;
    let platform = if let Some(platform) = &manifest.platform {
        (platform.os.clone(), platform.architecture.clone(), platform.variant.clone())
    } else {
        let read = document::<Manifest>(&digest.path(), &blob(blobs, &manifest)?.1)?;
        let config: ImageConfig = document("the configuration of an image", &blob(blobs, &read.config)?.1)?;
        (config.os, config.architecture, config.variant)
    };
    let (os, architecture, variant) = platform;
    let variant = variant.filter(|variant| !variant.is_empty()).map(|variant| format!("/{variant}")).unwrap_or_default();
    if os == "unknown" {
        // Attestations of the build.
        return Ok(None);
    }
    Ok(Some(Candidate { manifest, digest, platform: format!("{os}/{architecture}{variant}"), name }))
}

fn pick(blobs: &Blobs, candidates: Vec<Candidate>, choice: &Choice) -> io::Result<Chosen> {
    let of = candidates.len();
    let mut all: Vec<String> = candidates.iter().map(Candidate::shown).collect();
    all.sort();
    all.dedup();
    let list = |all: &[String]| all.join(", ");
    // One image alone is meant, whatever it is for, unless somebody says otherwise.
    let is_alone = candidates.iter().all(|one| candidates.first().is_some_and(|first| first.digest == one.digest));
    let wish = choice.platform.as_deref().or((!is_alone).then_some(Choice::PLATFORM));
    let named = |candidate: &Candidate| choice.name.is_none() || candidate.name == choice.name;
    let mut fitting: Vec<Candidate> =
        candidates.into_iter().filter(|one| wish.is_none_or(|wish| fits(&one.platform, wish)) && named(one)).collect();
    let shown: Vec<String> = fitting.iter().map(Candidate::shown).collect();
    fitting.dedup_by(|one, other| one.digest == other.digest);
    let chosen = match (fitting.pop(), fitting.is_empty()) {
        (Some(chosen), true) => chosen,
        (None, _) => {
            let wish = [wish, choice.name.as_deref()]
                .into_iter()
                .flatten()
                .map(|wish| printable(wish.as_bytes()))
                .collect::<Vec<_>>()
                .join(" named ");
            return Err(invalid(format!(
                "there is no image for {wish}; there is {}",
                if all.is_empty() { "none".into() } else { list(&all) }
            )));
        }
        (Some(_), false) => return Err(invalid(format!("more than one image fits: {}; say its name", list(&shown)))),
    };
    let manifest: Manifest = document(&chosen.digest.path(), &blob(blobs, &chosen.manifest)?.1)?;
    let (config_digest, bytes) = blob(blobs, &manifest.config)?;
    let config: ImageConfig = document("the configuration of the image", &bytes)?;
    let layers = manifest.layers.iter().map(|layer| Digest::new(&layer.digest)).collect::<io::Result<Vec<_>>>()?;
    let layers = join(layers.into_iter().map(|digest| (digest.path(), Some(digest))).collect(), &config)?;
    Ok(Chosen { config, config_digest, layers, name: chosen.name, of })
}

/// The layers of a manifest with the digests that the configuration tells for them uncompressed.
pub(super) fn join(layers: Vec<(String, Option<Digest>)>, config: &ImageConfig) -> io::Result<Vec<Blob>> {
    let told = config.rootfs.diff_ids.len();
    if layers.len() != told || told > LAYERS {
        let reason = format!("the manifest lists {} layers and the configuration {told}; the limit is {LAYERS}", layers.len());
        return Err(invalid(reason));
    }
    let pairs = layers.into_iter().zip(&config.rootfs.diff_ids);
    pairs.map(|((path, digest), diff_id)| Ok(Blob { path, digest, diff_id: Digest::new(diff_id)? })).collect()
}
