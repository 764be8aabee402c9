//! The order of variants by one metric, as far as comparisons tell them apart.

/// Where a variant stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    /// The variant's index.
    pub variant: usize,
    /// The best place that it may have, from 1: behind those that are better than it for certain.
    pub best: usize,
    /// The worst: before those that are worse for certain.
    pub worst: usize,
    /// Variants that share a letter cannot be told apart (a compact letter display). Empty where there would be too many letters.
    pub groups: String,
}

/// Letters there are.
const GROUPS_MAX: usize = 26;

/// Ranks the variants by their figures, the lowest first if `lower_is_better`. `separated` says of two variants whether a comparison tells
/// them apart, whichever comes first.
pub fn rank(figures: &[f64], lower_is_better: bool, separated: impl Fn(usize, usize) -> bool) -> Vec<Rank> {
    let mut order: Vec<usize> = (0..figures.len()).collect();
    order.sort_by(|&a, &b| match lower_is_better {
        true => figures[a].total_cmp(&figures[b]),
        false => figures[b].total_cmp(&figures[a]),
    });
    let count = order.len();
    let groups = groups(count, |i, j| separated(order[i], order[j]));
    let of_place = |place: usize| {
        let before = (0..place).filter(|&other| separated(order[other], order[place])).count();
        let behind = (place + 1..count)
            .filter(|&other| separated(order[other], order[place]))
            .count();
        Rank {
            variant: order[place],
            best: before + 1,
            worst: count - behind,
            groups: letters(&groups, place),
        }
    };
    (0..count).map(of_place).collect()
}

/// The groups of places none of whose members is separated from another, none of them part of another: insert and absorb (Piepho, Journal of
/// Computational and Graphical Statistics 13, 2004). Empty where there are more than there are letters.
fn groups(count: usize, separated: impl Fn(usize, usize) -> bool) -> Vec<Vec<bool>> {
    let mut groups = vec![vec![true; count]];
    for i in 0..count {
        for j in i + 1..count {
            if !separated(i, j) {
                continue;
            }
            let (both, mut kept): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group: &Vec<bool>| group[i] && group[j]);
            for group in both {
                for left_out in [i, j] {
                    let mut part = group.clone();
                    part[left_out] = false;
                    kept.push(part);
                }
            }
            groups = absorbed(kept);
            if groups.len() > GROUPS_MAX {
                return Vec::new();
            }
        }
    }
    groups.sort_by_key(|group| group.iter().position(|&member| member));
    groups
}

/// Without the groups that are part of others, or a second time there.
fn absorbed(groups: Vec<Vec<bool>>) -> Vec<Vec<bool>> {
    let is_part = |small: &Vec<bool>, large: &Vec<bool>| small.iter().zip(large).all(|(small, large)| !small || *large);
    let mut kept: Vec<Vec<bool>> = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        let later = groups[at + 1..].iter().any(|other| is_part(group, other));
        if !later && !kept.iter().any(|other| is_part(group, other)) {
            kept.push(group.clone());
        }
    }
    kept
}

fn letters(groups: &[Vec<bool>], place: usize) -> String {
    let held = groups.iter().enumerate().filter(|(_, group)| group[place]);
    held.map(|(letter, _)| char::from(b'a' + letter as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(ranks: &[Rank]) -> Vec<(usize, usize, usize, &str)> {
        ranks
            .iter()
            .map(|rank| (rank.variant, rank.best, rank.worst, rank.groups.as_str()))
            .collect()
    }

    #[test]
    fn who_cannot_be_told_apart_shares_a_letter() {
        // 1 and 3 are told apart, and 0 is from all; 2 lies between 1 and 3.
        let figures = [9.0, 1.0, 2.0, 3.0];
        let apart = |a: usize, b: usize| a == 0 || b == 0 || (a.min(b), a.max(b)) == (1, 3);
        let ranks = rank(&figures, true, apart);
        assert_eq!(
            shown(&ranks),
            [(1, 1, 2, "a"), (2, 1, 3, "ab"), (3, 2, 3, "b"), (0, 4, 4, "c")]
        );
        let ranks = rank(&figures, false, |_, _| false);
        assert_eq!(
            shown(&ranks),
            [(0, 1, 4, "a"), (3, 1, 4, "a"), (2, 1, 4, "a"), (1, 1, 4, "a")]
        );
        let ranks = rank(&figures, true, |_, _| true);
        assert_eq!(
            shown(&ranks),
            [(1, 1, 1, "a"), (2, 2, 2, "b"), (3, 3, 3, "c"), (0, 4, 4, "d")]
        );
        assert!(rank(&[], true, |_, _| true).is_empty());
    }

    #[test]
    fn too_many_groups_have_no_letters() {
        let figures: Vec<f64> = (0..40).map(f64::from).collect();
        let ranks = rank(&figures, true, |_, _| true);
        assert_eq!(
            ranks[39],
            Rank {
                variant: 39,
                best: 40,
                worst: 40,
                groups: String::new()
            }
        );
    }
}
