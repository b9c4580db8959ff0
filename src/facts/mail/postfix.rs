//! Where Postfix listens: the `inet` services of `master.cf` that take mail, at their own address or at those of `inet_interfaces`.

use super::Listener;
use crate::facts::{Fact, Unreadable};
use crate::image::Rootfs;
use crate::path::{ImagePath, printable};
use crate::syntax::postfix::{Parameter, expand, parameters, services};

const MAIN: &str = "/etc/postfix/main.cf";
const MASTER: &str = "/etc/postfix/master.cf";
/// The programs that take mail from the network.
const TAKES_MAIL: [&str; 3] = ["smtpd", "postscreen", "qmqpd"];
/// Built in (`postconf -d`), where other values may name it.
const DEFAULTS: [(&str, &str); 4] =
    [("inet_interfaces", "all"), ("proxy_interfaces", ""), ("inet_protocols", "all"), ("multi_instance_directories", "")];

pub(super) fn listeners(root: Rootfs<'_>) -> (ImagePath, Fact<Vec<Listener>>) {
    (ImagePath::new(MAIN), read(root))
}

fn content(root: Rootfs<'_>, path: &ImagePath) -> Fact<Vec<u8>> {
    match root.read(path) {
        Ok(content) => Ok(content),
        // Postfix does not start without its files, so it listens nowhere.
        Err(error) if error.is_absent() => Ok(Vec::new()),
        Err(error) => Err(Unreadable::reading(path, &error)),
    }
}

fn read(root: Rootfs<'_>) -> Fact<Vec<Listener>> {
    let (main, master) = (ImagePath::new(MAIN), ImagePath::new(MASTER));
    let parameters = parameters(&content(root, &main)?);
    let of = |name: &str| parameters.iter().rfind(|parameter| parameter.name == name);
    let lookup = |name: &str| {
        let default = || DEFAULTS.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        of(name).map(|parameter| parameter.value.clone()).or_else(default)
    };
    if let Some(more) = of("multi_instance_directories").filter(|parameter| !parameter.value.is_empty()) {
        return Err(Unreadable::at_line(&main, more.line, "there are more instances of Postfix, which are not read"));
    }
    let mut found = Vec::new();
    for service in services(&content(root, &master)?) {
        if service.kind != "inet" || !TAKES_MAIL.contains(&service.program.as_str()) {
            continue;
        }
        let what = format!("the service {} of master.cf", printable(service.name.as_bytes()));
        match service.name.rsplit_once(':') {
            Some((host, _)) => {
                let host = expand(host, &lookup).map_err(|why| Unreadable::at_line(&master, service.line, why))?;
                let address = if host.is_empty() { "all".to_owned() } else { printable(host.as_bytes()) };
                found.push(Listener { address, path: master.clone(), line: Some(service.line), because: what });
            }
            None => found.extend(interfaces(&main, of("inet_interfaces"), &lookup, &what)?),
        }
    }
    Ok(found)
}

/// The addresses of `inet_interfaces`.
fn interfaces(
    main: &ImagePath,
    set: Option<&Parameter>,
    lookup: &dyn Fn(&str) -> Option<String>,
    what: &str,
) -> Fact<Vec<Listener>> {
    let line = set.map(|parameter| parameter.line);
    let because = match set {
        Some(_) => format!("inet_interfaces, for {what}"),
        None => format!("inet_interfaces is not set and so all, for {what}"),
    };
    let unknown = |why: String| Unreadable { path: Some(main.clone()), line, reason: format!("inet_interfaces: {why}") };
    let value = expand(&lookup("inet_interfaces").unwrap_or_default(), lookup).map_err(unknown)?;
    let words = value.split([',', ' ', '\t']).filter(|word| !word.is_empty());
    words
        .map(|word| match word {
            word if word.contains('/') => Err(Unreadable {
                path: Some(main.clone()),
                line,
                reason: format!("inet_interfaces: {} is a table", printable(word.as_bytes())),
            }),
            word => Ok(Listener { address: printable(word.as_bytes()), path: main.clone(), line, because: because.clone() }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::MemoryImage;

    const SMTP: &str = "smtp inet n - y - - smtpd\npickup unix n - y 60 1 pickup\n";

    fn found(main: &str, master: &str) -> Fact<Vec<(String, bool)>> {
        let image = MemoryImage::new().file(MAIN, main).file(MASTER, master);
        let found = read(Rootfs::new(&image))?;
        Ok(found.into_iter().map(|one| (one.address.clone(), one.is_loopback())).collect())
    }

    fn one(main: &str) -> (String, bool) {
        found(main, SMTP).unwrap().remove(0)
    }

    #[test]
    fn all_unless_something_else_is_said_last() {
        assert_eq!(one(""), ("all".into(), false));
        assert_eq!(one("inet_interfaces = all\ninet_interfaces =\n  loopback-only\n"), ("loopback-only".into(), true));
        assert_eq!(one("x = 127.0.0.1\ninet_interfaces = $x\n"), ("127.0.0.1".into(), true));
        assert!(found("inet_interfaces = $myhostname\n", SMTP).is_err());
        assert!(found("inet_interfaces = /etc/list\n", SMTP).is_err());
    }

    #[test]
    fn a_service_with_an_address_of_its_own() {
        let master = "127.0.0.1:smtp inet n - y - - smtpd\n[::1]:25 inet n - y - - smtpd\n:587 inet n - y - - smtpd\n";
        let wanted = [("127.0.0.1", true), ("[::1]", true), ("all", false)].map(|(address, local)| (address.to_owned(), local));
        assert_eq!(found("", master).unwrap(), wanted);
    }

    #[test]
    fn without_a_service_that_takes_mail_nothing_listens() {
        assert!(found("", "#smtp inet n - y - - smtpd\nscache unix - - y - 1 scache\n").unwrap().is_empty());
    }
}
