//! A device held in memory: for tests, and for fuzz targets.

use std::io;
use std::sync::Arc;

use super::{BlockDevice, Device, within};

/// Bytes as a device.
#[derive(Debug, Clone, Default)]
pub struct MemoryDevice(pub Vec<u8>);

impl MemoryDevice {
    /// The same, to be shared.
    #[must_use]
    pub fn shared(bytes: impl Into<Vec<u8>>) -> Device {
        Arc::new(Self(bytes.into()))
    }
}

impl BlockDevice for MemoryDevice {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        within(offset, buffer.len(), self.len())?;
        let start = super::fields::size(offset)?;
        buffer.copy_from_slice(super::fields::slice(&self.0, start, buffer.len())?);
        Ok(())
    }
}
