//! Any bytes are a component whose world can be told, or are refused; a world that was read is written as WIT, and
//! matches itself. Its large modules are taken out, or it is left as it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use withe_compose::{ExtractSizes, extract_modules};
use withe_wit::World;

fuzz_target!(|bytes: &[u8]| {
    _ = World::wit(bytes);
    let sizes = ExtractSizes {
        large: 1,
        worthwhile: 1,
        snapshot: 1,
    };
    _ = extract_modules(bytes, &sizes);
    let Ok(world) = World::read(bytes) else {
        return;
    };
    let again = World::read(bytes);
    assert!(again.is_ok_and(|again| again == world));
});
