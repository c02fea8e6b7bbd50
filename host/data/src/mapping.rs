//! Columns made from other columns, by name or by expression. It never drops a column or a row.

use std::fmt;

use anyhow::{Result, anyhow, ensure};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::table::Table;

/// Target columns in order, each with what it is made from. A later one may use an earlier one.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Mapping(Vec<(String, Origin)>);

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected the name of a column or a table `{ expression = \"...\" }`"
)]
enum Origin {
    Column(String),
    Expression(Expression),
}

/// A minijinja expression over the fields of a row.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expression {
    expression: String,
}

impl Mapping {
    /// Whether it maps nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds or replaces the mapped columns; the others stay.
    pub fn apply(&self, mut table: Table) -> Result<Table> {
        for (target, origin) in &self.0 {
            match origin {
                Origin::Column(source) => copy(&mut table, target, source)?,
                Origin::Expression(Expression { expression }) => {
                    evaluate(&mut table, target, expression)?
                }
            }
            table.note_column(target);
        }
        Ok(table)
    }
}

fn copy(table: &mut Table, target: &str, source: &str) -> Result<()> {
    table.require(source, &format!("mapping of `{target}`"))?;
    for row in &mut table.rows {
        let value = row.fields.get(source).cloned();
        let value = value
            .ok_or_else(|| anyhow!("{}: mapping of `{target}`: no field `{source}`", row.place))?;
        row.fields.insert(target.to_owned(), value);
    }
    Ok(())
}

fn evaluate(table: &mut Table, target: &str, expression: &str) -> Result<()> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let compiled = environment
        .compile_expression(expression)
        .map_err(|e| anyhow!("mapping of `{target}`: expression `{expression}`: {e}"))?;
    let mut sources: Vec<String> = compiled.undeclared_variables(false).into_iter().collect();
    sources.sort();
    for source in sources.iter().filter(|s| {
        environment
            .globals()
            .all(|(global, _)| global != s.as_str())
    }) {
        table.require(source, &format!("mapping of `{target}`"))?;
    }
    for row in &mut table.rows {
        let failed = |cause: String| {
            anyhow!(
                "{}: mapping of `{target}`: `{expression}`: {cause}",
                row.place
            )
        };
        let value = compiled
            .eval(Serde(&row.fields))
            .map_err(|e| failed(e.to_string()))?;
        ensure!(!value.is_undefined(), failed("no value".to_owned()));
        let value: Value = serde_json::to_value(&value).map_err(|e| failed(e.to_string()))?;
        row.fields.insert(target.to_owned(), value);
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Mapping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Mapping;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table from column names to columns or expressions")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Mapping, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Mapping(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Serialize for Mapping {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (target, origin) in &self.0 {
            map.serialize_entry(target, origin)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::Mapping;
    use crate::table::{Format, Table};

    fn table() -> Table {
        Table::parse(
            b"mean,text\n-0.5,bad\n0.4,\"a \"\"b\"\"\"\n",
            Format::Csv,
            &[],
            "x.csv",
        )
        .unwrap()
    }

    #[test]
    fn expressions_see_earlier_columns() {
        let mapping: Mapping = toml::from_str(
            r#"
            z = { expression = "'negative' if mean|float <= -0.5 else 'neutral'" }
            instruction = { expression = "'Text: ' ~ text ~ '\nIt is'" }
            response = "z"
            "#,
        )
        .unwrap();
        let table = mapping.apply(table()).unwrap();
        assert_eq!(
            table.columns,
            ["mean", "text", "z", "instruction", "response"]
        );
        assert_eq!(table.rows[0].fields["response"], "negative");
        assert_eq!(table.rows[1].fields["instruction"], "Text: a \"b\"\nIt is");
    }

    #[test]
    fn a_missing_column_names_the_present_ones() {
        for mapping in [
            "response = 'txt'",
            "response = { expression = \"txt ~ '.'\" }",
        ] {
            let mapping: Mapping = toml::from_str(mapping).unwrap();
            let error = mapping.apply(table()).unwrap_err().to_string();
            let expected = "mapping of `response`: no column `txt`, present are `mean`, `text`, nearest is `text`";
            assert_eq!(error, expected);
        }
    }
}
