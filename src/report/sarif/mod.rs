//! SARIF 2.1.0 (OASIS), within the limits of GitHub's code scanning.
//!
//! One result a finding and rule; the benchmark's controls are a taxonomy, and so are the catalogues that rules refer to; waivers are suppressions; troubles are notifications. Places
//! are relative to the image's root. What does not fit is left out in a stated order, least important first, and counted.

mod results;
mod rules;
mod text;

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::json;
use serde_sarif::sarif::{
    ArtifactLocation, Invocation, Notification, PropertyBag, ReportingDescriptorReference, Run, RunAutomationDetails,
    Sarif as Log, Tool,
};

use self::results::{BYTES, Cut, size_of};
use self::rules::{CUT, Catalogue, NOTE, TROUBLE};
use self::text::{IMAGE_ROOT, location, message, piece};
use super::Report;
use crate::finding::{Scan, Trouble};
use crate::gate::{Decision, Verdict};

/// Notifications of troubles; further ones are counted.
const NOTIFICATIONS: usize = 1_000;

/// Writes SARIF.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sarif;

impl Report for Sarif {
    fn write(&self, scan: &Scan, decision: &Decision, out: &mut dyn Write) -> io::Result<()> {
        let mut log = Log::builder().version(json!("2.1.0")).runs(vec![run(scan, decision)]).build();
        log.schema = Some("https://json.schemastore.org/sarif-2.1.0.json".into());
        serde_json::to_writer(&mut *out, &log)?;
        out.write_all(b"\n")
    }
}

fn run(scan: &Scan, decision: &Decision) -> Run {
    let (candidates, left_out) = results::candidates(&scan.findings);
    let catalogue = Catalogue::new(scan, &results::used(&candidates));
    let (driver, taxonomies) = (catalogue.driver(), catalogue.taxonomies());
    let room = BYTES.saturating_sub(size_of(&driver) + size_of(&taxonomies));
    let (results, mut cut) = results::results(scan, decision, &catalogue, &candidates, room);
    cut.results += left_out;

    let mut run = Run::builder().tool(Tool::builder().driver(driver).build()).build();
    run.results = Some(results);
    run.taxonomies = Some(taxonomies);
    run.invocations = Some(vec![invocation(scan, decision, &cut)]);
    run.automation_details = Some(RunAutomationDetails { id: Some(automation_id(scan)), ..RunAutomationDetails::default() });
    run.column_kind = Some(json!("unicodeCodePoints"));
    run.language = Some("en-US".into());
    let root = ArtifactLocation { description: Some(message("The root of the image.")), ..ArtifactLocation::default() };
    run.original_uri_base_ids = Some(BTreeMap::from([(IMAGE_ROOT.to_owned(), root)]));
    let properties = [
        ("benchmark", json!(scan.benchmark)),
        ("image", json!(scan.image)),
        ("summary", json!(scan.summary)),
        ("verdict", json!(decision.verdict)),
        ("enforced", json!(decision.enforced)),
        ("reasons", json!(decision.reasons)),
    ];
    run.properties = Some(PropertyBag {
        tags: None,
        additional_properties: properties.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    });
    run
}

/// GitHub takes everything up to the last `/` for the category: later scans of the same image by the same benchmark replace it.
fn automation_id(scan: &Scan) -> String {
    let image = &scan.image;
    let os = [&image.os, &image.os_version].into_iter().flatten().cloned().collect::<Vec<_>>().join("-");
    let image = image.name.clone().unwrap_or(os);
    let by = &scan.benchmark;
    let parts = ["karat", &image, &by.id, &format!("{}-level-{}", by.profile, by.level), &scan.date];
    let word = |part: &&str| {
        let keep = |character: char| if character.is_ascii_alphanumeric() || "-._".contains(character) { character } else { '-' };
        part.chars().take(100).map(keep).collect::<String>()
    };
    parts.iter().filter(|part| !part.is_empty()).map(word).collect::<Vec<_>>().join("/")
}

fn invocation(scan: &Scan, decision: &Decision, cut: &Cut) -> Invocation {
    let mut invocation = Invocation::builder().execution_successful(decision.verdict != Verdict::None).build();
    invocation.exit_code = Some(decision.exit().code().into());
    invocation.exit_code_description = Some(decision.sentence());
    let mut troubles: Vec<Notification> = scan.troubles.iter().take(NOTIFICATIONS).map(trouble).collect();
    let more = scan.troubles.len().saturating_sub(NOTIFICATIONS);
    let counts = [
        (more, "further troubles are not listed here"),
        (cut.results, "results are left out: this file holds those that matter most"),
        (cut.locations, "further places of results are left out: this file would be too large"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    troubles.extend(counts.map(|(count, what)| notification(CUT, "warning", &format!("{count} {what}."))));
    invocation.tool_execution_notifications = Some(troubles);
    invocation.tool_configuration_notifications =
        Some(decision.notes.iter().map(|note| notification(NOTE, "note", &format!("{note}."))).collect());
    invocation
}

fn notification(id: &str, level: &str, text: &str) -> Notification {
    let mut notification = Notification::builder().message(message(text)).build();
    notification.descriptor =
        Some(ReportingDescriptorReference { id: Some(id.into()), ..ReportingDescriptorReference::default() });
    notification.level = Some(json!(level));
    notification
}

fn trouble(trouble: &Trouble) -> Notification {
    let mut notification = notification(TROUBLE, "warning", &format!("{}.", piece(&trouble.message)));
    notification.locations = (!trouble.path.is_empty()).then(|| vec![location(&trouble.path, trouble.line, None, None)]);
    notification
}
