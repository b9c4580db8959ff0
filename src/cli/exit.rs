//! The way out: three exit codes and never another one, whatever happens inside.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::Mutex;

use crate::gate::Exit;

/// Where the last panic was: the hook knows it, the unwinding does not carry it.
static PANICKED_AT: Mutex<Option<String>> = Mutex::new(None);

/// Runs, and makes of a panic what it is for whoever reads the exit code: no verdict. (The runtime's own code for a panic is 101.)
///
/// A panic while one rule is judged never comes here: it leaves that finding unknown. So the hook only takes note.
pub(super) fn guarded(run: impl FnOnce() -> Exit) -> Exit {
    set_hook(Box::new(|panic| {
        if let (Ok(mut place), Some(location)) = (PANICKED_AT.lock(), panic.location()) {
            *place = Some(location.to_string());
        }
    }));
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let place = PANICKED_AT.lock().ok().and_then(|place| place.clone()).unwrap_or_default();
        let _ = writeln!(
            std::io::stderr(),
            "error: karat itself failed, so there is no verdict: {}\n  at {place}, karat {}; please report it: {}/issues",
            text.unwrap_or("no message"),
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_REPOSITORY"),
        );
        Exit::NoVerdict
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_no_verdict() {
        assert_eq!(guarded(|| panic!("on purpose")), Exit::NoVerdict);
        let _ = std::panic::take_hook();
    }
}
