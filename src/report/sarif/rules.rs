//! What SARIF says of rules, controls and the tool itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use serde_sarif::sarif::{
    PropertyBag, ReportingConfiguration, ReportingDescriptor, ReportingDescriptorReference, ReportingDescriptorRelationship,
    ToolComponent, ToolComponentReference,
};

use super::text::{multiformat, plain};
use crate::finding::{Finding, RuleInfo, Scan, Severity, Taxonomy};

/// The rule of results that no rule of ours speaks of: controls that a person has to look at.
pub(super) const MANUAL: &str = "manual-review";

/// What notifications are about.
pub(super) const TROUBLE: &str = "trouble";
/// What notifications of the gate are about.
pub(super) const NOTE: &str = "note";
/// What notifications of what was left out are about.
pub(super) const CUT: &str = "cut";

/// GitHub takes 20 tags a rule and shows 10.
const TAGS: usize = 10;

/// Controls that a rule names as its relations. The results name every one: `taxa`.
const RELATIONS: usize = 100;

/// The level of a failure.
pub(super) const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

/// The score by which GitHub sorts into critical (over 9), high (7 and more), medium (4 and more) and low.
const fn security_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
    }
}

/// The rules that results speak of, and the controls they serve.
pub(super) struct Catalogue<'s> {
    pub(super) rules: Vec<&'s str>,
    index: BTreeMap<&'s str, i64>,
    /// The first finding of each control, in the scan's order, with its place in the taxonomy.
    controls: BTreeMap<&'s str, i64>,
    findings: Vec<&'s Finding>,
    /// The catalogues that these rules refer to, each with the controls they serve. The benchmark stands before them.
    references: Vec<(&'static Taxonomy, Vec<&'s str>)>,
    scan: &'s Scan,
}

impl<'s> Catalogue<'s> {
    pub(super) fn new(scan: &'s Scan, used: &BTreeSet<&'s str>) -> Self {
        let rules: Vec<&str> = used.iter().copied().collect();
        let index = rules.iter().copied().zip(0..).collect();
        let mut seen = BTreeSet::new();
        let findings: Vec<&Finding> = scan.findings.iter().filter(|finding| seen.insert(finding.control.as_str())).collect();
        let controls = findings.iter().map(|finding| finding.control.as_str()).zip(0..).collect();
        let served = |taxonomy: &'static Taxonomy| {
            let all = rules.iter().filter_map(|rule| scan.rules.get(*rule)?.references.get(taxonomy.id)).flatten();
            let served: BTreeSet<&str> = all.map(String::as_str).collect();
            (!served.is_empty()).then(|| (taxonomy, served.into_iter().collect()))
        };
        let references = Taxonomy::ALL.iter().filter_map(served).collect();
        Self { rules, index, controls, findings, references, scan }
    }

    pub(super) fn rule_index(&self, rule: &str) -> Option<i64> {
        self.index.get(rule).copied()
    }

    /// A reference to a control in the taxonomy.
    pub(super) fn taxon(&self, control: &str) -> ReportingDescriptorReference {
        ReportingDescriptorReference {
            id: Some(control.to_owned()),
            index: self.controls.get(control).copied(),
            tool_component: Some(component(plain(&self.scan.benchmark.titles()), 0)),
            ..ReportingDescriptorReference::default()
        }
    }

    /// References to the controls of other catalogues that a rule serves.
    fn references_of(&self, info: &RuleInfo) -> Vec<ReportingDescriptorReference> {
        let mut all = Vec::new();
        for (place, (taxonomy, served)) in (1..).zip(&self.references) {
            for control in info.references.get(taxonomy.id).into_iter().flatten() {
                all.push(ReportingDescriptorReference {
                    id: Some(control.clone()),
                    index: served.iter().zip(0..).find(|(known, _)| *known == control).map(|(_, index)| index),
                    tool_component: Some(component(taxonomy.name.into(), place)),
                    ..ReportingDescriptorReference::default()
                });
            }
        }
        all
    }

    /// karat itself.
    pub(super) fn driver(&self) -> ToolComponent {
        let tool = &self.scan.tool;
        let mut driver = ToolComponent::builder().name(tool.name.clone()).build();
        driver.version = Some(tool.version.clone());
        driver.semantic_version = Some(tool.version.clone());
        driver.information_uri = Some(env!("CARGO_PKG_REPOSITORY").into());
        driver.short_description = Some(multiformat("Judges machine images against benchmarks and baselines."));
        driver.rules = Some(self.rules.iter().map(|id| self.rule(id)).collect());
        let notification = |(id, text): (&str, &str)| {
            let mut descriptor = ReportingDescriptor::builder().id(id).build();
            descriptor.name = name(id);
            descriptor.short_description = Some(multiformat(text));
            descriptor
        };
        let known = [
            (TROUBLE, "Something went wrong on the way and touches more than one finding."),
            (NOTE, "Something the gate took note of and that does not shut it."),
            (CUT, "Something was left out of this file to keep within its limits."),
        ];
        driver.notifications = Some(known.into_iter().map(notification).collect());
        let mut supported = vec![component(plain(&self.scan.benchmark.titles()), 0)];
        supported.extend((1..).zip(&self.references).map(|(place, (taxonomy, _))| component(taxonomy.name.into(), place)));
        driver.supported_taxonomies = Some(supported);
        driver
    }

    fn rule(&self, id: &str) -> ReportingDescriptor {
        let manual = RuleInfo {
            title: "A person has to look".into(),
            severity: Severity::Medium,
            why: "The benchmark leaves this to the judgement of a person, or no rule answers it yet.".into(),
            fix: crate::finding::Fix { text: "Look at it as the benchmark describes.".into(), shell: None },
            references: BTreeMap::new(),
        };
        let unknown = || RuleInfo { title: id.to_owned(), why: String::new(), ..manual.clone() };
        let info = if id == MANUAL { manual.clone() } else { self.scan.rules.get(id).cloned().unwrap_or_else(unknown) };
        let controls = self.controls_of(id);
        let benchmark = &self.scan.benchmark.id;
        let mut tags = vec!["security".to_owned(), "compliance".to_owned(), benchmark.clone()];
        tags.extend(controls.iter().take(TAGS - 3).map(|control| format!("{benchmark}/{control}")));
        let severity = if level(info.severity) == "note" { "recommendation" } else { level(info.severity) };
        let properties = [
            ("precision", json!("very-high")),
            ("problem.severity", json!(severity)),
            ("security-severity", json!(security_severity(info.severity))),
        ];
        let relationship = |target: ReportingDescriptorReference| {
            let mut relationship = ReportingDescriptorRelationship::builder().target(target).build();
            relationship.kinds = Some(vec!["relevant".into()]);
            relationship
        };
        let mut help = multiformat(&words(&info));
        help.markdown = Some(markdown(&info));
        let mut rule = ReportingDescriptor::builder().id(id).build();
        rule.name = name(id);
        rule.short_description = Some(multiformat(&format!("{}.", info.title)));
        rule.full_description = Some(multiformat(if info.why.is_empty() { &info.title } else { &info.why }));
        rule.help = Some(help);
        rule.default_configuration =
            Some(ReportingConfiguration { level: Some(json!(level(info.severity))), ..ReportingConfiguration::default() });
        // A manual control is not related to its rule, but only to its own result.
        let controls = controls.iter().take(RELATIONS).filter(|_| id != MANUAL).map(|control| self.taxon(control));
        let relations: Vec<_> = controls.chain(self.references_of(&info)).map(relationship).collect();
        rule.relationships = (!relations.is_empty()).then_some(relations);
        rule.properties = Some(PropertyBag {
            tags: Some(tags),
            additional_properties: properties.into_iter().map(|(key, value)| (key.into(), value)).collect(),
        });
        rule
    }

    fn controls_of(&self, rule: &str) -> Vec<&'s str> {
        let uses = |finding: &&Finding| finding.rules.iter().any(|result| result.id == rule);
        self.scan.findings.iter().filter(uses).map(|finding| finding.control.as_str()).collect()
    }

    /// The controls of the scan, and the catalogues that its rules refer to.
    pub(super) fn taxonomies(&self) -> Vec<ToolComponent> {
        let referred = |(taxonomy, served): &(&Taxonomy, Vec<&str>)| {
            let mut component = ToolComponent::builder().name(taxonomy.name.to_owned()).build();
            component.version = Some(taxonomy.version.into());
            component.organization = Some(taxonomy.organization.into());
            component.information_uri = Some(taxonomy.uri.into());
            component.short_description = Some(multiformat(taxonomy.source));
            component.is_comprehensive = Some(false);
            component.taxa =
                Some(served.iter().map(|control| ReportingDescriptor::builder().id(plain(control)).build()).collect());
            component
        };
        std::iter::once(self.taxonomy()).chain(self.references.iter().map(referred)).collect()
    }

    fn taxonomy(&self) -> ToolComponent {
        let benchmark = &self.scan.benchmark;
        let mut taxonomy = ToolComponent::builder().name(plain(&benchmark.titles())).build();
        taxonomy.version = Some(plain(&benchmark.version));
        taxonomy.short_description = Some(multiformat(&format!("{} {}.", benchmark.title, benchmark.version)));
        taxonomy.is_comprehensive = Some(false);
        let taxon = |finding: &&Finding| {
            let mut taxon = ReportingDescriptor::builder().id(plain(&finding.control)).build();
            taxon.short_description = Some(multiformat(&format!("{}.", finding.title)));
            let level = BTreeMap::from([("level".to_owned(), json!(finding.level))]);
            taxon.properties = Some(PropertyBag { tags: None, additional_properties: level });
            taxon
        };
        taxonomy.taxa = Some(self.findings.iter().map(taxon).collect());
        taxonomy
    }
}

/// A reference to one of the run's taxonomies.
fn component(name: String, place: i64) -> ToolComponentReference {
    ToolComponentReference { name: Some(name), index: Some(place), ..ToolComponentReference::default() }
}

/// `ssh-root-login` as `SshRootLogin`; nothing if that says no more than the id (SARIF 2.1.0, 3.49.7).
fn name(id: &str) -> Option<String> {
    let mut name = String::new();
    for word in id.split(|character: char| !character.is_alphanumeric()) {
        let mut characters = word.chars();
        name.extend(characters.next().into_iter().flat_map(char::to_uppercase));
        name.push_str(characters.as_str());
    }
    (!name.eq_ignore_ascii_case(id)).then_some(name)
}

fn words(info: &RuleInfo) -> String {
    let shell = info.fix.shell.as_ref().map(|shell| format!("\n\n{}", shell.trim_end())).unwrap_or_default();
    format!("{}\n\n{}{shell}", info.why, info.fix.text).trim().to_owned()
}

/// In Markdown the command stands in a fence longer than any run of backticks in it.
fn markdown(info: &RuleInfo) -> String {
    let mut text = format!("{}\n\n**Fix:** {}", info.why, info.fix.text);
    if let Some(shell) = &info.fix.shell {
        let longest = shell.split(|character| character != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat((longest + 1).max(3));
        text.push_str(&format!("\n\n{fence}sh\n{}\n{fence}", shell.trim_end()));
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_as_a_name() {
        assert_eq!(name("ssh-root-login").as_deref(), Some("SshRootLogin"));
        assert_eq!(name("no-ipv6.forwarding").as_deref(), Some("NoIpv6Forwarding"));
        assert_eq!(name("sticky"), None);
    }

    #[test]
    fn a_command_does_not_break_out_of_its_fence() {
        let fix = crate::finding::Fix { text: "Do.".into(), shell: Some("a\n```\nb".into()) };
        let info = RuleInfo { title: "T".into(), severity: Severity::Low, why: "W.".into(), fix, references: BTreeMap::new() };
        assert!(markdown(&info).ends_with("````sh\na\n```\nb\n````"), "{}", markdown(&info));
    }
}
