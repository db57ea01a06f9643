//! The case folder and its GLB, read and written.
