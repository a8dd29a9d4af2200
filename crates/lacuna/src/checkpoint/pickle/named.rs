//! Instructions that name classes, create objects and call functions: here they build values or are skipped.

use super::class::{self, Class};
use super::machine::Machine;
use super::opcode as op;
use super::{Id, Node, Parsed, limits, torch};

impl Machine<'_> {
    pub(super) fn global(&mut self, opcode: u8) -> Parsed<()> {
        let class = if opcode == op::GLOBAL {
            class::resolve(self.input.line()?, self.input.line()?)?
        } else {
            let name = self.pop()?;
            let module = self.pop()?;
            match (&self.nodes[module.0 as usize], &self.nodes[name.0 as usize]) {
                (Node::Text(module), Node::Text(name)) => class::resolve(module, name)?,
                _ => return Err("is a pickle that names a class by something other than text".into()),
            }
        };
        self.push(Node::Class(class))
    }

    pub(super) fn object(&mut self, opcode: u8) -> Parsed<()> {
        let class = match opcode {
            op::INST => {
                let class = class::resolve(self.input.line()?, self.input.line()?)?;
                self.pop_marked()?;
                Some(class)
            }
            op::OBJ => {
                let class =
                    self.pop_marked()?.first().copied().ok_or("is a pickle with an object without class")?;
                self.class(class)
            }
            _ => {
                let arguments = if opcode == op::NEWOBJ { 1 } else { 2 };
                for _ in 0..arguments {
                    self.pop()?;
                }
                let class = self.pop()?;
                self.class(class)
            }
        };
        match class {
            Some(Class::OrderedDict) => self.push(Node::Mapping(Vec::new())),
            Some(Class::Unknown) => self.push(Node::Object(None)),
            _ => self.push(Node::Opaque),
        }
    }

    fn class(&self, id: Id) -> Option<Class> {
        match self.nodes[id.0 as usize] {
            Node::Class(class) => Some(class),
            _ => None,
        }
    }

    /// The result of a call. Only torch's rebuild functions and `OrderedDict()` have a meaning.
    pub(super) fn reduce(&mut self) -> Parsed<()> {
        let arguments = self.pop()?;
        let callable = self.pop()?;
        let Node::Sequence(parts) = &self.nodes[arguments.0 as usize] else {
            return Err("is a pickle that passes something other than a tuple of arguments".into());
        };
        match self.class(callable) {
            Some(Class::OrderedDict) if parts.is_empty() => self.push(Node::Mapping(Vec::new())),
            Some(Class::OrderedDict) => {
                Err("holds an OrderedDict in Python 2's form: save it with Python 3".into())
            }
            Some(Class::RebuildTensor) => {
                self.tensors += 1;
                if self.tensors > limits::TENSORS {
                    return Err(format!("holds more than {} tensors", limits::TENSORS));
                }
                let tensor = torch::tensor(&self.nodes, parts)?;
                self.push(tensor)
            }
            Some(Class::FirstArgument) => match parts.first() {
                Some(&first) => self.push_id(first),
                None => self.push(Node::Opaque),
            },
            _ => self.push(Node::Opaque),
        }
    }

    /// Sets an object's state. Attributes of dictionaries and tensors are irrelevant for weights.
    pub(super) fn build(&mut self) -> Parsed<()> {
        let state = self.pop()?;
        let object = self.top()?;
        if let Node::Object(held) = &mut self.nodes[object.0 as usize] {
            *held = Some(state);
        }
        Ok(())
    }
}
