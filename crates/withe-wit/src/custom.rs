//! Custom sections: what tools have written into a component beside its code.

use wasmparser::{Parser, Payload};

/// The contents of the component's first custom section that has one of these names. Sections of what is nested in the
/// component do not count. `None` if there is none before the bytes stop being a component.
pub fn custom_section<'a>(bytes: &'a [u8], names: &[&str]) -> Option<&'a [u8]> {
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.ok()? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.checked_sub(1)?,
            Payload::CustomSection(section) if depth == 1 && names.contains(&section.name()) => {
                return Some(section.data());
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_of_the_component_itself_are_found() {
        let text = r#"(component
            (core module (@custom "jwt" "nested"))
            (@custom "other" "o")
            (@custom "jwt" "own")
            (@custom "jwt" "second"))"#;
        let bytes = wat::parse_str(text).unwrap();
        assert_eq!(custom_section(&bytes, &["jwt"]), Some(&b"own"[..]));
        assert_eq!(custom_section(&bytes, &["x", "other"]), Some(&b"o"[..]));
        assert_eq!(custom_section(&bytes, &["x"]), None);
        // No length of damaged bytes is believed.
        for cut in 0..bytes.len() {
            custom_section(&bytes[..cut], &["x"]);
        }
        assert_eq!(custom_section(b"nothing", &["x"]), None);
    }
}
