//! Every text of the interface, in one table, in plain language.

macro_rules! texts {
    ($($(#[$doc:meta])* $key:ident = $english:literal,)*) => {
        /// A text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Text {
            $($(#[$doc])* $key,)*
        }

        impl Text {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$key),*];
        }

        /// The words of a text, in English.
        pub const fn text(key: Text) -> &'static str {
            match key {
                $(Text::$key => $english,)*
            }
        }
    };
}

texts! {
    /// Title of the panel of structures.
    Structures = "Structures",
    /// Title of the panel of planes, window, cut and size.
    View = "View",
    /// Title of the panel of distances.
    Measurements = "Measurements",
    /// Title of the help panel.
    Help = "Keys and buttons",
    /// On the button that opens help.
    HelpTab = "Help",
    /// A heading in help.
    Headset = "Headset",
    /// A heading in help.
    KeyboardAndMouse = "Keyboard and mouse",
    /// A heading in help.
    Gamepad = "Gamepad",
    /// In an empty search field.
    SearchHint = "Type to search…",
    /// When a search finds nothing.
    NothingFound = "Nothing is called that. Try a shorter word.",
    /// While nothing is on stage.
    NoCase = "No patient is loaded yet.",
    /// On a button.
    ShowAll = "Show all",
    /// Beside the control that shows one alone.
    Solo = "Only this",
    /// On a button.
    Peel = "Take off a layer",
    /// On a button.
    Unpeel = "Put it back",
    /// On a button.
    Undo = "Undo",
    /// On a button.
    Redo = "Redo",
    /// On a button.
    Reset = "Back to the start",
    /// On a button.
    Picture = "Take a picture",
    /// A heading.
    ScanPlanes = "Scan planes",
    /// Plane across the body.
    Axial = "Axial",
    /// Plane along the shoulders.
    Coronal = "Coronal",
    /// Plane from front to back.
    Sagittal = "Sagittal",
    /// A heading.
    GreyValues = "Grey values",
    /// The window's center.
    Center = "Brightness",
    /// The window's width.
    Width = "Contrast range",
    /// A heading.
    Cut = "Cut",
    /// The cut's switch.
    CutOn = "Cut the body open",
    /// The cut's place.
    CutDepth = "Depth",
    /// On a button: cuts away the other side.
    Flip = "Other side",
    /// On a button: cuts away the front.
    FromFront = "From front",
    /// On a button: cuts away the patient's left.
    FromLeft = "From left",
    /// On a button: cuts away the head's side.
    FromAbove = "From above",
    /// A heading.
    Size = "Size",
    /// The magnification slider.
    Magnification = "Magnified",
    /// On a button.
    LifeSize = "Life size",
    /// A heading.
    Truth = "How sure is this picture?",
    /// On a button.
    OverlayOff = "Natural colours",
    /// On a button.
    OverlayProvenance = "Measured or inferred",
    /// On a button.
    OverlaySurfaceError = "Surface error",
    /// On a button.
    OverlayConfidence = "Confidence",
    /// Words of an overlay.
    NothingMadeUp = "no model made up what lies there",
    /// Words of an overlay.
    OutlineByModel = "outline drawn by a model in the scan's own values",
    /// Words of an overlay, after a number and %.
    MadeUp = "made up, not measured",
    /// Words of an overlay, before a length.
    SurfaceWithin = "surface within",
    /// Words of an overlay.
    NotMeasured = "error not measured",
    /// Words of an overlay, before a number and %.
    ModelSure = "model is sure to",
    /// Words of an overlay.
    NoModel = "drawn without a model",
    /// The measuring tool's switch.
    Measure = "Measure a distance",
    /// While no point is placed.
    MeasureFirst = "Point at a surface and press.",
    /// While one point is placed.
    MeasureSecond = "Point at the second place and press.",
    /// In an empty list.
    NoMeasurements = "No distances yet.",
    /// On a button.
    DeleteAll = "Delete all",
    /// Always in help.
    NotADevice = "Not a medical device: what is seen here informs, it does not diagnose.",
    /// Value of the magnification slider at 1.
    Life = "life size",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_says_something_once() {
        let mut words: Vec<&str> = Text::ALL.iter().map(|key| text(*key)).collect();
        assert!(words.iter().all(|w| !w.trim().is_empty() && w.trim() == *w));
        words.sort_unstable();
        let count = words.len();
        words.dedup();
        assert_eq!(words.len(), count, "two keys with the same words");
    }
}
