//! Every text of the interface, in one table, in plain language.

/// A text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Text {
    /// Title of the panel of structures.
    Structures,
}

/// The words of a text, in English.
pub fn text(key: Text) -> &'static str {
    match key {
        Text::Structures => "Structures",
    }
}
