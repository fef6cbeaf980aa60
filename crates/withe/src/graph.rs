//! An application as a graph: its parts, its links, how each is bound, and what is wrong where.
//!
//! * `view`: plain data, of a plan, or of what is declared where there is none.
//! * `dot`, `mermaid`: as text that other programs draw.
//! * `layers`, `svg`: drawn here, so that nothing has to be installed to see it; a page with that in it.

mod dot;
mod layers;
mod mermaid;
mod svg;
mod view;

pub(crate) use dot::dot;
pub(crate) use mermaid::mermaid;
pub(crate) use svg::{html, svg};
pub(crate) use view::GraphView;

#[cfg(test)]
mod tests {
    use super::view::tests::example;
    use super::*;

    #[test]
    fn dot_and_mermaid_say_the_same() {
        insta::assert_snapshot!(format!("{}\n{}", dot(&example()), mermaid(&example())));
    }

    #[test]
    fn a_picture_has_everything_once_and_is_well_formed() {
        let picture = svg(&example());
        for text in [
            ">http<",
            ">a &quot;quoted&quot; &lt;part&gt;<",
            "W0404: types differ",
            ">incoming-handler<",
        ] {
            assert_eq!(picture.matches(text).count(), 1, "{text} in {picture}");
        }
        let opened = picture.matches("<g").count();
        assert_eq!(opened, picture.matches("</g>").count());
        assert!(html(&example()).contains(&picture));
    }
}
