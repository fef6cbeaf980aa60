//! Renders what a browser shows.

wit_bindgen::generate!({ world: "page-component", path: "../wit", generate_all });

use exports::example::{{file}}::page::Guest;

struct Page;
export!(Page);

impl Guest for Page {
    fn render(path: String) -> String {
        let path = path.replace('&', "&amp;").replace('<', "&lt;");
        format!("<!doctype html>\n<title>{{name}}</title>\n<h1>This is {path}</h1>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_text_and_no_markup() {
        let page = Page::render("/<b>".to_owned());
        assert!(page.contains("This is /&lt;b>"), "{page}");
    }
}
