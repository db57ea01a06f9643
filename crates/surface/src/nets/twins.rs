//! Two arrays of values side by side, in memory that can become a vector of something else.

use std::marker::PhantomData;

use bytemuck::allocation::{try_cast_vec, zeroed_vec};
use bytemuck::{Pod, pod_align_to, pod_align_to_mut};

/// Two arrays of as many `V`, zero at first, in memory made of `U`.
pub(super) struct Twins<U, V> {
    memory: Vec<U>,
    len: usize,
    /// What each may grow to.
    room: usize,
    /// Which one is the first.
    turned: bool,
    of: PhantomData<V>,
}

impl<U, V> Default for Twins<U, V> {
    fn default() -> Self {
        Self { memory: Vec::new(), len: 0, room: 0, turned: false, of: PhantomData }
    }
}

impl<U: Pod, V: Pod> Twins<U, V> {
    /// Twins of this length that may grow; no one has to write the zeros.
    pub(super) fn zeroed(len: usize, room: usize) -> Self {
        let bytes = 2 * room * size_of::<V>() + align_of::<V>();
        // Whole dozens of `U`, so that they can become threes and fours.
        let memory = zeroed_vec(bytes.div_ceil(size_of::<U>()).next_multiple_of(12));
        Self { memory, len, room, turned: false, of: PhantomData }
    }

    /// True of twins without values.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Both.
    #[inline]
    pub(super) fn both(&self) -> [&[V]; 2] {
        let (_, all, _) = pod_align_to::<U, V>(&self.memory);
        let (low, high) = all.split_at(self.room);
        let (low, high) = (&low[..self.len], &high[..self.len]);
        if self.turned { [high, low] } else { [low, high] }
    }

    /// Both, to write to.
    pub(super) fn both_mut(&mut self) -> [&mut [V]; 2] {
        let (_, all, _) = pod_align_to_mut::<U, V>(&mut self.memory);
        let (low, high) = all.split_at_mut(self.room);
        let (low, high) = (&mut low[..self.len], &mut high[..self.len]);
        if self.turned { [high, low] } else { [low, high] }
    }

    /// Makes the second the first.
    pub(super) fn turn(&mut self) {
        self.turned = !self.turned;
    }

    /// Adds a value to the first, and one of any content to the second.
    pub(super) fn push(&mut self, value: V) {
        if self.len == self.room {
            let mut more = Self::zeroed(self.len, self.room + self.room / 2 + 64);
            more.both_mut().into_iter().zip(self.both()).for_each(|(more, values)| more.copy_from_slice(values));
            *self = more;
        }
        self.len += 1;
        let [first, _] = self.both_mut();
        first[first.len() - 1] = value;
    }

    /// The memory as so many rows of any content.
    pub(super) fn into_rows<R: Pod>(self, count: usize) -> Vec<R> {
        let mut memory = self.memory;
        let units = count * size_of::<R>() / size_of::<U>();
        if memory.len() < units {
            return zeroed_vec(count);
        }
        memory.truncate(units);
        try_cast_vec(memory).unwrap_or_else(|_| zeroed_vec(count))
    }
}

#[cfg(test)]
mod tests {
    use glam::Vec4;

    use super::*;

    #[test]
    fn twins_grow_turn_and_become_rows() {
        let mut twins = Twins::<u32, Vec4>::zeroed(0, 1);
        for n in 0..100 {
            twins.push(Vec4::splat(n as f32));
            twins.both_mut()[1][n] = Vec4::splat(-(n as f32));
        }
        twins.turn();
        let [first, second] = twins.both();
        assert!((0..100).all(|n| first[n] == Vec4::splat(-(n as f32)) && second[n] == Vec4::splat(n as f32)));
        assert_eq!(twins.into_rows::<[u32; 3]>(200).len(), 200);
        assert_eq!(Twins::<u16, f32>::default().into_rows::<[u16; 2]>(7), vec![[0; 2]; 7]);
    }
}
