//! Where the parts of an application run: a pure function of what is desired and what is observed.
