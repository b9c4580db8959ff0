//! Filters as sets of events: whether two can fit the same event, and whether one takes in all that another does.

/// `field`, operator and value of a filter as `syntax::audit_rules` writes them.
fn parts(filter: &str) -> Option<(&str, &str, &str)> {
    let at = filter.find(['=', '!', '<', '>', '&'])?;
    let (field, rest) = filter.split_at(at);
    let value = rest.trim_start_matches(['=', '!', '<', '>', '&']);
    Some((field, rest.strip_suffix(value)?, value))
}

/// The number of a value: of a user, a group, a process. What has none is known only to the running system.
fn number(field: &str, value: &str) -> Option<i64> {
    let account = field.ends_with("uid") || field.ends_with("gid");
    match value {
        "unset" | "-1" if account => Some(i64::from(u32::MAX)),
        "root" if account => Some(0),
        _ => value.strip_prefix("0x").map_or_else(|| value.parse().ok(), |hex| i64::from_str_radix(hex, 16).ok()),
    }
}

/// Whether a rule with the filters `has` records every event that `wanted` describes.
pub(super) fn covers(has: &[String], wanted: &[String]) -> bool {
    let asked: Vec<_> = wanted.iter().filter_map(|filter| parts(filter)).collect();
    has.iter().all(|filter| wanted.contains(filter) || parts(filter).is_some_and(|one| follows(one, &asked)))
}

/// The same of a rule that has to say something in answer to each filter that is asked for, a bound for a bound: benchmarks want the
/// daemons left out, and a rule that does not speak of them was not written for that.
pub(super) fn answers(has: &[String], wanted: &[String]) -> bool {
    let kind =
        |filter: &String| parts(filter).map(|(field, operator, _)| (field.to_owned(), operator.get(..1).map(str::to_owned)));
    covers(has, wanted) && wanted.iter().all(|one| has.iter().any(|other| kind(other) == kind(one)))
}

/// Whether a filter holds for every event that fits all that is asked.
fn follows((field, operator, value): (&str, &str, &str), asked: &[(&str, &str, &str)]) -> bool {
    let fails = asked.iter().any(|(field, operator, value)| *field == "exit" && *operator == "=" && value.starts_with("-E"));
    if field == "success" && fails {
        return (operator == "=") == matches!(value, "0" | "no");
    }
    let Some(limit) = number(field, value) else { return false };
    let (least, mut most) = range(field, asked);
    let refused = asked.iter().filter(|(other, operator, _)| *other == field && *operator == "!=");
    let not: Vec<i64> = refused.filter_map(|(_, _, value)| number(field, value)).collect();
    if not.contains(&most) {
        most = most.saturating_sub(1);
    }
    match operator {
        "=" => least == limit && most == limit,
        "!=" => limit < least || limit > most || not.contains(&limit),
        "<" => most < limit,
        "<=" => most <= limit,
        ">" => least > limit,
        ">=" => least >= limit,
        _ => false,
    }
}

/// The least and the most that a field can be where all that is asked of it holds; accounts are numbers of 32 bits.
fn range(field: &str, asked: &[(&str, &str, &str)]) -> (i64, i64) {
    let account = field.ends_with("uid") || field.ends_with("gid");
    let (mut least, mut most) = if account { (0, i64::from(u32::MAX)) } else { (i64::MIN, i64::MAX) };
    for (other, operator, value) in asked.iter().filter(|(other, ..)| *other == field) {
        let Some(number) = number(other, value) else { continue };
        match *operator {
            "=" => (least, most) = (least.max(number), most.min(number)),
            "<" => most = most.min(number.saturating_sub(1)),
            "<=" => most = most.min(number),
            ">" => least = least.max(number.saturating_add(1)),
            ">=" => least = least.max(number),
            _ => {}
        }
    }
    (least, most)
}

/// Whether it is certain that no event fits both sets.
pub(super) fn disjoint(left: &[String], right: &[String]) -> bool {
    let all: Vec<_> = left.iter().chain(right).filter_map(|filter| parts(filter)).collect();
    let fails = all.iter().any(|(field, operator, value)| *field == "exit" && *operator == "=" && value.starts_with("-E"));
    let succeeds = |(field, operator, value): &(&str, &str, &str)| {
        *field == "success" && (*operator == "=") == matches!(*value, "1" | "yes")
    };
    fails && all.iter().any(succeeds) || all.iter().any(|(field, ..)| impossible(field, &all))
}

/// Whether no value of one field fits all that is asked of it.
fn impossible(field: &str, all: &[(&str, &str, &str)]) -> bool {
    let asked: Vec<_> =
        all.iter().filter(|(other, ..)| *other == field).map(|(_, operator, value)| (*operator, *value)).collect();
    let (least, most) = range(field, all);
    let only = |least: i64| asked.iter().any(|(operator, value)| *operator == "!=" && number(field, value) == Some(least));
    // Words are told apart only where the kernel itself compares them as such, or where they are names of errors.
    let words = field == "exit" || field == "exe" || field.starts_with("subj_") || field.starts_with("obj_");
    let said =
        asked.iter().filter(|(operator, value)| *operator == "=" && number(field, value).is_none()).map(|(_, value)| *value);
    let named: std::collections::BTreeSet<&str> = said.collect();
    let refused = asked.iter().any(|(operator, value)| *operator == "!=" && named.contains(value));
    least > most || least == most && only(least) || words && named.len() > 1 || refused
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(left: &[&str], right: &[&str]) -> bool {
        let owned = |list: &[&str]| list.iter().map(|&filter| filter.to_owned()).collect::<Vec<_>>();
        let (left, right) = (owned(left), owned(right));
        assert_eq!(disjoint(&left, &right), disjoint(&right, &left));
        disjoint(&left, &right)
    }

    #[test]
    fn a_rule_that_records_the_same_or_more() {
        let covered = |has: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|&filter| filter.to_owned()).collect::<Vec<_>>();
            covers(&owned(has), &owned(&["auid!=unset", "auid>=1000", "exit=-EACCES", "a0=0x0"]))
        };
        let all: [&[&str]; 6] = [&[], &["auid>=0"], &["auid>999"], &["auid>=500", "auid!=unset"], &["success=0"], &["a0=0"]];
        assert!(all.into_iter().all(covered));
        let less: [&[&str]; 6] =
            [&["auid>1000"], &["auid=1000"], &["auid<2000"], &["uid>=0", "uid!=0"], &["success=1"], &["exe=/x"]];
        assert!(!less.into_iter().any(covered));
        assert!(covers(&["auid<4294967295".into()], &["auid!=unset".into()]));
    }

    #[test]
    fn numbers() {
        assert!(apart(&["auid=unset"], &["auid!=unset", "auid>=1000"]));
        assert!(apart(&["auid<1000"], &["auid>=1000"]));
        assert!(!apart(&["auid<=1000"], &["auid>=1000"]));
        assert!(apart(&["uid=root"], &["uid!=0"]));
        assert!(!apart(&["uid=0"], &["auid>=1000"]));
        assert!(!apart(&["uid=chrony"], &["uid=0"]));
        assert!(!apart(&[], &[]));
    }

    #[test]
    fn words_and_errors() {
        assert!(apart(&["exit=-EPERM"], &["exit=-EACCES"]));
        assert!(apart(&["success=1"], &["exit=-EACCES"]) && apart(&["success!=0"], &["exit=-EACCES"]));
        assert!(!apart(&["success=0"], &["exit=-EACCES"]));
        assert!(apart(&["subj_type=crond_t"], &["subj_type=sshd_t"]));
        assert!(!apart(&["euid!=uid"], &["euid=0"]));
    }
}
