//! How old the newest package is.

use jiff::civil::{Date, date};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Kind;
use crate::facts::packages::Family;
use crate::facts::{FactId, Facts, Needs, Unreadable};
use crate::finding::{Evidence, Outcome};
use crate::path::ImagePath;

/// When a package was installed last: as rpm recorded it, or as the lists of dpkg were written (`info/*.list`).
///
/// Judged by the day of the scan.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NewestPackage {
    /// So many days ago at most.
    pub at_most_days: i64,
}

/// What dpkg writes when it unpacks a package.
const LISTS: &str = "/var/lib/dpkg/info/*.list";
/// apk's database, which is written whenever anything changes.
const APK: &str = "/lib/apk/db/installed";
const SECONDS_A_DAY: i64 = 86_400;

impl Kind for NewestPackage {
    fn needs(&self, facts: &Facts<'_>, needs: &mut Needs) {
        needs.fact(FactId::Packages);
        match facts.packages().map(|packages| packages.family) {
            Ok(Family::Dpkg) => needs.files(LISTS),
            Ok(Family::Apk) => needs.files(APK),
            _ => {}
        }
    }

    fn verdict(&self, facts: &Facts<'_>) -> Result<Outcome, Unreadable> {
        let (what, path, seconds) = newest(facts)?;
        let day = seconds.div_euclid(SECONDS_A_DAY);
        let age = day_of(facts.target().today) - day;
        let expected = format!("at most {} days", self.at_most_days);
        let evidence = Evidence::at(&path).found(format!("{what} was installed {age} days before the scan")).expected(expected);
        if age < -1 {
            return Ok(Outcome::unknown(
                "the newest package was installed after the day of the scan: one of the clocks is wrong",
                vec![evidence],
            ));
        }
        Ok(Outcome::decide(age <= self.at_most_days, vec![evidence]))
    }

    fn flaw(&self) -> Option<String> {
        (self.at_most_days < 0).then(|| "a number of days is not below 0".into())
    }
}

fn day_of(today: Date) -> i64 {
    date(1970, 1, 1).until(today).map_or(0, |span| i64::from(span.get_days()))
}

/// The name of the newest, where that is said, and when it was installed.
fn newest(facts: &Facts<'_>) -> Result<(String, ImagePath, i64), Unreadable> {
    let packages = facts.packages()?;
    let found = match packages.family {
        // Keys are kept as packages, and say nothing of software.
        Family::Rpm => {
            let dated = packages.installed.iter().filter(|package| package.name != "gpg-pubkey");
            let dated =
                dated.filter_map(|package| Some((package.installed_at?, package.name.clone(), packages.database.clone())));
            dated.max_by_key(|(at, ..)| *at)
        }
        Family::Dpkg | Family::Apk => {
            let pattern = if packages.family == Family::Dpkg { LISTS } else { APK };
            let files = facts.files(pattern)?.iter().filter_map(|state| state.leads_to.as_ref().ok());
            let newest = files.max_by_key(|(_, metadata)| metadata.mtime);
            newest.map(|(path, metadata)| {
                let name = String::from_utf8_lossy(path.file_name()).trim_end_matches(".list").to_owned();
                (metadata.mtime, if packages.family == Family::Dpkg { name } else { "a package".to_owned() }, path.clone())
            })
        }
    };
    let (at, name, path) =
        found.ok_or_else(|| Unreadable::at(&packages.database, "when packages were installed is not recorded"))?;
    Ok((name, path, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!((day_of(date(1970, 1, 2)), day_of(date(2026, 1, 15))), (1, 20_468));
    }
}
