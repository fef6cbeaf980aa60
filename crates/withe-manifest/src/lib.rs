//! Application manifests: text to linker input, positions kept.
