//! How well two segmentations or surfaces agree.
