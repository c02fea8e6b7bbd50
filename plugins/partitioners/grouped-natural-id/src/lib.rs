//! Grouped natural ids: the values of a column (users, say) are taken `group_size` at a time, and each
//! group is a client. As `GroupedNaturalIdPartitioner` of Flower Datasets does.

use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner, split};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every group of values of a column is a client.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupedNaturalId {
    /// Column that holds the id.
    column: String,
    /// Number of ids in a group.
    #[schemars(range(min = 1))]
    group_size: u32,
    /// What becomes of the ids that fill no group.
    #[serde(default)]
    mode: Mode,
    /// Group the ids in sorted order; without it in the order in which the data names them first.
    #[serde(default)]
    sort_ids: bool,
}
export_partitioner!(GroupedNaturalId);

/// What becomes of the ids that fill no group.
#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum Mode {
    /// They are a smaller group of their own.
    #[default]
    AllowSmaller,
    /// They are shared out over the first groups.
    AllowBigger,
    /// They are left out.
    DropReminder,
    /// They are an error.
    Strict,
}

impl Partitioner for GroupedNaturalId {
    const REFERENCES: &'static [&'static str] =
        &["Flower Datasets, GroupedNaturalIdPartitioner, https://flower.ai/docs/datasets"];
    const CLIENTS_FROM_DATA: bool = true;

    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        let mut ids = data.groups(&self.column)?;
        if !self.sort_ids {
            ids.sort_by_key(|id| id.rows.first().copied());
        }
        let sizes = self.sizes(ids.len())?;
        split::check_clients(clients, sizes.len(), &format!("column `{}`", self.column))?;
        let mut ids = ids.into_iter();
        let shard = |size| ids.by_ref().take(size).flat_map(|id| id.rows).collect();
        let shards = sizes.into_iter().map(shard).collect();
        split::full(shards, "another `group_size`")
    }
}

impl GroupedNaturalId {
    /// How many ids each group holds.
    fn sizes(&self, ids: usize) -> Result<Vec<usize>> {
        let size = self.group_size as usize;
        if size == 0 {
            return Err("`group_size` is 0, it must be at least 1".into());
        }
        let (groups, remainder) = (ids / size, ids % size);
        if groups == 0 && !matches!(self.mode, Mode::AllowSmaller) {
            return Err(format!(
                "`group_size` is {size}, but column `{}` has {ids} ids; lower it, or set mode = `allow-smaller`",
                self.column
            ));
        }
        match self.mode {
            Mode::AllowSmaller => {
                let rest = (remainder > 0).then_some(remainder);
                Ok(std::iter::repeat_n(size, groups).chain(rest).collect())
            }
            Mode::AllowBigger => Ok(split::even(ids, groups)),
            Mode::DropReminder => Ok(vec![size; groups]),
            Mode::Strict if remainder > 0 => Err(format!(
                "{ids} ids of column `{}` make groups of {size} with {remainder} left; choose another `group_size` or mode",
                self.column
            )),
            Mode::Strict => Ok(vec![size; groups]),
        }
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    fn sizes(group_size: u32, mode: Mode, ids: usize) -> Result<Vec<usize>> {
        let column = "user".into();
        let grouped = GroupedNaturalId {
            column,
            group_size,
            mode,
            sort_ids: true,
        };
        grouped.sizes(ids)
    }

    #[test]
    fn modes_are_flowers() {
        // Of flwr-datasets 0.6.1.
        assert_eq!(sizes(3, Mode::AllowSmaller, 8), Ok(vec![3, 3, 2]));
        assert_eq!(sizes(9, Mode::AllowSmaller, 8), Ok(vec![8]));
        assert_eq!(sizes(3, Mode::AllowBigger, 8), Ok(vec![4, 4]));
        assert_eq!(sizes(5, Mode::AllowBigger, 8), Ok(vec![8]));
        assert_eq!(sizes(3, Mode::DropReminder, 8), Ok(vec![3, 3]));
        assert_eq!(sizes(4, Mode::Strict, 8), Ok(vec![4, 4]));
        assert!(sizes(3, Mode::Strict, 8).is_err());
        for mode in [Mode::AllowBigger, Mode::DropReminder, Mode::Strict] {
            assert!(sizes(9, mode, 8).is_err());
        }
    }

    #[test]
    fn ids_are_grouped_in_either_order() {
        let data = dataset(&[("user", &["zoe", "mia", "ada"])], 7);
        let grouped = |sort_ids| GroupedNaturalId {
            column: "user".into(),
            group_size: 2,
            mode: Mode::AllowSmaller,
            sort_ids,
        };
        let unsorted = grouped(false).partition(&data, 2).unwrap();
        assert_eq!(unsorted, [vec![0, 1], vec![2]]);
        let sorted = grouped(true).partition(&data, 2).unwrap();
        assert_eq!(sorted, [vec![1, 2], vec![0]]);
        assert!(grouped(true).partition(&data, 3).is_err());
    }
}
