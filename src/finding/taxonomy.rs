//! Catalogues of controls by which others count, and which the rules refer to.

/// A catalogue of controls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taxonomy {
    /// How rules call it: the name of its file in `benchmarks/taxonomies/`.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Who publishes it.
    pub organization: &'static str,
    /// Where it is found.
    pub uri: &'static str,
    /// Whose word it is that a rule serves one of its controls.
    pub source: &'static str,
}

impl Taxonomy {
    /// Those there are.
    pub const ALL: [Self; 2] = [
        Self {
            id: "cis-controls-8",
            name: "CIS Controls",
            version: "8",
            organization: "Center for Internet Security",
            uri: "https://www.cisecurity.org/controls/v8",
            source: "Karat's own reading, by the titles of the safeguards; not the list that the benchmarks print.",
        },
        Self {
            id: "nist-800-53",
            name: "NIST SP 800-53",
            version: "Revision 4",
            organization: "National Institute of Standards and Technology",
            uri: "https://csrc.nist.gov/pubs/sp/800/53/r4/upd3/final",
            source: "As the ComplianceAsCode project refers to it, without the letters of a control's parts.",
        },
    ];
}
