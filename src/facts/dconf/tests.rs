use super::*;
use crate::facts::Target;
use crate::image::MemoryImage;

/// `[org/x]` with `b`, `i`, `list`, `s`, `u`, and a lock of `b`.
fn compiled() -> Vec<u8> {
    let digits: Vec<u32> = include_str!("../../syntax/gvdb.hex").chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn dconf(image: &MemoryImage) -> Dconf {
    let today = jiff::civil::date(2026, 1, 1);
    gather(&Facts::none(Target::image(Rootfs::new(image), today))).unwrap()
}

fn source(image: MemoryImage) -> MemoryImage {
    image
        .file("/etc/dconf/db/local", compiled())
        .file("/etc/dconf/db/local.d/00-x", "[org/x]\nb=true\ni=900\nlist=[\"a\"]\ns='two\\nlines'\nu=uint32 900\n")
}

const PROFILE: &str = "user-db:user\nsystem-db:local # ours\n";

#[test]
fn the_compiled_value_counts_and_the_key_file_is_where_to_look() {
    let image = source(MemoryImage::new()).file("/etc/dconf/profile/user", PROFILE);
    let found = dconf(&image).in_force("user", "/org/x/u").unwrap();
    assert_eq!((found.value.as_deref(), found.locked), (Some("uint32 900"), false));
    assert_eq!((found.place.0.to_string().as_str(), found.place.1), ("/etc/dconf/db/local.d/00-x", Some(6)));
    assert!(dconf(&image).in_force("user", "/org/x/b").unwrap().locked);
}

#[test]
fn a_variable_gives_users_another_profile() {
    let image = source(MemoryImage::new()).file("/etc/dconf/profile/user", PROFILE);
    let image = image.file("/etc/environment", "# DCONF_PROFILE=x\n");
    assert!(dconf(&image).in_force("user", "/org/x/u").is_ok());
    let image = image.file("/etc/profile.d/x.sh", "export DCONF_PROFILE=own\n");
    assert!(dconf(&image).in_force("user", "/org/x/u").is_err() && dconf(&image).in_force("gdm", "/org/x/u").is_ok());
}

#[test]
fn without_a_profile_no_database_counts() {
    let found = dconf(&source(MemoryImage::new())).in_force("user", "/org/x/b").unwrap();
    assert!(found.value.is_none() && !found.locked && found.note.is_some());
}

#[test]
fn a_key_file_that_was_not_compiled_is_not_in_force() {
    let image = MemoryImage::new().file("/etc/dconf/db/local.d/00-x", "[org/x]\nb=true\n");
    let image = image.file("/etc/dconf/db/local.d/locks/x", "/org/x/b\n").file("/etc/dconf/profile/user", PROFILE);
    let found = dconf(&image).in_force("user", "/org/x/b").unwrap();
    assert!(found.value.is_none() && !found.locked && found.note.is_some());
    assert_eq!(found.place.1, Some(2));
    assert_eq!(dconf(&image).databases()[0].1.as_ref().unwrap().len(), 1);
}

#[test]
fn the_lowest_lock_decides_which_databases_are_asked() {
    // Both say the same of /org/x/b; the lock in the lower one hides the upper.
    let image = source(MemoryImage::new()).file("/etc/dconf/db/site", compiled());
    let image = image.file("/etc/dconf/profile/user", "user-db:user\nsystem-db:local\nsystem-db:site\n");
    let found = dconf(&image).in_force("user", "/org/x/b").unwrap();
    assert_eq!(found.place.0.to_string(), "/etc/dconf/db/site");
}

#[test]
fn a_database_that_is_as_its_key_files_say_has_no_differences_but_for_a_lock_left_out() {
    let found = dconf(&source(MemoryImage::new()));
    let differences = found.databases()[0].1.clone().unwrap();
    let words: Vec<_> = differences.iter().map(|difference| difference.what.as_str()).collect();
    assert_eq!(words, ["/org/sub/ is in no key file", "/org/x/b is in no key file"]);
}

#[test]
fn debians_login_screen_is_compiled_at_every_start() {
    let image =
        MemoryImage::new().file("/usr/share/dconf/profile/gdm", "user-db:user\nfile-db:/var/lib/gdm3/greeter-dconf-defaults\n");
    let image = image.file("/etc/gdm3/greeter.dconf-defaults", "[org/gnome/login-screen]\nbanner-message-enable=true\n");
    let image = image.link("/usr/share/gdm/dconf/90-debian-settings", "/etc/gdm3/greeter.dconf-defaults");
    let key = "/org/gnome/login-screen/banner-message-enable";
    assert_eq!(dconf(&image).in_force("gdm", key).unwrap().value, None, "nothing compiles it");
    let image = image.file("/usr/share/gdm/generate-config", "");
    assert_eq!(dconf(&image).in_force("gdm", key).unwrap().value.as_deref(), Some("true"));
}

#[test]
fn one_bad_key_file_and_nothing_is_known_of_what_would_be_compiled() {
    let image = source(MemoryImage::new()).file("/etc/dconf/db/local.d/99-x", "[org/x]\nword\n");
    assert!(dconf(&image).databases()[0].1.is_err());
}
