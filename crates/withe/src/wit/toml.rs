//! The part of TOML that the configuration of `wkg` is written in: tables, keys, strings, inline tables and arrays.
//!
//! The values become those of JSON, which `serde` reads. Numbers, dates and truth values have no part in what Withe takes from
//! that file and become `null`; multi-line strings and arrays of tables are refused. A whole reader of TOML would be one more
//! dependency for a file that few have.

use serde_json::{Map, Value};

/// How deep tables and arrays may be in each other.
const DEPTH: usize = 16;

/// Why a text is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub(super) struct TomlError {
    /// Counted from 1.
    line: usize,
    why: &'static str,
}

/// Reads a text.
///
/// # Errors
///
/// If it is not TOML, or has more of TOML than is read.
pub(super) fn parse(text: &str) -> Result<Map<String, Value>, TomlError> {
    let mut reader = Reader { text, at: 0 };
    reader.document().map_err(|why| TomlError {
        line: text[..reader.at].matches('\n').count() + 1,
        why,
    })
}

struct Reader<'a> {
    text: &'a str,
    /// The offset of what is read next: always that of a character.
    at: usize,
}

type Read<T> = Result<T, &'static str>;

impl Reader<'_> {
    fn document(&mut self) -> Read<Map<String, Value>> {
        let mut root = Map::new();
        let mut table: Vec<String> = Vec::new();
        loop {
            self.skip(true);
            if self.rest().is_empty() {
                return Ok(root);
            }
            if self.take('[') {
                if self.take('[') {
                    return Err("arrays of tables are not read here");
                }
                table = self.key()?;
                self.expect(']', "expected `]` behind the name of a table")?;
                entry(&mut root, &table)?;
            } else {
                let (key, value) = self.pair(0)?;
                insert(entry(&mut root, &table)?, key, value)?;
            }
            self.skip(false);
            if !self.rest().is_empty() && !self.take('\n') {
                return Err("expected the end of the line");
            }
        }
    }

    /// `key = value`
    fn pair(&mut self, depth: usize) -> Read<(Vec<String>, Value)> {
        let key = self.key()?;
        self.expect('=', "expected `=` behind a key")?;
        Ok((key, self.value(depth)?))
    }

    /// A key, with the dots in it.
    fn key(&mut self) -> Read<Vec<String>> {
        let mut parts = Vec::new();
        loop {
            self.skip(false);
            let part = match self.rest().chars().next() {
                Some('"' | '\'') => self.string()?,
                _ => {
                    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
                    self.while_is(is_bare).to_owned()
                }
            };
            if part.is_empty() {
                return Err("expected a key");
            }
            parts.push(part);
            self.skip(false);
            if !self.take('.') {
                return Ok(parts);
            }
        }
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        if depth > DEPTH {
            return Err("too many tables in each other");
        }
        self.skip(false);
        match self.rest().chars().next() {
            Some('"' | '\'') => self.string().map(Value::String),
            Some('{') => self.inline_table(depth),
            Some('[') => self.array(depth),
            _ => {
                let is_plain =
                    |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | ':' | '_');
                match self.while_is(is_plain) {
                    "" => Err("expected a value"),
                    _ => Ok(Value::Null),
                }
            }
        }
    }

    fn inline_table(&mut self, depth: usize) -> Read<Value> {
        self.take('{');
        let mut table = Map::new();
        loop {
            self.skip(false);
            if self.take('}') {
                return Ok(Value::Object(table));
            }
            let (key, value) = self.pair(depth + 1)?;
            insert(&mut table, key, value)?;
            self.skip(false);
            if !self.take(',') && !self.rest().starts_with('}') {
                return Err("expected `,` or `}` in a table");
            }
        }
    }

    fn array(&mut self, depth: usize) -> Read<Value> {
        self.take('[');
        let mut values = Vec::new();
        loop {
            self.skip(true);
            if self.take(']') {
                return Ok(Value::Array(values));
            }
            values.push(self.value(depth + 1)?);
            self.skip(true);
            if !self.take(',') && !self.rest().starts_with(']') {
                return Err("expected `,` or `]` in an array");
            }
        }
    }

    /// A string in quotes of either kind.
    fn string(&mut self) -> Read<String> {
        let quote = if self.take('\'') { '\'' } else { '"' };
        if quote == '"' {
            self.take('"');
        }
        let mut text = String::new();
        loop {
            let Some(next) = self.rest().chars().next().filter(|c| *c != '\n') else {
                return Err("a string does not end on its line");
            };
            self.at += next.len_utf8();
            match next {
                c if c == quote => break,
                '\\' if quote == '"' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
        match text.is_empty() && self.rest().starts_with(quote) {
            true => Err("strings of several lines are not read here"),
            false => Ok(text),
        }
    }

    /// The character behind a backslash.
    fn escaped(&mut self) -> Read<char> {
        const WHY: &str = "there is no such character behind a backslash";
        let escape = self.rest().chars().next().ok_or(WHY)?;
        self.at += escape.len_utf8();
        let digits = match escape {
            '"' | '\\' => return Ok(escape),
            'n' => return Ok('\n'),
            't' => return Ok('\t'),
            'r' => return Ok('\r'),
            'b' => return Ok('\u{8}'),
            'f' => return Ok('\u{c}'),
            'u' => 4,
            'U' => 8,
            _ => return Err(WHY),
        };
        let code = self.rest().get(..digits).ok_or(WHY)?;
        let code = u32::from_str_radix(code, 16).map_err(|_| WHY)?;
        self.at += digits;
        char::from_u32(code).ok_or(WHY)
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Takes a character, if it comes next.
    fn take(&mut self, wanted: char) -> bool {
        let is_next = self.rest().starts_with(wanted);
        if is_next {
            self.at += wanted.len_utf8();
        }
        is_next
    }

    fn expect(&mut self, wanted: char, why: &'static str) -> Read<()> {
        self.skip(false);
        self.take(wanted).then_some(()).ok_or(why)
    }

    fn while_is(&mut self, is_part: impl Fn(char) -> bool) -> &str {
        let rest = &self.text[self.at..];
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Skips blanks and comments, and the ends of lines if they mean nothing.
    fn skip(&mut self, lines: bool) {
        loop {
            self.while_is(|c| matches!(c, ' ' | '\t' | '\r') || lines && c == '\n');
            if !self.rest().starts_with('#') {
                return;
            }
            self.while_is(|c| c != '\n');
        }
    }
}

/// The table of a name, which is made if it is not there.
fn entry<'a>(
    root: &'a mut Map<String, Value>,
    path: &[String],
) -> Read<&'a mut Map<String, Value>> {
    path.iter().try_fold(root, |table, name| {
        let value = table.entry(name).or_insert_with(|| Map::new().into());
        value
            .as_object_mut()
            .ok_or("a key has a value, and is a table here")
    })
}

fn insert(table: &mut Map<String, Value>, mut key: Vec<String>, value: Value) -> Read<()> {
    let last = key.pop().unwrap_or_default();
    match entry(table, &key)?.insert(last, value) {
        Some(_) => Err("a key is there twice"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_keys_and_strings_are_read() {
        let text = r#"
            # of wkg
            default_registry = "acme.example" # for all others

            [namespace_registries]
            wasi = 'wasi.dev'
            acme = { registry = "a.example", metadata = { "oci" = { namespacePrefix = "x/\u0041" } } }
            a.b = "c"

            [registry."a.example".oci]
            auth = { username = "open", ok = true }
            list = [ "a",
                1, ]
        "#;
        let found = parse(text).unwrap();
        assert_eq!(
            Value::Object(found),
            json!({
                "default_registry": "acme.example",
                "namespace_registries": {
                    "wasi": "wasi.dev",
                    "acme": {"registry": "a.example", "metadata": {"oci": {"namespacePrefix": "x/A"}}},
                    "a": {"b": "c"},
                },
                "registry": {"a.example": {"oci": {
                    "auth": {"username": "open", "ok": null},
                    "list": ["a", null],
                }}},
            })
        );
    }

    #[test]
    fn other_texts_are_refused_with_their_line() {
        let deep = format!("a = {}", "[".repeat(100));
        for (text, line, why) in [
            ("a = 1\nb", 2, "expected `=`"),
            ("[[a]]", 1, "arrays of tables"),
            ("[a", 1, "expected `]`"),
            ("a = \"x\n", 1, "does not end"),
            ("a = \"\"\"x\"\"\"", 1, "several lines"),
            ("a = \"\\uD800\"", 1, "backslash"),
            ("a = \"\\uéé\"", 1, "backslash"),
            ("a = \"x\"\na = \"y\"", 2, "twice"),
            ("a = \"x\"\n[a]", 2, "is a table here"),
            ("a = { b = \"c\" d = \"e\" }", 1, "expected `,`"),
            ("a = ", 1, "expected a value"),
            ("a = \"x\" b", 1, "the end of the line"),
            (&deep, 1, "too many tables"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.why.contains(why), "{text}: {error}");
            assert_eq!(error.line, line, "{text}: {error}");
        }
        assert_eq!(parse("a = \"\"\n").unwrap()["a"], json!(""));
    }
}
