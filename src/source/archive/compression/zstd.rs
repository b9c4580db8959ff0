//! Zstandard (RFC 8878), frame after frame, skippable ones left out.

use std::io::{self, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::super::bytes::{fill, invalid};
use super::WINDOW;

/// A reader of what a Zstandard stream holds.
pub(super) struct Zstd<'r> {
    input: Box<dyn Read + Send + 'r>,
    decoder: Box<FrameDecoder>,
    /// Whether a frame is being read.
    inside: bool,
    frames: u64,
    offset: u64,
}

impl<'r> Zstd<'r> {
    pub(super) fn new(input: Box<dyn Read + Send + 'r>) -> Self {
        let mut decoder = Box::new(FrameDecoder::new());
        decoder.set_max_window_size(WINDOW);
        let input = Box::new(io::BufReader::with_capacity(64 << 10, input));
        Self { input, decoder, inside: false, frames: 0, offset: 0 }
    }

    fn trouble(&self, error: &FrameDecoderError) -> io::Error {
        let reason = match error {
            FrameDecoderError::WindowSizeTooBig { requested, .. } => {
                format!("it looks back {requested} bytes, beyond the limit of {WINDOW}")
            }
            other => other.to_string(),
        };
        invalid(format!("zstd, frame {}, after {} bytes of content: {reason}", self.frames, self.offset))
    }

    /// Goes to the next frame; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        loop {
            let mut magic = [0; 4];
            match fill(&mut self.input, &mut magic)? {
                0 if self.frames > 0 => return Ok(false),
                4 => {}
                _ => {
                    let reason = format!("the zstd stream ends inside the header of frame {}", self.frames + 1);
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
                }
            }
            self.frames += 1;
            match self.decoder.reset((&magic[..]).chain(&mut self.input)) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.input).take(length), &mut io::sink())? < length {
                        return Err(io::Error::new(
                            io::ErrorKind::UnexpectedEof,
                            "the zstd stream ends inside a skippable frame",
                        ));
                    }
                }
                Err(error) => return Err(self.trouble(&error)),
            }
        }
    }
}

impl Read for Zstd<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.inside {
                if !self.next()? {
                    return Ok(0);
                }
                self.inside = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let decoded = self.decoder.decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBlocks(1));
                decoded.map_err(|error| self.trouble(&error))?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                self.offset += count as u64;
                return Ok(count);
            }
            self.inside = false;
            let (told, found) = (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
            if told.is_some() && found.is_some() && told != found {
                return Err(invalid(format!("zstd: the checksum of frame {} does not hold", self.frames)));
            }
        }
    }
}
