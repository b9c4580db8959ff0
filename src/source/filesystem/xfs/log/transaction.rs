//! Transactions, put together from the operations of many records.

use std::collections::BTreeMap;
use std::io;

use super::record::Header;
use crate::source::filesystem::xfs::bytes::{Within, broken, part, u8_at, u32_at};

const START: u8 = 0x01;
const COMMIT: u8 = 0x02;
const CONTINUES: u8 = 0x04;
const CONTINUED: u8 = 0x08;
const END: u8 = 0x10;
const UNMOUNT: u8 = 0x20;
/// Who writes operations: transactions, and the log itself.
const CLIENTS: [u8; 2] = [0x69, 0xaa];
const OPERATION: usize = 12;
/// What a transaction begins with: "TRAN" as a little-endian number, and sixteen bytes in all.
const TRANSACTION: u32 = 0x5452_414e;
const TRANSACTION_HEADER: usize = 16;
/// Regions that an item may have (`XLOG_MAX_REGIONS_IN_ITEM` of the kernel: a buffer of 64 KiB in pieces of 128 bytes, every other one).
const MAX_REGIONS: usize = 64 * 1024 / 128 / 2 + 1;
/// Transactions that are open at once: each process of the kernel has one, and since 2010 there is only one to the log.
const MAX_OPEN: usize = 1 << 16;

/// A logged change: a description, and regions that belong to it.
#[derive(Debug, Default)]
pub(super) struct Item {
    pub(super) regions: Vec<Vec<u8>>,
    /// How many regions it will have; 0 while that is not known.
    total: usize,
}

impl Item {
    /// What kind of change it is.
    pub(super) fn kind(&self) -> u16 {
        self.regions.first().map_or(0, |region| le16(region, 0).unwrap_or_default())
    }

    /// A region.
    ///
    /// # Errors
    /// `InvalidData` if it has fewer.
    pub(super) fn region(&self, at: usize) -> io::Result<&[u8]> {
        self.regions.get(at).map(Vec::as_slice).ok_or_else(|| broken(format_args!("it has no region {at}")))
    }

    pub(super) fn is_whole(&self) -> bool {
        self.total != 0 && self.regions.len() == self.total
    }
}

/// A transaction that was committed.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// The sequence number of the record it began in.
    pub(super) lsn: u64,
    pub(super) items: Vec<Item>,
    /// The transaction's own header, until it is whole.
    header: Vec<u8>,
}

/// Transactions that are not committed yet.
#[derive(Default)]
pub(super) struct Transactions {
    open: BTreeMap<u32, Transaction>,
}

impl Transactions {
    /// Takes the operations of a record, and gives each transaction that they commit.
    pub(super) fn take(
        &mut self,
        header: &Header,
        bytes: &[u8],
        commit: &mut dyn FnMut(Transaction) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut at = 0;
        let mut left = header.operations;
        while at < bytes.len() && left > 0 {
            let operation = part(bytes, at, OPERATION)?;
            let (id, length) = (u32_at(operation, 0)?, u32_at(operation, 4)? as usize);
            let (client, flags) = (u8_at(operation, 8)?, u8_at(operation, 9)?);
            if !CLIENTS.contains(&client) {
                return Err(broken(format_args!("an operation of the unknown client {client:#x}")));
            }
            let data = part(bytes, at + OPERATION, length)?;
            if let Some(whole) = self.operation(id, flags, data, header.lsn)? {
                commit(whole)?;
            }
            at += OPERATION + length;
            left -= 1;
        }
        Ok(())
    }

    fn operation(&mut self, id: u32, flags: u8, data: &[u8], lsn: u64) -> io::Result<Option<Transaction>> {
        let Some(transaction) = self.open.get_mut(&id) else {
            // Operations of a transaction that began before the log did are passed over, as in the kernel.
            if flags & START != 0 {
                if self.open.len() >= MAX_OPEN {
                    return Err(broken("more transactions are open than there can be"));
                }
                self.open.insert(id, Transaction { lsn, ..Transaction::default() });
            }
            return Ok(None);
        };
        let mut flags = flags & !END;
        if flags & CONTINUED != 0 {
            flags &= !CONTINUES;
        }
        match flags {
            0 | CONTINUES => transaction.add(data)?,
            CONTINUED => transaction.extend(data)?,
            COMMIT => return Ok(self.open.remove(&id)),
            UNMOUNT => drop(self.open.remove(&id)),
            other => return Err(broken(format_args!("an operation with flags {other:#x}"))),
        }
        Ok(None)
    }
}

impl Transaction {
    /// A new region: of the last item if that is not whole, otherwise of a new one.
    fn add(&mut self, data: &[u8]) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        if self.items.is_empty() && self.header.is_empty() {
            if le32(data, 0)? != TRANSACTION || data.len() > TRANSACTION_HEADER {
                return Err(broken("a transaction without its header"));
            }
            self.header = data.to_vec();
            return Ok(());
        }
        if self.items.last().is_none_or(Item::is_whole) {
            let total = usize::from(le16(data, 2)?);
            if total == 0 || total > MAX_REGIONS {
                return Err(broken(format_args!("an item with {total} regions")));
            }
            self.items.push(Item { regions: Vec::new(), total });
        }
        if let Some(item) = self.items.last_mut() {
            item.regions.push(data.to_vec());
        }
        Ok(())
    }

    /// More of the last region, which did not fit the record before.
    fn extend(&mut self, data: &[u8]) -> io::Result<()> {
        if self.items.is_empty() {
            if self.header.len() + data.len() > TRANSACTION_HEADER {
                return Err(broken("a transaction whose header is too long"));
            }
            self.header.extend_from_slice(data);
            return Ok(());
        }
        let region = self.items.last_mut().and_then(|item| item.regions.last_mut());
        region.ok_or_else(|| broken("an operation that continues nothing"))?.extend_from_slice(data);
        Ok(())
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> io::Result<[u8; N]> {
    part(bytes, at, N).within(|| "an item of the log")?.first_chunk().copied().ok_or_else(|| broken("too short"))
}

/// Items are written as the machine keeps numbers: little-endian.
pub(super) fn le16(bytes: &[u8], at: usize) -> io::Result<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

pub(super) fn le32(bytes: &[u8], at: usize) -> io::Result<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

pub(super) fn le64(bytes: &[u8], at: usize) -> io::Result<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}
