//! Custom sections: what tools have written into a component beside its code.

use std::mem;

use wasm_encoder::{Component, ComponentSectionId, Encode as _, Module};
use wasmparser::{Encoding, Parser, Payload};

/// How deep components and modules may be nested in what is written anew, so that bytes which are nothing but
/// nesting are not copied once for each level.
const MOST_NESTED: usize = 100;

/// The contents of the component's first custom section that has one of these names. Sections of what is nested in the
/// component do not count. `None` if there is none before the bytes stop being a component.
pub fn custom_section<'a>(bytes: &'a [u8], names: &[&str]) -> Option<&'a [u8]> {
    find(bytes, names, 1)
}

/// As [`custom_section`], also in the modules that the component is made of, but in no component within it.
pub fn custom_section_within<'a>(bytes: &'a [u8], names: &[&str]) -> Option<&'a [u8]> {
    find(bytes, names, 2)
}

/// The component, or the module, written anew without the custom sections that have one of these names, also in what is
/// nested in it. Lengths have their shortest form, as wasmCloud's tools write them before they hash a component. `None` if the
/// bytes are no component, or are nested too deep.
pub fn without_custom_sections(bytes: &[u8], names: &[&str]) -> Option<Vec<u8>> {
    let mut written = Vec::with_capacity(bytes.len());
    // The items around the one that is written, from the outermost.
    let mut around = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.ok()?;
        match &payload {
            Payload::Version { encoding, .. } => written.extend_from_slice(match encoding {
                Encoding::Component => &Component::HEADER,
                Encoding::Module => &Module::HEADER,
            }),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                if around.len() == MOST_NESTED {
                    return None;
                }
                around.push(mem::take(&mut written));
            }
            Payload::End(_) => {
                let Some(mut outer) = around.pop() else { break };
                let id = match written.starts_with(&Component::HEADER) {
                    true => ComponentSectionId::Component,
                    false => ComponentSectionId::CoreModule,
                };
                outer.push(id.into());
                written.encode(&mut outer);
                written = outer;
            }
            Payload::CustomSection(section) if names.contains(&section.name()) => {}
            payload => {
                if let Some((id, range)) = payload.as_section() {
                    let start = usize::try_from(range.start).ok()?;
                    let end = usize::try_from(range.end).ok()?;
                    written.push(id);
                    bytes.get(start..end)?.encode(&mut written);
                }
            }
        }
    }
    Some(written)
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

    #[test]
    fn a_component_is_written_without_the_sections_at_any_depth() {
        let written = |sections: &str| {
            let text = format!(
                r#"(component
                    {sections}
                    (core module (func (export "f")) {sections})
                    (@custom "kept" "k")
                    (component {sections} (core module {sections}) (type string))
                    {sections})"#
            );
            wat::parse_str(text).unwrap()
        };
        let plain = written("");
        let with = written(r#"(@custom "jwt" "one") (@custom "wasmcloud_jwt" "two")"#);
        let names = ["jwt", "wasmcloud_jwt"];
        assert_eq!(without_custom_sections(&with, &names).unwrap(), plain);
        assert_eq!(without_custom_sections(&plain, &names).unwrap(), plain);
        // No length of damaged bytes is believed.
        for cut in 0..with.len() {
            without_custom_sections(&with[..cut], &names);
        }
        assert_eq!(without_custom_sections(b"nothing", &names), None);
        let mut nested = wat::parse_str("(component)").unwrap();
        for depth in 0..=MOST_NESTED {
            let is_written = without_custom_sections(&nested, &names).is_some();
            assert!(is_written, "{depth}");
            let mut outer = Component::HEADER.to_vec();
            outer.push(ComponentSectionId::Component.into());
            nested.encode(&mut outer);
            nested = outer;
        }
        assert_eq!(without_custom_sections(&nested, &names), None);
    }
}
