//! Typed matchers: what a check may ask of a value.

use super::{Pattern, Scalar};
use crate::finding::{Evidence, Outcome};

/// Declares a check over a setting: the struct's own fields, and every matcher as a field of the same table.
///
/// Serde's `flatten` would do this too, but it loses unknown keys and the place of a mistake.
macro_rules! matched {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// The value is exactly this.
            pub equals: Option<$crate::check::Scalar>,
            /// The value is anything but this.
            pub not_equals: Option<$crate::check::Scalar>,
            /// The value is one of these.
            pub one_of: Option<Vec<$crate::check::Scalar>>,
            /// The value is a number of at least this.
            pub at_least: Option<i64>,
            /// The value is a number of at most this.
            pub at_most: Option<i64>,
            /// The value matches this regular expression.
            pub matches: Option<$crate::check::Pattern>,
            /// The value does not match this regular expression.
            pub not_matches: Option<$crate::check::Pattern>,
            /// The value is a list with all of these in it.
            pub includes: Option<Vec<String>>,
            /// The value is a list with none of these in it.
            pub excludes: Option<Vec<String>>,
            /// The value is a list of nothing but these.
            pub within: Option<Vec<String>>,
            /// `true`: the setting may also be absent altogether. On its own: it has to be.
            #[serde(default)]
            pub absent: bool,
        }

        impl $name {
            /// The matchers of this check.
            fn matcher(&self) -> $crate::check::Matcher<'_> {
                $crate::check::Matcher {
                    equals: self.equals.as_ref(),
                    not_equals: self.not_equals.as_ref(),
                    one_of: self.one_of.as_deref(),
                    at_least: self.at_least,
                    at_most: self.at_most,
                    matches: self.matches.as_ref(),
                    not_matches: self.not_matches.as_ref(),
                    includes: self.includes.as_deref(),
                    excludes: self.excludes.as_deref(),
                    within: self.within.as_deref(),
                    absent: self.absent,
                }
            }
        }
    };
}
pub(super) use matched;

/// The matchers of one check; all that are given have to hold. What each asks is said at the fields that [`matched!`] adds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Matcher<'c> {
    pub(super) equals: Option<&'c Scalar>,
    pub(super) not_equals: Option<&'c Scalar>,
    pub(super) one_of: Option<&'c [Scalar]>,
    pub(super) at_least: Option<i64>,
    pub(super) at_most: Option<i64>,
    pub(super) matches: Option<&'c Pattern>,
    pub(super) not_matches: Option<&'c Pattern>,
    pub(super) includes: Option<&'c [String]>,
    pub(super) excludes: Option<&'c [String]>,
    pub(super) within: Option<&'c [String]>,
    pub(super) absent: bool,
}

/// A value as a system sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// As text, the way its system writes it.
    pub text: String,
    /// As a number, where it is one: units are already multiplied out.
    pub number: Option<i64>,
    /// As a list, where it is one.
    pub list: Option<Vec<String>>,
}

impl Observed {
    /// Text that may be a plain decimal number, and may be a list separated by commas or blanks.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let number = text.trim().parse().ok();
        Self { text, number, list: None }
    }

    /// With the number it stands for (a time span, a size), where it is one.
    #[must_use]
    pub fn with_number(mut self, number: Option<i64>) -> Self {
        self.number = number;
        self
    }

    /// With the list it stands for.
    #[must_use]
    pub fn with_list(mut self, list: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.list = Some(list.into_iter().map(Into::into).collect());
        self
    }

    fn items(&self) -> Vec<&str> {
        match &self.list {
            Some(list) => list.iter().map(String::as_str).collect(),
            None => self.text.split([',', ' ', '\t']).filter(|item| !item.is_empty()).collect(),
        }
    }

    fn is(&self, scalar: &Scalar) -> bool {
        match scalar {
            Scalar::Number(number) => self.number == Some(*number),
            Scalar::Text(text) => self.text == *text,
        }
    }
}

impl Matcher<'_> {
    /// Whether nothing at all is asked: a mistake of the rule's author.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.absent && self.wants_nothing()
    }

    fn wants_nothing(&self) -> bool {
        self.equals.is_none()
            && self.not_equals.is_none()
            && self.one_of.is_none()
            && self.at_least.is_none()
            && self.at_most.is_none()
            && self.matches.is_none()
            && self.not_matches.is_none()
            && self.includes.is_none()
            && self.excludes.is_none()
            && self.within.is_none()
    }

    /// The flaw of a check without any matcher.
    #[must_use]
    pub fn flaw(&self) -> Option<String> {
        let known = "equals, not-equals, one-of, at-least, at-most, matches, not-matches, includes, excludes, within, absent";
        self.is_empty().then(|| format!("it asks nothing of the value; matchers: {known}"))
    }

    /// Whether a value, or its absence, fits.
    #[must_use]
    pub fn accepts(&self, observed: Option<&Observed>) -> bool {
        let Some(observed) = observed else { return self.absent };
        if self.wants_nothing() {
            return false;
        }
        let items = observed.items();
        self.equals.is_none_or(|wanted| observed.is(wanted))
            && self.not_equals.is_none_or(|refused| !observed.is(refused))
            && self.one_of.is_none_or(|wanted| wanted.iter().any(|one| observed.is(one)))
            && self.at_least.is_none_or(|least| observed.number.is_some_and(|number| number >= least))
            && self.at_most.is_none_or(|most| observed.number.is_some_and(|number| number <= most))
            && self.matches.is_none_or(|pattern| pattern.0.is_match(&observed.text))
            && self.not_matches.is_none_or(|pattern| !pattern.0.is_match(&observed.text))
            && self.includes.is_none_or(|wanted| wanted.iter().all(|one| items.contains(&one.as_str())))
            && self.excludes.is_none_or(|refused| !refused.iter().any(|one| items.contains(&one.as_str())))
            && self.within.is_none_or(|allowed| items.iter().all(|item| allowed.iter().any(|one| one == item)))
    }

    /// Judges one value and leaves the verdict in its evidence: `place` says where it was found or would have to be.
    #[must_use]
    pub fn judge(&self, observed: Option<&Observed>, place: Evidence) -> Outcome {
        let found = observed.map_or("not set", |observed| observed.text.as_str());
        Outcome::decide(self.accepts(observed), vec![place.found(found).expected(self.to_string())])
    }
}

impl std::fmt::Display for Matcher<'_> {
    /// The matchers in words: `at least 1, at most 4`.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |words: &str, items: &[String]| format!("{words} {}", items.join(", "));
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.equals.map(ToString::to_string));
        parts.extend(self.not_equals.map(|refused| format!("anything but {refused}")));
        parts.extend(self.one_of.map(|wanted| wanted.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")));
        parts.extend(self.at_least.map(|least| format!("at least {least}")));
        parts.extend(self.at_most.map(|most| format!("at most {most}")));
        parts.extend(self.matches.map(|pattern| format!("something like /{}/", pattern.0)));
        parts.extend(self.not_matches.map(|pattern| format!("nothing like /{}/", pattern.0)));
        parts.extend(self.includes.map(|wanted| list("with", wanted)));
        parts.extend(self.excludes.map(|refused| list("without", refused)));
        parts.extend(self.within.map(|allowed| list("nothing but", allowed)));
        if parts.is_empty() && self.absent {
            return out.write_str("not set");
        }
        out.write_str(&parts.join(", "))?;
        if self.absent { out.write_str(", or not set") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_compared_as_a_number() {
        let matcher = Matcher { at_most: Some(4), at_least: Some(1), ..Matcher::default() };
        assert!(matcher.accepts(Some(&Observed::new("04"))));
        assert!(!matcher.accepts(Some(&Observed::new("10"))));
        assert!(!matcher.accepts(Some(&Observed::new("none"))), "what is no number is not within limits");
        assert!(!matcher.accepts(None));
    }

    #[test]
    fn absence_alone_wants_the_setting_gone() {
        let matcher = Matcher { absent: true, ..Matcher::default() };
        assert!(matcher.accepts(None));
        assert!(!matcher.accepts(Some(&Observed::new("x"))));
    }

    #[test]
    fn absence_beside_others_is_one_more_way_to_pass() {
        let wanted = Scalar::Text("no".into());
        let matcher = Matcher { absent: true, equals: Some(&wanted), ..Matcher::default() };
        assert!(matcher.accepts(None) && matcher.accepts(Some(&Observed::new("no"))));
        assert!(!matcher.accepts(Some(&Observed::new("yes"))));
    }

    #[test]
    fn lists_are_compared_as_sets() {
        let weak = ["3des-cbc".to_owned()];
        let matcher = Matcher { excludes: Some(&weak), ..Matcher::default() };
        assert!(!matcher.accepts(Some(&Observed::new("aes256-ctr,3des-cbc"))));
        assert!(matcher.accepts(Some(&Observed::new("aes256-ctr"))));
    }
}
