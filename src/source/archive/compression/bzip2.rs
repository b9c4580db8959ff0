//! bzip2, stream after stream (as `pbzip2` and `lbzip2` write them). The format has no document of its owner; what is followed here
//! is how `bzip2` 1.0.8 behaves, the randomised blocks of versions before 0.9.5 left out.

use std::io::{self, Read};

use super::super::bytes::invalid;

/// Symbols of one selector.
const GROUP: u32 = 50;
/// The longest code.
const LONGEST: u8 = 20;

/// A reader of what a bzip2 stream holds.
pub(super) struct Bzip2<'r> {
    bits: Bits<'r>,
    /// Bytes a block may have; nothing before the first header.
    most: usize,
    streams: u64,
    table: Vec<u32>,
    left: usize,
    position: u32,
    /// The byte before, how often it came in a row, and how often it is still to be given.
    last: Option<u8>,
    run: u8,
    repeat: u8,
    crc: u32,
    told: u32,
    combined: u32,
    inside: bool,
    offset: u64,
}

/// Bits from the highest of each byte on.
struct Bits<'r> {
    input: io::Bytes<io::BufReader<Box<dyn Read + Send + 'r>>>,
    held: u64,
    count: u32,
    bytes: u64,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> io::Result<u32> {
        self.some(count)?.ok_or_else(|| {
            let reason = format!("the bzip2 stream ends at byte {}, inside a block", self.bytes);
            io::Error::new(io::ErrorKind::UnexpectedEof, reason)
        })
    }

    /// At most 32 bits; nothing where the stream ends before them.
    fn some(&mut self, count: u32) -> io::Result<Option<u32>> {
        while self.count < count {
            let Some(byte) = self.input.next().transpose()? else { return Ok(None) };
            self.held = (self.held << 8) | u64::from(byte);
            self.count += 8;
            self.bytes += 1;
        }
        self.count -= count;
        let value = (self.held >> self.count) & ((1 << count) - 1);
        self.held &= (1 << self.count) - 1;
        Ok(u32::try_from(value).ok())
    }

    fn is_set(&mut self) -> io::Result<bool> {
        Ok(self.take(1)? == 1)
    }
}

/// One Huffman code: for each length the first code, how many there are, and where their symbols begin.
struct Code {
    counts: [u32; LONGEST as usize + 1],
    symbols: Vec<u16>,
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; LONGEST as usize + 1];
        let mut symbols = Vec::with_capacity(lengths.len());
        for (length, count) in (0u8..).zip(&mut counts) {
            for (symbol, _) in (0u16..).zip(lengths).filter(|(_, found)| length > 0 && **found == length) {
                symbols.push(symbol);
                *count += 1;
            }
        }
        Self { counts, symbols }
    }

    fn read(&self, bits: &mut Bits<'_>) -> io::Result<u16> {
        let (mut code, mut first, mut index) = (0u32, 0u32, 0u32);
        for count in self.counts.iter().skip(1) {
            code |= bits.take(1)?;
            if code.wrapping_sub(first) < *count {
                return self.symbols.get((index + code - first) as usize).copied().ok_or_else(|| invalid("bzip2: a wrong code"));
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(invalid("bzip2: a code that stands for nothing"))
    }
}

impl<'r> Bzip2<'r> {
    pub(super) fn new(input: Box<dyn Read + Send + 'r>) -> Self {
        let bits = Bits { input: io::BufReader::with_capacity(64 << 10, input).bytes(), held: 0, count: 0, bytes: 0 };
        Self {
            bits,
            most: 0,
            streams: 0,
            table: Vec::new(),
            left: 0,
            position: 0,
            last: None,
            run: 0,
            repeat: 0,
            crc: 0,
            told: 0,
            combined: 0,
            inside: false,
            offset: 0,
        }
    }

    fn broken(&self, reason: &str) -> io::Error {
        invalid(format!("bzip2, at byte {} of the stream: {reason}", self.bits.bytes))
    }

    /// Goes to the next block; false at the end of the last stream.
    fn next(&mut self) -> io::Result<bool> {
        loop {
            if self.most == 0 {
                let Some(magic) = self.bits.some(24)? else {
                    return if self.streams > 0 { Ok(false) } else { Err(self.broken("it ends inside its first header")) };
                };
                let size = self.bits.take(8)?.wrapping_sub(u32::from(b'0'));
                if magic != 0x42_5a68 || !(1..=9).contains(&size) {
                    return Err(self.broken("what follows a stream is no bzip2"));
                }
                self.most = size as usize * 100_000;
                self.streams += 1;
                self.combined = 0;
            }
            let magic = (u64::from(self.bits.take(24)?) << 24) | u64::from(self.bits.take(24)?);
            let told = self.bits.take(32)?;
            match magic {
                0x3141_5926_5359 => {
                    self.told = told;
                    self.block()?;
                    return Ok(true);
                }
                0x1772_4538_5090 => {
                    if told != self.combined {
                        return Err(self.broken("the checksum of a stream does not hold"));
                    }
                    // A stream ends with a whole byte.
                    self.bits.count -= self.bits.count % 8;
                    self.bits.held &= (1 << self.bits.count) - 1;
                    self.most = 0;
                }
                _ => return Err(self.broken("no block begins here")),
            }
        }
    }

    /// Reads one block into the table that `byte` walks through.
    fn block(&mut self) -> io::Result<()> {
        if self.bits.is_set()? {
            return Err(self.broken("a randomised block, which no bzip2 since 1999 writes"));
        }
        let origin = self.bits.take(24)? as usize;
        let bytes = self.symbols()?;
        let mut counts = [0u32; 256];
        for byte in &bytes {
            if let Some(count) = counts.get_mut(usize::from(*byte)) {
                *count += 1;
            }
        }
        if origin >= bytes.len() {
            return Err(self.broken("the block begins outside itself"));
        }
        let mut sum = 0;
        for count in &mut counts {
            let here = *count;
            *count = sum;
            sum += here;
        }
        self.table.clear();
        self.table.extend(bytes.iter().map(|byte| u32::from(*byte)));
        for (number, byte) in (0u32..).zip(&bytes) {
            let Some(place) = counts.get_mut(usize::from(*byte)) else { continue };
            if let Some(entry) = self.table.get_mut(*place as usize) {
                *entry |= number << 8;
            }
            *place += 1;
        }
        self.left = bytes.len();
        self.position = self.table.get(origin).map_or(0, |entry| entry >> 8);
        self.last = None;
        self.run = 0;
        self.repeat = 0;
        self.crc = u32::MAX;
        Ok(())
    }

    /// The bytes of a block before they are put in order: Huffman codes, runs of zeros and moves to the front undone.
    fn symbols(&mut self) -> io::Result<Vec<u8>> {
        let mut front = Vec::with_capacity(256);
        let ranges = self.bits.take(16)?;
        for range in (0..16u8).filter(|range| ranges & (0x8000 >> range) != 0) {
            let used = self.bits.take(16)?;
            front.extend((0..16u8).filter(|bit| used & (0x8000 >> bit) != 0).map(|bit| range * 16 + bit));
        }
        let (tables, selectors) = (self.bits.take(3)? as usize, self.bits.take(15)? as usize);
        if front.is_empty() || !(2..=6).contains(&tables) || selectors == 0 {
            return Err(self.broken("a block without symbols or codes"));
        }
        let mut order: Vec<u8> = (0..6u8).take(tables).collect();
        let mut chosen = Vec::with_capacity(selectors);
        for _ in 0..selectors {
            let mut place = 0;
            while self.bits.is_set()? {
                place += 1;
                if place >= tables {
                    return Err(self.broken("a code that is not there"));
                }
            }
            let one = order.remove(place);
            order.insert(0, one);
            chosen.push(one);
        }
        let last = front.len() + 1;
        let mut codes = Vec::with_capacity(tables);
        for _ in 0..tables {
            let mut length = self.bits.take(5)?;
            let mut lengths = Vec::with_capacity(last + 1);
            for _ in 0..=last {
                loop {
                    if !(1..=u32::from(LONGEST)).contains(&length) {
                        return Err(self.broken("a code of an impossible length"));
                    }
                    if !self.bits.is_set()? {
                        break;
                    }
                    length = if self.bits.is_set()? { length - 1 } else { length + 1 };
                }
                lengths.push(u8::try_from(length).unwrap_or(0));
            }
            codes.push(Code::new(&lengths));
        }
        let mut bytes = Vec::new();
        let (mut run, mut weight) = (0usize, 1usize);
        for selector in chosen {
            let Some(code) = codes.get(usize::from(selector)) else { return Err(self.broken("a code that is not there")) };
            for _ in 0..GROUP {
                let symbol = usize::from(code.read(&mut self.bits)?);
                if symbol <= 1 {
                    run += weight << symbol;
                    weight <<= 1;
                    if run > self.most {
                        return Err(self.broken("a block longer than it may be"));
                    }
                    continue;
                }
                if bytes.len() + run + usize::from(symbol != last) > self.most {
                    return Err(self.broken("a block longer than it may be"));
                }
                if let Some(first) = front.first() {
                    bytes.resize(bytes.len() + run, *first);
                }
                (run, weight) = (0, 1);
                if symbol == last {
                    return Ok(bytes);
                }
                if symbol > front.len() {
                    return Err(self.broken("a symbol that is not there"));
                }
                let byte = front.remove(symbol - 1);
                front.insert(0, byte);
                bytes.push(byte);
            }
        }
        Err(self.broken("a block without an end"))
    }

    /// The next byte of the block, runs of four and more written out.
    fn byte(&mut self) -> Option<u8> {
        if self.repeat > 0 {
            self.repeat -= 1;
            return self.last;
        }
        loop {
            self.left = self.left.checked_sub(1)?;
            let entry = *self.table.get(self.position as usize)?;
            self.position = entry >> 8;
            #[allow(clippy::cast_possible_truncation, reason = "the lowest byte of an entry is the byte itself")]
            let byte = entry as u8;
            if self.run == 4 {
                self.run = 0;
                self.repeat = byte;
                if byte == 0 {
                    continue;
                }
                self.repeat -= 1;
                return self.last;
            }
            self.run = if self.last == Some(byte) { self.run + 1 } else { 1 };
            self.last = Some(byte);
            return Some(byte);
        }
    }
}

/// The polynomial of CRC-32 from the highest bit on, a byte at a time.
static CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    #[allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "counted, and made by the compiler")]
    while index < 256 {
        let mut value = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 0x8000_0000 == 0 { value << 1 } else { (value << 1) ^ 0x04c1_1db7 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

impl Read for Bzip2<'_> {
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
            let mut count = 0;
            for place in buffer.iter_mut() {
                let Some(byte) = self.byte() else { break };
                *place = byte;
                self.crc = (self.crc << 8) ^ CRC.get((self.crc >> 24) as usize ^ usize::from(byte)).copied().unwrap_or(0);
                count += 1;
            }
            if count > 0 {
                self.offset += count as u64;
                return Ok(count);
            }
            self.inside = false;
            if !self.crc != self.told {
                return Err(self.broken("the checksum of a block does not hold"));
            }
            self.combined = self.combined.rotate_left(1) ^ self.told;
        }
    }
}
