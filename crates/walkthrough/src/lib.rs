//! The walk as components and messages, without device or GPU.
