//! State by candidate set, made when a set is first used: most callers only ever see one set.

/// One `T` for each set number.
#[derive(Clone, Debug)]
pub struct PerSet<T> {
    states: Vec<T>,
}

impl<T> Default for PerSet<T> {
    fn default() -> PerSet<T> {
        PerSet { states: Vec::new() }
    }
}

impl<T: Default> PerSet<T> {
    /// Puts the state of set `number` back to what it was at the start.
    pub fn reset(&mut self, number: usize) {
        if let Some(state) = self.states.get_mut(number) {
            *state = T::default();
        }
    }

    /// The state of set `number`.
    #[inline]
    pub fn of(&mut self, number: usize) -> &mut T {
        if number >= self.states.len() {
            self.states.resize_with(number + 1, T::default);
        }
        &mut self.states[number]
    }
    /// The states there are.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.states.iter_mut()
    }
}
