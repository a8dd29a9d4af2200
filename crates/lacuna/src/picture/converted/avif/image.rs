//! Images of an AVIF file: one coded picture, or a grid of them (MIAF, ISO/IEC 23000-22, and AVIF 1.1).

use std::collections::HashMap;

use heic_decoder::ChromaSampling;

use super::meta::{Meta, Property};
use crate::picture::converted::boxes::Bytes;

/// Properties that are applied, or that say nothing about the stored samples.
const KNOWN: [&[u8; 4]; 15] = [
    b"ispe", b"pixi", b"av1C", b"a1op", b"a1lx", b"colr", b"irot", b"imir", b"clap", b"pasp", b"auxC",
    b"clli", b"mdcv", b"cclv", b"amve",
];

/// Kinds of auxiliary images that contain transparency: MPEG's common name, and HEVC's, which old files use.
const ALPHA: [&[u8]; 2] = [b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1"];

/// Where subsampled chroma lies (AV1, section 6.4.2).
const BETWEEN_ROWS: u8 = 1;
const AT_PIXELS: u8 = 2;

/// Smallest side of a tile in pixels (MIAF, clause 7.3.11.4.2).
const SMALLEST_TILE: u32 = 64;

/// An image and its parts.
#[derive(Debug, PartialEq)]
pub struct Image {
    /// Columns and rows of pixels.
    pub size: (u32, u32),
    /// Columns of tiles.
    pub columns: usize,
    /// Items of the tiles, row by row.
    pub tiles: Vec<u32>,
    /// What all tiles are.
    pub coding: Coding,
}

/// How a picture is coded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coding {
    /// Columns and rows of pixels.
    pub size: (u32, u32),
    pub config: Config,
    /// The operating point to decode (AV1, section 6.4.1).
    pub operating_point: u8,
}

/// The samples of a picture (AV1 in ISO media files, section 2.3.3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Bits per sample: 8, 10 or 12.
    pub depth: u8,
    /// 0 is grey, 1 is 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
    pub chroma: u8,
    /// Where subsampled chroma lies: [`BETWEEN_ROWS`], [`AT_PIXELS`], or unknown.
    pub chroma_place: u8,
}

impl Image {
    /// The image of an item.
    ///
    /// # Errors
    /// A sentence that describes what is damaged or unsupported.
    pub fn of(meta: &Meta, item: u32) -> Result<Self, String> {
        match meta.kind(item) {
            Some(kind) if kind == *b"av01" => {
                let coding = Coding::of(meta, item)?;
                Ok(Self { size: coding.size, columns: 1, tiles: vec![item], coding })
            }
            Some(kind) if kind == *b"grid" => {
                check_essential(meta, item)?;
                let tiles = meta.referenced(b"dimg", item);
                let grid = Grid::parse(&meta.data(item)?).ok_or("its grid is damaged")?;
                Self::grid(meta, &grid, tiles)
            }
            Some(kind) => Err(format!("its image is of the kind \"{}\"", kind.escape_ascii())),
            None => Err(format!("it has no item {item}")),
        }
    }

    fn grid(meta: &Meta, grid: &Grid, tiles: Vec<u32>) -> Result<Self, String> {
        if tiles.len() != grid.columns * grid.rows {
            return Err(format!("its grid of {} x {} has {} tiles", grid.columns, grid.rows, tiles.len()));
        }
        let coding = Coding::of(meta, tiles[0])?;
        for &tile in &tiles[1..] {
            if meta.kind(tile) != Some(*b"av01") || Coding::of(meta, tile)? != coding {
                return Err("the tiles of its grid differ".into());
            }
        }
        let (width, height) = coding.size;
        let covers = |side: u32, tile: u32, count: usize| {
            let count = count as u64;
            let (side, tile) = (u64::from(side), u64::from(tile));
            (count - 1) * tile < side && side <= count * tile
        };
        let fits = covers(grid.size.0, width, grid.columns) && covers(grid.size.1, height, grid.rows);
        let is_even = |side: u32, subsampled: bool| !subsampled || side.is_multiple_of(2);
        let chroma = coding.config.chroma;
        let is_whole = is_even(width, matches!(chroma, 1 | 2)) && is_even(height, chroma == 1);
        if !fits || !is_whole || width.min(height) < SMALLEST_TILE {
            return Err(format!(
                "its grid of {} x {} tiles of {width} x {height} pixels does not make {} x {} pixels",
                grid.columns, grid.rows, grid.size.0, grid.size.1
            ));
        }
        Ok(Self { size: grid.size, columns: grid.columns, tiles, coding })
    }

    /// The image with the transparency of an item, if there is one.
    ///
    /// # Errors
    /// A sentence that describes what is damaged or unsupported.
    pub fn alpha_of(&self, meta: &Meta, item: u32) -> Result<Option<Self>, String> {
        let is_alpha = |item| {
            let kind = meta.property(item, b"auxC").and_then(|body| Bytes(body.get(4..)?).text());
            kind.is_some_and(|kind| ALPHA.contains(&kind))
        };
        let alphas: HashMap<u32, u32> = meta
            .links(*b"auxl")
            .filter(|link| is_alpha(link.from))
            .map(|link| (link.to, link.from))
            .collect();
        if let Some(&alpha) = alphas.get(&item) {
            return Self::of(meta, alpha).map(Some);
        }
        // Tiles may have transparency of their own.
        let tiles: Vec<u32> = self.tiles.iter().filter_map(|tile| alphas.get(tile).copied()).collect();
        if tiles.is_empty() || meta.kind(item) == Some(*b"av01") {
            return Ok(None);
        }
        let grid = Grid { size: self.size, columns: self.columns, rows: self.tiles.len() / self.columns };
        Self::grid(meta, &grid, tiles).map(Some)
    }

    /// The tile that a property of the whole image may stand at.
    pub fn first_tile(&self) -> u32 {
        self.tiles[0]
    }
}

/// A grid of tiles (ISO/IEC 23008-12, clause 6.6.2.3).
struct Grid {
    size: (u32, u32),
    columns: usize,
    rows: usize,
}

impl Grid {
    fn parse(body: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(body);
        let (_version, flags) = (bytes.u8()?, bytes.u8()?);
        let (rows, columns) = (usize::from(bytes.u8()?) + 1, usize::from(bytes.u8()?) + 1);
        let width = bytes.id(flags & 1 == 1)?;
        Some(Self { size: (width, bytes.id(flags & 1 == 1)?), columns, rows })
    }
}

impl Coding {
    fn of(meta: &Meta, item: u32) -> Result<Self, String> {
        check_essential(meta, item)?;
        let size = meta.property(item, b"ispe").and_then(|body| {
            let mut bytes = Bytes(body.get(4..)?);
            Some((bytes.u32()?, bytes.u32()?))
        });
        let config = meta.property(item, b"av1C").and_then(Config::parse);
        let operating_point = meta.property(item, b"a1op").and_then(|body| body.first().copied());
        Ok(Self {
            size: size.ok_or("its image has no size")?,
            config: config.ok_or("its image has no configuration of the decoder")?,
            operating_point: operating_point.unwrap_or(0),
        })
    }
}

impl Config {
    fn parse(body: &[u8]) -> Option<Self> {
        let [_version, _level, flags, ..] = *body else { return None };
        let flag = |bit: u8| flags >> bit & 1 == 1;
        let depth = match (flag(6), flag(5)) {
            (false, _) => 8,
            (true, false) => 10,
            (true, true) => 12,
        };
        let chroma = match (flag(4), flag(3), flag(2)) {
            (true, ..) => 0,
            (false, true, true) => 1,
            (false, true, false) => 2,
            (false, false, _) => 3,
        };
        Some(Self { depth, chroma, chroma_place: flags & 3 })
    }

    /// Pixels per chroma sample, and the place of the first one. Unknown places are those of JPEG, as in other readers:
    /// between the pixels.
    pub fn chroma_sampling(&self) -> ChromaSampling {
        let (sub_x, sub_y) = match self.chroma {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let (origin_x, origin_y) = match (self.chroma, self.chroma_place) {
            (1, BETWEEN_ROWS) => (0.0, 0.5),
            (1, AT_PIXELS) | (2, BETWEEN_ROWS | AT_PIXELS) => (0.0, 0.0),
            (1, _) => (0.5, 0.5),
            (2, _) => (0.5, 0.0),
            _ => (0.0, 0.0),
        };
        ChromaSampling { sub_x, sub_y, origin_x, origin_y }
    }
}

fn check_essential(meta: &Meta, item: u32) -> Result<(), String> {
    let is_unknown = |property: &Property| property.is_essential && !KNOWN.contains(&&property.kind);
    meta.properties(item).find(is_unknown).map_or(Ok(()), |property| {
        Err(format!("its image needs the unknown property \"{}\"", property.kind.escape_ascii()))
    })
}
