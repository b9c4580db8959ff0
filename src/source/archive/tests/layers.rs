//! How layers are put on one another, each case with the truth of the specification and of containerd written beside it.

use serde_json::json;

use super::super::oci::Digest;
use super::made::{Header, Made};
use super::*;

/// An image that is being made, as an image layout in a tar.
#[derive(Default)]
pub(super) struct Layout {
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) manifests: Vec<serde_json::Value>,
}

impl Layout {
    pub(super) fn blob(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.files.push((digest.path(), bytes.to_vec()));
        digest
    }

    /// Adds an image of these layers: as they are stored, and uncompressed.
    pub(super) fn image(mut self, architecture: &str, layers: &[(Vec<u8>, Vec<u8>)]) -> Self {
        let diff_ids: Vec<String> = layers.iter().map(|(_, plain)| Digest::of(plain).to_string()).collect();
        let config = json!({
            "created": "2026-01-01T00:00:00Z", "os": "linux", "architecture": architecture,
            "config": {"User": "1000:1000", "Env": ["PATH=/bin"], "Labels": {"a": "b"}, "Cmd": null},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = config.to_string().into_bytes();
        let digest = self.blob(&config);
        let media = "application/vnd.oci.image.config.v1+json";
        let config = json!({"mediaType": media, "digest": digest.to_string(), "size": config.len()});
        let layers: Vec<_> = layers
            .iter()
            .map(|(stored, _)| {
                let digest = self.blob(stored);
                json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest.to_string(), "size": stored.len()})
            })
            .collect();
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string().into_bytes();
        let digest = self.blob(&manifest);
        self.manifests.push(json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest.to_string(), "size": manifest.len(),
            "platform": {"os": "linux", "architecture": architecture},
        }));
        self
    }

    pub(super) fn tar(&self) -> Vec<u8> {
        let index = json!({"schemaVersion": 2, "manifests": self.manifests}).to_string();
        let mut made = Made::default();
        for (path, bytes) in &self.files {
            made = made.entry(&mut Header::new(path.as_bytes(), b'0', bytes.len() as u64), bytes);
        }
        made.file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#).file("index.json", &index).end()
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, bytes).unwrap();
    gzip.finish().unwrap()
}

/// The image of these layers, the first as it is, the others compressed; read as a file and as a stream, which must agree.
fn image(layers: &[Vec<u8>]) -> Archive {
    let stored = |number: usize, plain: &Vec<u8>| (if number == 0 { plain.clone() } else { gzip(plain) }, plain.clone());
    let layers: Vec<_> = layers.iter().enumerate().map(|(number, plain)| stored(number, plain)).collect();
    let bytes = Layout::default().image("amd64", &layers).tar();
    let read_twice =
        [read_bare(device(&bytes)).unwrap(), read(stream(&bytes)).unwrap(), read_bare(device(&gzip(&bytes))).unwrap()];
    let [one, other, third] = read_twice;
    assert_eq!(gaps(&*one.image), gaps(&*other.image));
    if gaps(&*one.image).is_empty() {
        assert!(inventory(&*one.image) == inventory(&*other.image));
        assert!(inventory(&*one.image) == inventory(&*third.image));
    }
    one
}

fn paths(archive: &Archive) -> Vec<String> {
    inventory(&*archive.image).keys().map(ToString::to_string).collect()
}

#[test]
fn a_whiteout_removes_what_is_below_and_only_there() {
    let lower = Made::default().directory("etc").file("etc/a", "1").file("etc/b", "2").file("etc/dir/x", "3").end();
    let upper = Made::default().file("etc/.wh.a", "").file("etc/.wh.dir", "").file("etc/.wh.none", "").file("etc/c", "4").end();
    assert_eq!(paths(&image(&[lower, upper])), ["/", "/etc", "/etc/b", "/etc/c"]);
}

#[test]
fn an_opaque_directory_hides_all_that_is_below_whenever_it_is_said() {
    let lower = Made::default().file("d/a", "1").file("d/sub/b", "2").file("e", "3").end();
    for upper in [
        Made::default().directory("d").file("d/.wh..wh..opq", "").file("d/new", "4").file("d/sub/c", "5").end(),
        Made::default().directory("d").file("d/new", "4").file("d/sub/c", "5").file("d/.wh..wh..opq", "").end(),
    ] {
        assert_eq!(paths(&image(&[lower.clone(), upper])), ["/", "/d", "/d/new", "/d/sub", "/d/sub/c", "/e"]);
    }
}

#[test]
fn a_whiteout_of_something_in_its_own_layer_hides_only_what_is_below() {
    let lower = Made::default().file("a", "old").file("d/old", "1").end();
    for upper in [
        Made::default().file("a", "new").file(".wh.a", "").directory("d").file("d/new", "2").file(".wh.d", "").end(),
        Made::default().file(".wh.a", "").file("a", "new").file(".wh.d", "").directory("d").file("d/new", "2").end(),
    ] {
        let image = image(&[lower.clone(), upper]);
        assert_eq!(paths(&image), ["/", "/a", "/d", "/d/new"]);
        assert_eq!(text(&*image.image, "/a"), "new");
    }
}

#[test]
fn a_directory_becomes_a_file_a_link_and_a_directory_again() {
    let first = Made::default().file("x/a", "1").file("y/a", "1").end();
    let second = Made::default().file("x", "file").link("y", "x").end();
    let third = Made::default().file("x/b", "2").end();
    let fourth = Made::default().directory("x").file("x/c", "3").directory("y").end();
    assert_eq!(paths(&image(&[first.clone(), second.clone()])), ["/", "/x", "/y"]);
    // A file in the way is no directory: containerd fails here, and so nothing is said of what lies below.
    assert_eq!(gaps(&*image(&[first.clone(), second.clone(), third]).image), ["/x/b: what is above it is a file"]);
    let image = image(&[first, second, fourth]);
    assert_eq!(paths(&image), ["/", "/x", "/x/c", "/y"]);
}

#[test]
fn a_hard_link_reaches_into_the_layer_below() {
    let lower = Made::default().file("usr/bin/su", "su").end();
    let upper = Made::default().hard("bin/su", "usr/bin/su").hard("bad", "none").end();
    let image = image(&[lower, upper]);
    assert_eq!(text(&*image.image, "/bin/su"), "su");
    assert_eq!(image.image.metadata(&ImagePath::new("/usr/bin/su")).unwrap().nlink, 2);
    let error = image.image.metadata(&ImagePath::new("/bad")).unwrap_err();
    assert_eq!(error.to_string(), "a hard link to /none: it is not there");
    assert_eq!(gaps(&*image.image), ["/bad: a hard link to /none: it is not there"]);
}

#[test]
fn what_is_put_below_a_link_of_a_lower_layer_goes_where_it_leads_inside_the_image() {
    let lower =
        Made::default().directory("usr/lib").link("lib", "usr/lib").link("run", "/var/run").link("out", "../../../../etc").end();
    let upper = Made::default().file("lib/x", "1").file("run/y", "2").file("out/z", "3").end();
    let image = image(&[lower, upper]);
    let found = paths(&image);
    for path in ["/usr/lib/x", "/var/run/y", "/etc/z"] {
        assert!(found.contains(&path.to_owned()), "{path} in {found:?}");
    }
}

#[test]
fn a_whiteout_below_a_link_makes_a_gap() {
    let lower = Made::default().file("usr/lib/x", "1").link("lib", "usr/lib").end();
    let upper = Made::default().file("lib/.wh.x", "").end();
    assert_eq!(gaps(&*image(&[lower.clone(), upper]).image).len(), 1);
    // Not so where the layer put a directory in its place: there is nothing to remove in it.
    let upper = Made::default().directory("lib").file("lib/.wh.x", "").end();
    assert_eq!(text(&*image(&[lower, upper]).image, "/usr/lib/x"), "1");
}

#[test]
fn a_circle_of_links_ends() {
    let lower = Made::default().link("a", "b").link("b", "a").end();
    let upper = Made::default().file("a/x", "1").end();
    assert_eq!(gaps(&*image(&[lower, upper]).image), ["/a/x: more than 40 links lead to it"]);
}

#[test]
fn an_empty_layer_and_one_that_comes_twice() {
    let lower = Made::default().file("a", "1").end();
    let remove = Made::default().file(".wh.a", "").end();
    assert_eq!(paths(&image(&[vec![0; 1024], lower.clone(), vec![0; 1024], remove, lower])), ["/", "/a"]);
}

#[test]
fn the_configuration_is_there_to_be_shown() {
    let image = image(&[Made::default().file("a", "1").end()]);
    let container = image.about.container.unwrap();
    assert_eq!(container.config.config.user, "1000:1000");
    assert_eq!(container.config.config.labels["a"], "b");
    assert_eq!(container.config.created.as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!((container.layers.len(), container.layers[0].entries), (1, 1));
}

#[test]
fn a_platform_that_is_not_there_is_answered_with_those_that_are() {
    let layer = |content: &str| {
        let plain = Made::default().file("arch", content).end();
        vec![(gzip(&plain), plain)]
    };
    let bytes = Layout::default().image("amd64", &layer("amd64")).image("arm64", &layer("arm64")).tar();
    let ask = |platform: Option<&str>| {
        let choice = Choice { platform: platform.map(str::to_owned), name: None };
        open(stream(&bytes), &Options { keep: &|_, _| true, choice: &choice, bounds: Bounds::USUAL })
    };
    assert_eq!(text(&*ask(None).unwrap().image, "/arch"), "amd64");
    assert_eq!(text(&*ask(Some("linux/arm64")).unwrap().image, "/arch"), "arm64");
    let error = ask(Some("linux/s390x")).err().unwrap().to_string();
    assert_eq!(error, "there is no image for linux/s390x; there is linux/amd64, linux/arm64");
}

#[test]
fn a_layer_that_is_not_what_its_digests_say_is_named() {
    let (plain, other) = (Made::default().file("a", "1").end(), Made::default().file("a", "2").end());
    // The file is as listed, its content is not.
    let bytes = Layout::default().image("amd64", &[(gzip(&other), plain.clone())]).tar();
    for input in [device(&bytes), stream(&bytes)] {
        let error = read(input).err().unwrap().to_string();
        assert!(error.starts_with("layer 1 of 1, blobs/sha256/") && error.contains("its content has the digest"), "{error}");
    }
    // The file is not as listed.
    let mut layout = Layout::default().image("amd64", &[(gzip(&plain), plain)]);
    let digest = layout.files[1].0.clone();
    layout.files[1].1 = gzip(&other);
    for input in [device(&layout.tar()), stream(&layout.tar())] {
        let error = read(input).err().unwrap().to_string();
        assert!(error.contains(&digest) && error.contains("its file has the digest"), "{error}");
    }
}

#[test]
fn a_digest_that_is_a_path_leads_nowhere() {
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    std::fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    std::fs::write(place.path().join("secret"), "{}").unwrap();
    std::fs::write(layout.join("oci-layout"), "{}").unwrap();
    for digest in ["sha256:../../../secret", "../../secret", "sha512:aa", "sha256:"] {
        let index = json!({"manifests": [{"digest": digest, "size": 2, "platform": {"os": "linux", "architecture": "amd64"}}]});
        std::fs::write(layout.join("index.json"), index.to_string()).unwrap();
        let options = Options { keep: &|_, _| false, choice: &Choice::default(), bounds: Bounds::USUAL };
        let error = super::super::open_layout(&layout, &options).err().unwrap().to_string();
        assert!(error.contains("where a digest like sha256:… belongs"), "{error}");
    }
    // Neither does a blob that is a link.
    let digest = Digest::of(b"{}");
    std::os::unix::fs::symlink("../../../secret", layout.join(digest.path())).unwrap();
    let index = json!({"manifests": [{"digest": digest.to_string(), "size": 2}]});
    std::fs::write(layout.join("index.json"), index.to_string()).unwrap();
    let options = Options { keep: &|_, _| false, choice: &Choice::default(), bounds: Bounds::USUAL };
    assert!(super::super::open_layout(&layout, &options).is_err());
}

#[test]
fn a_container_image_beside_a_root_file_system_is_refused() {
    let plain = Made::default().file("a", "1").end();
    let layout = Layout::default().image("amd64", &[(plain.clone(), plain)]);
    let mut both = Made::default().file("etc/passwd", "x").0;
    both.extend(layout.tar());
    assert!(read(device(&both)).err().unwrap().to_string().contains("which of them is meant"));
}
