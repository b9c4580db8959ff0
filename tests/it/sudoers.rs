//! sudo's own regression tests for its parser, where they are at hand: what sudo makes of a file, and what karat does.

use std::fs;
use std::path::{Path, PathBuf};

use karat::syntax::sudoers::{Alias, AliasKind, Entry, Grant, Kind, Member, Tag, parse};
use serde_json::{Value, json};

fn folder() -> Option<PathBuf> {
    let shared = crate::truth::folder()?.parent()?.to_owned();
    let folder = shared.join("fixtures/sudoers/plugins/sudoers/regress/sudoers");
    folder.is_dir().then_some(folder)
}

#[test]
fn sudo_and_karat_read_the_same() {
    let Some(folder) = folder() else {
        eprintln!("skipped: sudo's tests are not at hand");
        return;
    };
    let mut inputs: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.retain(|path| path.extension().is_some_and(|ending| ending == "in"));
    assert!(inputs.len() > 25, "only {} inputs", inputs.len());
    for input in inputs {
        compare(&input);
    }
}

fn compare(input: &Path) {
    let name = input.display();
    let entries = parse(&fs::read(input).unwrap());
    let broken: Vec<&Entry> = entries.iter().filter(|entry| matches!(entry, Entry::Broken { .. })).collect();
    let parses = fs::read_to_string(input.with_extension("out.ok")).unwrap().starts_with("Parses OK");
    // Values of options are checked by what knows their types, not by the parser.
    let of_values = fs::read_to_string(input).unwrap().contains("command_timeout and TIMEOUT syntax errors");
    assert_eq!(broken.is_empty(), parses, "{name}: {broken:?}");
    if !parses || of_values {
        return;
    }
    let expected: Value = match fs::read_to_string(input.with_extension("json.ok")).unwrap() {
        empty if empty.trim().is_empty() => json!({}),
        text => serde_json::from_str(&text).unwrap(),
    };
    assert_eq!(settings(&entries), wanted_settings(&expected), "{name}");
    for (kind, key) in [
        (AliasKind::User, "User_Aliases"),
        (AliasKind::Runas, "Runas_Aliases"),
        (AliasKind::Host, "Host_Aliases"),
        (AliasKind::Command, "Command_Aliases"),
    ] {
        assert_eq!(aliases(&entries, kind), wanted_aliases(&expected[key]), "{name}: {key}");
    }
    let found: Vec<Value> =
        entries.iter().filter_map(|entry| if let Entry::Grant(grant) = entry { Some(grant) } else { None }).map(grant).collect();
    assert_eq!(found, wanted_grants(&expected), "{name}");
}

/// Names of the options that are set, in order.
fn settings(entries: &[Entry]) -> Vec<String> {
    let lines = entries.iter().filter_map(|entry| if let Entry::Defaults(line) = entry { Some(line) } else { None });
    lines.flat_map(|line| &line.settings).map(|setting| setting.name.clone()).collect()
}

fn wanted_settings(expected: &Value) -> Vec<String> {
    let options = list(&expected["Defaults"]).iter().flat_map(|line| list(&line["Options"]));
    options.map(|option| option.as_object().unwrap().keys().find(|key| *key != "operation").unwrap().clone()).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn aliases(entries: &[Entry], kind: AliasKind) -> Vec<(String, Vec<String>)> {
    let all = entries.iter().filter_map(|entry| if let Entry::Alias(alias) = entry { Some(alias) } else { None });
    let mut found: Vec<_> = all
        .filter(|alias| alias.kind == kind)
        .map(|Alias { name, members, .. }| (name.clone(), members.iter().map(member).collect()))
        .collect();
    found.sort();
    found
}

fn wanted_aliases(expected: &Value) -> Vec<(String, Vec<String>)> {
    let all = expected.as_object().into_iter().flatten();
    let mut wanted: Vec<_> =
        all.map(|(name, members)| (name.clone(), list(members).iter().map(wanted_member).collect())).collect();
    wanted.sort();
    wanted
}

fn member(member: &Member) -> String {
    let text = match member.kind {
        Kind::Group => member.name.trim_start_matches(['#', ':']),
        _ => member.name.trim_start_matches('#'),
    };
    format!("{}{text}", if member.negated { "!" } else { "" })
}

/// The member's text: sudo's keys (`username`, `usergid`, …) say in other words what its signs said.
fn wanted_member(value: &Value) -> String {
    let fields = value.as_object().unwrap();
    let negated = fields.get("negated").is_some();
    let text = fields.iter().find(|(key, _)| *key != "negated" && !key.starts_with("sha")).unwrap().1;
    format!(
        "{}{}",
        if negated { "!" } else { "" },
        text.as_str().map_or_else(|| text.to_string(), |text| text.trim_start_matches('#').to_owned())
    )
}

fn members(all: &[Member]) -> Vec<String> {
    all.iter().map(member).collect()
}

fn grant(grant: &Grant) -> Value {
    let tagged =
        |tag: Tag| grant.tags.iter().find(|(found, _)| *found == tag || *found == tag.opposite()).map(|(found, _)| *found == tag);
    let runas = grant.runas.clone().unwrap_or_default();
    let own = grant.runas.is_some() && runas.users.is_empty();
    json!({
        "users": members(&grant.users),
        "hosts": members(&grant.hosts),
        "runas": if own { vec![String::new()] } else { members(&runas.users) },
        "groups": members(&runas.groups),
        "command": member(&grant.command.clone().into()),
        "nopasswd": tagged(Tag::NoPasswd),
        "noexec": tagged(Tag::NoExec),
        "log_input": tagged(Tag::LogInput),
        "mail": tagged(Tag::Mail),
        "cwd": grant.options.iter().find(|given| given.name == "CWD").map(|given| &given.value),
        "role": grant.options.iter().find(|given| given.name == "ROLE").map(|given| &given.value),
    })
}

fn wanted_grants(expected: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    for line in list(&expected["User_Specs"]) {
        for spec in list(&line["Cmnd_Specs"]) {
            let option =
                |name: &str| list(&spec["Options"]).iter().find_map(|option| option.get(name)).cloned().unwrap_or_default();
            let members = |value: &Value| list(value).iter().map(wanted_member).collect::<Vec<_>>();
            for command in list(&spec["Commands"]) {
                all.push(json!({
                    "users": members(&line["User_List"]),
                    "hosts": members(&line["Host_List"]),
                    "runas": members(&spec["runasusers"]),
                    "groups": members(&spec["runasgroups"]),
                    "command": wanted_member(command),
                    "nopasswd": option("authenticate").as_bool().map(|asks| !asks),
                    "noexec": option("noexec"),
                    "log_input": option("log_input"),
                    "mail": option("send_mail"),
                    "cwd": option("runcwd"),
                    "role": option("role"),
                }));
            }
        }
    }
    all
}
