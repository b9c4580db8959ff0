//! The language of `nft(8)`, as far as it says which packets are let through: tables, chains with their hooks and policies, and of rules
//! what they ask of interfaces, source addresses and ports. Modelled after nftables 1.0 (`src/parser_bison.y`, `src/scanner.l`).

mod rule;
mod ruleset;
mod tokens;

pub use ruleset::{Base, Chain, Family, MAX_TOKENS, Ruleset, Table};
pub use tokens::{Kind, Token, tokens};

/// What is refused, so that nothing of the script is loaded, or what this parser does not follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Flaw {
    /// The file, by its number in the order of reading.
    pub file: usize,
    /// The line, from 1.
    pub line: u32,
    /// Whether the real program refuses it as well.
    pub refused: bool,
    /// Why.
    pub reason: String,
}

impl Flaw {
    fn refused(file: usize, line: u32, reason: impl Into<String>) -> Self {
        Self { file, line, refused: true, reason: reason.into() }
    }

    fn at(token: &Token, reason: impl Into<String>) -> Self {
        Self::refused(token.file, token.line, reason)
    }

    fn not_followed(token: &Token, reason: impl Into<String>) -> Self {
        Self { refused: false, ..Self::at(token, reason) }
    }
}

#[cfg(test)]
mod tests;
