//! The values that a pickle builds.

use std::borrow::Cow;

use super::class::Class;
use crate::checkpoint::Element;

/// A value's place in the arena. Values refer to each other by it, so cycles and sharing cost nothing and
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
    /// Text, borrowed from the file where it needs no unescaping.
    Text(Cow<'a, str>),
    /// A tuple, list or set.
    Sequence(Vec<Id>),
    /// A dictionary: its entries in the order of writing.
    Mapping(Vec<Entry>),
    /// A named class or function.
    Class(Class),
    /// An object of an unknown class, with the state that was set on it, if any.
    Object(Option<Id>),
    /// The numbers behind tensors.
    Storage(Storage),
    /// A tensor over a storage.
    Tensor(Box<Tensor>),
    /// Anything that is skipped: floats, bytes, what unknown functions would have made.
    Opaque,
}

/// A dictionary's entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The key, mostly text.
    pub key: Id,
    /// What it stands for.
    pub value: Id,
}

/// A torch storage, as its persistent id describes it.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    /// Kind of the numbers.
    pub element: Element,
    /// The [`Node::Text`] with the storage's name in the container.
    pub key: Id,
    /// How many numbers it holds.
    pub count: usize,
}

/// A tensor as torch rebuilds it: a view of a storage.
#[derive(Debug)]
pub struct Tensor {
    /// The storage.
    pub storage: Storage,
    /// First element within the storage.
    pub offset: usize,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Steps between neighbours, in elements, as many as sizes.
    pub strides: Vec<usize>,
}

/// A pickle that was read: all values, and which of them is the result.
#[derive(Debug)]
pub struct Pickle<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    /// The value that the pickle stands for.
    pub root: Id,
    /// Bytes read; legacy torch files hold several pickles one after another.
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
