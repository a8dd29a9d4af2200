//! XMP packets: kept, except for what shows the original photo or refers to dropped data.

use std::collections::HashMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, Writer};

/// Namespaces of additional data: gain maps, motion photos, embedded images, extended XMP.
const DROPPED: [&str; 9] = [
    "http://ns.adobe.com/hdr-gain-map/1.0/",
    "http://ns.apple.com/HDRGainMap/1.0/",
    "http://ns.google.com/photos/1.0/camera/",
    "http://ns.google.com/photos/1.0/container/",
    "http://ns.google.com/photos/1.0/container/item/",
    "http://ns.google.com/photos/1.0/image/",
    "http://ns.google.com/photos/1.0/depthmap/",
    "http://ns.adobe.com/xmp/note/",
    "http://ns.adobe.com/xap/1.0/g/img/",
];

/// The namespace of `xmp:Thumbnails`.
const BASIC: &str = "http://ns.adobe.com/xap/1.0/";
const THUMBNAILS: &str = "Thumbnails";

/// The packet without dropped elements; `None`, with a note, if it cannot be parsed.
pub fn cleaned(packet: &[u8], notes: &mut Vec<String>) -> Option<Vec<u8>> {
    let Ok(text) = std::str::from_utf8(packet) else {
        notes.push("the XMP packet is not UTF-8 and was dropped".into());
        return None;
    };
    match clean(text) {
        Ok(Cleaned::Same) => Some(packet.to_vec()),
        Ok(Cleaned::Changed(packet)) => {
            notes.push("XMP: thumbnails and references to gain maps or videos were erased".into());
            Some(packet)
        }
        Err(error) => {
            notes.push(format!("the XMP packet cannot be read and was dropped ({error})"));
            None
        }
    }
}

enum Cleaned {
    Same,
    Changed(Vec<u8>),
}

/// The namespace of each prefix, as last declared.
#[derive(Default)]
struct Prefixes(HashMap<String, String>);

impl Prefixes {
    fn declare(&mut self, element: &BytesStart<'_>) {
        for attribute in element.attributes().with_checks(false).flatten() {
            if let Some(prefix) = attribute.key.as_ref().strip_prefix("xmlns:") {
                self.0.insert(prefix.into(), attribute.value.as_ref().into());
            }
        }
    }

    /// Whether an element or attribute is dropped.
    fn drops(&self, name: &str) -> bool {
        let Some((prefix, local)) = name.split_once(':') else { return false };
        let Some(namespace) = self.0.get(prefix) else { return false };
        DROPPED.contains(&namespace.as_str()) || (namespace == BASIC && local == THUMBNAILS)
    }
}

fn clean(packet: &str) -> Result<Cleaned, quick_xml::Error> {
    let mut reader = Reader::from_str(packet);
    let mut writer = Writer::new(Vec::with_capacity(packet.len()));
    let mut prefixes = Prefixes::default();
    let mut changed = false;
    loop {
        let event = reader.read_event()?;
        let event = match event {
            Event::Start(element) => {
                prefixes.declare(&element);
                if prefixes.drops(element.name().as_ref()) {
                    changed = true;
                    reader.read_to_end(element.to_end().name())?;
                    continue;
                }
                Event::Start(without_attributes(element, &prefixes, &mut changed))
            }
            Event::Empty(element) => {
                prefixes.declare(&element);
                if prefixes.drops(element.name().as_ref()) {
                    changed = true;
                    continue;
                }
                Event::Empty(without_attributes(element, &prefixes, &mut changed))
            }
            Event::Eof => break,
            other => other,
        };
        writer.write_event(event)?;
    }
    Ok(if changed { Cleaned::Changed(writer.into_inner()) } else { Cleaned::Same })
}

/// The element without dropped attributes.
fn without_attributes<'a>(
    element: BytesStart<'a>,
    prefixes: &Prefixes,
    changed: &mut bool,
) -> BytesStart<'a> {
    let drops = |element: &BytesStart<'_>| {
        let mut attributes = element.attributes();
        attributes.with_checks(false).flatten().any(|attribute| prefixes.drops(attribute.key.as_ref()))
    };
    if !drops(&element) {
        return element;
    }
    *changed = true;
    let mut kept = element.to_owned();
    kept.clear_attributes();
    for attribute in element.attributes().with_checks(false).flatten() {
        if !prefixes.drops(attribute.key.as_ref()) {
            kept.push_attribute(attribute);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: &str = r#"<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:h="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:i="http://ns.adobe.com/xap/1.0/g/img/" xmlns:dc="http://purl.org/dc/elements/1.1/" h:Version="1.0" dc:title="A &amp; B">
<xmp:Thumbnails><rdf:Alt><rdf:li i:width="9"><i:image>SECRET</i:image></rdf:li></rdf:Alt></xmp:Thumbnails>
<xmp:Rating>5</xmp:Rating></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"#;

    #[test]
    fn what_shows_the_photo_goes_and_the_rest_stays() {
        let mut notes = Vec::new();
        let kept = String::from_utf8(cleaned(PACKET.as_bytes(), &mut notes).unwrap()).unwrap();
        assert!(!kept.contains("SECRET") && !kept.contains("h:Version"), "{kept}");
        for words in ["dc:title=\"A &amp; B\"", "<xmp:Rating>5</xmp:Rating>", "<?xpacket end=\"w\"?>"] {
            assert!(kept.contains(words), "{words} in {kept}");
        }
        assert_eq!(notes.len(), 1);
        assert_eq!(cleaned(kept.as_bytes(), &mut notes).unwrap(), kept.as_bytes(), "nothing left to erase");
        for length in 0..PACKET.len() {
            let kept = cleaned(&PACKET.as_bytes()[..length], &mut notes).unwrap_or_default();
            assert!(!kept.windows(6).any(|window| window == b"SECRET"), "{length}");
        }
    }
}
