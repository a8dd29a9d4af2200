//! The values that a pickle builds.

use std::borrow::Cow;

use super::class::Class;
use crate::checkpoint::Element;

/// A value's index in the arena. Values refer to each other by it, so cycles and multiple references cost nothing, and
/// freeing the arena needs no recursion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id(pub(super) u32);

/// One value.
#[derive(Debug)]
pub enum Node<'a> {
    /// Python's `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer of at most 64 bits.
    Integer(i64),
    /// Text, borrowed from the file if it needs no unescaping.
    Text(Cow<'a, str>),
    /// A tuple, list or set.
    Sequence(Vec<Id>),
    /// A dictionary: its entries in the order of writing.
    Mapping(Vec<Entry>),
    /// A named class or function.
    Class(Class),
    /// An object of an unknown class, with the state that was set on it, if any.
    Object(Option<Id>),
    /// The storage of tensors.
    Storage(Storage),
    /// A tensor over a storage.
    Tensor(Box<Tensor>),
    /// Anything that is skipped: floats, bytes, results of unknown functions.
    Opaque,
}

/// A dictionary's entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The key, mostly text.
    pub key: Id,
    /// The value.
    pub value: Id,
}

/// A torch storage, from its persistent id.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    /// Element type.
    pub element: Element,
    /// The [`Node::Text`] with the storage's name in the container.
    pub key: Id,
    /// Number of elements.
    pub count: usize,
}

/// A tensor as torch rebuilds it: a view of a storage.
#[derive(Debug)]
pub struct Tensor {
    /// The storage.
    pub storage: Storage,
    /// First element within the storage.
    pub offset: usize,
    /// Shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Strides in elements, as many as dimensions.
    pub strides: Vec<usize>,
}

/// A parsed pickle: all values, and the root.
#[derive(Debug)]
pub struct Pickle<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    /// The result of the pickle.
    pub root: Id,
    /// Bytes read; legacy torch files contain several pickles in a row.
    pub length: usize,
}

impl<'a> Pickle<'a> {
    /// The value at `id`.
    pub fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id.0 as usize]
    }

    /// All values.
    pub fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    /// The text at `id`, if it is text.
    pub fn text(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of the entry `key` of the mapping at `id`; the last one if there are several, as in Python.
    pub fn entry(&self, id: Id, key: &str) -> Option<Id> {
        let Node::Mapping(entries) = self.node(id) else { return None };
        entries.iter().rev().find(|entry| self.text(entry.key) == Some(key)).map(|entry| entry.value)
    }
}
