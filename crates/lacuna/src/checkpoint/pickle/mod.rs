//! Reads Python pickles without Python and without executing them.
//!
//! A pickle is a program for a small stack machine. [`read`] runs the part of it that builds plain values (numbers,
//! text, tuples, dictionaries) in an arena of [`Node`]s, converts torch's rebuild functions to descriptions of tensors,
//! and turns everything else into an opaque value. Nothing is imported or called: the meaning of names is a closed list
//! in [`class`], and names with which a pickle could do harm in Python are refused. All growth is limited in
//! [`limits`], and nothing here recurses.
//!
//! The format: Python's `pickletools.py`.

mod class;
mod input;
pub(super) mod limits;
mod machine;
mod named;
mod node;
mod opcode;
mod plain;
mod torch;

pub(super) use machine::read;
pub(super) use node::{Entry, Id, Node, Pickle, Storage, Tensor};

use super::Parsed;

#[cfg(test)]
mod tests {
    use testkit::checkpoints::PickleWriter;

    use super::*;

    fn root(bytes: &[u8]) -> Parsed<String> {
        let pickle = read(bytes)?;
        Ok(format!("{:?}", pickle.node(pickle.root)))
    }

    /// Written by Python 3's `pickle.dumps(value, protocol)`.
    #[test]
    fn plain_values_of_all_protocols() {
        let cases: &[(&[u8], &str)] = &[
            (b"I5\n.", "Integer(5)"),
            (b"I01\n.", "Bool(true)"),
            (b"L-3L\n.", "Integer(-3)"),
            (b"Vab\\u00e9\np0\n.", "Text(\"ab\u{e9}\")"),
            (b"S'ab'\n.", "Text(\"ab\")"),
            (b"F1.5\n.", "Opaque"),
            (b"\x80\x02J\xff\xff\xff\xff.", "Integer(-1)"),
            (b"\x80\x02\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.", "Integer(-9223372036854775808)"),
            (b"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", "Opaque"),
            (b"\x80\x03C\x02ab.", "Opaque"),
            (b"\x80\x04\x95\x06\x00\x00\x00\x00\x00\x00\x00\x8c\x02ab\x94.", "Text(\"ab\")"),
            (b"\x80\x04(K\x01K\x02K\x03K\x04t\x94.", "Sequence([Id(0), Id(1), Id(2), Id(3)])"),
            (b"\x80\x04\x8f\x94(K\x01\x90.", "Sequence([Id(1)])"),
            (b"(lp0\nI1\na.", "Sequence([Id(1)])"),
            (b"(I1\nI2\nd.", "Mapping([Entry { key: Id(0), value: Id(1) }])"),
        ];
        for &(bytes, expected) in cases {
            let seen = root(bytes).unwrap_or_else(|problem| problem);
            assert!(seen.contains(expected), "{seen} is not {expected}");
        }
    }

    #[test]
    fn unknown_classes_are_skipped_with_what_they_hold() {
        let mut writer = PickleWriter::new();
        writer.name("omegaconf", "DictConfig").raw(b")\x81}(").text("a").integer(1).raw(b"ub");
        assert_eq!(root(&writer.finish()).unwrap(), "Object(Some(Id(3)))");
        // A call of an unknown function, and items set on its result.
        let mut writer = PickleWriter::new();
        writer
            .name("numpy.core.multiarray", "scalar")
            .integer(1)
            .raw(b"\x85R")
            .text("a")
            .integer(1)
            .raw(b"s");
        assert_eq!(root(&writer.finish()).unwrap(), "Opaque");
    }

    #[test]
    fn tensors_are_described() {
        let bytes = PickleWriter::new().tensor("HalfStorage", "3", 8, 1, &[2, 3], &[3, 1]).finish();
        let pickle = read(&bytes).unwrap();
        let Node::Tensor(tensor) = pickle.node(pickle.root) else { panic!("{pickle:?}") };
        assert_eq!((tensor.offset, &*tensor.shape, &*tensor.strides), (1, &[2, 3][..], &[3, 1][..]));
        assert_eq!((pickle.text(tensor.storage.key), tensor.storage.count), (Some("3"), 8));
    }

    #[test]
    fn tensors_that_cannot_be_are_refused() {
        let tensor = |count, offset, shape: &[i64], strides: &[i64]| {
            root(&PickleWriter::new().tensor("FloatStorage", "0", count, offset, shape, strides).finish())
        };
        assert!(tensor(1, 0, &[-1], &[1]).unwrap_err().contains("impossible size"));
        assert!(tensor(1, 0, &[1], &[-1]).unwrap_err().contains("impossible size or stride"));
        assert!(tensor(1, -1, &[1], &[1]).unwrap_err().contains("offset"));
        assert!(tensor(-1, 0, &[1], &[1]).unwrap_err().contains("impossible size"));
        assert!(tensor(1, 0, &[1, 1], &[1]).unwrap_err().contains("2 sizes and 1 strides"));
        assert!(tensor(1, 0, &[1; 9], &[1; 9]).unwrap_err().contains("9 dimensions"));
        // A storage type that torch may have in the future: its tensors are skipped.
        let bytes = PickleWriter::new().tensor("Float3Storage", "0", 1, 0, &[1], &[1]).finish();
        assert_eq!(root(&bytes).unwrap(), "Opaque");
    }

    #[test]
    fn malformed_programs_are_errors() {
        let cases: &[(&[u8], &str)] = &[
            (b"", "breaks off"),
            (b".", "empty stack"),
            (b"\x80\x02", "breaks off"),
            (b"\xff.", "no instruction"),
            (b"(K\x01\x86.", "empty stack"),
            (b"K\x01(\x85.", "empty stack"),
            (b"t.", "close"),
            (b"}(K\x01u.", "key without a value"),
            (b"h\x07.", "never remembered"),
            (b"K\x01R.", "empty stack"),
            (b"K\x01K\x02R.", "tuple of arguments"),
            (b"K\x01Q.", "persistent"),
            (b"Pid\n.", "text references"),
            (b"\x82\x01.", "extension"),
            (b"\x97.", "buffers"),
            (b"(o.", "without class"),
            (b"ccollections\nOrderedDict\n]\x85R.", "Python 2"),
        ];
        for &(bytes, expected) in cases {
            let seen = root(bytes).unwrap_or_else(|problem| problem);
            assert!(seen.contains(expected), "{seen} is not {expected}");
        }
    }

    #[test]
    fn everything_that_grows_is_limited() {
        let repeated = |unit: &[u8], count: usize| [&unit.repeat(count)[..], b"."].concat();
        let memo: Vec<u8> = (0..=limits::MEMO as u32)
            .flat_map(|key| [&[0x32, b'r'][..], &key.to_le_bytes(), b"0"].concat())
            .collect();
        let cases: &[(Vec<u8>, &str)] = &[
            (repeated(b"N0", limits::INSTRUCTIONS), "instructions"),
            (repeated(b"N", limits::STACK + 1), "stacks more"),
            (repeated(b"(", limits::MARKS + 1), "nested deeper"),
            ([&b"N"[..], &memo].concat(), "instructions"),
            (repeated(b"N\x94", limits::STACK + 1), "stacks more"),
            (repeated(b"X\xff\xff\xff\x7f", 1), "string of"),
            ([&b"c"[..], &vec![b'a'; limits::LINE_BYTES], b"\n"].concat(), "line over"),
        ];
        for (bytes, expected) in cases {
            let problem = root(bytes).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        let remembered = [&b"N"[..], &b"\x94".repeat(limits::MEMO + 1), b"."].concat();
        // MEMOIZE uses the number of memoised values, so each adds one.
        assert!(root(&remembered).unwrap_err().contains("remembers more"));
    }

    #[test]
    fn tensors_are_counted() {
        let mut writer = PickleWriter::new();
        writer.tensor("FloatStorage", "0", 1, 0, &[], &[]).raw(b"0");
        // The function and its arguments again from the memo, endlessly.
        writer.name("torch._utils", "_rebuild_tensor_v2").raw(b"q\x000((");
        writer.text("storage").name("torch", "FloatStorage").text("0").text("cpu").integer(1).raw(b"tQ");
        writer.integer(0).raw(b"))tq\x010");
        for _ in 0..limits::TENSORS {
            writer.raw(b"h\x00h\x01R0");
        }
        assert!(root(&writer.finish()).unwrap_err().contains("tensors"));
    }
}
