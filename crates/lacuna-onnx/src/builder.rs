//! A graph that grows node by node.

use crate::proto::{
    ATTRIBUTE_INT, ATTRIBUTE_INTS, ATTRIBUTE_STRING, Attribute, FLOAT, Graph, INT64, Node, Tensor, ValueInfo,
};

/// The name of a value in the graph.
pub type Value = String;

/// A graph that grows node by node. Nodes are named after what they compute, with a number where names repeat.
#[derive(Default)]
pub struct Builder {
    graph: Graph,
    values: usize,
}

/// A setting of a node.
pub enum Setting<'a> {
    /// An integer.
    Int(&'a str, i64),
    /// A list of integers.
    Ints(&'a str, &'a [i64]),
    /// A string.
    Text(&'a str, &'a str),
}

impl Builder {
    /// Adds a node with one output.
    pub fn node(&mut self, operator: &str, inputs: &[&Value], settings: &[Setting<'_>]) -> Value {
        let [output] = self.nodes(operator, inputs, settings);
        output
    }

    /// Adds a node with several outputs.
    pub fn nodes<const OUTPUTS: usize>(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        settings: &[Setting<'_>],
    ) -> [Value; OUTPUTS] {
        let output = [(); OUTPUTS].map(|()| self.name(operator));
        self.graph.node.push(Node {
            input: inputs.iter().map(|&input| input.clone()).collect(),
            output: output.to_vec(),
            name: output[0].clone(),
            op_type: operator.to_owned(),
            attribute: settings.iter().map(attribute).collect(),
        });
        output
    }

    /// A constant of floats.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, shape, FLOAT, raw_data)
    }

    /// A constant list of integers.
    pub fn integers(&mut self, values: &[i64]) -> Value {
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant("integers", &[values.len()], INT64, raw_data)
    }

    /// A constant integer.
    pub fn integer(&mut self, value: i64) -> Value {
        self.constant("integer", &[], INT64, value.to_le_bytes().to_vec())
    }

    /// A constant float.
    pub fn float(&mut self, value: f32) -> Value {
        self.floats("float", &[], &[value])
    }

    /// An input of the graph.
    pub fn input(&mut self, info: ValueInfo) -> Value {
        let name = info.name.clone();
        self.graph.input.push(info);
        name
    }

    /// Makes a value an output of the graph.
    pub fn output(&mut self, value: &Value, info: ValueInfo) {
        self.graph.node.push(Node {
            input: vec![value.clone()],
            output: vec![info.name.clone()],
            name: info.name.clone(),
            op_type: "Identity".to_owned(),
            attribute: Vec::new(),
        });
        self.graph.output.push(info);
    }

    /// The graph.
    pub fn finish(self, name: String) -> Graph {
        Graph { name, ..self.graph }
    }

    /// Joins values along an axis.
    pub fn concat(&mut self, values: &[&Value], axis: i64) -> Value {
        match values {
            [value] => (*value).clone(),
            _ => self.node("Concat", values, &[Setting::Int("axis", axis)]),
        }
    }

    fn constant(&mut self, name: &str, shape: &[usize], data_type: i32, raw_data: Vec<u8>) -> Value {
        let name = self.name(name);
        let dims = shape.iter().map(|&side| side as i64).collect();
        self.graph.initializer.push(Tensor { dims, data_type, name: name.clone(), raw_data });
        name
    }

    fn name(&mut self, stem: &str) -> Value {
        self.values += 1;
        format!("{stem}_{}", self.values)
    }
}

fn attribute(setting: &Setting<'_>) -> Attribute {
    match *setting {
        Setting::Int(name, value) => {
            Attribute { name: name.to_owned(), i: Some(value), kind: ATTRIBUTE_INT, ..Attribute::default() }
        }
        Setting::Ints(name, values) => Attribute {
            name: name.to_owned(),
            ints: values.to_vec(),
            kind: ATTRIBUTE_INTS,
            ..Attribute::default()
        },
        Setting::Text(name, text) => Attribute {
            name: name.to_owned(),
            s: Some(text.as_bytes().to_vec()),
            kind: ATTRIBUTE_STRING,
            ..Attribute::default()
        },
    }
}
