//! What was seen, and where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::path::{ImagePath, printable};

/// One thing seen in the image: where, what was found, what was expected, and why it counts.
///
/// All text is already made safe to show (see [`printable`]). Secret values never come in here: their kind and place do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Path inside the image, escaped.
    pub path: String,
    /// Line in the file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in the line, in characters from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// What is there.
    pub found: String,
    /// What should be there; empty where the finding only records what is.
    pub expected: String,
    /// Why the system behaves so: who wins over whom, which default decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

impl Evidence {
    /// Something about a whole path.
    #[must_use]
    pub fn at(path: &ImagePath) -> Self {
        Self { path: path.to_string(), line: None, column: None, found: String::new(), expected: String::new(), because: None }
    }

    /// In this line.
    #[must_use]
    pub fn line(mut self, line: u32) -> Self {
        self.line = Some(line);
        self
    }

    /// In this line, if it is known.
    #[must_use]
    pub fn line_opt(mut self, line: Option<u32>) -> Self {
        self.line = line;
        self
    }

    /// At this column of the line.
    #[must_use]
    pub fn column(mut self, column: u32) -> Self {
        self.column = Some(column);
        self
    }

    /// What was found; bytes of an image are escaped.
    #[must_use]
    pub fn found(mut self, found: impl AsRef<[u8]>) -> Self {
        self.found = printable(found.as_ref());
        self
    }

    /// What is expected instead.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = expected.into();
        self
    }

    /// Why the system behaves so. Text of an image has to be escaped by the caller.
    #[must_use]
    pub fn because(mut self, because: impl Into<String>) -> Self {
        self.because = Some(because.into());
        self
    }

    /// The place as `path:line:column`, as far as it is known.
    #[must_use]
    pub fn place(&self) -> String {
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{}:{line}:{column}", self.path),
            (Some(line), None) => format!("{}:{line}", self.path),
            _ => self.path.clone(),
        }
    }
}
