//! Several benchmarks in one scan: a document of the system, and baselines beside it.

use super::{Benchmark, Level};
use crate::finding::BesideInfo;

/// Why two benchmarks cannot be judged in one scan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BesideError {
    /// Both have a control of this number, and reports tell controls apart by their numbers.
    #[error("{first} and {second} both have a control '{control}', so that one scan cannot hold both: judge the image twice")]
    SameControl {
        /// The benchmark that is there.
        first: String,
        /// The one beside it.
        second: String,
        /// The control.
        control: String,
    },
    /// The same benchmark twice.
    #[error("{0} is judged already")]
    Twice(String),
}

/// Judges `other` beside `main`: its controls come after, and keep its name. Its values, changes and severities are as they were; level and
/// profile are asked for once. A profile that `other` does not have is its usual one.
///
/// # Errors
/// See [`BesideError`].
pub fn beside(main: &mut Benchmark, other: Benchmark) -> Result<(), BesideError> {
    if main.id == other.id || main.beside.iter().any(|known| known.id == other.id) {
        return Err(BesideError::Twice(other.id));
    }
    if let Some(control) = other.control.iter().find(|control| main.control.iter().any(|known| known.id == control.id)) {
        return Err(BesideError::SameControl { first: main.id.clone(), second: other.id.clone(), control: control.id.clone() });
    }
    let usual = other.profiles.first().cloned().unwrap_or_default();
    let unknown: Vec<&String> = main.profiles.iter().filter(|profile| !other.profiles.contains(profile)).collect();
    main.beside.push(BesideInfo {
        id: other.id.clone(),
        title: other.title,
        version: other.version,
        controls: other.control.len() as u64,
    });
    for mut control in other.control {
        if let Level::ByProfile(levels) = &mut control.level
            && let Some(level) = levels.get(&usual).copied()
        {
            levels.extend(unknown.iter().map(|&profile| (profile.clone(), level)));
        }
        control.origin.get_or_insert_with(|| other.id.clone());
        control.beside = Some(other.id.clone());
        main.control.push(control);
    }
    main.changes.extend(other.changes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::{Choice, select, shipped};
    use crate::rule;

    #[test]
    fn a_baseline_beside_a_document_keeps_its_name_and_its_values() {
        let mut main = shipped::benchmark("cis-debian-12").unwrap();
        let own = main.control.len();
        beside(&mut main, shipped::benchmark("golden-image").unwrap()).unwrap();
        let selected =
            select(&main, &rule::shipped::rules(), &Choice { profile: Some("workstation".into()), ..Choice::default() });
        let selected = selected.unwrap();
        let info = &selected.info;
        assert_eq!((info.id.as_str(), info.beside[0].id.as_str()), ("cis-debian-12", "golden-image"));
        assert_eq!(info.controls, own as u64 + info.beside[0].controls);
        let machine_id = selected.controls.iter().find(|selected| selected.control.id == "identity.machine-id").unwrap();
        assert_eq!(machine_id.control.beside.as_deref(), Some("golden-image"));
    }

    #[test]
    fn two_documents_with_the_same_numbers_are_refused() {
        let mut main = shipped::benchmark("cis-debian-12").unwrap();
        let error = beside(&mut main, shipped::benchmark("cis-debian-13").unwrap()).unwrap_err();
        assert!(matches!(error, BesideError::SameControl { .. }), "{error}");
        let error = beside(&mut main, shipped::benchmark("cis-debian-12").unwrap()).unwrap_err();
        assert_eq!(error, BesideError::Twice("cis-debian-12".into()));
    }
}
