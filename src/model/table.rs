//! Rows that come and go, found by index; slots are used again, the hottest first.

/// A table of rows.
#[derive(Debug)]
pub(crate) struct Table<T> {
    rows: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table {
            rows: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Table<T> {
    /// Puts `row` into a free slot.
    #[inline]
    pub fn insert(&mut self, row: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.rows[slot as usize] = row;
            return slot;
        }
        self.rows.push(row);
        u32::try_from(self.rows.len() - 1).expect("fewer than 2^32 rows")
    }

    /// Gives a slot back. Its row stays readable until the slot is used again.
    #[inline]
    pub fn release(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// How many rows are in use.
    pub fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    /// All slots, the free ones included.
    pub fn slots(&self) -> std::ops::Range<u32> {
        0..self.rows.len() as u32
    }
}

impl<T> std::ops::Index<u32> for Table<T> {
    type Output = T;
    #[inline]
    fn index(&self, slot: u32) -> &T {
        &self.rows[slot as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Table<T> {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.rows[slot as usize]
    }
}
