//! Meshes, materials, clip and cap shaders, level of detail, the room, panels.
