//! What is made where Python would call something: data by a fixed list, or nothing.

use super::{Machine, wrong};
use crate::NeuralError;
use crate::weights::not_a_checkpoint;
use crate::weights::numpy;
use crate::weights::tree::{Entry, Id, Storage, TensorRef};

impl Machine<'_> {
    /// The numbers of a tensor: `("storage", type, key, device, count)`.
    pub(super) fn storage(&self, id: Id) -> Result<Storage, NeuralError> {
        let [tag, kind, key, _device, count] = self.items_of(id)? else {
            return Err(not_a_checkpoint("a storage is not described by five values"));
        };
        if self.text_of(*tag)? != "storage" {
            return Err(not_a_checkpoint("a persistent value is no storage"));
        }
        let kind = match self.value(*kind) {
            Entry::Global(module, name) if module.starts_with("torch") => name.clone(),
            other => return Err(wrong("a type of storage", other)),
        };
        Ok(Storage { key: self.text_of(*key)?.to_owned(), kind, count: self.natural(*count)? })
    }

    /// What Python would have called `callable` for: data, or a node that stays opaque.
    pub(super) fn made(&mut self, callable: Id, arguments: &[Id]) -> Result<(), NeuralError> {
        let (module, name) = match self.value(callable) {
            Entry::Global(module, name) => (module.clone(), name.clone()),
            other => return Err(wrong("the name of a constructor", other)),
        };
        let module = if module == "__builtin__" { "builtins" } else { &module };
        let value = match (module, name.as_str()) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => self.tensor(arguments, None)?,
            ("torch._utils", "_rebuild_tensor_v3") => {
                let dtype = arguments.get(6).map(|&id| self.value(id));
                let Some(Entry::Global(_, dtype)) = dtype else {
                    return Err(not_a_checkpoint("a tensor lacks its type"));
                };
                self.tensor(arguments, Some(dtype.clone()))?
            }
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => match arguments.first() {
                Some(&data) => self.value(data).clone(),
                None => return Err(not_a_checkpoint("a parameter lacks its tensor")),
            },
            ("collections", "OrderedDict") | ("builtins", "dict") => match arguments.first() {
                None => Entry::Dict(Vec::new()),
                Some(&from) => self.dictionary(from)?,
            },
            ("collections", "defaultdict") => Entry::Dict(Vec::new()),
            ("builtins", "list" | "set" | "frozenset" | "tuple") | ("torch", "Size") => match arguments.first() {
                None => Entry::List(Vec::new()),
                Some(&items) => Entry::List(self.items_of(items)?.to_vec()),
            },
            ("_codecs", "encode") => self.encoded(arguments)?,
            ("numpy", "dtype") => match arguments.first() {
                Some(&code) => numpy::dtype(self.text_of(code)?)?,
                None => return Err(not_a_checkpoint("a type of NumPy lacks its name")),
            },
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => self.scalar(arguments)?,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {
                Entry::Array(Vec::new(), Vec::new())
            }
            _ if is_harmless(module, &name) => Entry::Opaque(format!("{module}.{name}")),
            _ => {
                return Err(not_a_checkpoint(format!(
                    "it asks for a call of `{module}.{name}`, which no weights need: it may be an attack, and nothing of it was run"
                )));
            }
        };
        self.push(value)
    }

    fn tensor(&self, arguments: &[Id], dtype: Option<String>) -> Result<Entry, NeuralError> {
        let [storage, offset, size, stride, ..] = arguments else {
            return Err(not_a_checkpoint("a tensor is not described by its storage, offset, size and stride"));
        };
        let mut storage = match self.value(*storage) {
            Entry::Storage(storage) => storage.clone(),
            other => return Err(wrong("a storage", other)),
        };
        if let Some(dtype) = dtype {
            storage.kind = dtype;
        }
        let (size, stride) = (self.naturals(*size)?, self.naturals(*stride)?);
        if size.len() != stride.len() || size.len() > 8 {
            return Err(not_a_checkpoint(format!("a tensor has {} sizes and {} strides", size.len(), stride.len())));
        }
        Ok(Entry::Tensor(TensorRef { storage, offset: self.natural(*offset)?, size, stride }))
    }

    /// A dictionary from pairs.
    fn dictionary(&self, from: Id) -> Result<Entry, NeuralError> {
        if let Entry::Dict(entries) = self.value(from) {
            return Ok(Entry::Dict(entries.clone()));
        }
        let pair = |&id: &Id| match self.items_of(id)? {
            &[key, value] => Ok((key, value)),
            _ => Err(not_a_checkpoint("a dictionary is made of what are no pairs")),
        };
        Ok(Entry::Dict(self.items_of(from)?.iter().map(pair).collect::<Result<_, NeuralError>>()?))
    }

    /// Bytes that protocol 2 writes as text, one character each.
    fn encoded(&self, arguments: &[Id]) -> Result<Entry, NeuralError> {
        let [text, encoding] = arguments else {
            return Err(not_a_checkpoint("bytes are not described by text and encoding"));
        };
        if !matches!(self.text_of(*encoding)?, "latin1" | "latin-1") {
            return Err(not_a_checkpoint("bytes have an encoding other than latin1"));
        }
        let bytes = self.text_of(*text)?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<_>>();
        bytes.map(Entry::Bytes).ok_or_else(|| not_a_checkpoint("bytes hold a character beyond latin1"))
    }

    fn scalar(&self, arguments: &[Id]) -> Result<Entry, NeuralError> {
        match arguments {
            [dtype, bytes] => match (self.value(*dtype), self.value(*bytes)) {
                (&Entry::Dtype(kind, size, big), Entry::Bytes(bytes)) if bytes.len() == size => {
                    Ok(numpy::number(kind, big, bytes))
                }
                _ => Err(not_a_checkpoint("a number of NumPy has not the bytes of its type")),
            },
            _ => Err(not_a_checkpoint("a number of NumPy is not described by type and bytes")),
        }
    }

    /// The state that Python would give an object after it was made.
    pub(super) fn build(&mut self, object: Id, state: Id) -> Result<(), NeuralError> {
        let new = match self.value(object) {
            // Attributes, such as the `_metadata` of a state dictionary, are not read.
            Entry::Dict(_) | Entry::Tensor(_) | Entry::Opaque(_) => return Ok(()),
            &Entry::Dtype(kind, size, _) => {
                let order = self.items_of(state)?.get(1).map(|&id| self.text_of(id)).transpose()?;
                Entry::Dtype(kind, size, order == Some(">"))
            }
            Entry::Array(..) => {
                let &[_, size, dtype, fortran, bytes] = self.items_of(state)? else {
                    return Err(not_a_checkpoint("an array of NumPy is not described by five values"));
                };
                let size = self.naturals(size)?;
                match (self.value(dtype), self.value(fortran), self.value(bytes)) {
                    (&Entry::Dtype(kind, width, big), Entry::Bool(false), Entry::Bytes(bytes)) => {
                        numpy::array(&size, kind, width, big, bytes)?
                    }
                    // Arrays of objects or in another order: nothing here needs them.
                    _ => Entry::Opaque("numpy.ndarray".into()),
                }
            }
            other => return Err(wrong("an object that takes a state", other)),
        };
        self.charge(&new)?;
        self.tree.values[object as usize] = new;
        Ok(())
    }
}

/// Names whose objects do no harm and are left alone: they occur in checkpoints (`torch.device`, paths, schedulers).
fn is_harmless(module: &str, name: &str) -> bool {
    const TOP: [&str; 8] = [
        "torch",
        "numpy",
        "collections",
        "pathlib",
        "nnunetv2",
        "dynamic_network_architectures",
        "batchgenerators",
        "datetime",
    ];
    let top = module.split('.').next().unwrap_or(module);
    // A dotted name could reach through a module to anything.
    if name.contains('.') {
        return false;
    }
    TOP.contains(&top) || (module == "builtins" && matches!(name, "complex" | "slice" | "range" | "bytearray"))
}
