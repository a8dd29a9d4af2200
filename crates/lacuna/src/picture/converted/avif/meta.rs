//! Items of an AVIF file: the boxes inside `meta` (ISO/IEC 14496-12, clause 8.11, and ISO/IEC 23008-12).
//!
//! Lists of numbers stay in the file and are read when they are needed, so that a short file cannot claim long lists.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::picture::converted::boxes::{Boxes, Bytes, find};

/// Longest `meta` box in bytes: a grid has at most 65,536 tiles, which take about 50 bytes each.
const MOST_META: usize = 8 << 20;

/// The items of a file.
pub struct Meta<'a> {
    file: &'a [u8],
    /// Data of small items, inside `meta`.
    idat: &'a [u8],
    pub primary: u32,
    items: HashMap<u32, Item<'a>>,
    references: Vec<Reference<'a>>,
    /// Kind and content of properties, which items name by their place from 1.
    properties: Vec<Property<'a>>,
}

#[derive(Default)]
struct Item<'a> {
    kind: [u8; 4],
    /// Media type of `mime` items.
    media_type: &'a [u8],
    location: Option<Location<'a>>,
    links: Links<'a>,
}

/// Where an item's data are.
struct Location<'a> {
    /// 0 is the file, 1 is `idat`.
    construction: u64,
    base: u64,
    extents: Bytes<'a>,
    sizes: Sizes,
}

/// Bytes per number in `iloc`.
#[derive(Clone, Copy)]
struct Sizes {
    index: usize,
    offset: usize,
    length: usize,
}

/// An item's properties.
#[derive(Clone, Copy, Default)]
struct Links<'a> {
    numbers: &'a [u8],
    is_long: bool,
}

struct Reference<'a> {
    kind: [u8; 4],
    from: u32,
    to: &'a [u8],
    is_long: bool,
}

/// A reference from an item to an item.
pub struct Link {
    pub from: u32,
    pub to: u32,
}

/// A property of an item.
#[derive(Clone, Copy)]
pub struct Property<'a> {
    pub kind: [u8; 4],
    pub body: &'a [u8],
    /// Whether a reader that does not know it must not show the item.
    pub is_essential: bool,
}

impl<'a> Meta<'a> {
    /// Reads the items of a file; `None` if it has no `meta` box.
    ///
    /// # Errors
    /// A sentence that describes what is damaged or unsupported.
    pub fn parse(file: &'a [u8]) -> Result<Option<Self>, String> {
        let Some(meta) = find(file, b"meta") else { return Ok(None) };
        if meta.len() > MOST_META {
            return Err(format!(
                "its list of items has {} bytes: at most {MOST_META} are allowed",
                meta.len()
            ));
        }
        let content = meta.get(4..).unwrap_or_default();
        let mut read = Self {
            file,
            idat: find(content, b"idat").unwrap_or_default(),
            primary: find(content, b"pitm").and_then(primary).ok_or("it names no primary item")?,
            items: HashMap::new(),
            references: Vec::new(),
            properties: Vec::new(),
        };
        let damaged = |kind: &str| format!("its box {kind} is damaged");
        read.read_kinds(find(content, b"iinf").unwrap_or_default()).ok_or_else(|| damaged("iinf"))?;
        read.read_locations(find(content, b"iloc").unwrap_or_default()).ok_or_else(|| damaged("iloc"))?;
        if let Some(references) = find(content, b"iref") {
            read.read_references(references).ok_or_else(|| damaged("iref"))?;
        }
        let properties = find(content, b"iprp").unwrap_or_default();
        for child in Boxes::of(find(properties, b"ipco").unwrap_or_default()) {
            read.properties.push(Property { kind: child.kind, body: child.body, is_essential: false });
        }
        for links in Boxes::of(properties).filter(|child| child.kind == *b"ipma") {
            read.read_links(links.body).ok_or_else(|| damaged("ipma"))?;
        }
        Ok(Some(read))
    }

    fn read_kinds(&mut self, body: &'a [u8]) -> Option<()> {
        let mut bytes = Bytes(body);
        let header = bytes.full()?;
        bytes.number(if header.version == 0 { 2 } else { 4 })?;
        for entry in Boxes::of(bytes.0).filter(|child| child.kind == *b"infe") {
            let mut entry = Bytes(entry.body);
            let version = entry.full()?.version;
            // Older entries have no kind.
            if version < 2 {
                continue;
            }
            let id = entry.id(version > 2)?;
            let _protection = entry.u16()?;
            let kind = entry.kind()?;
            let _name = entry.text();
            let media_type = if kind == *b"mime" { entry.text().unwrap_or_default() } else { &[] };
            self.items.insert(id, Item { kind, media_type, ..Item::default() });
        }
        Some(())
    }

    fn read_locations(&mut self, body: &'a [u8]) -> Option<()> {
        let mut bytes = Bytes(body);
        let version = bytes.full()?.version;
        let (ends, base) = (bytes.u8()?, bytes.u8()?);
        let nibble = |byte: u8| usize::from(byte & 0xF);
        let index = if version == 0 { 0 } else { nibble(base) };
        let sizes = Sizes { index, offset: nibble(ends >> 4), length: nibble(ends) };
        let count = bytes.id(version >= 2)?;
        for _ in 0..count {
            let id = bytes.id(version >= 2)?;
            let construction = if version == 0 { 0 } else { u64::from(bytes.u16()? & 0xF) };
            let is_elsewhere = bytes.u16()? != 0;
            let base = bytes.number(nibble(base >> 4))?;
            let extents = usize::from(bytes.u16()?);
            let extents = Bytes(bytes.take(extents * (sizes.index + sizes.offset + sizes.length))?);
            if let Some(item) = self.items.get_mut(&id).filter(|_| !is_elsewhere) {
                item.location = Some(Location { construction, base, extents, sizes });
            }
        }
        Some(())
    }

    fn read_references(&mut self, body: &'a [u8]) -> Option<()> {
        let mut bytes = Bytes(body);
        let is_long = bytes.full()?.version > 0;
        for reference in Boxes::of(bytes.0) {
            let mut numbers = Bytes(reference.body);
            let from = numbers.id(is_long)?;
            let count = usize::from(numbers.u16()?);
            let to = numbers.take(count * if is_long { 4 } else { 2 })?;
            self.references.push(Reference { kind: reference.kind, from, to, is_long });
        }
        Some(())
    }

    fn read_links(&mut self, body: &'a [u8]) -> Option<()> {
        let mut bytes = Bytes(body);
        let header = bytes.full()?;
        let is_long = header.flags & 1 == 1;
        let count = bytes.u32()?;
        for _ in 0..count {
            let id = bytes.id(header.version > 0)?;
            let links = usize::from(bytes.u8()?);
            let numbers = bytes.take(links * if is_long { 2 } else { 1 })?;
            if let Some(item) = self.items.get_mut(&id) {
                item.links = Links { numbers, is_long };
            }
        }
        Some(())
    }

    /// The kind of an item, such as `av01`.
    pub fn kind(&self, item: u32) -> Option<[u8; 4]> {
        self.items.get(&item).map(|item| item.kind)
    }

    /// The media type of a `mime` item.
    pub fn media_type(&self, item: u32) -> &'a [u8] {
        self.items.get(&item).map_or(&[], |item| item.media_type)
    }

    /// The properties of an item, in the order in which they apply.
    pub fn properties(&self, item: u32) -> impl Iterator<Item = Property<'a>> {
        let links = self.items.get(&item).map(|item| item.links).unwrap_or_default();
        let bytes = if links.is_long { 2 } else { 1 };
        let essential = 1u64 << (8 * bytes - 1);
        links.numbers.chunks_exact(bytes).filter_map(move |number| {
            let number = Bytes(number).number(bytes)?;
            let place = (number & (essential - 1)) as usize;
            let property = self.properties.get(place.checked_sub(1)?)?;
            Some(Property { is_essential: number & essential != 0, ..*property })
        })
    }

    /// The content of an item's first property of a kind.
    pub fn property(&self, item: u32, kind: &[u8; 4]) -> Option<&'a [u8]> {
        self.properties(item).find(|property| property.kind == *kind).map(|property| property.body)
    }

    /// The items that an item refers to.
    pub fn referenced(&self, kind: &[u8; 4], from: u32) -> Vec<u32> {
        let list = self.references.iter().find(|list| list.kind == *kind && list.from == from);
        list.map(|list| list.items().collect()).unwrap_or_default()
    }

    /// References of a kind, from an item to an item.
    pub fn links(&self, kind: [u8; 4]) -> impl Iterator<Item = Link> {
        let lists = self.references.iter().filter(move |list| list.kind == kind);
        lists.flat_map(|list| list.items().map(|to| Link { from: list.from, to }))
    }

    /// An item's data, which are copied only if they are in several places.
    ///
    /// # Errors
    /// A sentence if they are not in the file.
    pub fn data(&self, item: u32) -> Result<Cow<'a, [u8]>, String> {
        let location = self.items.get(&item).and_then(|item| item.location.as_ref());
        let location = location.ok_or_else(|| format!("item {item} has no data in the file"))?;
        let source = match location.construction {
            0 => self.file,
            1 => self.idat,
            other => return Err(format!("the data of item {item} are built from other items ({other})")),
        };
        let cut = || format!("it is truncated: item {item} ends beyond the file");
        let mut data = Cow::Borrowed(&[][..]);
        let mut extents = location.extents;
        let sizes = location.sizes;
        while !extents.0.is_empty() {
            let _index = extents.number(sizes.index);
            let (Some(offset), Some(length)) = (extents.number(sizes.offset), extents.number(sizes.length))
            else {
                break;
            };
            let start = location.base.checked_add(offset).and_then(|start| usize::try_from(start).ok());
            let rest = start.and_then(|start| source.get(start..)).ok_or_else(cut)?;
            // Without a length, everything that follows.
            let length =
                if sizes.length == 0 { rest.len() } else { usize::try_from(length).unwrap_or(usize::MAX) };
            let part = rest.get(..length).ok_or_else(cut)?;
            if data.is_empty() {
                data = Cow::Borrowed(part);
            } else if data.len() + part.len() <= self.file.len() {
                data.to_mut().extend_from_slice(part);
            } else {
                return Err(format!("item {item} is longer than the file"));
            }
        }
        Ok(data)
    }
}

impl Reference<'_> {
    fn items(&self) -> impl Iterator<Item = u32> {
        let bytes = if self.is_long { 4 } else { 2 };
        self.to.chunks_exact(bytes).filter_map(move |number| Bytes(number).number(bytes)).map(|id| id as u32)
    }
}

fn primary(body: &[u8]) -> Option<u32> {
    let mut bytes = Bytes(body);
    let version = bytes.full()?.version;
    bytes.id(version > 0)
}
