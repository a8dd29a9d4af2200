//! Instructions for plain values: numbers, text, lists, dictionaries, and the memo.

use std::borrow::Cow;

use super::input::unescape;
use super::machine::Machine;
use super::node::Entry;
use super::opcode as op;
use super::{Id, Node, Parsed, limits};

impl Machine<'_> {
    pub(super) fn number(&mut self, opcode: u8) -> Parsed<()> {
        let integer = match opcode {
            op::BININT1 => Some(i64::from(self.input.byte()?)),
            op::BININT2 => Some(self.input.length(2)? as i64), // at most 65,535
            op::BININT => self.input.integer(4)?,
            op::LONG1 => {
                let size = self.input.length(1)?;
                self.input.integer(size)?
            }
            op::LONG4 => {
                let size = self.input.length(4)?;
                self.input.integer(size)?
            }
            _ => {
                let line = self.input.line()?;
                match line {
                    "00" => return self.push(Node::Bool(false)),
                    "01" => return self.push(Node::Bool(true)),
                    _ => line.strip_suffix('L').unwrap_or(line).parse().ok(),
                }
            }
        };
        self.push(integer.map_or(Node::Opaque, Node::Integer))
    }

    pub(super) fn text(&mut self, size: usize) -> Parsed<()> {
        let bytes = self.input.counted(size)?;
        // Python 2 strings may contain any bytes; those that are not UTF-8 are not names.
        self.push(std::str::from_utf8(bytes).map_or(Node::Opaque, |text| Node::Text(Cow::Borrowed(text))))
    }

    pub(super) fn old_text(&mut self, opcode: u8) -> Parsed<()> {
        let line = self.input.line()?;
        let text = if opcode == op::UNICODE {
            unescape(line)
        } else {
            let inner = ['\'', '"'].iter().find_map(|&quote| line.strip_prefix(quote)?.strip_suffix(quote));
            inner.filter(|inner| !inner.contains('\\')).map(Cow::Borrowed)
        };
        self.push(text.map_or(Node::Opaque, Node::Text))
    }

    pub(super) fn extend(&mut self, values: &[Id]) -> Parsed<()> {
        let list = self.top()?;
        if let Node::Sequence(parts) = &mut self.nodes[list.0 as usize] {
            parts.extend_from_slice(values);
        } // what is appended to anything else is skipped with it
        Ok(())
    }

    pub(super) fn set_items(&mut self, values: &[Id]) -> Parsed<()> {
        let mapping = self.top()?;
        let (pairs, rest) = values.as_chunks();
        if !rest.is_empty() {
            return Err("is a pickle with a key without a value".into());
        }
        if let Node::Mapping(entries) = &mut self.nodes[mapping.0 as usize] {
            entries.extend(pairs.iter().map(|&[key, value]| Entry { key, value }));
        } // what is set on anything else is skipped with it
        Ok(())
    }

    pub(super) fn remember(&mut self, opcode: u8) -> Parsed<()> {
        let key = match opcode {
            op::BINPUT => self.input.length(1)? as u64,
            op::LONG_BINPUT => self.input.length(4)? as u64,
            op::MEMOIZE => self.memo.len() as u64,
            _ => self.key()?,
        };
        if self.memo.len() >= limits::MEMO {
            return Err(format!("is a pickle that remembers more than {} values", limits::MEMO));
        }
        let id = self.top()?;
        self.memo.insert(key, id);
        Ok(())
    }

    pub(super) fn recall(&mut self, opcode: u8) -> Parsed<()> {
        let key = match opcode {
            op::BINGET => self.input.length(1)? as u64,
            op::LONG_BINGET => self.input.length(4)? as u64,
            _ => self.key()?,
        };
        let id = *self
            .memo
            .get(&key)
            .ok_or_else(|| format!("is a pickle that recalls value {key}, never remembered"))?;
        self.push_id(id)
    }

    fn key(&mut self) -> Parsed<u64> {
        self.input.line()?.parse().map_err(|_| "is a pickle with a malformed memory key".into())
    }
}
