//! Container images made by umoci and skopeo, against what umoci unpacks of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::super::oci::Digest;
use super::super::{is_layout, open_layout};
use super::layers::gzip;
use super::made::{Header, Made};
use super::plain::tree;
use super::*;

fn umoci(arguments: &[&str]) {
    run(Command::new("umoci").args(arguments));
}

/// An image of three layers in `place/layout`, and what umoci makes of it in `place/truth`.
fn image(place: &Path) -> bool {
    if !has("umoci") {
        return false;
    }
    let at = |name: &str| place.join(name).display().to_string();
    umoci(&["init", "--layout", &at("layout")]);
    let named = format!("{}:latest", at("layout"));
    umoci(&["new", "--image", &named]);
    let bundle = at("bundle");
    umoci(&["unpack", "--rootless", "--image", &named, &bundle]);
    let root = place.join("bundle/rootfs");
    tree(&root);
    umoci(&["repack", "--refresh-bundle", "--image", &named, &bundle]);
    // Away with a file, a folder and a link; a folder becomes a file, a file a folder; one more name for an old file.
    fs::remove_file(root.join("etc/empty")).unwrap();
    fs::remove_dir_all(root.join("etc/ssh")).unwrap();
    fs::remove_file(root.join("far")).unwrap();
    fs::remove_dir_all(root.join("tmp")).unwrap();
    fs::write(root.join("tmp"), "no folder any more").unwrap();
    fs::remove_file(root.join("binary")).unwrap();
    fs::create_dir(root.join("binary")).unwrap();
    fs::write(root.join("binary/inside"), "1").unwrap();
    fs::write(root.join("etc/passwd"), "changed\n").unwrap();
    umoci(&["repack", "--refresh-bundle", "--image", &named, &bundle]);
    fs::create_dir(root.join("etc/ssh")).unwrap();
    fs::write(root.join("etc/ssh/back"), "again").unwrap();
    fs::remove_dir_all(root.join("binary")).unwrap();
    umoci(&["repack", "--refresh-bundle", "--image", &named, &bundle]);
    umoci(&["config", "--image", &named, "--config.user", "0:0", "--config.label", "who=karat"]);
    umoci(&["unpack", "--rootless", "--image", &named, &at("truth")]);
    true
}

/// The inventory with owners as an unprivileged user of umoci has them, and without what the image says nothing of: the time of its root, which
/// umoci's layers do not all have.
fn compared(mut all: BTreeMap<ImagePath, Seen>) -> BTreeMap<ImagePath, Seen> {
    for seen in all.values_mut() {
        seen.owner = (0, 0);
    }
    if let Some(root) = all.get_mut(&ImagePath::root()) {
        root.mtime = 0;
    }
    all
}

fn differences(one: &BTreeMap<ImagePath, Seen>, other: &BTreeMap<ImagePath, Seen>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for path in one.keys().chain(other.keys()) {
        let shown = |seen: Option<&Seen>| {
            seen.map(|seen| format!("{:?} {:o} {} {} {}", seen.kind, seen.mode, seen.size, seen.nlink, seen.mtime))
        };
        if one.get(path) != other.get(path) {
            all.push(format!("{path}: {:?} {:?}", shown(one.get(path)), shown(other.get(path))));
        }
    }
    all
}

#[test]
fn layers_come_together_as_umoci_unpacks_them() {
    let place = tempfile::tempdir().unwrap();
    if !image(place.path()) {
        return;
    }
    let truth = compared(folder(&place.path().join("truth/rootfs")));
    let layout = place.path().join("layout");
    assert!(is_layout(&layout));
    assert!(!is_layout(place.path()));
    let choice = Choice { platform: None, name: Some("latest".into()) };
    let options = Options { keep: &|_, _| false, choice: &choice, bounds: Bounds::USUAL };
    let read_folder = open_layout(&layout, &options).unwrap();
    let container = read_folder.about.container.clone().unwrap();
    assert_eq!((container.layers.len(), container.config.config.user.as_str()), (3, "0:0"));
    assert_eq!(container.config.config.labels["who"], "karat");
    let found = compared(inventory(&*read_folder.image));
    assert_eq!(differences(&found, &truth), Vec::<String>::new());

    // The same layout in an archive, and as other programs copy it.
    let archive = place.path().join("layout.tar");
    run(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&layout).arg("."));
    let mut all = vec![archive];
    if has("skopeo") {
        let from = format!("oci:{}:latest", layout.display());
        for (kind, name) in [("docker-archive", "docker.tar"), ("oci-archive", "oci.tar")] {
            let to = place.path().join(name);
            let target = format!("{kind}:{}:karat:1", to.display());
            run(Command::new("skopeo").args(["--insecure-policy", "copy", "-q", &from, &target]));
            all.push(to);
        }
        for compression in ["zstd", "gzip"] {
            let to = place.path().join(compression);
            let target = format!("oci:{}:karat", to.display());
            run(Command::new("skopeo").args([
                "--insecure-policy",
                "copy",
                "-q",
                "--dest-compress-format",
                compression,
                &from,
                &target,
            ]));
            let options = Options { choice: &Choice::default(), ..options };
            let read = open_layout(&to, &options).unwrap();
            assert_eq!(differences(&compared(inventory(&*read.image)), &truth), Vec::<String>::new(), "{compression}");
        }
    }
    for path in all {
        let bytes = fs::read(&path).unwrap();
        for (how, input) in [("file", device(&bytes)), ("stream", stream(&bytes)), ("gzip", stream(&gzip(&bytes)))] {
            let read = read(input).unwrap_or_else(|error| panic!("{} {how}: {error}", path.display()));
            let found = compared(inventory(&*read.image));
            assert_eq!(differences(&found, &truth), Vec::<String>::new(), "{} {how}", path.display());
            assert_eq!(read.about.container.unwrap().layers.len(), 3);
        }
    }
}

#[test]
fn what_older_programs_save_is_read() {
    // `docker save` and `podman save` of older versions: folders named by digests, in which a layer may be a link to another.
    let plain = Made::default().file("etc/x", "1").end();
    let digest = Digest::of(&plain);
    let config = format!(r#"{{"os":"linux","architecture":"amd64","rootfs":{{"diff_ids":["{digest}","{digest}"]}}}}"#);
    let named = |digest: Digest| digest.to_string().replace("sha256:", "");
    let (one, two) = ("1".repeat(64), "2".repeat(64));
    let id = named(Digest::of(config.as_bytes()));
    let manifest = format!(r#"[{{"Config":"{id}.json","RepoTags":["karat:1"],"Layers":["{one}/layer.tar","{two}/layer.tar"]}}]"#);
    let bytes = Made::default()
        .directory(&one)
        .entry(&mut Header::new(format!("{one}/layer.tar").as_bytes(), b'0', plain.len() as u64), &plain)
        .link(&format!("{two}/layer.tar"), &format!("../{one}/layer.tar"))
        .file(&format!("{id}.json"), &config)
        .file("manifest.json", &manifest)
        .end();
    for input in [device(&bytes), stream(&bytes), stream(&gzip(&bytes))] {
        let read = read(input).unwrap();
        assert_eq!(text(&*read.image, "/etc/x"), "1");
        assert_eq!(read.about.container.unwrap().name.as_deref(), Some("karat:1"));
    }
    // A layer that is not there, and a path that would lead out.
    for wrong in ["3/layer.tar", "../../etc/passwd", "/etc/passwd"] {
        let other = manifest.replace(&format!("{two}/layer.tar"), wrong);
        let bytes = Made::default().file(&format!("{id}.json"), &config).file("manifest.json", &other).end();
        assert!(read(device(&bytes)).is_err(), "{wrong}");
    }
    // A root file system may have a file of that name.
    let bytes = Made::default().file("manifest.json", r#"{"name":"app"}"#).file("etc/x", "1").end();
    assert_eq!(text(&*read(device(&bytes)).unwrap().image, "/etc/x"), "1");
}
