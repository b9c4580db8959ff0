//! Reports: one file a format, all of the same scan and decision.

mod html;
pub mod json;
mod sarif;
pub mod table;

use std::io::{self, Write};

use crate::finding::Scan;
use crate::gate::Decision;

/// Writes a scan in one format. The scan has gone through [`gate::apply`](crate::gate::apply).
pub trait Report {
    /// Writes the whole report.
    ///
    /// # Errors
    /// Only those of the writer.
    fn write(&self, scan: &Scan, decision: &Decision, out: &mut dyn Write) -> io::Result<()>;
}

/// The formats there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// For people.
    Table,
    /// The whole scan with its decision; can be read back.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// One page for an auditor.
    Html,
}

impl Format {
    /// All, in the order they are listed.
    pub const ALL: [Self; 4] = [Self::Table, Self::Json, Self::Sarif, Self::Html];

    /// The name it is chosen by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Sarif => "sarif",
            Self::Html => "html",
        }
    }

    /// What writes it, with the usual options: see [`table::TableOptions`] for those of the table.
    #[must_use]
    pub fn report(self) -> Box<dyn Report> {
        match self {
            Self::Table => Box::new(table::Table::default()),
            Self::Json => Box::new(json::Json),
            Self::Sarif => Box::new(sarif::Sarif),
            Self::Html => Box::new(html::Html),
        }
    }
}
