//! The provider's world is WIT that can be read.

use withe_provider_http_server::DESCRIPTOR;

#[test]
fn the_world_imports_both_handlers() {
    let mut resolve = wit_parser::Resolve::default();
    let mut last = None;
    for text in DESCRIPTOR.wit {
        last = Some(resolve.push_str("package.wit", text).unwrap());
    }
    let world = resolve
        .select_world(&[last.unwrap()], Some("provider"))
        .unwrap();
    let names: Vec<_> = resolve.worlds[world]
        .imports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect();
    for handler in [
        "wasi:http/incoming-handler@0.2.12",
        "wasi:http/handler@0.3.0",
    ] {
        assert!(names.contains(&handler.to_owned()), "{names:?}");
    }
    assert!(resolve.worlds[world].exports.is_empty());
}
