//! Composition: a link plan, or a request, to one component.
