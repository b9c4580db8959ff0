//! Kernel parameters.

use super::matcher::matched;
use super::{Kind, Observed, unknown};
use crate::facts::sysctl::{Setting, combination, default_of, proc_path};
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome, Status};
use crate::path::{ImagePath, printable};
use crate::syntax::sysctl::normalise;

matched! {
    /// A kernel parameter, as it is set at boot by `sysctl.d(5)` (and by ufw, where that runs).
    ///
    /// What nothing sets is absent, whatever the kernel's own default: that may differ from kernel to kernel. On a running machine
    /// the value in `/proc/sys` has to fit as well. For `net.ipv4.conf.all` and `.default` (and IPv6's) a line for a single interface that
    /// undoes the value counts too, as far as the kernel lets it.
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
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let key = normalise(self.key.as_bytes());
        let mut outcomes = vec![self.configured(facts, &key)];
        outcomes.extend(self.interfaces(facts, &key));
        outcomes.extend(self.running(facts, &key));
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

    /// Lines for single interfaces that undo what is set for all.
    fn interfaces(&self, facts: &Facts<'_>, key: &[u8]) -> Vec<Outcome> {
        let Ok(sysctl) = facts.sysctl() else { return Vec::new() };
        let number = |key: &[u8]| {
            let setting = sysctl.configured(key).ok().flatten();
            number_of(setting.as_ref().map(|setting| setting.value.as_str()).or(default_of(key))?)
        };
        let mut all: Vec<&[u8]> = key.split(|&byte| byte == b'/').collect();
        if let Some(scope) = all.get_mut(3) {
            *scope = b"all";
        }
        let all = number(&all.join(&b'/')).unwrap_or_default();
        let routes = number(b"net/ipv4/ip_forward").is_some_and(|value| value != 0);
        let combination = combination(key, routes);
        let mut outcomes = Vec::new();
        for setting in sysctl.of_interfaces(key) {
            let Some(own) = number_of(&setting.value) else { continue };
            let effective = combination.of(all, own);
            // The stricter of two values stays where the larger counts: an interface can only add to what is set for all.
            let adds = effective >= all && combination == crate::facts::sysctl::Combination::Max;
            let outcome = self.matcher().judge(Some(&observed(&effective.to_string())), place(&setting));
            if outcome.status == Status::Fail && !adds {
                let because = format!("{} gets this beside the value for all", setting.key);
                outcomes.push(Outcome::fail(outcome.evidence.into_iter().map(|seen| seen.because(because.clone())).collect()));
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
            Ok(found) => Outcome::all(
                found
                    .iter()
                    .map(|file| match &file.content {
                        Ok(content) => {
                            let words: Vec<&[u8]> =
                                content.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
                            self.matcher().judge(Some(&observed(&printable(&words.join(&b' ')))), place.clone())
                        }
                        Err(unreadable) => unknown(unreadable),
                    })
                    .collect(),
            ),
            Err(unreadable) => unknown(&unreadable),
        })
    }
}

/// The winner's place, and why it wins.
fn place(setting: &Setting) -> Evidence {
    let place = Evidence::at(&setting.path).line(setting.line);
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

/// The number the kernel makes of a value: the first word, decimal, `0x` hexadecimal or `0` octal (`proc_get_long`, base 0).
fn number_of(value: &str) -> Option<i64> {
    let word = value.split(' ').next()?;
    let (negative, digits) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hexadecimal) => i64::from_str_radix(hexadecimal, 16).ok()?,
        None if digits.len() > 1 && digits.starts_with('0') => i64::from_str_radix(digits, 8).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { -number } else { number })
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
    fn numbers_are_what_the_kernel_makes_of_them() {
        assert_eq!(
            [number_of("0x10"), number_of("010"), number_of("-1 9"), number_of("no")],
            [Some(16), Some(8), Some(-1), None]
        );
    }

    #[test]
    fn a_pattern_is_no_key() {
        let check: Sysctl = toml::from_str("key = 'net.ipv4.conf.*.rp_filter'\nequals = 1\n").unwrap();
        assert!(check.flaw().is_some());
    }
}
