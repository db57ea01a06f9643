//! Surfaces from labels and fields, smoothed within bounds, decimated, with measured error.
