//! Configurations with `${NAMES}`, filled in as `envsubst` does, and put together
//! as Envoy's `--config-yaml` does.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

/// What each name stands for.
#[derive(Clone, Debug, Default)]
pub struct Template(BTreeMap<&'static str, String>);

impl Template {
    /// With nothing filled in.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with `name` standing for `value`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.0.insert(name, value.to_string());
        self
    }

    /// The file at `path` with every name filled in.
    ///
    /// # Errors
    /// When it cannot be read or uses a name that stands for nothing: `envsubst`
    /// would leave a hole there.
    pub fn fill(&self, path: &Path) -> Result<String> {
        let text =
            fs::read_to_string(path).with_context(|| format!("read `{}`", path.display()))?;
        self.fill_text(&text)
            .with_context(|| format!("fill in `{}`", path.display()))
    }

    /// The same, parsed as YAML.
    ///
    /// # Errors
    /// As [`Self::fill`], and when the outcome is not YAML.
    pub fn parse(&self, path: &Path) -> Result<Value> {
        let text = self.fill(path)?;
        serde_yaml_ng::from_str(&text).with_context(|| format!("parse `{}`", path.display()))
    }

    fn fill_text(&self, text: &str) -> Result<String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, tail) = after.split_once('}').context("`${` without `}`")?;
            let value = self
                .0
                .get(name)
                .with_context(|| format!("`${{{name}}}` is not given"))?;
            filled.push_str(before);
            filled.push_str(value);
            rest = tail;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// Adds `more` to `config` as Envoy merges `--config-yaml`: lists grow, messages
/// merge. What both have word for word is kept once, and two values for one field
/// are an error, so that several sidecars can share an Envoy and none loses a setting.
///
/// # Errors
/// When the two contradict each other.
pub fn merge(config: &mut Value, more: Value) -> Result<()> {
    match (config, more) {
        (Value::Object(into), Value::Object(from)) => merge_fields(into, from),
        (Value::Array(into), Value::Array(from)) => {
            for item in from {
                if !into.contains(&item) {
                    into.push(item);
                }
            }
            Ok(())
        }
        (Value::Null, _) => bail!("an empty configuration"),
        (one, other) => {
            ensure!(*one == other, "`{one}` here, `{other}` there");
            Ok(())
        }
    }
}

fn merge_fields(into: &mut Map<String, Value>, from: Map<String, Value>) -> Result<()> {
    for (field, value) in from {
        match into.get_mut(&field) {
            Some(present) => merge(present, value).with_context(|| format!("in `{field}`"))?,
            None => {
                into.insert(field, value);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_filled_in() {
        let template = Template::new().with("A", 1).with("B", "x${A}");
        assert_eq!(
            template.fill_text("a: ${A}, b: ${B}$").unwrap(),
            "a: 1, b: x${A}$"
        );
    }

    #[test]
    fn a_name_that_stands_for_nothing_is_an_error() {
        let error = Template::new().fill_text("a: ${A}").unwrap_err();
        assert_eq!(error.to_string(), "`${A}` is not given");
    }

    #[test]
    fn lists_grow_and_equal_items_stay_one() {
        let mut config = json!({"clusters": [{"name": "a"}], "admin": {"port": 1}});
        let more = json!({"clusters": [{"name": "a"}, {"name": "b"}], "admin": {"port": 1}});
        merge(&mut config, more).unwrap();
        assert_eq!(
            config,
            json!({"clusters": [{"name": "a"}, {"name": "b"}], "admin": {"port": 1}})
        );
    }

    #[test]
    fn a_contradiction_names_its_field() {
        let mut config = json!({"admin": {"port": 1}});
        let error = merge(&mut config, json!({"admin": {"port": 2}})).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "in `admin`: in `port`: `1` here, `2` there"
        );
    }
}
