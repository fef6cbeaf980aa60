//! The methods that a link lets through.

use http::{HeaderValue, Method};

/// Some methods. Others are answered 405, with these in `allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AllowedMethods {
    methods: Vec<Method>,
    /// The methods as a header has them.
    pub(crate) header: HeaderValue,
}

impl AllowedMethods {
    /// GET and HEAD.
    pub(crate) fn read_only() -> Self {
        Self {
            methods: vec![Method::GET, Method::HEAD],
            header: HeaderValue::from_static("GET, HEAD"),
        }
    }

    /// Reads methods with commas between them; HEAD goes with GET. `Err` says what is expected.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let expected = "methods with commas between them, such as `GET, POST`";
        let mut methods = Vec::new();
        for name in text.split(',') {
            let method = Method::try_from(name.trim()).map_err(|_| expected)?;
            // Methods are told apart by case, and all that anybody means here are in capitals.
            if method.as_str().bytes().any(|b| b.is_ascii_lowercase()) {
                return Err(expected);
            }
            let with = (method == Method::GET).then_some(Method::HEAD);
            for method in [method].into_iter().chain(with) {
                if !methods.contains(&method) {
                    methods.push(method);
                }
            }
        }
        let names: Vec<_> = methods.iter().map(Method::as_str).collect();
        let header = HeaderValue::try_from(names.join(", ")).map_err(|_| expected)?;
        Ok(Self { methods, header })
    }

    pub(crate) fn contains(&self, method: &Method) -> bool {
        self.methods.contains(method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read_and_head_goes_with_get() {
        for (text, header) in [
            ("GET", "GET, HEAD"),
            ("POST,GET , HEAD", "POST, GET, HEAD"),
            ("PURGE", "PURGE"),
        ] {
            assert_eq!(
                AllowedMethods::parse(text).unwrap().header,
                header,
                "{text}"
            );
        }
        for text in ["", "GET,", "get", "GET POST"] {
            assert!(AllowedMethods::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            AllowedMethods::parse("GET"),
            Ok(AllowedMethods::read_only())
        );
    }
}
