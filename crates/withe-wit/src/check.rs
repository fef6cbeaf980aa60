//! Whether an export can satisfy an import, and where they first differ.
