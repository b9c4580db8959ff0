//! Whether two sets of filters can fit the same event.

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
        _ => value.parse().ok(),
    }
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
    let (mut least, mut most) = (i64::MIN, i64::MAX);
    for (operator, value) in &asked {
        let Some(number) = number(field, value) else { continue };
        match *operator {
            "=" => (least, most) = (least.max(number), most.min(number)),
            "<" => most = most.min(number.saturating_sub(1)),
            "<=" => most = most.min(number),
            ">" => least = least.max(number.saturating_add(1)),
            ">=" => least = least.max(number),
            _ => {}
        }
    }
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
