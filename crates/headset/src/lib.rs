//! OpenXR to walkthrough messages, and a frame loop that survives its runtime.
