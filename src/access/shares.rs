//! Seats of which there are only so many, and of which nobody may hold too many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::KeyPrint;

/// Whoever holds seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A client's address.
    Address(IpAddr),
    /// A key.
    Key(KeyPrint),
    /// All keys together that have not proved right yet.
    Newcomers,
}

/// Seats, and who holds how many.
///
/// ```
/// use fal_gateway::access::{Holder, Shares};
///
/// let shares = Shares::new(8, 2);
/// let one = Shares::take(&shares, &[Holder::Newcomers]);
/// let two = Shares::take(&shares, &[Holder::Newcomers]);
/// assert!(one.is_some() && two.is_some());
/// assert!(Shares::take(&shares, &[Holder::Newcomers]).is_none());
/// drop(one);
/// assert!(Shares::take(&shares, &[Holder::Newcomers]).is_some());
/// ```
#[derive(Debug, Default)]
pub struct Shares {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    most: usize,
    most_each: usize,
    all: usize,
    by: HashMap<Holder, usize>,
}

/// A seat; given back when it is dropped.
#[derive(Debug)]
pub struct Seat {
    shares: Arc<Shares>,
    holders: Vec<Holder>,
}

impl Shares {
    /// So many seats, of which each holder may have `most_each`.
    pub fn new(most: usize, most_each: usize) -> Arc<Self> {
        let shares = Self::default();
        shares.resize(most, most_each);
        Arc::new(shares)
    }

    /// Has so many seats from now on, of which each holder may have a quarter. Seats that are taken
    /// already stay so.
    pub fn resize_in_quarters(&self, most: usize) {
        self.resize(most, most.div_ceil(4));
    }

    fn resize(&self, most: usize, most_each: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        (held.most, held.most_each) = (most, most_each);
    }

    /// Takes a seat in the name of all these holders, unless none is left for one of them.
    pub fn take(shares: &Arc<Self>, holders: &[Holder]) -> Option<Seat> {
        let mut held = shares.held.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |holder| held.by.get(holder).is_some_and(|n| *n >= held.most_each);
        if held.all >= held.most || holders.iter().any(is_full) {
            return None;
        }
        held.all += 1;
        for holder in holders {
            *held.by.entry(*holder).or_default() += 1;
        }
        Some(Seat {
            shares: Arc::clone(shares),
            holders: holders.to_vec(),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let held = &self.shares.held;
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all = held.all.saturating_sub(1);
        for holder in &self.holders {
            let left = held
                .by
                .get(holder)
                .map_or(0, |count| count.saturating_sub(1));
            match left {
                0 => drop(held.by.remove(holder)),
                left => drop(held.by.insert(*holder, left)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_more_than_a_share_and_all_not_more_than_there_is() {
        let shares = Arc::<Shares>::default();
        shares.resize_in_quarters(8);
        let of = |number: u8| {
            [
                Holder::Address([number; 4].into()),
                Holder::Key([number; 32]),
            ]
        };
        let mut seats = Vec::new();
        for number in 0..4 {
            for _ in 0..2 {
                seats.push(Shares::take(&shares, &of(number)).unwrap());
            }
            assert!(Shares::take(&shares, &of(number)).is_none());
        }
        assert!(Shares::take(&shares, &of(9)).is_none());
        seats.pop();
        assert!(Shares::take(&shares, &[Holder::Key([2; 32])]).is_none());
        assert!(Shares::take(&shares, &of(9)).is_some());
        seats.clear();
        let held = shares.held.lock().unwrap();
        assert_eq!((held.all, held.by.len()), (0, 0));
    }

    #[test]
    fn the_smallest_number_of_seats_has_a_share() {
        let shares = Arc::<Shares>::default();
        shares.resize_in_quarters(1);
        assert!(Shares::take(&shares, &[Holder::Newcomers]).is_some());
    }
}
