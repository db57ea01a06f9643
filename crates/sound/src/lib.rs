//! Interface cues and sounds placed in the body.
