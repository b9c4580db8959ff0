//! What starts at boot: every unit that the default target pulls in, directly or through others, and what those can start on demand.

use std::collections::{BTreeMap, VecDeque};

use super::load::Found;
use super::{OnDemand, Start, Step, Units, Via, activation, name};
use crate::facts::Unreadable;
use crate::path::{ImagePath, printable};

/// Units followed; more than any system has.
const MAX_UNITS: usize = 100_000;

/// How one unit came to be started.
#[derive(Debug, Clone)]
pub(super) struct Reached {
    from: Option<String>,
    via: Via,
    on_demand: Option<OnDemand>,
}

/// Everything that is started or can be.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph {
    reached: BTreeMap<String, Reached>,
    /// Units that could not be read: what they pull in is not known.
    pub(super) doubts: Vec<Unreadable>,
}

impl Units {
    /// Every unit that is started or can be, under its own name, sorted.
    pub fn started_names(&self) -> impl Iterator<Item = &str> {
        self.graph.reached.keys().map(String::as_str)
    }

    /// Follows everything from the default target.
    pub(super) fn follow(&self, activators: Vec<activation::Activator>) -> Graph {
        let mut graph = Graph::default();
        let mut waiting = VecDeque::new();
        let mut later = Vec::new();
        graph.reach(self, "default.target", None, Via::Boot, None, &mut waiting);
        self.drain(&mut graph, &mut waiting, &mut later);
        // On demand only where nothing starts it at boot: all that is started counts first.
        for (unit, from, via, how) in std::mem::take(&mut later) {
            graph.reach(self, &unit, from, via, Some(how), &mut waiting);
        }
        for activator in activators {
            let how = if matches!(activator.via, Via::Bus { .. }) { OnDemand::Bus } else { OnDemand::Device };
            graph.reach(self, &activator.unit, None, activator.via, Some(how), &mut waiting);
        }
        while !waiting.is_empty() {
            self.drain(&mut graph, &mut waiting, &mut later);
            for (unit, from, via, how) in std::mem::take(&mut later) {
                graph.reach(self, &unit, from, via, Some(how), &mut waiting);
            }
        }
        graph
    }

    fn drain(&self, graph: &mut Graph, waiting: &mut VecDeque<(String, ImagePath)>, later: &mut Vec<Later>) {
        while let Some((id, file)) = waiting.pop_front() {
            let settings = match self.settings(&id, &file) {
                Ok(settings) => settings,
                Err(why) => {
                    graph.doubts.push(why);
                    continue;
                }
            };
            let how = graph.reached.get(&id).and_then(|reached| reached.on_demand);
            for (unit, via) in self.pulled_in(&id, &settings) {
                graph.reach(self, &unit, Some(id.clone()), via, how, waiting);
            }
            if let Some((unit, via)) = activation::triggered(&id, &file, &settings) {
                let kind = match name::kind(&id) {
                    "socket" => OnDemand::Socket,
                    "timer" => OnDemand::Timer,
                    _ => OnDemand::Path,
                };
                // What a socket of a device or of the bus starts is as far away as the socket itself.
                let how = how.filter(|how| matches!(how, OnDemand::Bus | OnDemand::Device)).unwrap_or(kind);
                later.push((unit, Some(id.clone()), via, how));
            }
            if has_default_dependencies(&id, &settings) {
                graph.reach(self, "sysinit.target", Some(id.clone()), Via::Default, how, waiting);
            }
        }
    }

    /// How a unit starts, if it does.
    pub(super) fn start_of(&self, asked: &str) -> Result<Start, Unreadable> {
        let id = match self.find(asked) {
            Found::Unit(id, _) => id,
            Found::Masked(_) | Found::Missing => return Ok(Start::No),
            Found::Unknown(why) => return Err(why),
        };
        let of_template = || {
            let fits = |(unit, _): &(&String, &Reached)| name::template(unit).is_some_and(|template| template == id);
            self.graph.reached.iter().filter(fits).min_by_key(|(_, reached)| reached.on_demand.is_some())
        };
        let found = self.graph.reached.get_key_value(&id).or_else(of_template);
        let Some((unit, reached)) = found else {
            return match self.graph.doubts.first().or(self.tree.doubts.first()) {
                Some(doubt) => Err(doubt.clone()),
                None => Ok(Start::No),
            };
        };
        let steps = self.chain(unit);
        if let Some(doubt) = &self.preset_doubt
            && steps.iter().any(|step| matches!(step.via, Via::Preset { .. }))
        {
            return Err(doubt.clone());
        }
        Ok(match reached.on_demand {
            None => Start::AtBoot(steps),
            Some(how) => Start::OnDemand(how, steps),
        })
    }

    /// The way from what starts first to the unit.
    fn chain(&self, unit: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut at = Some(unit.to_owned());
        while let Some(unit) = at {
            let Some(reached) = self.graph.reached.get(&unit) else { break };
            steps.push(Step { unit, via: reached.via.clone() });
            at = reached.from.as_ref().map(String::to_owned);
            if steps.len() > MAX_UNITS {
                break;
            }
        }
        steps.reverse();
        steps
    }
}

fn has_default_dependencies(id: &str, settings: &[super::load::Placed<'_>]) -> bool {
    let off =
        settings.iter().rev().find(|placed| placed.setting.section == "Unit" && placed.setting.key == "DefaultDependencies");
    matches!(name::kind(id), "service" | "socket" | "timer" | "path")
        && off.is_none_or(|placed| activation::is_true(&placed.setting.value))
}

/// A unit to be started later: by which unit, by what, and how.
type Later = (String, Option<String>, Via, OnDemand);

impl Graph {
    fn reach(
        &mut self,
        units: &Units,
        name: &str,
        from: Option<String>,
        via: Via,
        on_demand: Option<OnDemand>,
        waiting: &mut VecDeque<(String, ImagePath)>,
    ) {
        match units.find(name) {
            Found::Unit(id, file) => {
                if self.reached.contains_key(&id) {
                    return;
                }
                if self.reached.len() >= MAX_UNITS {
                    if self.doubts.is_empty() {
                        self.doubts.push(Unreadable::because(format!("more than {MAX_UNITS} units start each other")));
                    }
                    return;
                }
                self.reached.insert(id.clone(), Reached { from, via, on_demand });
                waiting.push_back((id, file));
            }
            // A mask, or a name without a unit, starts nothing.
            Found::Masked(_) | Found::Missing => {}
            Found::Unknown(why) => {
                if !self.doubts.contains(&why) {
                    self.doubts.push(why);
                }
            }
        }
    }
}

impl Step {
    /// The step in words: `ssh.service by /etc/…/multi-user.target.wants/ssh.service`. Safe to show.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{} by {}", printable(self.unit.as_bytes()), self.via.words())
    }
}
