//! `dataset.json`: channels and labels.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::NeuralError;

/// What a network was trained on.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Names of the image's channels, in their order: `CT`, `T1`, ….
    pub channels: Vec<String>,
    /// Names of the labels that the network can give, without background; of regions what is left of each: `kidney without masses`.
    pub names: BTreeMap<u16, String>,
    /// How outputs become labels.
    pub heads: Heads,
}

/// How the outputs of a network become labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heads {
    /// The greatest output wins; the label of each, the first being background.
    Classes(Vec<u16>),
    /// Each positive output writes its label over what was written before; the label of each.
    Regions(Vec<u16>),
}

impl Heads {
    /// Number of outputs.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(labels) | Self::Regions(labels) => labels.len(),
        }
    }

    /// Whether there are no outputs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn description(field: &str, reason: impl Into<String>) -> NeuralError {
    NeuralError::Description { field: field.to_owned(), reason: reason.into() }
}

impl Dataset {
    /// Reads `dataset.json`.
    ///
    /// # Errors
    /// [`NeuralError::Description`] with the key that is missing or not understood.
    pub fn read(json: &[u8]) -> Result<Self, NeuralError> {
        let dataset: Value =
            serde_json::from_slice(json).map_err(|e| description("dataset.json", format!("is no JSON: {e}")))?;
        let channels = dataset.get("channel_names").or_else(|| dataset.get("modality")).and_then(Value::as_object);
        let channels = channels.ok_or_else(|| description("channel_names", "is missing"))?;
        let mut numbered =
            channels.iter().map(|(key, name)| (key.parse().unwrap_or(usize::MAX), name)).collect::<Vec<_>>();
        numbered.sort_by_key(|(number, _)| *number);
        let channels =
            numbered.into_iter().map(|(_, name)| name.as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>();
        if channels.is_empty() {
            return Err(description("channel_names", "is empty"));
        }
        let (names, heads) = labels(&dataset)?;
        Ok(Self { channels, names, heads })
    }
}

fn labels(dataset: &Value) -> Result<(BTreeMap<u16, String>, Heads), NeuralError> {
    let labels = dataset.get("labels").and_then(Value::as_object).ok_or_else(|| description("labels", "is missing"))?;
    let values = |name: &str, value: &Value| -> Result<Vec<u16>, NeuralError> {
        let one = |v: &Value| match v {
            Value::Number(_) => v.as_u64(),
            // Some write numbers as text.
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let all = match value {
            Value::Array(list) => list.iter().map(one).collect::<Option<Vec<_>>>(),
            _ => one(value).map(|v| vec![v]),
        };
        let all = all.and_then(|all| all.into_iter().map(|v| u16::try_from(v).ok()).collect::<Option<Vec<_>>>());
        all.filter(|all| !all.is_empty())
            .ok_or_else(|| description("labels", format!("gives `{name}` the value {value}")))
    };
    if labels.get("background").map(|b| values("background", b)).transpose()? != Some(vec![0]) {
        return Err(description("labels", "has no `background` of value 0"));
    }
    let mut entries = Vec::new();
    for (name, value) in labels {
        if name != "ignore" {
            entries.push((name.as_str(), values(name, value)?));
        }
    }
    if entries.iter().any(|(_, values)| values.len() > 1) {
        let regions = entries.iter().filter(|(_, values)| values.iter().any(|&v| v != 0)).collect::<Vec<_>>();
        let order = dataset.get("regions_class_order").and_then(Value::as_array);
        let order =
            order.and_then(|order| order.iter().map(|v| v.as_u64().and_then(|v| u16::try_from(v).ok())).collect());
        let order: Vec<u16> =
            order.ok_or_else(|| description("regions_class_order", "is missing, though labels are regions"))?;
        if order.len() != regions.len() {
            return Err(description(
                "regions_class_order",
                format!("has {} entries for {} regions", order.len(), regions.len()),
            ));
        }
        let names = order.iter().enumerate().map(|(at, &label)| (label, left_of(&regions[at..]))).collect();
        return Ok((names, Heads::Regions(order)));
    }
    let mut all = entries.iter().map(|(_, values)| values[0]).collect::<Vec<_>>();
    all.sort_unstable();
    all.dedup();
    if all.iter().enumerate().any(|(at, &label)| at != usize::from(label)) {
        return Err(description("labels", format!("are not consecutive from 0: {all:?}")));
    }
    let names =
        entries.iter().filter(|(_, values)| values[0] != 0).map(|(name, values)| (values[0], (*name).to_owned()));
    Ok((names.collect(), Heads::Classes(all)))
}

/// What the first of some regions is called once the others were written over it. Of those within each other the larger is named.
fn left_of(regions: &[&(&str, Vec<u16>)]) -> String {
    let Some(((name, own), later)) = regions.split_first() else { return String::new() };
    let over: Vec<_> = later.iter().filter(|(_, values)| values.iter().any(|v| own.contains(v))).collect();
    let lies_within = |own: &[u16], all: &[u16]| all.len() > own.len() && own.iter().all(|v| all.contains(v));
    let named = over.iter().filter(|(_, own)| !over.iter().any(|(_, all)| lies_within(own, all)));
    let named: Vec<&str> = named.map(|(name, _)| *name).collect();
    if named.is_empty() { (*name).to_owned() } else { format!("{name} without {}", named.join(" and ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(labels: &Value, order: &Value) -> Result<Dataset, NeuralError> {
        let json = json!({"channel_names": {"1": "T2", "0": "T1"}, "labels": labels, "regions_class_order": order});
        Dataset::read(json.to_string().as_bytes())
    }

    #[test]
    fn labels_are_classes() {
        let dataset = read(&json!({"background": 0, "b": 2, "a": "1", "ignore": 3}), &Value::Null).unwrap();
        assert_eq!(dataset.channels, ["T1", "T2"]);
        assert_eq!(dataset.heads, Heads::Classes(vec![0, 1, 2]));
        assert_eq!(dataset.names, BTreeMap::from([(1, "a".to_owned()), (2, "b".to_owned())]));
    }

    #[test]
    fn labels_are_regions() {
        let labels = json!({"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4});
        let dataset = read(&labels, &json!([1, 2, 3])).unwrap();
        assert_eq!(dataset.heads, Heads::Regions(vec![1, 2, 3]));
        assert_eq!(dataset.names[&1], "whole without core", "which enhancing lies in");
        assert_eq!((dataset.names[&2].as_str(), dataset.names[&3].as_str()), ("core without enhancing", "enhancing"));
        assert!(read(&labels, &json!([1, 2])).unwrap_err().to_string().contains("regions"));
        assert!(read(&labels, &Value::Null).unwrap_err().to_string().contains("regions_class_order"));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let fails = |labels: Value, word: &str| {
            let error = read(&labels, &Value::Null).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        fails(json!({"liver": 1}), "background");
        fails(json!({"background": 0, "liver": 7}), "consecutive");
        fails(json!({"background": 0, "liver": -1}), "liver");
        fails(json!({"background": 0, "liver": 70000}), "liver");
    }
}
