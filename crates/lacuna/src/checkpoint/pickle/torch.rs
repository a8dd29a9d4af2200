//! Torch's storages and tensors, from the arguments in its pickles.

use super::class::Class;
use super::{Id, Node, Parsed, Storage, Tensor, limits};

/// The node at `id`.
fn node<'n, 'a>(nodes: &'n [Node<'a>], id: Id) -> &'n Node<'a> {
    &nodes[id.0 as usize]
}

/// A storage from its persistent id: `("storage", class, key, location, count[, view])`.
pub fn storage(nodes: &[Node], id: Id) -> Parsed<Node<'static>> {
    let Node::Sequence(parts) = node(nodes, id) else {
        return Err("refers to a persistent object in a way that torch does not write".into());
    };
    // A sixth value names another storage that this one is a view of; `None` since torch 0.4.
    let &[kind, class, key, _location, count, ref view @ ..] = parts.as_slice() else {
        return Err(format!("describes a storage by {} values, torch writes 5 or 6", parts.len()));
    };
    if !matches!(node(nodes, kind), Node::Text(text) if text == "storage") {
        // Very old files refer to modules' source code like this; it is not a tensor.
        return Ok(Node::Opaque);
    }
    if view.iter().any(|&view| !matches!(node(nodes, view), Node::None)) {
        return Err("holds storages that are views of others, as torch before 0.4 wrote them".into());
    }
    let Node::Class(class) = node(nodes, class) else {
        return Err("describes a storage without its class".into());
    };
    if !matches!(node(nodes, key), Node::Text(_)) {
        return Err("describes a storage whose key is not text".into());
    }
    match class {
        Class::Storage(element) => {
            let count = size(nodes, count).ok_or("describes a storage with an impossible size")?;
            Ok(Node::Storage(Storage { element: *element, key, count }))
        }
        _ => Ok(Node::Opaque),
    }
}

/// A tensor from `(storage, offset, shape, strides, ...)`.
pub fn tensor(nodes: &[Node], arguments: &[Id]) -> Parsed<Node<'static>> {
    let &[storage, offset, shape, strides, ..] = arguments else {
        return Err(format!("rebuilds a tensor from {} values, torch gives at least 4", arguments.len()));
    };
    let storage = match node(nodes, storage) {
        Node::Storage(storage) => *storage,
        Node::Opaque => return Ok(Node::Opaque), // a kind of storage that holds no weights
        _ => return Err("rebuilds a tensor from something that is not a storage".into()),
    };
    let offset = size(nodes, offset).ok_or("rebuilds a tensor with an impossible offset")?;
    let (shape, strides) = (sizes(nodes, shape)?, sizes(nodes, strides)?);
    if shape.len() != strides.len() {
        return Err(format!("rebuilds a tensor of {} sizes and {} strides", shape.len(), strides.len()));
    }
    Ok(Node::Tensor(Box::new(Tensor { storage, offset, shape, strides })))
}

/// A tuple of sizes.
fn sizes(nodes: &[Node], id: Id) -> Parsed<Vec<usize>> {
    let Node::Sequence(parts) = node(nodes, id) else {
        return Err("rebuilds a tensor whose sizes or strides are not a tuple".into());
    };
    if parts.len() > limits::DIMENSIONS {
        return Err(format!("rebuilds a tensor of {} dimensions, over {}", parts.len(), limits::DIMENSIONS));
    }
    let sizes: Option<Vec<_>> = parts.iter().map(|&part| size(nodes, part)).collect();
    sizes.ok_or_else(|| "rebuilds a tensor with an impossible size or stride".into())
}

/// A nonnegative number that fits into the address space.
fn size(nodes: &[Node], id: Id) -> Option<usize> {
    match node(nodes, id) {
        Node::Integer(integer) => usize::try_from(*integer).ok(),
        _ => None,
    }
}
