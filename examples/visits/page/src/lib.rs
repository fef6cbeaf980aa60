//! Renders the page that a browser shows.

wit_bindgen::generate!({ world: "page-component", path: "../wit", generate_all });

mod html;

use exports::withe_examples::visits::page::{Guest, View};

struct Page;
export!(Page);

impl Guest for Page {
    fn render(view: View) -> String {
        let opening = html::opening(&view.greeting, view.visit, &view.now);
        let rows: String = view.top.iter().map(html::row).collect();
        format!("{opening}{rows}{}", html::CLOSING)
    }
}
