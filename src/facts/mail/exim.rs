//! Where Exim listens: `local_interfaces`, and on Debian what its scripts put there.
//!
//! Debian makes the configuration anew at every start from templates and `update-exim4.conf.conf`, whose `dc_local_interfaces` becomes
//! `local_interfaces`, unless the macro `MAIN_LOCAL_INTERFACES` is set or `/etc/exim4/exim4.conf` is there, which then is all that counts
//! (`update-exim4.conf(8)`). `QUEUERUNNER` of `/etc/default/exim4` says whether there is a listening daemon at all.

use super::Listener;
use crate::facts::{Fact, Unreadable};
use crate::image::Rootfs;
use crate::path::{ImagePath, printable};
use crate::syntax::exim::{list, parse};
use crate::syntax::shell_assignments;

const DEBIAN: &str = "/etc/exim4/update-exim4.conf.conf";
const OWN: &str = "/etc/exim4/exim4.conf";
const DEFAULTS: &str = "/etc/default/exim4";
/// Where the other distributions have it.
const PLAIN: [&str; 3] = ["/etc/exim/exim.conf", "/etc/exim.conf", "/usr/exim/configure"];
/// Where a macro may be set before Debian's own files use it.
const MACROS: [&str; 3] = ["/etc/exim4/exim4.conf.localmacros", "/etc/exim4/conf.d/main/*", "/etc/exim4/exim4.conf.template"];
const MACRO: &str = "MAIN_LOCAL_INTERFACES";

pub(super) fn listeners(root: Rootfs<'_>) -> (ImagePath, Fact<Vec<Listener>>) {
    let debian = [OWN, DEBIAN].map(ImagePath::new);
    let there = |path: &ImagePath| root.exists(path) == Ok(true);
    let [own, made] = debian;
    if there(&own) {
        let found = not_off(root).and_then(|off| if off { Ok(Vec::new()) } else { main_file(root, &own) });
        return (own, found);
    }
    if there(&made) {
        let found = not_off(root).and_then(|off| if off { Ok(Vec::new()) } else { debian_made(root, &made) });
        return (made, found);
    }
    let plain = PLAIN.map(ImagePath::new).into_iter().find(|path| there(path));
    match plain {
        Some(path) => {
            let found = main_file(root, &path);
            (path, found)
        }
        None => (made.clone(), Ok(Vec::new())),
    }
}

fn content(root: Rootfs<'_>, path: &ImagePath) -> Fact<Vec<u8>> {
    match root.read(path) {
        Ok(content) => Ok(content),
        Err(error) if error.is_absent() => Ok(Vec::new()),
        Err(error) => Err(Unreadable::reading(path, &error)),
    }
}

/// Whether `/etc/default/exim4` leaves out the daemon that listens.
fn not_off(root: Rootfs<'_>) -> Fact<bool> {
    let path = ImagePath::new(DEFAULTS);
    let all = shell_assignments::parse(&content(root, &path)?);
    let last = |name: &str| all.iter().rfind(|assignment| assignment.name == name);
    if let Some(options) = last("SMTPLISTENEROPTIONS").filter(|found| found.value.as_deref() != Some("")) {
        return Err(Unreadable::at_line(&path, options.line, "SMTPLISTENEROPTIONS may say where Exim listens, and is not read"));
    }
    for name in ["COMMONOPTIONS", "QUEUERUNNEROPTIONS"] {
        let Some(options) = last(name) else { continue };
        let harmless = |value: &str| !["-oX", "-C", "-D"].iter().any(|option| value.contains(option));
        if !options.value.as_deref().is_some_and(harmless) {
            return Err(Unreadable::at_line(&path, options.line, format!("{name} may say where Exim listens, and is not read")));
        }
    }
    match last("QUEUERUNNER") {
        Some(found) if found.value.is_none() => Err(Unreadable::at_line(&path, found.line, "QUEUERUNNER is computed")),
        Some(found) => Ok(matches!(found.value.as_deref(), Some("queueonly" | "no" | "ppp" | "nodaemon"))),
        None => Ok(false),
    }
}

/// A configuration as it stands.
fn main_file(root: Rootfs<'_>, path: &ImagePath) -> Fact<Vec<Listener>> {
    let content = content(root, path)?;
    let begin = |text: &&[u8]| text.trim_ascii().strip_prefix(b"begin").is_some_and(|rest| rest.starts_with(b" "));
    let mut lines = (1..).zip(content.split(|&byte| byte == b'\n')).take_while(|(_, text)| !begin(text));
    if let Some((line, _)) = lines.find(|(_, text)| text.trim_ascii().starts_with(b".include")) {
        return Err(Unreadable::at_line(path, line, "what it takes in may say where Exim listens, and is not read"));
    }
    let settings = parse(&content);
    let Some(setting) = settings.iter().rfind(|setting| setting.name == "local_interfaces") else {
        return Ok(vec![all(path, None, "local_interfaces is not set")]);
    };
    let is_macro =
        |name: &str| settings.iter().any(|one| one.name == name && name.starts_with(|first: char| first.is_ascii_uppercase()));
    let words = setting.value.split(|one: char| !(one.is_ascii_alphanumeric() || one == '_'));
    if let Some(word) = words.into_iter().find(|word| is_macro(word)) {
        let reason = format!("local_interfaces uses the macro {}, which is not expanded", printable(word.as_bytes()));
        return Err(Unreadable::at_line(path, setting.line, reason));
    }
    Ok(addresses(path, setting.line, &list(&setting.value), "local_interfaces"))
}

/// What Debian's scripts make.
fn debian_made(root: Rootfs<'_>, path: &ImagePath) -> Fact<Vec<Listener>> {
    for pattern in MACROS {
        let files = root.glob(pattern).map_err(|error| Unreadable::at(&ImagePath::new(pattern), error.to_string()))?;
        for file in files {
            let settings = parse(&content(root, &file)?);
            // Debian's own line puts in what the scripts found.
            let own = |value: &str| value.contains("DEBCONF");
            if let Some(setting) = settings.iter().rfind(|setting| setting.name == MACRO && !own(&setting.value)) {
                return Ok(addresses(&file, setting.line, &list(&setting.value), MACRO));
            }
            // Somebody has put addresses in the place of the macro.
            if let Some(setting) = settings.iter().rfind(|setting| setting.name == "local_interfaces" && setting.value != MACRO) {
                return Ok(addresses(&file, setting.line, &list(&setting.value), "local_interfaces"));
            }
        }
    }
    let assignments = shell_assignments::parse(&content(root, path)?);
    match assignments.iter().rfind(|assignment| assignment.name == "dc_local_interfaces") {
        None => Ok(vec![all(path, None, "dc_local_interfaces is not set")]),
        Some(found) => match &found.value {
            None => Err(Unreadable::at_line(path, found.line, "dc_local_interfaces is computed")),
            Some(value) => {
                // Since 2006 the scripts write semicolons; a colon is still taken where there is none.
                let value = if value.contains(';') && !value.starts_with('<') { format!("<;{value}") } else { value.clone() };
                Ok(addresses(path, found.line, &list(&value), "dc_local_interfaces"))
            }
        },
    }
}

fn all(path: &ImagePath, line: Option<u32>, because: &str) -> Listener {
    Listener { address: "all".into(), path: path.clone(), line, because: because.into() }
}

/// An empty list is every address. An item may have a port behind a dot, or behind brackets and a colon.
fn addresses(path: &ImagePath, line: u32, items: &[String], because: &str) -> Vec<Listener> {
    if items.is_empty() {
        return vec![all(path, Some(line), &format!("{because} is empty"))];
    }
    let address = |item: &String| {
        let bare = match item.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((inner, _)) => inner,
            None if item.split('.').count() == 5 => item.rsplit_once('.').map_or(item.as_str(), |(address, _)| address),
            None if item.contains(':') => item.split('.').next().unwrap_or(item),
            None => item,
        };
        Listener { address: printable(bare.as_bytes()), path: path.clone(), line: Some(line), because: because.into() }
    };
    items.iter().map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::MemoryImage;

    fn found(image: &MemoryImage) -> Fact<Vec<(String, bool)>> {
        let (_, found) = listeners(Rootfs::new(image));
        Ok(found?.into_iter().map(|one| (one.address.clone(), one.is_loopback())).collect())
    }

    fn is(address: &str, local: bool) -> Vec<(String, bool)> {
        vec![(address.to_owned(), local)]
    }

    #[test]
    fn debians_own_way() {
        let image = MemoryImage::new().file(DEBIAN, "dc_eximconfig_configtype='local'\ndc_local_interfaces='127.0.0.1 ; ::1'\n");
        assert_eq!(found(&image).unwrap(), [is("127.0.0.1", true), is("::1", true)].concat());
        let image = image.file(MACROS[0], "MAIN_LOCAL_INTERFACES = 10.0.0.1\n");
        assert_eq!(found(&image).unwrap(), is("10.0.0.1", false));
        assert_eq!(found(&image.clone().file(OWN, "begin acl\n")).unwrap(), is("all", false));
        assert!(found(&image.file(DEFAULTS, "QUEUERUNNER='queueonly'\n")).unwrap().is_empty());
    }

    #[test]
    fn what_else_may_say_where_it_listens() {
        let image = MemoryImage::new().file(DEBIAN, "dc_local_interfaces='127.0.0.1 ; ::1'\n");
        let template = ".ifdef MAIN_LOCAL_INTERFACES\nlocal_interfaces = MAIN_LOCAL_INTERFACES\n.endif\n";
        assert!(found(&image.clone().file(MACROS[2], template)).unwrap().iter().all(|(_, local)| *local));
        assert_eq!(found(&image.clone().file(MACROS[2], "local_interfaces = 0.0.0.0\n")).unwrap(), is("0.0.0.0", false));
        assert!(found(&image.clone().file(DEFAULTS, "COMMONOPTIONS='-oX 0.0.0.0::25'\n")).is_err());
        assert!(found(&image.file(DEFAULTS, "COMMONOPTIONS=''\n")).is_ok());
        assert!(found(&MemoryImage::new().file(PLAIN[0], "local_interfaces = 127.0.0.1\n.include /x\n")).is_err());
        assert!(found(&MemoryImage::new().file(PLAIN[0], "local_interfaces = 127.0.0.1\nbegin acl\n.include /x\n")).is_ok());
    }

    #[test]
    fn an_empty_list_is_everything() {
        assert_eq!(found(&MemoryImage::new().file(DEBIAN, "dc_local_interfaces=''\n")).unwrap(), is("all", false));
        assert!(found(&MemoryImage::new().file(DEBIAN, "dc_local_interfaces=$(ip)\n")).is_err());
    }

    #[test]
    fn ports_behind_addresses() {
        let plain = |value: &str| found(&MemoryImage::new().file(PLAIN[0], format!("local_interfaces = {value}\n"))).unwrap();
        assert_eq!(plain("127.0.0.1.25 : [127.0.0.2]::26"), [is("127.0.0.1", true), is("127.0.0.2", true)].concat());
        assert_eq!(plain("<; ::1.25"), is("::1", true));
        let image = MemoryImage::new().file(PLAIN[0], "HERE = 10.0.0.1\nlocal_interfaces = HERE\n");
        assert!(found(&image).is_err());
    }
}
