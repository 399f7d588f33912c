//! The rules of `spec.match.cidrGroups`.
//!
//! In: the groups. Out: every broken rule, with its place, its value and what would be right.
//! Pure: values only.

use std::collections::BTreeMap;

use super::CidrGroup;
use super::bounds::{CIDR_GROUP_NAME, CIDR_GROUPS, CIDRS, RESERVED};
use super::rules::Check;
use crate::Cidr;

impl Check {
    pub(super) fn cidr_groups(&mut self, groups: &[CidrGroup]) {
        let field = "spec.match.cidrGroups";
        if groups.len() > CIDR_GROUPS {
            self.fail(
                field,
                groups.len(),
                format!("groups are too many; give at most {CIDR_GROUPS}"),
            );
            return;
        }
        let mut names = BTreeMap::new();
        let mut ranges = BTreeMap::new();
        for (position, group) in groups.iter().enumerate() {
            let field = format!("{field}[{position}]");
            self.cidr_group_name(&format!("{field}.name"), &group.name);
            if let Some(first) = names.insert(&group.name, position) {
                let expected = format!("is the name of group {first} already");
                self.fail(&format!("{field}.name"), &group.name, expected);
            }
            self.cidrs(&format!("{field}.cidrs"), group, &mut ranges);
        }
    }

    fn cidr_group_name(&mut self, field: &str, name: &str) {
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_label = (1..=CIDR_GROUP_NAME).contains(&name.len())
            && name.chars().all(letters)
            && !name.starts_with('-')
            && !name.ends_with('-');
        if !is_label {
            let expected =
                "is not a name; give 1 to 63 lower case letters, digits and inner dashes";
            self.fail(field, name, expected);
        } else if RESERVED.contains(&name) {
            self.fail(field, name, "is a name with a meaning of its own; choose another");
        }
    }

    fn cidrs<'a>(
        &mut self,
        field: &str,
        group: &'a CidrGroup,
        ranges: &mut BTreeMap<Cidr, &'a str>,
    ) {
        if group.cidrs.is_empty() {
            self.fail(field, &group.cidrs, "needs a range such as 10.0.0.0/8");
        } else if group.cidrs.len() > CIDRS {
            let expected = format!("ranges are too many; give at most {CIDRS}");
            self.fail(field, group.cidrs.len(), expected);
            return;
        }
        for (position, text) in group.cidrs.iter().enumerate() {
            let field = format!("{field}[{position}]");
            match text.parse::<Cidr>() {
                Ok(range) => {
                    if let Some(other) = ranges.insert(range, &group.name) {
                        self.fail(&field, text, format!("is in group {other} already"));
                    }
                }
                Err(error) => self.fail(&field, text, error.to_string()),
            }
        }
    }
}
