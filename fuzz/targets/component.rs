//! Any bytes are a component whose world can be told, or are refused; a world that was read is written as WIT, and
//! matches itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use withe_wit::World;

fuzz_target!(|bytes: &[u8]| {
    _ = World::wit(bytes);
    let Ok(world) = World::read(bytes) else {
        return;
    };
    let again = World::read(bytes);
    assert!(again.is_ok_and(|again| again == world));
});
