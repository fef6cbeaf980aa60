//! Custom sections: what tools have written into a component beside its code.

use wasmparser::{Encoding, Parser, Payload};

/// The contents of the component's first custom section that has one of these names. Sections of what is nested in the
/// component do not count. `None` if there is none before the bytes stop being a component.
pub fn custom_section<'a>(bytes: &'a [u8], names: &[&str]) -> Option<&'a [u8]> {
    find(bytes, names, 1)
}

/// As [`custom_section`], also in the modules that the component is made of, but in no component within it.
pub fn custom_section_within<'a>(bytes: &'a [u8], names: &[&str]) -> Option<&'a [u8]> {
    find(bytes, names, 2)
}

/// The section, at most so deep: at 1 in the component, at 2 in a module of it.
fn find<'a>(bytes: &'a [u8], names: &[&str], most: u32) -> Option<&'a [u8]> {
    let mut depth = 0_u32;
    // Whether what is at that depth is a component.
    let mut is_nested = false;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.ok()? {
            Payload::Version { encoding, .. } => {
                depth += 1;
                is_nested = depth > 1 && encoding == Encoding::Component;
            }
            Payload::End(_) => {
                depth = depth.checked_sub(1)?;
                is_nested = depth > 1;
            }
            Payload::CustomSection(section)
                if depth <= most && !is_nested && names.contains(&section.name()) =>
            {
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
        assert_eq!(
            custom_section_within(&bytes, &["jwt"]),
            Some(&b"nested"[..])
        );
        let nested = r#"(component (component (core module (@custom "jwt" "n")) (@custom "jwt" "n")) (@custom "jwt" "own"))"#;
        let nested = wat::parse_str(nested).unwrap();
        assert_eq!(custom_section_within(&nested, &["jwt"]), Some(&b"own"[..]));
        // No length of damaged bytes is believed.
        for cut in 0..bytes.len() {
            custom_section(&bytes[..cut], &["x"]);
        }
        assert_eq!(custom_section(b"nothing", &["x"]), None);
    }
}
