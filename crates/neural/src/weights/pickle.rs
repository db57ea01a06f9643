//! Python's pickle format (protocols 0–5), read as data.
//!
//! A pickle is a program for a stack machine. The machine here has the same stack, marks and memo, but where Python would
//! call a function, it makes data from a fixed list of constructors, keeps a name as it is, or refuses the file.

mod made;

use std::collections::HashMap;

use super::not_a_checkpoint;
use super::tree::{Entry, Id, Tree};
use crate::NeuralError;

/// The most values a pickle may make. nnU-Net's log of 1000 epochs with 118 classes has about a million.
const MAX_VALUES: usize = 8_000_000;

/// What values may hold beyond a pickle's own length, in times of it: a few copies, never a flood.
const MOST_COPIES: usize = 16;

/// What a short pickle may hold all the same.
const LEAST_BUDGET: usize = 1 << 20;

/// Reads a whole pickle.
pub(super) fn read(bytes: &[u8]) -> Result<Tree, NeuralError> {
    let mut machine = Machine {
        input: bytes,
        budget: bytes.len().saturating_mul(MOST_COPIES).saturating_add(LEAST_BUDGET),
        tree: Tree::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    while machine.step()? {}
    let root = machine.pop()?;
    machine.tree.root = root;
    machine.tree.check()?;
    Ok(machine.tree)
}

struct Machine<'a> {
    input: &'a [u8],
    /// Bytes that values may still take.
    budget: usize,
    tree: Tree,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

fn short() -> NeuralError {
    not_a_checkpoint("its pickle ends before it should")
}

impl<'a> Machine<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], NeuralError> {
        let count = usize::try_from(count).ok().filter(|&n| n <= self.input.len()).ok_or_else(short)?;
        let (head, rest) = self.input.split_at(count);
        self.input = rest;
        Ok(head)
    }

    fn number<const N: usize>(&mut self) -> Result<u64, NeuralError> {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(self.take(N as u64)?);
        Ok(u64::from_le_bytes(bytes))
    }

    fn line(&mut self) -> Result<&'a str, NeuralError> {
        let end = self.input.iter().position(|&b| b == b'\n').ok_or_else(short)?;
        let line = self.take(end as u64 + 1)?;
        text(&line[..end])
    }

    fn push(&mut self, value: Entry) -> Result<(), NeuralError> {
        if self.tree.values.len() >= MAX_VALUES {
            return Err(not_a_checkpoint(format!("its pickle makes more than {MAX_VALUES} values")));
        }
        self.charge(&value)?;
        self.stack.push(self.tree.values.len() as Id);
        self.tree.values.push(value);
        Ok(())
    }

    /// Takes a value from what all may hold.
    fn charge(&mut self, value: &Entry) -> Result<(), NeuralError> {
        let bytes = match value {
            Entry::Text(text) | Entry::Opaque(text) => text.len(),
            Entry::Global(module, name) => module.len() + name.len(),
            Entry::Bytes(bytes) => bytes.len(),
            Entry::List(items) | Entry::Tuple(items) => size_of_val(items.as_slice()),
            Entry::Dict(entries) => size_of_val(entries.as_slice()),
            Entry::Array(size, values) => size_of_val(size.as_slice()) + size_of_val(values.as_slice()),
            Entry::Storage(storage) => storage.key.len() + storage.kind.len(),
            Entry::Tensor(tensor) => {
                tensor.storage.key.len() + tensor.storage.kind.len() + 8 * (tensor.size.len() + tensor.stride.len())
            }
            Entry::None | Entry::Bool(_) | Entry::Int(_) | Entry::Float(_) | Entry::Dtype(..) => 0,
        };
        let left = self.budget.checked_sub(bytes);
        self.budget = left.ok_or_else(|| not_a_checkpoint("its pickle copies values until they are a flood"))?;
        Ok(())
    }

    /// The topmost value above the last mark.
    fn pop(&mut self) -> Result<Id, NeuralError> {
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err(not_a_checkpoint("its pickle takes more than it has put"));
        }
        self.stack.pop().ok_or_else(short)
    }

    fn top(&self) -> Result<Id, NeuralError> {
        let above = self.stack.len() > self.marks.last().copied().unwrap_or(0);
        self.stack.last().copied().filter(|_| above).ok_or_else(|| not_a_checkpoint("its pickle looks below its stack"))
    }

    /// All above the last mark, which is taken away.
    fn pop_mark(&mut self) -> Result<Vec<Id>, NeuralError> {
        let mark = self.marks.pop().ok_or_else(|| not_a_checkpoint("its pickle has no mark where it needs one"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn value(&self, id: Id) -> &Entry {
        self.tree.value(id)
    }

    fn text_of(&self, id: Id) -> Result<&str, NeuralError> {
        match self.value(id) {
            Entry::Text(text) => Ok(text),
            other => Err(wrong("a text", other)),
        }
    }

    fn items_of(&self, id: Id) -> Result<&[Id], NeuralError> {
        match self.value(id) {
            Entry::Tuple(items) | Entry::List(items) => Ok(items),
            other => Err(wrong("a tuple", other)),
        }
    }

    fn natural(&self, id: Id) -> Result<u64, NeuralError> {
        match self.value(id) {
            Entry::Int(number) => u64::try_from(*number).map_err(|_negative| not_a_checkpoint("a size is negative")),
            other => Err(wrong("a whole number", other)),
        }
    }

    fn naturals(&self, id: Id) -> Result<Vec<u64>, NeuralError> {
        self.items_of(id)?.iter().map(|&id| self.natural(id)).collect()
    }

    /// One operation; false at the end.
    fn step(&mut self) -> Result<bool, NeuralError> {
        let op = self.take(1)?[0];
        match op {
            b'.' => return Ok(false),
            // PROTO, FRAME
            0x80 => {
                let version = self.number::<1>()?;
                if version > 5 {
                    return Err(not_a_checkpoint(format!("its pickle has protocol {version}; 0 to 5 are known")));
                }
            }
            0x95 => drop(self.number::<8>()?),
            b'(' => self.marks.push(self.stack.len()),
            // POP takes a mark if that is on top.
            b'0' => {
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' => self.push(Entry::None)?,
            0x88 => self.push(Entry::Bool(true))?,
            0x89 => self.push(Entry::Bool(false))?,
            b'I' => {
                let value = match self.line()? {
                    "00" => Entry::Bool(false),
                    "01" => Entry::Bool(true),
                    digits => integer(digits),
                };
                self.push(value)?;
            }
            b'L' => {
                let value = integer(self.line()?.trim_end_matches('L'));
                self.push(value)?;
            }
            b'J' => {
                let value = self.number::<4>()? as u32 as i32;
                self.push(Entry::Int(value.into()))?;
            }
            b'K' => {
                let value = self.number::<1>()?;
                self.push(Entry::Int(value as i64))?;
            }
            b'M' => {
                let value = self.number::<2>()?;
                self.push(Entry::Int(value as i64))?;
            }
            0x8a => {
                let count = self.number::<1>()?;
                self.long(count)?;
            }
            0x8b => {
                let count = self.number::<4>()?;
                self.long(count)?;
            }
            b'F' => {
                let value =
                    self.line()?.parse().map_err(|e| not_a_checkpoint(format!("a number cannot be read: {e}")))?;
                self.push(Entry::Float(value))?;
            }
            b'G' => {
                let value = f64::from_bits(self.number::<8>()?.swap_bytes());
                self.push(Entry::Float(value))?;
            }
            _ => return self.step_texts(op),
        }
        Ok(true)
    }

    fn step_texts(&mut self, op: u8) -> Result<bool, NeuralError> {
        let count = match op {
            b'U' | b'C' | 0x8c => self.number::<1>()?,
            b'T' | b'B' | b'X' => self.number::<4>()?,
            0x8d | 0x8e | 0x96 => self.number::<8>()?,
            b'S' => {
                let line = self.line()?;
                let quoted = ["'", "\""].iter().find_map(|q| line.strip_prefix(q)?.strip_suffix(q));
                let inner = quoted.ok_or_else(|| not_a_checkpoint("a text lacks its quotes"))?;
                self.push(Entry::Text(inner.to_owned()))?;
                return Ok(true);
            }
            b'V' => {
                let line = self.line()?.to_owned();
                self.push(Entry::Text(line))?;
                return Ok(true);
            }
            _ => return self.step_containers(op),
        };
        let part = self.take(count)?;
        let value = match op {
            // Strings of Python 2 are text where they can be.
            b'U' | b'T' => match std::str::from_utf8(part) {
                Ok(text) => Entry::Text(text.to_owned()),
                Err(_) => Entry::Bytes(part.to_vec()),
            },
            0x8c | b'X' | 0x8d => Entry::Text(text(part)?.to_owned()),
            _ => Entry::Bytes(part.to_vec()),
        };
        self.push(value)?;
        Ok(true)
    }

    fn step_containers(&mut self, op: u8) -> Result<bool, NeuralError> {
        match op {
            b']' => self.push(Entry::List(Vec::new()))?,
            0x8f => self.push(Entry::List(Vec::new()))?,
            b')' => self.push(Entry::Tuple(Vec::new()))?,
            b'}' => self.push(Entry::Dict(Vec::new()))?,
            b'l' | 0x91 => {
                let items = self.pop_mark()?;
                self.push(Entry::List(items))?;
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Entry::Tuple(items))?;
            }
            b'd' => {
                let items = self.pop_mark()?;
                let entries = pairs(&items)?;
                self.push(Entry::Dict(entries))?;
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0..op - 0x84 {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Entry::Tuple(items))?;
            }
            // APPEND, APPENDS, ADDITEMS
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.append(items)?;
            }
            // SETITEM, SETITEMS
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(vec![(key, value)])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                let entries = pairs(&items)?;
                self.set(entries)?;
            }
            _ => return self.step_memo(op),
        }
        Ok(true)
    }

    fn step_memo(&mut self, op: u8) -> Result<bool, NeuralError> {
        let line =
            |line: &str| line.parse().map_err(|e| not_a_checkpoint(format!("a place of the memo cannot be read: {e}")));
        match op {
            b'p' | b'q' | b'r' | 0x94 => {
                let place = match op {
                    b'p' => line(self.line()?)?,
                    b'q' => self.number::<1>()?,
                    b'r' => self.number::<4>()?,
                    _ => self.memo.len() as u64,
                };
                let top = self.top()?;
                self.memo.insert(place, top);
            }
            b'g' | b'h' | b'j' => {
                let place = match op {
                    b'g' => line(self.line()?)?,
                    b'h' => self.number::<1>()?,
                    _ => self.number::<4>()?,
                };
                let id = self.memo.get(&place);
                self.stack.push(*id.ok_or_else(|| not_a_checkpoint(format!("its pickle remembers no value {place}")))?);
            }
            _ => return self.step_objects(op),
        }
        Ok(true)
    }

    fn step_objects(&mut self, op: u8) -> Result<bool, NeuralError> {
        match op {
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (self.line()?.to_owned(), self.line()?.to_owned());
                self.push(Entry::Global(module, name))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let value = Entry::Global(self.text_of(module)?.to_owned(), self.text_of(name)?.to_owned());
                self.push(value)?;
            }
            // REDUCE, NEWOBJ, NEWOBJ_EX
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                let arguments = self.items_of(arguments)?.to_vec();
                self.made(callable, &arguments)?;
            }
            0x92 => {
                let (_named, arguments, callable) = (self.pop()?, self.pop()?, self.pop()?);
                let arguments = self.items_of(arguments)?.to_vec();
                self.made(callable, &arguments)?;
            }
            // INST, OBJ
            b'i' => {
                let (module, name) = (self.line()?.to_owned(), self.line()?.to_owned());
                let arguments = self.pop_mark()?;
                self.push(Entry::Global(module, name))?;
                let callable = self.pop()?;
                self.made(callable, &arguments)?;
            }
            b'o' => {
                let all = self.pop_mark()?;
                let (&callable, arguments) =
                    all.split_first().ok_or_else(|| not_a_checkpoint("an object lacks its class"))?;
                self.made(callable, arguments)?;
            }
            b'b' => {
                let (state, object) = (self.pop()?, self.top()?);
                self.build(object, state)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(Entry::Storage(storage))?;
            }
            _ => {
                return Err(not_a_checkpoint(format!(
                    "its pickle has an operation 0x{op:02x} that weights do not need"
                )));
            }
        }
        Ok(true)
    }

    fn long(&mut self, count: u64) -> Result<(), NeuralError> {
        let bytes = self.take(count)?;
        let value = if bytes.len() <= 8 {
            let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
            let mut full = [if negative { 0xff } else { 0 }; 8];
            full[..bytes.len()].copy_from_slice(bytes);
            Entry::Int(i64::from_le_bytes(full))
        } else {
            Entry::Opaque("int".into())
        };
        self.push(value)
    }

    fn append(&mut self, mut new: Vec<Id>) -> Result<(), NeuralError> {
        let top = self.top()? as usize;
        match &mut self.tree.values[top] {
            Entry::List(items) => items.append(&mut new),
            Entry::Opaque(_) => {}
            other => return Err(wrong("a list", other)),
        }
        Ok(())
    }

    fn set(&mut self, mut new: Vec<(Id, Id)>) -> Result<(), NeuralError> {
        let top = self.top()? as usize;
        match &mut self.tree.values[top] {
            Entry::Dict(entries) => entries.append(&mut new),
            Entry::Opaque(_) => {}
            other => return Err(wrong("a dictionary", other)),
        }
        Ok(())
    }
}

fn integer(digits: &str) -> Entry {
    digits.trim().parse().map_or_else(|_| Entry::Opaque("int".into()), Entry::Int)
}

fn text(bytes: &[u8]) -> Result<&str, NeuralError> {
    std::str::from_utf8(bytes).map_err(|e| not_a_checkpoint(format!("a text is not UTF-8: {e}")))
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, NeuralError> {
    if items.len() % 2 == 1 {
        return Err(not_a_checkpoint("a key lacks its value"));
    }
    Ok(items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

fn wrong(expected: &str, found: &Entry) -> NeuralError {
    let found = match found {
        Entry::None => "nothing".to_owned(),
        Entry::Global(module, name) => format!("the name `{module}.{name}`"),
        Entry::Opaque(name) => format!("an object of `{name}`"),
        Entry::Bool(_) | Entry::Int(_) | Entry::Float(_) => "a number".to_owned(),
        Entry::Text(_) | Entry::Bytes(_) => "text or bytes".to_owned(),
        Entry::List(_) | Entry::Tuple(_) => "a list".to_owned(),
        Entry::Dict(_) => "a dictionary".to_owned(),
        Entry::Storage(_) | Entry::Tensor(_) => "a tensor".to_owned(),
        Entry::Dtype(..) | Entry::Array(..) => "an array of NumPy".to_owned(),
    };
    not_a_checkpoint(format!("its pickle has {found} where it needs {expected}"))
}
