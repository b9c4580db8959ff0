//! With which algorithm `pam_unix` hashes a new password.

/// Arguments that name an algorithm (`unix_args` in `support.h`). Each takes the others away, so that the last counts; what stands behind
/// the name is not looked at.
const ALGORITHMS: [&str; 8] = ["md5", "bigcrypt", "sha256", "sha512", "blowfish", "des", "gost_yescrypt", "yescrypt"];

/// The last algorithm among the arguments.
pub(super) fn last(arguments: &[String]) -> Option<&'static str> {
    let named = |argument: &String| ALGORITHMS.into_iter().find(|algorithm| argument.starts_with(algorithm));
    arguments.iter().rev().find_map(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_counts() {
        let last = |text: &str| last(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(last("obscure yescrypt md5 rounds=5"), Some("md5"));
        assert_eq!(last("md5 sha512"), Some("sha512"));
        assert_eq!(last("debug shadow"), None);
    }
}
