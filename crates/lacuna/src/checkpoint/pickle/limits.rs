//! Limits of a pickle. A Lightning file of big-lama with its Adam states has about 5,000 tensors at about 21
//! instructions and 120 bytes each: 100,000 instructions in 600 kB.

/// Bytes of one pickle: a hundred times the file above.
pub const PICKLE_BYTES: usize = 64 << 20;
/// Instructions: twenty times the file above. Each makes at most one node, so this bounds memory as well
/// (2 million nodes of 32 bytes, and a list entry each).
pub const INSTRUCTIONS: usize = 2 << 20;
/// Values on the stack at the same time. Python writes dictionaries in batches of 1,000 entries; TorchScript does not
/// batch, and its largest object here has some hundred attributes.
pub const STACK: usize = 1 << 16;
/// Open marks. Each is a tuple, list or dictionary inside another one.
pub const MARKS: usize = 256;
/// Memoised values. Python memoises nearly every value that it writes.
pub const MEMO: usize = 1 << 20;
/// Bytes of one string. Real ones are names and settings. Text is borrowed from the file, so this only rejects nonsense
/// early.
pub const TEXT_BYTES: usize = 16 << 20;
/// Bytes of one line of the old text instructions, such as a class name.
pub const LINE_BYTES: usize = 4096;
/// Tensors: thirteen times the file above.
pub const TENSORS: usize = 1 << 16;
/// Dimensions of a tensor: two more than a batch of three-dimensional convolution weights has.
pub const DIMENSIONS: usize = 8;
