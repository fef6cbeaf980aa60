//! Numbers of parts and links, and tables by them: one kind cannot be taken for the other.

use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

use crate::work;

/// A part's place in `application.components`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PartIx(pub(crate) usize);

/// A link's place among the links that were resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkIx(pub(crate) usize);

/// A number of the rows of an [`IxTable`].
pub(crate) trait Ix: Copy {
    fn new(place: usize) -> Self;
    fn place(self) -> usize;
}

impl Ix for PartIx {
    fn new(place: usize) -> Self {
        Self(place)
    }

    fn place(self) -> usize {
        self.0
    }
}

impl Ix for LinkIx {
    fn new(place: usize) -> Self {
        Self(place)
    }

    fn place(self) -> usize {
        self.0
    }
}

/// A value for each part, or for each link.
#[derive(Clone, Debug)]
pub(crate) struct IxTable<I, T> {
    rows: Vec<T>,
    by: PhantomData<I>,
}

/// A value for each part.
pub(crate) type PerPart<T> = IxTable<PartIx, T>;

/// A value for each link.
pub(crate) type PerLink<T> = IxTable<LinkIx, T>;

impl<I: Ix, T> IxTable<I, T> {
    /// `len` times the same.
    pub(crate) fn filled(value: T, len: usize) -> Self
    where
        T: Clone,
    {
        Self::from_iter(vec![value; len])
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = I> + use<I, T> {
        (0..self.rows.len()).map(I::new)
    }

    pub(crate) fn values(&self) -> std::slice::Iter<'_, T> {
        work::note(self.rows.len());
        self.rows.iter()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (I, &T)> + ExactSizeIterator {
        work::note(self.rows.len());
        self.rows
            .iter()
            .enumerate()
            .map(|(i, row)| (I::new(i), row))
    }
}

impl<I, T> FromIterator<T> for IxTable<I, T> {
    fn from_iter<R: IntoIterator<Item = T>>(rows: R) -> Self {
        Self {
            rows: rows.into_iter().collect(),
            by: PhantomData,
        }
    }
}

impl<I: Ix, T> Index<I> for IxTable<I, T> {
    type Output = T;

    fn index(&self, ix: I) -> &T {
        work::note(1);
        &self.rows[ix.place()]
    }
}

impl<I: Ix, T> IndexMut<I> for IxTable<I, T> {
    fn index_mut(&mut self, ix: I) -> &mut T {
        &mut self.rows[ix.place()]
    }
}
