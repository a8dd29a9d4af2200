//! The stack machine.

use std::collections::HashMap;

use super::input::Input;
use super::opcode as op;
use super::{Id, Node, Parsed, Pickle, limits, torch};

/// Python's newest protocol.
const NEWEST_PROTOCOL: u8 = 5;

/// Reads the pickle at the start of `bytes`.
///
/// # Errors
/// The problem of the pickle: it is truncated, malformed or too large, or names something dangerous.
pub fn read(bytes: &[u8]) -> Parsed<Pickle<'_>> {
    let mut machine = Machine {
        input: Input::new(bytes),
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        tensors: 0,
    };
    for _ in 0..limits::INSTRUCTIONS {
        let opcode = machine.input.byte()?;
        if opcode == op::STOP {
            let root = machine.pop()?;
            return Ok(Pickle { root, length: machine.input.position(), nodes: machine.nodes });
        }
        machine.step(opcode)?;
    }
    Err(format!("is a pickle of more than {} instructions", limits::INSTRUCTIONS))
}

/// The state of the machine. The instructions are in this file (stack), `plain.rs` (numbers, text, lists, dictionaries,
/// memo) and `named.rs` (classes and calls).
pub(super) struct Machine<'a> {
    pub(super) input: Input<'a>,
    pub(super) nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    pub(super) memo: HashMap<u64, Id>,
    pub(super) tensors: usize,
}

impl<'a> Machine<'a> {
    fn step(&mut self, opcode: u8) -> Parsed<()> {
        match opcode {
            op::PROTO => match self.input.byte()? {
                0..=NEWEST_PROTOCOL => Ok(()),
                newer => Err(format!("is a pickle of protocol {newer}, known are 0 to {NEWEST_PROTOCOL}")),
            },
            op::FRAME => self.input.take(8).map(drop),
            op::MARK | op::POP | op::POP_MARK | op::DUP => self.arrange(opcode),
            op::NONE => self.push(Node::None),
            op::NEWTRUE => self.push(Node::Bool(true)),
            op::NEWFALSE => self.push(Node::Bool(false)),
            op::BININT1 | op::BININT2 | op::BININT | op::LONG1 | op::LONG4 | op::INT | op::LONG => {
                self.number(opcode)
            }
            op::FLOAT => self.input.line().and_then(|_| self.push(Node::Opaque)),
            op::BINFLOAT => self.input.take(8).and_then(|_| self.push(Node::Opaque)),
            op::SHORT_BINUNICODE | op::SHORT_BINSTRING => self.text(1),
            op::BINUNICODE | op::BINSTRING => self.text(4),
            op::BINUNICODE8 => self.text(8),
            op::UNICODE | op::STRING => self.old_text(opcode),
            op::SHORT_BINBYTES => self.input.counted(1).and_then(|_| self.push(Node::Opaque)),
            op::BINBYTES => self.input.counted(4).and_then(|_| self.push(Node::Opaque)),
            op::BINBYTES8 | op::BYTEARRAY8 => self.input.counted(8).and_then(|_| self.push(Node::Opaque)),
            op::EMPTY_TUPLE | op::EMPTY_LIST | op::EMPTY_SET => self.push(Node::Sequence(Vec::new())),
            op::TUPLE1 => self.tuple(1),
            op::TUPLE2 => self.tuple(2),
            op::TUPLE3 => self.tuple(3),
            op::TUPLE | op::LIST | op::FROZENSET => {
                let parts = self.pop_marked()?;
                self.push(Node::Sequence(parts))
            }
            op::APPEND => {
                let value = self.pop()?;
                self.extend(&[value])
            }
            op::APPENDS | op::ADDITEMS => {
                let values = self.pop_marked()?;
                self.extend(&values)
            }
            op::EMPTY_DICT => self.push(Node::Mapping(Vec::new())),
            op::DICT => {
                let values = self.pop_marked()?;
                self.push(Node::Mapping(Vec::new()))?;
                self.set_items(&values)
            }
            op::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])
            }
            op::SETITEMS => {
                let values = self.pop_marked()?;
                self.set_items(&values)
            }
            op::PUT | op::BINPUT | op::LONG_BINPUT | op::MEMOIZE => self.remember(opcode),
            op::GET | op::BINGET | op::LONG_BINGET => self.recall(opcode),
            op::GLOBAL | op::STACK_GLOBAL => self.global(opcode),
            op::INST | op::OBJ | op::NEWOBJ | op::NEWOBJ_EX => self.object(opcode),
            op::REDUCE => self.reduce(),
            op::BUILD => self.build(),
            op::BINPERSID => {
                let id = self.pop()?;
                let storage = torch::storage(&self.nodes, id)?;
                self.push(storage)
            }
            op::PERSID => Err("is a pickle with text references, which torch does not write".into()),
            op::EXT1 | op::EXT2 | op::EXT4 => Err("is a pickle that uses Python's extension registry".into()),
            op::NEXT_BUFFER | op::READONLY_BUFFER => Err("is a pickle with buffers outside of it".into()),
            _ => Err(format!(
                "is not a pickle: {opcode:#04x} at byte {} is no instruction",
                self.input.position() - 1
            )),
        }
    }

    pub(super) fn push(&mut self, node: Node<'a>) -> Parsed<()> {
        // At most one node per instruction, so the number fits: `limits::INSTRUCTIONS` is far below 2^32.
        let id = Id(u32::try_from(self.nodes.len()).map_err(|_| "is a pickle of too many values")?);
        self.nodes.push(node);
        self.push_id(id)
    }

    pub(super) fn push_id(&mut self, id: Id) -> Parsed<()> {
        if self.stack.len() >= limits::STACK {
            return Err(format!("is a pickle that stacks more than {} values", limits::STACK));
        }
        self.stack.push(id);
        Ok(())
    }

    /// Number of values above the last mark: only these may be popped.
    fn available(&self) -> usize {
        self.stack.len() - self.marks.last().copied().unwrap_or(0)
    }

    pub(super) fn top(&self) -> Parsed<Id> {
        match self.stack.last() {
            Some(&id) if self.available() > 0 => Ok(id),
            _ => Err("is a pickle that takes a value from an empty stack".into()),
        }
    }

    pub(super) fn pop(&mut self) -> Parsed<Id> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    pub(super) fn pop_marked(&mut self) -> Parsed<Vec<Id>> {
        let mark = self.marks.pop().ok_or("is a pickle that closes a mark that it did not open")?;
        Ok(self.stack.split_off(mark))
    }

    fn arrange(&mut self, opcode: u8) -> Parsed<()> {
        match opcode {
            op::MARK if self.marks.len() >= limits::MARKS => {
                Err(format!("is a pickle nested deeper than {} values", limits::MARKS))
            }
            op::MARK => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            // Python pops the mark itself if nothing lies above it.
            op::POP if self.available() == 0 => self.pop_marked().map(drop),
            op::POP => self.pop().map(drop),
            op::POP_MARK => self.pop_marked().map(drop),
            _ => self.top().and_then(|id| self.push_id(id)),
        }
    }

    fn tuple(&mut self, size: usize) -> Parsed<()> {
        if self.available() < size {
            return Err("is a pickle that takes a value from an empty stack".into());
        }
        let parts = self.stack.split_off(self.stack.len() - size);
        self.push(Node::Sequence(parts))
    }
}
