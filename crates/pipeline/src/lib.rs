//! Recipes from a scan to a case, with progress, cache and report.
