//! Reads the configuration in rsyslog's order.

use super::action::{self, create_mode};
use super::{DEFAULT_MODE, Input, Module, NETWORK_INPUTS, Output, OutputTarget, PATH, Place, Rsyslog, Stream};
use crate::facts::{Fact, Unreadable};
use crate::image::{FileKind, ReadError, Rootfs};
use crate::path::{ImagePath, printable};
use crate::syntax::rsyslog::{Filter, Kind, Param, PriorityMask, Statement, parse, selector};

/// Files read in all; no real configuration comes near.
const MAX_FILES: usize = 1_000;

/// Actions kept, however often a file with them is included; servers of logs have some hundred.
const MAX_OUTPUTS: usize = 5_000;

/// Includes within includes.
const MAX_DEPTH: usize = 32;

/// The rule set that messages go to unless something else is said.
const DEFAULT_RULESET: &[u8] = b"RSYSLOG_DefaultRuleset";

struct Reader<'i> {
    root: Rootfs<'i>,
    found: Rsyslog,
    /// The files that are being read, the innermost last.
    open: Vec<ImagePath>,
    /// The mode for actions of old.
    legacy_mode: (u32, Option<Place>),
    /// The mode for `action()`.
    module_mode: (u32, Option<Place>),
    /// How actions of old are encrypted.
    legacy_stream: Stream,
    /// What was thrown away on the way.
    dropped: PriorityMask,
    /// Whether the statements belong to the rule set that messages go to.
    in_default: bool,
    /// Whether there were more actions than are kept.
    is_full: bool,
}

pub(super) fn read(root: Rootfs<'_>) -> Fact<Rsyslog> {
    let path = ImagePath::new(PATH);
    match root.read(&path) {
        Err(error) if error.is_absent() => return Ok(Rsyslog::default()),
        Err(error) => return Err(Unreadable::reading(&path, &error)),
        Ok(_) => {}
    }
    let mut reader = Reader {
        root,
        found: Rsyslog { present: true, ..Rsyslog::default() },
        open: Vec::new(),
        legacy_mode: (DEFAULT_MODE, None),
        module_mode: (DEFAULT_MODE, None),
        legacy_stream: Stream::default(),
        dropped: PriorityMask::NONE,
        in_default: true,
        is_full: false,
    };
    reader.file(&path);
    Ok(reader.found)
}

impl Reader<'_> {
    fn file(&mut self, path: &ImagePath) {
        if self.open.contains(path) {
            // rsyslog says so and goes on without it.
            return;
        }
        if self.open.len() >= MAX_DEPTH || self.found.files.len() >= MAX_FILES {
            self.found.doubts.push(Unreadable::at(path, "too many includes"));
            return;
        }
        let content = match self.root.read(path) {
            Ok(content) => content,
            Err(error) => return self.found.doubts.push(Unreadable::reading(path, &error)),
        };
        self.found.files.push(path.clone());
        match parse(&content) {
            Ok(statements) => {
                self.open.push(path.clone());
                self.statements(&statements, Some(PriorityMask::ALL));
                self.open.pop();
            }
            Err(refused) => self.found.refused.push(Unreadable::at_line(path, refused.line, refused.reason)),
        }
    }

    fn place(&self, line: u32) -> Place {
        Place { path: self.open.last().cloned().unwrap_or_else(ImagePath::root), line }
    }

    /// `messages`: those that get here, where that is known.
    fn statements(&mut self, statements: &[Statement], messages: Option<PriorityMask>) {
        for statement in statements {
            self.statement(statement, messages);
        }
    }

    fn statement(&mut self, statement: &Statement, messages: Option<PriorityMask>) {
        let line = statement.line;
        match &statement.kind {
            Kind::Directive { name, value } => self.directive(name, value.trim_ascii(), line),
            Kind::Include { pattern } => self.include(pattern.as_deref(), line),
            Kind::Object { name, params } => self.object(name, params, line),
            Kind::Ruleset { params, body } => {
                let named = params.iter().find(|param| param.name == "name").map(|param| param.value.text());
                let default = named == Some(DEFAULT_RULESET);
                self.statements(body, messages.filter(|_| default));
            }
            Kind::Action(params) => {
                let target = action::target_of(params, &self.module_mode, &self.place(line));
                self.output(target, messages, line);
            }
            Kind::Legacy(text) if text == b"~" => self.drop(messages),
            Kind::Legacy(text) => {
                self.output(action::target_of_old(text, &self.legacy_mode, &self.legacy_stream), messages, line);
            }
            Kind::Filtered { filter, body, otherwise } => {
                let passes = match filter {
                    Filter::Priority(text) => selector(text),
                    Filter::Expression(text) => only_prifilt(text).and_then(selector),
                    Filter::Property(_) => None,
                };
                let both = |one: PriorityMask, other: PriorityMask| one.without(PriorityMask::ALL.without(other));
                let inside = messages.zip(passes).map(|(messages, passes)| both(messages, passes));
                self.statements(body, inside);
                self.statements(otherwise, messages.zip(passes).map(|(messages, passes)| messages.without(passes)));
            }
            Kind::Stop => self.drop(messages),
            Kind::Call(_) => self.found.branches = true,
            Kind::UnclosedComment if self.open.len() > 1 => {
                let path = self.place(line).path;
                let reason = "the comment is not closed, so it swallows what follows the include of this file";
                self.found.doubts.push(Unreadable::at_line(&path, line, reason));
            }
            Kind::UnclosedComment | Kind::Other => {}
        }
    }

    fn drop(&mut self, messages: Option<PriorityMask>) {
        if let Some(messages) = messages.filter(|_| self.in_default) {
            self.dropped = self.dropped.or(messages);
        }
    }

    fn output(&mut self, target: OutputTarget, messages: Option<PriorityMask>, line: u32) {
        if self.found.outputs.len() >= MAX_OUTPUTS {
            if !self.is_full {
                self.is_full = true;
                let path = self.place(line).path;
                self.found.doubts.push(Unreadable::at_line(&path, line, format!("there are more than {MAX_OUTPUTS} actions")));
            }
            return;
        }
        let messages = messages.filter(|_| self.in_default).map(|messages| messages.without(self.dropped));
        self.found.outputs.push(Output { target, messages, place: self.place(line) });
    }

    fn directive(&mut self, name: &str, value: &[u8], line: u32) {
        let word = value.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        match name {
            "filecreatemode" => {
                if let Some(mode) = create_mode(word) {
                    self.legacy_mode = (mode, Some(self.place(line)));
                }
            }
            "resetconfigvariables" => {
                self.legacy_mode = (DEFAULT_MODE, None);
                self.legacy_stream = Stream::default();
            }
            "actionsendstreamdriver" => self.legacy_stream.driver = Some(printable(word).to_ascii_lowercase()),
            "actionsendstreamdrivermode" => self.legacy_stream.encrypts = word == b"1",
            "actionsendstreamdriverauthmode" => {
                self.legacy_stream.authentication = Some(printable(word).to_ascii_lowercase());
            }
            "defaultnetstreamdriver" => self.found.driver = Some(printable(word).to_ascii_lowercase()),
            "defaultnetstreamdrivercafile" => self.found.trusted = Some(printable(word)),
            "umask" => self.found.umask = create_mode(word).or(self.found.umask),
            "modload" => self.module(word, line),
            "ruleset" => self.in_default = word == DEFAULT_RULESET,
            "inputtcpserverrun" => self.input("imtcp", word, false, line),
            "udpserverrun" => self.input("imudp", word, false, line),
            "inputptcpserverrun" => self.input("imptcp", word, false, line),
            "inputrelpserverrun" => self.input("imrelp", word, false, line),
            "inputgssserverrun" => self.input("imgssapi", word, false, line),
            "input3195listenport" => self.input("im3195", word, false, line),
            _ => {}
        }
    }

    fn object(&mut self, name: &str, params: &[Param], line: u32) {
        let get = |wanted: &str| params.iter().find(|param| param.name == wanted).map(|param| param.value.text());
        match name {
            "module" => {
                let load = get("load").unwrap_or_default();
                self.module(load, line);
                if matches!(load, b"builtin:omfile" | b"omfile")
                    && let Some(mode) = get("filecreatemode").and_then(create_mode)
                {
                    self.module_mode = (mode, Some(self.place(line)));
                }
            }
            "global" => {
                self.found.umask = get("umask").and_then(create_mode).or(self.found.umask);
                if let Some(driver) = get("defaultnetstreamdriver") {
                    self.found.driver = Some(printable(driver).to_ascii_lowercase());
                }
                if let Some(file) = get("defaultnetstreamdrivercafile") {
                    self.found.trusted = Some(printable(file));
                }
            }
            "input" => {
                let module = printable(get("type").unwrap_or_default()).to_ascii_lowercase();
                // imptcp serves Unix sockets as well.
                if NETWORK_INPUTS.contains(&module.as_str()) && get("path").is_none() {
                    let local = get("address")
                        .is_some_and(|address| address.starts_with(b"127.") || matches!(address, b"::1" | b"localhost"));
                    self.input(&module, get("port").unwrap_or_default(), local, line);
                }
            }
            _ => {}
        }
    }

    fn module(&mut self, load: &[u8], line: u32) {
        let name = load.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let name = printable(name.strip_suffix(b".so").unwrap_or(name)).to_ascii_lowercase();
        let place = self.place(line);
        self.found.modules.push(Module { name, place });
    }

    fn input(&mut self, module: &str, port: &[u8], local: bool, line: u32) {
        let place = self.place(line);
        self.found.inputs.push(Input { module: module.to_owned(), port: printable(port), local, place });
    }

    /// Includes what a pattern names (`glob(3)`), a directory with all its files that have no dot in front.
    fn include(&mut self, pattern: Option<&[u8]>, line: u32) {
        let place = self.place(line);
        let mut doubt = |reason: &str| self.found.doubts.push(Unreadable::at_line(&place.path, line, reason));
        let Some(pattern) = pattern else { return doubt("a text in include() is not looked at") };
        let Some(pattern) = shell_pattern(pattern) else { return doubt("an include that is not UTF-8 is not looked at") };
        let pattern = if pattern.ends_with('/') { format!("{pattern}*") } else { pattern };
        let paths = match self.root.glob(&pattern) {
            Ok(paths) => paths,
            Err(error) => return doubt(&error.to_string()),
        };
        for path in paths {
            match self.root.resolve(&path).map(|found| found.metadata.kind) {
                Ok(FileKind::Directory) => self.directory(&path),
                Ok(FileKind::File) => self.file(&path),
                Ok(_) | Err(ReadError::Dangling | ReadError::NotFound) => {}
                Err(error) => self.found.doubts.push(Unreadable::reading(&path, &error)),
            }
        }
    }

    /// The files of a directory, those of its directories too.
    fn directory(&mut self, path: &ImagePath) {
        let mut waiting = vec![(path.clone(), 0)];
        while let Some((path, depth)) = waiting.pop() {
            match self.root.resolve(&path).map(|found| found.metadata.kind) {
                Ok(FileKind::File) => self.file(&path),
                Ok(FileKind::Directory) if depth < MAX_DEPTH => match self.root.read_dir(&path) {
                    // The last is taken first.
                    Ok(names) => waiting.extend(
                        names.iter().rev().filter(|name| !name.starts_with(b".")).map(|name| (path.join(name), depth + 1)),
                    ),
                    Err(error) => self.found.doubts.push(Unreadable::reading(&path, &error)),
                },
                Ok(FileKind::Directory) => self.found.doubts.push(Unreadable::at(&path, "directories are nested too deeply")),
                Ok(_) | Err(ReadError::Dangling | ReadError::NotFound) => {}
                Err(error) => self.found.doubts.push(Unreadable::reading(&path, &error)),
            }
        }
    }
}

/// A pattern of `glob(3)` without its extensions: braces are plain there, and `**` is `*`.
fn shell_pattern(pattern: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(pattern).ok()?;
    let parts =
        text.split('/').map(|part| if part == "**" { "*".to_owned() } else { part.replace('{', "\\{").replace('}', "\\}") });
    Some(parts.collect::<Vec<_>>().join("/"))
}

/// The selector of an expression that is `prifilt("…")` and nothing else.
fn only_prifilt(expression: &[u8]) -> Option<&[u8]> {
    let inside = expression.trim_ascii().strip_prefix(b"prifilt")?.trim_ascii_start();
    let inside = inside.strip_prefix(b"(")?.strip_suffix(b")")?.trim_ascii();
    let selector = inside.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let selector = selector.or_else(|| inside.strip_prefix(b"'").and_then(|rest| rest.strip_suffix(b"'")))?;
    (!selector.contains(&b'"') && !selector.contains(&b'\'')).then_some(selector)
}
