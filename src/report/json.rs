//! JSON: the whole [`Scan`] with its [`Decision`], the same bytes for the same scan, readable back.

use std::io::{self, Write};

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::Report;
use crate::finding::Scan;
use crate::gate::Decision;

/// The shape written by this version. Fields may be added to it; a change of meaning makes a new number.
pub const VERSION: u32 = 1;

/// A saved scan.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "Scan")]
struct Written<'s> {
    /// The shape of this file.
    format_version: u32,
    #[serde(flatten)]
    scan: &'s Scan,
    /// What the policy made of it.
    decision: &'s Decision,
}

/// What is read beside the scan.
#[derive(Deserialize)]
struct Beside {
    format_version: Option<u32>,
    decision: Option<Decision>,
}

/// Why a saved scan cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not JSON, or not that of a scan.
    #[error("it is no scan saved by karat: {0}")]
    Json(serde_json::Error),
    /// It was written by a later karat.
    #[error("it was written by a later version of karat (format {found}; this one reads up to {VERSION})")]
    Later {
        /// The number in the file.
        found: u32,
    },
}

/// Writes JSON.
#[derive(Debug, Clone, Copy)]
pub struct Json;

impl Report for Json {
    fn write(&self, scan: &Scan, decision: &Decision, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, &Written { format_version: VERSION, scan, decision })?;
        out.write_all(b"\n")
    }
}

/// Reads a saved scan back, and the decision if the file has one.
///
/// # Errors
/// JSON that is broken or not that of a scan, with line and column; a format from the future.
pub fn read(text: &str) -> Result<(Scan, Option<Decision>), ReadError> {
    let scan: Result<Scan, _> = serde_json::from_str(text);
    let beside: Result<Beside, _> = serde_json::from_str(text);
    // A later format is said first: that the rest of it does not fit follows from it.
    if let Ok(Beside { format_version: Some(found), .. }) = beside
        && found > VERSION
    {
        return Err(ReadError::Later { found });
    }
    Ok((scan.map_err(ReadError::Json)?, beside.map_err(ReadError::Json)?.decision))
}

/// The schema of a saved scan.
#[must_use]
pub fn scan_schema() -> Schema {
    schemars::schema_for!(Written<'_>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_scan_is_said_with_its_place() {
        let error = read("{\n  \"tool\": 3\n}").unwrap_err().to_string();
        assert!(error.contains("line 2 column 11"), "{error}");
        assert!(read("").is_err());
    }

    #[test]
    fn a_later_format_is_named() {
        assert!(matches!(read("{\"format_version\": 7, \"tool\": []}"), Err(ReadError::Later { found: 7 })));
    }
}
