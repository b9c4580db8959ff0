//! `zipl.conf(5)`: the boot loader of s390x.

use super::grub::Kernel;

/// The arguments of every section: `parameters = "root=/dev/dasda1 audit=1"`.
#[must_use]
pub fn parse(content: &[u8]) -> Vec<Kernel> {
    let lines = (1..).zip(content.split(|&byte| byte == b'\n'));
    let kernels = lines.filter_map(|(line, text)| {
        let text = String::from_utf8_lossy(text);
        let (key, value) = text.split_once('=')?;
        (key.trim() == "parameters").then(|| Kernel {
            line,
            arguments: value.trim().trim_matches(['"', '\'']).split_ascii_whitespace().map(str::to_owned).collect(),
        })
    });
    kernels.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_has_its_own() {
        let content = b"[defaultboot]\ndefault = a\n[a]\ntarget = /boot\nparameters = \"root=/dev/x audit=1\"\n[b]\n#parameters=y\nparameters=root=/dev/x\n";
        let found = parse(content);
        let found: Vec<_> = found.iter().map(|kernel| (kernel.line, kernel.arguments.join(" "))).collect();
        assert_eq!(found, [(5, "root=/dev/x audit=1".to_owned()), (8, "root=/dev/x".to_owned())]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
            let _ = parse(&content);
        }
    }
}
