//! `karat scan`: judges an image and says whether it may ship.

mod args;
mod choose;
mod project;
mod stats;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use jiff::tz::Offset;

pub(super) use self::args::Args;
use self::args::{EvidenceShown, Gate};
use self::project::Project;
use self::stats::Stats;
use super::catalogue::Catalogue;
use super::files::{self, Mistakes};
use super::output::Pending;
use super::terminal::Terminal;
use crate::benchmark::shipped;
use crate::config::PolicyConfig;
use crate::engine;
use crate::facts::{Fact, FactId, Facts, Os, Target};
use crate::finding::Scan;
use crate::gate::{self, Decision, Exit, Policy, Waiver};
use crate::report::table::{Table, TableOptions};
use crate::report::{Format, Report, json};
use crate::source;

/// Everything that can be wrong with the command is found before the image is read: names and files first, then the outputs.
pub(super) fn run(arguments: &Args, terminal: &Terminal) -> anyhow::Result<Exit> {
    let stats = Stats::start();
    let today = arguments.judged.today.unwrap_or_else(|| Offset::UTC.to_datetime(Timestamp::now()).date());
    let project = Project::read(&arguments.gate)?;
    let (policy, explicit) = policy(&arguments.gate, &project);
    let waivers = waivers(&arguments.gate, &project)?;
    let baseline = arguments.gate.baseline.as_deref().map(baseline).transpose()?;
    let packs: Vec<PathBuf> = project.rules().chain(arguments.judged.rules.iter().cloned()).collect();
    let catalogue = Catalogue::load(&packs, false, terminal)?;
    if !packs.is_empty() && catalogue.own.is_empty() && arguments.judged.benchmark.is_none() {
        let names: Vec<String> = packs.iter().map(|pack| pack.display().to_string()).collect();
        bail!("there is no rule in {}, and nothing else to judge by", names.join(", "));
    }
    let to_stdout = to_stdout(arguments)?;
    if let Some(jobs) = arguments.written.jobs {
        rayon::ThreadPoolBuilder::new().num_threads(jobs.into()).build_global().context("cannot start that many threads")?;
    }

    let source = source::open(&arguments.image.image, &arguments.image.wanted())?;
    let target = Target { root: source.root(), running: source.running(), today, packages: None };
    let gated = explicit && !policy.report_only;
    let selected = choose::choose(&arguments.judged, &project, &catalogue, &os(&target), gated, terminal)?;
    let mut outputs = outputs(arguments)?;

    let busy = terminal.busy(format!("judging {}", arguments.image.image.display()));
    let mut scan = engine::scan(target, &selected);
    drop(busy);
    scan.image.name.clone_from(&arguments.written.name);
    let mut decision = gate::decide(&policy, &waivers, baseline.as_ref(), &scan, today);
    let index = shipped::index();
    let shipped: Vec<&str> = index.iter().map(|entry| entry.id.as_str()).collect();
    gate::note_unknown_benchmarks(&mut decision, &scan, &shipped);
    let scan = gate::apply(&scan, &decision);

    for (format, pending) in &mut outputs {
        pending.write(&report(*format, false, arguments, terminal, &scan, &decision)?)?;
    }
    // All of them are whole before the first one appears.
    outputs.into_iter().try_for_each(|(_, pending)| pending.put_in_place())?;
    let report = report(to_stdout, true, arguments, terminal, &scan, &decision)?;
    if to_stdout == Format::Table {
        terminal.print(String::from_utf8_lossy(&report))?;
    } else {
        Terminal::print_bytes(&report)?;
    }
    if arguments.written.stats {
        terminal.tell(stats.text(&scan, source.counts()));
    }
    Ok(decision.exit())
}

/// One report, whole. On a terminal the table has its width and colours, in a file neither.
fn report(
    format: Format,
    to_stdout: bool,
    arguments: &Args,
    terminal: &Terminal,
    scan: &Scan,
    decision: &Decision,
) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let usual = TableOptions::default();
    let table = Table(TableOptions {
        width: Terminal::width().filter(|_| to_stdout).unwrap_or(usual.width),
        styled: to_stdout,
        verbose: terminal.verbose,
        evidence_all: arguments.written.evidence == EvidenceShown::All,
        quiet: terminal.quiet && to_stdout,
    });
    let report: Box<dyn Report> = if format == Format::Table { Box::new(table) } else { format.report() };
    report.write(scan, decision, &mut bytes)?;
    Ok(bytes)
}

/// The policy, and whether somebody asked for one. The command line goes before the project's file.
fn policy(gate: &Gate, project: &Project) -> (Policy, bool) {
    let written = &project.config.policy;
    let mut policy = written.policy();
    let asked = gate.fail_on.is_some() || gate.max_unknown.is_some() || gate.min_score.is_some();
    let explicit = asked || *written != PolicyConfig::default();
    policy.fail_on = gate.fail_on.unwrap_or(policy.fail_on);
    policy.max_unknown = gate.max_unknown.unwrap_or(policy.max_unknown);
    policy.min_score = gate.min_score.or(policy.min_score);
    policy.report_only |= gate.report_only;
    (policy, explicit)
}

fn waivers(gate: &Gate, project: &Project) -> anyhow::Result<Vec<Waiver>> {
    let mut waivers = Vec::new();
    for path in project.waivers().iter().chain(&gate.waivers) {
        waivers.extend(gate::read_waivers(&path.display().to_string(), &files::read(path)?).map_err(Mistakes)?);
    }
    Ok(waivers)
}

fn baseline(path: &Path) -> anyhow::Result<Scan> {
    let (scan, _) = json::read(&files::read_scan(path)?).with_context(|| path.display().to_string())?;
    Ok(scan)
}

/// What the image says it is, before a benchmark is chosen.
fn os(target: &Target<'_>) -> Fact<Os> {
    Facts::gather(target.clone(), |_, needs| needs.fact(FactId::Os)).os().cloned()
}

/// The format of standard output.
fn to_stdout(arguments: &Args) -> anyhow::Result<Format> {
    let dash: Vec<Format> =
        arguments.written.output.iter().filter(|(_, path)| is_stdout(path)).map(|(format, _)| *format).collect();
    match (dash.as_slice(), arguments.written.format) {
        ([], format) => Ok(format.unwrap_or(Format::Table)),
        ([format], None) => Ok(*format),
        _ => bail!("standard output gets one report: leave out --format, or all but one `--output …=-`"),
    }
}

fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

fn outputs(arguments: &Args) -> anyhow::Result<Vec<(Format, Pending)>> {
    let mut paths: Vec<&PathBuf> = Vec::new();
    let mut outputs = Vec::new();
    for (format, path) in arguments.written.output.iter().filter(|(_, path)| !is_stdout(path)) {
        if paths.contains(&path) && fs::metadata(path).map_or(true, |metadata| metadata.is_file()) {
            bail!("two reports cannot both go to {}", path.display());
        }
        paths.push(path);
        outputs.push((*format, Pending::create(path)?));
    }
    Ok(outputs)
}
