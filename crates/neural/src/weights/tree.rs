//! What a pickle says, as a tree of plain values.

use serde_json::Value;

use super::not_a_checkpoint;
use crate::NeuralError;

/// The deepest nesting that is read; nnU-Net's plans reach about ten.
const MAX_DEPTH: usize = 100;
/// The most values that become JSON.
const MAX_JSON: usize = 4_000_000;

/// Where a value lies in the [`Tree`].
pub(super) type Id = u32;

/// Values that refer to each other by number: no chain of pointers, however long, can exhaust the stack when it is freed.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) values: Vec<Entry>,
    pub(super) root: Id,
}

/// One value.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A name that has not been called.
    Global(String, String),
    Storage(Storage),
    Tensor(TensorRef),
    /// A NumPy type: kind, bytes a number, and whether the first byte is the greatest.
    Dtype(char, usize, bool),
    Array(Vec<usize>, Vec<f64>),
    /// Something that stays what it is: its name.
    Opaque(String),
}

/// Numbers in a file of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Storage {
    pub(super) key: String,
    /// As PyTorch names it: `FloatStorage`, `float16`, …
    pub(super) kind: String,
    /// Numbers, or bytes for an untyped storage.
    pub(super) count: u64,
}

/// A view of a storage.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TensorRef {
    pub(super) storage: Storage,
    pub(super) offset: u64,
    pub(super) size: Vec<u64>,
    pub(super) stride: Vec<u64>,
}

impl Tree {
    pub(super) fn root(&self) -> Node<'_> {
        Node { tree: self, id: self.root }
    }

    pub(super) fn value(&self, id: Id) -> &Entry {
        static NOTHING: Entry = Entry::None;
        self.values.get(id as usize).unwrap_or(&NOTHING)
    }

    fn children(&self, id: Id) -> Vec<Id> {
        match self.value(id) {
            Entry::List(items) | Entry::Tuple(items) => items.clone(),
            Entry::Dict(entries) => entries.iter().flat_map(|&(key, value)| [key, value]).collect(),
            _ => Vec::new(),
        }
    }

    /// Refuses values that contain themselves, and nesting beyond any reader's needs.
    pub(super) fn check(&self) -> Result<(), NeuralError> {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            No,
            Open,
            Done,
        }
        let mut seen = vec![Seen::No; self.values.len()];
        let mut height = vec![0usize; self.values.len()];
        let mut open = vec![(self.root, self.children(self.root), 0usize)];
        if let Some(root) = seen.get_mut(self.root as usize) {
            *root = Seen::Open;
        }
        while let Some((id, children, next)) = open.last_mut() {
            let Some(&child) = children.get(*next) else {
                let done = *id as usize;
                height[done] = 1 + children.iter().map(|&c| height[c as usize]).max().unwrap_or(0);
                seen[done] = Seen::Done;
                open.pop();
                continue;
            };
            *next += 1;
            match seen[child as usize] {
                Seen::Open => return Err(not_a_checkpoint("a value of its pickle contains itself")),
                Seen::Done => {}
                Seen::No => {
                    seen[child as usize] = Seen::Open;
                    let grandchildren = self.children(child);
                    open.push((child, grandchildren, 0));
                }
            }
        }
        if height.get(self.root as usize).is_some_and(|&h| h > MAX_DEPTH) {
            return Err(not_a_checkpoint(format!("its values are nested deeper than {MAX_DEPTH}")));
        }
        Ok(())
    }
}

/// A value of a checkpoint.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    tree: &'a Tree,
    id: Id,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number, also one of NumPy's.
    Int(i64),
    /// A number, also one of NumPy's.
    Float(f64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A list, tuple or set.
    List,
    /// A dictionary.
    Dict,
    /// A tensor, with its sizes.
    Tensor(&'a [u64]),
    /// An array of NumPy, with its sizes and values.
    Array(&'a [usize], &'a [f64]),
    /// Something that is not read: the name of its class or function, which was not called.
    Opaque(&'a str),
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.kind().fmt(f)
    }
}

impl<'a> Node<'a> {
    /// What it is.
    pub fn kind(&self) -> Kind<'a> {
        match self.tree.value(self.id) {
            Entry::None => Kind::None,
            Entry::Bool(b) => Kind::Bool(*b),
            Entry::Int(i) => Kind::Int(*i),
            Entry::Float(x) => Kind::Float(*x),
            Entry::Text(text) => Kind::Text(text),
            Entry::Bytes(bytes) => Kind::Bytes(bytes),
            Entry::List(_) | Entry::Tuple(_) => Kind::List,
            Entry::Dict(_) => Kind::Dict,
            Entry::Tensor(tensor) => Kind::Tensor(&tensor.size),
            Entry::Array(size, values) => Kind::Array(size, values),
            Entry::Global(_, name) | Entry::Opaque(name) => Kind::Opaque(name),
            Entry::Storage(storage) => Kind::Opaque(&storage.kind),
            Entry::Dtype(..) => Kind::Opaque("numpy.dtype"),
        }
    }

    /// The value of a dictionary under a text.
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        self.entries().find(|(k, _)| k.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&'a str> {
        if let Kind::Text(text) = self.kind() { Some(text) } else { None }
    }

    /// The whole number, if it is one.
    pub fn as_i64(&self) -> Option<i64> {
        if let Kind::Int(number) = self.kind() { Some(number) } else { None }
    }

    /// The number, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self.kind() {
            Kind::Int(number) => Some(number as f64),
            Kind::Float(number) => Some(number),
            _ => None,
        }
    }

    /// What a list, tuple or set holds; nothing for other values.
    pub fn items(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let ids: &[Id] = match self.tree.value(self.id) {
            Entry::List(items) | Entry::Tuple(items) => items,
            _ => &[],
        };
        let tree = self.tree;
        ids.iter().map(move |&id| Node { tree, id })
    }

    /// Keys and values of a dictionary in their order; nothing for other values.
    pub fn entries(&self) -> impl Iterator<Item = (Node<'a>, Node<'a>)> + use<'a> {
        let ids: &[(Id, Id)] = match self.tree.value(self.id) {
            Entry::Dict(entries) => entries,
            _ => &[],
        };
        let tree = self.tree;
        ids.iter().map(move |&(key, value)| (Node { tree, id: key }, Node { tree, id: value }))
    }

    pub(super) fn tensor(&self) -> Option<&'a TensorRef> {
        if let Entry::Tensor(tensor) = self.tree.value(self.id) { Some(tensor) } else { None }
    }

    /// As JSON, without tensors and bytes, which become `null`, and with the names of opaque values.
    ///
    /// # Errors
    /// [`NeuralError::NotWeights`] if shared values unfold to millions.
    pub fn to_json(&self) -> Result<Value, NeuralError> {
        let mut left = MAX_JSON;
        self.json(&mut left)
    }

    fn json(&self, left: &mut usize) -> Result<Value, NeuralError> {
        *left = left.checked_sub(1).ok_or_else(|| not_a_checkpoint("its values unfold to more than any plans"))?;
        Ok(match self.kind() {
            Kind::None | Kind::Bytes(_) | Kind::Tensor(_) => Value::Null,
            Kind::Bool(b) => b.into(),
            Kind::Int(i) => i.into(),
            Kind::Float(x) => x.into(),
            Kind::Text(text) | Kind::Opaque(text) => text.into(),
            Kind::List => Value::Array(self.items().map(|item| item.json(left)).collect::<Result<_, _>>()?),
            Kind::Array(_, values) => {
                *left = left.saturating_sub(values.len());
                values.iter().map(|&x| Value::from(x)).collect()
            }
            Kind::Dict => {
                let mut map = serde_json::Map::new();
                for (key, value) in self.entries() {
                    let key = match key.kind() {
                        Kind::Text(text) => text.to_owned(),
                        Kind::Int(number) => number.to_string(),
                        _ => continue,
                    };
                    map.insert(key, value.json(left)?);
                }
                Value::Object(map)
            }
        })
    }
}
