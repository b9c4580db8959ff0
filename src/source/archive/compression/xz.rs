//! xz (the .xz file format 1.2), stream after stream.

use std::io::{self, Read};

use lzma_rust2::{Action, Status, XzStream};

use super::super::bytes::{fill, invalid};
use super::WINDOW;

/// What is read at once.
const INPUT: usize = 64 << 10;
/// How much more may go in than comes out. A stream of nothing but empty blocks holds nothing, and each is remembered until the index
/// at its end.
const SURPLUS: u64 = 64 << 20;

/// A reader of what an xz stream holds.
pub(super) struct Xz<'r> {
    input: Box<dyn Read + Send + 'r>,
    stream: Box<XzStream>,
    buffer: Vec<u8>,
    from: usize,
    is_last: bool,
    is_done: bool,
}

impl<'r> Xz<'r> {
    pub(super) fn new(input: Box<dyn Read + Send + 'r>) -> Self {
        let limit = u32::try_from((WINDOW >> 10) + 1024).unwrap_or(u32::MAX);
        let stream = Box::new(XzStream::new_mem_limit(true, limit));
        Self { input, stream, buffer: Vec::new(), from: 0, is_last: false, is_done: false }
    }

    fn trouble(&self, error: &io::Error) -> io::Error {
        let (read, written) = (self.stream.total_in(), self.stream.total_out());
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                let reason = format!("the xz stream ends at byte {read}; {written} bytes of its content came before");
                io::Error::new(io::ErrorKind::UnexpectedEof, reason)
            }
            io::ErrorKind::OutOfMemory => {
                invalid(format!("xz, at byte {read}: it looks back beyond the limit of {WINDOW} bytes"))
            }
            _ => invalid(format!("xz, at byte {read}: {error}")),
        }
    }
}

impl Read for Xz<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.is_done && !buffer.is_empty() {
            if self.from >= self.buffer.len() && !self.is_last {
                self.buffer.resize(INPUT, 0);
                let filled = fill(&mut self.input, &mut self.buffer)?;
                self.buffer.truncate(filled);
                self.from = 0;
                self.is_last = filled < INPUT;
            }
            let action = if self.is_last { Action::Finish } else { Action::Run };
            let input = self.buffer.get(self.from..).unwrap_or_default();
            let did = self.stream.process(input, buffer, action).map_err(|error| self.trouble(&error))?;
            self.from += did.bytes_consumed;
            self.is_done = did.status == Status::StreamEnd;
            if self.stream.total_in() > self.stream.total_out().saturating_add(SURPLUS) {
                return Err(invalid(format!("xz: {SURPLUS} bytes more go in than come out, beyond the limit")));
            }
            if did.bytes_produced > 0 {
                return Ok(did.bytes_produced);
            }
            if self.is_last && did.bytes_consumed == 0 && !self.is_done {
                return Err(self.trouble(&io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Ok(0)
    }
}
