//! The program as its user sees it.

mod bad_input;
mod determinism;
mod hostile;
mod outputs;
mod secrets;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Console transcripts: what is typed, what comes, with which exit code. `TRYCMD=overwrite cargo test` writes them anew.
#[test]
fn transcripts() {
    let cases = trycmd::TestCases::new();
    for name in ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"] {
        cases.env(name, "");
    }
    cases.case("tests/cmd/*.md");
    cases.case("README.md");
}

/// A directory to work in, with a small root and a pack that does not care who unpacked it.
struct Place {
    directory: tempfile::TempDir,
}

const BANNER: &str = r#"
[[rule]]
id = "login-banner"
title = "The text before a login says who may use the machine"
severity = "high"
line-check-because = "the file is plain text"
params.words = "Authorised"
check.line = { path = "/etc/issue", has = { param = "words" }, when-none = "fail" }

[[rule]]
id = "motd-there"
title = "There is a message of the day"
severity = "low"
check.file = { path = "/etc/motd", exists = true }
"#;

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        place.write("root/etc/os-release", "ID=nonesuch\nVERSION_ID=1\nPRETTY_NAME=\"Nonesuch 1\"\n");
        place.write("root/etc/issue", "Authorised use only\n");
        place.write("root/etc/motd", "hello\n");
        place.write("ours/banner.toml", BANNER);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// What lies in the directory itself, sorted.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn karat(&self, arguments: &str) -> Run {
        karat(self.directory.path(), arguments, &[])
    }
}

/// What a call of the program said.
struct Run {
    code: i32,
    out: String,
    err: String,
}

/// Runs the program in a directory, with nothing of this machine's environment but what is given.
fn karat(directory: &Path, arguments: &str, environment: &[(&str, &str)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_karat"));
    command.current_dir(directory).args(arguments.split_whitespace()).env_clear().envs(environment.iter().copied());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}
