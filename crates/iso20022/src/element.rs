//! XML as a tree of elements: within limits, without what an attacker would use, by local names.

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use quick_xml::name::ResolveResult;
use quick_xml::{NsReader, Writer, XmlVersion};

use crate::Error;

/// An instant payment's message has two or three thousand.
pub const BYTES_MAX: usize = 64 * 1_024;
const DEPTH_MAX: usize = 32;
const ELEMENTS_MAX: usize = 2_000;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    name: String,
    /// Of elements that declare one.
    namespace: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    pub(crate) fn leaf(name: &str, text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::new(name) }
    }

    /// The leaf below as many elements as the path has: `Rsn/Cd`.
    pub(crate) fn nested(path: &str, text: impl Into<String>) -> Self {
        match path.split_once('/') {
            Some((name, rest)) => Self::new(name).child(Self::nested(rest, text)),
            None => Self::leaf(path, text),
        }
    }

    pub(crate) fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    pub(crate) fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    pub(crate) fn children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    pub(crate) fn with(self, path: &str, text: impl Into<String>) -> Self {
        self.child(Self::nested(path, text))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn text(&self) -> &str {
        self.text.trim()
    }

    pub(crate) fn attribute_value(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn only_child(&self) -> Option<&Self> {
        if let [child] = self.children.as_slice() { Some(child) } else { None }
    }

    /// The element at the end of the path, each part of which may be there once. Elements of other namespaces are none of it.
    pub(crate) fn at(&self, path: &str) -> Result<Option<&Self>, Error> {
        let mut here = self;
        for name in path.split('/') {
            let is_it = |child: &&Self| child.name == name && child.namespace == here.namespace;
            let mut named = here.children.iter().filter(is_it);
            let Some(found) = named.next() else { return Ok(None) };
            if named.next().is_some() {
                return Err(Error::Repeated(path.to_owned()));
            }
            here = found;
        }
        Ok(Some(here))
    }

    pub(crate) fn required(&self, path: &str) -> Result<&Self, Error> {
        self.at(path)?.ok_or_else(|| Error::Missing(path.to_owned()))
    }

    /// A text of 1 to `chars_max` characters.
    pub(crate) fn read(&self, path: &str, chars_max: usize) -> Result<String, Error> {
        self.read_optional(path, chars_max)?.ok_or_else(|| Error::Missing(path.to_owned()))
    }

    pub(crate) fn read_optional(&self, path: &str, chars_max: usize) -> Result<Option<String>, Error> {
        let Some(element) = self.at(path)? else { return Ok(None) };
        let (text, path) = (element.text(), path.to_owned());
        if !element.children.is_empty() {
            return Err(Error::Invalid { path, reason: "it is no text" });
        }
        if text.is_empty() || text.chars().count() > chars_max {
            return Err(Error::Invalid { path, reason: "it is empty, or too long" });
        }
        if text.chars().any(char::is_control) {
            return Err(Error::Invalid { path, reason: "it holds a control character" });
        }
        Ok(Some(text.to_owned()))
    }

    pub fn to_xml(&self) -> String {
        let mut writer = Writer::new(Vec::new());
        self.write(&mut writer);
        String::from_utf8(writer.into_inner()).expect("written from strings")
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) {
        let mut start = BytesStart::new(self.name.as_str());
        if !self.namespace.is_empty() {
            start.push_attribute(("xmlns", self.namespace.as_str()));
        }
        for (name, value) in &self.attributes {
            start.push_attribute((name.as_str(), value.as_str()));
        }
        let mut put = |event: Event<'_>| writer.write_event(event).expect("memory takes what is written");
        put(Event::Start(start));
        if !self.text.is_empty() {
            put(Event::Text(BytesText::new(&self.text)));
        }
        for child in &self.children {
            child.write(writer);
        }
        writer
            .write_event(Event::End(BytesEnd::new(self.name.as_str())))
            .expect("memory takes what is written");
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > BYTES_MAX {
            return Err(Error::TooLarge(BYTES_MAX));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Error::NotUtf8)?;
        if text.chars().any(is_forbidden) {
            return Err(Error::Refused("a control character"));
        }
        let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}'));
        let mut open: Vec<Self> = vec![Self::default()];
        let mut elements = 0;
        loop {
            let (namespace, event) = reader.read_resolved_event().map_err(|error| malformed(&error))?;
            match event {
                Event::Start(ref start) | Event::Empty(ref start) => {
                    elements += 1;
                    if open.len() > DEPTH_MAX || elements > ELEMENTS_MAX {
                        return Err(Error::Refused("so large a tree of elements"));
                    }
                    let element = opened(start, &namespace)?;
                    match event {
                        Event::Start(_) => open.push(element),
                        _ => innermost(&mut open)?.children.push(element),
                    }
                }
                Event::End(_) => {
                    let closed =
                        open.pop().ok_or_else(|| Error::Malformed("it ends too often".to_owned()))?;
                    innermost(&mut open)?.children.push(closed);
                }
                Event::Text(text) => {
                    innermost(&mut open)?.text.push_str(&text);
                }
                Event::CData(text) => innermost(&mut open)?.text.push_str(&text),
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(|error| malformed(&error))?;
                    let into = &mut innermost(&mut open)?.text;
                    match (character, resolve_xml_entity(&reference)) {
                        (Some(character), _) if is_forbidden(character) => {
                            return Err(Error::Refused("a control character"));
                        }
                        (Some(character), _) => into.push(character),
                        (None, Some(text)) => into.push_str(text),
                        (None, None) => return Err(Error::Refused("an entity")),
                    }
                }
                Event::DocType(_) => return Err(Error::Refused("a document type")),
                Event::PI(_) => return Err(Error::Refused("a processing instruction")),
                Event::Decl(declaration) => {
                    let encoding = declaration
                        .encoding()
                        .transpose()
                        .map_err(|error| Error::Malformed(error.to_string()))?;
                    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("utf-8")) {
                        return Err(Error::NotUtf8);
                    }
                }
                Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        let [root] = open.as_slice() else { return Err(Error::Malformed("it ends too early".to_owned())) };
        match root.children.as_slice() {
            [document] if root.text.trim().is_empty() => Ok(document.clone()),
            _ => Err(Error::Malformed("it is not one element".to_owned())),
        }
    }
}

/// What XML 1.0 has no place for, comments and unread elements included.
fn is_forbidden(character: char) -> bool {
    matches!(character, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}

fn innermost(open: &mut [Element]) -> Result<&mut Element, Error> {
    open.last_mut().ok_or_else(|| Error::Malformed("it ends too often".to_owned()))
}

fn opened(start: &BytesStart<'_>, namespace: &ResolveResult<'_>) -> Result<Element, Error> {
    let name = start.local_name().as_ref().to_owned();
    let namespace = match namespace {
        ResolveResult::Bound(namespace) => namespace.as_ref().to_owned(),
        ResolveResult::Unbound => String::new(),
        ResolveResult::Unknown(_) => return Err(Error::Malformed("a prefix is not declared".to_owned())),
    };
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| Error::Malformed(error.to_string()))?;
        // One of another namespace says nothing to us.
        if attribute.key.as_namespace_binding().is_some() || attribute.key.prefix().is_some() {
            continue;
        }
        let value = attribute.normalized_value(XmlVersion::default()).map_err(|error| malformed(&error))?;
        attributes.push((attribute.key.local_name().as_ref().to_owned(), value.into_owned()));
    }
    Ok(Element { name, namespace, attributes, ..Element::default() })
}

fn malformed(error: &quick_xml::Error) -> Error {
    Error::Malformed(error.to_string())
}
