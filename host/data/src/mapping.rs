//! Columns made from other columns, by name or by expression. It never drops a row.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, LazyLock};

use anyhow::{Result, anyhow};
use minijinja::value::Serde;
use minijinja::{Environment, Expression as Compiled, UndefinedBehavior};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::dataset::{Broken, Fault};
use crate::table::{Table, Wanted};

mod dialogues;
pub(crate) mod functions;

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

/// What expressions know beside minijinja's own: Python's methods of strings and lists,
/// `split_dialogues(chosen, rejected)`, and what [`functions`] has for lists.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    // A missing field is an error, except where an expression asks whether it is there.
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("split_dialogues", dialogues::split_dialogues);
    functions::add(&mut environment);
    environment
});

impl Mapping {
    /// `target`, taken from `source` as it is.
    pub fn copy(target: &str, source: &str) -> Self {
        Self(vec![(target.to_owned(), Origin::Column(source.to_owned()))])
    }

    /// Whether it maps nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it makes `column`.
    pub fn makes(&self, column: &str) -> bool {
        self.0.iter().any(|(target, _)| target == column)
    }

    /// This mapping, and then `other`.
    pub fn then(mut self, other: &Self) -> Self {
        self.0.extend(other.0.iter().cloned());
        self
    }

    /// The names of the columns that it makes.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(target, _)| target.as_str())
    }

    /// The mapping, compiled for the rows of `table`, which needs the columns that it starts from.
    pub(crate) fn compile(&self, table: &Table) -> Result<Steps> {
        let mut made: BTreeSet<&str> = BTreeSet::new();
        let mut steps = Vec::new();
        for (target, origin) in &self.0 {
            let step = Step::new(target, origin)?;
            for source in step
                .sources
                .iter()
                .filter(|own| !made.contains(own.as_str()))
            {
                // What an expression asks for before it uses it may be missing.
                if step.needs(source) {
                    table.require(source, &format!("mapping of `{target}`"))?;
                }
            }
            made.insert(target);
            steps.push(step);
        }
        Ok(Steps(steps))
    }
}

/// A compiled mapping.
#[derive(Debug, Default)]
pub(crate) struct Steps(Vec<Step>);

#[derive(Debug)]
struct Step {
    target: String,
    sources: Vec<String>,
    /// None: the source is taken as it is.
    expression: Option<(String, Compiled<'static, 'static>)>,
}

impl Step {
    fn new(target: &str, origin: &Origin) -> Result<Self> {
        let target = target.to_owned();
        let Expression { expression } = match origin {
            Origin::Column(source) => {
                let sources = vec![source.clone()];
                return Ok(Self {
                    target,
                    sources,
                    expression: None,
                });
            }
            Origin::Expression(expression) => expression,
        };
        let (compiled, sources) = compile(expression)
            .map_err(|e| anyhow!("mapping of `{target}`: expression `{expression}`: {e}"))?;
        let expression = Some((expression.clone(), compiled));
        Ok(Self {
            target,
            sources,
            expression,
        })
    }

    /// Whether the step fails without `source`: of an expression this is known only if it has but one source or
    /// never asks.
    fn needs(&self, source: &str) -> bool {
        let Some((text, _)) = &self.expression else {
            return true;
        };
        let asks = [format!("if {source}"), format!("{source} is ")];
        !asks.iter().any(|asking| text.contains(asking.as_str()))
    }

    fn value(&self, fields: &Map<String, Value>) -> Result<Value, Broken> {
        let target = &self.target;
        let Some((text, compiled)) = &self.expression else {
            let source = &self.sources[0];
            let value = fields.get(source).cloned();
            return value.ok_or_else(|| {
                Fault::Missing.because(format!("mapping of `{target}`: no field `{source}`"))
            });
        };
        let failed = |cause: String| {
            Fault::Expression.because(format!("mapping of `{target}`: `{text}`: {cause}"))
        };
        let value = compiled
            .eval(Serde(fields))
            .map_err(|error| failed(error.to_string()))?;
        if value.is_undefined() {
            return Err(failed("no value".to_owned()));
        }
        serde_json::to_value(&value).map_err(|error| failed(error.to_string()))
    }
}

impl Steps {
    /// What has to be read of the table so that `targets` can be had.
    pub(crate) fn wanted(&self, targets: &Wanted) -> Wanted {
        let Wanted::Only(targets) = targets else {
            return Wanted::All;
        };
        let mut wanted = targets.clone();
        for step in self.0.iter().rev() {
            if wanted.remove(&step.target) {
                wanted.extend(step.sources.iter().cloned());
            }
        }
        Wanted::Only(wanted)
    }

    /// Makes the columns of one row that `targets` need; the others stay.
    pub(crate) fn apply(
        &self,
        fields: &mut Map<String, Value>,
        targets: &Wanted,
    ) -> Result<(), Broken> {
        for (step, needed) in self.0.iter().zip(self.needed(targets)) {
            if needed {
                let value = step.value(fields)?;
                fields.insert(step.target.clone(), value);
            }
        }
        Ok(())
    }

    fn needed(&self, targets: &Wanted) -> Vec<bool> {
        let Wanted::Only(targets) = targets else {
            return vec![true; self.0.len()];
        };
        let (mut wanted, mut needed) = (targets.clone(), vec![false; self.0.len()]);
        for (step, needed) in self.0.iter().zip(&mut needed).rev() {
            if wanted.remove(&step.target) {
                *needed = true;
                wanted.extend(step.sources.iter().cloned());
            }
        }
        needed
    }
}

/// A minijinja expression over the fields of a row that says whether the row counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Filter {
    text: String,
    compiled: Arc<Compiled<'static, 'static>>,
    columns: Vec<String>,
}

impl TryFrom<String> for Filter {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        let (compiled, columns) =
            compile(&text).map_err(|error| anyhow!("filter `{text}`: {error}"))?;
        Ok(Self {
            text,
            compiled: Arc::new(compiled),
            columns,
        })
    }
}

impl Filter {
    /// The columns that it looks at.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str)
    }

    /// The expression.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_true(&self, fields: &Map<String, Value>) -> Result<bool> {
        let value = self.compiled.eval(Serde(fields));
        let value = value.map_err(|error| anyhow!("filter `{}`: {error}", self.text))?;
        Ok(value.is_true())
    }
}

/// The expression, and the columns that it starts from, sorted.
fn compile(
    expression: &str,
) -> Result<(Compiled<'static, 'static>, Vec<String>), minijinja::Error> {
    let compiled = ENVIRONMENT.compile_expression_owned(expression.to_owned())?;
    let known = |name: &String| ENVIRONMENT.globals().any(|(global, _)| global == name);
    let mut sources: Vec<String> = compiled.undeclared_variables(false).into_iter().collect();
    sources.retain(|name| !known(name));
    sources.sort();
    Ok((compiled, sources))
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
    use crate::table::{Format, Table, Wanted};

    fn table() -> Table {
        let text = b"mean,text\n-0.5,bad\n0.4,\"a \"\"b\"\"\"\n";
        Table::parse(text, Format::Csv, &[], "x.csv").unwrap()
    }

    #[test]
    fn expressions_see_earlier_columns_and_read_what_they_need() {
        let mapping: Mapping = toml::from_str(
            r#"
            z = { expression = "'negative' if mean|float <= -0.5 else 'neutral'" }
            instruction = { expression = "'Text: ' ~ text ~ '\nIt is'" }
            response = "z"
            text = { expression = "text|upper" }
            "#,
        )
        .unwrap();
        let table = table();
        let steps = mapping.compile(&table).unwrap();
        let made = |row: usize, targets: &Wanted| {
            let mut fields = table.row(row).unwrap().fields;
            steps.apply(&mut fields, targets).unwrap();
            fields
        };
        assert_eq!(made(0, &Wanted::All)["response"], "negative");
        assert_eq!(made(1, &Wanted::All)["instruction"], "Text: a \"b\"\nIt is");
        assert_eq!(made(1, &Wanted::All)["text"], "A \"B\"");
        let response = Wanted::only(["response"]);
        assert_eq!(steps.wanted(&response), Wanted::only(["mean"]));
        assert!(!made(0, &response).contains_key("instruction"));
        assert_eq!(
            steps.wanted(&Wanted::only(["text", "z"])),
            Wanted::only(["mean", "text"])
        );
    }

    #[test]
    fn a_missing_column_names_the_present_ones() {
        for mapping in [
            "response = 'txt'",
            "response = { expression = \"txt ~ '.'\" }",
        ] {
            let mapping: Mapping = toml::from_str(mapping).unwrap();
            let error = mapping.compile(&table()).unwrap_err().to_string();
            let expected = "mapping of `response`: no column `txt`, present are `mean`, `text`, nearest is `text`";
            assert_eq!(error, expected);
        }
        let asking = "response = { expression = \"text ~ (' ' ~ input if input else '')\" }";
        let mapping: Mapping = toml::from_str(asking).unwrap();
        let steps = mapping.compile(&table()).unwrap();
        let mut fields = table().row(0).unwrap().fields;
        steps.apply(&mut fields, &Wanted::All).unwrap();
        assert_eq!(fields["response"], "bad");
    }
}
