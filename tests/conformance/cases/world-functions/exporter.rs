wit_bindgen::generate!({ world: "exporter", path: "cases/world-functions" });

struct Exporter;
export!(Exporter);

impl Guest for Exporter {
    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn shout(text: String) -> Result<String, String> {
        if text.is_empty() {
            return Err("nothing to shout".into());
        }
        Ok(text.to_uppercase() + "!")
    }
}
