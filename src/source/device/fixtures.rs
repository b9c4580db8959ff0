//! What tests of this room read and make: images of the shared folder, images made by the real tools, and damage.
#![allow(clippy::disallowed_methods, reason = "a test makes and reads files of the host")]

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::{BlockDevice, Device, Disk, FileDevice, Folder};

/// A file or folder of the shared fixtures, if they are here. Says that it skips otherwise.
#[allow(clippy::print_stderr, clippy::disallowed_methods, reason = "a test says why it does nothing")]
pub(in crate::source) fn fixture(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("KARAT_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from)
        .join("fixtures")
        .join(name);
    if shared.exists() {
        return Some(shared);
    }
    eprintln!("skipped: no {} (KARAT_SHARED says where fixtures are)", shared.display());
    None
}

/// Unpacks a `.zst` file into a folder, with holes where there are zeros.
pub(in crate::source) fn unpack(packed: &Path, folder: &Path) -> PathBuf {
    let to = folder.join(packed.file_stem().unwrap());
    let mut from = ruzstd::decoding::StreamingDecoder::new(fs::File::open(packed).unwrap()).unwrap();
    let mut file = fs::File::create(&to).unwrap();
    let mut length = 0;
    loop {
        let mut block = Vec::new();
        from.by_ref().take(1 << 20).read_to_end(&mut block).unwrap();
        if block.is_empty() {
            break;
        }
        if block.iter().any(|&byte| byte != 0) {
            file.seek(SeekFrom::Start(length)).unwrap();
            file.write_all(&block).unwrap();
        }
        length += block.len() as u64;
    }
    file.set_len(length).unwrap();
    to
}

/// Runs a tool in a folder. None, and says so, if it is not installed.
///
/// # Panics
/// If the tool fails, or is missing although `KARAT_PEERS=required`.
#[allow(clippy::print_stderr, clippy::disallowed_methods, reason = "a test runs the real tool")]
pub(in crate::source) fn run(folder: &Path, command: &[&str]) -> Option<String> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let made =
        Command::new(command[0]).args(&command[1..]).current_dir(folder).env("PATH", path).env("LC_ALL", "C.UTF-8").output();
    match made {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) if std::env::var("KARAT_PEERS").is_ok_and(|value| value == "required") => {
            panic!("{}: {error}", command[0])
        }
        Err(error) => {
            eprintln!("skipped: {}: {error}", command[0]);
            None
        }
    }
}

/// Opens an image file as karat does.
pub(in crate::source) fn open(path: &Path) -> std::io::Result<Disk> {
    Disk::open(Arc::new(FileDevice::open(path)?), &Folder::of(path)?)
}

/// The hash of all that a device holds, in reads of odd sizes.
pub(in crate::source) fn hash(device: &dyn BlockDevice) -> String {
    let mut hash = Sha256::new();
    let mut at = 0;
    let mut buffer = vec![0; 1_234_567];
    while at < device.len() {
        let take = buffer.len().min(usize::try_from(device.len() - at).unwrap());
        device.read_at(at, &mut buffer[..take]).unwrap();
        hash.update(&buffer[..take]);
        at += take as u64;
    }
    hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Reads every part of a device once, going on after errors, up to a bound: what must neither panic nor hang.
pub(in crate::source) fn read_everything(device: &dyn BlockDevice) {
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    for _ in 0..64 {
        let take = buffer.len().min(usize::try_from(device.len().saturating_sub(at)).unwrap_or(usize::MAX));
        let _ = device.read_at(at, &mut buffer[..take]);
        at += take as u64;
    }
    let _ = device.read_at(device.len().saturating_sub(100), &mut [0; 100]);
}

/// Seeded numbers (xorshift), so that a failure can be seen again.
pub(in crate::source) struct Dice(pub(in crate::source) u64);

impl Dice {
    pub(in crate::source) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 20).unwrap() % bound.max(1)
    }

    /// The same bytes with a few changed, mostly where they are not zero, or cut off.
    pub(in crate::source) fn damage(&mut self, bytes: &[u8], places: &[usize]) -> Vec<u8> {
        let mut damaged = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at =
                if places.is_empty() || self.below(8) == 0 { self.below(bytes.len()) } else { places[self.below(places.len())] };
            let value = match self.below(5) {
                0 => 0,
                1 => 0xff,
                2 => 0x80,
                _ => u8::try_from(self.below(256)).unwrap(),
            };
            damaged[at] = if self.below(2) == 0 { value } else { damaged[at] ^ (1 << self.below(8)) };
        }
        if self.below(16) == 0 {
            damaged.truncate(self.below(bytes.len()));
        }
        damaged
    }
}

/// Where bytes are that say something: not zero, or beside such a one.
pub(in crate::source) fn telling(bytes: &[u8]) -> Vec<usize> {
    let near = |at: usize| bytes[at.saturating_sub(3)..(at + 4).min(bytes.len())].iter().any(|&byte| byte != 0);
    (0..bytes.len()).filter(|&at| near(at)).collect()
}

/// A file's bytes as a device.
pub(in crate::source) fn in_memory(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

/// A raw disk of a few megabytes: some of it zeros, some that can be packed, some that cannot.
pub(in crate::source) fn disk(folder: &Path, megabytes: usize) -> PathBuf {
    let mut dice = Dice(42);
    let mut bytes = vec![0; megabytes << 20];
    for (number, block) in bytes.chunks_mut(4096).enumerate() {
        match number % 5 {
            0 | 1 => {}
            2 => block.iter_mut().for_each(|byte| *byte = u8::try_from(dice.below(256)).unwrap()),
            _ => block.fill(u8::try_from(number % 251).unwrap()),
        }
    }
    // Some clusters all of zeros.
    let quarter = bytes.len() / 4;
    bytes[quarter..quarter + quarter / 2].fill(0);
    let path = folder.join("disk.raw");
    fs::write(&path, bytes).unwrap();
    path
}

/// A device of a file.
pub(in crate::source) fn file(path: &Path) -> Device {
    Arc::new(FileDevice::open(path).unwrap())
}
