//! One stack: its modules in order, and which of them can be reached.

use super::flow::Handler;
use super::{Pam, Service};
use crate::facts::{Fact, Unreadable};
use crate::path::{ImagePath, printable};
use crate::syntax::pam::{Action, Control, Line, Management, Module};

/// Files that include each other deeper than this are refused by libpam (`PAM_SUBSTACK_MAX_LEVEL`).
const MAX_DEPTH: usize = 16;
/// No real stack has nearly as many modules; includes that double at each level would.
const MAX_STEPS: usize = 1_000;

/// The modules that are asked, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Every module of the stack; see [`Step::reachable`].
    pub steps: Vec<Step>,
    /// The service's own file.
    pub path: ImagePath,
    /// The steps with the places where substacks begin, as libpam walks over them.
    pub(super) handlers: Vec<Handler>,
}

/// A module in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The line.
    pub module: Module,
    /// The file it stands in.
    pub path: ImagePath,
    /// Whether some results of the modules before it lead here.
    pub reachable: bool,
}

impl Step {
    /// The value of an argument: what follows its `=`, or nothing where it is a word alone. The last of its name counts. Debian's
    /// `pam_unix` takes `nullok_secure` for `nullok`.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&str> {
        let nullok = name == "nullok" && self.module.name() == "pam_unix.so";
        self.module.arguments.iter().rev().find_map(|argument| match argument.split_once('=') {
            Some((key, value)) => (key == name).then_some(value),
            None => (argument == name || nullok && argument == "nullok_secure").then_some(""),
        })
    }
}

/// A module, or a stack within the stack.
enum Node {
    Module(Box<Step>),
    Substack(Vec<Node>),
}

impl Stack {
    pub(super) fn build(pam: &Pam, service: &str, management: Management) -> Fact<Self> {
        let Some(found) = pam.service(service) else {
            return Err(Unreadable::because(format!("there is no PAM service {service}")));
        };
        let mut count = 0;
        let mut nodes = Vec::new();
        collect(pam, found, management, 0, &mut count, &mut nodes)?;
        let mut stack = Self { steps: Vec::new(), path: found.path.clone(), handlers: Vec::new() };
        flatten(nodes, true, 0, &mut stack);
        Ok(stack)
    }
}

/// Adds the nodes of a file: the lines of one kind, and of what they include.
fn collect(pam: &Pam, from: &Service, wanted: Management, depth: usize, count: &mut usize, nodes: &mut Vec<Node>) -> Fact<()> {
    if depth > MAX_DEPTH {
        return Err(Unreadable::at(&from.path, "PAM files include each other too deeply"));
    }
    for line in from.lines.as_ref().map_err(Clone::clone)? {
        *count += 1;
        if *count > MAX_STEPS {
            return Err(Unreadable::at(&from.path, format!("the stack has more than {MAX_STEPS} lines")));
        }
        let other = |name: &str, line: u32| {
            let missing = || {
                let why =
                    if name.starts_with('/') { "lies outside the folders of PAM and is not followed" } else { "does not exist" };
                Unreadable::at_line(&from.path, line, format!("it includes {}, which {why}", printable(name.as_bytes())))
            };
            pam.service(name).ok_or_else(missing)
        };
        match line {
            // libpam lets the service fail as a whole: what it would do with a part of it is nobody's guess.
            Line::Broken { line } => {
                return Err(Unreadable::at_line(&from.path, *line, "libpam cannot read this line, so the service fails"));
            }
            Line::IncludeAll { line, service } => collect(pam, other(service, *line)?, wanted, depth + 1, count, nodes)?,
            Line::Module(module) if module.management != wanted => {}
            Line::Module(module) => match module.control {
                Control::Include => collect(pam, other(&module.module, module.line)?, wanted, depth + 1, count, nodes)?,
                Control::Substack => {
                    let mut inner = Vec::new();
                    collect(pam, other(&module.module, module.line)?, wanted, depth + 1, count, &mut inner)?;
                    nodes.push(Node::Substack(inner));
                }
                Control::Results { .. } => {
                    nodes.push(Node::Module(Box::new(Step {
                        module: module.clone(),
                        path: from.path.clone(),
                        reachable: false,
                    })));
                }
            },
        }
    }
    Ok(())
}

/// Puts the modules in a row and marks those that can be reached. A substack that ends early only ends itself.
fn flatten(nodes: Vec<Node>, entered: bool, level: usize, stack: &mut Stack) {
    let mut reachable = vec![false; nodes.len()];
    if let Some(first) = reachable.first_mut() {
        *first = entered;
    }
    for (index, node) in nodes.into_iter().enumerate() {
        let here = reachable.get(index).copied().unwrap_or(false);
        match node {
            Node::Substack(inner) => {
                stack.handlers.push(Handler { level, step: None });
                flatten(inner, here, level + 1, stack);
                mark(&mut reachable, index + 1, here);
            }
            Node::Module(mut step) => {
                step.reachable = here;
                for action in actions(&step.module) {
                    match action {
                        Action::Jump(over) => mark(&mut reachable, index.saturating_add(1).saturating_add(over), here),
                        Action::Ignore | Action::Ok | Action::Bad | Action::Reset => mark(&mut reachable, index + 1, here),
                        // `done` goes on where something failed before; where nothing could, it ends the stack.
                        Action::Done | Action::Die => {}
                    }
                }
                stack.handlers.push(Handler { level, step: Some(stack.steps.len()) });
                stack.steps.push(*step);
            }
        }
    }
}

fn mark(reachable: &mut [bool], index: usize, here: bool) {
    if let Some(slot) = reachable.get_mut(index) {
        *slot |= here;
    }
}

/// What the results that a module can have would do. `pam_permit` only ever succeeds, `pam_deny` never does.
fn actions(module: &Module) -> Vec<Action> {
    let Control::Results { by_name, default } = &module.control else { return Vec::new() };
    let success = module.control.action("success");
    match module.name() {
        "pam_permit.so" => vec![success],
        "pam_deny.so" => vec![module.control.action(match module.management {
            Management::Auth => "auth_err",
            Management::Account => "acct_expired",
            Management::Password => "authtok_err",
            Management::Session => "session_err",
        })],
        _ => by_name.iter().map(|(_, action)| *action).chain([success, *default]).collect(),
    }
}
