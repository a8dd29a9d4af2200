//! The closed list of names that a pickle may use, and of forbidden ones.

use super::Parsed;
use crate::checkpoint::Element;

/// The meaning of a class or function named in a pickle. Nothing is ever imported or called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// `collections.OrderedDict`: a dictionary.
    OrderedDict,
    /// `torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`: a tensor from storage, offset, shape and strides.
    RebuildTensor,
    /// A function whose value is its first argument, as far as weights are concerned (`_rebuild_parameter`,
    /// `torch.Size` and similar).
    FirstArgument,
    /// A torch storage with one element type.
    Storage(Element),
    /// Anything else: its objects are skipped.
    Unknown,
}

/// Data types among Python's builtins; every other builtin is refused. Python 2 and old protocols call the
/// module `__builtin__`.
const BUILTIN_TYPES: &[&str] = &[
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "long",
    "object",
    "range",
    "set",
    "slice",
    "str",
    "tuple",
    "type",
    "unicode",
    "xrange",
];

/// Modules that no weights file needs: they run programs or code, or access files and networks.
const FORBIDDEN_MODULES: &[&str] = &[
    "_operator",
    "_pickle",
    "_posixsubprocess",
    "_socket",
    "asyncio",
    "bdb",
    "cPickle",
    "cffi",
    "code",
    "codeop",
    "commands",
    "ctypes",
    "dill",
    "ftplib",
    "http",
    "httplib",
    "imp",
    "importlib",
    "marshal",
    "multiprocessing",
    "nt",
    "ntpath",
    "operator",
    "os",
    "pdb",
    "pickle",
    "pip",
    "pkgutil",
    "platform",
    "popen2",
    "posix",
    "posixpath",
    "profile",
    "pty",
    "pydoc",
    "requests",
    "runpy",
    "shutil",
    "signal",
    "smtplib",
    "socket",
    "subprocess",
    "sys",
    "timeit",
    "trace",
    "urllib",
    "urllib2",
    "webbrowser",
];

/// Forbidden functions of otherwise harmless modules.
const FORBIDDEN_NAMES: &[(&str, &str)] = &[
    ("_io", "open"),
    ("io", "open"),
    ("io", "FileIO"),
    ("torch", "load"),
    ("torch.hub", "load"),
    ("torch.serialization", "load"),
    ("types", "CodeType"),
    ("types", "FunctionType"),
];

/// The meaning of `module.name`.
///
/// # Errors
/// If it could run code or access files if a pickle were executed. It is not executed here, but a file with such a name
/// is an attack, so its weights are not trustworthy either.
pub fn resolve(module: &str, name: &str) -> Parsed<Class> {
    let top = module.split('.').next().unwrap_or_default();
    let builtin = matches!(top, "builtins" | "__builtin__" | "__builtins__");
    // Protocol 4 follows attributes: `torch` and `serialization.os.system` reach `os.system`.
    let reaches = name.split('.').any(|part| FORBIDDEN_MODULES.contains(&part) || part == "__builtins__");
    let forbidden = FORBIDDEN_MODULES.contains(&top)
        || (builtin && !BUILTIN_TYPES.contains(&name))
        || FORBIDDEN_NAMES.contains(&(module, name))
        || (name.contains('.') && reaches);
    if forbidden {
        return Err(format!(
            "names {}, which a weights file has no use for: it may be an attack; nothing was executed",
            printable(module, name)
        ));
    }
    Ok(match (module, name) {
        ("collections", "OrderedDict") => Class::OrderedDict,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Class::RebuildTensor,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state")
        | ("torch.jit._pickle", "restore_type_tag")
        | ("torch", "Size") => Class::FirstArgument,
        ("torch" | "torch.cuda" | "torch.storage", storage) => {
            element(storage).map_or(Class::Unknown, Class::Storage)
        }
        _ => Class::Unknown,
    })
}

/// The element type of a torch storage class.
fn element(storage: &str) -> Option<Element> {
    Some(match storage {
        "FloatStorage" => Element::F32,
        "HalfStorage" => Element::F16,
        "BFloat16Storage" => Element::Bf16,
        "DoubleStorage" => Element::F64,
        "LongStorage" => Element::I64,
        "ByteStorage" | "CharStorage" | "BoolStorage" | "QInt8Storage" | "QUInt8Storage"
        | "UntypedStorage" => Element::Other(1),
        "ShortStorage" => Element::Other(2),
        "IntStorage" | "QInt32Storage" => Element::Other(4),
        "ComplexFloatStorage" => Element::Other(8),
        "ComplexDoubleStorage" => Element::Other(16),
        _ => return None,
    })
}

/// A name from a hostile file, made safe for a terminal: no control characters, limited length.
fn printable(module: &str, name: &str) -> String {
    const SHOWN: usize = 120;
    format!("{module}.{name}").chars().take(SHOWN).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_torch_writes() {
        assert_eq!(resolve("collections", "OrderedDict"), Ok(Class::OrderedDict));
        assert_eq!(resolve("torch._utils", "_rebuild_tensor_v2"), Ok(Class::RebuildTensor));
        assert_eq!(resolve("torch", "BFloat16Storage"), Ok(Class::Storage(Element::Bf16)));
        assert_eq!(resolve("torch.cuda", "FloatStorage"), Ok(Class::Storage(Element::F32)));
        assert_eq!(resolve("omegaconf.dictconfig", "DictConfig"), Ok(Class::Unknown));
        assert_eq!(resolve("pathlib", "PosixPath"), Ok(Class::Unknown));
        assert_eq!(resolve("__builtin__", "dict"), Ok(Class::Unknown));
    }

    #[test]
    fn refuses_by_name_what_could_run_code() {
        let cases = [
            ("os", "system"),
            ("posix", "system"),
            ("nt", "system"),
            ("subprocess", "Popen"),
            ("builtins", "eval"),
            ("builtins", "exec"),
            ("__builtin__", "getattr"),
            ("builtins", "__import__"),
            ("os.path", "join"),
            ("torch", "serialization.os.system"),
            ("collections", "sys.modules"),
            ("builtins", "list.append"),
            ("importlib", "import_module"),
            ("torch", "load"),
        ];
        for (module, name) in cases {
            let problem = resolve(module, name).unwrap_err();
            assert!(problem.contains(&format!("{module}.{name}")), "{problem}");
        }
        assert!(resolve("os\u{1b}[2J", "x").is_ok());
        assert!(!resolve("os.\u{1b}[2J", "x").unwrap_err().contains('\u{1b}'));
    }
}
