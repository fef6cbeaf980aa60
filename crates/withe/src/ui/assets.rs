//! The page: files that are in this program.

/// A file of the page.
pub(super) struct Asset {
    pub(super) content_type: &'static str,
    pub(super) bytes: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! asset {
    ($content_type:expr, $file:literal) => {
        Asset {
            content_type: $content_type,
            bytes: include_str!(concat!("../../ui/", $file)),
        }
    };
}

/// The file at a path.
pub(super) fn find(path: &str) -> Option<Asset> {
    Some(match path {
        "/" => asset!(HTML, "index.html"),
        "/style.css" => asset!(CSS, "style.css"),
        "/icon.svg" => asset!(SVG, "icon.svg"),
        "/app.js" => asset!(JAVASCRIPT, "app.js"),
        "/dom.js" => asset!(JAVASCRIPT, "dom.js"),
        "/format.js" => asset!(JAVASCRIPT, "format.js"),
        "/graph.js" => asset!(JAVASCRIPT, "graph.js"),
        "/layout.js" => asset!(JAVASCRIPT, "layout.js"),
        "/panels.js" => asset!(JAVASCRIPT, "panels.js"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_from_elsewhere_and_only_files_that_are_there() {
        let page = find("/").unwrap().bytes;
        for asset in ["/style.css", "/app.js", "/icon.svg"] {
            assert!(page.contains(&format!("\"{asset}\"")), "{asset}");
        }
        for path in [
            "/",
            "/style.css",
            "/app.js",
            "/dom.js",
            "/format.js",
            "/graph.js",
            "/layout.js",
            "/panels.js",
        ] {
            let text = find(path).unwrap().bytes;
            for line in text.lines().filter(|line| line.contains("://")) {
                assert!(
                    line.contains("http://www.w3.org/2000/svg"),
                    "{path}: {line}"
                );
            }
            let imports = text
                .lines()
                .filter_map(|line| line.split_once(" from \"./"));
            for (_, file) in imports {
                let file = file.trim_end_matches("\";");
                assert!(find(&format!("/{file}")).is_some(), "{path}: {file}");
            }
            // The policy of the page refuses them.
            for inline in [" style=", "onclick=", "javascript:", "innerHTML"] {
                assert!(!text.contains(inline), "{path}: {inline}");
            }
        }
    }
}
