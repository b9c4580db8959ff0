//! Gathers what the selected rules need, judges them in parallel, and puts the scan together.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::benchmark::{Selected, SelectedControl};
use crate::facts::{FactId, Facts, Needs, Target};
use crate::finding::{
    Finding, Fix, ImageInfo, Outcome, RuleInfo, RuleResult, Scan, Severity, SourceKind, Status, Summary, Tool, Trouble,
};
use crate::rule::{Instance, shipped};

/// Scans: the same image, selection and day give the same scan, byte for byte.
#[must_use]
pub fn scan(target: Target<'_>, selected: &Selected) -> Scan {
    let instances = distinct(selected);
    let facts = Facts::gather(target, |facts, needs: &mut Needs| {
        needs.fact(FactId::Os);
        needs.fact(FactId::Packages);
        selected
            .controls
            .iter()
            .filter_map(|selected| selected.control.applies.as_ref())
            .for_each(|applies| applies.needs(needs));
        instances.iter().for_each(|instance| instance.needs(facts, needs));
    });
    let outcomes: Vec<Outcome> = instances.par_iter().map(|instance| instance.evaluate(&facts)).collect();
    let said: BTreeMap<*const Instance, &Outcome> = instances.iter().map(Arc::as_ptr).zip(&outcomes).collect();
    let mut findings: Vec<Finding> = selected.controls.iter().map(|control| finding(control, &said, &facts)).collect();
    let rules = rule_infos(&instances, &mut findings);
    Scan {
        tool: Tool { name: "karat".into(), version: env!("CARGO_PKG_VERSION").into() },
        date: facts.target().today.to_string(),
        image: image_info(&facts),
        benchmark: selected.info.clone(),
        summary: Summary::of(&findings),
        findings,
        rules,
        troubles: troubles(&facts),
    }
}

/// Every instance once, in the order of the controls.
fn distinct(selected: &Selected) -> Vec<Arc<Instance>> {
    let mut seen = std::collections::BTreeSet::new();
    let all = selected.controls.iter().flat_map(|control| &control.rules);
    all.filter(|(instance, _)| seen.insert(Arc::as_ptr(instance))).map(|(instance, _)| instance.clone()).collect()
}

fn finding(selected: &SelectedControl, said: &BTreeMap<*const Instance, &Outcome>, facts: &Facts<'_>) -> Finding {
    let mut finding = by_rules(selected, said);
    if selected.control.dropped.is_some() {
        return finding;
    }
    if let Some(excuse) = selected.control.applies.as_ref().and_then(|applies| applies.excuse(facts)) {
        finding.status = excuse.status;
        finding.reason = excuse.reason;
    }
    finding
}

/// A control as its rules have it.
fn by_rules(selected: &SelectedControl, said: &BTreeMap<*const Instance, &Outcome>) -> Finding {
    let control = &selected.control;
    let mut finding = Finding {
        control: control.id.clone(),
        benchmark: control.beside.clone(),
        title: control.title.clone(),
        level: selected.level,
        severity: Severity::Medium,
        status: Status::Manual,
        reason: None,
        waiver: None,
        rules: Vec::new(),
    };
    if let Some(dropped) = &control.dropped {
        finding.status = Status::NotApplicable;
        finding.reason = Some(format!("dropped by {}: {}", dropped.layer, dropped.reason));
        return finding;
    }
    if selected.rules.is_empty() {
        finding.reason = Some(control.manual.clone().unwrap_or_else(|| "not automated yet: a person has to look".into()));
        return finding;
    }
    let judged: Vec<(&Arc<Instance>, Severity, &Outcome)> = (selected.rules.iter())
        .filter_map(|(instance, severity)| said.get(&Arc::as_ptr(instance)).map(|outcome| (instance, *severity, *outcome)))
        .collect();
    let combined = Outcome::all(judged.iter().map(|(_, _, outcome)| Outcome { evidence: Vec::new(), ..(*outcome).clone() }));
    finding.status = combined.status;
    finding.reason = combined.reason;
    let open = |outcome: &Outcome| !matches!(outcome.status, Status::Pass | Status::NotApplicable);
    let highest = |only_open: bool| {
        judged.iter().filter(|(_, _, outcome)| !only_open || open(outcome)).map(|(_, severity, _)| *severity).max()
    };
    finding.severity = highest(true).or_else(|| highest(false)).unwrap_or(Severity::Medium);
    finding.rules = judged.into_iter().map(|(instance, _, outcome)| result(instance, outcome)).collect();
    finding
}

fn result(instance: &Instance, outcome: &Outcome) -> RuleResult {
    RuleResult {
        id: instance.rule.id.clone(),
        status: outcome.status,
        reason: outcome.reason.clone(),
        evidence: outcome.evidence.iter().take(Outcome::MAX_EVIDENCE).cloned().collect(),
        evidence_total: outcome.total,
        fix: None,
        values: instance.values.clone(),
    }
}

/// What reports need to know of the rules, with the values of the first control that uses each; where another control's values make
/// for another fix, its result gets its own.
fn rule_infos(instances: &[Arc<Instance>], findings: &mut [Finding]) -> BTreeMap<String, RuleInfo> {
    // Rules from files bring their prose with them.
    let (prose, references) = (LazyCell::new(shipped::prose), LazyCell::new(shipped::references));
    let mut infos: BTreeMap<String, RuleInfo> = BTreeMap::new();
    for instance in instances {
        infos.entry(instance.rule.id.clone()).or_insert_with(|| {
            let mut info = instance.rule.info();
            if info.why.is_empty()
                && let Some(shipped) = prose.get(&instance.rule.id)
            {
                info.why.clone_from(&shipped.why);
                info.fix = shipped.fix.clone();
                info.references = references.get(&instance.rule.id).cloned().unwrap_or_default();
            }
            info
        });
    }
    let mut filled: BTreeMap<String, Fix> = BTreeMap::new();
    for result in findings.iter_mut().flat_map(|finding| &mut finding.rules) {
        let Some(info) = infos.get(&result.id).filter(|info| info.fix.names().next().is_some()) else { continue };
        let fix = info.fix.with(|name| result.values.get(name).map(|value| &value.value));
        if *filled.entry(result.id.clone()).or_insert_with(|| fix.clone()) != fix {
            result.fix = Some(fix);
        }
    }
    for (id, fix) in filled {
        infos.entry(id).and_modify(|info| info.fix = fix);
    }
    infos
}

fn image_info(facts: &Facts<'_>) -> ImageInfo {
    let os = facts.os().ok();
    let packages = facts.packages().ok();
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ImageInfo {
        name: None,
        source: if facts.running().is_some() { SourceKind::Live } else { SourceKind::Image },
        os: os.and_then(|os| text(&os.id)),
        os_version: os.and_then(|os| text(&os.version)),
        os_name: os.and_then(|os| text(&os.name)),
        architecture: packages.and_then(|packages| packages.architecture().map(str::to_owned)),
        packages: packages.map(|packages| packages.installed.len() as u64),
        files: facts.tree().ok().map(|tree| tree.coverage.entries),
    }
}

fn troubles(facts: &Facts<'_>) -> Vec<Trouble> {
    let unreadable = facts.unreadable().into_iter().map(|unreadable| Trouble {
        path: unreadable.path.map(|path| path.to_string()).unwrap_or_default(),
        line: unreadable.line,
        message: unreadable.reason,
    });
    let gaps = facts.tree().map(|tree| tree.coverage.gaps.as_slice()).unwrap_or_default().iter();
    let gaps = gaps.map(|gap| Trouble { path: gap.path.to_string(), line: None, message: gap.reason.clone() });
    let mut all: Vec<Trouble> = unreadable.chain(gaps).collect();
    all.sort();
    all.dedup();
    all
}
