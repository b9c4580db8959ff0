//! The program as its user sees it.

/// Console transcripts: what is typed, what comes, with which exit code. `TRYCMD=overwrite cargo test` writes them anew.
#[test]
fn transcripts() {
    let cases = trycmd::TestCases::new();
    for name in ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"] {
        cases.env(name, "");
    }
    cases.case("tests/cmd/*.md");
}
