//! Changes of single keys: `--set run.steps=100`.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::{Error, Result};

/// Applies the changes `KEY=VALUE` to the run file `text`. A key is a path with dots; a value is written as in TOML,
/// except that strings need no quotes.
///
/// # Errors
/// [`Error::Config`] if a change has no `=`, or the run file has no such key or rejects the value.
pub fn apply<C: DeserializeOwned>(text: &str, changes: &[String]) -> Result<C> {
    let mut table: Table = toml::from_str(text).map_err(|error| Error::Config(error.to_string()))?;
    for change in changes {
        let (key, value) = change
            .split_once('=')
            .ok_or_else(|| Error::Config(format!("--set {change}: expected KEY=VALUE")))?;
        let key = key.trim();
        let problem = |problem: String| Error::Config(format!("--set {key}: {problem}"));
        put(&mut table, key, parse(value.trim())).map_err(problem)?;
        // Checked after each change, so that the message names the wrong one.
        Value::Table(table.clone()).try_into::<C>().map_err(|error| problem(error.message().to_owned()))?;
    }
    Value::Table(table).try_into().map_err(|error: toml::de::Error| Error::Config(error.to_string()))
}

fn parse(text: &str) -> Value {
    toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn put(table: &mut Table, key: &str, value: Value) -> std::result::Result<(), String> {
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().filter(|last| !last.is_empty()).ok_or("the key is empty")?;
    let mut table = table;
    for part in parts {
        table = table
            .entry(part)
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .ok_or_else(|| format!("{part} has no keys"))?;
    }
    // Accept integers for floats.
    let value = match (table.get(last), value) {
        (Some(Value::Float(_)), Value::Integer(whole)) => Value::Float(whole as f64),
        (_, value) => value,
    };
    table.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::RunConfig;
    use super::super::tests::SMALL;
    use super::*;

    fn changed(changes: &[&str]) -> Result<RunConfig> {
        let changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
        RunConfig::parse(SMALL, &changes)
    }

    #[test]
    fn known_keys_change() {
        let config = changed(&[
            "run.steps=7",
            "optimizer.learning_rate=1",
            "network.conditioning=control",
            "loss.pixel_l1={ known = 10.0, hole = 0.0 }",
            "ema.on=false",
        ])
        .unwrap();
        assert_eq!((config.run.steps, config.optimizer.learning_rate), (7, 1.0));
        assert_eq!(config.loss.pixel_l1.unwrap().known, 10.0);
        assert!(config.network.config().shape().control && !config.ema.on);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (change, part) in [
            ("run.stpes=7", "--set run.stpes: unknown field `stpes`"),
            ("run.steps=many", "--set run.steps: invalid type: string \"many\""),
            ("run.steps", "--set run.steps: expected KEY=VALUE"),
            ("seed.x=1", "--set seed.x: seed has no keys"),
            ("=1", "--set : the key is empty"),
        ] {
            let error = changed(&[change]).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
