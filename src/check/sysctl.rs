//! Kernel parameters.

use std::collections::BTreeMap;

use super::matcher::matched;
use super::{Kind, Observed, unknown};
use crate::facts::sysctl::{Scoped, Setting, combination, default_of, number_of, proc_path};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome, Status};
use crate::path::{ImagePath, printable};
use crate::syntax::sysctl::normalise;

matched! {
    /// A kernel parameter, as it is set at boot by `sysctl.d(5)` (and by ufw, where that runs).
    ///
    /// What nothing sets is absent, whatever the kernel's own default: that may differ from kernel to kernel. On a running machine
    /// the value in `/proc/sys` has to fit as well. For `net.ipv4.conf.all` and `.default` (and IPv6's, and `net.ipv4.ip_forward`) a line for a
    /// single interface, or beside `all` for `default`, that undoes the value counts too, as far as the kernel lets it; so does what the
    /// interfaces of a running machine have.
    pub struct Sysctl {
        /// The parameter, such as `net.ipv4.ip_forward`.
        pub key: String,
        /// Whether the kernel's own default counts, where nothing sets the parameter and karat knows the default.
        #[serde(default)]
        pub default_counts: bool,
    }
}

impl Kind for Sysctl {
    fn needs(&self, _: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Sysctl);
        needs.running(proc_path(self.key.as_bytes()).to_string());
        let key = normalise(self.key.as_bytes());
        if let Some(parameter) = Scoped::of(&key).filter(|found| found.scope == b"all") {
            needs.running(in_every_scope(&parameter));
            if let Some(beside) = parameter.companion() {
                needs.running(in_every_scope(&beside));
            }
        }
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let key = normalise(self.key.as_bytes());
        let mut outcomes = vec![self.configured(facts, &key)];
        outcomes.extend(self.interfaces(facts, &key));
        if let Some(running) = self.running(facts, &key) {
            outcomes.push(running);
            outcomes.extend(self.running_interfaces(facts, &key));
        }
        Ok(Outcome::all(outcomes))
    }

    fn flaw(&self) -> Option<String> {
        if self.key.is_empty() || self.key.contains(['*', '?', '[', '=', ' ']) {
            return Some("'key' is the name of one parameter, such as net.ipv4.ip_forward".into());
        }
        self.matcher().flaw()
    }
}

impl Sysctl {
    /// What is set at boot.
    fn configured(&self, facts: &Facts<'_>, key: &[u8]) -> Outcome {
        let setting = facts.sysctl().and_then(|sysctl| Ok((sysctl, sysctl.configured(key)?)));
        let (sysctl, setting) = match setting {
            Ok(known) => known,
            Err(unreadable) => return unknown(&unreadable),
        };
        let Some(setting) = setting else {
            let default = default_of(key);
            let place = match (sysctl.unapplied(key), &sysctl.stopped) {
                (_, Some(stopped)) => Evidence::at(stopped.path.as_ref().unwrap_or(&ImagePath::root())).because(&stopped.reason),
                (Some(unapplied), None) => Evidence::at(&unapplied.path)
                    .line(unapplied.line)
                    .because("no file of sysctl.d leads to /etc/sysctl.conf, so that nothing applies it at boot"),
                (None, None) => Evidence::at(&ImagePath::new("/etc/sysctl.d")).because(default.map_or_else(
                    || "nothing sets it at boot".to_owned(),
                    |value| {
                        format!("nothing sets it at boot; the kernel's own default is {value}, unless it was built otherwise")
                    },
                )),
            };
            let observed = default.filter(|_| self.default_counts).map(observed);
            return self.matcher().judge(observed.as_ref(), place);
        };
        self.matcher().judge(Some(&observed(&setting.value)), place(&setting))
    }

    /// Lines for single interfaces, or for those to come, that undo what is set for all.
    fn interfaces(&self, facts: &Facts<'_>, key: &[u8]) -> Vec<Outcome> {
        let Ok(sysctl) = facts.sysctl() else { return Vec::new() };
        // What the very line says that sets the value for all is judged already.
        let all = sysctl.configured(key).ok().flatten();
        let is_same = |setting: &Setting| all.as_ref().is_some_and(|all| (&all.path, all.line) == (&setting.path, setting.line));
        let mut outcomes = Vec::new();
        for found in sysctl.interfaces(key).into_iter().filter(|found| !is_same(&found.setting)) {
            let outcome = self.matcher().judge(Some(&observed(&found.value.to_string())), place(&found.setting));
            if outcome.status == Status::Fail && !found.only_adds {
                let because = format!("{} gets this beside the value for all", found.setting.key);
                outcomes.push(Outcome::fail(outcome.evidence.into_iter().map(|seen| seen.because(because.clone())).collect()));
            }
        }
        outcomes
    }

    /// What the interfaces of the running machine come to.
    fn running_interfaces(&self, facts: &Facts<'_>, key: &[u8]) -> Vec<Outcome> {
        let Some(parameter) = Scoped::of(key).filter(|found| found.scope == b"all") else { return Vec::new() };
        let values = |parameter: &Scoped<'_>| numbers(facts, &in_every_scope(parameter));
        let (own, beside) = match (values(&parameter), parameter.companion().map(|beside| values(&beside)).transpose()) {
            (Ok(own), Ok(beside)) => (own, beside.unwrap_or_default()),
            (Err(unreadable), _) | (_, Err(unreadable)) => return vec![unknown(&unreadable)],
        };
        let all = own.get("all").map_or(0, |(value, _)| *value);
        let mut outcomes = Vec::new();
        for (name, (value, path)) in &own {
            // Nothing from outside comes in through the loopback interface.
            if matches!(name.as_str(), "all" | "default" | "lo") {
                continue;
            }
            let is_set_beside = beside.get(name).is_some_and(|(value, _)| *value != 0);
            let combination = combination(key, is_set_beside);
            let is_forced = is_set_beside && parameter.family == b"ipv6";
            let value = combination.of(all, if is_forced { 1 } else { *value });
            let place = Evidence::at(path).because("the running kernel has this for the interface, beside the value for all");
            let outcome = self.matcher().judge(Some(&observed(&value.to_string())), place);
            if outcome.status == Status::Fail && !combination.only_adds() {
                outcomes.push(outcome);
            }
        }
        outcomes
    }

    /// What the running kernel has.
    fn running(&self, facts: &Facts<'_>, key: &[u8]) -> Option<Outcome> {
        let path = proc_path(key);
        let place = Evidence::at(&path).because("the running kernel");
        Some(match facts.running_contents(&path.to_string())? {
            Ok([]) => self.matcher().judge(None, place),
            Ok(found) => Outcome::all(found.iter().map(|file| match &file.content {
                Ok(content) => {
                    let words: Vec<&[u8]> = content.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
                    self.matcher().judge(Some(&observed(&printable(&words.join(&b' ')))), place.clone())
                }
                Err(unreadable) => unknown(unreadable),
            })),
            Err(unreadable) => unknown(&unreadable),
        })
    }
}

/// The winner's place, and why it wins.
fn place(setting: &Setting) -> Evidence {
    let place = Evidence::at(&setting.path).line(setting.line);
    if let Some(parameter) = &setting.along_with {
        return place.because(format!("writing this sets {parameter} as well"));
    }
    let Some((path, line)) = &setting.overrides else {
        return if setting.applied_by == "ufw" { place.because("ufw applies it when it starts") } else { place };
    };
    let why = match setting.applied_by {
        "ufw" => "because ufw applies its file later",
        _ if *path == setting.path => "because the last line wins",
        _ => "because the last file by name wins",
    };
    place.because(format!("overrides {path}:{line}, {why}"))
}

fn observed(value: &str) -> Observed {
    Observed::new(value).with_number(number_of(value))
}

/// The pattern that a parameter has in `/proc/sys` for all interfaces, `all` and `default`.
fn in_every_scope(parameter: &Scoped<'_>) -> String {
    proc_path(&parameter.in_scope(b"*")).to_string()
}

/// The numbers in the files of such a pattern, by interface.
fn numbers(facts: &Facts<'_>, pattern: &str) -> Result<BTreeMap<String, (i64, ImagePath)>, Unreadable> {
    let mut found = BTreeMap::new();
    for file in facts.running_contents(pattern).transpose()?.unwrap_or_default() {
        // /proc/sys/net/ipv4/conf/NAME/…
        let Some(name) = file.path.components().nth(5).map(printable) else { continue };
        let content = file.content.as_ref().map_err(Clone::clone)?;
        let Some(value) = number_of(&printable(content.trim_ascii())) else { continue };
        found.insert(name, (value, file.path.clone()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Target;
    use crate::image::{MemoryImage, Rootfs};

    fn judge(check: &str, image: &MemoryImage, running: Option<&MemoryImage>) -> Outcome {
        let check: Sysctl = toml::from_str(check).unwrap();
        assert_eq!(check.flaw(), None);
        let mut target = Target::image(Rootfs::new(image), jiff::civil::date(2026, 1, 1));
        target.running = running.map(|running| Rootfs::new(running));
        check.evaluate(&Facts::gather(target, |facts, needs| check.needs(facts, needs)))
    }

    const ALL: &str = "key = 'net.ipv4.conf.all.accept_redirects'\nequals = 0\n";

    #[test]
    fn the_evidence_names_what_is_overridden() {
        let image = MemoryImage::new().file("/etc/sysctl.d/10.conf", "a.b=1\n").file("/etc/sysctl.d/20.conf", "a.b=0\n");
        let outcome = judge("key = 'a.b'\nequals = 0\n", &image, None);
        assert_eq!(outcome.status, Status::Pass);
        let because = outcome.evidence[0].because.as_deref();
        assert_eq!(because, Some("overrides /etc/sysctl.d/10.conf:1, because the last file by name wins"));
    }

    #[test]
    fn a_line_for_one_interface_undoes_the_value_for_all_on_a_host_but_not_on_a_router() {
        let host = "net.ipv4.conf.all.accept_redirects=0\nnet.ipv4.conf.eth0.accept_redirects=1\n";
        let image = MemoryImage::new().file("/etc/sysctl.d/a.conf", host);
        let outcome = judge(ALL, &image, None);
        assert_eq!((outcome.status, outcome.evidence[0].line), (Status::Fail, Some(2)));
        let image = MemoryImage::new().file("/etc/sysctl.d/a.conf", format!("{host}net.ipv4.ip_forward=1\n"));
        assert_eq!(judge(ALL, &image, None).status, Status::Pass);
    }

    #[test]
    fn a_pattern_that_only_adds_to_the_value_for_all_is_no_failure() {
        let text = "net.ipv4.conf.*.rp_filter=2\nnet.ipv4.conf.all.rp_filter=1\n";
        let image = MemoryImage::new().file("/etc/sysctl.d/a.conf", text);
        assert_eq!(judge("key = 'net.ipv4.conf.all.rp_filter'\nequals = 1\n", &image, None).status, Status::Pass);
    }

    #[test]
    fn a_default_counts_only_if_the_rule_says_so() {
        let check = "key = 'kernel.randomize_va_space'\nequals = 2\n";
        assert_eq!(judge(check, &MemoryImage::new(), None).status, Status::Fail);
        let check = format!("{check}default-counts = true\n");
        assert_eq!(judge(&check, &MemoryImage::new(), None).status, Status::Pass);
    }

    #[test]
    fn a_running_machine_has_to_have_the_value_too() {
        let image = MemoryImage::new().file("/etc/sysctl.d/a.conf", "kernel.printk = 3 4 1 3\n");
        let check = "key = 'kernel.printk'\nequals = '3 4 1 3'\n";
        let running = |value: &str| MemoryImage::new().file("/proc/sys/kernel/printk", value);
        assert_eq!(judge(check, &image, Some(&running("3\t4\t1\t3\n"))).status, Status::Pass);
        let outcome = judge(check, &image, Some(&running("7\t4\t1\t3\n")));
        assert_eq!((outcome.status, outcome.evidence[0].path.as_str()), (Status::Fail, "/proc/sys/kernel/printk"));
        assert_eq!(judge(check, &image, Some(&MemoryImage::new())).status, Status::Fail, "the kernel has no such parameter");
        assert_eq!(judge(check, &MemoryImage::new(), Some(&running("3 4 1 3"))).status, Status::Fail, "gone after a boot");
    }

    #[test]
    fn forwarding_on_one_interface_or_on_those_to_come_is_forwarding() {
        for (line, text) in [
            (2, "net.ipv4.ip_forward=0\nnet.ipv4.conf.all.forwarding=1\n"),
            (2, "net.ipv4.ip_forward=0\nnet.ipv4.conf.default.forwarding=1\n"),
            (2, "net.ipv4.ip_forward=0\nnet.ipv4.conf.eth0.forwarding=1\n"),
            (1, "net.ipv4.conf.e*.forwarding=1\nnet.ipv4.ip_forward=0\n"),
        ] {
            let image = MemoryImage::new().file("/etc/sysctl.d/a.conf", text);
            let outcome = judge("key = 'net.ipv4.ip_forward'\nequals = 0\n", &image, None);
            assert_eq!((outcome.status, outcome.evidence[0].line), (Status::Fail, Some(line)), "{text}");
        }
    }

    #[test]
    fn the_interfaces_of_a_running_machine_count() {
        let image = MemoryImage::new().file("/etc/sysctl.d/a.conf", "net.ipv4.ip_forward=0\nnet.ipv6.conf.all.forwarding=0\n");
        let running = |path: &str, value: &str| {
            let zero =
                ["ip_forward", "conf/all/forwarding", "conf/default/forwarding", "conf/lo/forwarding", "conf/eth0/forwarding"];
            let paths = zero.map(|path| format!("/proc/sys/net/ipv4/{path}"));
            let ipv6 = ["all/forwarding", "eth0/forwarding", "eth0/force_forwarding"]
                .map(|path| format!("/proc/sys/net/ipv6/conf/{path}"));
            let quiet = paths.iter().chain(&ipv6).fold(MemoryImage::new(), |image, path| image.file(path, "0\n"));
            quiet.file(path, value)
        };
        let v4 = "key = 'net.ipv4.ip_forward'\nequals = 0\n";
        let own = "/proc/sys/net/ipv4/conf/eth0/forwarding";
        assert_eq!(judge(v4, &image, Some(&running(own, "0\n"))).status, Status::Pass);
        assert_eq!(judge(v4, &image, Some(&running("/proc/sys/net/ipv4/conf/lo/forwarding", "1\n"))).status, Status::Pass);
        let outcome = judge(v4, &image, Some(&running(own, "1\n")));
        assert_eq!((outcome.status, outcome.evidence[0].path.as_str()), (Status::Fail, own));
        let v6 = "key = 'net.ipv6.conf.all.forwarding'\nequals = 0\n";
        assert_eq!(judge(v6, &image, Some(&running(own, "1\n"))).status, Status::Pass);
        for path in ["forwarding", "force_forwarding"] {
            let running = running(&format!("/proc/sys/net/ipv6/conf/eth0/{path}"), "1\n");
            assert_eq!(judge(v6, &image, Some(&running)).status, Status::Fail, "{path}");
        }
    }

    #[test]
    fn a_pattern_is_no_key() {
        let check: Sysctl = toml::from_str("key = 'net.ipv4.conf.*.rp_filter'\nequals = 1\n").unwrap();
        assert!(check.flaw().is_some());
    }
}
