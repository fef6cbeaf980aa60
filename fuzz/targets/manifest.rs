//! Any text is a manifest, or has diagnostics whose places are in it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let parsed = withe_manifest::parse(text);
    assert!(parsed.application.is_some() || parsed.diagnostics.has_errors());
});
