//! The program: see [`karat::cli`].
fn main() -> std::process::ExitCode {
    karat::cli::main()
}
