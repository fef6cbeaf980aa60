//! Any text is a manifest, or has diagnostics whose places are in it; what is secret in it can be taken out and put back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use withe_manifest::mask;

fuzz_target!(|text: &str| {
    let parsed = withe_manifest::parse(text);
    assert!(parsed.application.is_some() || parsed.diagnostics.has_errors());
    assert_eq!(mask::shown(text).len(), text.len());
    if let Ok(masked) = mask::mask(text) {
        assert_eq!(
            mask::unmask(&masked.text, &masked.hidden).as_deref(),
            Some(text)
        );
    }
});
