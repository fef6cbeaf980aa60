//! How a registry asks who one is: the header `WWW-Authenticate`.

/// The proof of who one is that a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A name and a password.
    Basic,
    /// A token, which another server gives.
    Bearer {
        /// Where.
        realm: String,
        /// For which registry.
        service: Option<String>,
        /// To do what.
        scope: Option<String>,
    },
}

/// Reads the header; the first challenge that can be answered counts.
pub(crate) fn read<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Challenge> {
    headers.into_iter().find_map(read_one)
}

fn read_one(header: &str) -> Option<Challenge> {
    let header = header.trim_start();
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service, mut scope) = (None, None, None);
    for (key, value) in parameters(rest) {
        match key.to_ascii_lowercase().as_str() {
            "realm" => realm = Some(value),
            "service" => service = Some(value),
            "scope" => scope = Some(value),
            _ => {}
        }
    }
    Some(Challenge::Bearer {
        realm: realm?,
        service,
        scope,
    })
}

/// The parameters of a challenge: `a="b c", d=e`. A value in quotes may have commas, and characters behind a backslash.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Some((key, after)) = rest.split_once('=') else {
            return found;
        };
        let value;
        if let Some(quoted) = after.strip_prefix('"') {
            let mut text = String::new();
            let mut characters = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((at, c)) = characters.next() {
                match c {
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    '\\' => text.extend(characters.next().map(|(_, c)| c)),
                    c => text.push(c),
                }
            }
            value = text;
            rest = &quoted[end..];
        } else {
            let end = after.find([',', ' ']).unwrap_or(after.len());
            value = after[..end].to_owned();
            rest = &after[end..];
        }
        found.push((key.trim().to_owned(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_challenges_have_their_parameters_in_any_order() {
        let header = r#"Bearer scope="repository:a/b:pull,push", realm="https://auth.example/token",service="reg\"x",error=invalid_token"#;
        let Some(Challenge::Bearer {
            realm,
            service,
            scope,
        }) = read([header])
        else {
            panic!("no challenge");
        };
        assert_eq!(realm, "https://auth.example/token");
        assert_eq!(service.as_deref(), Some("reg\"x"));
        assert_eq!(scope.as_deref(), Some("repository:a/b:pull,push"));
    }

    #[test]
    fn the_first_that_can_be_answered_counts() {
        assert_eq!(
            read(["Negotiate", "Basic realm=\"x\""]),
            Some(Challenge::Basic)
        );
        assert_eq!(read(["basic"]), Some(Challenge::Basic));
        assert_eq!(read(["Bearer service=x"]), None);
        assert_eq!(read([]), None);
    }

    #[test]
    fn whatever_is_sent_is_read_to_an_end() {
        for header in [
            "Bearer =",
            "Bearer realm=\"",
            "Bearer realm=\"\\",
            "Bearer ,,,=,=\"é\\é",
        ] {
            _ = read([header]);
        }
    }
}
