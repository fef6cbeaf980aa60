//! Any text is WIT with the world that is asked for, or is refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use withe_wit::World;

fuzz_target!(|text: &str| {
    _ = World::from_wit(&[text], "w");
});
