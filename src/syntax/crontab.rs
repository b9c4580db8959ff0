//! `crontab(5)`: of a user, or of the system with the user named in each line.

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Line, from 1.
    pub line: u32,
    /// The most days that lie between two runs; nothing where it does not run again and again.
    pub days: Option<u32>,
    /// Who runs it, in a file of the system.
    pub user: Option<String>,
    /// What is run.
    pub command: String,
    /// What `PATH` was set to before it.
    pub search: Option<String>,
}

/// Every job; settings of the environment and what cron cannot read are left out.
#[must_use]
pub fn parse(content: &[u8], with_user: bool) -> Vec<Entry> {
    let lines = (1..).zip(content.split(|&byte| byte == b'\n'));
    let (mut entries, mut search) = (Vec::new(), None);
    for (line, text) in lines {
        let text = String::from_utf8_lossy(text);
        match path(&text) {
            Some(set) => search = Some(set.to_owned()),
            None => {
                entries.extend(entry(line, text.trim_start(), with_user).map(|entry| Entry { search: search.clone(), ..entry }));
            }
        }
    }
    entries
}

/// The value of a line `PATH = "…"` (`load_env`).
fn path(line: &str) -> Option<&str> {
    let value = line.trim().strip_prefix("PATH")?.trim_start().strip_prefix('=')?.trim();
    let quoted = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    Some(quoted('"').or_else(|| quoted('\'')).unwrap_or(value))
}

fn entry(line: u32, text: &str, with_user: bool) -> Option<Entry> {
    if text.starts_with('#') {
        return None;
    }
    let (days, rest) = if text.starts_with('@') {
        let (word, rest) = text.split_once([' ', '\t'])?;
        let days = match word {
            "@hourly" | "@daily" | "@midnight" => Some(1),
            "@weekly" => Some(7),
            "@monthly" => Some(31),
            "@yearly" | "@annually" => Some(366),
            "@reboot" => None,
            _ => return None,
        };
        (days, rest)
    } else {
        let mut rest = text;
        let mut fields = [""; 5];
        for field in &mut fields {
            (*field, rest) = rest.trim_start().split_once([' ', '\t'])?;
        }
        (Some(gap(fields)?), rest)
    };
    let rest = rest.trim();
    let (user, command) = if with_user {
        let (user, command) = rest.split_once([' ', '\t'])?;
        (Some(user.to_owned()), command.trim())
    } else {
        (None, rest)
    };
    (!command.is_empty()).then(|| Entry { line, days, user, command: command.to_owned(), search: None })
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The most days between two runs. Where day of month and day of week are both limited, either is enough.
fn gap(fields: [&str; 5]) -> Option<u32> {
    let [minute, hour, day, month, weekday] = fields;
    set(minute, 0, 59, &[])?;
    set(hour, 0, 23, &[])?;
    let (days, months, mut weekdays) = (set(day, 1, 31, &[])?, set(month, 1, 12, &MONTHS)?, set(weekday, 0, 7, &WEEKDAYS)?);
    if months.len() < 12 {
        // At least a month lies between.
        return Some(366);
    }
    weekdays.iter_mut().for_each(|day| *day %= 7);
    weekdays.sort_unstable();
    weekdays.dedup();
    let by_day = (!day.starts_with('*')).then(|| widest(&days, 31));
    let by_weekday = (!weekday.starts_with('*')).then(|| widest(&weekdays, 7));
    match (by_day, by_weekday) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (Some(only), None) | (None, Some(only)) => Some(only),
        // Both begin with a star, steps or not: then both have to fit.
        (None, None) => Some(widest(&days, 31).max(widest(&weekdays, 7))),
    }
}

/// The widest gap between numbers that come round after `period`.
fn widest(numbers: &[u32], period: u32) -> u32 {
    let next = numbers.iter().skip(1).copied().chain(numbers.first().map(|first| first + period));
    numbers.iter().zip(next).map(|(one, next)| next.saturating_sub(*one)).max().unwrap_or(period)
}

/// The numbers of a field, sorted; nothing where it is none.
fn set(field: &str, least: u32, most: u32, names: &[&str]) -> Option<Vec<u32>> {
    let number = |text: &str| {
        let named = names.iter().position(|name| text.eq_ignore_ascii_case(name)).and_then(|at| u32::try_from(at).ok());
        named.map(|at| at + least).or_else(|| text.parse().ok()).filter(|number| (least..=most).contains(number))
    };
    let mut all = Vec::new();
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)?),
            None => (part, 1_usize),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (number(from)?, number(to)?),
            None => number(range).map(|one| (one, one))?,
        };
        if from > to {
            return None;
        }
        all.extend((from..=to).step_by(step));
    }
    all.sort_unstable();
    all.dedup();
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(schedule: &str) -> Option<u32> {
        parse(format!("{schedule} root x\n").as_bytes(), true).remove(0).days
    }

    #[test]
    fn how_often_a_job_runs() {
        assert_eq!(days("5 4 * * *"), Some(1));
        assert_eq!(days("5 4 * * 3"), Some(7));
        assert_eq!(days("5 4 * * mon-tue"), Some(6));
        assert_eq!(days("5 4 1 * *"), Some(31));
        assert_eq!(days("5 4 1 * 0,7"), Some(7), "either is enough");
        assert_eq!(days("5 4 */2 * *"), Some(2), "the 31st is followed by the 1st");
        assert_eq!(days("5 4 * 2 *"), Some(366));
        assert_eq!((days("@weekly"), days("@reboot")), (Some(7), None));
    }

    #[test]
    fn settings_comments_and_mistakes_are_no_jobs() {
        let jobs = parse(b"SHELL=/bin/sh\n# 1 1 * * * root x\n61 1 * * * root y\n\n 1 1 * * * root  aide --check # all\n", true);
        let jobs: Vec<_> = jobs.iter().map(|job| (job.line, job.user.as_deref(), job.command.as_str())).collect();
        assert_eq!(jobs, [(5, Some("root"), "aide --check # all")]);
        assert_eq!(parse(b"1 1 * * * aide --check\n", false)[0].user, None);
        let found = parse(b"1 1 * * * a\n PATH = '/x:/y'\n1 1 * * * b\n", false);
        assert_eq!((found[0].search.as_deref(), found[1].search.as_deref()), (None, Some("/x:/y")));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>) {
            let _ = (parse(&content, true), parse(&content, false));
        }
    }
}
