//! Greets people, for whichever component is linked to it.

wit_bindgen::generate!({ world: "library", path: "wit", generate_all });

use exports::example::{{file}}::greeter::Guest;

struct Library;
export!(Library);

impl Guest for Library {
    fn greet(name: String) -> Result<String, String> {
        match name.trim() {
            "" => Err("nobody is there to be greeted".to_owned()),
            name => Ok(format!("hello, {name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_greeted_and_nobody_is_not() {
        assert_eq!(Library::greet("ada".to_owned()), Ok("hello, ada".to_owned()));
        assert!(Library::greet(" ".to_owned()).is_err());
    }
}
